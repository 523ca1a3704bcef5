"""Plan → drawing: what there is to draw of a linked graph, before any format says how.

In: a compiled program, and how many rows of a corpus went where, if there is one. Out: boxes, arrows between them, layers,
and, for each graph inside, a drawing of its own. The one idea: a layer of 30 nodes before a layer of 30 others is one
arrow to look at and not 900. Nodes with the same neighbours are *alike*, and may be drawn as one without losing an edge;
nodes of one layer that take and give the same structs are a *stage*, which a page can fold.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dataforge.domain import actions as a
from dataforge.plan.artifact import Plan
from dataforge.plan.draw.counts import NameEdge, WalkCounts, count_walks
from dataforge.plan.linked import SOURCE, TARGET, Linked

MIN_GROUP = 3
"""So many nodes make a group; two read better side by side."""


@dataclass(slots=True)
class Flow:
    """Rows of a corpus that went over an edge.

    Attributes:
        kept: rows that reached the target in the end.
        rejected: rows turned away at the edge's head.
        later: rows turned away further on.
        tokens: of the samples kept: of the calls made at the head, or of the finished sample at the target.
        reasons: code of a reason → rows turned away at the head for it.
    """

    kept: int = 0
    rejected: int = 0
    later: int = 0
    tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """All rows that came this way."""
        return self.kept + self.rejected + self.later

    def __iadd__(self, other: Flow) -> Flow:
        self.kept += other.kept
        self.rejected += other.rejected
        self.later += other.later
        self.tokens += other.tokens
        self.reasons += other.reasons
        return self


Flows = Mapping[str, Mapping[NameEdge, Flow]]
"""Qualified name of a graph (`""` for the main one, `inner/deeper`) → edge between names → its rows."""

BoxKind = Literal["source", "target", "node", "graph"]


@dataclass(frozen=True, eq=False)
class Box:
    """Something to draw: a member of the graph, or one of its ends.

    Attributes:
        name: local name; `path`: with the graphs around it.
        layer: its distance from the source, at most.
        walks: how many walks of its graph use it.
        inner: the drawing of what is inside, where it is a graph.
    """

    name: str
    path: str
    kind: BoxKind
    doc: str
    layer: int
    walks: int
    inner: Drawing | None = None


@dataclass(frozen=True, eq=False)
class Arrow:
    """An edge between names, with how many walks use it, and its rows where there is a corpus."""

    tail: str
    head: str
    walks: int
    flow: Flow | None


@dataclass(frozen=True, eq=False)
class Drawing:
    """One graph, ready to be drawn.

    Attributes:
        name: of the graph; `path`: qualified, empty for the main one.
        boxes: local name → box, by layer, source first and target last.
        arrows: by pair of names.
        alike: groups of names, each at least `MIN_GROUP` nodes with the same neighbours.
        stages: groups of names, each at least `MIN_GROUP` nodes of one layer with the same `takes` and `gives`.
        cut: name → why no walk uses it.
        measured: whether the arrows carry rows of a corpus.
    """

    name: str
    path: str
    linked: Linked = field(repr=False)
    counts: WalkCounts = field(repr=False)
    boxes: Mapping[str, Box]
    arrows: Mapping[NameEdge, Arrow]
    alike: tuple[tuple[str, ...], ...]
    stages: tuple[tuple[str, ...], ...]
    cut: Mapping[str, str]
    measured: bool

    @property
    def graph(self) -> a.Graph:
        return self.linked.graph

    @functools.cached_property
    def after(self) -> Mapping[str, tuple[str, ...]]:
        """For each name what may follow, in order of layer."""
        return _neighbours(self.boxes, ((arrow.tail, arrow.head) for arrow in self.arrows.values()))

    @functools.cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """For each name what may come before, in order of layer."""
        return _neighbours(self.boxes, ((arrow.head, arrow.tail) for arrow in self.arrows.values()))

    def levels(self) -> Iterator[Drawing]:
        """This drawing, and those inside it."""
        yield self
        for box in self.boxes.values():
            if box.inner is not None:
                yield from box.inner.levels()


def drawing_of(plan: Plan, flows: Flows | None = None) -> Drawing:
    """The drawing of a plan's graph.

    Args:
        plan: a compiled program.
        flows: rows of a corpus an edge, as `dataforge.corpus.traffic` reads them.
    """
    return _drawing(plan.linked, "", flows)


def _drawing(linked: Linked, path: str, flows: Flows | None) -> Drawing:
    counts = count_walks(linked)
    flow = flows.get(path, {}) if flows is not None else None
    members = linked.graph.members
    layer = _layers([name for name in counts.through if name != TARGET], linked.name_edges)
    prefix = f"{path}/" if path else ""

    def box(name: str) -> Box:
        member = members.get(name)
        kind: BoxKind = "graph" if isinstance(member, a.Graph) else "node"
        inner = _drawing(linked.inner[name], prefix + name, flows) if name in linked.inner else None
        if name in (SOURCE, TARGET):
            kind = "source" if name == SOURCE else "target"
            return Box(name, prefix + name, kind, "", layer[name], counts.through[name])
        doc = member.doc if member is not None else ""
        return Box(name, prefix + name, kind, doc, layer[name], counts.through[name], inner)

    boxes = {name: box(name) for name in sorted(counts.through, key=lambda n: (layer[n], n))}
    arrows = {
        edge: Arrow(*edge, counts.over[edge], flow.get(edge, Flow()) if flow is not None else None)
        for edge in linked.name_edges
    }
    return Drawing(
        linked.graph.name,
        path,
        linked,
        counts,
        boxes,
        arrows,
        _alike(boxes, linked.name_edges),
        _stages(boxes, members),
        dict(sorted(linked.cut.items())),
        flow is not None,
    )


def _neighbours(boxes: Mapping[str, Box], pairs: Iterator[NameEdge]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in boxes}
    for one, other in pairs:
        found[one].append(other)
    return {name: tuple(sorted(others, key=lambda n: (boxes[n].layer, n))) for name, others in found.items()}


def _layers(names: Sequence[str], edges: Sequence[NameEdge]) -> dict[str, int]:
    """For each name the longest way from the source; edges that close a cycle are left out.

    The projection onto names can have cycles where the graph of states has none: nodes that may run in either order.
    """
    follow: dict[str, list[str]] = {}
    for one, other in edges:
        follow.setdefault(one, []).append(other)
    done: list[str] = []
    seen, open_ = {SOURCE}, {SOURCE}
    forward: list[NameEdge] = []
    stack = [(SOURCE, iter(follow.get(SOURCE, ())))]
    while stack:
        name, rest = stack[-1]
        for other in rest:
            if other in open_:
                continue  # it would lead back
            forward.append((name, other))
            if other not in seen:
                seen.add(other)
                open_.add(other)
                stack.append((other, iter(follow.get(other, ()))))
                break
        else:
            stack.pop()
            open_.discard(name)
            done.append(name)
    later: dict[str, list[str]] = {}
    for one, other in forward:
        later.setdefault(one, []).append(other)
    layer = dict.fromkeys([*names, TARGET], 0)
    for name in reversed(done):
        for other in later.get(name, ()):
            layer[other] = max(layer[other], layer[name] + 1)
    layer[TARGET] = max(layer[TARGET], 1 + max((layer[n] for n in names), default=0))
    return layer


def _alike(boxes: Mapping[str, Box], edges: Sequence[NameEdge]) -> tuple[tuple[str, ...], ...]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for one, other in edges:
        after.setdefault(one, []).append(other)
        before.setdefault(other, []).append(one)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, box in boxes.items():
        if box.kind == "node":
            key = (tuple(before.get(name, ())), tuple(after.get(name, ())))
            groups.setdefault(key, []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) >= MIN_GROUP)


def _stages(boxes: Mapping[str, Box], members: Mapping[str, a.Node | a.Graph]) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[int, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, box in boxes.items():
        member = members.get(name)
        if isinstance(member, a.Node):
            key = (box.layer, tuple(sorted(member.takes)), tuple(sorted(member.gives)))
            groups.setdefault(key, []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) >= MIN_GROUP)


def shared_start(names: Sequence[str]) -> str:
    """The words, up to an underscore, that all the names begin with: `ask_` of `ask_cause` and `ask_motive`."""
    first, last = min(names), max(names)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[: first.rfind("_", 0, same) + 1]


def common_name(names: Sequence[str]) -> str:
    """A short name for several nodes: what their names share, with `…` for the rest, else the first of them."""
    front = shared_start(names)
    back = shared_start([name[::-1] for name in names])[::-1]
    if len(front) + len(back) >= min(map(len, names)):
        back = ""
    return f"{front}…{back}" if front or back else f"{names[0]}, …"
