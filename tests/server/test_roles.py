"""The reader of words agrees with the parser wherever a text parses, and never fails where it does not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import grammar_text, parse
from dataforge.server import glossary, jinja
from dataforge.server.forms import CLAUSES, Role
from dataforge.server.outline import outline
from dataforge.server.roles import items, place_at
from tests.server.test_editor import MAIN, SHARED

GRAPHS = Path(__file__).parents[2] / "graphs"
EVERYTHING = '''forge 1
from schemas.text import Passage as P, Instruction
from "other.forge" import thing
struct Doc {
  """d"""
  text: str  kind: "a" | "b" = "a"  tags: list[str] = ["x"]  inner: Other? "say"  from: list[Other]?
}
generator w { temperature 0.5  stop ["a", "b"]  thinking auto }
judge critic
list personas from "p.jsonl"
list inline = ["a", "b"]
rubric sound { """How."""  clear "Is it?" in 1..5  in "odd" in 1..2  accept clear >= 3 and not score < 2 }
predicate longer(Doc, P) = "m:f"
node x {
  """What."""
  gives many 1..3 Doc, Card  draw p from personas
  set Doc.text = P.text  set Doc.kind = "b"  set Doc.n = words(P.text)
  verify num(P.text, tol = 1) { samples 2  keep best }
  branch Doc.kind else reject  train all  retry 2  weight 0.5
  ask w { stop ["a", "b"]  system file "a.j2"  prompt "x"  reasoning Doc.why  thinking auto  json Doc }
  judge critic { rubric sound  score Doc.score  rounds 3  prompt "more" }
  call "m:f"
  post Doc.kind in {"a", "b"} or (has Doc.text and longer(Doc, P))
  pre words(Doc.text) > words(P.text), Doc.text == P.text, Doc.n not in 1.., matches(Doc.text, "^a")
  keeps Doc.a, Doc.b
  takes P
}
graph g {
  from Passage, Doc where Passage.kind == "a", Doc.done
  to Doc where has Doc.text
  nodes x, y except z, w
  walk weighted  steps 1..4  seeds "a", "b"
  emit { system "s"  user file "u.j2"  assistant "{{ Doc.text }}" reasoning Doc.why }
}
graph all { from A to B nodes * except c walk cover emit B.messages }
example g {
  """Optional."""
  given Passage { text = "…"  kind = "article"  meta = { a = 1  b = true  c = [1, 2] }  n = null }
  model w says "…" reasoning file "r.txt"
  walk summarise, ask
  expect words(Instruction.text) == 3, not Instruction.contextual
}
example x { given P { }  expect reject "R102" }
'''
WHOLE = [
    EVERYTHING,
    MAIN,
    SHARED,
    *(path.read_text(encoding="utf-8") for path in sorted(GRAPHS.glob("*.forge"))),
]


def leaves(value: Any, role: Role | None = None) -> Iterator[tuple[int, str, Role]]:
    """Where each name of a tree stands, and which role the tree gives it."""
    match value:
        case s.Name(text, span):
            if role is not None:
                yield span.start, text, role
        case s.Ref(parts, span):
            yield span.start, parts[0], role or Role.HEAD
        case s.Func(name, args, span):
            yield span.start, name, Role.FUNCTION
            yield from leaves(args)
        case s.Takes(names) | s.Gives(names):
            yield from leaves(names, Role.STRUCT)
        case s.From(names, where) | s.To(names, where):
            yield from leaves(names, Role.STRUCT)
            yield from leaves(where)
        case s.Nodes(names, excluded):
            yield from leaves((*(names or ()), *excluded), Role.MEMBER)
        case s.ExampleWalk(names):
            yield from leaves(names, Role.MEMBER)
        case s.Ask(model, settings) | s.Judge(model, settings):
            yield from leaves(model, Role.MODEL)
            yield from leaves(settings)
        case s.Setting(name, s.Ref() as ref):
            roles = {"json": Role.STRUCT, "rubric": Role.RUBRIC, "thinking": Role.WORD, "keep": Role.VALUE}
            if name.text not in ("thinking", "keep"):
                yield from leaves(ref, roles.get(name.text))
        case s.Draw(name, source):
            yield from leaves(name, Role.VARIABLE)
            yield from leaves(source, Role.LIST)
        case s.Given(struct, fields):
            yield from leaves(struct, Role.STRUCT)
            yield from leaves(fields)
        case s.GivenField(name, inner):
            yield from leaves(name, Role.FIELD)
            yield from leaves(inner)
        case s.Says(model):
            yield from leaves(model, Role.MODEL)
        case s.FieldDecl(name, type):
            yield from leaves(name, Role.FIELD)
            yield from leaves(type)
        case s.TypeExpr(kind, text, _, item):
            if kind == "name" and text not in ("str", "int", "float", "bool"):
                yield value.span.start, text, Role.TYPE
            yield from leaves(item)
        case s.Criterion(name):
            yield from leaves(name, Role.CRITERION)
        case s.PredicateDecl(name, params):
            yield from leaves(name, Role.DECLARED)
            yield from leaves(params, Role.STRUCT)
        case s.RubricDecl(name, _, criteria, accept):
            yield from leaves(name, Role.DECLARED)
            yield from leaves(criteria)
            yield from ((at, text, Role.CRITERION) for at, text, _ in leaves(accept))
        case s.ExampleDecl(name, _, clauses):
            yield from leaves(name, Role.SUBJECT)
            yield from leaves(clauses)
        case s.Imported(name, alias):
            yield from leaves(name, Role.IMPORTED)
            if alias is not name:
                yield from leaves(alias, Role.DECLARED)
        case s.StructDecl() | s.ModelDecl() | s.ListDecl() | s.NodeDecl() | s.GraphDecl():
            yield from leaves(value.name, Role.DECLARED)
            for part in dataclasses.fields(value):
                if part.name != "name":
                    yield from leaves(getattr(value, part.name))
        case tuple():
            for item in value:
                yield from leaves(item, role)
        case _ if dataclasses.is_dataclass(value):
            for part in dataclasses.fields(value):
                yield from leaves(getattr(value, part.name))
        case _:
            return


@pytest.mark.parametrize("text", WHOLE)
def test_every_name_of_the_tree_has_the_role_that_the_tree_gives_it(text: str) -> None:
    report = Report()
    file = parse(Source("", text), report)
    assert not report.has_errors, report.diagnostics
    found = {word.start: word for item in outline(text).items for word in item}
    expected = list(leaves(file.items))
    assert len(expected) > 3
    for at, name, role in expected:
        assert at in found, f"{name} at {at} is no word"
        assert (found[at].text, found[at].role) == (name, role)


@pytest.mark.parametrize("text", WHOLE)
def test_the_outline_has_the_items_of_the_tree(text: str) -> None:
    file = parse(Source("", text), Report())
    named = [
        (type(i).__name__, i.name.text, i.name.span.start) for i in file.items if not isinstance(i, s.Import)
    ]
    found = [(item.name, item.name_span[0]) for item in outline(text).items if item.name]
    assert found == [(name, at) for _, name, at in named]


@settings(max_examples=200)
@given(st.sampled_from(WHOLE), st.data())
def test_a_beginning_of_a_text_has_the_roles_of_the_whole(text: str, data: st.DataObject) -> None:
    """What comes after a word says nothing of it, save a bracket that makes a function of a name."""
    item = data.draw(st.sampled_from(outline(text).items))
    start, end = item.span
    cut = data.draw(st.integers(start, end))
    begun = {w.start: w.role for i in items(text[start:cut]) for w in i.words if w.end < cut - start}
    whole = {w.start - start: w.role for w in item}
    for at, role in begun.items():
        assert whole.get(at) == role or Role.FUNCTION in (role, whole.get(at))


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([*'{}()[]".,=|#\n éx1🦊', "node ", "graph ", "take", "given", '"""', "{{", "%}"]),
        max_size=40,
    ).map("".join)
)
def test_any_text_has_an_outline_and_a_place(text: str) -> None:
    found = outline(text)
    for offset in range(len(text) + 1):
        place, base = found.place_at(offset)
        assert 0 <= base <= len(text)
        assert place.item in ("", "from", "forge", *glossary_items())
        at = found.word_at(offset)
        assert at is None or at[1].start <= offset <= at[1].end
        jinja.place(text, offset)
        jinja.loops(text, offset)
    for word in jinja.words(text):
        assert text[word.start : word.end] == word.path[-1]


