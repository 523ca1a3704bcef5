"""A reader for JSON as language models write it by mistake: Python's quotes and words, a comma too many, raw newlines.

It mends spelling and nothing else. What breaks off stays broken, a key given twice stays refused, and what is no
finite number stays none, since a guess there would put words into the model's mouth. One pass, bounded depth.
"""

from __future__ import annotations

import math
import re
from typing import Any

MAX_DEPTH = 64

_NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?")
_WORD = re.compile(r"[A-Za-z_]+")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HEX = {
    "x": re.compile(r"[0-9a-fA-F]{2}"),
    "u": re.compile(r"[0-9a-fA-F]{4}"),
    "U": re.compile(r"000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4}"),
}
_PAIR = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class MalformedError(Exception):
    """The text is no JSON, nor nearly; says what was met, for the model to read. `at` is how far reading came."""

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.at = at


def read_prefix(text: str, start: int = 0) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends.

    Raises:
        MalformedError: none begins there.
    """
    reader = _Reader(text, start)
    try:
        return reader.value(0), reader.at
    except MalformedError as error:
        error.at = reader.at
        raise


class _Reader:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.at = start

    def peek(self) -> str:
        """The next character that is no space, or nothing at the end."""
        if (space := _SPACE.match(self.text, self.at)) is not None:
            self.at = space.end()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise MalformedError(f"it nests deeper than {MAX_DEPTH} levels")
        match self.peek():
            case "{":
                return self.mapping(depth)
            case "[":
                return self.sequence(depth)
            case '"' | "'":
                return self.string()
            case "":
                raise MalformedError("it breaks off before it is complete")
            case _:
                return self.scalar()

    def mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.at += 1
        while self.peek() != "}":
            if self.peek() not in {'"', "'"}:
                raise self.unexpected("a quoted key")
            key = self.string()
            if key in found:
                raise MalformedError(f"the key {key[:60]!r} is given twice")
            self.expect(":")
            found[key] = self.value(depth + 1)
            if self.peek() == "}":
                break
            self.expect(",")
        self.at += 1
        return found

    def sequence(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self.at += 1
        while self.peek() != "]":
            found.append(self.value(depth + 1))
            if self.peek() == "]":
                break
            self.expect(",")
        self.at += 1
        return found

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise self.unexpected(f"`{character}`")
        self.at += 1

    def unexpected(self, wanted: str) -> MalformedError:
        met = self.peek()
        if not met:
            return MalformedError("it breaks off before it is complete")
        return MalformedError(f"expected {wanted} at character {self.at + 1}, met {met!r}")

    def string(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN[quote].match(self.text, self.at)
            if plain is not None:
                parts.append(plain[0])
                self.at = plain.end()
            following = self.text[self.at : self.at + 2]
            if following[:1] == quote:
                self.at += 1
                return "".join(parts)
            if len(following) < 2:
                raise MalformedError("it breaks off inside a string")
            self.at += 2
            parts.append(self.escape(following[1]))

    def escape(self, character: str) -> str:
        if character in _HEX and (digits := _HEX[character].match(self.text, self.at)) is not None:
            self.at = digits.end()
            code = int(digits[0], 16)
            low = _PAIR.match(self.text, self.at) if 0xD800 <= code < 0xDC00 else None
            if low is not None:
                self.at = low.end()
                code = 0x10000 + ((code - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)
            return chr(code)
        if character in _ESCAPES:
            return _ESCAPES[character]
        # `\'` is Python's; any other letter after a backslash (`\d`, `\alpha`) was most likely meant to stay as it is.
        return "\\" + character if character.isalnum() else character

    def scalar(self) -> Any:
        if (word := _WORD.match(self.text, self.at)) is not None:
            if word[0] not in _WORDS:
                raise MalformedError(
                    f"met the bare word {word[0][:40]!r} at character {self.at + 1}; text needs quotes"
                )
            self.at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self.text, self.at)
        if number is None:
            raise self.unexpected("a value")
        self.at = number.end()
        value = float(number[0]) if number[1] or number[2] else int(number[0])
        if isinstance(value, float) and not math.isfinite(value):
            raise MalformedError(f"the number {number[0][:40]} is too large")
        return value
