"""TOML by `tomllib`. How a table is laid out, as a section, in line or as a dotted key, is compared on the source, since a
parser of TOML makes no difference between them.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from dataforge.verifiers import toml
from dataforge.verifiers.formats.form import CONTROL, Values
from dataforge.verifiers.formats.shape import (
    Bare,
    Path,
    Shape,
    fill,
    quoted,
)
from dataforge.verifiers.formats.structured import BOOLEANS, NotWellFormed, Structured
from dataforge.verifiers.protocol import Span


class Toml(Structured):
    """A TOML document and nothing else.

    Args:
        shape: what it holds.
        layout: lines before the last part's value, such as `[response]`; the statement before `=` is its last line.
            None for plain keys.
        quotes: how the last part must be quoted; None for any way.
    """

    language = "TOML"

    def __init__(
        self, shape: Shape, layout: str | None = None, quotes: str | None = None, end: str = ""
    ) -> None:
        super().__init__(shape)
        self.layout, self.quotes, self.end = layout, quotes, end
        self._head = None if layout is None else re.sub(r"\s+", "", layout)

    def parse(self, text: str) -> tuple[Any, Callable[[Path], Span | None]]:
        value = loads_toml(text)
        head_end = 0
        if self._head is not None:
            # The layout is what TOML itself says nothing of: whether a table is a section, inline or a dotted key.
            head_end = _skip(text, self._head)
            if head_end < 0:
                raise NotWellFormed(f"it does not begin with `{(self.layout or '').split(chr(10))[0]}`")
            rest = text[head_end:].lstrip()
            if self.quotes is not None and not (
                rest.startswith(self.quotes)
                and (len(self.quotes) == 3 or not rest.startswith(self.quotes * 3))
            ):
                raise NotWellFormed(f"the value is not in {self.quotes}")

        def locate(path: Path) -> Span | None:
            if self._head is None or path != self.slots[-1][1]:
                return None
            stop = len(text.rstrip())
            start = head_end + len(text[head_end:]) - len(text[head_end:].lstrip())
            stop -= len(self.end) if self.end and text[:stop].endswith(self.end) else 0
            return (start, max(start, stop))

        return value, locate

    def dump(self, value: Any, rng: random.Random | None) -> str:
        if self.layout is None:
            return dump_toml(value)
        made = value
        for step in self.slots[-1][1]:
            if not (isinstance(made, (dict, list)) and made):
                return dump_toml(value)
            made = made.get(step) if isinstance(made, dict) else made[int(step)]
        if not isinstance(made, str) or fill(self.shape, {self.parts[-1]: made}) != value:
            return dump_toml(value)
        joint = "" if self.layout.endswith("[") else " "
        return f"{self.layout}{joint}{self._string(made)}{self.end}"

    def _string(self, text: str) -> str:
        if self.quotes == "'":
            return f"'{text}'"
        if self.quotes == "'''":
            return f"'''\n{text}'''"
        if self.quotes == '"""':
            return '"""\n' + "\n".join(quoted(line)[1:-1] for line in text.split("\n")) + '"""'
        return toml_value(text)

    def refuses(self, values: Values) -> str:
        if why := super().refuses(values):
            return why
        text = values[self.parts[-1]]
        if self.quotes in ("'", "'''") and CONTROL.search(text):
            return "a literal string holds no control characters"
        if self.quotes == "'" and ("'" in text or "\n" in text):
            return "a literal string holds no single quote and no line end"
        if self.quotes == "'''" and ("'''" in text or text.endswith("'")):
            return "a literal string holds no three single quotes and does not end with one"
        return ""

    def broken_syntax(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield "no equals sign", text.replace("=", ":")
        yield "a key too many after it", f"{text}\nnote = 1"
        yield "text before it", f"Here you are:\n{text}"
        yield "in a code fence", f"```toml\n{text}\n```"
        if text[-1] in "]}\"'":
            yield "never closed", text.rstrip("]}\"'")


def loads_toml(text: str) -> Any:
    """TOML, numbers and booleans as `Bare`.

    Raises:
        NotWellFormed: with what is wrong.
    """
    try:
        return _toml_value(toml.loads(text, parse_float=Bare))
    except tomllib.TOMLDecodeError as error:
        raise NotWellFormed(str(error)) from None
    except (RecursionError, ValueError):
        raise NotWellFormed("it holds what TOML cannot hold") from None


def _toml_value(value: Any) -> Any:
    if isinstance(value, bool):
        return BOOLEANS[value]
    if isinstance(value, int):
        return Bare(value)
    if isinstance(value, dict):
        return {key: _toml_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_toml_value(inner) for inner in value]
    return value


def toml_value(value: Any) -> str:
    """A value as TOML writes it in line."""
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
    return "[" + ", ".join(map(toml_value, value)) + "]"


def dump_toml(value: Any) -> str:
    """A mapping as TOML, its mappings as sections; anything else as text that is no TOML."""
    if not isinstance(value, dict):
        return toml_value(value)
    rows = [f"{key} = {toml_value(item)}" for key, item in value.items() if not isinstance(item, dict)]
    for key, item in value.items():
        if isinstance(item, dict):
            rows += [f"[{key}]", *(f"{k} = {toml_value(v)}" for k, v in item.items())]
    return "\n".join(rows)


def _skip(text: str, head: str) -> int:
    """Where the text goes on after `head`, white space aside; -1 where it does not begin with it."""
    at = 0
    for char in head:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text) or text[at] != char:
            return -1
        at += 1
    return at
