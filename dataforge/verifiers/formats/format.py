"""A format: a form with a name, what a model is told of it, and which answers it is for."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dataforge.verifiers.formats.form import Form, Reading, Values, broken

RULES = {
    "nothing": "Write nothing before it and nothing after it.",
    "before": "You may write freely before it, but it must occur exactly once and nothing may follow it.",
    "anything": "It must occur exactly once in your reply; other text may stand around it.",
}

KINDS = ("text", "maths", "code", "number", "letter")
"""What answers there are: prose, LaTeX, source code, one number, the letter of a choice."""

_LETTER = re.compile("[A-Z]")
_SPECIAL = {"confidence": "0.9"}


def placeholder(part: str, kinds: tuple[str, ...]) -> str:
    """What stands for a part in an example; never accepted as an answer, numbers aside."""
    if part in _SPECIAL:
        return _SPECIAL[part]
    if "number" in kinds:
        return "12.5"
    if "letter" in kinds:
        return "X"
    if kinds == ("code",):
        return "your_code()"
    return f"your {part.replace('_', ' ')}"


@dataclass(frozen=True)
class Format:
    """One answer format.

    Attributes:
        name: as `AnswerFormat.format` says it.
        group: such as `JSON` or `Markdown`, for lists.
        says: what a model is told to do, in a sentence or two.
        form: how it is written and read.
        suits: the kinds of answers it is for; a format for numbers alone suits only those.
        main: the part that holds the answer proper.
        share: of random answers of the kinds that it suits, it carries at least this share.
    """

    name: str
    group: str
    says: str
    form: Form
    suits: tuple[str, ...] = ("text", "maths", "code")
    main: str = "answer"
    share: float = 0.5

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part, in order."""
        return self.form.parts

    @property
    def composed(self) -> bool:
        """Whether it has three parts or more."""
        return len(self.parts) >= 3

    @cached_property
    def placeholders(self) -> Mapping[str, str]:
        """What stands for each part in the example."""
        return {part: self._stands_for(part) for part in self.parts}

    def _stands_for(self, part: str) -> str:
        if part == self.main or part in _SPECIAL:
            return placeholder(part, self.suits)
        return placeholder(part, ())

    @cached_property
    def instruction(self) -> str:
        """What a model is told, without the example."""
        named = f" The answer itself is the part `{self.main}`." if self.main != "answer" else ""
        return f"{self.says}{named} {RULES[self.form.around]}"

    @cached_property
    def example(self) -> str:
        """The form with placeholders in it."""
        return self.form.write(self.placeholders)

    def values(self, answer: str | Values) -> Values:
        """The values of every part; those not given are their placeholders."""
        given = {self.main: answer} if isinstance(answer, str) else answer
        return {part: given.get(part, FILLING.get(part, "as said above")) for part in self.parts}

    def render(self, answer: str | Values, rng: random.Random | None = None) -> str:
        """The answer in this format; `rng` varies what the format leaves free."""
        return self.form.write(self.values(answer), rng)

    def read(self, text: str) -> Reading:
        """Read a whole answer."""
        reading = self.form.read(text)
        if (
            "letter" in self.suits
            and not reading.fault
            and not _LETTER.fullmatch(reading.parts[self.main].text)
        ):
            return broken("what stands there is no single capital letter", reading.candidates)
        return reading

    def refuses(self, answer: str | Values) -> str:
        """Why this format cannot carry an answer; empty where it can."""
        values = self.values(answer)
        if "letter" in self.suits and not _LETTER.fullmatch(values[self.main]):
            return "it is no single capital letter"
        return self.form.refuses(values)

    def carries(self, answer: str | Values) -> bool:
        """Whether it can carry an answer: what it carries is read again exactly."""
        return not self.refuses(answer)


FILLING = {"confidence": "0.8"}
"""Values of parts that are no free text."""
