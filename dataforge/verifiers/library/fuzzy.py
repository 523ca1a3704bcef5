"""Fuzzy match: the final answer is close enough to an accepted one, by words, by characters or as a number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from dataforge.verifiers.matching.finals import answered
from dataforge.verifiers.matching.normal import bare, normal
from dataforge.verifiers.matching.numbers import number
from dataforge.verifiers.matching.similarity import edit_ratio, token_f1
from dataforge.verifiers.protocol import (
    Case,
    Facts,
    Response,
    Texts,
    Verdict,
    Verifier,
    failed,
    passed,
    unparsed,
)
from schemas.task import Task


class FuzzyFacts(Facts):
    """The accepted answers, how closeness is measured, and how much of it is enough."""

    answers: Texts = Field(min_length=1, description="every answer that is right; the closest counts")
    metric: Literal["token_f1", "edit_ratio", "number"] = Field(
        default="token_f1",
        description="`token_f1`: words in common, as SQuAD scores; `edit_ratio`: one minus edits by length; `number`: a number within the tolerances",
    )
    threshold: float = Field(
        default=0.8, gt=0, le=1, description="the least score that passes; not used by `number`"
    )
    relative: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="for `number`: how far it may be off, as a share of the right one",
    )
    absolute: float = Field(default=0.0, ge=0, description="for `number`: how far it may be off in any case")
    where: Literal["final", "whole"] = Field(
        default="final",
        description="`final`: the final answer, wherever it is stated; `whole`: the whole reply",
    )

    @model_validator(mode="after")
    def _comparable(self) -> FuzzyFacts:
        for answer in self.answers:
            if not _key(answer):
                raise ValueError("an accepted answer has no words")
            if self.metric == "number" and number(answer) is None:
                raise ValueError(f"the accepted answer {answer!r} is no number")
        return self


class Fuzzy(Verifier[FuzzyFacts]):
    """The final answer is close to an accepted one: by common words, by edits, or as a number within a tolerance."""

    name = "fuzzy"
    family = "multiple choice and matching"
    facts = FuzzyFacts

    def check(self, facts: FuzzyFacts, response: Response) -> Verdict:
        found = answered(response, facts.where, _value if facts.metric == "number" else _key)
        if isinstance(found, Verdict):
            return found
        candidates = found.candidates
        best, at = -1.0, found.extents[-1]
        for extent in found.extents:
            score = _score(facts, extent[0])
            if score is not None and score > best:
                best, at = score, extent
        text, span = at[0].strip(), at[1]
        if best < 0:
            return unparsed("there is no one number in the answer", candidates=candidates)
        if facts.metric == "number":
            if best == 1.0:
                return passed(text, span, candidates=candidates)
            return failed("the number is not within the tolerance", text, span, candidates=candidates)
        if best >= facts.threshold:
            return passed(text, span, score=best, candidates=candidates)
        reason = f"it is {best:.2f} like an accepted answer, and should be {facts.threshold:g}"
        return failed(reason, text, span, score=best, candidates=candidates)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.matching.questions import estimate_task, numbered

        return numbered(estimate_task, self.name, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.matching.text_cases import fuzzy_cases

        return fuzzy_cases(self.name, rng)


def _key(text: str) -> str:
    return normal(text, ignore_case=True, ignore_punctuation=True, ignore_articles=True)


def _value(text: str) -> object:
    value = number(text)
    return _key(text) if value is None else value


def _score(facts: FuzzyFacts, text: str) -> float | None:
    """The closeness to the closest accepted answer; None where a number is wanted and there is not just one."""
    if facts.metric == "number":
        value = number(text)
        if value is None:
            return None
        for answer in facts.answers:
            right = number(answer)
            assert right is not None
            # Decimals: 0.1 off is 0.1 off, and not a little more.
            if abs(value - right) <= max(
                type(right)(str(facts.absolute)), type(right)(str(facts.relative)) * abs(right)
            ):
                return 1.0
        return 0.0
    key = _key(bare(text))
    measure = token_f1 if facts.metric == "token_f1" else edit_ratio
    return max(measure(key, _key(answer)) for answer in facts.answers)
