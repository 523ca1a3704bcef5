"""Walks: how a row's path through the linked graph is drawn.

Three laws. `uniform` gives every path from source to target the same probability: in each state the next action is
drawn in proportion to the number of paths through it, in exact integers. `weighted` draws paths in proportion to the
product of their nodes' weights. `cover` uses every edge as evenly as can be: its flow maximises the sum of the
logarithms of the edges' uses (proportional fairness: F. Kelly, "Charging and rate control for elastic traffic", 1997),
and row numbers are spread over that flow by the golden ratio, so that even few rows cover it evenly.

Drawing goes step by step, so a branch can overrule it: the value picks the outcome, and the law goes on below it.
Everything follows from the run's seed, the name of its graph and the row number, whatever else runs beside it: an edit
that leaves the paths as they are, such as to a prompt, leaves every walk as it was.
"""

from __future__ import annotations

import abc
import bisect
import functools
import hashlib
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dataforge.domain.actions import Node
from dataforge.plan.linked import Linked, Step

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, odd: its multiples modulo 2^64 fill the circle evenly."""
COVER_WORK = 3_000_000
"""Edge visits to spend on the flow of `cover`: well under two seconds."""
MAX_COVER_ROUNDS = 400


def row_random(seed: int, graph: str, row: int, *parts: object) -> random.Random:
    """The random stream of a row, or of a named part of it: the same for ever, whatever runs beside it."""
    text = "|".join(map(str, (seed, graph, row, *parts)))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big"))


class Law(Protocol):
    """Chooses the next action of one row, state by state; `position` is the vertex that the row stands on."""

    def choose(self, position: Position, chance: Chance) -> int | None:
        """Index of the next action, or None for the target."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Where a row stands: the state, and the action and outcome that led there (None at the source)."""

    state: int
    came_by: tuple[int, int] | None = None


class Chance:
    """What a row's choices are drawn from, made when a first choice asks for it: many rows never have one."""

    def __init__(self, seed: int, graph: str, row: int, parts: tuple[object, ...] = ()) -> None:
        self._of = (seed, graph, row)
        self._parts = parts

    @functools.cached_property
    def rng(self) -> random.Random:
        return row_random(*self._of, *self._parts, "walk")

    @functools.cached_property
    def luck(self) -> Luck:
        return Luck(*self._of)


class Luck:
    """A row's place in [0, 1), used up choice by choice; when its 64 bits are spent, random ones follow."""

    def __init__(self, seed: int, graph: str, row: int) -> None:
        offset = row_random(seed, graph, -1, "cover").getrandbits(64)
        self.place = ((offset + row * GOLDEN) % 2**64) / 2**64
        self.width = 1.0

    def take(self, weights: Sequence[float], rng: random.Random) -> int:
        """Index drawn in proportion to the weights."""
        total = math.fsum(weights)
        if self.width < 2.0**-32:
            self.place, self.width = rng.random(), 1.0
        low = 0.0
        last = max(i for i, w in enumerate(weights) if w > 0)
        for index, weight in enumerate(weights):
            share = weight / total
            if share > 0 and (self.place < low + share or index == last):
                self.place = min(max((self.place - low) / share, 0.0), math.nextafter(1.0, 0.0))
                self.width *= share
                return index
            low += share
        raise AssertionError("some weight is above zero")


class _ByState(abc.ABC):
    """A law by which the options of a state have fixed shares; the table of a state is made when a row first meets it."""

    def __init__(self, linked: Linked) -> None:
        self.linked = linked
        self.tables: dict[int, tuple[list[int | None], list[Any]]] = {}

    def choose(self, position: Position, chance: Chance) -> int | None:
        table = self.tables.get(position.state)
        if table is None:
            table = self.tables[position.state] = self._table(position.state)
        options, cumulative = table
        return options[0] if len(options) == 1 else options[self._pick(cumulative, chance.rng)]

    def _table(self, state: int) -> tuple[list[int | None], list[Any]]:
        steps = self.linked.steps[state]
        options: list[int | None] = [step.action for step in steps]
        shares = [self._share(state, step) for step in steps]
        if state in self.linked.goals:
            options.insert(0, None)
            shares.insert(0, self._end_share(state))
        return options, list(itertools.accumulate(shares))

    @abc.abstractmethod
    def _share(self, state: int, step: Step) -> Any:
        """How much of what leaves the state goes by this step."""

    @abc.abstractmethod
    def _end_share(self, state: int) -> Any:
        """How much of what leaves the state goes to the target."""

    @abc.abstractmethod
    def _pick(self, cumulative: list[Any], rng: random.Random) -> int:
        """Index of the option drawn from the running sums of the shares."""


