"""Corpus → traffic: how many rows went over each edge of the graph that made it.

In: a corpus directory and the plan that it was made from. Out: for each graph, inner ones too, and each edge between names,
the rows kept, the rows turned away at its head or further on, and the tokens. A row's `path` is its walk; the edges are the
pairs along it, from the source and, where it arrived, to the target. Each row is counted once: a kept one by its finished
sample, or, where the graph emits none, by any of its calls.

Every token of the corpus is on one edge: a call's on the edge by which its row came to the node that made it, a finished
sample's on the edge into the target.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataforge.corpus.read import read_manifest, read_rows
from dataforge.errors import OutputError
from dataforge.plan.artifact import Plan
from dataforge.plan.draw.counts import NameEdge
from dataforge.plan.draw.drawing import Flow
from dataforge.plan.linked import SOURCE, TARGET, Linked
from schemas.corpus import Row

GraphEdge = tuple[str, NameEdge]
"""The qualified name of a graph, empty for the main one, and an edge of it."""


@dataclass(slots=True)
class Traffic:
    """Rows of a corpus by edge.

    Attributes:
        flows: qualified name of a graph → edge between names → its rows.
        kept, rejected, failed: rows in all; the failed ones, lost to errors, are on no edge.
        reasons: code of a reason → rows rejected for it.
    """

    flows: dict[str, dict[NameEdge, Flow]] = field(default_factory=dict)
    kept: int = 0
    rejected: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def flow(self, edge: GraphEdge) -> Flow:
        graph, pair = edge
        return self.flows.setdefault(graph, {}).setdefault(pair, Flow())


def read_traffic(directory: Path, plan: Plan) -> Traffic:
    """Count the rows of a corpus on the edges of a plan.

    Raises:
        OutputError: R023, where the directory holds no whole corpus; R028, where another plan made it.
    """
    made_by = read_manifest(directory)["plan"]
    if made_by != plan.hash:
        raise OutputError(
            f"{directory} was made from plan {str(made_by)[:12]}, and {plan.path} is plan {plan.hash[:12]}: "
            "its rows may not fit these edges",
            code="R028",
            help=f"draw the plan that the corpus carries: `dataforge graph {directory / 'plan.json'} --run {directory}`",
        )
    traffic = Traffic()
    emits = plan.graph.emit is not None
    counted: set[tuple[str, tuple[str, ...], str]] = set()
    for row in read_rows(directory):
        legs = walked(row.path, plan.linked)
        if row.kind == "call":
            traffic.flow(_leg_into(row, legs)).tokens += row.tokens
            if emits:
                continue
            who = (row.seed_id, tuple(row.path), row.state)
            if who in counted:
                continue
            counted.add(who)
        else:
            traffic.flow(legs[-1]).tokens += row.tokens
        traffic.kept += 1
        for leg in _distinct(legs):
            traffic.flow(leg).kept += 1
    for row in read_rows(directory, rejected=True):
        if row.kind == "call":
            continue  # a sample that did not pass, of a row that may have been kept
        _turned_away(traffic, row, plan)
    return traffic


def _turned_away(traffic: Traffic, row: Row, plan: Plan) -> None:
    reason: dict[str, Any] = json.loads(row.reason or "{}")
    code, stage = str(reason.get("code", "")), reason.get("stage")
    if stage == "run":
        traffic.failed += 1
        return
    traffic.rejected += 1
    traffic.reasons[code] += 1
    legs = walked(row.path, plan.linked)
    if row.path and stage != plan.graph.name:
        legs = _until(row.path[-1], legs)
    *before, last = legs
    for leg in _distinct(before):
        if leg != last:
            traffic.flow(leg).later += 1
    flow = traffic.flow(last)
    flow.rejected += 1
    flow.reasons[code] += 1
    # Around the graph inside which it ended, the row ended at the graph itself.
    graph = last[0]
    while graph:
        graph, _, name = graph.rpartition("/")
        outer = next(leg for leg in reversed(before) if leg[0] == graph and leg[1][1] == name)
        traffic.flow(outer).later -= 1
        traffic.flow(outer).rejected += 1
        traffic.flow(outer).reasons[code] += 1


def walked(path: Sequence[str], linked: Linked, prefix: str = "") -> list[GraphEdge]:
    """The edges of a walk, in its order: an edge into a graph comes before those inside it.

    Args:
        path: qualified names of the nodes, as a corpus row has them.
        linked: the linked graph that they are walked in.
        prefix: the qualified name of that graph with a slash, empty for the main one.
    """
    graph = prefix.rstrip("/")
    legs: list[GraphEdge] = []
    here = SOURCE
    for name, inside in _passes(path, linked, prefix):
        legs.append((graph, (here, name)))
        if name in linked.inner:
            legs += walked(inside, linked.inner[name], f"{prefix}{name}/")
        here = name
    legs.append((graph, (here, TARGET)))
    return legs


def _passes(path: Sequence[str], linked: Linked, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """The members that a walk uses, each with the part of the walk inside it.

    A graph that follows itself is told from one long pass by an edge that its inside does not have.
    """
    name, inside = "", list[str]()
    for full in path:
        local = full[len(prefix) :].partition("/")[0]
        if (
            local == name
            and local in linked.inner
            and _goes_on(inside[-1], full, linked.inner[local], f"{prefix}{local}/")
        ):
            inside.append(full)
            continue
        if name:
            yield name, inside
        name, inside = local, [full]
    if name:
        yield name, inside


def _goes_on(one: str, other: str, inner: Linked, prefix: str) -> bool:
    names = [full[len(prefix) :].partition("/")[0] for full in (one, other)]
    return (names[0], names[1]) in set(inner.name_edges) or (names[0] == names[1] and names[0] in inner.inner)


def _until(node: str, legs: Sequence[GraphEdge]) -> list[GraphEdge]:
    """The legs of a walk that ended at its last node."""
    last = max(i for i, (graph, (_, head)) in enumerate(legs) if _full(graph, head) == node)
    return list(legs[: last + 1])


def _leg_into(row: Row, legs: Sequence[GraphEdge]) -> GraphEdge:
    """The edge by which a row first came to the node that made a call."""
    return next(leg for leg in legs if _full(leg[0], leg[1][1]) == row.node)


def _full(graph: str, name: str) -> str:
    return f"{graph}/{name}" if graph else name


def _distinct(legs: Sequence[GraphEdge]) -> list[GraphEdge]:
    return list(dict.fromkeys(legs))
