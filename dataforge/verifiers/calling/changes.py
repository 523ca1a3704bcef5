"""Changes to values: such that they are others for certain, harder to write but sound, or only look the same."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

_NASTY = (
    'He said "no" and left.', "line one\nline two\n", "back\\slash \\n and \\\\", "</tool_call>", '{"name": "x", "arguments": {}}',
    "<tool_call>", "a; b; {c}", "naïve café", "שלום עולם", "مرحبا", "漢字かな交じり文", "👩‍👩‍👧 and 🏳️‍🌈", r"\frac{1}{2} \text{if } x < 0",
    "$E = mc^2$", "def f(x):\n    return {'a': x}  # ok", "<b>bold</b> & <i>more</i>", "tab\there", "null", "true", "1", "1.0", "NaN",
    "''", '"', "\u2028", "\u200b", "e\u0301", " leading and trailing ", "\nstarts with a newline", "ends with one\n", "%s %d {0}",
    "]}", "{{", "x" * 300, "C:\\new\\table", "\u202eabc", "<function=f>", "</function>", "<|python_tag|>", "<tool_response>", "a\r\nb",
    "1e5", "-0", "  ", "`code`", "```json\n{}\n```", "<parameter=a>", "\x7f", "\U0001f600",
)  # fmt: skip
_TWINS = {"a": "а", "e": "е", "o": "о", "c": "с", "p": "р", "x": "х", "i": "і", "A": "А", "E": "Е", "O": "О", "-": "\u2010", " ": "\u00a0",
          "0": "O", "1": "l", "'": "\u2019", "é": "e\u0301", "ã": "a\u0303", "ü": "u\u0308"}  # fmt: skip
"""Characters and others that look like them."""


def nasty(value: Any, schema: Mapping[str, Any], rng: random.Random) -> Any:
    """The value with its free strings replaced by ones that are hard to write; what a schema fixes stays."""
    if "enum" in schema:
        return value
    if isinstance(value, str):
        return rng.choice(_NASTY) if schema.get("type") == "string" else value
    if isinstance(value, list):
        return [nasty(part, schema.get("items", {}), rng) for part in value]
    if isinstance(value, dict):
        return {
            key: nasty(part, schema.get("properties", {}).get(key, {}), rng) for key, part in value.items()
        }
    return value


def changed(value: Any, rng: random.Random) -> Any:
    """Another value of the same type, where there is one; surely not equal."""
    if value is None:
        return rng.choice(("nobody", ""))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1, 10, -100, 1000))
    if isinstance(value, float):
        return rng.choice((value + 1, value * 2 + 0.5 if value > 0 else value - 0.5, value + 0.01))
    if isinstance(value, str):
        return rng.choice(
            (
                value + "x",
                value + " ",
                " " + value,
                "x",
                value * 2 + "?",
                value[1:] + "§",
                value + "\n",
                value + ".",
            )
        )
    if isinstance(value, list):
        made = deepcopy(value)
        if not made or rng.random() < 0.2:
            return [*made, deepcopy(made[0]) if made else "x"]
        at = rng.randrange(len(made))
        if rng.random() < 0.3:
            del made[at]
        else:
            made[at] = changed(made[at], rng)
        return made
    assert isinstance(value, dict)
    made_object = deepcopy(value)
    key = rng.choice(list(made_object))
    made_object[key] = changed(made_object[key], rng)
    return made_object


def retyped(value: Any, schema: Mapping[str, Any], rng: random.Random) -> tuple[Any] | None:
    """In a tuple, a value that another type makes of the same thing; None where none is to be had."""
    if isinstance(value, bool):
        return (rng.choice((int(value), str(value), str(value).lower(), float(value))),)
    if isinstance(value, int):
        kinds: list[Any] = [str(value), [value], {"value": value}]
        if schema.get("type") == "integer":
            kinds.append(float(value))
        if value in (0, 1):
            kinds.append(bool(value))
        return (rng.choice(kinds),)
    if isinstance(value, float):
        return (rng.choice((str(value), [value])),)
    if isinstance(value, str):
        return (rng.choice(([value], {"value": value}, None, list(value))),)
    if isinstance(value, list):
        return (rng.choice((", ".join(map(str, value)), str(value), dict(enumerate_keys(value)))),)
    if isinstance(value, dict):
        return (rng.choice((str(value), [value], list(value.values()))),)
    return ("null",)


def enumerate_keys(value: list[Any]) -> Iterable[tuple[str, Any]]:
    """A list as the items of an object."""
    return ((str(at), part) for at, part in enumerate(value))


def look_alike(text: str, rng: random.Random) -> str:
    """A text that looks the same, or nearly, and is another; the text itself where nothing in it has a twin."""
    places = [at for at, char in enumerate(text) if char in _TWINS]
    changes = [text.swapcase()] if text.swapcase() != text else []
    if places:
        at = rng.choice(places)
        changes += [text[:at] + _TWINS[text[at]] + text[at + 1 :]] * 3
    return rng.choice(changes) if changes else text


def misordered(value: list[Any], rng: random.Random) -> list[Any] | None:
    """The items in another order; None where all orders are alike."""
    for at in range(len(value) - 1):
        if value[at] != value[at + 1]:
            made = deepcopy(value)
            made[at], made[at + 1] = made[at + 1], made[at]
            return made
    return None


def fresh_key(taken: Iterable[str], rng: random.Random) -> str:
    """A name that no argument has."""
    used = tuple(taken)
    return rng.choice(
        [key for key in ("extra", "note", "verbose", "user_id", "City", "id") if key not in used]
    )
