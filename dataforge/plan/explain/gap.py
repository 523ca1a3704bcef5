"""A gap: where a walk comes nearest to what a requirement asks, and the smallest core that is missing there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal as Choice

from dataforge.plan.explain.core import Core, smallest_core, with_choices
from dataforge.plan.explain.missing import Missing, about
from dataforge.plan.explain.places import Place, Places
from dataforge.plan.explain.promises import condition
from dataforge.plan.facts import Knowledge, Requirement
from dataforge.plan.why import clauses_of

MOST_PLACES = 2_000
"""So many places are compared exactly; of more, those that lack the fewest clauses."""

Obstacle = Choice["facts", "supposed", "steps", "contradiction", "requirement"]


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands between the nearest state and a requirement.

    Attributes:
        walk: a shortest walk to that state.
        obstacle: missing facts; or all are there, and the walk itself is only supposed, `steps` allows no more nodes, or
            what would be promised contradicts what is kept; or the requirement contradicts itself.
        missing: the core, atom by atom.
        smallest: whether no smaller core would do (else only none of its atoms can be left out).
    """

    walk: tuple[str, ...]
    obstacle: Obstacle
    missing: tuple[Missing, ...]
    smallest: bool


@dataclass(frozen=True, slots=True)
class Nearest:
    """A place, what is asked there, and the core of it that is missing."""

    place: Place
    requirement: Requirement
    core: Core


def nearest_place(places: Places, candidates: Iterable[Place], requirement: Requirement) -> Nearest | None:
    """The place with the smallest core; of several the one with the fewest clauses broken, the first if on a walk.

    None where there are no candidates.
    """
    reaching = places.explored.reaching
    clauses = clauses_of(requirement)
    ranked: dict[tuple[Knowledge, ...], tuple[tuple[int, bool], Place]] = {}
    for place in candidates:
        broken = max(sum(not (t & kt or f & kf) for t, f in clauses) for kt, kf in place.known)
        rank = (broken, place.state not in reaching)
        if place.known not in ranked or rank < ranked[place.known][0]:
            ranked[place.known] = rank, place
    best: Nearest | None = None
    for _, place in sorted(ranked.values(), key=lambda pair: pair[0])[:MOST_PLACES]:
        below = len(best.core.literals) if best is not None and best.core.possible else None
        core = smallest_core(places.supposing, place.known, requirement, below=below)
        if core is not None and (best is None or core.possible):
            best = Nearest(place, requirement, core)
            if core.possible and not core.literals:
                break
    if best is None:
        return None
    core = with_choices(places.supposing, best.place.known, requirement, best.core)
    return Nearest(best.place, requirement, core)


def gap(places: Places, nearest: Nearest, action: int | None) -> Gap:
    """The gap at a place before an action, or before the target (None)."""
    place, core = nearest.place, nearest.core
    obstacle: Obstacle = "facts"
    if not core.possible:
        obstacle = "requirement"
    elif not core.literals and place.state is None:
        obstacle = "supposed"
    elif not core.literals:
        obstacle = "contradiction" if action in places.explored.impossible else "steps"
    missing = tuple(
        about(places, place, literal, instead)
        for literal, instead in zip(core.literals, core.instead, strict=True)
    )
    return Gap(places.walk(place), obstacle, missing, core.smallest)


def texts(places: Places, core: Core) -> tuple[str, ...]:
    """A core as conditions."""
    return tuple(condition(places.facts, x) for x in core.literals)