def glossary_items() -> set[str]:
    return {word for item, word in glossary.KEYWORDS if not item}


def test_every_keyword_of_the_grammar_is_explained() -> None:
    """A clause that is added to the grammar must be added to the tables of the reader and the glossary."""
    quoted = set(re.findall(r'"([a-z]{2,})"', grammar_text()))
    explained = {word for _, word in glossary.KEYWORDS} | set(glossary.SETTINGS)
    assert quoted <= explained
    for item, clauses in CLAUSES.items():
        for clause in clauses:
            assert (item, clause) in glossary.KEYWORDS


def test_the_glossary_knows_what_the_compiler_knows() -> None:
    from dataforge.domain.measures import MEASURES
    from dataforge.domain.settings import _SAMPLING
    from dataforge.domain.templates import FILTERS

    assert set(glossary.MEASURES) == {*MEASURES, "matches"}
    assert set(glossary.SAMPLING) == set(_SAMPLING)
    assert set(glossary.FILTERS) == FILTERS


def test_a_clause_begins_on_its_line_though_a_bracket_is_open() -> None:
    place = place_at("node a {\n  pre (A.x == 1\n  post ", len("node a {\n  pre (A.x == 1\n  post "))
    assert (place.clause, place.wants) == ("post", Role.HEAD)
