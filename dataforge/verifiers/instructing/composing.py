"""Several constraints together: do they conflict, and a text that satisfies them all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.verifiers.instructing.constraint import Constraint, Params
from dataforge.verifiers.instructing.drafting import Conflict, Draft
from dataforge.verifiers.instructing.registry import read

Asked = tuple[Constraint[Any], Params]
"""A constraint and its parameters."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Constraints that no text satisfies together, as far as this library can write one.

    Attributes:
        ids: the two, or all of them where only all together are too much.
        reason: why.
    """

    ids: tuple[str, ...]
    reason: str


def conflicts(constraints: Sequence[Mapping[str, Any]]) -> tuple[Clash, ...]:
    """The conflicts among constraints, each `{"id": …, "kwargs": {…}}`; empty where a text can be written.

    It errs on the side of caution: what passes can be written, while a clever writer could satisfy some of what does not.

    Raises:
        BadConstraint: one of them does not exist or has other arguments.
    """
    return clashes([read(each["id"], each.get("kwargs") or {}) for each in constraints])


def clashes(asked: Sequence[Asked]) -> tuple[Clash, ...]:
    """As `conflicts`, of constraints that are read already."""
    for size in (1, 2):
        found = [
            Clash(tuple(constraint.id for constraint, _ in some), reason)
            for some in itertools.combinations(asked, size)
            if (reason := _refusal(some)) is not None
        ]
        if found:
            return tuple(found)
    if len(asked) > 2 and (reason := _refusal(asked)) is not None:
        return (Clash(tuple(constraint.id for constraint, _ in asked), reason),)
    return ()


def _refusal(asked: Sequence[Asked]) -> str | None:
    try:
        written(asked, random.Random(0))
    except Conflict as conflict:
        return str(conflict)
    return None


def compose(asked: Sequence[Asked]) -> Draft:
    """The draft that promises them all.

    Raises:
        Conflict: they do not go together.
    """
    draft = Draft()
    # In an order of their own, so that what conflicts does not depend on the order they are asked for in.
    for constraint, params in sorted(asked, key=lambda pair: (pair[0].late, pair[0].id)):
        draft.take(constraint, params)
    return draft


def written(asked: Sequence[Asked], rng: random.Random) -> str:
    """A text that satisfies them all by construction.

    Raises:
        Conflict: they do not go together.
    """
    return compose(asked).write(rng)
