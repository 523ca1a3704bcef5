"""When a call is the call that was expected: typed JSON under the tool's schema, and calls together as a multiset.

`true` is not 1 and `"1"` is not 1. 1.0 is 1 only where the schema says `number`. Strings are equal character by character:
no case is folded, no space trimmed. Lists are equal in their order. No argument may be more than expected, and none less,
but for those whose schema gives a `default`: they may be left out, or said, where their value is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dataforge.verifiers.calling.forms import Call
from dataforge.verifiers.calling.signatures import (
    NOTHING_SAID,
    Schema,
    Signature,
    item_of,
    kind_of,
    kinds,
    open_ended,
    property_of,
    required,
)

_ABSENT: Any = object()


class Expected(BaseModel):
    """A call that a task calls for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="the tool's name")
    arguments: dict[str, Any] = Field(default_factory=dict, description="its arguments, all of them")
    alternatives: dict[str, list[Any]] = Field(
        default_factory=dict, description="by argument, other values that are right as well"
    )
    optional: list[str] = Field(default_factory=list, description="arguments that may be left out")


def unlike(expected: Any, sent: Any, schema: Schema, root: Schema, path: str) -> str:
    """What is different in a value, without telling what it should be; empty where nothing is."""
    kind, other = kind_of(expected), kind_of(sent)
    if kind != other:
        both = (kind, other)
        if "integer" in both and "number" in both and "number" in kinds(schema, root) and expected == sent:
            return ""
        return f"`{path}` is of the type {other}"
    if kind == "object":
        return unlike_objects(expected, sent, schema, root, path)
    if kind == "array":
        if len(expected) != len(sent):
            return f"`{path}` has too {'few' if len(sent) < len(expected) else 'many'} items"
        for index, (one, two) in enumerate(zip(expected, sent, strict=True)):
            if why := unlike(one, two, item_of(schema, index, root), root, f"{path}[{index}]"):
                return why
        return ""
    return "" if expected == sent else f"`{path}` has another value than it should"


def unlike_objects(
    expected: Mapping[str, Any],
    sent: Mapping[str, Any],
    schema: Schema,
    root: Schema,
    path: str = "",
    alternatives: Mapping[str, Sequence[Any]] | None = None,
    optional: Sequence[str] = (),
) -> str:
    """What is different in an object, or in a call's arguments."""
    for key in dict.fromkeys((*expected, *sent)):
        place = f"{path}.{key}" if path else key
        named = property_of(schema, key, root)
        inner = named if named is not None else open_ended(schema, root) or NOTHING_SAID
        one, two = expected.get(key, _ABSENT), sent.get(key, _ABSENT)
        if one is _ABSENT or two is _ABSENT:
            if two is _ABSENT and key in optional:
                continue
            given = two if one is _ABSENT else one
            by_default = "default" in inner and not unlike(inner["default"], given, inner, root, place)
            if by_default and (one is _ABSENT or key not in required(schema, root)):
                continue
            return f"`{place}` is missing" if two is _ABSENT else f"`{place}` is not called for"
        if why := unlike(one, two, inner, root, place):
            others = (alternatives or {}).get(key, ())
            if all(unlike(other, two, inner, root, place) for other in others):
                return why
    return ""


def unlike_calls(expected: Expected, call: Call, signature: Signature) -> str:
    """What is different in a call."""
    if expected.name != call.name:
        return "another tool is called for"
    schema = signature.root
    return unlike_objects(
        expected.arguments, call.arguments, schema, schema, "", expected.alternatives, expected.optional
    )


def match(
    expected: Sequence[Expected],
    calls: Sequence[Call],
    known: Mapping[str, Signature],
    *,
    in_order: bool = False,
) -> list[int | None]:
    """For each call the index of the expected one that it is: a largest matching, each expected call taken once.

    A matching and no sorting, since with alternatives one call can be two of the expected ones.
    """
    if in_order:
        return [
            at if at < len(expected) and not unlike_calls(expected[at], call, known[call.name]) else None
            for at, call in enumerate(calls)
        ]
    fits = [
        [at for at, one in enumerate(expected) if not unlike_calls(one, call, known[call.name])]
        for call in calls
    ]
    taken_by: dict[int, int] = {}

    def place(call: int, tried: dict[int, None]) -> bool:
        for at in fits[call]:
            if at in tried:
                continue
            tried[at] = None
            if at not in taken_by or place(taken_by[at], tried):
                taken_by[at] = call
                return True
        return False

    for call in range(len(calls)):
        place(call, {})
    takes = {call: at for at, call in taken_by.items()}
    return [takes.get(call) for call in range(len(calls))]
