"""Texts that satisfy what conditions say of them: words, lines, characters and tokens counted, patterns met or avoided.

Counts are met by construction. A text of w words, l lines, c characters and t tokens (of the `simple` tokenizer)
exists exactly where

- w = l = c = t = 0 (the empty text), or
- w = t = 0 and 1 <= l <= c (white space), or
- w >= 1, l >= 1, w <= t and t + max(w - 1, l - 1) <= c: at least a gap between words and a break between lines; words
  of n characters make from ceil(n / 8) to n tokens, and white space fills up the rest.

so the solver picks the four numbers and builds. Patterns have no such form: `dataforge.testing.patterns` makes texts that
match one, with room to grow until the counts fit, and what it makes is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dataforge.domain.measures import MEASURES
from dataforge.domain.values import Numbers, Symbols, interval
from dataforge.testing.choices import Chooser, pick
from dataforge.testing.numbers import Span, spans

WHOLE = interval(0, integer=True)
MORE_WORDS, MORE_CHARS = 12, 60
"""How far beyond the least that is asked for a text may go, where nothing bounds it."""

WORDS = (
    "a",
    "salt",
    "the",
    "Paris",
    "two",
    "water",
    "of",
    "Ångström",
    "日本",
    "x²",
    "it's",
    "1,000",
    "(see",
    "{{",
    "}}",
    "{%",
    "</think>",
    "<b>",
    "&amp;",
    "\\n",
    "“so”",
    "—",
    "🧂",
    "null",
    "-0",
    "%s",
    "ﬁ",
    "é",
)
"""Words for texts: plain ones first, then those that break things."""
SAMPLES = (
    "",
    "a",
    "What is salt?",
    "Salt dissolves in water. It was mined near the sea.",
    " ",
    "First line.\nSecond line.\n",
    "{{ 7 * 7 }} {% if x %}",
    "</think><script>alert(1)</script>",
    "日本語のテキスト、🧂!",
    "null",
    "\u202eright to left",
    "word " * 80,
    '{"answer": 42}',
)
"""Texts for fields of which nothing is asked."""
_LETTERS = ("a", "e", "Z", "é", "日", "7", "_")
_MARKS = ("!", ".", "-", "“", "🧂", "{", "<")
_SPACES = (" ", "\t", "\u00a0")


@dataclass(frozen=True)
class TextRule:
    """What is asked of one text.

    Attributes:
        words, lines, chars, tokens: how many there may be, or None where nothing is said.
        only: the texts that it may be, where they are listed.
        never: texts that it may not be.
        found, missing: patterns that must and must not match.
    """

    words: Numbers | None = None
    lines: Numbers | None = None
    chars: Numbers | None = None
    tokens: Numbers | None = None
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def accepts(self, text: str) -> bool:
        """Whether a text is as asked."""
        return (
            (self.only is None or text in self.only)
            and text not in self.never
            and all(MEASURES[name](text) in values for name, values in self.counts.items())
            and all(re.search(pattern, text) for pattern in self.found)
            and not any(re.search(pattern, text) for pattern in self.missing)
        )

    def with_counts(self, counts: Mapping[str, Numbers]) -> TextRule:
        """A rule that asks for these counts and nothing else."""
        return TextRule(counts.get("words"), counts.get("lines"), counts.get("chars"), counts.get("tokens"))

    @property
    def counts(self) -> dict[str, Numbers]:
        asked = {"words": self.words, "lines": self.lines, "chars": self.chars, "tokens": self.tokens}
        return {name: values for name, values in asked.items() if values is not None}


@dataclass(frozen=True)
class _Shape:
    """One choice of stretches for the four counts that has a solution; `kind` as the module's list has them."""

    kind: str
    words: Span
    lines: Span
    chars: Span
    tokens: Span
    counts_tokens: bool = field(default=False)


def writer(rule: TextRule) -> Callable[[Chooser], str] | None:
    """A function that writes texts for the rule; None where the counts alone exclude every text.

    What it writes satisfies the counts, unless patterns are asked for; then it is a good guess, which the caller checks
    with `rule.accepts`.
    """
    if rule == TextRule():
        return lambda chooser: pick(chooser, SAMPLES)
    if rule.only is not None:
        fitting = sorted((text for text in rule.only if rule.accepts(text)), key=lambda t: (len(t), t))
        return (lambda chooser: pick(chooser, fitting)) if fitting else None
    shapes = _shapes(rule)
    if not shapes:
        return None
    if rule.found:
        from dataforge.testing.patterns import matching_writer

        return matching_writer(rule)
    return lambda chooser: _avoiding(rule, _build(pick(chooser, shapes), chooser), chooser)


