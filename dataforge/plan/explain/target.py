"""How the target of a graph is reached, or why it is not: how far walks get, and the chain of what is missing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from dataforge.plan.explain.causes import Cause, absent_structs, causes, givers_of
from dataforge.plan.explain.core import Core, smallest_core
from dataforge.plan.explain.explanation import Explanation
from dataforge.plan.explain.gap import MOST_PLACES, Gap, Nearest, gap, nearest_place
from dataforge.plan.explain.places import Place, Places, places_of
from dataforge.plan.linked import TARGET, Explored, Linked

MOST_FOLLOWED = 20
"""Of the members that would give what is missing, so many have a say in which place is the furthest."""

MOST_OTHERS = 3
"""So many other walks that get as far are named."""


@dataclass(frozen=True, slots=True)
class TargetExplanation(Explanation):
    """How the target is reached, or why it is not.

    Attributes:
        walks: number of walks; None where the graph does not link. `shortest`, `longest`: their lengths in nodes.
        example: a shortest walk.
        gap: where it is not reached: what is missing in the furthest state.
        furthest: walks to other states that lack as few atoms.
        causes: why they are not given, down to the root.
    """

    graph: str
    reached: bool
    walks: int | None
    shortest: int | None
    longest: int | None
    example: tuple[str, ...]
    gap: Gap | None
    furthest: tuple[tuple[str, ...], ...]
    causes: tuple[Cause, ...]


def explain_target(explored: Explored, linked: Linked | None = None) -> TargetExplanation:
    """How the target is reached, or why it is not.

    Args:
        linked: the same graph linked, where it links: to count walks.
    """
    places = places_of(explored)
    name = explored.graph.name
    if 0 in explored.reaching:
        end = next(state for state in places.order if state in explored.goals)
        shortest, longest = _lengths(linked) if linked is not None else (len(places.at(end).moves), None)
        return TargetExplanation(
            name, True, linked.paths if linked is not None else None, shortest, longest,
            (*places.walk(places.at(end)), TARGET), None, (), (),
        )  # fmt: skip
    nearest = _furthest(places)
    return TargetExplanation(
        name, False, 0, None, None, (), gap(places, nearest, None), _as_far(places, nearest),
        causes(places, nearest),
    )  # fmt: skip


def _furthest(places: Places) -> Nearest:
    """The place nearest to the target; of those that lack as few, the nearest to a member that would give some of it."""
    goal = places.facts.goal
    nearest = nearest_place(places, places.everywhere(), goal)
    assert nearest is not None, "there is always the source"
    wanted = [
        x
        for literal in nearest.core.literals
        for x in (literal, *absent_structs(places, nearest.place, literal))
    ]
    givers = dict.fromkeys(giver for literal in wanted for giver in givers_of(places, literal))
    if not givers:
        return nearest
    some = list(itertools.islice(places.everywhere(), MOST_PLACES))
    like = [p for p in reversed(some) if _lacks_as_few(places, p, nearest.core)]
    found = [
        x
        for giver in itertools.islice(givers, MOST_FOLLOWED)
        if (x := nearest_place(places, like, places.explored.actions[giver].requirement)) is not None
    ]
    if not found:
        return nearest
    best = min(found, key=lambda x: (len(x.core.literals), -len(x.place.moves)))
    return nearest_place(places, [best.place], goal) or nearest


def _lacks_as_few(places: Places, place: Place, core: Core) -> bool:
    """Whether no more is missing there for the target."""
    goal = places.facts.goal
    return smallest_core(places.supposing, place.known, goal, below=len(core.literals) + 1) is not None


def _lengths(linked: Linked) -> tuple[int, int]:
    """The least and the most nodes of a walk."""
    least: dict[int, int] = {}
    most: dict[int, int] = {}
    for state in reversed(linked.order):
        after = [x for step in linked.steps[state] for x in step.after if x is not None and x in least]
        ends = [0] if state in linked.goals else []
        low, high = [*ends, *(1 + least[x] for x in after)], [*ends, *(1 + most[x] for x in after)]
        if low:
            least[state], most[state] = min(low), max(high)
    return least[linked.source], most[linked.source]


def _as_far(places: Places, nearest: Nearest) -> tuple[tuple[str, ...], ...]:
    """Walks to a few other places that lack as few atoms."""
    if not nearest.core.possible or not nearest.core.literals:
        return ()
    others = (
        places.walk(place)
        for place in itertools.islice(places.everywhere(), MOST_PLACES)
        if place.known != nearest.place.known and _lacks_as_few(places, place, nearest.core)
    )
    return tuple(itertools.islice(others, MOST_OTHERS))
