"""Plain text and Markdown: one passage a block, in the field `text`.

If any line of the file is exactly ``---``, such lines separate the blocks, which then keep their blank lines;
otherwise blank lines separate them. In Markdown a heading that opens a block becomes its `title`; one that stands
alone titles all blocks up to the next heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataforge.seeds.flaw import LIMIT_BYTES, too_long
from dataforge.seeds.lines import read_lines

SUFFIXES = (".txt", ".md")

_RULE = "---"
_HEADING = re.compile(r"#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    markdown = path.suffix.lower() == ".md"
    title: str | None = None
    for number, block in _blocks(path, ruled=_has_rule(path)):
        text = "\n".join(block)
        if markdown and (heading := _HEADING.fullmatch(block[0])):
            title = heading["title"]
            text = "\n".join(block[1:]).strip()
            if not text:
                continue
        fields = {"text": text}
        if title:
            fields["title"] = title
        yield number, fields


def _has_rule(path: Path) -> bool:
    with path.open("rb") as stream:
        return any(line == _RULE for _, line in read_lines(stream))


def _blocks(path: Path, *, ruled: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each block's first line number and its lines, without blank lines at either end."""
    block: list[str] = []
    begun = size = 0
    with path.open("rb") as stream:
        for number, line in read_lines(stream):
            blank = not line.strip()
            if line == _RULE if ruled else blank:
                yield from _trimmed(begun, block)
                block, size = [], 0
            elif block or not blank:
                begun = begun if block else number
                block.append(line.rstrip())
                size += len(line) + 1
                if size > LIMIT_BYTES:
                    raise too_long(begun)
        yield from _trimmed(begun, block)


def _trimmed(begun: int, block: list[str]) -> Iterator[tuple[int, list[str]]]:
    while block and not block[-1]:
        block.pop()
    if block:
        yield begun, block
