"""CSV as RFC 4180 has it: commas, double quotes, and a first row that names the columns.

Every value is a string, since CSV has no other type; structs turn ``"3"`` into 3 where they want a number. Rows of
another length than the first are refused: a stray comma would otherwise move every later column by one. Line breaks
inside a value are read as LF.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dataforge.seeds.flaw import LIMIT_BYTES, Flaw, too_long
from dataforge.seeds.lines import read_lines

SUFFIXES = (".csv",)

_LONGEST_NAME = 200


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # The module's limit on a field is one for the process, and too low for passages. Raising it is harmless: our own
    # limit, on the whole record, is enforced as the lines come in.
    csv.field_size_limit(max(csv.field_size_limit(), LIMIT_BYTES))
    with path.open("rb") as stream:
        lines = _Lines(stream)
        rows = csv.reader(lines, strict=True)
        names: list[str] | None = None
        while (row := _next_row(rows, lines)) is not None:
            if not row:
                continue
            if names is None:
                names = _header(row, lines.begun)
            elif len(row) != len(names):
                raise Flaw(
                    "R016",
                    f"{_columns(len(row))} where the first row has {len(names)}",
                    at=lines.begun,
                    help="put values that hold commas or line breaks in double quotes",
                )
            else:
                yield lines.begun, dict(zip(names, row, strict=True))


class _Lines:
    """The lines of the record being read: remembers where it began, and refuses to let it grow without end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = read_lines(stream)
        self._fresh = True
        self._size = 0
        self.begun = 1

    def record_ended(self) -> None:
        self._fresh = True

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        if self._fresh:
            self.begun, self._size, self._fresh = number, 0, False
        self._size += len(line) + 1
        if self._size > LIMIT_BYTES:
            raise too_long(self.begun)
        return f"{line}\n"


def _next_row(rows: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    lines.record_ended()
    try:
        return next(rows, None)
    except csv.Error as error:
        raise Flaw(
            "R016",
            f"not valid CSV: {error}",
            at=lines.begun,
            help='close every quoted value with ", and write a quote inside one as ""',
        ) from None


def _header(row: list[str], at: int) -> list[str]:
    mend = "the first row must name the columns, for example: text,title"
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(row) == 1 and separator in row[0]:
            raise Flaw(
                "R016", f"the columns seem to be separated by {name}", at=at, help="separate them by commas"
            )
    if any(not name.strip() for name in row):
        raise Flaw("R016", "a column has no name", at=at, help=mend)
    if any(len(name) > _LONGEST_NAME for name in row):
        raise Flaw("R016", "the first row reads like a record, not like names of columns", at=at, help=mend)
    names = [name.strip() for name in row]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise Flaw("R016", f"{times} columns are named {name}", at=at, help="give every column its own name")
    return names


def _columns(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"
