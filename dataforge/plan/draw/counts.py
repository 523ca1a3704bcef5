"""How many walks go through each name and over each edge of a linked graph, exactly.

In: a linked graph. Out: integers, for names and for pairs of names. The idea: a step from state `s` is on
(walks from the source to `s`) × (walks on from its end) walks, since any beginning goes with any end. Added up over the
states, that counts a walk as often as it uses the step, so the few names that can come twice in one walk are counted the
other way round: all walks less those that avoid the name.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataforge.plan.linked import SOURCE, TARGET, Linked

NameEdge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class WalkCounts:
    """Walks of one graph, those through inner graphs counted each.

    Attributes:
        total: all walks.
        through: name → walks that use it, source and target included.
        over: edge of the projection onto names → walks that use it.
    """

    total: int
    through: dict[str, int]
    over: dict[NameEdge, int]


def count_walks(linked: Linked) -> WalkCounts:
    """Count the walks through every name and over every edge of the projection onto names."""
    through: dict[str, int] = {SOURCE: linked.paths, TARGET: linked.paths}
    over: dict[NameEdge, int] = {}
    arrivals: list[dict[str, int]] = [{} for _ in linked.steps]
    arrivals[linked.source][SOURCE] = 1
    for state in linked.order:
        before = arrivals[state]
        if not before:
            continue
        to_here = sum(before.values())
        if state in linked.goals:
            for name, ways in before.items():
                over[name, TARGET] = over.get((name, TARGET), 0) + ways
        for step in linked.steps[state]:
            name, times = linked.actions[step.action].name, linked.multiplicity[step.action]
            after = [x for x in step.after if x is not None]
            onward = times * sum(linked.paths_from[x] for x in after)
            through[name] = through.get(name, 0) + to_here * onward
            for earlier, ways in before.items():
                over[earlier, name] = over.get((earlier, name), 0) + ways * onward
            for x in after:
                arrivals[x][name] = arrivals[x].get(name, 0) + to_here * times
    again = _repeating(linked)
    for name in again:
        through[name] = linked.paths - _walks_without(linked, None, name)
    for tail, head in over:
        if tail in again and head in again:
            over[tail, head] = linked.paths - _walks_without(linked, tail, head)
    return WalkCounts(linked.paths, through, over)


def _repeating(linked: Linked) -> frozenset[str]:
    """Names that one walk can use twice: those that can be reached again from a state after them."""
    reach = [0] * len(linked.steps)
    again: set[str] = set()
    for state in reversed(linked.order):
        for step in linked.steps[state]:
            later = 0
            for after in step.after:
                if after is not None:
                    later |= reach[after]
            if later >> step.action & 1:
                again.add(linked.actions[step.action].name)
            reach[state] |= later | 1 << step.action
    return frozenset(again)


def _walks_without(linked: Linked, tail: str | None, head: str) -> int:
    """The number of walks in which `head` never follows `tail`; with None, in which it never comes at all."""
    ways: list[dict[str, int]] = [{} for _ in linked.steps]
    ways[linked.source][SOURCE] = 1
    arrived = 0
    for state in linked.order:
        before = ways[state]
        if state in linked.goals:
            arrived += sum(before.values())
        for step in linked.steps[state]:
            name = linked.actions[step.action].name
            if name != head:
                allowed = sum(before.values())
            else:
                allowed = 0 if tail is None else sum(n for earlier, n in before.items() if earlier != tail)
            for after in step.after:
                if after is not None and allowed:
                    times = linked.multiplicity[step.action]
                    ways[after][name] = ways[after].get(name, 0) + allowed * times
    return arrived


def short_count(number: int) -> str:
    """A count for people: exact while it is short."""
    if number < 10**9:
        return f"{number:,}"
    digits = number.bit_length() * 30103 // 100000  # of 10, at most one too few
    if digits < 300:
        return f"{number:.3e}"
    return f"1e{digits}"


def share_of(part: int, whole: int) -> float:
    """The part as a fraction of the whole, from 0 to 1; exact integers of any size."""
    return part / whole if whole else 0.0
