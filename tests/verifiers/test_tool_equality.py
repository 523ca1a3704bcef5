"""When two calls are equal, and how many of several are."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers.calling.equality import Expected, match, unlike
from dataforge.verifiers.calling.forms import Call
from dataforge.verifiers.calling.signatures import kinds, misfit, signatures

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def alike(one: Any, two: Any, schema: dict[str, Any] | None = None) -> bool:
    return not unlike(one, two, schema or {}, schema or {}, "x")


@given(json_values)
def test_a_value_is_like_itself(value: Any) -> None:
    assert alike(value, deepcopy(value))


@given(json_values, json_values)
def test_likeness_is_symmetric_and_knows_types(one: Any, two: Any) -> None:
    assert alike(one, two) == alike(two, one)
    if type(one) is not type(two):
        assert not alike(one, two)


@given(json_values)
def test_wrapping_is_a_difference(value: Any) -> None:
    assert not alike(value, [value])
    assert not alike(value, {"x": value})


def test_numbers_mix_only_where_the_schema_says_number() -> None:
    number, integer = {"type": "number"}, {"type": "integer"}
    assert alike(2, 2.0, number)
    assert alike(2.0, 2, {"anyOf": [integer, number]})
    assert alike([2], [2.0], {"type": "array", "items": number})
    assert alike({"a": 2}, {"a": 2.0}, {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": number}})
    assert not alike(2, 2.0, integer)
    assert not alike(2, 2.0)
    assert not alike(True, 1, number)
    assert not alike(1.0, True, number)
    assert not alike("2", 2, number)
    # Big numbers are compared exactly, not as floats.
    assert not alike(9007199254740993, 9007199254740992.0, number)


def test_nested_defaults_may_be_left_out() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {
                "type": "object",
                "properties": {"b": {"type": "integer", "default": 3}, "c": {"type": "integer"}},
            }
        },
    }
    assert alike({"a": {"b": 3, "c": 1}}, {"a": {"c": 1}}, schema)
    assert alike({"a": {"c": 1}}, {"a": {"b": 3, "c": 1}}, schema)
    assert not alike({"a": {"b": 4, "c": 1}}, {"a": {"c": 1}}, schema)
    assert not alike({"a": {"b": 3, "c": 1}}, {"a": {"b": 3}}, schema)


@settings(max_examples=200)
@given(
    st.lists(st.frozensets(st.integers(0, 3), min_size=1), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=1, max_size=4),
)
def test_matching_is_as_large_as_any(fits: list[frozenset[int]], sent: list[int]) -> None:
    """Against every way to assign calls to expected ones."""
    known = signatures([{"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}}])
    expected = [
        Expected(name="f", arguments={"x": min(one)}, alternatives={"x": sorted(one)}) for one in fits
    ]
    calls = [Call("f", {"x": value}, "hermes", "") for value in sent]
    taken = match(expected, calls, known)
    places = [place for place in taken if place is not None]
    assert len(set(places)) == len(places)
    assert all(sent[at] in fits[place] for at, place in enumerate(taken) if place is not None)
    width = max(len(fits), len(sent))
    best = max(
        sum(
            at < len(sent) and place < len(fits) and sent[at] in fits[place] for at, place in enumerate(order)
        )
        for order in itertools.permutations(range(width))
    )
    assert len(places) == best


def test_kinds_follow_references_and_unions() -> None:
    root = {"$defs": {"a": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}}}
    assert kinds({"anyOf": [{"$ref": "#/$defs/a"}, {"type": ["string", "null"]}]}, root) == (
        "integer",
        "string",
        "null",
    )
    assert kinds({"enum": [1, "a", None]}, root) == ("integer", "string", "null")
    assert kinds({"$ref": "#/$defs/loop"}, root) == ()
    assert kinds({}, root) == ()


def test_arguments_that_do_not_fit_a_tool_are_told() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "number"},
            "kind": {"enum": ["a", 1]},
            "rows": {
                "type": "array",
                "items": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
            },
            "free": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["n"],
    }
    for good in (
        {"n": 1},
        {"n": 1.5, "kind": 1},
        {"n": 0, "rows": [{"id": 1}]},
        {"n": 0, "free": {"x": "y"}},
    ):
        assert misfit(good, schema, schema) == ""
    for bad, why in (
        ({}, "lacks `n`"),
        ({"n": "1"}, "`n` is of the type string"),
        ({"n": True}, "`n` is of the type boolean"),
        ({"n": 1, "kind": "b"}, "none of the values"),
        ({"n": 1, "rows": [{"id": 1.0}]}, "`rows[0].id` is of the type number"),
        ({"n": 1, "rows": [{}]}, "`rows[0]` lacks `id`"),
        ({"n": 1, "free": {"x": 1}}, "`free.x` is of the type integer"),
        ({"n": 1, "more": 1}, "no argument `more`"),
    ):
        assert why in misfit(bad, schema, schema)
