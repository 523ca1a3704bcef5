"""Property-based tests of contracts: states that satisfy a condition, hostile model outputs, and the checks that
`dataforge test` makes of every node.

    from dataforge.testing import strategy

    @given(strategy(Passage, where='words(Passage.text) >= 60, Passage.lang == "en"'))
    def test_my_function(passage): ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataforge.testing.strategies import NothingSatisfies, states, strategy

__all__ = ["NothingSatisfies", "states", "strategy"]


def __getattr__(name: str) -> Any:
    """The names above, when they are asked for: pytest loads the plugin in every run, and that must cost nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dataforge.testing import strategies

    return getattr(strategies, name)