def counted_text(rule: TextRule, chooser: Chooser) -> str | None:
    """A text with the rule's counts, whatever its other demands; None where there is none."""
    shapes = _shapes(rule)
    return _build(pick(chooser, shapes), chooser) if shapes else None


def shifted(values: Numbers, by: int) -> Numbers:
    """Each number of a set less `by`, those from 0 on."""
    return Numbers(tuple((value - by, side) for value, side in values.cuts), True) & WHOLE


def distance(rule: TextRule, text: str) -> int:
    """By how much a text misses what is asked, 0 where it fits: what its counts lack, and one for each other fault."""
    missed = (text in rule.never) + sum(not re.search(pattern, text) for pattern in rule.found)
    missed += sum(re.search(pattern, text) is not None for pattern in rule.missing)
    for name, values in rule.counts.items():
        count = MEASURES[name](text)
        if count not in values:
            missed += min(
                min(abs(count - low), abs(count - high) if high is not None else abs(count - low))
                for low, high in spans(values)
            )
    return missed


def _shapes(rule: TextRule) -> list[_Shape]:
    """Every choice of stretches that some text fits, the simplest kinds last in the order of the module's list."""

    def of(values: Numbers | None) -> list[Span]:
        return spans(values) if values is not None else [(0, None)]

    found = []
    for words in of(rule.words):
        for lines in of(rule.lines):
            for chars in of(rule.chars):
                for tokens in of(rule.tokens):
                    for kind in ("text", "blank", "empty"):
                        shape = _Shape(kind, words, lines, chars, tokens, rule.tokens is not None)
                        if _fits(shape):
                            found.append(shape)
    return found


def _fits(shape: _Shape) -> bool:
    words, lines, chars, tokens = shape.words[0], shape.lines[0], shape.chars[0], shape.tokens[0]
    if shape.kind == "empty":
        return words == lines == chars == tokens == 0
    lines = max(1, lines)
    if not _at_most(lines, shape.lines[1]):
        return False
    if shape.kind == "blank":
        return words == tokens == 0 and _at_most(max(lines, chars), shape.chars[1])
    words = max(1, words)
    tokens = max(tokens, words)
    return (
        _at_most(words, shape.words[1])
        and _at_most(tokens, shape.tokens[1])
        and _at_most(tokens + max(words - 1, lines - 1), shape.chars[1])
    )


def _at_most(value: int, most: int | None) -> bool:
    return most is None or value <= most


def _up_to(least: int, *bounds: int | None, more: int) -> int:
    """The most to choose from: the bounds, or `more` beyond the least where they are far."""
    return max(least, min([least + more, *(b for b in bounds if b is not None)]))


