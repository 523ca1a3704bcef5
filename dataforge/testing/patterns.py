"""Texts that match a regular expression, and can grow until their counts fit.

A pattern's parse tree (Python's own) is walked once for a text. Whatever may repeat over a class of characters (`.*`,
`[^:]+`, `\\w{2,}`), and the text before and after a pattern that is not anchored, becomes a *gap*: it holds as little
as it may at first, and takes words, letters, marks, spaces and breaks of its class until the counts are met. Patterns
are joined one after another, those tied to the start first and those tied to the end last.

Look-around, conditionals and back references are written as if they always held; what comes out is checked, and tried
again with other choices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from re import _constants as _sre
from re import _parser as _re_parser
from typing import Any

from dataforge.domain.measures import MEASURES
from dataforge.testing.choices import Chooser, perhaps, pick
from dataforge.testing.texts import TextRule, counted_text, distance, shifted

sre: Any = _sre  # private, untyped, and there in every Python from 3.11 on
Test = Callable[[str], bool]
"""Whether a character is of a class."""

_USUAL = "aeZt7é_-.?!,:' \"\n\t日🧂()[]{}</>\\0%@#&*+=;|~^$`"
"""Characters to look for in a class, the plainest first."""
MOST_ROUNDS = 24


@dataclass
class _Gap:
    """A place that can grow: characters of one class, from `least` to `most` of them."""

    test: Test
    least: int
    most: int | None
    text: str = ""


Piece = str | _Gap


def matching_writer(rule: TextRule) -> Callable[[Chooser], str]:
    """A function that writes texts which match the rule's patterns, and mostly meet its counts."""
    trees = [_re_parser.parse(pattern) for pattern in rule.found]
    trees.sort(key=_anchoring)
    # Patterns of which several are tied to one end cannot stand one after another: then one alone is the frame.
    frames = [[tree] for tree in trees]
    if len(trees) > 1:
        crowded = (
            sum(_tied(t, start=True) for t in trees) > 1 or sum(_tied(t, start=False) for t in trees) > 1
        )
        frames = [*frames, trees] if crowded else [trees, *frames]

    def write(chooser: Chooser) -> str:
        if perhaps(chooser):  # a loose pattern leaves the counts alone to decide
            text = counted_text(rule, chooser)
            if text is not None and rule.accepts(text):
                return text
        pieces = _compose(pick(chooser, frames), chooser)
        _fit(rule, pieces, chooser)
        return _text(pieces)

    return write


def _anchoring(tree: Any) -> int:
    """0 for a pattern tied to the start, 2 for one tied to the end only, 1 for others."""
    if _tied(tree, start=True):
        return 0
    return 2 if _tied(tree, start=False) else 1


def _tied(tree: Any, *, start: bool) -> bool:
    items = list(tree)
    while items:
        op, value = items[0 if start else -1]
        if op is sre.AT:
            wanted = (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING) if start else (sre.AT_END, sre.AT_END_STRING)
            return value in wanted
        if op is not sre.SUBPATTERN:
            return False
        items = list(value[3])
    return False


def _compose(trees: list[Any], chooser: Chooser) -> list[Piece]:
    pieces: list[Piece] = []
    for number, tree in enumerate(trees):
        if number or not _tied(tree, start=True):
            pieces.append(_Gap(_any, 0, None, " " if number else ""))
        walker = _Walker(tree.state.flags, chooser)
        walker.sequence(tree)
        pieces.extend(walker.pieces)
    if not _tied(trees[-1], start=False):
        pieces.append(_Gap(_any, 0, None))
    return pieces


class _Walker:
    """Writes one text for one parse tree."""

    def __init__(self, flags: int, chooser: Chooser) -> None:
        self.flags = flags
        self.chooser = chooser
        self.pieces: list[Piece] = []
        self.groups: dict[int, str] = {}

    def sequence(self, tree: Iterable[tuple[Any, Any]]) -> None:
        for op, value in tree:
            self._item(op, value)

    def _item(self, op: Any, value: Any) -> None:
        if op is sre.BRANCH:
            self.sequence(pick(self.chooser, value[1]))
        elif op is sre.SUBPATTERN:
            self._group(value)
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            self._repeat(*value)
        elif op is sre.ATOMIC_GROUP:
            self.sequence(value)
        elif op is sre.ASSERT:
            if value[0] > 0:
                pass  # a look ahead: what follows must satisfy it too, which is tried
        elif op is sre.GROUPREF:
            self.pieces.append(self.groups.get(value, ""))
        elif op is sre.GROUPREF_EXISTS:
            _, yes, no = value
            self.sequence(yes if value[0] in self.groups else no or ())
        elif op is sre.AT:
            if value in (sre.AT_BEGINNING, sre.AT_END) and self.flags & re.MULTILINE and self.pieces:
                self.pieces.append("\n" if value is sre.AT_BEGINNING else "")
        elif op is not sre.ASSERT_NOT:
            self.pieces.append(self._character(_test(op, value, self.flags)))

    def _group(self, value: Any) -> None:
        number, add, remove, inner = value
        kept, self.flags = self.flags, (self.flags | add) & ~remove
        start = len(self.pieces)
        self.sequence(inner)
        self.flags = kept
        if number is not None:
            self.groups[number] = _text(self.pieces[start:])

    def _repeat(self, least: int, most: Any, inner: Any) -> None:
        top = None if most is sre.MAXREPEAT else int(most)
        items = list(inner)
        if len(items) == 1 and items[0][0] in _SINGLE:
            test = _test(items[0][0], items[0][1], self.flags)
            first = "".join(self._character(test) for _ in range(min(least, 1)))
            self.pieces.append(_Gap(test, least, top, first * least))
            return
        count = self.chooser.integer(least, least + 2 if top is None else min(top, least + 2))
        for _ in range(count):
            self.sequence(inner)

    def _character(self, test: Test) -> str:
        found = [c for c in _USUAL if test(c)]
        if not found:
            found = [chr(code) for code in (*range(0x80), *range(0xA0, 0x2FF)) if test(chr(code))][:8]
        if not found:
            found = [c for c in map(chr, range(0x300, 0xD800, 7)) if test(c)][:8]
        return pick(self.chooser, found) if found else ""


