"""Multiple choice: the letter of an option, or the option's text, wherever a model may put it.

How a choice is found is told in `matching/choices.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from dataforge.verifiers.matching.choices import choose
from dataforge.verifiers.matching.options import LETTERS, options
from dataforge.verifiers.matching.spans import shifted
from dataforge.verifiers.protocol import Case, Facts, Response, Verdict, Verifier, failed, passed, unparsed
from dataforge.verifiers.spoken import spoken
from schemas.task import Task


class MultipleChoiceFacts(Facts):
    """One right option of several."""

    answer: str = Field(description="the letter of the right option, such as B")
    options: tuple[str, ...] = Field(
        min_length=2,
        max_length=26,
        description="the texts of the options, in the order of their letters from A",
    )

    @field_validator("answer")
    @classmethod
    def _letter(cls, value: str) -> str:
        if len(value) != 1 or value.upper() not in LETTERS:
            raise ValueError("it must be one letter from A to Z")
        return value.upper()

    @model_validator(mode="after")
    def _among(self) -> MultipleChoiceFacts:
        if LETTERS.index(self.answer) >= len(self.options):
            raise ValueError(f"the answer is {self.answer}, and there are only {len(self.options)} options")
        return self


class MultipleChoice(Verifier[MultipleChoiceFacts]):
    """The right option is chosen, by its letter or its text, once and for all."""

    name = "multiple_choice"
    family = "multiple choice and matching"
    facts = MultipleChoiceFacts

    def check(self, facts: MultipleChoiceFacts, response: Response) -> Verdict:
        said = spoken(response)
        if said.fault:
            return unparsed(said.fault)
        chosen = choose(said.answer, options(facts.options), cut_off=response.finish_reason == "length")
        moved = shifted(chosen.candidates, said.offset)
        if chosen.letter is None or chosen.span is None:
            if chosen.conflict:
                return failed(chosen.fault, candidates=moved)
            return unparsed(chosen.fault, candidates=moved)
        start, end = chosen.span
        place = (start + said.offset, end + said.offset)
        if chosen.letter == facts.answer:
            return passed(chosen.letter, place, candidates=moved)
        if LETTERS.index(chosen.letter) >= len(facts.options):
            return failed(f"there is no option {chosen.letter}", chosen.letter, place, candidates=moved)
        return failed(f"{chosen.letter} is not the right option", chosen.letter, place, candidates=moved)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.matching.questions import choice_task, numbered

        return numbered(choice_task, self.name, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.matching.choice_cases import cases

        return cases(self.name, rng)
