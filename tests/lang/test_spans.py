"""Spans are exact: each part of the tree knows the very text that it was read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source, Span
from dataforge.lang.parse import parse

TEXT = """# spans
struct Doc { text: str?  kind: "a" | "b" = "a"  tags: list[str] = [] }
generator writer { temperature 0.5  stop ["x"] }
node n {
  takes Doc
  gives many 2..3 Doc
  pre Doc.kind == "a" and words(Doc.text) in 3..9, not has Doc.text or Doc.kind in {"a", "b"}
  keeps Doc . text
  ask writer { prompt "Say \\"it\\""  into Doc.text }
  set Doc.tags = []
  branch Doc.kind
  train all
}
graph g { from Doc where has Doc  to Doc  nodes *  walk cover  emit { user "u" assistant "a" reasoning Doc.text } }
"""


def parts(value: Any) -> Iterator[tuple[Any, Span]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if "span" in {f.name for f in dataclasses.fields(value)}:
            yield value, value.span  # type: ignore[attr-defined]
        for f in dataclasses.fields(value):
            yield from parts(getattr(value, f.name))
    elif isinstance(value, tuple) and not isinstance(value, Span):
        for item in value:
            yield from parts(item)


def read(text: str) -> dict[str, str]:
    report = Report()
    tree = parse(Source("x", text), report)
    assert not report.diagnostics
    return {repr(node): text[span.start : span.end] for node, span in parts(tree) if node is not s.NOWHERE}


def test_every_part_has_its_text() -> None:
    report = Report()
    tree = parse(Source("x", TEXT), report)
    assert not report.diagnostics
    for node, span in parts(tree):
        shown = TEXT[span.start : span.end]
        assert shown == shown.strip() != "", node
        match node:
            case s.Name(text):
                assert shown.startswith(text) or text == "into", node
            case s.Ref(of):
                assert [p.strip() for p in shown.split(".")] == list(of)
            case s.Literal(str() as value):
                assert value in shown
            case s.Literal(()):
                assert shown == "[]"
            case s.Literal(bool() | None):
                pass
            case s.Literal(int() | float() as number):
                assert float(shown) == number
            case s.Compare(left, op, _):
                assert op in shown
                assert shown.startswith(TEXT[left.span.start : left.span.end])
            case s.Not() | s.Has():
                assert shown.startswith(("not ", "has "))
            case s.Range(low, high):
                assert shown == f"{low}..{high}"
            case s.Func(name, _):
                assert shown.startswith(f"{name}(")
                assert shown.endswith(")")
            case _:
                pass


def test_spans_of_items_after_a_broken_one_are_those_of_the_whole_text() -> None:
    text = "node bad { takes }\n" + TEXT
    report = Report()
    tree = parse(Source("x", text), report)
    assert len(report.diagnostics) == 1
    for node, span in parts(tree):
        if isinstance(node, s.Ref):
            assert [p.strip() for p in text[span.start : span.end].split(".")] == list(node.parts)
