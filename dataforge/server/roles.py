"""Tokens → what each word of an item is, and what may stand at a place, for any text at all.

The compiler's parser wants a whole item; this reader wants the tokens before a place and nothing else. It follows the
grammar by two tables (which clauses an item has, and what form each takes) and a stack of open brackets, so that in
`node a { takes Passage  pre Passage.` it knows that a field of `Passage` comes next. Where a text is wrong it goes on:
a word that begins a clause, at the beginning of a line, begins one wherever it stands.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dataforge.server.forms import (
    BASE_TYPES,
    CLAUSES,
    CLOSERS,
    CONDITIONAL,
    FORMS,
    HEADS,
    JOINERS,
    LINKS,
    OPERATORS,
    SETTINGS,
    WORDS,
    Role,
)
from dataforge.server.words import Token, tokens


class Word(NamedTuple):
    """A word or text with its role. `path` is the dotted name up to it; `declares` where it brings a name into being."""

    role: Role
    start: int
    end: int
    text: str
    path: tuple[str, ...] = ()
    declares: bool = False


@dataclass(frozen=True)
class ItemWords:
    """One item of a file: its keyword, its name, where it begins and ends, and its words."""

    keyword: str
    name: str
    start: int
    end: int
    words: tuple[Word, ...] = field(repr=False, default=())
    name_span: tuple[int, int] = (0, 0)


@dataclass
class Place:
    """What may stand at a place.

    Attributes:
        item: keyword of the item, empty between items; `name`: its name.
        clause: the clause, empty where one may begin.
        wants: the role of the word that may come, or None where only a keyword or mark may.
        path: for `FIELD`, the dotted name before; for `VALUE`, the term that is compared; for `IMPORTED`, the parts of
            the module's name, or a path in quotes.
        inside: what the innermost open bracket holds.
        subject: in settings, the clause that they are of: `ask` or `judge`.
        text: the text in quotes that the place is in.
    """

    item: str = ""
    name: str = ""
    clause: str = ""
    wants: Role | None = None
    path: tuple[str, ...] = ()
    inside: str = ""
    subject: str = ""
    text: Token | None = None


@functools.lru_cache(maxsize=16_384)
def items(text: str) -> tuple[ItemWords, ...]:
    """The items of a stretch of text, with the roles of their words."""
    reader = _Reader()
    reader.read(text, len(text))
    reader.close(len(text.rstrip()))
    return tuple(reader.items)


def place_at(text: str, offset: int) -> Place:
    """What may stand at an offset of a stretch of text that begins between two items.

    The word that the offset touches is not looked at: it is what a completion replaces.
    """
    reader = _Reader()
    for token in tokens(text):
        if token.start >= offset:
            break
        if offset < token.end or (offset == token.end and not (token.kind == "text" and token.is_closed)):
            if token.kind == "text":
                reader.read(text, token.start)
                return replace(reader.place(), text=token)
            if token.kind == "comment":
                return Place(inside="comment")
            if token.kind == "name":
                offset = token.start
            break
    reader.read(text, offset)
    return reader.place()


class _Reader:
    """Reads tokens one by one; between two of them, `place` says what may come."""

    def __init__(self) -> None:
        self.items: list[ItemWords] = []
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.words: list[Word] = []
        self.item = self.name = self.clause = self.link = self.setting = ""
        self.name_span = (0, 0)
        self.start = 0
        self.stack: list[str] = []
        """What each open bracket holds: body, settings, turns, set, call, group, list, given."""
        self.wants: Role | None = None
        self.path: tuple[str, ...] = ()
        """The dotted name just read."""
        self.left: tuple[str, ...] = ()
        """The term that stands before a comparison."""
        self.given: list[str] = []
        """In a `given`, the struct and the fields whose braces are open."""
        self.before = ""
        """The last token, and where it ends."""
        self.last_end = 0
        self.field_step = ""

    # -- the loop

    def read(self, text: str, until: int) -> None:
        line_end = -1
        found = [t for t in tokens(text[:until] if until < len(text) else text) if t.kind != "comment"]
        for n, token in enumerate(found):
            first = "\n" in text[max(line_end, 0) : token.start] or n == 0
            after = found[n + 1].text if n + 1 < len(found) else ""
            if token.kind == "name":
                self._name(token, first, after)
            elif token.kind == "text":
                self._text(token)
            elif token.kind == "mark":
                self._mark(token)
            else:
                self._value(token)
            self.before = token.text
            line_end = self.last_end = token.end

    def close(self, end: int) -> None:
        """The item that was open is over."""
        if self.item:
            self.items.append(
                ItemWords(self.item, self.name, self.start, end, tuple(self.words), self.name_span)
            )
        self._begin_anew()

    def place(self) -> Place:
        """What may come after the tokens that were read."""
        inside = self.stack[-1] if self.stack else ""
        if self.before == "." and self.path:
            wants = Role.ORIGIN if self.item == "from" else Role.FIELD
            return Place(self.item, self.name, self.clause, wants, self.path, inside)
        if self.item == "from" and self.clause == "import":
            return Place(self.item, "", "import", self.wants, self._origin())
        path = self.left if self.wants is Role.VALUE else tuple(self.given) if inside == "given" else ()
        clause = self.setting or self.clause
        return Place(self.item, self.name, clause, self.wants, path, inside, self.clause)

    def _origin(self) -> tuple[str, ...]:
        """What an import is from: a path in quotes, or the parts of a module's name."""
        for word in reversed(self.words):
            if word.role is Role.PATH:
                return (word.text,)
            if word.role is Role.ORIGIN:
                return word.path
        return ()

    # -- tokens

    def _add(self, role: Role, token: Token, path: tuple[str, ...] = (), declares: bool = False) -> None:
        self.words.append(Word(role, token.start, token.end, token.text, path, declares))

    def _name(self, token: Token, first: bool, after: str) -> None:
        word = token.text
        if self.before == "." and self.path:
            self.path = (*self.path, word)
            self._add(Role.ORIGIN if self.item == "from" else Role.FIELD, token, self.path)
            return
        waiting = self.wants is not None and self.before not in (")", "}")
        if not self.stack and word in HEADS and (not waiting or first) and not self._goes_on(word):
            self._begin(token)
            return
        if self.item == "":
            return
        may_begin = not waiting or (first and after not in (".", "==", "=") and self.before != ",")
        if may_begin and self.stack == ["body"] and word in CLAUSES.get(self.item, ()):
            self._clause(token)
        elif (
            first and len(self.stack) > 1 and "given" not in self.stack and word in CLAUSES.get(self.item, ())
        ):
            self.stack = ["body"]  # a bracket that was never closed
            self._clause(token)
        else:
            self._inside(token, after)

    def _goes_on(self, word: str) -> bool:
        """Whether a word that could begin an item belongs to the one at hand: `list x from "…"`."""
        return (
            (self.item == "list" and word == "from" and self.before == self.name and self.clause == "")
            or (self.before in HEADS and not self.name and self.item not in ("", "from", "forge"))
            or (self.item == "from" and self.before in ("from", "import", ","))
        )

    def _begin(self, token: Token) -> None:
        self.close(self.last_end)
        self.item, self.start = token.text, token.start
        self._add(Role.KEYWORD, token)
        self.wants = {"from": Role.ORIGIN, "forge": Role.VALUE, "example": Role.SUBJECT}.get(
            token.text, Role.DECLARED
        )

    def _clause(self, token: Token) -> None:
        self.clause, self.link, self.path, self.left = token.text, "", (), ()
        self.setting = ""
        self._add(Role.KEYWORD, token)
        self.wants = FORMS[self.item, token.text]

    def _inside(self, token: Token, after: str) -> None:
        word, inside = token.text, self.stack[-1] if self.stack else ""
        if self.item == "from":
            self._import(token)
        elif not self.stack and not self.name:
            self.name, self.name_span = word, (token.start, token.end)
            role = Role.SUBJECT if self.item == "example" else Role.DECLARED
            self._add(role, token, declares=role is Role.DECLARED)
            self.wants = None
        elif self.item == "list" and word == "from" and not self.stack:
            self.clause = "from"
            self._add(Role.KEYWORD, token)
            self.wants = Role.PATH
        elif self.item == "predicate" and inside == "call":
            self._add(Role.STRUCT, token)
            self.wants = None
        elif self.item == "struct" and inside == "body":
            self._struct_field(token, after)
        elif self.item == "struct":
            self._add(Role.KEYWORD if word in BASE_TYPES else Role.TYPE, token)
            self.wants = None
        elif self.item == "rubric" and not self.clause:
            self._criterion(token)
        elif inside == "settings" or (self.item in ("generator", "judge") and inside == "body"):
            self._in_settings(token)
        elif inside == "turns":
            self._in_turns(token)
        elif inside == "given":
            self._in_given(token)
        else:
            self._in_clause(token, after)

    def _import(self, token: Token) -> None:
        if token.text == "import":
            self._add(Role.KEYWORD, token)
            self.clause, self.wants, self.path = "import", Role.IMPORTED, ()
        elif self.clause != "import":
            self.path = (token.text,)
            self._add(Role.ORIGIN, token, self.path)
            self.wants = None
        elif token.text == "as" and self.wants is None:
            self._add(Role.KEYWORD, token)
            self.link, self.wants = "as", Role.DECLARED
        elif self.link == "as":
            self.link, self.wants = "", None
            self._add(Role.DECLARED, token, (self.words[-2].text,), declares=True)
        else:
            self._add(Role.IMPORTED, token, declares=True)
            self.wants = None

    def _struct_field(self, token: Token, after: str) -> None:
        if self.field_step in ("", "done") or (after == ":" and self.field_step != "type"):
            self._add(Role.FIELD, token, (self.name, token.text), declares=True)
            self.field_step, self.wants = "named", None
        elif self.field_step == "type":
            self._add(Role.KEYWORD if token.text in BASE_TYPES else Role.TYPE, token)
            self.field_step, self.wants = "done", None
        else:
            self._add(Role.WORD, token)
            self.field_step, self.wants = "done", None

    def _criterion(self, token: Token) -> None:
        if token.text == "in" and self.before.endswith('"'):
            self._add(Role.KEYWORD, token)
            self.wants = Role.VALUE
        else:
            self._add(Role.CRITERION, token, (self.name, token.text), declares=True)
            self.wants = None

    def _in_settings(self, token: Token) -> None:
        word = token.text
        if self.wants is None or (self.wants is Role.WORD and word not in WORDS.get(self.setting, (word,))):
            self.setting, self.path = word, ()
            self._add(Role.SETTING, token)
            self.wants = SETTINGS.get(word, Role.VALUE)
            return
        if self.wants is Role.TEMPLATE and word == "file":
            self._add(Role.KEYWORD, token)
            self.wants = Role.PATH
            return
        role = self.wants
        self.path = (word,)
        self._add(role, token, self.path)
        self.wants = None
        if role is not Role.HEAD:
            self.setting = ""

    def _in_turns(self, token: Token) -> None:
        word = token.text
        if self.wants is Role.TEMPLATE and word == "file":
            self._add(Role.KEYWORD, token)
            self.wants = Role.PATH
        elif self.wants is Role.HEAD:
            self.path = (word,)
            self._add(Role.HEAD, token, self.path)
            self.wants = None
        else:
            self._add(Role.KEYWORD, token)
            self.setting = word
            self.wants = Role.HEAD if word == "reasoning" else Role.TEMPLATE

    def _in_given(self, token: Token) -> None:
        if self.wants is Role.VALUE:
            self._add(Role.WORD, token)  # true, false, null
            self.wants = Role.FIELD
            return
        self._add(Role.FIELD, token, (*self.given, token.text))
        self.left, self.wants = (*self.given, token.text), None

    def _in_clause(self, token: Token, after: str) -> None:
        word, where = token.text, (self.item, self.clause)
        links = LINKS.get(where, {})
        # `many` stands where a name may; the other linking words only after one.
        if word in links and not self.stack[1:] and (self.wants is None or word == "many"):
            self.link = word
            self._add(Role.KEYWORD, token)
            self.wants, self.path = links[word], ()
        elif self.wants is Role.DOC and word == "file":
            self._add(Role.KEYWORD, token)
            self.wants = Role.PATH
        elif self._is_condition() and word in JOINERS and after != ".":
            self._add(Role.KEYWORD, token)
            if word == "in":
                self.left, self.wants = self.path or self.left, Role.VALUE
            else:
                self.wants, self.path = (Role.CRITERION if self.item == "rubric" else Role.HEAD), ()
        elif where == ("example", "expect") and word == "reject" and self.before == "expect":
            self._add(Role.KEYWORD, token)
            self.wants = None
        elif self.wants is Role.VALUE and word in ("true", "false", "null"):
            self._add(Role.VALUE, token, self.left)
            self.wants = None
        elif after == "(" and self.wants in (Role.HEAD, Role.VALUE):
            self._add(Role.FUNCTION, token)
            self.wants = None
        elif self.wants is Role.VALUE:  # a term may stand where a value may
            self.path = (word,)
            self._add(Role.HEAD, token, self.path)
            self.wants = None
        elif self.wants is not None:
            self.path = (word,)
            declares = self.wants is Role.VARIABLE
            path = (self.name, word) if self.wants is Role.CRITERION else self.path
            self._add(self.wants, token, path, declares)
            self.wants = None
        else:
            self._add(Role.WORD, token)

    def _is_condition(self) -> bool:
        return (self.item, self.clause) in CONDITIONAL or self.link == "where"

    def _text(self, token: Token) -> None:
        role = self.wants
        inside = self.stack[-1] if self.stack else ""
        if inside == "body" and not self.clause and self.before == "{" and token.text.startswith('"""'):
            self._add(Role.DOC, token)
            return
        if role is Role.ORIGIN or role is Role.PATH:
            self._add(Role.PATH, token)
        elif role is Role.TEMPLATE:
            self._add(Role.TEMPLATE, token)
        elif role is Role.PYTHON:
            self._add(Role.PYTHON, token)
        elif role is Role.VALUE or inside in ("set", "list"):
            self._add(Role.VALUE, token, self.left)
        elif self.item == "struct":
            self._add(Role.VALUE, token)
            self.field_step = "done" if self.field_step != "named" else "named"
        else:
            self._add(Role.DOC, token)
        self._settle(inside)

    def _value(self, token: Token) -> None:
        if self.item == "struct":
            self.field_step = "done"
        if self.link == "many":
            return  # `many 2..4 Struct`: the name is still to come
        self._settle(self.stack[-1] if self.stack else "")

    def _settle(self, inside: str) -> None:
        """A value is complete."""
        self.path = ()
        self.wants = Role.FIELD if inside == "given" else None
        if inside == "settings" or (self.item in ("generator", "judge") and inside == "body"):
            self.setting = ""

    def _mark(self, token: Token) -> None:
        mark = token.text
        if mark in CLOSERS:
            self._open(mark)
        elif mark in ("}", ")", "]"):
            self._close()
        elif mark == ",":
            self._comma()
        elif mark in OPERATORS:
            self.left, self.wants = self.path or self.left, Role.VALUE
        elif mark == "=":
            if self.item == "predicate":
                self.wants = Role.PYTHON
            else:
                self.left = self.left if self.stack[-1:] == ["given"] else self.path
                self.wants = Role.VALUE
                self.field_step = "default" if self.item == "struct" else ""
        elif mark == ":" and self.item == "struct":
            self.field_step, self.wants = "type", Role.TYPE
        elif mark == ".." and self.wants is Role.VALUE:
            self.wants = None  # its other end is a number, or left out
        elif mark == "|" and self.item == "struct":
            self.wants = Role.VALUE
        elif mark == "*":
            self.wants = None

    def _open(self, mark: str) -> None:
        kind = {"(": "call", "[": "list", "{": "body"}[mark]
        if mark == "{" and self.stack:
            if self.clause in ("ask", "judge", "verify") and self.item == "node" and len(self.stack) == 1:
                kind, self.wants, self.setting = "settings", None, ""
            elif (self.item, self.clause) == ("graph", "emit"):
                kind, self.wants = "turns", None
            elif (self.item, self.clause) == ("example", "given"):
                kind = "given"
                self.given = [*self.path] if self.stack[-1] != "given" else [*self.given, *self.left[-1:]]
                self.wants = Role.FIELD
            else:
                kind, self.wants = "set", Role.VALUE
        elif mark == "{":
            self.wants = None
            self.field_step = ""
        elif mark == "(":
            if self.item == "predicate":
                self.wants = Role.STRUCT
            elif self.words and self.words[-1].role is Role.FUNCTION and self.before == self.words[-1].text:
                self.wants = Role.HEAD
            else:
                kind = "group"
                self.wants = Role.CRITERION if self.item == "rubric" else Role.HEAD
        elif self.item == "struct":
            self.wants = Role.TYPE
        else:
            self.wants = Role.VALUE
        self.stack.append(kind)

    def _close(self) -> None:
        if not self.stack:
            return
        kind = self.stack.pop()
        if kind == "given":
            if self.given:
                self.given.pop() if self.stack[-1:] == ["given"] else self.given.clear()
            self.wants = Role.FIELD if self.stack[-1:] == ["given"] else None
        elif kind == "list" and self.stack[-1:] == ["given"]:
            self.wants = Role.FIELD
        else:
            self.wants = None
        if kind in ("settings", "turns", "given") and self.stack == ["body"]:
            self.setting = self.clause = ""
        if kind in ("set", "list") and self.stack[-1:] == ["settings"]:
            self.setting = ""
        if kind != "call":
            self.path = ()
        if not self.stack and self.item not in ("predicate", "list"):
            self.wants = None

    def _comma(self) -> None:
        inside = self.stack[-1] if self.stack else ""
        self.path = ()
        if self.item == "from":
            self.wants = Role.IMPORTED
        elif inside in ("set", "list"):
            self.wants = Role.TYPE if self.item == "struct" else Role.VALUE
        elif inside == "call":
            self.wants = Role.STRUCT if self.item == "predicate" else Role.HEAD
        elif self.item == "rubric":
            self.wants = Role.CRITERION
        elif self.link:
            self.wants = LINKS[self.item, self.clause][self.link]
        elif self.clause:
            self.wants = FORMS.get((self.item, self.clause))
