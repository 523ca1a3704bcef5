"""One JSON value in a text, read strictly: no `NaN`, no key twice, no number without end, nothing that is only Python.

A reader that takes the last of two equal keys, or Python's literals, would see a call where another program sees none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEPTH = 64
"""How deep a value may be nested: no tool needs more, and what compares and writes values recurses."""

_SPACE = re.compile(r"[ \t\r\n]*")


class NotJson(ValueError):
    """What stands there is no JSON value; the message says why."""


def after_space(text: str, at: int) -> int:
    """The place of the next character that JSON does not take for space."""
    found = _SPACE.match(text, at)
    assert found is not None  # it matches the empty text
    return found.end()


def value_at(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends.

    Raises:
        NotJson: there is none.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(error.msg[:1].lower() + error.msg[1:]) from error
    except RecursionError as error:
        raise NotJson("it is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise NotJson("a number has too many digits") from error
    if text.count("[", at, end) + text.count("{", at, end) > DEPTH and _depth(value) > DEPTH:
        raise NotJson("it is nested too deeply")
    return value, end


def _depth(value: Any) -> int:
    """How deep it is nested; without recursion, since that is what has to be prevented elsewhere."""
    deepest = 0
    pending = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        deepest = max(deepest, depth)
        if isinstance(part, dict | list):
            pending += [(inner, depth + 1) for inner in (part.values() if isinstance(part, dict) else part)]
    return deepest


def value_of(text: str) -> Any:
    """The value that a whole text is.

    Raises:
        NotJson: it is none, or there is more.
    """
    value, end = value_at(text, after_space(text, 0))
    if after_space(text, end) != len(text):
        raise NotJson("something stands behind the value")
    return value


def written(value: Any) -> str:
    """A value as JSON on one line, for logs: readable where the text can be encoded, escaped where it can't."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and UTF-8 cannot carry
        return json.dumps(value)
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotJson("a key stands twice in one object")
    return made


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotJson("a number is too large")
    return value


def _constant(name: str) -> Any:
    raise NotJson(f"`{name}` is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
