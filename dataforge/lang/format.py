"""Text → the same program in its one canonical layout; docs/formatting.md shows the rules.

Works on the concrete tree, so nothing written is lost, and each rule is a function of the tree alone: which tokens
there are, which comments, where empty lines stood, and which braces were closed on the line that opened them. All else
about the old layout is forgotten, which is why formatting twice changes nothing.

A part (an item, a clause, a setting, a field) goes on one line where it fits; where it has braces they stay on one
line if they were written so. What is too long is broken where breaking costs least: at commas first, then before `or`,
then before `and`, inside brackets last.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lark.exceptions import UnexpectedInput

from dataforge.lang.build import MAX_DEPTH
from dataforge.lang.concrete import Part, Token, indented_doc, read_concrete
from dataforge.lang.diagnostics import Report, Source
from dataforge.lang.parse import parse
from dataforge.lang.syntax import LANGUAGE_VERSION

WIDTH = 110
INDENT = 2
MOST_PADDED = 24
"""A longer name is not waited for: one outlier would push a whole column away."""
MOST_SPREAD = 30
"""Comments beside lines whose lengths differ by more than this stand beside their lines, not in a column."""


def format_text(text: str, name: str = "<text>") -> str:
    """The canonical form of a `.forge` text.

    Args:
        text: the file's text; a byte-order mark and carriage returns are read as the compiler reads them.
        name: the file's name, for diagnostics.

    Returns:
        A text with the same syntax tree, the same comments in the same places, and one newline at its end.

    Raises:
        CompileError: where the text does not parse, or is of another version of the language, with every diagnostic.
    """
    text = as_read(text)
    lines = _parts(_read(text, name), 0)
    _align_comments(lines)
    return "".join(line.whole() + "\n" for line in lines)


def as_read(text: str) -> str:
    """The text as the compiler reads it from a file: no byte-order mark, and `\\n` for every line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _read(text: str, name: str) -> Part:
    """The concrete tree, or the parser's diagnostics: it is asked only where there is something to complain of."""
    try:
        file = read_concrete(text)
    except UnexpectedInput:
        file = None
    if file is None or file.depth > MAX_DEPTH or not _is_of_our_version(file):
        report = Report()
        parse(Source(name, text), report)
        report.raise_if_errors()
    assert file is not None, "the parser and the concrete tree disagree about what parses"
    return file


def _is_of_our_version(file: Part) -> bool:
    first = file.parts[0].head if file.parts else []
    return not first or first[0].kind != "FORGE" or first[1].text == str(LANGUAGE_VERSION)


@dataclass(slots=True)
class _Line:
    """A line to be: its code (of several lines where it ends in a triple-quoted text), and the comment beside it."""

    code: str
    comment: str = ""
    padding: int = 2

    def whole(self) -> str:
        return f"{self.code}{' ' * self.padding}{self.comment}" if self.comment else self.code


# ---- parts under one another


def _parts(whole: Part, indent: int) -> list[_Line]:
    """The lines of all parts of a part, with the comments and empty lines between them."""
    _pad(whole)
    lines: list[_Line] = []
    was_tall = False
    for part in whole.parts:
        own = _part(part, indent)
        is_tall = part.close is not None and len(own) > 1
        first = part.head[0]
        if lines and whole.rule == "start" and (was_tall or is_tall):
            _separate(first)
        _comments_above(lines, first, indent)
        if first.blank and lines:
            lines.append(_Line(""))
        lines += own
        was_tall = is_tall
    assert whole.close is not None
    _comments_above(lines, whole.close, indent)
    return lines


def _comments_above(lines: list[_Line], token: Token, indent: int) -> None:
    """The comments above a token, and the empty lines above them; no empty line at the top of a block."""
    for comment in token.above:
        if comment.blank and lines:
            lines.append(_Line(""))
        lines.append(_Line(" " * indent + comment.text))


def _separate(first: Token) -> None:
    """See that an empty line stands somewhere above an item."""
    if first.blank or any(comment.blank for comment in first.above):
        return
    if first.above:
        first.above = (first.above[0]._replace(blank=True), *first.above[1:])
    else:
        first.blank = True