def _build(shape: _Shape, chooser: Chooser) -> str:
    if shape.kind == "empty":
        return ""
    c_most = shape.chars[1]
    lines = max(1, shape.lines[0])
    if shape.kind == "blank":
        lines = chooser.integer(lines, _up_to(lines, shape.lines[1], c_most, more=2))
        least = max(lines, shape.chars[0])
        chars = chooser.integer(least, _up_to(least, c_most, more=4))
        return "\n" * (lines - 1) + pick(chooser, _SPACES) * (chars - lines + 1)
    w_least = max(1, shape.words[0])
    t_least = max(shape.tokens[0], w_least)
    room = None if c_most is None else c_most - max(t_least, w_least)
    lines = chooser.integer(lines, _up_to(lines, shape.lines[1], None if room is None else room + 1, more=3))
    w_most = None if c_most is None else _most_words(c_most, t_least, lines)
    words = chooser.integer(
        w_least, _up_to(w_least, shape.words[1], shape.tokens[1], w_most, more=max(MORE_WORDS, w_least // 4))
    )
    breaks = max(words - 1, lines - 1)
    if shape.counts_tokens:
        inner = _counted_words(shape, words, breaks, chooser)
    else:
        inner = _free_words(shape, words, breaks, chooser)
    written = sum(map(len, inner))
    spaces = breaks if written + breaks >= shape.chars[0] else shape.chars[0] - written
    return _joined(inner, lines, spaces, pick(chooser, _SPACES))


def _most_words(chars: int, tokens: int, lines: int) -> int:
    """The most words w with max(tokens, w) + max(w - 1, lines - 1) <= chars."""
    most = chars - tokens + 1
    if most > tokens:
        most = (chars + 1) // 2
    if lines - 1 > most - 1:
        most = chars - (lines - 1)
    return most


def _free_words(shape: _Shape, count: int, breaks: int, chooser: Chooser) -> list[str]:
    """Words of any kind, no more characters than there is room for, and as many as are asked for."""
    c_least, c_most = shape.chars
    budget = None if c_most is None else c_most - breaks
    start = chooser.integer(0, len(WORDS) - 1)
    kinds = chooser.integer(1, min(count, len(WORDS)))
    found = [WORDS[(start + i % kinds) % len(WORDS)] for i in range(count)]
    total = sum(map(len, found))
    if budget is not None and total > budget:
        # Too long: one letter each, and the rest of the budget to the first word.
        found = [_LETTERS[i % len(_LETTERS)] for i in range(count)]
        found[0] += _LETTERS[0] * chooser.integer(0, min(MORE_CHARS, budget - count))
        total = sum(map(len, found))
    lacking = c_least - total - breaks
    if lacking > 0:
        each, rest = divmod(lacking, count)
        found = [word + "a" * (each + (i < rest)) for i, word in enumerate(found)]
    return found


def _counted_words(shape: _Shape, count: int, breaks: int, chooser: Chooser) -> list[str]:
    """Words that make a chosen number of tokens: pieces of up to eight letters, then single marks."""
    c_least, c_most = shape.chars
    t_least = max(shape.tokens[0], count)
    room = None if c_most is None else c_most - breaks
    tokens = chooser.integer(t_least, _up_to(t_least, shape.tokens[1], room, more=MORE_WORDS))
    most = 8 * tokens if room is None else min(8 * tokens, room)
    least = min(most, max(tokens, c_least - breaks))
    extra = chooser.integer(least, min(most, least + MORE_CHARS)) - tokens
    full, part = divmod(extra, 7)
    letter, mark = pick(chooser, _LETTERS), pick(chooser, _MARKS)
    sizes = ([8] * full + [1 + part] * (full < tokens))[:tokens]
    sizes += [1] * (tokens - len(sizes))
    first = tokens - count + 1  # of the pieces, those that make up the first word
    pieces = [letter * size if size > 1 else mark for size in sizes[:first]]
    return ["".join(pieces), *(letter * size for size in sizes[first:])]


def _joined(words: Sequence[str], lines: int, spaces: int, space: str) -> str:
    """The words with `spaces` characters of white space between and before them, on so many lines."""
    gaps = [""] * len(words)  # before each word
    inner = len(words) - 1
    breaks = lines - 1
    for i in range(1, len(words)):
        gaps[i] = "\n" if i > inner - breaks else space
    left = spaces - inner
    more_breaks = max(0, breaks - inner)
    gaps[0] = "\n" * more_breaks
    where = 1 if inner else 0
    gaps[where] = gaps[where] + space * (left - more_breaks)
    return "".join(gap + word for gap, word in zip(gaps, words, strict=True))


# ---- avoiding what may not be

_ALPHABETS = ("a", "Z", "7", "é", "-", "日", "\u00a7", "q", "_", "🧂")


def _avoiding(rule: TextRule, text: str, chooser: Chooser) -> str:
    """The text, or one of the same counts in other characters, where it is one that may not be."""
    if not rule.never and not rule.missing:
        return text
    if _allowed(rule, text):
        return text
    start = chooser.integer(0, len(_ALPHABETS) - 1)
    for shift in range(len(_ALPHABETS)):
        letter = _ALPHABETS[(start + shift) % len(_ALPHABETS)]
        swapped = "".join(c if c.isspace() else letter for c in text)
        if rule.accepts(swapped):
            return swapped
        for at in range(min(len(text), 3)):
            if not text[at].isspace():
                changed = text[:at] + letter + text[at + 1 :]
                if rule.accepts(changed):
                    return changed
    for space in ("\t", "\u00a0", " ", "\u3000"):
        changed = "".join(space if c.isspace() and c != "\n" else c for c in text)
        if rule.accepts(changed):
            return changed
    return text


def _allowed(rule: TextRule, text: str) -> bool:
    return text not in rule.never and not any(re.search(pattern, text) for pattern in rule.missing)


def without(values: Symbols) -> tuple[frozenset[str] | None, frozenset[str]]:
    """A set of texts as (only, never)."""
    texts = frozenset(v for v in values.items if isinstance(v, str))
    return (None, texts) if values.cofinite else (texts, frozenset())
