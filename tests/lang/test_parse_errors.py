"""What does not parse: one error a broken item, at its place, and everything else is read all the same."""

from __future__ import annotations

import time

import pytest

from dataforge.lang import syntax as s
from dataforge.lang.build import MAX_DEPTH
from dataforge.lang.diagnostics import Diagnostic, Report, Source
from dataforge.lang.parse import parse

GOOD = {
    "struct": 'struct A{i} {{ x: str = "a" }}',
    "generator": "generator w{i} {{ temperature 0.5 }}",
    "judge": "judge j{i}",
    "list": 'list l{i} = ["a"]',
    "rubric": 'rubric r{i} {{ c "C?" in 1..5 }}',
    "predicate": 'predicate p{i}(A) = "m:f"',
    "node": 'node n{i} {{ takes A  gives B  pre A.x == "node m {{"  set B.x = "y" }}',
    "graph": "graph g{i} {{ from A  to B  nodes * }}",
}
BAD = {
    "struct": "struct A{i} {{ x str }}",
    "generator": "generator w{i} {{ temperature = 0.5 }}",
    "judge": "judge j{i} [",
    "list": "list l{i} = []",
    "rubric": 'rubric r{i} {{ c "C?" 1..5 }}',
    "predicate": "predicate p{i} = f",
    "node": "node n{i} {{ takes A  gives B  pre A.x = 1 }}",
    "graph": "graph g{i} {{ from A  to B  nodes {{ }}",
}


def diagnose(text: str) -> tuple[s.File, list[Diagnostic]]:
    report = Report()
    file = parse(Source("x.forge", text), report)
    return file, report.diagnostics


def at(diagnostic: Diagnostic) -> str:
    return diagnostic.source.text[diagnostic.span.start : diagnostic.span.end]


def test_each_broken_item_gives_one_error_and_the_good_ones_are_kept() -> None:
    lines = []
    for i in range(3):
        for kind, good in GOOD.items():
            lines += [good.format(i=i), BAD[kind].format(i=f"{i}_bad")]
    file, found = diagnose("\n".join(lines))
    assert len(found) == 3 * len(BAD)
    assert {d.code for d in found} == {"F001"}
    assert len({d.source.line_column(d.span.start)[0] for d in found}) == len(found)
    assert len(file.items) == 3 * len(GOOD)
    assert set(file.broken) == {
        f"{k}{i}_bad" for i in range(3) for k in ("A", "w", "j", "l", "r", "p", "n", "g")
    }


def test_unclosed_item_does_not_swallow_the_next() -> None:
    file, found = diagnose("node a {\n  takes A\n\nnode b { takes A }\n\ngraph g { from A\n")
    assert [d.code for d in found] == ["F001", "F001"]
    assert [at(d) for d in found] == ["{", "{"]
    assert [i.name.text for i in file.items if isinstance(i, s.NodeDecl)] == ["b"]


def test_items_named_in_text_and_comments_are_not_taken_for_items() -> None:
    text = 'node a { """\nnode b { takes\n""" ask w { prompt "x" } }\n# node c {\nstruct 3\n'
    file, found = diagnose(text)
    assert [d.code for d in found] == ["F001"]
    assert at(found[0]) == "3"
    assert len(file.items) == 1


def test_a_judge_clause_at_the_start_of_a_line_is_no_item() -> None:
    text = "node a {\ntakes A\ngives B\njudge critic { rubric good }\nretry 1\n}\nstruct 3\n"
    file, found = diagnose(text)
    assert len(found) == 1
    assert len(file.items) == 1


