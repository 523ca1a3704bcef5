"""Boxes, clauses and entailment against brute force over small finite models: sound, and exact."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from dataforge.domain.conditions import (
    All,
    AnyOf,
    Expr,
    Terms,
    TooManyAlternatives,
    boxes,
    broken,
    clauses,
    entails,
    holds,
    terms_of,
)
from dataforge.domain.expressions import Resolver
from dataforge.domain.scope import FileScope
from dataforge.domain.structs import StructType
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse


class Doc(BaseModel):
    kind: Literal["a", "b", "c"] | None = None
    stars: int | None = Field(default=None, ge=0, le=3)
    flag: bool | None = None


class Note(BaseModel):
    kind: Literal["a", "b", "c"] = "a"
    stars: int = Field(default=0, ge=0, le=3)
    flag: bool = False


STRUCTS = {"Doc": StructType("Doc", Doc, "test"), "Note": StructType("Note", Note, "test")}

ATOMS = st.one_of(
    st.sampled_from(["flag", "has flag", "flag == true", "flag != true", "flag == null", "flag in {true, false}"]),
    st.sampled_from(["kind == null", "has kind", "kind != null"]),
    st.builds("kind {} \"{}\"".format, st.sampled_from(["==", "!="]), st.sampled_from("abc")),
    st.builds(
        "kind {} {{{}}}".format,
        st.sampled_from(["in", "not in"]),
        st.lists(st.sampled_from(["\"a\"", "\"b\"", "\"c\""]), min_size=1, max_size=3).map(", ".join),
    ),
    st.builds("stars {} {}".format, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.integers(-1, 4)),
    st.builds("stars {} {}..{}".format, st.sampled_from(["in", "not in"]), st.integers(-1, 1), st.integers(2, 4)),
    st.sampled_from(["stars in ..1", "stars in 2..", "stars in {0, 3}", "has stars", "stars == 0.5", "stars < 1.5"]),
)  # fmt: skip
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


def states(model: type[BaseModel]) -> list[Mapping[str, BaseModel]]:
    nothing: list[Any] = [None] if model is Doc else []
    found = [
        {model.__name__: model(kind=kind, stars=stars, flag=flag)}
        for kind, stars, flag in itertools.product(
            ["a", "b", "c", *nothing], [0, 1, 2, 3, *nothing], [True, False, *nothing]
        )
    ]
    return [*found, {}] if model is Doc else found  # type: ignore[list-item, return-value]


ALL_STATES = {"Doc": states(Doc), "Note": states(Note)}


def qualify(text: str, struct: str) -> str:
    for name in ("kind", "stars", "flag"):
        text = text.replace(name, f"{struct}.{name}")
    return text


def resolve(text: str, terms: Terms) -> Expr:
    report = Report()
    source = Source("x", f"node n {{ pre {text} }}")
    file = parse(source, report)
    node = file.items[0]
    assert isinstance(node, s.NodeDecl)
    pre = node.clauses[0]
    assert isinstance(pre, s.Pre)
    found = Resolver(FileScope(source, report, dict(STRUCTS)), terms, source, report).conjunction(pre.items)
    assert not report.diagnostics, [d.render() for d in report.diagnostics]
    return found


def in_box(state: Mapping[str, BaseModel], box: Any) -> bool:
    return all(term.value(state, len) in values for term, values in box.items())


def satisfies(state: Mapping[str, BaseModel], clause: Any) -> bool:
    return any(term.value(state, len) in values for term, values in clause.items())


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, st.sampled_from(["Doc", "Note"]))
def test_boxes_and_clauses_mean_what_the_condition_means(text: str, struct: str) -> None:
    expr = resolve(qualify(text, struct), Terms())
    alternatives, requirements = boxes(expr), clauses(expr)
    for state in ALL_STATES[struct]:
        real = holds(expr, state, len)
        assert any(in_box(state, box) for box in alternatives) == real
        assert all(satisfies(state, clause) for clause in requirements) == real
        assert bool(broken(expr, state, len)) != real


@settings(max_examples=500, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_entailment_is_sound_and_exact(known: str, wanted: str) -> None:
    """Where every field may be null, terms are independent, and what follows is exactly what is found to follow."""
    terms = Terms()
    a, b = resolve(qualify(known, "Doc"), terms), resolve(qualify(wanted, "Doc"), terms)
    found = all(entails(box, clause) for box in boxes(a) for clause in clauses(b))
    real = all(holds(b, state, len) for state in ALL_STATES["Doc"] if holds(a, state, len))
    assert found == real, f"{a}  |  {b}"


@settings(max_examples=400, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_entailment_is_sound_where_types_exclude_null(known: str, wanted: str) -> None:
    terms = Terms()
    a, b = resolve(qualify(known, "Note"), terms), resolve(qualify(wanted, "Note"), terms)
    if all(entails(box, clause) for box in boxes(a) for clause in clauses(b)):
        assert all(holds(b, state, len) for state in ALL_STATES["Note"] if holds(a, state, len))


@settings(max_examples=300, deadline=None)
@given(CONDITIONS)
def test_what_never_holds_has_no_box_and_what_always_holds_no_clause(text: str) -> None:
    expr = resolve(qualify(text, "Doc"), Terms())
    results = [holds(expr, state, len) for state in ALL_STATES["Doc"]]
    assert (not boxes(expr)) == (not any(results))
    assert (not clauses(expr)) == all(results)
    assert any(not any(satisfies(state, c) for state in ALL_STATES["Doc"]) for c in clauses(expr)) <= (
        not any(results)
    )


@pytest.mark.parametrize(
    ("known", "wanted", "follows"),
    [
        ("words(Text.t) >= 150", "words(Text.t) >= 120", True),
        ("words(Text.t) >= 120", "words(Text.t) >= 150", False),
        ("words(Text.t) > 3", "words(Text.t) >= 4", True),
        ("words(Text.t) in 3..5", "has Text.t", False),  # terms are decided each by itself
        ("chars(Text.t) >= 1", "len(Text.t) != 0", True),
        ("has Text.t", "chars(Text.t) >= 0", False),
        ('Text.t == "x"', 'Text.t != "y"', True),
        ('Text.t != "y"', "has Text.t", True),
        ('not Text.t == "y"', "has Text.t", False),
        ('Text.t in {"x", "y"}', 'Text.t == "x" or Text.t == "y"', True),
        ('Text.t == "x" or Text.t == "y"', 'Text.t in {"x", "y"}', True),
        ('matches(Text.t, "a")', 'matches(Text.t, "a")', True),
        ('matches(Text.t, "a")', 'matches(Text.t, "[a]")', False),
        ('not matches(Text.t, "a")', 'not matches(Text.t, "a")', True),
        ("Text.n < Text.m", "Text.m > Text.n", True),
        ("Text.n == Text.m", "Text.m == Text.n", True),
        ("Text.n < Text.m", "Text.n <= Text.m", False),
        ("Text.x > 0.5", "Text.x >= 0.5", True),
        ("Text.x >= 0.5", "Text.x > 0.5", False),
        ("Text.x in 1..2 or Text.x in 3..4", "Text.x not in {2.5}", True),
        ("Text.x in 1..3", "Text.x in 1..2 or Text.x in 2..3", True),
        ("has Text.t", "has Text", False),
        ("Text.t == null", "not has Text.t", True),
        ("Text.t != null", "has Text.t", True),
    ],
)
def test_entailment_by_example(known: str, wanted: str, follows: bool) -> None:
    class Text(BaseModel):
        t: str | None
        n: int
        m: int
        x: float

    struct = StructType("Text", Text, "test")
    terms = Terms()

    def read(text: str) -> Expr:
        report = Report()
        source = Source("x", f"node n {{ pre {text} }}")
        pre = parse(source, report).items[0].clauses[0]  # type: ignore[union-attr]
        found = Resolver(FileScope(source, report, {"Text": struct}), terms, source, report).conjunction(
            pre.items
        )  # type: ignore[union-attr]
        assert not report.diagnostics, [d.render() for d in report.diagnostics]
        return found

    a, b = read(known), read(wanted)
    assert all(entails(box, clause) for box in boxes(a) for clause in clauses(b)) is follows


def test_alternatives_are_bounded() -> None:
    terms = Terms()
    pairs = [f'(Doc.kind == "a" and Doc.stars == {i % 4} and Doc.stars != {i})' for i in range(3)]
    assert len(boxes(resolve(" or ".join(pairs), terms))) <= 3

    class Wide(BaseModel):
        f0: bool
        f1: bool
        f2: bool
        f3: bool
        f4: bool
        f5: bool
        f6: bool

    struct = StructType("Wide", Wide, "test")
    items = []
    for i in range(6):
        a, b = (terms.field(struct, (f"f{j}",), struct.fields[f"f{j}"].type, False) for j in (i, i + 1))
        from dataforge.domain.conditions import Atom
        from dataforge.domain.values import symbols

        items.append(AnyOf((Atom(a, symbols([True])), Atom(b, symbols([False])))))
    chain = functools.reduce(lambda x, y: All((x, y)), items)
    assert 0 < len(boxes(chain)) <= 64
    many = AnyOf(
        tuple(Atom(terms.opaque(f"p{i}()", (), lambda *_: True), symbols([True])) for i in range(65))
    )
    with pytest.raises(TooManyAlternatives):
        boxes(many)
    with pytest.raises(TooManyAlternatives):
        clauses(
            All(
                (
                    AnyOf((Atom(terms.opaque("q", (), lambda *_: True), symbols([True])),)),
                    AnyOf((many_ands(terms),)),
                )
            )
        )


def many_ands(terms: Terms) -> Expr:
    """A disjunction whose negation has too many alternatives."""
    from dataforge.domain.conditions import Atom
    from dataforge.domain.values import symbols

    def opaque(name: str) -> Atom:
        return Atom(terms.opaque(name, (), lambda *_: True), symbols([True]))

    return AnyOf(tuple(All((opaque(f"x{i}"), opaque(f"y{i}"))) for i in range(7)))


def test_terms_come_in_order_of_appearance() -> None:
    expr = resolve('Doc.kind == "a" and (Doc.stars > 1 or not Doc.flag)', Terms())
    assert [t.text for t in terms_of(expr)] == ["Doc.kind", "Doc.stars", "Doc.flag"]


def test_broken_names_each_failing_conjunct_and_what_was_found() -> None:
    expr = resolve('Doc.kind == "a", Doc.stars >= 2, has Doc.flag', Terms())
    found = broken(expr, {"Doc": Doc(kind="b", stars=3)}, len)
    assert found == [
        "Doc.kind == \"a\" does not hold: Doc.kind is 'b'",
        "has Doc.flag does not hold: Doc.flag is missing",
    ]
