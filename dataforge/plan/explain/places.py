"""Places: explored states with a history, and everything known in them.

The linker keeps of each state only what something still to come may need. An explanation asks about nodes that cannot
come any more, so the knowledge is made again, whole, along a shortest walk to each state: one place a state, and one for
each way in which a step leads into it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from dataforge.domain.conditions import MAX_ALTERNATIVES
from dataforge.errors import InputError
from dataforge.lang.diagnostics import did_you_mean
from dataforge.plan.explain.suppose import Supposing
from dataforge.plan.facts import Effect, Knowledge, Requirement, common
from dataforge.plan.link import progress
from dataforge.plan.linked import SOURCE, TARGET, Explored


@dataclass(frozen=True, slots=True)
class Move:
    """One action on a walk, and the outcome that it had."""

    action: int
    outcome: int


@dataclass(frozen=True, eq=False)
class Place:
    """Where a walk has come to.

    Attributes:
        state: the number of the explored state, or None where the walk is only supposed.
        moves: a shortest walk there from the source.
        known: everything known there, as alternatives.
    """

    state: int | None
    moves: tuple[Move, ...]
    known: tuple[Knowledge, ...]


class Places:
    """The places of one explored graph."""

    def __init__(self, explored: Explored) -> None:
        self.explored = explored
        self.facts = explored.facts
        self.supposing = Supposing(explored.facts)
        self.number = {action.name: i for i, action in enumerate(explored.actions)}
        self._came: dict[int, tuple[int, Move]] = {}
        self._uses: dict[int, list[tuple[int, Move, int]]] = {}
        self.order = [0]
        seen = {0}
        for state in self.order:
            for step in explored.steps[state]:
                for outcome, after in enumerate(step.after):
                    if after is None:
                        continue
                    move = Move(step.action, outcome)
                    self._uses.setdefault(step.action, []).append((state, move, after))
                    if after not in seen:
                        seen.add(after)
                        self._came[after] = (state, move)
                        self.order.append(after)
        self._places: dict[int, Place] = {0: Place(0, (), explored.facts.initial)}
        self.live = {
            action
            for action, uses in self._uses.items()
            if any(after in explored.reaching for _, _, after in uses)
        }

    def runs(self, action: int) -> bool:
        """Whether any state allows it, on a walk to the target or not."""
        return action in self._uses

    def member(self, name: str) -> int:
        """The number of a member.

        Raises:
            InputError: where the graph has none of that name.
        """
        if name not in self.number:
            graph = self.explored.graph
            raise InputError(
                f"`{graph.name}` has no node named `{name}`",
                code="R034",
                help=did_you_mean(name, [*graph.members, SOURCE, TARGET]),
            )
        return self.number[name]

    def requirement(self, action: int | None) -> Requirement:
        """What an action requires, or the target (None)."""
        return self.facts.goal if action is None else self.explored.actions[action].requirement

    def allows(self, place: Place, action: int | None) -> bool:
        """Whether an action, or the target (None), follows at a place."""
        if place.state is None:
            return False
        if action is None:
            return place.state in self.explored.goals
        return any(step.action == action for step in self.explored.steps[place.state])

    def leads_on(self, place: Place, action: int | None) -> bool:
        """Whether it follows there, and the target after it."""
        if place.state is None or action is None:
            return self.allows(place, action)
        return any(
            after in self.explored.reaching
            for step in self.explored.steps[place.state]
            if step.action == action
            for after in step.after
        )

    def at(self, state: int) -> Place:
        """The place of a state, by a shortest walk."""
        trail = []
        at = state
        while at not in self._places:
            trail.append(at)
            at = self._came[at][0]
        for here in reversed(trail):
            before, move = self._came[here]
            self._places[here] = self._next(self._places[before], move, here)
        return self._places[state]

    def everywhere(self) -> Iterator[Place]:
        """A place for each state, those near the source first."""
        return (self.at(state) for state in self.order)

    def after(self, action: int) -> Iterator[Place]:
        """A place for each way in which the action runs, those near the source first."""
        return (self._next(self.at(state), move, after) for state, move, after in self._uses.get(action, ()))

    def beyond(self, action: int) -> Iterator[Place]:
        """The places that follow the action, at any distance, those near it first."""
        seen: set[int] = set()
        frontier = [after for _, _, after in self._uses.get(action, ())]
        for state in frontier:
            if state in seen:
                continue
            seen.add(state)
            frontier.extend(x for step in self.explored.steps[state] for x in step.after if x is not None)
        yield from self.after(action)
        yield from (self.at(state) for state in self.order if state in seen)

    def into(self, action: int) -> list[int]:
        """The states in which an action runs."""
        return list(dict.fromkeys(state for state, _, _ in self._uses.get(action, ())))

    def supposed(self, place: Place, action: int, known: tuple[Knowledge, ...]) -> Place:
        """Where an action would lead that runs nowhere, had this been known before it."""
        moves = (*place.moves, Move(action, 0))
        return Place(None, moves, self._progress(known, self.explored.actions[action].effect, 0))

    def walk(self, place: Place) -> tuple[str, ...]:
        """The names on the walk to a place, from the source on."""
        return (SOURCE, *(self.name(move) for move in place.moves))

    def name(self, move: Move) -> str:
        """How people call an action with an outcome: `sort[fact]`."""
        return outcome_name(self.explored, move)

    def _next(self, place: Place, move: Move, state: int) -> Place:
        effect = self.explored.actions[move.action].effect
        return Place(state, (*place.moves, move), self._progress(place.known, effect, move.outcome))

    def _progress(self, known: tuple[Knowledge, ...], effect: Effect, outcome: int) -> tuple[Knowledge, ...]:
        after = progress(known, effect)[outcome]
        if not after:
            # What it promises contradicts a kept fact, one that the linker had dropped: the promise counts.
            promised = 0
            for true, false in effect.outcomes[outcome]:
                promised |= true | false
            forgetful = Effect(effect.forget | promised, effect.outcomes, effect.given, effect.derived)
            after = progress(known, forgetful)[outcome]
        distinct = list(dict.fromkeys(after))
        weakest = [
            x for x in distinct if not any(y != x and not (y[0] & ~x[0] or y[1] & ~x[1]) for y in distinct)
        ]
        return tuple(weakest) if len(weakest) <= MAX_ALTERNATIVES else (common(weakest),)


@functools.lru_cache(maxsize=8)
def places_of(explored: Explored) -> Places:
    """The places of a graph; kept for the graphs asked about last."""
    return Places(explored)


def outcome_name(explored: Explored, move: Move) -> str:
    action = explored.actions[move.action]
    label = action.labels[move.outcome]
    if label is None:
        return action.name
    return f"{action.name}[{str(label).lower() if isinstance(label, bool) else label}]"
