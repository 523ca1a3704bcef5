"""Why there is an edge between two members of a graph, the source or the target, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from dataforge.errors import InputError
from dataforge.plan.explain.core import literals_of
from dataforge.plan.explain.explanation import Explanation
from dataforge.plan.explain.gap import Gap, gap, nearest_place, texts
from dataforge.plan.explain.missing import Missing, Touch, about
from dataforge.plan.explain.places import Place, Places, places_of
from dataforge.plan.explain.promises import Where, condition
from dataforge.plan.facts import Knowledge, Literal, Requirement
from dataforge.plan.linked import SOURCE, TARGET, Explored
from dataforge.plan.why import clauses_of


@dataclass(frozen=True, slots=True)
class Fact:
    """A clause of a requirement that holds, what entails it, and who made that known."""

    required: str
    known: str
    by: str
    where: Where | None


@dataclass(frozen=True, slots=True)
class EdgeExplanation(Explanation):
    """Why there is, or is not, an edge.

    Attributes:
        graph, one, other: the graph, and the names asked about.
        exists: whether the second may follow the first.
        on_walks: whether it may on a walk to the target.
        walk: to the state that is spoken of: the source and the names up to the first member.
        states, allowing: states after the first member, and those of them that allow the second.
        first_runs: whether any state allows the first member; else it is supposed to run where it lacks least.
        supposed: what it lacks there, here taken as given.
        proof: what entails each clause, where the edge exists.
        gap: what is missing, where it does not; None, too, where the first requires what can never hold.
    """

    graph: str
    one: str
    other: str
    exists: bool
    on_walks: bool
    walk: tuple[str, ...]
    states: int
    allowing: int
    first_runs: bool
    supposed: tuple[str, ...]
    proof: tuple[Fact, ...]
    gap: Gap | None


def explain_edge(explored: Explored, one: str, other: str) -> EdgeExplanation:
    """Why there is, or is not, an edge between two members, the source or the target.

    Raises:
        InputError: where the graph has no member of such a name, or the question has no sense.
    """
    places = places_of(explored)
    if other == SOURCE or one == TARGET:
        raise InputError(
            f"nothing leads {'to the source' if other == SOURCE else 'on from the target'}",
            code="R034",
            help="ask for an edge from a member, or the source, to a member, or the target",
        )
    first = None if one == SOURCE else places.member(one)
    second = None if other == TARGET else places.member(other)
    requirement = places.requirement(second)
    after, supposed = _after(places, first)
    allowing = [place for place in after if places.allows(place, second)]
    alive = [place for place in allowing if places.leads_on(place, second)]
    graph = explored.graph.name
    if allowing:
        place = (alive or allowing)[0]
        return EdgeExplanation(
            graph, one, other, True, bool(alive), places.walk(place), len(after), len(allowing), True, (),
            proof(places, place, requirement), None,
        )  # fmt: skip
    nearest = nearest_place(places, after, requirement)
    walk = places.walk(nearest.place) if nearest is not None else ()
    return EdgeExplanation(
        graph, one, other, False, False, walk, len(after), 0, first is None or places.runs(first), supposed, (),
        gap(places, nearest, second) if nearest is not None else None,
    )  # fmt: skip


def _after(places: Places, action: int | None) -> tuple[list[Place], tuple[str, ...]]:
    """The places after a member; where it never runs, one where it does, and what had to be supposed for that."""
    if action is None:
        return [places.at(0)], ()
    found = list(places.after(action))
    if found:
        return found, ()
    nearest = nearest_place(places, places.everywhere(), places.requirement(action))
    if nearest is None or not nearest.core.possible:
        return [], ()
    known = places.supposing.suppose(nearest.place.known, nearest.core.literals) or nearest.place.known
    return [places.supposed(nearest.place, action, known)], texts(places, nearest.core)


def proof(places: Places, place: Place, requirement: Requirement) -> tuple[Fact, ...]:
    """For each clause of a requirement that holds at a place, what entails it, and who made that known."""
    found = []
    for clause in clauses_of(requirement):
        literals = literals_of(clause)
        holding = [x for x in literals if any(_knows(k, x) for k in place.known)]
        entries = [about(places, place, x) for x in holding]
        touched: dict[str, Touch] = {x.touched_by.by: x.touched_by for x in entries if x.touched_by}
        required = " or ".join(condition(places.facts, x) for x in literals)
        known = " or ".join(dict.fromkeys(_held(x) for x in entries))
        where = next(iter(touched.values())).where if touched else None
        found.append(Fact(required, known, ", ".join(touched), where))
    return tuple(found)


def _held(entry: Missing) -> str:
    return entry.known or entry.atom


def _knows(known: Knowledge, literal: Literal) -> bool:
    return bool(known[0 if literal.sign else 1] >> literal.bit & 1)
