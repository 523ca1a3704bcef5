"""An open text, and positions in it as editors count them: lines, and code units within a line.

Line ends are `\n` here, whatever the file has: an editor's line and character mean the same place either way. Only
`\n`, `\r\n` and `\r` end a line, as the protocol has it (Python's `splitlines` knows seven more).
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_WIDTHS: dict[str, Callable[[str], int]] = {
    "utf-8": lambda text: len(text.encode("utf-8", "surrogatepass")),
    "utf-16": lambda text: len(text) + sum(char > "\uffff" for char in text),
    "utf-32": len,
}


class Position(NamedTuple):
    """Line and code unit, both from 0."""

    line: int
    character: int


def normalised(text: str) -> str:
    """The text with `\n` at the end of each line, and no byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Text:
    """A text with positions.

    Attributes:
        text: what it says, lines ended by `\n`.
        encoding: what a position's character counts.
    """

    text: str = field(repr=False)
    encoding: Encoding = "utf-16"

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    def line(self, number: int) -> str:
        """A line without its end; empty past the last."""
        if not 0 <= number < len(self._starts):
            return ""
        start = self._starts[number]
        end = self._starts[number + 1] - 1 if number + 1 < len(self._starts) else len(self.text)
        return self.text[start:end]

    def offset(self, position: tuple[int, int]) -> int:
        """Offset in characters of a position; one past a line's end, or the text's, is taken as that end."""
        number, units = position
        if number >= len(self._starts):
            return len(self.text)
        line, start = self.line(number), self._starts[max(0, number)]
        if line.isascii() or self.encoding == "utf-32":
            return start + max(0, min(units, len(line)))
        width, passed = _WIDTHS[self.encoding], 0
        for column, char in enumerate(line):
            if passed >= units:
                return start + column
            passed += width(char)
        return start + len(line)

    def position(self, offset: int) -> Position:
        """Position of an offset in characters."""
        offset = max(0, min(offset, len(self.text)))
        number = bisect.bisect_right(self._starts, offset) - 1
        before = self.text[self._starts[number] : offset]
        return Position(number, len(before) if before.isascii() else _WIDTHS[self.encoding](before))

    def replaced(self, start: tuple[int, int], end: tuple[int, int], new: str) -> Text:
        """The text after an edit."""
        low, high = self.offset(start), self.offset(end)
        return Text(
            self.text[: min(low, high)] + normalised(new) + self.text[max(low, high) :], self.encoding
        )
