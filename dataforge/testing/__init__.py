"""Property-based tests of contracts: states that satisfy a condition, hostile model outputs, and the checks that
`dataforge test` makes of every node.

    from dataforge.testing import strategy

    @given(strategy(Passage, where="words(Passage.text) >= 60, Passage.lang == \\"en\\""))
    def test_my_function(passage): ...
"""
