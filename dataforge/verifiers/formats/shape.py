"""Shapes: data with holes, matched against what a parser of JSON, YAML, TOML, Python literals gave.

`{"answer": Slot("answer")}` is an object with that one key; a list in a shape has exactly its items; a plain string
must be there as it is. The parsers give strings, dicts and lists; a number or other bare word comes as `Bare`, with
its spelling, so 42 is read as "42" and 0.10 stays "0.10".
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dataforge.verifiers.formats.form import Values

Path = tuple[str | int, ...]


class Bare(str):
    """The spelling of a number, or of true and false."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part stands.

    Attributes:
        kind: `text` is a string, or a bare number or boolean; `string` must be quoted; `number` must be bare; `share` is a number from 0 to 1;
            `lines` is a list of strings, one a line.
    """

    part: str = "answer"
    kind: Literal["text", "string", "number", "share", "lines"] = "text"


Shape = Slot | dict[str, Any] | list[Any] | str

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
"""A number as JSON spells it."""


def slots(shape: Shape, path: Path = ()) -> Iterator[tuple[Slot, Path]]:
    """Every slot with its place, in order."""
    if isinstance(shape, Slot):
        yield shape, path
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            yield from slots(inner, (*path, key))
    elif isinstance(shape, list):
        for index, inner in enumerate(shape):
            yield from slots(inner, (*path, index))


def fill(shape: Shape, values: Values) -> Any:
    """The data that a shape and its parts make."""
    if isinstance(shape, Slot):
        text = values[shape.part]
        if shape.kind == "lines":
            return text.split("\n")
        return Bare(text) if shape.kind in ("number", "share") else text
    if isinstance(shape, dict):
        return {key: fill(inner, values) for key, inner in shape.items()}
    if isinstance(shape, list):
        return [fill(inner, values) for inner in shape]
    return shape


def match(shape: Shape, value: Any, into: dict[str, str], where: str = "the whole") -> str:
    """Read the parts out of data; gives what does not fit, empty where all fits."""
    if isinstance(shape, Slot):
        return _take(shape, value, into, where)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is not a mapping of keys to values"
        if value.keys() != shape.keys():
            missing = [key for key in shape if key not in value]
            extra = [str(key) for key in value if key not in shape]
            return (
                f"the key `{missing[0]}` is missing"
                if missing
                else f"there is a key too many, `{extra[0][:40]}`"
            )
        for key, inner in shape.items():
            if fault := match(inner, value[key], into, f"`{key}`"):
                return fault
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is not a list"
        if len(value) != len(shape):
            return f"{where} has {len(value)} items, not exactly {len(shape)}"
        for index, inner in enumerate(shape):
            if fault := match(inner, value[index], into, f"item {index + 1}"):
                return fault
        return ""
    return "" if value == shape else f"{where} is not `{shape}`"


def _take(slot: Slot, value: Any, into: dict[str, str], where: str) -> str:
    if slot.kind == "lines":
        if not isinstance(value, list) or not value:
            return f"{where} is not a list of lines"
        if not all(isinstance(line, str) and "\n" not in line for line in value):
            return f"{where} holds something that is no line of text"
        into[slot.part] = "\n".join(value)
        return "" if into[slot.part].strip() else f"{where} is empty"
    if not isinstance(value, str):
        return f"{where} is not {'a number' if slot.kind in ('number', 'share') else 'text'}"
    if slot.kind == "string" and isinstance(value, Bare):
        return f"{where} is not a string"
    if slot.kind in ("number", "share"):
        if not isinstance(value, Bare) or not NUMBER.fullmatch(value):
            return f"{where} is not a number"
        if slot.kind == "share" and not 0 <= float(value) <= 1:
            return f"{where} is not from 0 to 1"
    if not value.strip():
        return f"{where} is empty"
    into[slot.part] = str(value)
    return ""


def slot_refuses(slot: Slot, text: str) -> str:
    """Why a slot cannot hold a text; empty where it can."""
    if slot.kind in ("number", "share"):
        if not NUMBER.fullmatch(text) or len(text) > 300:
            return "it is not a number"
        if slot.kind == "share" and not 0 <= float(text) <= 1:
            return "it is not from 0 to 1"
    return "" if text.strip() else "it is empty"


def spoiled(shape: Shape, values: Values, rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Data that breaks the shape in one place each."""
    whole = fill(shape, values)
    if isinstance(whole, dict):
        key = rng.choice(list(whole))
        yield f"`{key}` under a wrong key", {(f"{k}_" if k == key else k): v for k, v in whole.items()}
        yield "a key too many", {**whole, "note": "see above"}
        if len(whole) > 1:
            yield f"`{key}` missing", {k: v for k, v in whole.items() if k != key}
        yield f"`{key}` is empty", {**whole, key: ""}
        yield "one level too deep", {"data": whole}
    elif isinstance(whole, list):
        yield "an item too many", [*whole, "and another"]
        yield "no item", []
        yield "one level too deep", [whole]
    else:
        yield "in a list", [whole]


_UNUSUAL = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def quoted(text: str) -> str:
    """A string in double quotes as JSON, YAML and TOML all read it."""
    return _UNUSUAL.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(text, ensure_ascii=False))
