"""Answer format: whether a reply is written in the form that was asked for, and, where the answer is known, whether it is right.

The thinking must be where it belongs, the form must occur exactly as often as it should, and nothing may stand beside
it where the format forbids that. `dataforge.verifiers.formats` knows the formats; this file judges.
"""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from pydantic import Field

from dataforge.errors import InputError
from dataforge.verifiers.formats import Format, Part, Reading, find_format, formats
from dataforge.verifiers.formats.form import shifted
from dataforge.verifiers.formats.shape import NUMBER
from dataforge.verifiers.protocol import (
    Candidate,
    Case,
    Facts,
    Response,
    Verdict,
    Verifier,
    error,
    failed,
    passed,
    unparsed,
)
from dataforge.verifiers.spoken import OPEN, Spoken, spoken
from schemas.task import Task

MOST_CHARACTERS = 100_000
"""Longer replies are no answers, and some parsers take more than their time over them."""


class AnswerFormatFacts(Facts):
    """What `answer_format` reads from a task."""

    format: str = Field(description="the format's name, one of those in `docs/verifiers.md`")
    answer: str | None = Field(
        default=None,
        description="the right answer, which the extracted one must equal; None where only the form counts",
    )
    thinking: Literal["required", "allowed", "forbidden"] = Field(
        default="allowed", description="whether the reply must, may or must not begin with thinking"
    )


class AnswerFormat(Verifier[AnswerFormatFacts]):
    """The reply has the one answer format that was asked for, exactly once, and the right answer where it is known."""

    name = "answer_format"
    family = "answer format"
    facts = AnswerFormatFacts
    extra = "verify"

    def check(self, facts: AnswerFormatFacts, response: Response) -> Verdict:
        try:
            format = find_format(facts.format)
        except InputError as unknown:
            return error("task", unknown.message)
        if facts.answer is not None and (why := _cannot_carry(format.name, facts.answer.strip())):
            return error("task", f"the format `{format.name}` cannot carry the answer: {why}")
        if len(response.text) > MOST_CHARACTERS:
            return unparsed(f"the reply is longer than {MOST_CHARACTERS:,} characters")
        said = spoken(response)
        if fault := _misplaced(said, facts.thinking, response.finish_reason):
            candidate = Candidate(said.answer[:200], None, fault)
            return (
                failed(fault, candidates=[candidate], parts={"format": 0.0})
                if said.answer.strip()
                else unparsed(fault)
            )
        if not said.answer.strip():
            return unparsed("there is no answer")
        reading = shifted(format.read(said.answer), said.offset)
        fault = reading.fault or _unfilled(format, reading, facts.answer is not None)
        if fault:
            if not reading.candidates:
                return unparsed(f"{format.name}: {fault}")
            marked = [Candidate(c.text, c.span, c.rejected or fault) for c in reading.candidates]
            return failed(f"{format.name}: {fault}", candidates=marked, parts={"format": 0.0})
        part = reading.parts[format.main]
        if facts.answer is None:
            return passed(part.text, part.span, candidates=reading.candidates, parts={"format": 1.0})
        if not same(part, facts.answer, "number" in format.suits, format.group.startswith("LaTeX")):
            return failed(
                "the form is right, but the answer in it is wrong",
                part.text,
                part.span,
                candidates=reading.candidates,
                parts={"format": 1.0, "answer": 0.0},
            )
        return passed(
            part.text, part.span, candidates=reading.candidates, parts={"format": 1.0, "answer": 1.0}
        )

    def kinds(self) -> dict[str, str]:
        return {format.name: format.instruction for format in formats()}

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.formats.questions import make_tasks

        return make_tasks(self.name, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.formats.cases import make_cases

        return make_cases(rng)


@functools.lru_cache(maxsize=4096)
def _cannot_carry(name: str, answer: str) -> str:
    return find_format(name).refuses(answer)


def _misplaced(said: Spoken, thinking: str, finish_reason: str | None) -> str:
    """What is wrong with the thinking, or with the end of the reply; empty where nothing is."""
    if said.fault:
        return said.fault
    if said.before.strip():
        return "there is text before `<think>`"
    if OPEN in said.answer:
        return "a `<think>` stands in the answer"
    thought = bool((said.reasoning or "").strip())
    if thinking == "required" and not thought:
        return "there is no thinking before the answer"
    if thinking == "forbidden" and thought:
        return "there is thinking where none is allowed"
    return "the reply was cut off" if finish_reason == "length" else ""


def _unfilled(format: Format, reading: Reading, known: bool) -> str:
    """Whether a placeholder of the instruction's example was given back; a number's cannot be told from an answer.

    Where no answer is known, the placeholder in other dress (`[your answer]`) and mere dots are no answer either.
    """
    for name, part in reading.parts.items():
        free = name == "confidence" or (name == format.main and "number" in format.suits)
        if not free and part.text.strip().lower() == format.placeholders[name].lower():
            return f"the {name} is the placeholder of the example"
        if name == format.main and not known:
            stands_for = _letters(format.placeholders[name])
            if not free and len(stands_for) > 1 and _letters(part.text) == stands_for:
                return f"the {name} is the placeholder of the example"
            if _DOTS.fullmatch(part.text.strip()):
                return f"the {name} is only dots"
            if _letters(part.text) in _STANDS_FOR:
                return f"the {name} only stands for one"
    return ""


_DOTS = re.compile(r"\W*(?:\.{3,}|…+|_{2,})\W*")
_STANDS_FOR = frozenset(
    [
        "answer",
        "youranswer",
        "youranswerhere",
        "theanswer",
        "finalanswer",
        "yourfinalanswer",
        "insertanswerhere",
        "todo",
        "tbd",
    ]
)
"""What is written where an answer is still to come."""


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


_ALIGNED = re.compile(r"\A(?:&\s*)+|\s*(?:\\[,;:! ]?|\\q?quad)\s*\Z")
_SHIFTS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
"""What a model may put around LaTeX where it stands in prose: it is not part of the answer."""

_TYPESET = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit)\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
)
"""One command around the whole that says how it looks and not what it is."""


def same(part: Part, answer: str, numeric: bool = False, latex: bool = False) -> bool:
    """Whether what was read is the answer: the same characters.

    White space at the ends, the marks of a formula around the whole, one LaTeX command that only sets its type, in LaTeX
    an alignment mark before it and a space behind it, and Unicode composition make no difference.
    """
    wanted = _canonical(answer)
    for text in (part.text, *part.also, *([_ALIGNED.sub("", part.text)] if latex else [])):
        read = _canonical(text)
        typeset = _TYPESET.fullmatch(read)
        if read == wanted or (typeset is not None and _canonical(typeset[1]) == wanted):
            return True
    return bool(
        numeric
        and NUMBER.fullmatch(part.text.strip())
        and NUMBER.fullmatch(answer.strip())
        and Decimal(part.text.strip()) == Decimal(answer.strip())
    )


def _canonical(text: str) -> str:
    text = text.strip()
    for opening, closing in _SHIFTS:
        inner = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner.strip() and opening not in inner:
            text = inner.strip()
            break
    return text if text.isascii() else unicodedata.normalize("NFC", text)
