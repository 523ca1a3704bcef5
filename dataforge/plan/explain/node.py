"""Where a member of a graph runs, or why no walk uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal as Choice

from dataforge.plan.explain.causes import Cause, causes
from dataforge.plan.explain.explanation import Explanation
from dataforge.plan.explain.gap import Gap, gap, nearest_place
from dataforge.plan.explain.missing import known_at, runs
from dataforge.plan.explain.places import Place, Places, places_of
from dataforge.plan.linked import SOURCE, TARGET, Explored, Linked

MOST_COMPARED = 200
"""What is known after a member is what so many of its places agree on."""


@dataclass(frozen=True, slots=True)
class NodeExplanation(Explanation):
    """Where a member runs, or why no walk uses it.

    Attributes:
        status: on walks to the target; elsewhere only; never.
        before, after: names that may stand next to it on walks.
        walk: a walk that it is on, up to it.
        walks: number of walks through it, and `of` all; None where the graph does not link.
        known: what is known after it, wherever it runs.
        gap: what is missing for it to run; or, where the target is never reached after it, for the target.
        causes: why the missing atoms are not given, down to the root.
    """

    graph: str
    node: str
    status: Choice["on walks", "off walks", "never"]
    before: tuple[str, ...]
    after: tuple[str, ...]
    walk: tuple[str, ...]
    walks: int | None
    of: int | None
    known: tuple[str, ...]
    gap: Gap | None
    causes: tuple[Cause, ...]


def explain_node(explored: Explored, name: str, linked: Linked | None = None) -> NodeExplanation:
    """Where a member of a graph runs, or why no walk uses it.

    Args:
        linked: the same graph linked, where it links: to count walks.

    Raises:
        InputError: where the graph has no member of that name.
    """
    places = places_of(explored)
    number = places.member(name)
    action = explored.actions[number]
    status = runs(places, number)
    if status == "never":
        nearest = nearest_place(places, places.everywhere(), action.requirement)
        assert nearest is not None, "there is always the source"
        chain = causes(places, nearest)
        return NodeExplanation(
            explored.graph.name, name, status, (), (), places.walk(nearest.place), *_count(linked, number), (),
            gap(places, nearest, number), chain,
        )  # fmt: skip
    after = list(places.after(number))
    shown = [p for p in after if p.state in explored.reaching] or after
    facts = _known_at_all(places, shown)
    if status == "off walks":
        nearest = nearest_place(places, places.beyond(number), places.facts.goal)
        assert nearest is not None, "it runs somewhere"
        return NodeExplanation(
            explored.graph.name, name, status, _before(places, number, alive=False),
            _following(places, after), places.walk(shown[0]), *_count(linked, number), facts,
            gap(places, nearest, None), causes(places, nearest),
        )  # fmt: skip
    return NodeExplanation(
        explored.graph.name, name, status, _before(places, number, alive=True), _following(places, shown),
        places.walk(shown[0]), *_count(linked, number), facts, None, (),
    )  # fmt: skip


def _known_at_all(places: Places, shown: Sequence[Place]) -> tuple[str, ...]:
    """What is known in just these words at every one of the places, as far as a few of them tell."""
    found = dict.fromkeys(known_at(places, shown[0]))
    for place in shown[1:MOST_COMPARED]:
        here = set(known_at(places, place))
        found = {text: None for text in found if text in here}
    return tuple(found)


def _before(places: Places, number: int, *, alive: bool) -> tuple[str, ...]:
    """Names that may stand before a member, on walks to the target or anywhere."""
    explored = places.explored
    states = {
        state for state in places.into(number) if not alive or places.leads_on(places.at(state), number)
    }
    names = {
        explored.actions[step.action].name
        for state in places.order
        for step in explored.steps[state]
        if not states.isdisjoint(x for x in step.after if x is not None)
    }
    return (*((SOURCE,) if 0 in states else ()), *sorted(names))


def _following(places: Places, after: Sequence[Place]) -> tuple[str, ...]:
    """Names that may follow at these places; where some lead to the target, only those that do."""
    explored = places.explored
    names: set[str] = set()
    goal = False
    for place in after:
        assert place.state is not None
        goal = goal or place.state in explored.goals
        for step in explored.steps[place.state]:
            if place.state not in explored.reaching or places.leads_on(place, step.action):
                names.add(explored.actions[step.action].name)
    return (*sorted(names), *((TARGET,) if goal else ()))


def _count(linked: Linked | None, number: int) -> tuple[int | None, int | None]:
    """The walks through a member, and all."""
    if linked is None:
        return None, None
    without = [0] * len(linked.steps)
    for state in reversed(linked.order):
        total = 1 if state in linked.goals else 0
        for step in linked.steps[state]:
            if step.action != number:
                ways = sum(without[after] for after in step.after if after is not None)
                total += linked.multiplicity[step.action] * ways
        without[state] = total
    return linked.paths - without[linked.source], linked.paths
