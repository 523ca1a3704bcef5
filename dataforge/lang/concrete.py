"""Text → its concrete tree: every token and every comment as written, cut into the parts that get lines of their own.

The syntax tree (`syntax.py`) says what a file means and forgets how it was said. This one forgets nothing: spellings of
numbers, escapes, brackets, comments and empty lines are all there, which is what a formatter needs. It knows no rule of
the grammar by name where it can help it: whatever stands between the braces of any rule is a part, and the rest of a
rule is a run of tokens. So a clause that is added to the grammar is formatted without a change here.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import lark
from lark import Lark

from dataforge.lang.collection import held_collection
from dataforge.lang.parse import grammar_text

BLANKS = " \t\r\f"
"""What the grammar ignores, besides line ends and comments."""


class Comment(NamedTuple):
    """A comment on a line of its own; `blank` says whether an empty line stands above it."""

    text: str
    blank: bool


@dataclass(slots=True)
class Token:
    """One token, with the comments around it.

    `gap` is how many spaces stand before it where its line goes on: 0 where it clings to the token before. `above` are
    the comments on the lines before it, `blank` says whether an empty line stands right above it, `is_below` whether a
    line ended before it, and `beside` is the comment that ends its line.
    """

    kind: str
    text: str
    start: int
    end: int
    gap: int = 1
    is_below: bool = False
    blank: bool = False
    above: tuple[Comment, ...] = ()
    beside: str = ""

    @property
    def is_tall(self) -> bool:
        return self.kind == "DOC" and "\n" in self.text


@dataclass(slots=True)
class Part:
    """What gets a line of its own: an item, a clause, a setting, a field; perhaps with parts of its own in braces.

    `head` ends with the opening bracket where there is a `close`.
    """

    rule: str
    head: list[Token]
    parts: list[Part] = field(default_factory=list)
    close: Token | None = None
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = 1 + max((part.depth for part in self.parts), default=0)

    def tokens(self) -> Iterator[Token]:
        """All of its tokens, in the order of the text."""
        waiting: list[Part | Token] = [self]
        while waiting:
            piece = waiting.pop()
            if isinstance(piece, Token):
                yield piece
                continue
            yield from piece.head
            if piece.close is not None:
                waiting.append(piece.close)
            waiting.extend(reversed(piece.parts))


def read_concrete(text: str) -> Part:
    """The concrete tree of a text that parses: the file as one part, whose parts are its items.

    Its `close` is an empty token at the end of the text, which has the comments after the last item above it.

    Raises:
        lark.exceptions.UnexpectedInput: where the text does not parse.
    """
    with held_collection():
        file: Any = _parser().parse(text)
        assert isinstance(file, Part)
        file.close = Token("$END", "", len(text), len(text))
        _attach_comments(text, file)
    return file


@functools.cache
def _parser() -> Lark:
    rule_done: Any = _rule_done  # Lark calls it as it would call the class of its own trees
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        keep_all_tokens=True,
        maybe_placeholders=False,
        tree_class=rule_done,
    )


# ---- what Lark calls as it reduces


_GAPS = {",": 0, ":": 0, "?": 0, ")": 0, "]": 0}
"""How far a token stands from the one before it, where that is not one space."""
_CLINGS_AFTER = frozenset("([")
_RANGES = frozenset(("range_both", "range_low", "range_high", "range_open"))
_CALLS = frozenset(("func", "predicate", "verify", "type_list"))
"""Rules whose bracket clings to the name before it."""


def _rule_done(rule: str, children: list[Any]) -> Part | list[Token] | lark.Tree[Any]:
    if rule.startswith("__"):  # Lark's own rule for a repetition, whose children it takes out again
        return lark.Tree(rule, children)
    if rule == "start":
        return Part(rule, [], [_part("item", child) for child in children])
    opener = _OPENERS.get(rule, "{")
    if opener and any(type(child) is lark.Token and child == opener for child in children):
        return _with_parts(rule, children, opener)
    if type(children[-1]) is Part:  # `name = { … }`: the name joins the head
        inner: Part = children[-1]
        return Part(inner.rule, [*_run(rule, children[:-1]), *inner.head], inner.parts, inner.close)
    return _run(rule, children)


_OPENERS = {"set": "", "list_inline": "["}
"""The bracket of the rules whose parts are not in braces; the braces of a set of values hold no parts."""


def _with_parts(rule: str, children: list[Any], opener: str) -> Part:
    at = next(i for i, child in enumerate(children) if type(child) is lark.Token and child == opener)
    head = _run(rule, children[: at + 1])
    parts: list[Part] = []
    loose: list[lark.Token] = []
    for child in children[at + 1 : -1]:
        if loose and opener == "{":  # `accept` and its condition are no rule of their own
            parts.append(Part(rule, _run(rule, [*loose, child])))
            loose = []
        elif type(child) is not lark.Token:
            parts.append(_part(rule, child))
        elif opener == "[":  # the comma after an entry
            parts[-1].head.append(_token(child))
        else:
            loose.append(child)
    if loose:
        parts.append(Part(rule, _run(rule, loose)))
    return Part(rule, head, parts, _token(children[-1]))


def _part(rule: str, child: Any) -> Part:
    return child if type(child) is Part else Part(rule, child)


def _run(rule: str, children: list[Any]) -> list[Token]:
    """One run of tokens, made in the first child's own list: a chain of a thousand `or`s takes no thousand copies."""
    first = children[0]
    run: list[Token] = first if type(first) is list else [_token(first)]
    if len(children) == 1:
        return run
    bracket_clings = rule in _CALLS
    range_clings = rule in _RANGES
    for child in children[1:]:
        more = child if type(child) is list else [_token(child)]
        if (
            run[-1].text in _CLINGS_AFTER
            or range_clings
            or (bracket_clings and more[0].text in _CLINGS_AFTER and child is not more)
        ):
            more[0].gap = 0
        run += more
    if rule == "set":
        run[1].gap = run[-1].gap = 0
    return run