class Uniform(_ByState):
    """Every path with the same probability."""

    def _share(self, state: int, step: Step) -> int:
        ways = sum(self.linked.paths_from[after] for after in step.after if after is not None)
        return self.linked.multiplicity[step.action] * ways

    def _end_share(self, state: int) -> int:
        return 1

    def _pick(self, cumulative: list[int], rng: random.Random) -> int:
        return bisect.bisect_right(cumulative, rng.randrange(cumulative[-1]))


def action_log_weights(linked: Linked) -> list[float]:
    """For each action the logarithm of its weight: of a node its own, of a graph that of all walks inside it."""
    found = []
    for action in linked.actions:
        if isinstance(action.member, Node):
            found.append(math.log(action.member.weight))
        else:
            inner = linked.inner[action.name]
            found.append(log_weights(inner, action_log_weights(inner))[inner.source])
    return found


def log_weights(linked: Linked, actions: Sequence[float]) -> list[float]:
    """For each state the logarithm of the summed weights of its walks to the target."""
    totals = [-math.inf] * len(linked.steps)
    for state in reversed(linked.order):
        terms = [0.0] if state in linked.goals else []
        for step in linked.steps[state]:
            below = _log_sum([totals[after] for after in step.after if after is not None])
            terms.append(actions[step.action] + below)
        totals[state] = _log_sum(terms)
    return totals


def _log_sum(terms: Sequence[float]) -> float:
    top = max(terms, default=-math.inf)
    return top if top == -math.inf else top + math.log(math.fsum(math.exp(t - top) for t in terms))


class Weighted(_ByState):
    """Paths in proportion to the product of their nodes' weights."""

    def __init__(self, linked: Linked) -> None:
        super().__init__(linked)
        self.actions = action_log_weights(linked)
        self.totals = log_weights(linked, self.actions)

    def _share(self, state: int, step: Step) -> float:
        below = _log_sum([self.totals[after] for after in step.after if after is not None])
        return math.exp(self.actions[step.action] + below - self.totals[state])

    def _end_share(self, state: int) -> float:
        return math.exp(-self.totals[state])

    def _pick(self, cumulative: list[float], rng: random.Random) -> int:
        return min(bisect.bisect_right(cumulative, rng.random() * cumulative[-1]), len(cumulative) - 1)


class Cover:
    """Every edge as evenly as can be."""

    def __init__(self, linked: Linked) -> None:
        self.shares = cover_flow(linked)

    def choose(self, position: Position, chance: Chance) -> int | None:
        options, weights = self.shares[position]
        return options[0] if len(options) == 1 else options[chance.luck.take(weights, chance.rng)]


