"""What is wrong with a `.forge` file, said so that an author can mend it.

A `Diagnostic` has a stable code, the exact span, one sentence that says what is wrong, and a help line with the
likely mend. `render` draws it with the source line and a caret; `to_json` is what `compile --json` prints.
"""

from __future__ import annotations

import bisect
import difflib
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dataforge.errors import InputError

Severity = Literal["error", "warning"]
MAX_LINE_SHOWN = 160


class Span(NamedTuple):
    """A stretch of a source text: offsets in characters, `end` exclusive."""

    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A text and the name under which messages show it (relative to the project root where it can be)."""

    path: str
    text: str = field(repr=False)

    @functools.cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both counted from 1."""
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end]


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning about one place."""

    code: str
    message: str
    source: Source
    span: Span
    help: str = ""
    severity: Severity = "error"

    def render(self) -> str:
        """The diagnostic as people read it: where and what, the line with a caret under the span, and the help."""
        line, column = self.source.line_column(self.span.start)
        end_line, end_column = self.source.line_column(max(self.span.end, self.span.start + 1))
        text = self.source.line(line).rstrip()
        width = (end_column if end_line == line else len(text) + 1) - column
        shown, column_shown = _window(text, column)
        caret = " " * (column_shown - 1) + "^" * max(1, min(width, max(1, len(shown) - column_shown + 1)))
        gutter = " " * len(str(line))
        lines = [
            f"{self.source.path}:{line}:{column}: {self.severity}[{self.code}]: {self.message}",
            f" {gutter} |",
            f" {line} | {shown}",
            f" {gutter} | {caret}",
        ]
        if self.help:
            lines.append(f" {gutter} = help: {self.help}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        line, column = self.source.line_column(self.span.start)
        end_line, end_column = self.source.line_column(self.span.end)
        return {
            "code": self.code,
            "severity": self.severity,
            "path": self.source.path,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "message": self.message,
            "help": self.help,
        }

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.source.path, self.span.start, self.span.end, self.code, self.message)


def _window(text: str, column: int) -> tuple[str, int]:
    """The part of a long line around a column, tabs and control characters made visible as single cells."""
    text = "".join(c if c.isprintable() else " " for c in text)
    if len(text) <= MAX_LINE_SHOWN:
        return text, column
    start = max(0, column - 1 - MAX_LINE_SHOWN // 2)
    return text[start : start + MAX_LINE_SHOWN], column - start


class CompileError(InputError):
    """A `.forge` file is wrong. Carries every diagnostic of the compilation, warnings too, in source order."""

    default_code = "F000"

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = in_order(diagnostics)
        errors = sum(d.severity == "error" for d in self.diagnostics)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} in the program")

    def __str__(self) -> str:
        return "\n\n".join(d.render() for d in self.diagnostics)


class Report:
    """Collects the diagnostics of a compilation, so that one run shows them all."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.errors = 0

    def error(self, code: str, message: str, source: Source, span: Span, help: str = "") -> None:
        self.errors += 1
        self.diagnostics.append(Diagnostic(code, message, source, span, help))

    def warning(self, code: str, message: str, source: Source, span: Span, help: str = "") -> None:
        self.diagnostics.append(Diagnostic(code, message, source, span, help, severity="warning"))

    @property
    def has_errors(self) -> bool:
        return self.errors > 0

    def raise_if_errors(self) -> None:
        """Raises CompileError where any error was reported."""
        if self.has_errors:
            raise CompileError(self.diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """In source order, the same complaint about the same place once."""
    return tuple({d.sort_key: d for d in sorted(diagnostics, key=lambda d: d.sort_key)}.values())


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None where none is near."""
    candidates = sorted(set(known))
    folded = {c.casefold(): c for c in reversed(candidates)}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A help line: the nearest known word, else a list of what there is, else `otherwise`."""
    candidates = sorted(set(known))
    near = nearest(word, candidates)
    if near is not None:
        return f"did you mean `{near}`?"
    if otherwise:
        return otherwise
    return f"there is {listing(candidates)}" if candidates else ""


def listing(words: Sequence[str], most: int = 8, joiner: str = "and") -> str:
    """`a`, `b` and `c`, cut after `most` words."""
    quoted = [f"`{w}`" for w in words]
    if len(quoted) > most:
        return ", ".join(quoted[:most]) + f" and {len(quoted) - most} more"
    if len(quoted) > 1:
        return ", ".join(quoted[:-1]) + f" {joiner} {quoted[-1]}"
    return quoted[0] if quoted else "nothing"