def _token(token: lark.Token) -> Token:
    kind, text = token.type, token.value
    if kind == "DOTTED":
        text = "".join(text.split())
    elif kind == "DOC" and "\n" not in text:
        text = _one_line_doc(text)
    gap = 2 if kind == "REASONING" else _GAPS.get(text, 1)
    return Token(kind, text, token.start_pos, token.end_pos, gap)  # type: ignore[arg-type]


# ---- triple-quoted texts


def doc_value(written: str) -> str:
    """What a triple-quoted text says: without its quotes, dedented, as the parser reads it."""
    text = textwrap.dedent(written[3:-3])
    return text.strip("\n") if "\n" in written else text.strip()


def _one_line_doc(written: str) -> str:
    value = doc_value(written)
    if value.startswith('"') or value.endswith('"'):
        return written  # the quotes would run together
    return f'"""{value}"""'


def indented_doc(written: str, indent: int, close: int) -> str:
    """A text of several lines, its lines indented by `indent` spaces and its closing quotes by `close`.

    It is left as it stands where that would change what it says.
    """
    value = doc_value(written)
    if not value:
        return '""""""'
    lines = [" " * indent + line if line else "" for line in value.split("\n")]
    text = "\n".join(['"""', *lines, " " * close + '"""'])
    return text if doc_value(text) == value else written


# ---- comments


def _attach_comments(text: str, file: Part) -> None:
    before: Token | None = None
    end = 0
    for token in file.tokens():
        gap = text[end : token.start]
        if "\n" in gap or "#" in gap:
            _attach(gap, before, token)
        before, end = token, token.end


def _attach(gap: str, before: Token | None, after: Token) -> None:
    """Give what stands between two tokens to the one that it belongs to."""
    above: list[Comment] = []
    blank = False
    lines = gap.split("\n")
    for number, line in enumerate(lines):
        comment = line.strip(BLANKS)
        if comment and number == 0 and before is not None:
            before.beside = comment
        elif comment:
            above.append(Comment(comment, blank))
            blank = False
        elif number < len(lines) - 1 and (number > 0 or before is None):
            blank = True
    after.above, after.blank, after.is_below = tuple(above), blank, len(lines) > 1
