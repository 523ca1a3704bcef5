"""JSON values as Python holds them: paths into them, typed equality, and their leaves.

A path is a tuple of keys and indexes; written, it is a JSON Pointer (RFC 6901). Equality is typed: `True` is not 1 and
"1" is not 1, while 1 and 1.0 are the same number; whether a place may hold 1.0 at all is for the schema to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Path = tuple[str | int, ...]

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
"""What `at` gives where a path leads nowhere."""


def kind_of(value: Any) -> str:
    """The JSON type of a value; a float is a `number` even where its fraction is zero."""
    return _KINDS.get(type(value), "unknown")


_KINDS = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, with types told apart and numbers compared as numbers."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float):
        return isinstance(other, int | float) and one == other
    return type(one) is type(other) and bool(one == other)


def means(said: Any, expected: Any) -> bool:
    """Whether an answer says what was dictated: `same`, but for two spellings of one string.

    Composed and decomposed accents are one character to a reader (NFC), and a date-time is the same where it names the
    same instant with the same offset (`Z` and `+00:00`).
    """
    if isinstance(expected, str) and isinstance(said, str):
        if said == expected:
            return True
        if unicodedata.normalize("NFC", said) == unicodedata.normalize("NFC", expected):
            return True
        return same_instant(said, expected)
    if isinstance(expected, dict):
        return (
            isinstance(said, dict)
            and said.keys() == expected.keys()
            and all(means(said[key], value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return isinstance(said, list) and len(said) == len(expected) and all(map(means, said, expected))
    return same(said, expected)


def same_instant(one: str, other: str) -> bool:
    """Whether two texts are one date-time: the same instant, by the same offset."""
    first, second = instant(one), instant(other)
    if first is None or second is None:
        return False
    return first == second and first.utcoffset() == second.utcoffset()


def instant(text: str) -> datetime | None:
    """The date-time with an offset that a text is, or None."""
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt ":
        return None
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def key_of(value: Any) -> Any:
    """A hashable stand-in: equal keys exactly where `same` says equal."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((name, key_of(item)) for name, item in value.items())))
    if isinstance(value, list):
        return ("array", tuple(key_of(item) for item in value))
    return (
        ("boolean", value)
        if isinstance(value, bool)
        else ("number" if isinstance(value, int | float) else "", value)
    )


def at(value: Any, path: Path) -> Any:
    """What stands at a path, or `MISSING`."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            if step not in value:
                return MISSING
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int):
            if not 0 <= step < len(value):
                return MISSING
            value = value[step]
        else:
            return MISSING
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """A copy with `new` at a path; the rest is shared. `MISSING` takes the place away; one past a list appends."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        inner = put(value.get(step, MISSING), rest, new)
        if inner is MISSING:
            return {key: item for key, item in value.items() if key != step}
        return {**value, step: inner}
    if step == len(value):
        return [*value, put(MISSING, rest, new)]
    inner = put(value[step], rest, new)
    return value[:step] + ([] if inner is MISSING else [inner]) + value[step + 1 :]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar, and every empty object or array, with its path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def leaf_count(value: Any) -> int:
    """How many leaves there are."""
    if isinstance(value, dict) and value:
        return sum(map(leaf_count, value.values()))
    if isinstance(value, list) and value:
        return sum(map(leaf_count, value))
    return 1


def depth_of(value: Any) -> int:
    """How deeply objects and arrays are nested; found without recursion."""
    deepest, level = 0, [value]
    while level := [
        inner
        for item in level
        if isinstance(item, dict | list)
        for inner in (item.values() if isinstance(item, dict) else item)
    ]:
        deepest += 1
    return deepest


def pointer(path: Path) -> str:
    """A path as a JSON Pointer; the whole document is the empty text."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def place(path: Path) -> str:
    """A path for people."""
    return f"`{pointer(path)}`" if path else "the document"


def resolve_pointer(value: Any, text: str) -> Any:
    """What stands at a JSON Pointer, or `MISSING`."""
    if not text:
        return value
    for raw in text[1:].split("/"):
        step = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            if step not in value:
                return MISSING
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value
