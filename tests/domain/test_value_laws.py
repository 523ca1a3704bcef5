"""Sets of values obey the laws of sets, and agree with plain Python sets on every point of a small universe."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.domain.values import (
    Numbers,
    Symbols,
    Values,
    disjoint,
    intersection,
    interval,
    points,
    symbols,
    union,
    within,
)

INTS: Sequence[int | None] = (None, *range(-1, 8))
FLOATS: Sequence[float | None] = (None, *(x / 2 for x in range(-2, 15)))
"""Ends below are whole numbers, so halves stand for everything between two of them."""
TEXTS: Sequence[str | None] = (None, "a", "b", "c", "another")


@st.composite
def numbers(draw: st.DrawFn, integer: bool) -> Numbers:
    found: Values = Numbers((), integer)
    for _ in range(draw(st.integers(0, 3))):
        low, high = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        part = interval(
            -float("inf") if draw(st.integers(0, 5)) == 0 else low,
            float("inf") if draw(st.integers(0, 5)) == 0 else high,
            open_low=draw(st.booleans()),
            open_high=draw(st.booleans()),
            integer=integer,
        )
        found = union(found, ~part if draw(st.booleans()) else part)
    return found if draw(st.booleans()) else found.present()  # type: ignore[return-value]


@st.composite
def constants(draw: st.DrawFn) -> Symbols:
    items = draw(st.frozensets(st.sampled_from("abc")))
    return Symbols(items, draw(st.booleans()), draw(st.booleans()))


def members(values: Values, universe: Sequence[object]) -> set[object]:
    return {x for x in universe if x in values}


KINDS = [(numbers(True), INTS), (numbers(False), FLOATS), (constants(), TEXTS)]
three_of_a_kind = st.sampled_from(KINDS).flatmap(
    lambda kind: st.tuples(kind[0], kind[0], kind[0], st.just(kind[1]))
)


@settings(max_examples=500, deadline=None)
@given(three_of_a_kind)
def test_operations_agree_with_brute_force(drawn: tuple[Values, Values, Values, Sequence[object]]) -> None:
    a, b, _, universe = drawn
    everything = set(universe)
    in_a, in_b = members(a, universe), members(b, universe)
    assert members(~a, universe) == everything - in_a
    assert members(intersection(a, b), universe) == in_a & in_b
    assert members(union(a, b), universe) == in_a | in_b
    assert members(a.present(), universe) == in_a - {None}
    assert within(a, b) == (in_a <= in_b)
    assert disjoint(a, b) == in_a.isdisjoint(in_b)
    assert a.empty == (not in_a)
    assert a.full == (in_a == everything)


@settings(max_examples=300, deadline=None)
@given(three_of_a_kind)
def test_laws_of_sets(drawn: tuple[Values, Values, Values, Sequence[object]]) -> None:
    a, b, c, _ = drawn
    assert ~~a == a
    assert ~intersection(a, b) == union(~a, ~b)
    assert ~union(a, b) == intersection(~a, ~b)
    assert union(a, b) == union(b, a)
    assert intersection(a, intersection(b, c)) == intersection(intersection(a, b), c)
    assert union(a, intersection(b, c)) == intersection(union(a, b), union(a, c))
    assert union(a, a) == intersection(a, a) == a
    assert intersection(a, ~a).empty
    assert union(a, ~a).full
    assert within(a, b) == intersection(a, ~b).empty
    # One set has one form, so that equal sets are equal objects and hash alike.
    assert (a == b) == (within(a, b) and within(b, a))
    assert hash(union(a, b)) == hash(union(b, a))


@settings(max_examples=300, deadline=None)
@given(numbers(True))
def test_listed_integers(values: Numbers) -> None:
    listed = values.listed(20)
    finite = all(abs(cut[0]) != float("inf") for cut in values.cuts)
    assert (listed is not None) == finite
    if listed is not None:
        assert list(listed) == [x for x in range(-20, 20) if x in values]
        if len(listed) > 0:
            assert values.listed(len(listed) - 1) is None


@given(constants())
def test_listed_constants(values: Symbols) -> None:
    listed = values.listed(3)
    assert (listed is None) == values.cofinite
    if listed is not None:
        assert set(listed) == values.items
        assert list(listed) == sorted(listed)  # type: ignore[type-var]


def test_whole_numbers_have_one_form() -> None:
    assert interval(4, open_low=True, integer=True) == interval(5, integer=True)
    assert interval(0.5, 2.5, integer=True) == interval(1, 2, integer=True) == points([1, 2], integer=True)
    assert points([1.5], integer=True).empty
    assert interval(3, 2).empty
    assert interval(2, 2, open_low=True).empty


def test_numbers_that_floats_cannot_hold_are_compared_exactly() -> None:
    big = 2**53 + 1
    only = points([big], integer=True)
    assert big in only
    assert big - 1 not in only
    assert only.listed(2) == (big,)


@pytest.mark.parametrize("values", [symbols([True, False]), symbols(["x"]), points([1, 2.5]), interval(1, 2)])
def test_nothing_is_never_a_value(values: Values) -> None:
    assert None not in values
    assert None in ~values


def test_booleans_and_numbers_in_one_set_keep_a_fixed_order() -> None:
    for order in itertools.permutations(["b", "a", "c"]):
        assert symbols(order).listed(5) == ("a", "b", "c")
