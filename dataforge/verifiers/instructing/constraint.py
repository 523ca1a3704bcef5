"""What a constraint is: one thing that a reply must be, which a program can tell.

    parameters ──► instruct: the sentence that asks for it
                   check:    text ──► finding
                   demand:   what a text that satisfies it looks like, for `drafting` to write one
                   spoil:    a text that satisfies it ──► one that does not

A constraint is a stateless instance of a subclass, under an id of the form `group:name`. The 25 of IFEval keep its ids
and the names of its arguments. `check` judges the reply alone and never raises over it.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from dataforge.verifiers.protocol import Span

if TYPE_CHECKING:
    from dataforge.verifiers.instructing.drafting import Draft
    from dataforge.verifiers.instructing.text import Text

Relation = Literal["less than", "at least", "at most", "more than", "exactly", "around"]
"""How a count is compared. `less than` and `at least` are IFEval's; `around` allows a tenth more or less, and one at least."""


class Params(BaseModel):
    """Base of the parameters of a constraint."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParams(Params):
    """The parameters of a constraint that has none."""


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        holds: whether the text satisfies the constraint.
        reason: what is wrong, where it does not.
        spans: the evidence, as pieces of the text that was checked.
    """

    holds: bool
    reason: str = ""
    spans: tuple[Span, ...] = ()


HOLDS = Finding(True)


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included; `high` None means without end."""

    low: int = 0
    high: int | None = None

    def __contains__(self, number: int) -> bool:
        return number >= self.low and (self.high is None or number <= self.high)

    def meet(self, other: Range) -> Range:
        """The numbers in both; empty where `empty` says so."""
        highs = [high for high in (self.high, other.high) if high is not None]
        return Range(max(self.low, other.low), min(highs) if highs else None)

    @property
    def empty(self) -> bool:
        """Whether no number is in it."""
        return self.high is not None and self.high < self.low


def counted(relation: Relation, number: int) -> Range:
    """The counts that a relation to a number allows."""
    match relation:
        case "less than":
            return Range(0, number - 1)
        case "at most":
            return Range(0, number)
        case "at least":
            return Range(number)
        case "more than":
            return Range(number + 1)
        case "exactly":
            return Range(number, number)
        case "around":
            spare = max(1, round(number / 10))
            return Range(max(0, number - spare), number + spare)


def tally(found: int, relation: Relation, number: int, what: str, spans: Sequence[Span] = ()) -> Finding:
    """The finding on a count, with a reason that says both numbers."""
    if found in counted(relation, number):
        return HOLDS
    return Finding(False, f"it has {found} {what}, and should have {relation} {number}", tuple(spans[:5]))


def plural(number: int, noun: str) -> str:
    """`1 word`, `3 words`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def asked(relation: Relation, number: int, noun: str) -> str:
    """The words that ask for a count: `at least 3 words`, `fewer than 4 words`."""
    return f"{'fewer than' if relation == 'less than' else relation} {plural(number, noun)}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`"a", "b" and "c"`, in quotation marks."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


class Constraint(ABC, Generic[P]):
    """One kind of constraint. A subclass's docstring begins with the sentence that the listing shows.

    Attributes:
        id: `group:name`.
        params: the model of its parameters.
        origin: where it comes from: `IFEval` or `ours`.
        late: whether its demand looks at what others have promised, and so comes after them.
    """

    id: ClassVar[str]
    params: ClassVar[type[Params]] = NoParams
    origin: ClassVar[Literal["IFEval", "ours"]] = "ours"
    late: ClassVar[bool] = False

    @abstractmethod
    def phrases(self, params: P) -> Sequence[str]:
        """Ways to ask for it, each one or more whole sentences."""

    @abstractmethod
    def check(self, text: Text, params: P) -> Finding:
        """Whether a text that is not empty satisfies it."""

    @abstractmethod
    def draw(self, rng: random.Random) -> dict[str, Any]:
        """Parameters for a task, as the keyword arguments of `params`."""

    @abstractmethod
    def demand(self, params: P, draft: Draft) -> None:
        """Say what a text that satisfies it must be.

        Raises:
            Conflict: the draft has promised something else already.
        """

    @abstractmethod
    def spoil(self, rng: random.Random, text: str, params: P) -> tuple[str, str]:
        """Change a text that satisfies it into one that does not; and a note on what was done."""

    def instruct(self, params: P, rng: random.Random) -> str:
        """One of the ways to ask for it."""
        return rng.choice(list(self.phrases(params)))

    def satisfy(self, params: P, rng: random.Random) -> str:
        """A text that satisfies it by construction.

        Raises:
            Conflict: no text does, or none that can be written here.
        """
        from dataforge.verifiers.instructing.drafting import Draft

        draft = Draft()
        draft.take(self, params)
        return draft.write(rng)

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return (type(self).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()
