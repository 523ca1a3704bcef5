"""Words and letters that must, or must not, be there. A keyword counts as a whole word, in any case.

What a whole word is says `words.whole`: `art` is not in `department`, `cat` not in `cats`, `river` is in `river's`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    Params,
    Range,
    Relation,
    asked,
    counted,
    listed,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import whole


def _has_letter(words: list[str]) -> list[str]:
    if not words or not all(word.strip() for word in words):
        raise ValueError("needs at least one word, and none of them empty")
    return words


def _replaced(word: str, text: str, count: int = 0) -> str:
    return whole(word).sub("nothing", text, count=count)


class Keywords(Params):
    """The words to include."""

    keywords: list[str] = Field(description="words or phrases")

    _not_empty = field_validator("keywords")(_has_letter)


class Existence(Constraint[Keywords]):
    """Every one of some keywords is there."""

    id = "keywords:existence"
    params = Keywords
    origin = "IFEval"

    def phrases(self, params: Keywords) -> Sequence[str]:
        words = listed(params.keywords)
        one = len(params.keywords) == 1
        return (
            f"Include the {'keyword' if one else 'keywords'} {words} in your response.",
            f"Make sure to mention {words}.",
            f"Your response must use the {'word or phrase' if one else 'words or phrases'} {words}.",
            f"Work in {words} somewhere.",
        )

    def check(self, text: Text, params: Keywords) -> Finding:
        missing = sum(whole(word).search(text.content) is None for word in params.keywords)
        if not missing:
            return HOLDS
        return Finding(
            False, f"{missing} of {plural(len(params.keywords), 'keyword')} do not occur as whole words"
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        pools = (
            lexicon.KEYWORDS,
            lexicon.KEYWORDS,
            lexicon.KEYWORDS,
            lexicon.PHRASES,
            lexicon.OTHER_KEYWORDS,
        )
        found = {rng.choice(rng.choice(pools)): None for _ in range(rng.randint(1, 3))}
        return {"keywords": list(found)}

    def demand(self, params: Keywords, draft: Draft) -> None:
        for word in params.keywords:
            draft.keyword(word, Range(1))

    def spoil(self, rng: random.Random, text: str, params: Keywords) -> tuple[str, str]:
        word = rng.choice(params.keywords)
        last = word.rstrip()[-1:]
        if last.isascii() and last.isalpha() and rng.random() < 0.5:
            return whole(word).sub(lambda match: match[0] + "xq", text), "a keyword only inside a longer word"
        return _replaced(word, text), "a keyword left out"


class KeywordCount(Params):
    """A word and how often."""

    keyword: str = Field(min_length=1, description="a word or phrase")
    frequency: int = Field(ge=0, description="the number to compare with")
    relation: Relation = Field(default="exactly", description="how the count compares with the number")


class Frequency(Constraint[KeywordCount]):
    """A keyword is there a certain number of times."""

    id = "keywords:frequency"
    params = KeywordCount
    origin = "IFEval"

    def phrases(self, params: KeywordCount) -> Sequence[str]:
        times = asked(params.relation, params.frequency, "time")
        return (
            f'Use the word "{params.keyword}" {times}.',
            f'In your response, the word "{params.keyword}" should appear {times}.',
            f'The keyword "{params.keyword}" must occur {times} in what you write.',
        )

    def check(self, text: Text, params: KeywordCount) -> Finding:
        spans = [match.span() for match in whole(params.keyword).finditer(text.content)]
        return tally(len(spans), params.relation, params.frequency, "occurrences of the keyword", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        pool = rng.choice((lexicon.KEYWORDS, lexicon.KEYWORDS, lexicon.OTHER_KEYWORDS, lexicon.PHRASES))
        relation = rng.choice(("at least", "less than", "exactly", "at most", "at least", "more than"))
        return {"keyword": rng.choice(pool), "frequency": rng.randint(2, 5), "relation": relation}

    def demand(self, params: KeywordCount, draft: Draft) -> None:
        draft.keyword(params.keyword, counted(params.relation, params.frequency))

    def spoil(self, rng: random.Random, text: str, params: KeywordCount) -> tuple[str, str]:
        allowed = counted(params.relation, params.frequency)
        there = len(whole(params.keyword).findall(text))
        if allowed.high is not None and (allowed.low == 0 or rng.random() < 0.5):
            more = " ".join([params.keyword] * (allowed.high + 1 - there))
            return f"{text} {more}", "the keyword too often"
        return _replaced(params.keyword, text, there - allowed.low + 1), "the keyword too seldom"


class Forbidden(Params):
    """The words to avoid."""

    forbidden_words: list[str] = Field(description="words or phrases")

    _not_empty = field_validator("forbidden_words")(_has_letter)


class ForbiddenWords(Constraint[Forbidden]):
    """None of some words is there."""

    id = "keywords:forbidden_words"
    params = Forbidden
    origin = "IFEval"

    def phrases(self, params: Forbidden) -> Sequence[str]:
        return (
            f"Do not use {listed(params.forbidden_words, 'or')} anywhere.",
            f"Avoid the following words: {', '.join(params.forbidden_words)}.",
            f"Your response must not contain {listed(params.forbidden_words, 'or')}.",
        )

    def check(self, text: Text, params: Forbidden) -> Finding:
        spans = [m.span() for word in params.forbidden_words for m in whole(word).finditer(text.content)]
        return Finding(False, "it uses a forbidden word", tuple(spans[:5])) if spans else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        pools = (lexicon.KEYWORDS, lexicon.PLAIN, lexicon.PHRASES, lexicon.OTHER_KEYWORDS)
        found = {rng.choice(rng.choice(pools)): None for _ in range(rng.randint(1, 4))}
        return {"forbidden_words": list(found)}

    def demand(self, params: Forbidden, draft: Draft) -> None:
        draft.forbidden += params.forbidden_words

    def spoil(self, rng: random.Random, text: str, params: Forbidden) -> tuple[str, str]:
        word = rng.choice(params.forbidden_words)
        word = rng.choice([word, word.upper(), f"({word})", f"**{word}**"]) if word.isascii() else word
        return inserted(rng, text, word), "a forbidden word"


class Letters(Params):
    """A letter and how often."""

    letter: str = Field(
        min_length=1, max_length=1, description="one letter or sign; its case does not matter"
    )
    let_frequency: int = Field(ge=0, description="the number to compare with")
    let_relation: Relation = Field(default="exactly", description="how the count compares with the number")


class LetterFrequency(Constraint[Letters]):
    """A letter or sign is there a certain number of times, in either case."""

    id = "keywords:letter_frequency"
    params = Letters
    origin = "IFEval"

    def phrases(self, params: Letters) -> Sequence[str]:
        times = asked(params.let_relation, params.let_frequency, "time")
        return (
            f'The letter "{params.letter}" should appear {times} in your response, upper and lower case together.',
            f'Use the letter "{params.letter}" {times} (in any case).',
            f'Counting both cases, the letter "{params.letter}" must occur {times}.',
        )

    def check(self, text: Text, params: Letters) -> Finding:
        found = text.content.lower().count(params.letter.lower())
        return tally(found, params.let_relation, params.let_frequency, "of the letter")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        relation = rng.choice(("at least", "less than", "exactly", "at least", "at most"))
        if relation == "at least":
            return {
                "letter": rng.choice("acdeghiklmnoprstu"),
                "let_frequency": rng.randint(3, 10),
                "let_relation": relation,
            }
        return {
            "letter": rng.choice("bcfgjkqvwxyzp"),
            "let_frequency": rng.randint(1, 4),
            "let_relation": relation,
        }

    def demand(self, params: Letters, draft: Draft) -> None:
        draft.letter(params.letter.lower(), counted(params.let_relation, params.let_frequency))

    def spoil(self, rng: random.Random, text: str, params: Letters) -> tuple[str, str]:
        allowed = counted(params.let_relation, params.let_frequency)
        letter = params.letter.lower()
        there = text.lower().count(letter)
        if allowed.high is not None and (allowed.low == 0 or rng.random() < 0.5):
            return f"{text} {letter * (allowed.high + 1 - there)}", "the letter too often"
        other = "o" if letter != "o" else "u"
        pattern = re.compile(re.escape(letter), re.IGNORECASE)
        return pattern.sub(other, text, count=there - allowed.low + 1), "the letter too seldom"


class KeywordPlace(Params):
    """Where a keyword stands."""

    keyword: str = Field(pattern=r"^\w+$", description="one word")
    sentence: int = Field(ge=1, description="the sentence, from 1")
    position: int = Field(ge=1, description="the word in the sentence, from 1")


class KeywordPosition(Constraint[KeywordPlace]):
    """A keyword is a certain word of a certain sentence."""

    id = "keywords:position"
    params = KeywordPlace

    def phrases(self, params: KeywordPlace) -> Sequence[str]:
        return (
            f'Word number {params.position} of sentence number {params.sentence} must be "{params.keyword}".',
            f'Put "{params.keyword}" as the {ordinal(params.position)} word of your {ordinal(params.sentence)} sentence.',
        )

    def check(self, text: Text, params: KeywordPlace) -> Finding:
        if len(text.sentence_words) < params.sentence:
            return Finding(False, f"it has no sentence number {params.sentence}")
        words = text.sentence_words[params.sentence - 1]
        if len(words) < params.position:
            return Finding(False, f"sentence {params.sentence} has no word number {params.position}")
        word = words[params.position - 1]
        if word.text.casefold() == params.keyword.casefold():
            return HOLDS
        return Finding(False, "another word stands at the keyword's place", ((word.start, word.end),))

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {
            "keyword": rng.choice(lexicon.KEYWORDS),
            "sentence": rng.randint(1, 4),
            "position": rng.randint(1, 5),
        }

    def demand(self, params: KeywordPlace, draft: Draft) -> None:
        draft.claim("position", (params.sentence, params.position, params.keyword))
        draft.claim("order of words", "own")
        draft.claim("first words", "own")
        draft.count_sentences(Range(params.sentence))
        draft.bar("fixed words", "phrases", "marked words", "loose words")
        draft.has("placed keyword")
        if draft.per_sentence is not None and draft.per_sentence < params.position:
            from dataforge.verifiers.instructing.drafting import Conflict

            raise Conflict("the sentences are too short for the place of the keyword")
        draft.fixed_place(params.keyword)

    def spoil(self, rng: random.Random, text: str, params: KeywordPlace) -> tuple[str, str]:
        found = Text(text)
        word = found.sentence_words[params.sentence - 1][params.position - 1]
        content = found.content
        if rng.random() < 0.5:
            return f"{content[: word.start]}nothing {content[word.start :]}", "the keyword one place too late"
        return f"{content[: word.start]}nothing{content[word.end :]}", "another word at the keyword's place"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `3rd`, `11th`."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def inserted(rng: random.Random, text: str, piece: str) -> str:
    """The text with a piece between two of its words, or behind it."""
    gaps = [match.start() for match in re.finditer(r"(?<=\w) (?=\w)", text)]
    if not gaps:
        return f"{text} {piece}"
    at = rng.choice(gaps)
    return f"{text[:at]} {piece}{text[at:]}"
