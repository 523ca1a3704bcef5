"""From what a model wrote to a value that follows a schema, or to a complaint that the model can act on.

The text is tried as it stands, then its fenced blocks, then what stands in its prose, each strictly first and leniently
second. The first value that follows the schema wins, but never one from inside something that breaks off: half an
answer is no answer. How the value was found travels with it, so that a corpus can say which verdicts were clean JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from dataforge.models.lenient import MAX_DEPTH, MalformedError, read_prefix

_MAX_SEARCHED_CHARS = 200_000
_MAX_WASTED_CHARS = 400_000
_PER_BEGINNING_CHARS = 1_000
"""Bound the work on hostile prose, in which every bracket may look like a beginning until much later."""

_FENCE = re.compile(r"```[ \t]*\w*[ \t]*\r?\n(.*?)```", re.DOTALL)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"[{\[]")
_BEGUN = re.compile(r"""\{\s*["']|\[\s*[\[{"']""")
"""What can hardly be anything but JSON, as `[1]` or `{x}` in prose may be."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_ARTICLES = {"object": "an object", "array": "a list", "integer": "a whole number", "null": "null"}

_Value = TypeVar("_Value")
_Model = TypeVar("_Model", bound=BaseModel)


class UnreadableError(Exception):
    """The answer holds no value that follows the schema. Its text is written for the model that gave the answer."""


class Parsed(NamedTuple):
    """A value that follows its schema, and how it was found.

    `how` is `json` for a clean answer, else what it took: `fence`, `prose`, `repair`, `fence+repair`, `prose+repair`.
    """

    value: Any
    how: str


def parse_json(text: str, schema: Mapping[str, Any]) -> Parsed:
    """Find the value in a model's answer that follows a JSON Schema.

    The schema may use what ours use: `type`, `properties`, `required`, `additionalProperties: false`, `enum`, `anyOf`,
    `minimum`, `maximum`, `items`, `minItems`, `maxItems`. Other keywords constrain nothing here.

    Raises:
        UnreadableError: there is none, and nothing else is ever raised.
    """

    def check(value: Any) -> Any:
        _follow(value, schema, "")
        return value

    return Parsed(*_find(text, check))


def parse_model(text: str, model: type[_Model]) -> tuple[_Model, str]:
    """As `parse_json`, with a pydantic model for the schema and an instance of it for the value.

    Raises:
        UnreadableError: the answer holds nothing that the model accepts.
    """

    def check(value: Any) -> _Model:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = _dotted(first["loc"])
            raise UnreadableError(f"{where or 'the answer'}: {first['msg']}") from error

    return _find(text, check)


def _find(text: str, check: Callable[[Any], _Value]) -> tuple[_Value, str]:
    complaint: UnreadableError | None = None
    try:
        for value, how in _values(text):
            try:
                return check(value), how
            except UnreadableError as error:
                complaint = complaint or error
    except MalformedError as error:
        complaint = complaint or UnreadableError(f"the answer's JSON is wrong: {error}")
    raise complaint or UnreadableError("the answer holds no JSON" if text.strip() else "the answer is empty")


def _values(text: str) -> Iterator[tuple[Any, str]]:
    """Every value that may be meant, the likeliest first, with how it was found."""
    yield from _whole(text.strip(), "")
    for fenced in _FENCE.finditer(text[:_MAX_SEARCHED_CHARS]):
        yield from _whole(fenced[1].strip(), "fence")
    yield from _in_prose(text[:_MAX_SEARCHED_CHARS])


def _whole(text: str, found_by: str) -> Iterator[tuple[Any, str]]:
    try:
        value, end, repair = _value_at(text, 0)
    except MalformedError:
        return
    if not text[end:].strip():
        yield value, _how(found_by, repair)


def _in_prose(text: str) -> Iterator[tuple[Any, str]]:
    at, wasted = 0, 0
    while (opening := _OPENING.search(text, at)) is not None and wasted < _MAX_WASTED_CHARS:
        start = opening.start()
        try:
            value, at, repair = _value_at(text, start)
        except MalformedError as error:
            if _BEGUN.match(text, start):
                raise
            at = start + 1
            wasted += error.at - at + _PER_BEGINNING_CHARS
        else:
            yield value, _how("prose", repair)


def _how(found_by: str, repair: str) -> str:
    return "+".join(filter(None, (found_by, repair))) or "json"


def _value_at(text: str, start: int) -> tuple[Any, int, str]:
    """The value that begins at `start`, where it ends, and `repair` where reading it needed leniency."""
    repair = ""
    try:
        value, end = _STRICT.raw_decode(text, start)
    except (ValueError, RecursionError):  # what is wrong with it, the lenient reader says in words for models
        value, end = read_prefix(text, start)
        repair = "repair"
    _sound(value, 0)
    return value, end, repair


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {double[:60]!r} is given twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


_STRICT = json.JSONDecoder(object_pairs_hook=_without_doubles, parse_constant=_no_number)


def _sound(value: Any, depth: int) -> None:
    """Refuse what JSON's grammar lets through and nothing downstream can keep."""
    if depth > MAX_DEPTH:
        raise MalformedError(f"it nests deeper than {MAX_DEPTH} levels")
    match value:
        case dict():
            for key, inner in value.items():
                _sound(key, depth + 1)
                _sound(inner, depth + 1)
        case list():
            for inner in value:
                _sound(inner, depth + 1)
        case str() if not value.isascii() and _HALF_PAIR.search(value):
            raise MalformedError("a string holds half of a surrogate pair")
        case float() if not math.isfinite(value):
            raise MalformedError("a number is too large")
        case int() if abs(value) > 2**1000:
            raise MalformedError("a number is too large")


def _follow(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raise `UnreadableError` unless the value follows the schema; `where` is the path to it, for the message."""
    here = f"`{where}`" if where else "the answer"
    if "anyOf" in schema:
        _follow_any(value, schema["anyOf"], where)
    wanted = schema.get("type")
    if wanted is not None and not any(
        _is(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted)
    ):
        names = [wanted] if isinstance(wanted, str) else wanted
        expected = " or ".join(_ARTICLES.get(name, f"a {name}") for name in names)
        raise UnreadableError(f"{here} should be {expected}, not {_shown(value)}")
    if "enum" in schema and not any(value == one and type(value) is type(one) for one in schema["enum"]):
        raise UnreadableError(
            f"{here} should be one of {', '.join(map(_shown, schema['enum']))}, not {_shown(value)}"
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            raise UnreadableError(f"{here} should be at least {schema['minimum']}, not {_shown(value)}")
        if "maximum" in schema and value > schema["maximum"]:
            raise UnreadableError(f"{here} should be at most {schema['maximum']}, not {_shown(value)}")
    if isinstance(value, dict):
        _follow_object(value, schema, where)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            raise UnreadableError(
                f"{here} has {len(value)} entries, which is too {_few_or_many(value, schema)}"
            )
        for index, inner in enumerate(value):
            _follow(inner, schema.get("items", {}), f"{where}[{index}]")


def _follow_any(value: Any, schemas: Sequence[Mapping[str, Any]], where: str) -> None:
    complaints = []
    for one in schemas:
        try:
            _follow(value, one, where)
        except UnreadableError as error:
            complaints.append(error)
        else:
            return
    raise complaints[0]


def _follow_object(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> None:
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            raise UnreadableError(f"`{_inside(where, key)}` is missing")
    for key, inner in value.items():
        if key in properties:
            _follow(inner, properties[key], _inside(where, key))
        elif schema.get("additionalProperties") is False:
            raise UnreadableError(f"`{_inside(where, key)}` was not asked for")


def _few_or_many(value: list[Any], schema: Mapping[str, Any]) -> str:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems")
    return f"few: at least {fewest}" if len(value) < fewest else f"many: at most {most}"


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers, and JSON does not
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(name, (object,)))


def _inside(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _dotted(loc: Sequence[int | str]) -> str:
    path = ""
    for part in loc:
        path = f"{path}[{part}]" if isinstance(part, int) else _inside(path, part)
    return f"`{path}`" if path else ""


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else shown[:59] + "…"
