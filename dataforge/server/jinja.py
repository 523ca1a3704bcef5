"""The names in a prompt: what each word inside `{{ … }}` and `{% … %}` is, for any text at all.

In goes the raw text of a template (as it stands in the source, escapes and all), out come its dotted names, filters and
tests, each with its offset, and the loop variables with what they run over.
"""

from __future__ import annotations

import functools
import re
from typing import Literal, NamedTuple

JinjaKind = Literal["name", "part", "filter", "test", "keyword"]

KEYWORDS = frozenset(
    [
        "if",
        "elif",
        "else",
        "endif",
        "for",
        "in",
        "endfor",
        "and",
        "or",
        "not",
        "is",
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
    ]
)
STATEMENTS = ("if", "elif", "else", "endif", "for", "endfor")


class JinjaWord(NamedTuple):
    """One word: `path` is the dotted name up to it, where it is one."""

    start: int
    end: int
    kind: JinjaKind
    path: tuple[str, ...]


class Place(NamedTuple):
    """Where a cursor stands inside a template: what came before it in its block."""

    wants: Literal["name", "field", "filter", "test", "statement", "nothing"]
    path: tuple[str, ...] = ()


_BLOCK = re.compile(r"\{\{(?s:.*?)(?:\}\}|\Z)|\{%(?s:.*?)(?:%\}|\Z)|\{#(?s:.*?)(?:#\}|\Z)")
_WORD = re.compile(r"\\?\"(?:\\.|[^\"\\])*?\\?\"|'(?:\\.|[^'\\])*'|[^\W\d]\w*|\d+(?:\.\d+)?|\S")


@functools.lru_cache(maxsize=4_096)
def words(text: str) -> tuple[JinjaWord, ...]:
    """The words of a template, in order."""
    found: list[JinjaWord] = []
    for block in _BLOCK.finditer(text):
        if not block.group().startswith("{#"):
            _read(text, block.start() + 2, block.end(), found)
    return tuple(found)


def _read(text: str, start: int, end: int, found: list[JinjaWord]) -> None:
    before = ""
    path: tuple[str, ...] = ()
    for m in _WORD.finditer(text, start, end):
        word = m.group()
        if word.isidentifier():
            if before == ".":
                path = (*path, word) if path else ()
                if path:
                    found.append(JinjaWord(m.start(), m.end(), "part", path))
            elif before == "|":
                path = ()
                found.append(JinjaWord(m.start(), m.end(), "filter", (word,)))
            elif before in ("is", "is not") and word != "not":
                path = ()
                found.append(JinjaWord(m.start(), m.end(), "test", (word,)))
            elif word in KEYWORDS:
                path = ()
                found.append(JinjaWord(m.start(), m.end(), "keyword", (word,)))
            else:
                path = (word,)
                found.append(JinjaWord(m.start(), m.end(), "name", path))
        elif word != ".":
            path = ()
        before = "is not" if before == "is" and word == "not" else word


_FOR = re.compile(r"\{%-?\s*for\s+([^\W\d]\w*)\s+in\s+([^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)")
_END = re.compile(r"\{%-?\s*endfor\b")


def loops(text: str, offset: int) -> dict[str, tuple[str, ...]]:
    """The loop variables at an offset, with the path of the list that each runs over."""
    stack: list[tuple[str, tuple[str, ...]]] = []
    marks = sorted([*_FOR.finditer(text, 0, offset), *_END.finditer(text, 0, offset)], key=re.Match.start)
    for m in marks:
        if m.re is _FOR:
            stack.append((m.group(1), tuple(p.strip() for p in m.group(2).split("."))))
        elif stack:
            stack.pop()
    return dict(stack)


def place(text: str, offset: int) -> Place | None:
    """What may stand at an offset; None outside every block. The word at the cursor itself is not looked at."""
    block = next((b for b in _BLOCK.finditer(text) if b.start() + 2 <= offset <= b.end()), None)
    if block is None or block.group().startswith("{#"):
        return None
    closing = "}}" if block.group().startswith("{{") else "%}"
    if block.group().endswith(closing) and offset > block.end() - 2:
        return None
    before = re.sub(r"\w*$", "", text[block.start() + 2 : offset]).rstrip()
    if dotted := re.search(r"([^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)\s*\.$", before):
        return Place("field", tuple(p.strip() for p in dotted.group(1).split(".")))
    if before.endswith("|"):
        return Place("filter")
    if re.search(r"\bis(\s+not)?$", before):
        return Place("test")
    if closing == "%}" and before in ("", "-"):
        return Place("statement")
    if re.search(r"\bfor$", before):
        return Place("nothing")
    return Place("name")
