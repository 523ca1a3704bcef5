"""The tokens of an item as an author sees them, and Lark's LALR tables walked over them without building a tree.

In comes a text that need not parse; out come its pieces, each with its place on the page (whether it begins a line, how
far that line is indented), and an automaton that says how far they parse from any state. A state is copied in
microseconds, which is what makes it cheap to try what else could have been written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lark import Lark, Token
from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser


@dataclass
class Budget:
    """How many tokens may still be tried in this file: 100,000 are about a second."""

    tokens: int = 100_000


_TOKEN = re.compile(
    r'(?P<skip>[ \t\r\n\f]+|\#[^\n]*)|(?P<DOC>"""(?s:.*?)""")|(?P<open_doc>""")|(?P<STRING>"(?:\\.|[^"\\\n])*")'
    r'|(?P<open_string>"[^\n]*)|(?P<NUMBER>-?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)'
    r"|(?P<DOTTED>[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)+)|(?P<word>[^\W\d]\w*)"
    r"|(?P<mark>\.{2,}|[=<>!]+|&&|\|\||.)",
    re.DOTALL,
)
LINKS = frozenset(["and", "as", "file", "forge", "from", "import", "in", "or", "reasoning", "says", "where"])
"""Words that stand within a clause, between its parts."""
MARKS = {
    "{": "LBRACE", "}": "RBRACE", "(": "LPAR", ")": "RPAR", "[": "OPEN", "]": "CLOSE", ",": "COMMA", ":": "COLON",
    "=": "EQUAL", "|": "VBAR", "?": "OPTIONAL", "*": "STAR", "..": "__ANON_0",
    **dict.fromkeys(("==", "!=", "<=", ">=", "<", ">"), "OP"),
}  # fmt: skip
MARK_OF = {terminal: mark for mark, terminal in MARKS.items() if terminal != "OP"} | {"OP": "=="}
CLOSERS = {"{": "}", "(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A token, its text and its place.

    `kind` is its terminal; "word" for a word, which is a keyword or a name by the state that takes it; "open_doc" or
    "open_string" for a text that is not closed; empty for a sign that the language does not have.
    """

    kind: str
    text: str
    start: int
    end: int
    indent: int = -1
    """Column of a token that begins its line, else -1."""
    apart: bool = False
    """Whether a line break or a wide gap comes before it."""


def pieces_of(text: str) -> list[Piece]:
    """The tokens of a text, comments left out."""
    found: list[Piece] = []
    line = after = 0
    begins = True
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup or "", match.group()
        if kind != "skip":
            start = match.start()
            kind = MARKS.get(value, "") if kind == "mark" else kind
            # Before a comma or a closing bracket people leave no gap, elsewhere one of a single space.
            wide = start - after > (0 if value in (",", ")", "]") else 1)
            wide = wide or begins or (value != "}" and found[-1].text in ("{", "}"))
            found.append(Piece(kind, value, start, match.end(), start - line if begins else -1, wide))
            after = match.end()
            begins = False
        if (newline := value.rfind("\n")) >= 0:
            line = match.start() + newline + 1
            begins = kind == "skip"
    return found


def open_brackets(pieces: Sequence[Piece]) -> list[int]:
    """Token numbers of the brackets that are never closed."""
    stack: list[int] = []
    for number, piece in enumerate(pieces):
        if piece.text in CLOSERS:
            stack.append(number)
        elif stack and piece.text in ("}", ")", "]"):
            stack.pop()
    return stack


def copied(state: InteractiveParser) -> InteractiveParser:
    """A state that can go on without the other: a copy of two stacks."""
    copy_: InteractiveParser = state.copy(deepcopy_values=False)  # type: ignore[no-untyped-call]
    return copy_


def choices_of(state: InteractiveParser) -> Mapping[str, object]:
    """The terminals for which a state has an action."""
    choices: Mapping[str, object] = state.choices()  # type: ignore[no-untyped-call]
    return choices


class Automaton:
    """Lark's LALR tables, walked without building a tree."""

    def __init__(self, lark: Lark, budget: Budget) -> None:
        self.keywords = {t.name for t in lark.terminals if t.name.isalpha()} - {
            "NAME", "DOTTED", "STRING", "DOC", "NUMBER", "OP", *MARK_OF,
        }  # fmt: skip
        self.budget = budget
        self.start = lark.parse_interactive("")
        silent = copy.copy(self.start.parser_state.parse_conf)
        silent.callbacks = {}
        self.start.parser_state.parse_conf = silent

    def fresh(self) -> InteractiveParser:
        return copied(self.start)

    def terminal(self, at: InteractiveParser, piece: Piece) -> str:
        """A piece's terminal in a state, as the contextual lexer has it; empty where the state takes none."""
        choices = choices_of(at)
        if piece.kind != "word":
            return piece.kind if piece.kind in choices else ""
        keyword = piece.text.upper()
        if piece.text.islower() and keyword in self.keywords and keyword in choices:
            return keyword
        return "NAME" if "NAME" in choices else ""

    def step(self, at: InteractiveParser, piece: Piece) -> str:
        """Feed a piece; its terminal, or nothing where the state does not take it (and is then of no more use)."""
        terminal = self.terminal(at, piece)
        if not terminal:
            return ""
        try:
            at.feed_token(Token(terminal, piece.text))
        except UnexpectedToken:
            return ""
        return terminal

    def is_misread(self, terminal: str, piece: Piece) -> bool:
        """Whether a keyword that stands between parts of a clause, or where one begins, was taken for a name."""
        if terminal != "NAME":
            return False
        return piece.text in LINKS or (piece.apart and piece.text.upper() in self.keywords)

    def ends(self, at: InteractiveParser) -> bool:
        try:
            at.feed_eof()  # type: ignore[no-untyped-call]
        except UnexpectedToken:
            return False
        return True

    def run(self, at: InteractiveParser, pieces: Iterator[Piece], most: int) -> tuple[int, int]:
        """Feed pieces from a state: how many were taken (-1 for all, to the end), and how many keywords that begin a
        line were taken for names.
        """
        taken = misread = 0
        for piece in pieces:
            if taken >= most:
                break
            terminal = self.step(at, piece)
            if not terminal:
                self.budget.tokens -= taken + 1
                return taken, misread
            misread += self.is_misread(terminal, piece)
            taken += 1
        else:
            if not self.ends(at):
                self.budget.tokens -= taken + 1
                return taken, misread
        self.budget.tokens -= taken + 1
        return -1, misread
