"""Diagnostics as people and machines read them."""

from __future__ import annotations

import textwrap

from dataforge.lang.diagnostics import (
    CompileError,
    Diagnostic,
    Report,
    Source,
    Span,
    did_you_mean,
    in_order,
    listing,
    nearest,
)

TEXT = "struct A { x: str }\nnode n {\n\ttakes Aa\n}\n"
SOURCE = Source("graphs/x.forge", TEXT)
AT = TEXT.index("Aa")


def golden(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_error_with_help() -> None:
    found = Diagnostic(
        "F010", "there is no struct named `Aa` here", SOURCE, Span(AT, AT + 2), "did you mean `A`?"
    )
    assert found.render() == golden(
        """
        graphs/x.forge:3:8: error[F010]: there is no struct named `Aa` here
           |
         3 |  takes Aa
           |        ^^
           = help: did you mean `A`?
        """
    )
    assert found.to_json() == {
        "code": "F010",
        "severity": "error",
        "path": "graphs/x.forge",
        "line": 3,
        "column": 8,
        "end_line": 3,
        "end_column": 10,
        "message": "there is no struct named `Aa` here",
        "help": "did you mean `A`?",
    }


def test_warning_without_help() -> None:
    found = Diagnostic("F080", "not used", SOURCE, Span(7, 8), severity="warning")
    assert found.render() == golden(
        """
        graphs/x.forge:1:8: warning[F080]: not used
           |
         1 | struct A { x: str }
           |        ^
        """
    )


def test_span_over_several_lines_is_marked_to_the_end_of_the_first() -> None:
    found = Diagnostic("F001", "open", SOURCE, Span(TEXT.index("{\n"), len(TEXT)))
    assert found.render().endswith(" 2 | node n {\n   |        ^")


def test_place_at_and_beyond_the_end() -> None:
    for start in (len(TEXT), len(TEXT) + 50):
        shown = Diagnostic("F001", "ends", SOURCE, Span(start, start)).render()
        assert shown.startswith("graphs/x.forge:5:1:")
        assert shown.endswith("^")
    assert Diagnostic("F060", "empty", Source("e.forge", ""), Span(0, 0)).render().startswith("e.forge:1:1:")


def test_gutter_widens_with_the_line_number() -> None:
    source = Source("x", "\n" * 99 + "here")
    assert Diagnostic("F001", "m", source, Span(99, 103)).render() == golden(
        """
        x:100:1: error[F001]: m
             |
         100 | here
             | ^^^^
        """
    )


def test_long_line_is_cut_around_the_caret() -> None:
    text = "a" * 5_000 + "HERE" + "b" * 5_000
    shown = Diagnostic("F001", "m", Source("x", text), Span(5_000, 5_004)).render()
    line, caret = shown.split("\n")[2:4]
    assert len(line) < 200
    assert line[caret.index("^") :].startswith("HERE")
    assert caret.count("^") == 4
    assert ":1:5001:" in shown


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = "a\x1b[31mred\x07"
    shown = Diagnostic("F002", "m", Source("x", text), Span(1, 2)).render()
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_report_orders_and_does_not_repeat() -> None:
    report = Report()
    report.error("F010", "b", SOURCE, Span(5, 6))
    report.error("F010", "a", SOURCE, Span(1, 2))
    report.error("F010", "a", SOURCE, Span(1, 2))
    assert [d.message for d in in_order(report.diagnostics)] == ["a", "b"]
    error = CompileError(report.diagnostics)
    assert error.message == "2 errors in the program"
    assert str(error) == "\n\n".join(d.render() for d in error.diagnostics)
    assert error.exit_code == 2


def test_warnings_are_no_errors() -> None:
    report = Report()
    report.warning("F080", "w", SOURCE, Span(0, 1))
    report.raise_if_errors()
    assert not report.has_errors


def test_nearest_name() -> None:
    assert nearest("Pasage", ["Passage", "Answer"]) == "Passage"
    assert nearest("passage", ["Passage"]) == "Passage"
    assert nearest("xyz", ["Passage"]) is None
    assert did_you_mean("xyz", ["b", "a"]) == "there is `a` and `b`"
    assert did_you_mean("xyz", [], "declare it") == "declare it"
    assert did_you_mean("xyz", []) == ""
    assert listing([]) == "nothing"
    assert listing(list("abc"), joiner="or") == "`a`, `b` or `c`"
    assert listing([str(i) for i in range(10)]).endswith("and 2 more")