@pytest.mark.parametrize(
    ("text", "shown", "says"),
    [
        ("node n { tekes A }", "tekes", "did you mean `takes`?"),
        ("node n { Takes A }", "Takes", "did you mean `takes`?"),
        ("node n { post A.b = 1 }", "=", "did you mean `==`?"),
        ("node n { post A.b => 1 }", "=>", "did you mean `>=`?"),
        ("node n { pre A.b == 1 && A.c }", "&&", "did you mean `and`?"),
        ('node n { pre A.b is "x" }', "is", "did you mean `==`?"),
        ("graph g { walk random }", "random", "expected `cover`, `uniform` or `weighted`"),
        ("struct S { a: }", "}", "write a name before `}`"),
        ("struct S { a = str }", "=", "did you mean `:`?"),
        ("struct S { a: str, b: str }", ",", "remove this `,`"),
        ('struct S { a: "x" or "y" }', "or", "did you mean `|`?"),
        ("node n { takes }", "takes", "write a name after `takes`"),
        ("node n { takes A B }", "B", "insert `,` before `B`"),
        ("node n { takes A,, B }", ",", "remove one `,`"),
        ("node n {\n  takes A,\n  gives B\n}", ",", "remove this `,`, or write a name after it"),
        ("node n {\n  takes A\n  B\n  pre A.x\n}", "B", "insert `gives` before `B`"),
        ("node n { gives many 3..three B }", "three", "write a number instead of `three`"),
        ("node n { retry 2 3 }", "3", "remove `2` or `3`"),
        ("node n { retry 3 times }", "times", "remove this `times`"),
        ("node n { pre words(A.b) in 3-5 }", "3-5", "did you mean `3..5`?"),
        ("node n { pre (A.x or A.y }", "}", "insert `)` before `}`"),
        ("node n { pre words(A.b] >= 3 }", "]", "did you mean `)`?"),
        ("node n { pre wordsA.b) >= 3 }", "wordsA.b", "write `words(A.b)`"),
        ("node n { set A.b }", "}", "expected `=`"),
        ('node n { set A.b "x" }', '"x"', 'insert `=` before `"x"`'),
        ("node n { call m:f }", "m:f", 'write `"m:f"`'),
        ("foo", "foo", "expected"),
        ("node 3 {}", "3", "write a name instead of `3`"),
        ("dialogue { takes A gives B }", "dialogue", "insert `node`"),
        ("node n { pre A.b in {} }", "}", "write a value before `}`"),
        ("node n { ask w { prompt } }", "prompt", "write a text in quotes after `prompt`"),
        ("import A from b", "import", "write `from MODULE import NAME`"),
        ("from ..x import Y", "..", "remove this `..`"),
        ("struct S {}\nforge 1", "forge", "at the top of the file"),
    ],
)
def test_caret_and_help_of_an_unexpected_word(text: str, shown: str, says: str) -> None:
    _, (found,) = diagnose(text)
    assert found.code == ("F002" if shown in ("=>", "&&") else "F001")
    assert at(found) == shown
    assert says in found.help


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('list l = ["a]\n', '"a]'),
        ("list l = ['a']", "'"),
        ('node n { """never\nclosed }\n', '"""'),
        ("node n { takes A; gives B }", ";"),
        ("node n { pre A.b == 1 && A.c }", "&&"),
        ("node my-node { takes A }", "my-node"),
        ("// a comment\nstruct S { }", "//"),
        ('graph g { seeds seeds.jsonl" }', "seeds.jsonl"),
        ('node n {\n  Ask nicely."""\n  takes A\n}', "Ask"),
        ("struct S { a: str\x00 }", "\x00"),
        ('list l = ["\\ud800"]', '"\\ud800"'),
    ],
)
def test_unreadable_characters(text: str, shown: str) -> None:
    _, found = diagnose(text)
    assert [d.code for d in found] == ["F002"]
    assert at(found[0]) == shown


@pytest.mark.parametrize("number", ["9" * 41, "1e999", "-1e999", "9" * 200_000, "1." + "0" * 60])
def test_huge_numbers(number: str) -> None:
    _, found = diagnose(f"node n {{ retry {number} }}")
    assert [d.code for d in found] == ["F003"]
    assert at(found[0]) == number
    assert len(found[0].render()) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "node n {{ pre {} A.b }}".format("not " * (MAX_DEPTH + 1)),
        "node n {{ pre {} A.b }}".format("not " * 5_000),
        "node n {{ pre {}A.b{} }}".format("(A.c or (A.c and " * 3_000, "))" * 3_000),
        "struct S {{ a: {}int{} }}".format("list[" * 5_000, "]" * 5_000),
        "node n {{ set A.b = {}1{} }}".format("[" * 5_000, "]" * 5_000),
    ],
)
def test_nesting_is_bounded(text: str) -> None:
    _, found = diagnose(text)
    assert [d.code for d in found] == ["F006"]


