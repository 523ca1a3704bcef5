"""A naive planner: sets of all concrete states, nothing shared with ours.

A concrete state says for each struct whether it is there and what its fields are. A belief is the set of concrete states
that are possible. A node may run where its precondition holds in *every* one of them; what it gives is then anything that
its type, its constants, its kept fields and its postcondition allow.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.plan.domains import Act, GraphSpec, Instance, ProgramSpec, Ref, Schema, instances

Concrete = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]


def freeze(state: Mapping[str, Instance]) -> Concrete:
    return tuple((s, tuple(sorted(state[s].items()))) for s in sorted(state))


@functools.lru_cache(maxsize=50_000)
def thaw(state: Concrete) -> Mapping[str, Instance]:
    return {s: dict(fields) for s, fields in state}


@dataclass(frozen=True)
class Belief:
    states: frozenset[Concrete]
    present: frozenset[str]
    derived: frozenset[str]
    depth: int = 0


@dataclass(frozen=True)
class Verdict:
    """What linking a graph comes to: the code of its error, or the beliefs that lie on a walk."""

    code: str | None
    alive: frozenset[Belief]
    naive: Naive


class Naive:
    """One graph."""

    def __init__(self, schema: Schema, graph: GraphSpec, acts: Mapping[str, Act]) -> None:
        self.schema = schema
        self.graph = graph
        self.acts = [acts[name] for name in graph.members]
        self.next: dict[Belief, dict[str, tuple[Act, Belief]]] = {}

    def source(self) -> Belief:
        graph = self.graph
        options = itertools.product(*(list(instances(self.schema, s)) for s in graph.source))
        states = [dict(zip(graph.source, option, strict=True)) for option in options]
        possible = frozenset(freeze(s) for s in states if graph.where is None or graph.where.holds(s))
        return Belief(possible, frozenset(graph.source), frozenset())

    def is_goal(self, belief: Belief) -> bool:
        graph = self.graph
        return (
            belief.depth >= (graph.steps[0] if graph.steps is not None else 0)
            and set(graph.target) <= belief.present
            and (graph.goal is None or all(graph.goal.holds(thaw(s)) for s in belief.states))
        )

    def allowed(self, belief: Belief, act: Act) -> bool:
        for struct in act.gives:
            if struct in (belief.derived if struct in act.takes else belief.present):
                return False
        return set(act.takes) <= belief.present and (
            act.pre is None or all(act.pre.holds(thaw(s)) for s in belief.states)
        )

    def results(self, old: Mapping[str, Instance], act: Act) -> Iterator[dict[str, Instance]]:
        """Every state that may follow, the postcondition not yet asked."""
        known: dict[Ref, Any] = dict(act.constants)
        known |= {ref: old[ref[0]][ref[1]] for ref in act.kept}
        known |= {ref: old[other[0]][other[1]] for ref, other in act.copies}
        options = [
            [
                new
                for new in instances(self.schema, s)
                if all(new[f] == v for (t, f), v in known.items() if t == s)
            ]
            for s in act.gives
        ]
        for combination in itertools.product(*options):
            yield {**old, **dict(zip(act.gives, combination, strict=True))}

    def after(self, belief: Belief) -> dict[str, tuple[Act, Belief]]:
        """By outcome: what may follow. An outcome that no concrete state has is none."""
        if belief in self.next:
            return self.next[belief]
        found: dict[str, tuple[Act, Belief]] = {}
        low, high = self.graph.steps if self.graph.steps is not None else (0, None)
        depth = 0 if self.graph.steps is None else belief.depth + 1
        if high is None:
            depth = min(depth, low)
        for act in self.acts if high is None or belief.depth < high else ():
            if not self.allowed(belief, act):
                continue
            reached: dict[str, set[Concrete]] = {}
            for then in self.all_results(belief, act):
                if act.post is None or act.post.holds(then):
                    value = then[act.branch[0]][act.branch[1]] if act.branch is not None else None
                    reached.setdefault(act.outcome(value), set()).add(freeze(then))
            derived = belief.derived | {s for s in act.takes if set(act.gives) - {s}}
            for label in sorted(reached):
                present = belief.present | set(act.gives)
                found[label] = act, Belief(frozenset(reached[label]), present, derived, depth)
        self.next[belief] = found
        return found

    def all_results(self, belief: Belief, act: Act) -> Iterator[dict[str, Instance]]:
        """The results of every state of a belief, without doing twice what the forgotten fields do not change."""
        looked_at = {*act.kept, *(other for _, other in act.copies)}
        seen = set()
        for state in belief.states:
            old = thaw(state)
            rest = freeze({s: fields for s, fields in old.items() if s not in act.gives})
            key = (rest, tuple(old[s][f] for s, f in sorted(looked_at)))
            if key not in seen:
                seen.add(key)
                yield from self.results(old, act)

    def verdict(self) -> Verdict:
        first = self.source()
        reached = {first}
        queue = [first]
        before: dict[Belief, set[Belief]] = {}
        while queue:
            belief = queue.pop()
            for _, then in self.after(belief).values():
                before.setdefault(then, set()).add(belief)
                if then not in reached:
                    reached.add(then)
                    queue.append(then)
        alive = {b for b in reached if self.is_goal(b)}
        queue = list(alive)
        while queue:
            for belief in before.get(queue.pop(), ()):
                if belief not in alive:
                    alive.add(belief)
                    queue.append(belief)
        if first not in alive:
            return Verdict("F061", frozenset(alive), self)
        on_walks = {first}
        queue = [first]
        dead_end = False
        while queue:
            outcomes: dict[str, list[bool]] = {}
            for act, then in self.after(queue.pop()).values():
                if then in alive and then not in on_walks:
                    on_walks.add(then)
                    queue.append(then)
                if not act.reject or act.branch is None:
                    outcomes.setdefault(act.name, []).append(then in alive)
            dead_end = dead_end or any(any(x) and not all(x) for x in outcomes.values())
        code = "F063" if dead_end else "F062" if self._cyclic(first, on_walks) else None
        return Verdict(code, frozenset(on_walks), self)

    def _cyclic(self, first: Belief, alive: set[Belief]) -> bool:
        done: dict[Belief, bool] = {}

        def visit(belief: Belief) -> bool:
            done[belief] = False
            for _, then in self.after(belief).values():
                if then in alive and (done.get(then) is False or (then not in done and visit(then))):
                    return True
            done[belief] = True
            return False

        return visit(first)

    def walks(self, alive: frozenset[Belief], most: int) -> set[tuple[str, ...]]:
        """Walks by name, at most about so many."""
        found: set[tuple[str, ...]] = set()
        stack: list[tuple[Belief, tuple[str, ...]]] = [(self.source(), ())]
        while stack and len(found) <= most:
            belief, path = stack.pop()
            if self.is_goal(belief):
                found.add(path)
            stack.extend((then, (*path, n)) for n, (_, then) in self.after(belief).items() if then in alive)
        return found


@dataclass(frozen=True)
class Expected:
    """What compiling a program comes to: the codes of all its graphs' errors, or its walks and how many there are."""

    codes: frozenset[str]
    walks: frozenset[tuple[str, ...]] = frozenset()
    paths: int = 0
    main: Naive | None = None


def expected(spec: ProgramSpec, most: int) -> Expected | None:
    """The naive compiler; None where there are more than so many walks."""
    acts = spec.acts()
    codes: set[str] = set()
    failed: set[str] = set()
    paths: dict[str, int] = {}
    walks: set[tuple[str, ...]] = set()
    naive = None
    for graph in spec.graphs:
        if any(member in failed for member in graph.members):
            failed.add(graph.name)
            continue
        naive = Naive(spec.schema, graph, acts)
        verdict = naive.verdict()
        if verdict.code is not None:
            failed.add(graph.name)
            codes.add(verdict.code)
            continue
        walks = naive.walks(verdict.alive, most)
        if len(walks) > most:
            return None
        paths[graph.name] = sum(math.prod(paths.get(name, 1) for name in walk) for walk in walks)
    if codes:
        return Expected(frozenset(codes))
    return Expected(frozenset(), frozenset(walks), paths["main"], naive)
