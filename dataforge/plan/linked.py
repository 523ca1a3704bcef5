"""The linked graph: states of knowledge, what may follow in each, and the vertices and edges that people see.

A *vertex* is an action in a state: an action, one of its outcomes, and the state after it. All vertices that share a
state share their successors, so edges are kept a state, not a pair of vertices: a layer of 1,000 nodes before a layer
of 1,000 others is 2,000 entries, not a million.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataforge.domain import actions as a
from dataforge.plan.facts import Action, Facts, Knowledge, common

if TYPE_CHECKING:
    import networkx as nx

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True, slots=True)
class Step:
    """One action that a state allows, and the state after each of its outcomes (None: one that is rejected, or cannot be)."""

    action: int
    after: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Vertex:
    """An action, one outcome of it, and the state after."""

    id: str
    action: int
    outcome: int
    state: int


@dataclass(frozen=True, eq=False)
class Explored:
    """What exploration found, before anything is cut: what explanations look at, also where the target is out of reach.

    Attributes:
        actions, knowledge, steps, goals: as in `Linked`, those included that lead nowhere.
        reaching: states from which the target is reached.
        impossible: actions of which a state allows the start, and no outcome.
        depths: for each state the number of nodes before it, as far as `steps` counts.
    """

    graph: a.Graph
    facts: Facts
    actions: tuple[Action, ...]
    knowledge: tuple[tuple[Knowledge, ...], ...]
    steps: tuple[tuple[Step, ...], ...]
    goals: frozenset[int]
    reaching: frozenset[int]
    impossible: frozenset[int]
    depths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Linked:
    """A linked graph.

    Attributes:
        actions: the members, in order of name; steps refer to them by index.
        knowledge: for each state the alternatives of what is known in it.
        steps: for each state what may follow, by index of action.
        goals: states from which the target is entailed.
        order: states so that every step leads forward.
        cut: names of members that no walk uses, with the reason.
        inner: linked graphs of the members that are graphs.
    """

    graph: a.Graph
    facts: Facts
    actions: tuple[Action, ...]
    knowledge: tuple[tuple[Knowledge, ...], ...]
    steps: tuple[tuple[Step, ...], ...]
    goals: frozenset[int]
    order: tuple[int, ...]
    cut: Mapping[str, str]
    inner: Mapping[str, Linked] = field(default_factory=dict)

    source = 0

    @functools.cached_property
    def paths(self) -> int:
        """Number of walks, those through inner graphs counted each."""
        return self.paths_from[self.source]

    @functools.cached_property
    def multiplicity(self) -> tuple[int, ...]:
        """For each action how many ways lead through it: the paths of an inner graph, else 1."""
        return tuple(self.inner[x.name].paths if x.name in self.inner else 1 for x in self.actions)

    @functools.cached_property
    def paths_from(self) -> tuple[int, ...]:
        """For each state the number of walks from there to the target."""
        counts = [0] * len(self.steps)
        multiplicity = self.multiplicity
        for state in reversed(self.order):
            total = 1 if state in self.goals else 0
            for step in self.steps[state]:
                ways = sum(counts[after] for after in step.after if after is not None)
                total += multiplicity[step.action] * ways
            counts[state] = total
        return tuple(counts)

    @functools.cached_property
    def vertices(self) -> tuple[Vertex, ...]:
        """The vertices between source and target, in an order that every step follows."""
        found: dict[tuple[int, int, int], None] = {}
        for state in self.order:
            for step in self.steps[state]:
                for outcome, after in enumerate(step.after):
                    if after is not None:
                        found.setdefault((step.action, outcome, after))
        names: dict[str, int] = {}
        for action, outcome, _ in found:
            names[self.outcome_name(action, outcome)] = names.get(self.outcome_name(action, outcome), 0) + 1
        seen: dict[str, int] = {}
        vertices = []
        for action, outcome, after in found:
            name = self.outcome_name(action, outcome)
            seen[name] = seen.get(name, 0) + 1
            vertex = name if names[name] == 1 else f"{name}#{seen[name]}"
            vertices.append(Vertex(vertex, action, outcome, after))
        return tuple(vertices)

    def outcome_name(self, action: int, outcome: int) -> str:
        label = self.actions[action].labels[outcome]
        name = self.actions[action].name
        if label is None:
            return name
        return f"{name}[{str(label).lower() if isinstance(label, bool) else label}]"

    @functools.cached_property
    def successors(self) -> tuple[tuple[str, ...], ...]:
        """For each state the ids of the vertices that may follow, and the target's where it is entailed."""
        ids = {(v.action, v.outcome, v.state): v.id for v in self.vertices}
        return tuple(
            tuple(
                ids[step.action, outcome, after]
                for step in steps
                for outcome, after in enumerate(step.after)
                if after is not None
            )
            + ((TARGET,) if state in self.goals else ())
            for state, steps in enumerate(self.steps)
        )

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every edge between vertices, source and target included."""
        for successor in self.successors[self.source]:
            yield SOURCE, successor
        for vertex in self.vertices:
            for successor in self.successors[vertex.state]:
                yield vertex.id, successor

    @functools.cached_property
    def edge_count(self) -> int:
        """Number of edges between vertices, without listing them."""
        return len(self.successors[self.source]) + sum(len(self.successors[v.state]) for v in self.vertices)

    @functools.cached_property
    def name_edges(self) -> tuple[tuple[str, str], ...]:
        """The DAG projected onto names: what people look at. Sorted pairs."""
        into: dict[int, set[str]] = {self.source: {SOURCE}}
        for vertex in self.vertices:
            into.setdefault(vertex.state, set()).add(self.actions[vertex.action].name)
        follow: dict[str, set[str]] = {}
        for state, before in into.items():
            after = {self.actions[step.action].name for step in self.steps[state]}
            if state in self.goals:
                after.add(TARGET)
            for name in before:
                follow.setdefault(name, set()).update(after)
        return tuple((name, other) for name in sorted(follow) for other in sorted(follow[name]))

    def dag(self) -> nx.DiGraph:
        """The linked graph: vertices with `node`, `outcome` and `known` attributes, one source and one target."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_node(SOURCE, node=None, outcome=None, known=self.known(self.source))
        for vertex in self.vertices:
            action = self.actions[vertex.action]
            graph.add_node(
                vertex.id,
                node=action.name,
                outcome=action.labels[vertex.outcome],
                known=self.known(vertex.state),
            )
        graph.add_node(TARGET, node=None, outcome=None, known=[])
        graph.add_edges_from(self.edges())
        return graph

    @functools.cached_property
    def linked(self) -> nx.DiGraph:
        """The DAG projected onto node names."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from([SOURCE, TARGET])
        graph.add_edges_from(self.name_edges)
        return graph

    def known(self, state: int) -> list[str]:
        """What is known in a state and may still be needed, as conditions; what every alternative knows."""
        return self.facts.describe(*common(self.knowledge[state]))
