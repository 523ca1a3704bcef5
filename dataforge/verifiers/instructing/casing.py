"""Upper and lower case: of the whole reply, of its words, of some words. Text without letters has no case and satisfies none."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    NoParams,
    Params,
    Relation,
    asked,
    counted,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.keywords import inserted
from dataforge.verifiers.instructing.languages import looks_english
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import Word
from dataforge.verifiers.protocol import Span


def _english(text: Text) -> Finding:
    other = looks_english(text.content, text.forms, [text.piece(span) for span in text.paragraphs])
    return HOLDS if other is None else Finding(False, f"it should be English: {other}")


def _wrong_letters(text: Text, upper: bool) -> list[Span]:
    return [
        (word.start, word.end)
        for word in text.words
        if (word.text != word.text.upper() if upper else word.text != word.text.lower())
    ]


class EnglishCapital(Constraint[NoParams]):
    """The whole reply is English in capital letters."""

    id = "change_case:english_capital"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Your entire response should be in English, and in all capital letters.",
            "Write in English and in capital letters only; no lowercase letters are allowed.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        content = text.content
        if any(letter.islower() for letter in content):
            return Finding(False, "it has lowercase letters", tuple(_wrong_letters(text, True)[:5]))
        if not any(letter.isupper() for letter in content):
            return Finding(False, "it has no capital letters")
        return _english(text)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("case", "upper", shared=True)
        draft.bar("odd English", "foreign words")
        draft.english = True

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        if rng.random() < 0.3:
            return text.lower(), "all in lower case"
        at = rng.choice([match.start() for match in re.finditer("[A-Z]", text)])
        return text[:at] + text[at].lower() + text[at + 1 :], "one lowercase letter"


class EnglishLowercase(Constraint[NoParams]):
    """The whole reply is English in lowercase letters."""

    id = "change_case:english_lowercase"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Your entire response should be in English, and in all lowercase letters. No capital letters are allowed.",
            "Write in English without a single capital letter.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        content = text.content
        if any(letter.isupper() or letter.istitle() for letter in content):
            return Finding(False, "it has capital letters", tuple(_wrong_letters(text, False)[:5]))
        if not any(letter.islower() for letter in content):
            return Finding(False, "it has no lowercase letters")
        return _english(text)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("case", "lower", shared=True)
        draft.bar("odd English", "capitals", "foreign words")
        draft.english = True

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        if rng.random() < 0.3:
            return text.upper(), "all in capitals"
        at = rng.choice([match.start() for match in re.finditer("[a-z]", text)])
        return text[:at] + text[at].upper() + text[at + 1 :], "one capital letter"


class Capitals(Params):
    """How many words in capitals."""

    capital_frequency: int = Field(ge=0, description="the number to compare with")
    capital_relation: Relation = Field(
        default="at least", description="how the count compares with the number"
    )


def _is_capital(word: Word) -> bool:
    letters = [letter for letter in word.text if letter.isalpha()]
    return len(letters) > 1 and word.text.isupper()


class CapitalWordFrequency(Constraint[Capitals]):
    """A certain number of words have capital letters only; words of one letter (I, A) are not counted."""

    id = "change_case:capital_word_frequency"
    params = Capitals
    origin = "IFEval"

    def phrases(self, params: Capitals) -> Sequence[str]:
        times = asked(params.capital_relation, params.capital_frequency, "time")
        words = asked(params.capital_relation, params.capital_frequency, "word")
        return (
            f"In your response, words with all capital letters should appear {times}. Words of one letter do not count.",
            f"Write {words} in all capital letters (words of one letter, such as I, do not count).",
        )

    def check(self, text: Text, params: Capitals) -> Finding:
        spans = [(word.start, word.end) for word in text.words if _is_capital(word)]
        return tally(
            len(spans), params.capital_relation, params.capital_frequency, "words in capitals", spans
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        relation = rng.choice(("at least", "less than", "at most", "exactly"))
        return {"capital_frequency": rng.randint(1, 5), "capital_relation": relation}

    def demand(self, params: Capitals, draft: Draft) -> None:
        draft.claim("case", None, shared=True)
        draft.claim("first words", "capitals", shared=True)
        allowed = counted(params.capital_relation, params.capital_frequency)
        draft.count("capital", allowed)
        if allowed.low:
            draft.has("marked words", "capitals")
        if allowed.low > 1:
            draft.has("repeats")

    def spoil(self, rng: random.Random, text: str, params: Capitals) -> tuple[str, str]:
        allowed = counted(params.capital_relation, params.capital_frequency)
        found = Text(text)
        words = [word for word in found.words if _is_capital(word)]
        content = found.content
        if allowed.high is not None and (allowed.low == 0 or rng.random() < 0.5):
            for _ in range(allowed.high + 1 - len(words)):
                content = inserted(rng, content, "LOUD")
            return content, "a word in capitals too many"
        for word in reversed(words[: len(words) - allowed.low + 1]):
            content = content[: word.start] + word.text.capitalize() + content[word.end :]
        return content, "a word in capitals too few"


class TitleCase(Constraint[NoParams]):
    """Every word begins with a capital letter (or with a sign or script that has none)."""

    id = "change_case:title_case"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Begin Every Word With A Capital Letter, small words included.",
            "Write everything in title case: every single word starts with a capital letter.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        wrong = [(word.start, word.end) for word in text.words if word.text[0].islower()]
        if wrong:
            return Finding(False, f"{plural(len(wrong), 'word')} begin with a small letter", tuple(wrong[:5]))
        if not any(word.text[0].isupper() or word.text[0].istitle() for word in text.words):
            return Finding(False, "no word begins with a capital letter")
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("case", "title", shared=True)
        draft.bar("fixed words", "loose words", "foreign words")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        words = [word for word in Text(text).words if word.text[0] != word.text[0].lower()]
        if not words:
            return f"{text} small", "one word with a small letter"
        word = rng.choice(words)
        content = Text(text).content
        small = content[word.start].lower()
        return f"{content[: word.start]}{small}{content[word.start + 1 :]}", "one word with a small letter"


class AlternatingCase(Constraint[NoParams]):
    """Words alternate between capitals and lower case, the first in capitals."""

    id = "change_case:alternating_words"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "ALTERNATE the CASE of YOUR words: the first word in capitals, the second in lower case, and so on to the end.",
            "Write every odd word of your response in ALL CAPITALS and every even word in lower case.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        if len(text.words) < 2:
            return Finding(False, "it has fewer than two words")
        if not any(letter.isalpha() for letter in text.content):
            return Finding(False, "it has no letters")
        for index, word in enumerate(text.words):
            wanted = word.text.upper() if index % 2 == 0 else word.text.lower()
            if word.text != wanted:
                return Finding(False, f"word {index + 1} has the wrong case", ((word.start, word.end),))
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("case", "alternating", shared=True)
        draft.bar("fixed words", "phrases", "loose words", "marked words", "foreign words")
        draft.has("alternating words")
        draft.count_words(counted("at least", 2))

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        found = Text(text)
        at = rng.randrange(len(found.words))
        word = found.words[at]
        content = found.content
        if rng.random() < 0.5:
            return (
                f"{content[: word.start]}{word.text.swapcase()}{content[word.end :]}",
                "one word in the wrong case",
            )
        case = "TWICE TWICE" if rng.random() < 0.5 else "twice twice"
        return f"{content[: word.start]}{case} {content[word.start :]}", "two words in a row in the same case"