def _text(pieces: Iterable[Piece]) -> str:
    return "".join(p if isinstance(p, str) else p.text for p in pieces)


# ---- classes of characters

_SINGLE = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
_CATEGORIES: dict[Any, str] = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


def _any(_: str) -> bool:
    return True


def _test(op: Any, value: Any, flags: int) -> Test:
    if op is sre.LITERAL:
        return _folded(lambda c: ord(c) == value, flags)
    if op is sre.NOT_LITERAL:
        inner = _folded(lambda c: ord(c) == value, flags)
        return lambda c: not inner(c)
    if op is sre.ANY:
        return _any if flags & re.DOTALL else lambda c: c != "\n"
    if op is not sre.IN:
        return _any
    negate = bool(value) and value[0][0] is sre.NEGATE
    tests = [_member(kind, inner, flags) for kind, inner in value if kind is not sre.NEGATE]
    either = _folded(lambda c: any(test(c) for test in tests), flags)
    return (lambda c: not either(c)) if negate else either


def _member(kind: Any, value: Any, flags: int) -> Test:
    if kind is sre.LITERAL:
        return lambda c: ord(c) == value
    if kind is sre.RANGE:
        return lambda c: value[0] <= ord(c) <= value[1]
    compiled = re.compile(_CATEGORIES[value], flags & re.ASCII)
    return lambda c: compiled.match(c) is not None


def _folded(test: Test, flags: int) -> Test:
    if not flags & re.IGNORECASE:
        return test
    return lambda c: test(c) or any(len(x) == 1 and test(x) for x in (c.lower(), c.upper()))


# ---- growing until the counts fit


def _fit(rule: TextRule, pieces: list[Piece], chooser: Chooser) -> None:
    """Grow the gaps, each time by what brings the counts nearer, until they fit or nothing helps."""
    gaps = [p for p in pieces if isinstance(p, _Gap)]
    if not gaps:
        return
    if distance(rule, _text(pieces)) and _fill(rule, pieces, gaps, chooser):
        return
    letter = pick(chooser, ("a", "e", "t"))
    for _ in range(MOST_ROUNDS):
        left = distance(rule, _text(pieces))
        if not left:
            return
        best: tuple[int, int, _Gap, str] | None = None
        for gap in gaps:
            for order, change in enumerate(_changes(gap, left, letter)):
                if not _holds(gap, change):
                    continue
                before, gap.text = gap.text, change
                tried = (distance(rule, _text(pieces)), order)
                gap.text = before
                if tried[0] < left and (best is None or tried < best[:2]):
                    best = (*tried, gap, change)
        if best is None:
            return
        best[2].text = best[3]


def _fill(rule: TextRule, pieces: list[Piece], gaps: list[_Gap], chooser: Chooser) -> bool:
    """Put a text with just what the counts lack into one gap; whether that was all."""
    broad = [gap for gap in gaps if gap.test("a") and gap.test(" ") and gap.most is None]
    start = chooser.integer(0, max(0, len(broad) - 1))
    for gap in broad[start:] + broad[:start]:
        before = gap.text
        gap.text = before + "  "
        around = _text(pieces)
        lacking = {
            name: shifted(values, MEASURES[name](around) - (name == "lines"))
            for name, values in rule.counts.items()
        }
        text = counted_text(rule.with_counts(lacking), chooser)
        if text is not None:
            kept = "".join(c if gap.test(c) else " " if c.isspace() else "a" for c in text)
            gap.text = f"{before} {kept} "
            if not distance(rule, _text(pieces)):
                return True
        gap.text = before
    return False


def _changes(gap: _Gap, count: int, letter: str) -> list[str]:
    """Texts that the gap might hold instead, larger steps first."""
    text = gap.text
    inside = letter if gap.test(letter) else next((c for c in _USUAL if gap.test(c) and not c.isspace()), "")
    space = next((c for c in " \t\u00a0\n" if gap.test(c)), "")
    mark = next((c for c in ".-!,:;'" if gap.test(c)), "")
    found: list[str] = []
    for n in dict.fromkeys((count, count // 2, count // 4, 1)):
        if not n:
            continue
        if inside and space:
            found += [
                text + (space + inside) * n,
                (inside + space) * n + text,
                text + space + (inside + space) * n,
            ]
            found += [text + space + inside * n, inside * n + space + text]
        if inside:
            found += [text + inside * n]
        if gap.test("\n"):
            found += [text + ("\n" + inside) * n, ("\n") * n + text]
        if mark:
            found += [text + mark * n]
        if space:
            found += [text + space * n]
        found += [text[:-n] if n < len(text) else ""]
    return found


def _holds(gap: _Gap, text: str) -> bool:
    return (
        gap.least <= len(text)
        and (gap.most is None or len(text) <= gap.most)
        and all(gap.test(c) for c in set(text))
    )