def cover_flow(linked: Linked) -> dict[Position, tuple[list[int | None], list[float]]]:
    """For each position the options and how often each is to be taken, relative to one another.

    A unit flow over the edges between vertices, found by Frank–Wolfe steps on the sum of logarithms: each step adds the
    walk whose edges are used least, by harmonic weight. A branch's outcomes, which no law chooses, are taken as equally
    likely.
    """
    positions: dict[Position, int] = {Position(linked.source): 0}
    options: list[list[int | None]] = []
    targets: list[list[list[int]]] = []
    queue = [Position(linked.source)]
    for position in queue:
        here: list[int | None] = []
        where: list[list[int]] = []
        if position.state in linked.goals:
            here.append(None)
            where.append([])
        for step in linked.steps[position.state]:
            here.append(step.action)
            outcomes = []
            for outcome, after in enumerate(step.after):
                if after is not None:
                    follower = Position(after, (step.action, outcome))
                    if follower not in positions:
                        positions[follower] = len(positions)
                        queue.append(follower)
                    outcomes.append(positions[follower])
            where.append(outcomes)
        options.append(here)
        targets.append(where)
    place = {state: i for i, state in enumerate(linked.order)}
    order = sorted(range(len(queue)), key=lambda i: place[queue[i].state])
    flow = _spread(order, targets)
    edges = sum(len(o) for o in options)
    rounds = max(1, min(MAX_COVER_ROUNDS, COVER_WORK // max(1, edges)))
    for step_number in range(rounds):
        step_size = 2.0 / (step_number + 10.0)
        best = [0.0] * len(queue)
        take = [0] * len(queue)
        for i in reversed(order):
            gains = [
                1.0 / f + (math.fsum(best[t] for t in where) / len(where) if where else 0.0)
                for f, where in zip(flow[i], targets[i], strict=True)
            ]
            if gains:
                take[i] = max(range(len(gains)), key=gains.__getitem__)
                best[i] = gains[take[i]]
        arriving = [0.0] * len(queue)
        arriving[0] = 1.0
        for i in order:
            for k in range(len(flow[i])):
                walk = arriving[i] if k == take[i] else 0.0
                flow[i][k] += step_size * (walk - flow[i][k])
            if flow[i]:
                for t in targets[i][take[i]]:
                    arriving[t] += arriving[i] / len(targets[i][take[i]])
    return {position: (options[i], flow[i]) for i, position in enumerate(queue)}


def _spread(order: Sequence[int], targets: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
    """A first flow that uses every edge: each position shares by the number of edges below each option."""
    below = [0.0] * len(targets)
    for i in reversed(order):
        below[i] = math.fsum(1.0 + math.fsum(below[t] for t in where) for where in targets[i])
        below[i] = min(below[i], 1e12)
    arriving = [0.0] * len(targets)
    arriving[0] = 1.0
    flow: list[list[float]] = [[] for _ in targets]
    for i in order:
        weights = [1.0 + math.fsum(below[t] for t in where) for where in targets[i]]
        total = math.fsum(weights)
        for weight, where in zip(weights, targets[i], strict=True):
            share = arriving[i] * weight / total
            flow[i].append(max(share, 1e-12))
            for t in where:
                arriving[t] += share / len(where)
    return flow


LAWS: dict[str, type[Uniform] | type[Weighted] | type[Cover]] = {
    "uniform": Uniform,
    "weighted": Weighted,
    "cover": Cover,
}


class Walks:
    """The walks of one linked graph under its law."""

    def __init__(self, linked: Linked, seed: int, graph: str) -> None:
        self.linked = linked
        self.seed = seed
        self.graph = graph
        self.law: Law = LAWS[linked.graph.law](linked)

    def walk(self, row: int, *parts: object) -> Walk:
        """The walk of a row (or of a named part of it), at its source."""
        return Walk(self, row, parts)

    def names(self, row: int) -> list[str]:
        """A whole walk by names, where no branch overrules it: each branch takes its first outcome that goes on."""
        walk = self.walk(row)
        found = []
        while (action := walk.choose()) is not None:
            found.append(self.linked.actions[action].name)
            walk.advance(action, walk.open_outcomes(action)[0])
        return found


class Walk:
    """One row's way, chosen step by step."""

    def __init__(self, walks: Walks, row: int, parts: tuple[object, ...]) -> None:
        self.walks = walks
        self.chance = Chance(walks.seed, walks.graph, row, parts)
        self.position = Position(walks.linked.source)

    def choose(self) -> int | None:
        """Index of the next action, or None at the target."""
        return self.walks.law.choose(self.position, self.chance)

    def open_outcomes(self, action: int) -> list[int]:
        """Outcomes of the action that lead on from here."""
        return [i for i, after in enumerate(self._after(action)) if after is not None]

    def advance(self, action: int, outcome: int) -> bool:
        """Go on to the state after an outcome; False where that outcome is to be rejected."""
        after = self._after(action)[outcome]
        if after is None:
            return False
        self.position = Position(after, (action, outcome))
        return True

    def _after(self, action: int) -> tuple[int | None, ...]:
        steps = self.walks.linked.steps[self.position.state]
        return steps[bisect.bisect_left(steps, action, key=lambda s: s.action)].after


def all_paths(linked: Linked, most: int) -> Iterator[tuple[str, ...]]:
    """Every walk by names of vertices, at most `most` of them, inner graphs as one vertex."""
    stack: list[tuple[int, tuple[str, ...]]] = [(linked.source, ())]
    given = 0
    while stack and given < most:
        state, path = stack.pop()
        if state in linked.goals:
            given += 1
            yield path
        for step in linked.steps[state]:
            for outcome, after in enumerate(step.after):
                if after is not None:
                    stack.append((after, (*path, linked.outcome_name(step.action, outcome))))
