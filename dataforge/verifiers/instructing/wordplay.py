"""Games with words and letters: initials, order, repetition, length, letters left out."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    NoParams,
    Params,
    Range,
    listed,
    plural,
)
from dataforge.verifiers.instructing.drafting import Conflict, Draft
from dataforge.verifiers.instructing.keywords import inserted, ordinal
from dataforge.verifiers.instructing.lists import bare
from dataforge.verifiers.instructing.text import Text


class NthLetter(Params):
    """Which words, and which letter."""

    n: int = Field(ge=1, description="every n-th word")
    letter: str = Field(
        pattern=r"^[^\W\d_]$", description="the letter it begins with; case and accents do not matter"
    )


class EveryNthStarts(Constraint[NthLetter]):
    """Every n-th word begins with a certain letter."""

    id = "words:every_nth_starts_with"
    params = NthLetter

    def phrases(self, params: NthLetter) -> Sequence[str]:
        nth = ordinal(params.n)
        many = f"(word {params.n}, {2 * params.n}, {3 * params.n} and so on)"
        return (
            f'Every {nth} word {many} must start with the letter "{params.letter}".',
            f'Make every {nth} word begin with "{params.letter}"; write at least {2 * params.n} words.',
        )

    def check(self, text: Text, params: NthLetter) -> Finding:
        chosen = text.words[params.n - 1 :: params.n]
        if len(chosen) < 2:
            return Finding(False, f"it has fewer than {2 * params.n} words")
        letter = bare(params.letter)
        wrong = [(word.start, word.end) for word in chosen if not bare(word.text).startswith(letter)]
        return Finding(False, "an n-th word begins with another letter", tuple(wrong[:5])) if wrong else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"n": rng.randint(2, 5), "letter": rng.choice("abcdfghlmprstw")}

    def demand(self, params: NthLetter, draft: Draft) -> None:
        draft.claim("every nth", (params.n, "", params.letter.lower()))
        draft.claim("order of words", "own")
        draft.claim("first words", "own")
        draft.has("repeats", "every nth", "odd English")
        draft.bar("fixed words", "phrases", "loose words")
        if params.n < 2 or not params.letter.isascii() or params.letter.lower() == "x":
            raise Conflict("no text is written here for that")

    def spoil(self, rng: random.Random, text: str, params: NthLetter) -> tuple[str, str]:
        found = Text(text)
        word = rng.choice(found.words[params.n - 1 :: params.n])
        other = "zone" if params.letter.lower() != "z" else "moon"
        return (
            f"{found.content[: word.start]}{other}{found.content[word.end :]}",
            "an n-th word with another initial",
        )


class Alphabetical(Constraint[NoParams]):
    """The words of every sentence are in alphabetical order; case, accents and signs do not matter."""

    id = "words:alphabetical"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Within every sentence the words must be in alphabetical order. Use sentences of at least two words.",
            "In each sentence, order the words from A to Z (at least two words a sentence).",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        return _in_order(text, lambda form: bare(form), "a word stands behind one that it should come before")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        _ordered(draft, "alphabetical")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        found = Text(text)
        words = rng.choice(found.sentence_words)
        first = words[0]
        return (
            f"{found.content[: first.start]}zzz {found.content[first.start :]}",
            "a word that belongs at the end",
        )


class RisingLengths(Constraint[NoParams]):
    """In every sentence no word is shorter than the word before it."""

    id = "words:ascending_lengths"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "In every sentence each word must be at least as long as the word before it. Use sentences of at least two words.",
            "Within each sentence (of two words or more), never let a word be shorter than the one before.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        return _in_order(text, len, "a word is shorter than the one before it")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        _ordered(draft, "lengths")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        found = Text(text)
        first = rng.choice(found.sentence_words)[0]
        return (
            f"{found.content[: first.start]}extraordinarily {found.content[first.start :]}",
            "a long word first",
        )


def _ordered(draft: Draft, order: str) -> None:
    draft.claim("order of words", order)
    draft.claim("first words", order)
    draft.bar("fixed words", "phrases", "marked words", "loose words", "placed keyword", "fragments")
    draft.at_least_per_sentence(2)


def _in_order(text: Text, key: Any, reason: str) -> Finding:
    if not text.sentence_words or any(len(words) < 2 for words in text.sentence_words):
        return Finding(False, "it has a sentence of fewer than two words")
    for words in text.sentence_words:
        for before, word in itertools.pairwise(words):
            if key(before.text) > key(word.text):
                return Finding(False, reason, ((word.start, word.end),))
    return HOLDS


class NoRepeats(Constraint[NoParams]):
    """No word is used twice, in any case."""

    id = "words:no_repeats"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Do not use any word more than once, and write at least five words.",
            "Every word may appear only once in your response, small words included. Write five words or more.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        if len(text.forms) < 5:
            return Finding(False, "it has fewer than five words")
        seen: set[str] = set()
        for word, form in zip(text.words, text.forms, strict=True):
            if form in seen:
                return Finding(False, "a word occurs twice", ((word.start, word.end),))
            seen.add(form)
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.bar("repeats", "loose words", "fixed words", "list", "two")
        draft.unique = True
        draft.has("odd English")
        draft.count_words(Range(5))

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        word = rng.choice(Text(text).words).text
        return f"{text} {rng.choice([word, word.upper()])}", "a word twice"


class Lipogram(Params):
    """The letters to avoid."""

    letters: str = Field(min_length=1, max_length=5, description="the letters, such as `ez`; in either case")

    @field_validator("letters")
    @classmethod
    def _letters(cls, letters: str) -> str:
        if not letters.isalpha():
            raise ValueError("only letters can be left out")
        return letters


class LettersLeftOut(Constraint[Lipogram]):
    """None of some letters is used, in either case (accented ones are other letters)."""

    id = "words:lipogram"
    params = Lipogram

    def phrases(self, params: Lipogram) -> Sequence[str]:
        letters = listed(list(dict.fromkeys(params.letters)), "or")
        return (
            f"Write without using the letter {letters} anywhere, in upper or lower case. Use at least three words.",
            f"Your response must not contain {letters} (neither case), and must have three words or more.",
        )

    def check(self, text: Text, params: Lipogram) -> Finding:
        if len(text.words) < 3:
            return Finding(False, "it has fewer than three words")
        content = text.content.lower()
        spans = [(m.start(), m.end()) for m in re.finditer(f"[{re.escape(params.letters.lower())}]", content)]
        return Finding(False, "it has a letter that is to be left out", tuple(spans[:5])) if spans else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"letters": rng.choice(("e", "z", "q", "x", "k", "o", "jx", "s", "uy", "b", "a"))}

    def demand(self, params: Lipogram, draft: Draft) -> None:
        draft.banned_letters += params.letters.lower()
        draft.has("odd English")
        draft.bar("foreign words")
        draft.count_words(Range(3))

    def spoil(self, rng: random.Random, text: str, params: Lipogram) -> tuple[str, str]:
        letter = rng.choice(params.letters)
        return inserted(
            rng, text, rng.choice([letter, letter.upper(), f"m{letter}m"])
        ), "a letter that is left out"


class WordLength(Params):
    """How long words may be."""

    max_letters: int = Field(
        ge=1, description="the most letters and digits a word may have; `don't` has four"
    )


class ShortWords(Constraint[WordLength]):
    """No word is longer than a number of letters."""

    id = "words:max_length"
    params = WordLength

    def phrases(self, params: WordLength) -> Sequence[str]:
        letters = plural(params.max_letters, "letter")
        return (
            f"Use no word of more than {letters}, and write at least three words.",
            f"Every word may have at most {letters}. Write three words or more.",
        )

    def check(self, text: Text, params: WordLength) -> Finding:
        if len(text.words) < 3:
            return Finding(False, "it has fewer than three words")
        wrong = [
            (word.start, word.end)
            for word in text.words
            if len(word.text) > params.max_letters
            and sum(letter.isalnum() for letter in word.text) > params.max_letters
        ]
        return (
            Finding(False, f"{plural(len(wrong), 'word')} longer than that", tuple(wrong[:5]))
            if wrong
            else HOLDS
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"max_letters": rng.randint(4, 8)}

    def demand(self, params: WordLength, draft: Draft) -> None:
        draft.longest = (
            params.max_letters if draft.longest is None else min(draft.longest, params.max_letters)
        )
        draft.bar("foreign words", "loose words")
        draft.count_words(Range(3))

    def spoil(self, rng: random.Random, text: str, params: WordLength) -> tuple[str, str]:
        return inserted(rng, text, "w" + "o" * params.max_letters), "a word that is too long"


class Spelled(Params):
    """What the initials spell."""

    word: str = Field(
        pattern=r"^[^\W\d_]{2,}$", description="the word that the first letters of the sentences spell"
    )


class Acrostic(Constraint[Spelled]):
    """The first letters of the sentences spell a word."""

    id = "sentences:acrostic"
    params = Spelled

    def phrases(self, params: Spelled) -> Sequence[str]:
        return (
            f'The first letters of your sentences, in order, must spell "{params.word}": '
            f"{len(params.word)} sentences, one for each letter.",
            f'Write {len(params.word)} sentences whose first letters spell the word "{params.word}".',
        )

    def check(self, text: Text, params: Spelled) -> Finding:
        initials = "".join(bare(words[0].text)[:1] for words in text.sentence_words if words)
        if initials == bare(params.word):
            return HOLDS
        if len(initials) != len(params.word):
            return Finding(False, f"it has {len(initials)} sentences, and should have {len(params.word)}")
        return Finding(False, "the first letters of its sentences spell something else")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {
            "word": rng.choice(("home", "light", "sun", "river", "bread", "stars", "coffee", "moon", "cat"))
        }

    def demand(self, params: Spelled, draft: Draft) -> None:
        draft.claim("acrostic", params.word.lower())
        draft.claim("first words", "acrostic")
        draft.claim("order of words", "own")
        draft.claim("start")
        draft.count_sentences(Range(len(params.word), len(params.word)))
        draft.bar("fixed words", "loose words", "starter")
        if not params.word.isascii() or "x" in params.word.lower():
            raise Conflict("no text is written here for that word")

    def spoil(self, rng: random.Random, text: str, params: Spelled) -> tuple[str, str]:
        found = Text(text)
        at = rng.randrange(len(found.sentence_words))
        start = found.sentence_words[at][0].start
        if rng.random() < 0.5:
            other = "Zero" if params.word[at].lower() != "z" else "Noon"
            return (
                f"{found.content[:start]}{other} {found.content[start:]}",
                "a sentence with another initial",
            )
        return f"{found.content}\n\nZebras too.", "a sentence too many"


class UniqueStarts(Constraint[NoParams]):
    """No two sentences begin with the same word; there are at least two."""

    id = "sentences:unique_first_words"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Write at least two sentences, and begin no two of them with the same word.",
            "Every sentence must start with a different word; write two or more.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        starts = [words[0] for words in text.sentence_words if words]
        if len(starts) < 2:
            return Finding(False, "it has fewer than two sentences")
        seen: set[str] = set()
        for word in starts:
            if word.text.casefold() in seen:
                return Finding(False, "two sentences begin with the same word", ((word.start, word.end),))
            seen.add(word.text.casefold())
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("first words", "unique")
        draft.count_sentences(Range(2))
        draft.bar("fixed words", "loose words")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        first = Text(text).sentence_words[0][0].text
        return f"{text}\n\n{first} comes again.", "two sentences with the same first word"
