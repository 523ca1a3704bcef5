"""The code blocks of a Markdown text, by CommonMark's rules for fences: of the same kind, at least as long, on lines of their own.

A fence inside a longer fence is code; one that is never closed runs to the end, and is said to. One thing is beyond CommonMark: a
fence that is closed nowhere else is closed at the end of a line of its code, as in ```` x = 1``` ````.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dataforge.verifiers.protocol import Span

_FENCE = re.compile(
    r"(?P<indent>[ \t]*(?:(?:[-*+>]|\d{1,3}[.)])[ \t]+){0,2})(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)"
)
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?){1,2}", re.MULTILINE)
_VERSION = re.compile(r"(?<=[a-z+])[\d.]+\Z")
_INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)([^\n]+?)(?<!`)\1(?!`)")

ALIASES = {
    "py": "python",
    "python3": "python",
    "py3": "python",
    "python2": "python",
    "js": "javascript",
    "node": "javascript",
    "ts": "typescript",
    "sh": "bash",
    "shell": "bash",
    "zsh": "bash",
    "yml": "yaml",
    "c++": "cpp",
    "cs": "csharp",
    "c#": "csharp",
    "golang": "go",
    "rs": "rust",
    "rb": "ruby",
    "ipython": "python",
    "jsonc": "json",
    "json5": "json5",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word of its info string in lower case, by the language's usual name; empty without one.
        span: where its code stands, without the fences.
        closed: whether its end is there.
    """

    language: str
    code: str
    span: Span
    closed: bool


def language(name: str) -> str:
    """The usual name of a language."""
    plain = name.strip().strip("{}.").lower()
    if plain in ALIASES:
        return ALIASES[plain]
    unversioned = _VERSION.sub("", plain)  # python3.11
    return ALIASES.get(unversioned, unversioned)


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text, in order."""
    at = 0
    opened: tuple[str, str, str, int] | None = None
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        match = _FENCE.match(text, at, end)
        if opened is None:
            # Backticks in the info string make it inline code.
            if match is not None and not (match["fence"][0] == "`" and "`" in match["info"]):
                words = match["info"].split()
                info = re.split(r"[:,{=]", words[0].lstrip("{."))[0] if words else ""
                opened = (match["fence"], language(info), match["indent"], min(end + 1, len(text)))
        elif match is not None and _closes(match, opened[0]):
            yield _block(text, opened, at, closed=True)
            opened = None
        at = end + 1
    if opened is not None:
        fence, start = opened[0], opened[3]
        ending = re.compile(rf"(?<!{fence[0]}){fence}[ \t\r]*$", re.MULTILINE).search(text, start)
        yield _block(text, opened, len(text) if ending is None else ending.start(), closed=ending is not None)


def _closes(match: re.Match[str], fence: str) -> bool:
    return match["fence"][0] == fence[0] and len(match["fence"]) >= len(fence) and not match["info"].strip()


def _block(text: str, opened: tuple[str, str, str, int], end: int, *, closed: bool) -> Block:
    _, language, indent, start = opened
    end = max(start, end)
    code = text[start:end]
    width = len(indent)
    if ">" in indent:
        code = _QUOTED.sub("", code)
    elif width:
        # A block inside a list is indented with it.
        code = "\n".join(line[min(width, len(line) - len(line.lstrip())) :] for line in code.split("\n"))
    return Block(language, code.removesuffix("\n"), (start, end), closed)


def inline(text: str) -> list[tuple[str, Span]]:
    """Pieces of inline code."""
    return [(match[2], match.span(2)) for match in _INLINE.finditer(text)]
