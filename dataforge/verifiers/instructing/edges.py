"""How a reply begins and ends, what is around it, and which marks it must not have."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import HOLDS, Constraint, Finding, NoParams, Params, listed
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.keywords import inserted
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import whole

_AROUND = ' \n\t"“”*_`'


def _has_word(phrase: str) -> str:
    if not any(letter.isalnum() for letter in phrase):
        raise ValueError("has no letter or digit")
    return phrase.strip()


class End(Params):
    """The last words."""

    end_phrase: str = Field(description="the exact phrase; case does not matter")

    _word = field_validator("end_phrase")(_has_word)


class EndChecker(Constraint[End]):
    """The reply ends with an exact phrase, in any case; quotation marks and emphasis may close behind it."""

    id = "startend:end_checker"
    params = End
    origin = "IFEval"

    def phrases(self, params: End) -> Sequence[str]:
        return (
            f"Finish your response with this exact phrase: {params.end_phrase}\nNo other words should follow this phrase.",
            f'The very last words of your response should be exactly "{params.end_phrase}"',
        )

    def check(self, text: Text, params: End) -> Finding:
        return (
            HOLDS
            if _ends_with(text.content, params.end_phrase)
            else Finding(False, "it ends with other words")
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"end_phrase": rng.choice(lexicon.ENDINGS)}

    def demand(self, params: End, draft: Draft) -> None:
        draft.claim("ending", params.end_phrase)
        draft.write_fixed(params.end_phrase)
        draft.has("fragments", "ending")

    def spoil(self, rng: random.Random, text: str, params: End) -> tuple[str, str]:
        body = text.rstrip('"”')
        if rng.random() < 0.5:
            return f"{body} Bye now.", "words behind the last phrase"
        return body[: -len(params.end_phrase)].rstrip() + " Bye now.", "another last phrase"


def _ends_with(content: str, phrase: str) -> bool:
    wanted = re.sub(r"\s+", " ", phrase).strip(_AROUND).casefold()
    there = re.sub(r"\s+", " ", content).rstrip(_AROUND).casefold()
    before = there[: -len(wanted)]
    return there.endswith(wanted) and not (wanted[0].isalnum() and before[-1:].isalnum())


class Start(Params):
    """The first words."""

    starter: str = Field(description="the exact phrase; case does not matter")

    _word = field_validator("starter")(_has_word)


class Starter(Constraint[Start]):
    """The reply begins with an exact phrase, in any case; quotation marks and emphasis may open before it."""

    id = "startend:starter"
    params = Start

    def phrases(self, params: Start) -> Sequence[str]:
        return (
            f'Begin your response with "{params.starter}".',
            f'The first words must be "{params.starter}".',
        )

    def check(self, text: Text, params: Start) -> Finding:
        wanted = re.sub(r"\s+", " ", params.starter).strip(_AROUND).casefold()
        there = re.sub(r"\s+", " ", text.content).lstrip(_AROUND + "#>").casefold()
        after = there[len(wanted) : len(wanted) + 1]
        if there.startswith(wanted) and not (wanted[-1].isalnum() and after.isalnum()):
            return HOLDS
        return Finding(False, "it begins with other words")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"starter": rng.choice(lexicon.STARTERS)}

    def demand(self, params: Start, draft: Draft) -> None:
        draft.claim("start")
        draft.claim("starter", params.starter)
        draft.write_fixed(params.starter)
        draft.has("starter")
        draft.bar("list", "sections", "title")

    def spoil(self, rng: random.Random, text: str, params: Start) -> tuple[str, str]:
        if rng.random() < 0.5:
            return f"Well then. {text}", "words before the first phrase"
        at = text.casefold().index(params.starter.casefold()) + len(params.starter)
        return f"{text[:at].rstrip(':')}xq{text[at:]}", "the first phrase only begins with it"


class Quotation(Constraint[NoParams]):
    """The whole reply is wrapped in double quotation marks, straight or curly."""

    id = "startend:quotation"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Wrap your entire response with double quotation marks.",
            'Put double quotes (") around your whole response.',
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        body = text.content.strip()
        if len(body) < 2 or (body[0] + body[-1]) not in ('""', "“”", "„“", "„”", "««", "””"):
            return Finding(False, "it is not between double quotation marks")
        inside = body[1:-1]
        if not any(letter.isalnum() for letter in inside):
            return Finding(False, "there is nothing between the quotation marks")
        if _closed_early(inside, body[0]):
            return Finding(False, "the first quotation mark is closed before the end")
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("quotation", shared=True)
        draft.bar("prompt", "quotes")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        match rng.randrange(5):
            case 0:
                return text[1:], "no opening quotation mark"
            case 1:
                return text[:-1], "no closing quotation mark"
            case 2:
                return f"'{text[1:-1]}'", "single quotation marks"
            case 3:
                return f"{text}\nThat is it.", "words behind the closing mark"
            case _:
                return f'"Yes," then {text[1:-1]} and "no"', "only its first and last words quoted"


def _closed_early(inside: str, opening: str) -> bool:
    """Whether the first mark inside closes the one that the text begins with, as in `"Yes" or "no"`."""
    if opening == "“":
        depth = 1
        for letter in inside:
            depth += (letter == "“") - (letter == "”")
            if depth == 0:
                return True
        return False
    if opening != '"':
        return False
    for match in re.finditer(r'(?<!\\)"', inside):
        before, after = inside[: match.start()][-1:], inside[match.end() :][:1]
        if before.isdigit() and not (after == "" or after in ".,;!?"):
            continue  # an inch
        return (
            bool(before)
            and not before.isspace()
            and before not in "([{—–-"
            and (not after or not after.isalnum())
        )
    return False


class NoComma(Constraint[NoParams]):
    """No comma is there, of any script, in numbers neither."""

    id = "punctuation:no_comma"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "In your entire response, refrain from the use of any commas.",
            "Do not use any commas, not even in numbers.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        spans = tuple((m.start(), m.end()) for m in re.finditer("[,，、،︐﹐﹑､]", text.content))
        return Finding(False, "it has a comma", spans[:5]) if spans else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.ban_marks(",，、،")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        comma = rng.choice([",", ",", "，", "、", "،"])
        gaps = [match.start() for match in re.finditer(r"(?<=\w)\s", text)] or [len(text)]
        at = rng.choice(gaps)
        return text[:at] + comma + text[at:], "one comma"


class Marks(Params):
    """The marks to avoid."""

    marks: list[str] = Field(min_length=1, description="signs of one character, such as `!`")

    @field_validator("marks")
    @classmethod
    def _single(cls, marks: list[str]) -> list[str]:
        if any(len(mark) != 1 or mark.isspace() or mark.isalnum() for mark in marks):
            raise ValueError("each mark is one sign that is no letter, digit or white space")
        return marks


class ForbiddenMarks(Constraint[Marks]):
    """None of some punctuation marks is there."""

    id = "punctuation:forbidden_marks"
    params = Marks

    def phrases(self, params: Marks) -> Sequence[str]:
        return (
            f"Do not use any of these punctuation marks: {' '.join(params.marks)}",
            f"Write without {listed(params.marks, 'or')}.",
        )

    def check(self, text: Text, params: Marks) -> Finding:
        spans = [
            (m.start(), m.end()) for mark in params.marks for m in re.finditer(re.escape(mark), text.content)
        ]
        return Finding(False, "it has a forbidden mark", tuple(spans[:5])) if spans else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"marks": rng.sample(["!", "?", ";", ":", ","], rng.randint(1, 3))}

    def demand(self, params: Marks, draft: Draft) -> None:
        draft.ban_marks("".join(params.marks))
        if not set(params.marks) <= set("!?;:,"):
            draft.alone_with(())

    def spoil(self, rng: random.Random, text: str, params: Marks) -> tuple[str, str]:
        return inserted(rng, text, rng.choice(params.marks)), "one forbidden mark"


class ParagraphEnd(Params):
    """How paragraphs end."""

    phrase: str = Field(description="the exact phrase; case does not matter")

    _word = field_validator("phrase")(_has_word)


class ParagraphEnding(Constraint[ParagraphEnd]):
    """Every paragraph ends with an exact phrase."""

    id = "paragraphs:ending"
    late = True
    params = ParagraphEnd

    def phrases(self, params: ParagraphEnd) -> Sequence[str]:
        return (
            f'End every paragraph with exactly "{params.phrase}" (paragraphs are separated by blank lines).',
            f'Each of your paragraphs, divided by blank lines, must close with the phrase "{params.phrase}"',
        )

    def check(self, text: Text, params: ParagraphEnd) -> Finding:
        wrong = [span for span in text.paragraphs if not _ends_with(text.piece(span), params.phrase)]
        if not text.paragraphs:
            return Finding(False, "it has no paragraph")
        return Finding(False, "a paragraph ends with other words", tuple(wrong[:5])) if wrong else HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"phrase": rng.choice(lexicon.PARAGRAPH_ENDINGS)}

    def demand(self, params: ParagraphEnd, draft: Draft) -> None:
        draft.lay_out("blank", draft.blocks or 2)
        draft.claim("paragraph ending", params.phrase)
        draft.claim("ending", None)
        draft.write_fixed(*[params.phrase] * (draft.blocks or 2))
        draft.has("fragments", "repeats")
        draft.bar("extra", "divider")

    def spoil(self, rng: random.Random, text: str, params: ParagraphEnd) -> tuple[str, str]:
        found = Text(text)
        start, end = rng.choice(found.paragraphs)
        content = found.content
        if rng.random() < 0.5:
            return (
                f"{content[:end].rstrip('”')} Or not at all{content[end:]}",
                "words behind a paragraph's ending",
            )
        at = content.casefold().rindex(params.phrase.casefold(), start, end)
        return f"{content[:at]}Enough{content[at + len(params.phrase) :]}", "a paragraph with another ending"


class SameWord(Constraint[NoParams]):
    """The first and the last word are the same, in any case."""

    id = "startend:same_word"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Begin and end your response with the same word, and write at least three words.",
            "The last word must be the same as the first; write three words or more.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        if len(text.words) < 3:
            return Finding(False, "it has fewer than three words")
        if text.forms[0] == text.forms[-1]:
            return HOLDS
        last = text.words[-1]
        return Finding(False, "the first and the last word differ", ((last.start, last.end),))

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.claim("start")
        draft.claim("starter", "Home")
        draft.claim("ending", "home.")
        draft.write_fixed("Home", "home.")
        draft.has("fragments", "repeats", "starter", "ending")
        draft.bar("extra")
        draft.bar("list", "sections", "two", "title")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        if rng.random() < 0.5 or whole("home").search(text) is None:
            return f"Sure: {text}", "a word before the first"
        return f"{text} Truly.", "a word behind the last"
