"""The shape of a file: its items and their parts as an outline, what can be folded, and what each word is for colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.server import jinja
from dataforge.server.forms import Role
from dataforge.server.outline import Outline
from dataforge.server.words import tokens
from dataforge.server.workspace import Workspace


@dataclass(frozen=True)
class DocumentSymbol:
    """An item, or a part of one."""

    name: str
    kind: str
    detail: str
    span: tuple[int, int]
    name_span: tuple[int, int]
    parts: tuple[DocumentSymbol, ...] = field(default=())


def symbols(workspace: Workspace, path: Path) -> list[DocumentSymbol]:
    """The items of a file, with the fields of structs and the criteria of rubrics inside them."""
    outline = workspace.outline(path)
    found: list[DocumentSymbol] = []
    for item in outline.items if outline is not None else ():
        if not item.name:
            continue
        parts = tuple(
            DocumentSymbol(w.text, w.role.value, "", (w.start, w.end), (w.start, w.end))
            for w in item
            if w.declares and w.role in (Role.FIELD, Role.CRITERION, Role.VARIABLE)
        )
        found.append(DocumentSymbol(item.name, item.keyword, item.keyword, item.span, item.name_span, parts))
    return found


def folds(outline: Outline) -> Iterator[tuple[int, int, bool]]:
    """Stretches that can be folded, as offsets of their first and last character, and whether each is a comment."""
    comments: list[tuple[int, int]] = []
    opened: list[int] = []
    text = outline.text
    for token in tokens(text):
        if token.kind == "comment":
            if comments and not text[comments[-1][1] : token.start].strip(" \t\n"):
                comments[-1] = (comments[-1][0], token.end)
            else:
                comments.append((token.start, token.end))
        elif token.text == "{":
            opened.append(token.start)
        elif token.text == "}" and opened:
            yield opened.pop(), token.start, False
        elif token.kind == "text" and "\n" in token.text:
            yield token.start, token.end, False
    for start, end in comments:
        if "\n" in text[start:end]:
            yield start, end, True


TOKEN_TYPES = (
    *("keyword", "struct", "property", "function", "variable", "enumMember", "class", "namespace", "method"),
    *("type", "parameter"),
)
_TYPES: dict[Role, str] = {
    Role.KEYWORD: "keyword",
    Role.SETTING: "parameter",
    Role.WORD: "enumMember",
    Role.STRUCT: "struct",
    Role.HEAD: "struct",
    Role.TYPE: "type",
    Role.FIELD: "property",
    Role.CRITERION: "property",
    Role.FUNCTION: "function",
    Role.MODEL: "class",
    Role.LIST: "variable",
    Role.RUBRIC: "class",
    Role.VARIABLE: "variable",
    Role.MEMBER: "method",
    Role.SUBJECT: "method",
    Role.IMPORTED: "struct",
    Role.ORIGIN: "namespace",
    Role.VERIFIER: "function",
}
_DECLARED: dict[str, str] = {
    "struct": "struct",
    "node": "method",
    "graph": "method",
    "generator": "class",
    "judge": "class",
    "rubric": "class",
    "list": "variable",
    "predicate": "function",
    "from": "struct",
}


def semantic_tokens(outline: Outline, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and type of every word whose colour its role decides, prompts' included; in order.

    Args:
        outline: the file.
        start, end: items that lie outside this stretch are left out.
    """
    for item in outline.items:
        if item.span[1] < start or item.span[0] > end:
            continue
        for word in item:
            if word.role is Role.TEMPLATE:
                yield from _in_prompt(word.text, word.start)
            elif word.role is Role.DECLARED:
                yield word.start, word.end, _DECLARED.get(item.keyword, "variable")
            elif word.role in _TYPES:
                yield word.start, word.end, _TYPES[word.role]


def _in_prompt(template: str, base: int) -> Iterator[tuple[int, int, str]]:
    types = {
        "name": "struct",
        "part": "property",
        "filter": "function",
        "test": "function",
        "keyword": "keyword",
    }
    for word in jinja.words(template):
        yield base + word.start, base + word.end, types[word.kind]
