"""JSON and JSON Lines by `json`, strictly: no key twice, no constants beyond the format, numbers with their spelling."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from dataforge.verifiers.formats.form import Form, Part, Reading, Values, broken, shifted
from dataforge.verifiers.formats.shape import (
    Bare,
    Path,
    Shape,
)
from dataforge.verifiers.formats.structured import BOOLEANS, NotWellFormed, Structured
from dataforge.verifiers.protocol import Candidate, Span


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotWellFormed("a key is there twice")
    return made


def _no_constant(name: str) -> Any:
    raise NotWellFormed(f"{name} is no JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=Bare, parse_float=Bare, parse_constant=_no_constant
)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def loads_json(text: str) -> Any:
    """Strict JSON, numbers and booleans as `Bare`.

    Raises:
        NotWellFormed: with what is wrong.
    """
    try:
        return _booleans(_JSON.decode(text))
    except json.JSONDecodeError as error:
        raise NotWellFormed(f"{error.msg} at line {error.lineno}") from None
    except RecursionError:
        raise NotWellFormed("it is nested too deeply") from None


def _booleans(value: Any) -> Any:
    if isinstance(value, bool):
        return BOOLEANS[value]
    if isinstance(value, dict):
        return {key: _booleans(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_booleans(inner) for inner in value]
    return value


def json_spans(text: str) -> dict[Path, Span]:
    """Where each value of a well-formed JSON text stands; for strings without their quotes."""
    spans: dict[Path, Span] = {}
    path: list[str | int] = []
    key: str | None = None
    for token in _JSON_TOKEN.finditer(text):
        mark = token.group()
        if mark in "{[":
            path.append("" if mark == "{" else 0)
            key = None
        elif mark in "}]":
            path.pop()
        elif mark == ",":
            last = path[-1]
            path[-1] = last + 1 if isinstance(last, int) else ""
            key = None
        elif mark == ":":
            path[-1] = key or ""
        elif mark[0] == '"':
            if path and path[-1] == "" and key is None:
                key = json.loads(mark, strict=False)
            else:
                spans[tuple(path)] = (token.start() + 1, token.end() - 1)
        else:
            spans[tuple(path)] = token.span()
    return spans


class Json(Structured):
    """A JSON document and nothing else."""

    language = "JSON"
    halves = True

    def parse(self, text: str) -> tuple[Any, Callable[[Path], Span | None]]:
        return loads_json(text), json_spans(text).get

    def dump(self, value: Any, rng: random.Random | None) -> str:
        if rng is None:
            return _dump_json(value, None, False)
        return _dump_json(value, rng.choice((None, 2, 4)), rng.random() < 0.3)

    def broken_syntax(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        if text[-1] in '"}]':
            yield "cut off", text[:-1]
        if '"' in text:
            at = rng.choice([i for i, c in enumerate(text) if c == '"'][-1:])
            yield "a broken escape", f"{text[:at]}\\q{text[at:]}"
            yield "a raw line end in a string", f"{text[:at]}\n{text[at:]}"
        if text[-1] in "}]":
            yield "a trailing comma", f"{text[:-1]},{text[-1]}"
            yield "a comment", f"{text[:-1]} // done\n{text[-1]}"
        yield "in a code fence", f"```json\n{text}\n```"
        yield "text before it", f"Sure: {text}"


def _dump_json(value: Any, indent: int | None, ascii_only: bool) -> str:
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=ascii_only)
    lead, end, joint = ("\n" + " " * indent, "\n", ",") if indent else ("", "", ", ")
    inner = [
        (f"{json.dumps(key)}: " if isinstance(value, dict) else "") + _dump_json(item, indent, ascii_only)
        for key, item in (value.items() if isinstance(value, dict) else enumerate(value))
    ]
    if indent:
        # Indented by hand, since lines within a string are escaped and so are never touched.
        inner = [lead + item.replace("\n", lead) for item in inner]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + joint.join(inner) + (end if inner else "") + closing


class JsonLines(Form):
    """JSON Lines: one JSON document a line, each of its own shape."""

    def __init__(self, *shapes: Shape) -> None:
        self.lines = tuple(Json(shape) for shape in shapes)
        self.parts = tuple(part for line in self.lines for part in line.parts)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return "\n".join(line.write(values) for line in self.lines)

    def read(self, text: str) -> Reading:
        rows: list[tuple[int, str]] = []
        at = 0
        for row in text.split("\n"):
            if row.strip():
                rows.append((at, row))
            at += len(row) + 1
        if not rows:
            return broken("there is nothing")
        if len(rows) != len(self.lines):
            return broken(f"there are {len(rows)} lines, not exactly {len(self.lines)}")
        parts: dict[str, Part] = {}
        candidates: list[Candidate] = []
        for index, ((start, row), line) in enumerate(zip(rows, self.lines, strict=True)):
            reading = shifted(line.read(row), start)
            candidates.extend(reading.candidates)
            if reading.fault:
                return broken(f"line {index + 1}: {reading.fault}", candidates)
            parts.update(reading.parts)
        return Reading(parts, "", tuple(candidates))

    def refuses(self, values: Values) -> str:
        return next((why for line in self.lines if (why := line.refuses(values))), "")

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        rows = [line.write(values) for line in self.lines]
        yield "a line missing", "\n".join(rows[:-1])
        yield "a line too many", "\n".join((*rows, rows[0]))
        yield "in the wrong order", "\n".join(reversed(rows))
        yield "as one array", f"[{', '.join(rows)}]"
