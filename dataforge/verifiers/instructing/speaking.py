"""The language of a reply, or of every n-th word of it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import HOLDS, Constraint, Finding, Params
from dataforge.verifiers.instructing.drafting import Conflict, Draft
from dataforge.verifiers.instructing.keywords import ordinal
from dataforge.verifiers.instructing.languages import (
    NAMES,
    SCRIPTS,
    confidences,
    looks_english,
    other_language,
    script_counts,
    written,
)  # fmt: skip
from dataforge.verifiers.instructing.speech import SENTENCES
from dataforge.verifiers.instructing.text import Text


def known(language: str) -> str:
    """A language's code, from its code or English name.

    Raises:
        ValueError: there is no such language here.
    """
    code = language.strip().lower().replace("_", "-").split("-")[0]
    code = {"nb": "no", "nn": "no", "iw": "he", "cmn": "zh"}.get(code, code)
    for each, name in NAMES.items():
        if code in (each, name.lower()):
            return each
    raise ValueError(f"no language {language!r} is known; there are {', '.join(NAMES)}")


class Language(Params):
    """Which language."""

    language: str = Field(description="ISO 639-1 code, such as `fr`")

    _known = field_validator("language")(known)


class ResponseLanguage(Constraint[Language]):
    """The whole reply is in one language."""

    id = "language:response_language"
    params = Language
    origin = "IFEval"

    def phrases(self, params: Language) -> Sequence[str]:
        name = NAMES[params.language]
        return (
            f"Your ENTIRE response should be in {name}, no other language is allowed.",
            f"Answer only in {name}.",
            f"Write the whole response in {name}.",
        )

    def check(self, text: Text, params: Language) -> Finding:
        paragraphs = [text.piece(span) for span in text.paragraphs]
        if params.language == "en":
            other = looks_english(text.content, text.forms, paragraphs)
        else:
            other = other_language(text.content, params.language, paragraphs)
        return HOLDS if other is None else Finding(False, other)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"language": rng.choice(sorted(set(SENTENCES) - {"en"}))}

    def demand(self, params: Language, draft: Draft) -> None:
        draft.claim("language", params.language)
        draft.alone_with(
            (
                "punctuation:no_comma", "length_constraints:number_paragraphs", "combination:two_responses",
                "content:emoji", "startend:quotation",
            )
        )  # fmt: skip
        if params.language not in SENTENCES:
            raise Conflict(f"no {NAMES[params.language]} can be written here")

    def spoil(self, rng: random.Random, text: str, params: Language) -> tuple[str, str]:
        near = {"en", params.language}
        choices = [
            code for code in SENTENCES if code not in near and written(code)[0] != written(params.language)[0]
        ]
        match rng.randrange(3):
            case 0 if params.language != "en":
                return " ".join(rng.sample(SENTENCES["en"], 4)), "in English"
            case 1:
                return " ".join(
                    rng.choice(SENTENCES[code]) for code in [rng.choice(choices)] * 3
                ), "in another language"
            case _:
                foreign = "en" if params.language != "en" else "de"
                more = " ".join(rng.sample(SENTENCES[foreign], 3))
                return f"{text}\n\n{more}", "one paragraph in another language"


class NthLanguage(Params):
    """Which words, and which language."""

    n: int = Field(ge=2, description="every n-th word")
    language: str = Field(description="ISO 639-1 code, such as `fr`")

    _known = field_validator("language")(known)

    @field_validator("language")
    @classmethod
    def _foreign(cls, language: str) -> str:
        if language == "en":
            raise ValueError("the other words are English, so the n-th can't be")
        if set(written(language)) & {"han", "kana"} or language == "th":
            raise ValueError(f"{NAMES[language]} has no spaces between words, so its words can't be counted")
        return language


class EveryNthWord(Constraint[NthLanguage]):
    """Every n-th word is in a certain language and the others are English.

    In another script every n-th word must be of that script. In a Latin one no n-th word may be one that only English has
    (from a list of some 800), and where there are at least 8 of them, together they must not read as another language
    (0.9). A single rare English word among the n-th is therefore not always seen.
    """

    id = "words:every_nth_language"
    params = NthLanguage

    def phrases(self, params: NthLanguage) -> Sequence[str]:
        name, nth = NAMES[params.language], ordinal(params.n)
        return (
            f"Every {nth} word of your response must be in {name}; all the other words are English.",
            f"Write in English, but make every {nth} word (word {params.n}, {2 * params.n}, {3 * params.n}, ...) a {name} word.",
        )

    def check(self, text: Text, params: NthLanguage) -> Finding:
        chosen = text.words[params.n - 1 :: params.n]
        name = NAMES[params.language]
        if len(chosen) < 2:
            return Finding(False, f"it is too short to have two {params.n}-th words")
        letters = "".join(SCRIPTS[script] for script in written(params.language))
        script = re.compile(f"[{letters}]")
        english = lexicon.surely_english()
        for word in chosen:
            if script.search(word.text) is None or word.text.casefold() in english:
                return Finding(False, f"an n-th word is not {name}", ((word.start, word.end),))
        if sum(_VOWEL.search(word.text) is None for word in chosen) > len(chosen) / 2 and "latin" in written(
            params.language
        ):
            return Finding(False, f"its n-th words are no words of {name}")
        if written(params.language) == ("latin",) and len(chosen) >= 8:
            ranked = confidences(" ".join(word.text for word in chosen), params.language)
            if ranked and ranked[0][0] != params.language and ranked[0][1] >= 0.9:
                return Finding(False, f"its n-th words together read as {NAMES.get(ranked[0][0])}")
        others = [word for index, word in enumerate(text.words, start=1) if index % params.n]
        rest = " ".join(word.text for word in others)
        counts = script_counts(rest)
        if counts.get("latin", 0) < 0.5 * sum(counts.values()):
            return Finding(False, "the other words are not English")
        if (other := looks_english(rest, [word.text.casefold() for word in others])) is not None:
            return Finding(False, f"the other words should be English: {other}")
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"n": rng.randint(2, 5), "language": rng.choice(list(lexicon.FOREIGN))}

    def demand(self, params: NthLanguage, draft: Draft) -> None:
        if params.language not in lexicon.FOREIGN:
            raise Conflict(f"no {NAMES[params.language]} words can be written here")
        draft.claim("every nth", (params.n, params.language, ""))
        draft.claim("order of words", "own")
        draft.claim("first words", "own")
        draft.has("foreign words", "repeats", "every nth")
        draft.bar("fixed words", "phrases", "loose words", "odd English", "marked words", "placed keyword")
        draft.english = True

    def spoil(self, rng: random.Random, text: str, params: NthLanguage) -> tuple[str, str]:
        found = Text(text)
        content = found.content
        words = found.words[params.n - 1 :: params.n]
        if rng.random() < 0.5:
            words, note = [rng.choice(words)], "an n-th word in English"
        else:
            note = "every n-th word in English"
        for word in reversed(words):
            content = f"{content[: word.start]}{rng.choice(_ENGLISH)}{content[word.end :]}"
        return content, note


_VOWEL = re.compile(r"[aeiouyà-æè-ïò-öø-ýāăąēĕėęěĩīĭįıōŏőœũūŭůűų]|[\u1ea0-\u1ef9]", re.IGNORECASE)
_ENGLISH = ("yesterday", "kitchen", "thunder", "whisper", "because", "friend", "lunch")
