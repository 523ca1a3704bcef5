"""What the program says of a set or a condition is the language, and reads back as the same."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.domain.conditions import All, AnyOf, Atom, Expr, Negation, Terms, boxes
from dataforge.domain.expressions import Resolver
from dataforge.domain.scope import FileScope
from dataforge.domain.structs import StructType
from dataforge.domain.values import Numbers, Symbols, Values, interval, points, union
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse


class Thing(BaseModel):
    whole: int | None = None
    real: float | None = None
    word: str | None = None
    flag: bool | None = None


THING = StructType("Thing", Thing, "test")


def resolve(text: str, terms: Terms) -> Expr:
    report = Report()
    source = Source("x", f"node n {{ pre {text} }}")
    file = parse(source, report)
    assert not report.diagnostics, [d.render() for d in report.diagnostics]
    node = file.items[0]
    assert isinstance(node, s.NodeDecl)
    (pre,) = node.clauses
    assert isinstance(pre, s.Pre)
    found = Resolver(FileScope(source, report, {"Thing": THING}), terms, source, report).conjunction(
        pre.items
    )
    assert not report.diagnostics, [d.render() for d in report.diagnostics]
    return found


def term(terms: Terms, name: str) -> Any:
    field = THING.fields[name]
    return terms.field(THING, (name,), field.type, field.type.optional)


def allowed(expr: Expr, of: Any) -> Values:
    """The one set that a condition on one term allows; the full set where it allows everything."""
    found: Values | None = None
    for box in boxes(expr):
        if not box:
            return union(~of.universe, of.universe)
        (values,) = box.values()
        found = values if found is None else union(found, values)
    assert found is not None
    return found


finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def number_sets(draw: st.DrawFn, integer: bool) -> Numbers:
    ends = st.integers(-(10**20), 10**20) | st.integers(-9, 9) if integer else finite | st.integers(-9, 9)
    found: Values = Numbers((), integer)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            part: Values = points([draw(ends)], integer=integer)
        else:
            low, high = sorted([draw(ends), draw(ends)])
            part = interval(
                draw(st.sampled_from([low, -math.inf])),
                draw(st.sampled_from([high, math.inf])),
                open_low=draw(st.booleans()),
                open_high=draw(st.booleans()),
                integer=integer,
            )
        found = union(found, ~part if draw(st.booleans()) else part)
    return found  # type: ignore[return-value]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["\\d", "\b", "\x1b", "\r\n", '"', " or ", "\\", "\\\\n", "\x85", "😀"]
)
text_sets = st.builds(Symbols, st.frozensets(text, max_size=4), st.booleans(), st.booleans())
flag_sets = st.builds(Symbols, st.frozensets(st.booleans()), st.just(False), st.booleans())
described = st.one_of(
    st.tuples(st.just("whole"), number_sets(True)),
    st.tuples(st.just("real"), number_sets(False)),
    st.tuples(st.just("word"), text_sets),
    st.tuples(st.just("flag"), flag_sets),
)


@settings(max_examples=250, deadline=None)
@given(described)
@example(("real", interval(1e300)))
@example(("real", interval(1e-7, 2)))
@example(("word", Symbols(frozenset(["\b\f/"]))))
def test_description_of_a_set_reads_back_as_the_set(drawn: tuple[str, Values]) -> None:
    name, values = drawn
    if values.empty:
        return  # "never" is for people
    terms = Terms()
    of = term(terms, name)
    read = allowed(resolve(values.describe(of.text), terms), of)
    if name == "flag":  # there the complement is taken among true and false
        assert [x in read for x in (True, False, None)] == [x in values for x in (True, False, None)]
    else:
        assert read == values


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> Any:
    """(condition as a tree without terms): resolved by `build`."""
    kind = draw(st.sampled_from(["atom", "and", "or", "not"] if depth else ["atom"]))
    if kind == "atom":
        return ("atom", *draw(described))
    if kind == "not":
        return ("not", draw(expressions(depth - 1)))
    return (kind, *draw(st.lists(expressions(depth - 1), min_size=2, max_size=3)))


def build(tree: Any, terms: Terms) -> Expr:
    match tree:
        case ("atom", name, values):
            return Atom(term(terms, name), values)
        case ("not", item):
            return Negation(build(item, terms))
        case ("and", *items):
            return All(tuple(build(i, terms) for i in items))
        case ("or", *items):
            return AnyOf(tuple(build(i, terms) for i in items))
    raise AssertionError(tree)


def probes() -> list[Thing]:
    return [
        Thing(whole=w, real=r, word=t, flag=f)
        for w, r, t, f in zip(
            [None, 0, 5, -3, 9, 10**20, 1, -9],
            [None, 0.0, 0.5, -3, 9, 1e300, 1, -9],
            [None, "", '"', "\\", "a", "\\d", "\b", "0"],
            [None, True, False, True, False, None, True, False],
            strict=True,
        )
    ]


@settings(max_examples=150, deadline=None)
@given(expressions())
def test_text_of_a_condition_reads_back_with_the_same_meaning(tree: Any) -> None:
    from dataforge.domain.conditions import holds, terms_of

    terms = Terms()
    expr = build(tree, terms)
    shown = str(expr)
    if " never" in shown or any(a.values.empty for a in atoms(expr)):
        return
    again = resolve(shown, terms)
    assert set(terms_of(again)) == set(terms_of(expr))
    for thing in probes():
        assert holds(again, {"Thing": thing}, len) == holds(expr, {"Thing": thing}, len), shown


def atoms(expr: Expr) -> list[Atom]:
    if isinstance(expr, Atom):
        return [expr]
    if isinstance(expr, Negation):
        return atoms(expr.item)
    return [atom for item in expr.items for atom in atoms(item)]
