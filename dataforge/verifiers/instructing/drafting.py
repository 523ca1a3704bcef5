"""A draft: everything that a text has promised to be, from which either a text or a conflict comes.

    constraints ──demand──► Draft ──settle──► Plan ──writing.write──► text

A constraint promises ranges (words, sentences), pieces (keywords, placeholders), places (the first word of a paragraph)
and features. Two conflict where a place is taken, a range is empty, one has a feature that the other bars, or the
numbers do not add up. So whatever can't be written is a conflict, and whatever is none can be written. The converse is
not claimed: a clever writer may satisfy some of what is called a conflict here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import Range
from dataforge.verifiers.instructing.languages import STOP_WORDS
from dataforge.verifiers.instructing.words import spread, whole, words_in

if TYPE_CHECKING:
    from dataforge.verifiers.instructing.constraint import Constraint, Params

KINDS: dict[str, tuple[str, ...]] = {
    "placeholder": lexicon.PLACEHOLDERS,
    "highlight": ("*calm*", "**river**", "*bright light*", "***bold***", "**open sea**", "*garden*"),
    "palindrome": lexicon.PALINDROMES,
    "pronoun": lexicon.MADE_PRONOUNS,
    "number": ("12", "37", "1984", "3.14", "1,250", "2030", "68", "10:45"),
    "capital": lexicon.CAPITALS,
    "emoji": lexicon.EMOJI,
}
"""Kinds of pieces that are counted, and pieces of each."""

ENGLISH_SMALL = spread(
    "the and with from but when out into than only other some after also many through between where "
    "while because"
)
"""Small words that no other language has."""

LINE_WORDS, LINE_WIDTH = 3, 40
"""Where lines are short, a line has so many words, which fit into so many characters."""


class Conflict(Exception):
    """Two or more constraints that no text made here satisfies together."""


@dataclass
class Plan:
    """The numbers of a draft, settled.

    Attributes:
        pool: filler words that offend nothing.
        tokens: pieces that must stand in sentences, but for those of `random`.
        choices: pieces to draw: how many, out of which.
        sentences: numbers of sentences that work.
        base: words outside the cells.
        needs: the fewest cells for a number of sentences.
    """

    pool: list[str]
    small: list[str]
    tokens: list[str]
    choices: list[tuple[str, int, list[str]]]
    sentences: list[int]
    base: int
    needs: dict[int, int]


@dataclass
class Draft:
    """What is promised so far. Each method raises `Conflict` where a promise can't be given any more."""

    ids: list[str] = field(default_factory=list)
    words: Range = field(default_factory=lambda: Range(1))
    sentences: Range = field(default_factory=lambda: Range(1))
    blocks: int | None = None
    per_sentence: int | None = None
    least_per_sentence: int = 1
    keywords: dict[str, tuple[str, Range]] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)
    counts: dict[str, Range] = field(default_factory=dict)
    letters: dict[str, Range] = field(default_factory=dict)
    banned_letters: str = ""
    longest: int | None = None
    shortest: int | None = None
    banned_marks: str = ""
    marks: tuple[str, ...] = (".", "!", "?")
    questions: int = 0
    english: bool = False
    unique: bool = False
    no_small: bool = False
    fixed: list[str] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    slots: dict[str, tuple[str, Any]] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    barred: dict[str, str] = field(default_factory=dict)
    company: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    current: str = ""

    def take(self, constraint: Constraint[Any], params: Params) -> None:
        """Promise a constraint as well."""
        self.current = constraint.id
        for owner, allowed in self.company:
            if constraint.id not in allowed:
                raise Conflict(f"`{owner}` leaves no room for `{constraint.id}`")
        constraint.demand(params, self)
        self.ids.append(constraint.id)

    # ---- promises

    def alone_with(self, allowed: Iterable[str]) -> None:
        """Only these constraints may stand beside the current one."""
        company = frozenset(allowed)
        for other in self.ids:
            if other not in company:
                raise Conflict(f"`{self.current}` leaves no room for `{other}`")
        self.company.append((self.current, company))

    def claim(self, slot: str, value: Any = True, *, shared: bool = False) -> None:
        """Take a place; several may take it `shared` with the same value."""
        if slot in self.slots:
            owner, before = self.slots[slot]
            if not shared or before != value:
                raise Conflict(f"`{owner}` and `{self.current}` settle the same thing: {slot}")
            return
        self.slots[slot] = (self.current, value)

    def slot(self, name: str) -> Any:
        """The value of a place that is taken, or None."""
        return self.slots[name][1] if name in self.slots else None

    def has(self, *names: str) -> None:
        """The text has these features."""
        for name in names:
            if name in self.barred:
                raise Conflict(f"`{self.barred[name]}` and `{self.current}`: one bars the other's {name}")
            self.features.setdefault(name, self.current)

    def bar(self, *names: str) -> None:
        """The text must not have these features."""
        for name in names:
            if name in self.features:
                raise Conflict(f"`{self.features[name]}` and `{self.current}`: one bars the other's {name}")
            self.barred.setdefault(name, self.current)

    def lay_out(self, layout: str, blocks: int | None = None) -> None:
        """Take the layout: how many blocks, and of which kind."""
        self.claim("layout", layout, shared=True)
        self.has(layout)
        if blocks is not None:
            if self.blocks not in (None, blocks):
                raise Conflict(f"`{self.current}` wants {blocks} parts where {self.blocks} are promised")
            self.blocks = blocks

    def count_words(self, allowed: Range) -> None:
        """So many words in all."""
        self.words = self._meet(self.words, allowed, "words")

    def count_sentences(self, allowed: Range) -> None:
        """So many sentences in all."""
        self.bar("fragments")
        self.sentences = self._meet(self.sentences, allowed, "sentences")

    def at_least_per_sentence(self, number: int) -> None:
        """So many words in every sentence, or more."""
        self.least_per_sentence = max(self.least_per_sentence, number)

    def count(self, kind: str, allowed: Range) -> None:
        """So many pieces of a kind."""
        self.counts[kind] = self._meet(self.counts.get(kind, Range()), allowed, f"{kind}s")

    def keyword(self, text: str, allowed: Range) -> None:
        """A keyword so many times."""
        key = text.casefold()
        before = self.keywords.get(key, (text, Range()))[1]
        merged = self._meet(before, allowed, f'"{text}"')
        self.keywords[key] = (text, merged)
        if merged.low > 1:
            self.has("repeats")
        if merged.low:
            if len(words_in(text)) != 1:
                self.has("phrases")
            if not (text.isalpha() and text.isascii()):
                self.has("marked words")
            if not any(letter.isascii() and letter.isalnum() for letter in text):
                self.has("foreign words")

    def ban_marks(self, marks: str) -> None:
        """None of these signs."""
        self.banned_marks += marks
        self.marks = tuple(mark for mark in self.marks if mark not in marks) or ("",)
        if (self.marks == ("",) and self.sentences != Range(1)) or (self.questions and "?" in marks):
            raise Conflict("no mark is left for a sentence to end with")

    def letter(self, letter: str, allowed: Range) -> None:
        """A letter so many times."""
        self.letters[letter] = self._meet(
            self.letters.get(letter, Range()), allowed, f'the letter "{letter}"'
        )
        if allowed.high is not None:
            self.has("odd English")

    def write_fixed(self, *texts: str) -> None:
        """Words at a place outside the sentences' own."""
        self.fixed += texts
        self.has("fixed words")

    def fixed_place(self, word: str) -> None:
        """A word that stands at a place of its own among the sentences' words."""
        self.placed.append(word)
        key = word.casefold()
        text, allowed = self.keywords.get(key, (word, Range()))
        self.keywords[key] = (text, allowed)

    def _meet(self, first: Range, second: Range, what: str) -> Range:
        both = first.meet(second)
        if both.empty:
            raise Conflict(
                f"`{self.current}` and what is promised already leave no possible number of {what}"
            )
        return both

    # ---- settling

    def offends(self, word: str) -> bool:
        """Whether a word would break a promise."""
        if not self.choosy:
            return False
        form = word.casefold()
        letters = sum(letter.isalpha() for letter in form)
        return (
            any(letter in form for letter in self.banned_letters)
            or any(limit.high is not None and letter in form for letter, limit in self.letters.items())
            or (
                self.longest is not None
                and any(len(piece.strip("*[]")) > self.longest for piece in word.split())
            )
            or (self.shortest is not None and letters < self.shortest)
            or any(banned.casefold() in form and whole(banned).search(word) for banned in self.forbidden)
            or any(mark in word for mark in self.banned_marks)
        )

    @property
    def choosy(self) -> bool:
        """Whether any word at all could break a promise."""
        return bool(
            self.banned_letters
            or self.letters
            or self.longest
            or self.shortest
            or self.forbidden
            or self.banned_marks
        )

    def settle(self) -> Plan:
        """Do the numbers.

        Raises:
            Conflict: they do not add up.
        """
        pieces = {part for text, _ in self.keywords.values() for part in text.casefold().split()}
        pieces |= {part for text in self.forbidden for part in text.casefold().split()}
        pool = [word for word in lexicon.PLAIN if word not in pieces and not self.offends(word)]
        if self.no_small:
            pool = [word for word in pool if word not in STOP_WORDS]
        small = [
            word
            for word in (ENGLISH_SMALL if self.english else lexicon.SMALL)
            if word not in pieces and not self.offends(word)
        ]
        if len(pool) < 12:
            raise Conflict("too few words are left to write with")
        tokens = self._known_tokens()
        choices = self._choices(tokens)
        tokens += self._letter_tokens(tokens, [piece for _, _, drawn in choices for piece in drawn])
        if self.unique:
            said = [
                *self.fixed,
                *self.placed,
                *tokens,
                *(piece for _, _, drawn in choices for piece in drawn),
            ]
            there = {word.text.casefold() for text in said for word in words_in(text)}
            pool = [word for word in pool if word not in there]
        self._vet(tokens)
        base = sum(len(words_in(text)) for text in self.fixed) + sum(
            len(words_in(token)) - 1 for token in tokens
        )
        held = len(tokens) + sum(number for kind, number, _ in choices if kind != "emoji")
        needs = {count: self._cells(count, held, base) for count in self._sentence_numbers()}
        working = [count for count, cells in needs.items() if self._fits(count, cells, base, len(pool))]
        if not working:
            raise Conflict("the numbers of words, sentences and pieces do not fit together")
        return Plan(pool, small, tokens, choices, working, base, needs)

    def _known_tokens(self) -> list[str]:
        tokens = []
        said = "\n".join([*self.fixed, *self.placed])
        for text, allowed in self.keywords.values():
            tokens += [text] * max(0, allowed.low - len(whole(text).findall(said)))
        return tokens

    def _choices(self, tokens: list[str]) -> list[tuple[str, int, list[str]]]:
        said = [
            word.strip(".,!?:;\"'()")
            for text in [*self.fixed, *self.placed, *tokens]
            for word in text.split()
        ]
        choices = []
        for kind, allowed in self.counts.items():
            there = sum(_is(kind, word) for word in said)
            if there not in allowed and there > allowed.low:
                raise Conflict(f"what must be said has {there} {kind}s already")
            if (missing := allowed.low - there) > 0:
                drawn = [piece for piece in KINDS[kind] if not self.offends(piece)]
                if self.per_sentence is not None or "phrases" in self.barred or self.words != Range(1):
                    drawn = [piece for piece in drawn if " " not in piece]
                if not drawn:
                    raise Conflict(f"no {kind} is left that offends nothing")
                if self.unique and missing > 1:
                    raise Conflict(f"several {kind}s may repeat a word")
                choices.append((kind, missing, drawn))
        return choices

    def _letter_tokens(self, tokens: list[str], drawn: list[str]) -> list[str]:
        taken = {word.text for text in drawn for word in words_in(text)} if self.unique else set()
        said = "".join([*self.fixed, *self.placed, *tokens]).lower()
        found: list[str] = []
        for letter, allowed in self.letters.items():
            there = said.count(letter) + sum(word.count(letter) for word in found)
            if allowed.high is not None and there > allowed.high:
                raise Conflict(f'what must be said has "{letter}" {there} times already')
            if (missing := allowed.low - there) <= 0:
                continue
            if not letter.isalpha():
                raise Conflict(f'"{letter}" is no letter')
            others = [
                other for other, limit in self.letters.items() if other != letter and limit.high is not None
            ]
            carriers = [
                word
                for word in lexicon.PLAIN
                if word.count(letter) == 1
                and word not in taken
                and not any(other in word for other in (*others, *self.banned_letters))
                and not any(whole(banned).search(word) for banned in (*self.forbidden, *self.keywords))
                and (self.longest is None or len(word) <= self.longest)
                and (self.shortest is None or len(word) >= self.shortest)
            ]
            if len(carriers) < (missing if self.unique else 1):
                raise Conflict(f'too few words have a "{letter}" and offend nothing')
            found += [carriers[(7 * index + 3) % len(carriers)] for index in range(missing)]
        if self.unique and len({*found}) < len(found):
            raise Conflict("the letters that are asked for need words twice")
        return found

    def _vet(self, tokens: list[str]) -> None:
        """Whether what must be said breaks a promise by itself."""
        said = "\n".join([*self.fixed, *self.placed, *tokens])
        for text, allowed in self.keywords.values():
            if allowed.high is not None and len(whole(text).findall(said)) > allowed.high:
                raise Conflict(f'what must be said has "{text}" too often')
        for banned in self.forbidden:
            if whole(banned).search(said):
                raise Conflict(f'"{banned}" is forbidden, and has to be said')
        if marks := [mark for mark in self.banned_marks if mark in said]:
            raise Conflict(f"`{marks[0]}` is forbidden, and has to be written")
        if any(letter in said.lower() for letter in self.banned_letters):
            raise Conflict("a forbidden letter has to be written")
        sizes = [sum(c.isalpha() for c in word) for word in said.split() if any(c.isalnum() for c in word)]
        if self.longest is not None and any(size > self.longest for size in sizes):
            raise Conflict("a word that has to be said is too long")
        if self.shortest is not None and any(size < self.shortest for size in sizes):
            raise Conflict("a word that has to be said is too short")
        if self.slot("line width") is not None and any(len(token) > 12 for token in tokens):
            raise Conflict("a word that has to be said is too long for a line")

    def _sentence_numbers(self) -> list[int]:
        layout, acrostic, position = self.slot("layout"), self.slot("acrostic"), self.slot("position")
        low = max(self.sentences.low, self.blocks or 1, len(acrostic or ""), position[0] if position else 1)
        if layout in ("list", "lines") and self.blocks is not None:
            exact: int | None = self.blocks
        else:
            exact = len(acrostic) if acrostic else None
        if exact is not None:
            return [exact] if exact >= low and exact in self.sentences else []
        if self.per_sentence is not None:
            low = max(low, math.ceil(self.words.low / self.per_sentence))
        return [number for number in range(low, low + 40) if number in self.sentences]

    def _cells(self, sentences: int, held: int, base: int) -> int:
        reserved = sentences if self.slot("first words") in ("unique", "acrostic") else 0
        reserved += 1 if self.slot("first word") or self.slot("position") else 0
        cells = max(sentences * self.least_per_sentence, held + reserved)
        if (position := self.slot("position")) is not None:
            cells += position[1] - 1
        if (every := self.slot("every nth")) is not None:
            n = every[0]
            while cells - cells // n < held or cells < 3 * n or (every[1] and cells // n < 4):
                cells += 1
        if self.english:
            while cells - held - reserved < max(3, math.ceil(0.35 * (cells + base))):
                cells += 1
        return cells

    def _fits(self, sentences: int, cells: int, base: int, pool: int) -> bool:
        if (
            self.slot("line width") is not None
            and max(self.per_sentence or 0, self.least_per_sentence, (self.slot("position") or (0, 0))[1])
            > LINE_WORDS
        ):
            return False
        low, high = cells, None if self.words.high is None else self.words.high - base
        if self.per_sentence is not None:
            if sentences * self.per_sentence < cells or self.per_sentence < self.least_per_sentence:
                return False
            low = high_cells = sentences * self.per_sentence
            return low + base in self.words and (not self.unique or high_cells < pool * 0.8)
        if self.slot("line width") is not None:
            widest = sentences * LINE_WORDS
            high = widest if high is None else min(high, widest)
        low = max(low, self.words.low - base)
        if self.unique and low > pool * 0.8:
            return False
        return high is None or low <= high

    def write(self, rng: random.Random) -> str:
        """A text that keeps every promise.

        Raises:
            Conflict: as `settle`.
        """
        from dataforge.verifiers.instructing.writing import write

        return write(self, rng)


def _is(kind: str, word: str) -> bool:
    match kind:
        case "placeholder":
            return word.startswith("[")
        case "highlight":
            return word.startswith("*")
        case "palindrome":
            form = word.casefold()
            return len(form) > 2 and form.isalpha() and form == form[::-1]
        case "pronoun":
            return word.casefold().split("'")[0].split("’")[0] in lexicon.PRONOUNS
        case "number":
            return any(letter.isdigit() for letter in word)
        case "capital":
            return sum(letter.isalpha() for letter in word) > 1 and word.isupper()
        case _:
            return False