_IN_COLUMN = frozenset(
    ["TAKES", "GIVES", "PRE", "POST", "KEEPS", "DRAW", "FROM", "TO", "NODES", "WALK", "STEPS", "SEEDS"]
)  # what a node or a graph is about; steps such as `ask` stand by themselves
_COLUMN = 5


def _pad(whole: Part) -> None:
    """Line up what stands under one another: a contract's values, fields, criteria, turns, models."""
    rule, parts = whole.rule, whole.parts
    if rule in ("node", "graph"):
        for part in parts:
            first = part.head[0]
            if first.kind in _IN_COLUMN:
                part.head[1].gap = 1 + _COLUMN - len(first.text)
    elif rule == "struct":
        _pad_names([part for part in parts if len(part.head) > 1], after=2)  # the name and its colon
    elif rule in ("given", "given_object", "emit_turns"):
        _pad_names(parts)
    elif rule == "rubric":
        _pad_names([part for part in parts if part.head[0].kind not in ("ACCEPT", "DOC")])
    elif rule == "start":
        models = ("GENERATOR", "JUDGE")
        for is_model, run in itertools.groupby(parts, key=lambda part: part.head[0].kind in models):
            if is_model:
                _pad_names(list(run))


def _pad_names(parts: Sequence[Part], after: int = 1) -> None:
    lengths = [len(part.head[0].text) for part in parts]
    column = max((length for length in lengths if length <= MOST_PADDED), default=0)
    for part, length in zip(parts, lengths, strict=True):
        part.head[after].gap = 1 + max(0, column - length)


# ---- one part


def _part(part: Part, indent: int) -> list[_Line]:
    if part.close is None:
        return _run(part.head, indent)
    if _may_be_one_line(part):
        code = " " * indent + _flat_part(part)
        if len(code) <= WIDTH:
            return [_Line(code, part.close.beside)]
    lines = _run(part.head, indent)
    lines += _parts(part, indent + INDENT)
    lines.append(_Line(" " * indent + part.close.text, part.close.beside))
    return lines


def _may_be_one_line(part: Part) -> bool:
    """Whether the braces were closed on the line that opened them, and no comment would be swallowed."""
    assert part.close is not None
    if part.head[-1].beside or part.close.above or _has_comments(part.head):
        return False
    if not part.parts:
        return True
    inside = itertools.chain(*(inner.tokens() for inner in part.parts))
    return not part.close.is_below and not any(token.is_below or token.is_tall for token in inside)


def _has_comments(run: Sequence[Token]) -> bool:
    """Whether a comment stands between the tokens of a run."""
    return any(token.above for token in run[1:]) or any(token.beside for token in run[:-1])


def _flat_part(part: Part) -> str:
    head = _flat(part.head)
    if part.close is None:
        return head
    if part.head[-1].text == "[":
        return f"{head}{' '.join(map(_flat_part, part.parts))}{part.close.text}"
    inside = "  ".join(map(_flat_part, part.parts))
    return f"{head} {inside} {part.close.text}" if inside else head + part.close.text


def _flat(run: Iterable[Token]) -> str:
    return "".join(" " * token.gap + token.text for token in run).lstrip(" ")


# ---- a run of tokens


_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_HANGING = _IN_COLUMN | {"EXPECT", "ACCEPT"}
"""Words whose values go on below the first value; all else goes on four spaces further in."""


def _run(run: list[Token], indent: int) -> list[_Line]:
    """A run of tokens on one line; on several where it is too long, or where comments part it."""
    if not _has_comments(run) and not any(token.is_tall for token in run):
        code = " " * indent + _flat(run)
        if len(code) <= WIDTH:
            return [_Line(code, run[-1].beside)]
    inner = indent if len(run) == 1 else indent + INDENT
    for token in run:
        if token.is_tall:
            token.text = indented_doc(token.text, inner, indent)
    below = indent + 2 * INDENT
    if indent and run[0].kind in _HANGING and len(run) > 1:
        below = indent + len(run[0].text) + run[1].gap
    costs = _costs(run)
    lines: list[_Line] = []
    start = 0
    for end in range(1, len(run) + 1):
        if end < len(run) and not run[end].above and not run[end - 1].beside:
            continue
        lines += [_Line(" " * below + comment.text) for comment in run[start].above if start]
        filled = _Filled(" " * (below if start else indent))
        filled.add(run[start:end], costs[start:end], below)
        lines += [_Line(code) for code in filled.lines]
        lines[-1].comment = run[end - 1].beside
        start = end
    return lines


