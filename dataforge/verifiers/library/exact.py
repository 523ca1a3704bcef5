"""Exact match: the final answer is one of the accepted texts, up to what the facts say does not count.

Where the final answer stands is told in `matching/finals.py`, what never counts in `matching/normal.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from dataforge.verifiers.matching.finals import answered
from dataforge.verifiers.matching.normal import layers, normal
from dataforge.verifiers.protocol import (
    Case,
    Facts,
    Response,
    Texts,
    Verdict,
    Verifier,
    failed,
    passed,
)
from schemas.task import Task


class ExactFacts(Facts):
    """The accepted texts, and what does not count when they are compared."""

    answers: Texts = Field(min_length=1, description="every text that is right")
    where: Literal["final", "whole"] = Field(
        default="final",
        description="`final`: the final answer, wherever it is stated; `whole`: the whole reply and nothing else",
    )
    ignore_case: bool = Field(default=True, description="whether upper and lower case are the same")
    ignore_punctuation: bool = Field(
        default=False, description="whether punctuation counts for nothing, save inside numbers"
    )
    ignore_articles: bool = Field(default=False, description="whether a, an and the count for nothing")

    @model_validator(mode="after")
    def _something_counts(self) -> ExactFacts:
        for text in self.answers:
            if not self.key(text):
                raise ValueError(f"of the accepted answer {text!r} nothing counts")
        return self

    def key(self, text: str) -> str:
        """What of a text counts."""
        return normal(
            text,
            ignore_case=self.ignore_case,
            ignore_punctuation=self.ignore_punctuation,
            ignore_articles=self.ignore_articles,
        )


class Exact(Verifier[ExactFacts]):
    """The final answer, or the whole reply, is one of the accepted texts, up to white space and what is said not to count."""

    name = "exact"
    family = "multiple choice and matching"
    facts = ExactFacts

    def check(self, facts: ExactFacts, response: Response) -> Verdict:
        accepted = {facts.key(text) for text in facts.answers}
        found = answered(response, facts.where, facts.key)
        if isinstance(found, Verdict):
            return found
        for text, span in found.extents:
            forms = (text,) if facts.where == "whole" else layers(text)
            if any(facts.key(form) in accepted for form in forms):
                return passed(text.strip(), span, candidates=found.candidates)
        text, span = found.extents[-1]
        return failed("the answer is none of those accepted", text.strip(), span, candidates=found.candidates)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.matching.questions import exact_task, numbered

        return numbered(exact_task, self.name, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.matching.text_cases import exact_cases

        return exact_cases(self.name, rng)