@pytest.mark.parametrize(
    "text",
    [
        "node n {{ pre {} A.b }}".format("not " * MAX_DEPTH),
        "node n {{ pre {}A.b{} }}".format("(" * 5_000, ")" * 5_000),
        "node n {{ pre {}A.b }}".format("A.b or " * 2_000),
        "node n {{ pre {}has A.b }}".format("has A.b and " * 2_000),
        "".join(f"node n{i} {{ pre A.b or A.c or A.d, not (A.b and A.c and A.d) }}\n" for i in range(200)),
        "struct S {{ {} }}".format(" ".join(f"f{i}: list[int?]?" for i in range(500))),
    ],
)
def test_length_and_brackets_are_no_depth(text: str) -> None:
    _, found = diagnose(text)
    assert not [d.message for d in found]


def test_another_version_of_the_language() -> None:
    file, found = diagnose("forge 2\nstruct A { x: str }")
    assert [(d.code, at(d)) for d in found] == [("F004", "2")]
    assert len(file.items) == 1


def test_ends_too_soon() -> None:
    for text in ("node", "from a", "node n", "struct S {", "graph g { emit {", "list l = ["):
        _, found = diagnose(text)
        assert [d.code for d in found] == ["F001"], text
        assert 0 <= found[0].span.start < found[0].span.end <= len(text)


@pytest.mark.parametrize(
    ("text", "opener", "says"),
    [
        ("node n {\n  ask w {\n    into B.t\n  retry 2\n}\n", 17, "insert `}` before `retry`"),
        ("node n {\n  takes A\n", 7, "insert `}` after `A`"),
        ('rubric r {\n  c "C?" in 1..5\n\nnode n { takes A }', 9, "insert `}` after `5`"),
    ],
)
def test_a_missing_brace_is_placed_by_the_indentation(text: str, opener: int, says: str) -> None:
    _, (found,) = diagnose(text)
    assert (found.span.start, at(found)) == (opener, "{")
    assert found.message == "this `{` is never closed"
    assert found.help == says


def test_the_extra_one_of_two_braces_is_the_one_that_closes_too_soon() -> None:
    text = "node n {\n  ask w { into B.t }}\n  judge c { rubric r }\n}\n"
    _, (found,) = diagnose(text)
    assert found.help == "remove one `}`"
    assert found.source.line_column(found.span.start)[0] == 2


def test_an_item_with_a_misspelt_keyword_takes_no_other_with_it() -> None:
    file, found = diagnose("struct A { x: str }\nnod b { takes A }\nnode c { takes A }\n")
    assert [d.help for d in found] == ["did you mean `node`?"]
    assert [i.name.text for i in file.items if not isinstance(i, s.Import)] == ["A", "c"]
    assert file.broken == ("b",)


def test_items_on_one_line_are_told_apart() -> None:
    file, found = diagnose("struct A { x: str } struct B { y str } node c { takes A }")
    assert [d.help for d in found] == ["insert `:` before `str`"]
    assert [i.name.text for i in file.items if not isinstance(i, s.Import)] == ["A", "c"]


def test_triple_quotes_that_do_not_pair_hide_no_item() -> None:
    text = 'node a {\n  """Doc.\n  takes A\n}\nnode b {\n  """Doc."""\n  takes A\n}\nstruct S { x str }\n'
    file, found = diagnose(text)
    assert [(d.code, d.source.line_column(d.span.start)[0]) for d in found] == [("F002", 2), ("F001", 9)]
    assert [i.name.text for i in file.items if isinstance(i, s.NodeDecl)] == ["b"]


def test_thousands_of_broken_items_are_each_reported_in_bounded_time() -> None:
    item = 'node n{} {{\n  takes A\n  gives B\n  ask w {{ prompt "x"  into B.t }}\n  retri 2\n}}\n'
    text = "".join(item.format(i) for i in range(3_000))
    before = time.process_time()
    _, found = diagnose(text)
    assert len(found) == 3_000
    assert {at(d) for d in found} == {"retri"}
    assert {d.help for d in found} == {"did you mean `retry`?"}
    assert time.process_time() - before < 20


def test_repairs_are_the_same_in_every_run() -> None:
    text = "node n { takes A gives B pre A.x == 1 A.y post B.x = 2 }"
    assert {diagnose(text)[1][0].render() for _ in range(5)} == {diagnose(text)[1][0].render()}