_NEVER = 10**6
_PER_BRACKET = 10
_COSTS = {
    "WHERE": 1,
    "EXCEPT": 1,
    "REASONING": 1,
    "IMPORT": 1,
    "OR": 2,
    "AND": 3,
    "VBAR": 3,
    "IN": 11,
    "NOT": 11,
}
"""By kind of token; `x in {…}` is sooner broken in its braces. A level of brackets costs 10."""
_LEADING = {"OR": _NEVER, "AND": _NEVER, "VBAR": _NEVER, "NOT": 19, "HAS": 19}
"""What may begin a line and hardly ever ends one, by kind of the token before."""


def _costs(run: Sequence[Token]) -> list[int]:
    """What a line break before each token costs: the less, the sooner a line is broken there."""
    costs = [_NEVER]
    depth = 0
    for before, token in itertools.pairwise(run):
        if before.text in _OPENING:
            depth += _PER_BRACKET
        if token.text in _CLOSING:
            depth -= _PER_BRACKET
        if token.gap == 0:
            cost = 9 if before.text in _OPENING and token.text not in _CLOSING else _NEVER
        elif before.text == ",":
            cost = 0
        elif before is run[0] or token.text in _OPENING:
            cost = _NEVER  # a keyword keeps its first value, and a bracket stays with what it belongs to
        else:
            cost = _LEADING.get(before.kind) or _COSTS.get(token.kind, 5)
        costs.append(depth + cost if cost < _NEVER else _NEVER)
    return costs


class _Filled:
    """Lines that are filled up with tokens, never past the width where a break can help it."""

    def __init__(self, start: str) -> None:
        self.lines = [start]
        self._is_empty = True  # nothing but indentation on the last line

    def add(self, run: Sequence[Token], costs: Sequence[int], below: int) -> None:
        """Add a run, breaking it where that costs least; `below` is how far its further lines are indented.

        The run fits on the last line, or that line is empty.
        """
        cheapest = min(costs[1:], default=_NEVER)
        if cheapest == _NEVER or self._fits(run):
            gap = 0 if self._is_empty else run[0].gap
            self.lines[-1] += " " * gap + _flat(run)
            self._is_empty = False
            return
        cuts = [0, *(i for i in range(1, len(run)) if costs[i] == cheapest), len(run)]
        deeper = min(below + INDENT, WIDTH // 2)
        was_broken = False
        for start, end in itertools.pairwise(cuts):
            piece = run[start:end]
            if start and (was_broken or not self._fits(piece)):
                self.lines.append(" " * below)
                self._is_empty = True
            lines = len(self.lines)
            self.add(piece, costs[start:end], deeper)
            was_broken = len(self.lines) > lines

    def _fits(self, run: Sequence[Token]) -> bool:
        """Whether a run may stand on the last line; lines inside triple-quoted texts are as long as they are."""
        column = len(self.lines[-1].rpartition("\n")[2])
        for token in run:
            first, below, rest = token.text.partition("\n")
            gap = 0 if self._is_empty and token is run[0] else token.gap
            column += gap + len(first)
            if column > WIDTH:
                return False
            if below:
                column = len(rest.rpartition("\n")[2])
        return True


# ---- comments beside lines


def _align_comments(lines: list[_Line]) -> None:
    """Put the comments beside lines that stand under one another into one column."""
    section: list[_Line] = []
    depth = -1
    for line in [*lines, _Line("  # end")]:
        if not line.code:
            continue
        bare = line.code.lstrip(" ")
        alone = bare[0] in "#}]" or bare[-1] in "{[" or "\n" in bare
        if alone or len(line.code) - len(bare) != depth:
            _in_column(section)
            section = []
            depth = -1 if alone else len(line.code) - len(bare)
        if line.comment and not alone:
            section.append(line)


def _in_column(lines: list[_Line]) -> None:
    lengths = [len(line.code) for line in lines]
    if len(lines) < 2 or max(lengths) - min(lengths) > MOST_SPREAD:
        return
    column = max(lengths) + 2
    if all(column + len(line.comment) <= WIDTH for line in lines):
        for line, length in zip(lines, lengths, strict=True):
            line.padding = column - length
