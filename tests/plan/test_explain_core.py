"""The core of what is missing: enough, smallest, and none of it can be left out, against brute force over all subsets.

More of them: `DATAFORGE_EXAMPLES=10000 pytest tests/plan/test_explain_core.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from dataforge.domain.conditions import Term
from dataforge.lang.diagnostics import CompileError
from dataforge.plan.explain import (
    Explainable,
    edge_lines,
    explain_edge,
    explain_node,
    explain_target,
    node_lines,
    open_explainable,
    target_lines,
)
from dataforge.plan.explain import core as core_module
from dataforge.plan.explain.core import literals_of, smallest_core, with_choices
from dataforge.plan.explain.gap import nearest_place
from dataforge.plan.explain.places import Place, Places
from dataforge.plan.facts import Facts, Knowledge, Literal, Requirement
from dataforge.plan.why import clauses_of
from tests.plan.domains import VALUES, ProgramSpec, programs

RELAXED = settings(
    max_examples=int(os.environ.get("DATAFORGE_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
FEWER = settings(RELAXED, max_examples=max(1, RELAXED.max_examples // 2))
MOST_LITERALS = 9
MOST_PLACES = 6


# ---- a naive planner's view of one alternative: for every term the concrete values that it may have


@dataclass
class Naive:
    """What is known of each literal, and the values that each term may have; None stands for no value."""

    facts: Facts
    known: dict[Literal, bool]
    values: dict[Term, set[Any]]
    flags: dict[int, bool] = field(default_factory=dict)

    def entails(self, clause: Iterable[Literal]) -> bool:
        return any(self.known.get(x, False) for x in clause)


def universe(term: Term) -> set[Any]:
    if term.opaque is not None:
        return {True, False}
    values = set(VALUES[term.path[0]])
    return values - {None} if not term.optional else values


def satisfies(facts: Facts, literal: Literal, value: Any) -> bool:
    _, atom = facts.atom_text[literal.bit]
    return (value in atom) == literal.sign


def naive(facts: Facts, known: Knowledge) -> Naive:
    found = Naive(facts, {}, {})
    for bit in range(facts.width):
        if known[0] >> bit & 1:
            found.known[Literal(bit, True)] = True
        if known[1] >> bit & 1:
            found.known[Literal(bit, False)] = True
        if bit < 2 * len(facts.struct_number):
            found.flags[bit] = bool(known[0] >> bit & 1)
    for term in facts.terms:
        found.values[term] = values_of(found, term)
    return found


def values_of(found: Naive, term: Term) -> set[Any]:
    facts = found.facts
    if not all(found.flags[2 * facts.struct_number[s]] for s in term.structs):
        return {None}
    mine = [x for x in found.known if x.bit in facts.atom_text and facts.atom_text[x.bit][0] is term]
    return {v for v in universe(term) if all(satisfies(facts, x, v) for x in mine)}


def suppose(
    facts: Facts, alternatives: Sequence[Knowledge], literals: Sequence[Literal]
) -> list[Naive] | None:
    """The definition, term by term and value by value; None where the literals contradict each other."""
    structs = {2 * n: s for s, n in facts.struct_number.items()}
    wanted: dict[Term, list[Literal]] = {}
    flags: dict[int, set[bool]] = {}
    for literal in literals:
        if literal.bit in facts.atom_text:
            wanted.setdefault(facts.atom_text[literal.bit][0], []).append(literal)
        else:
            flags.setdefault(literal.bit, set()).add(literal.sign)
    around: set[Term] = set()
    for term, its in wanted.items():
        if all(satisfies(facts, x, None) for x in its):
            continue
        for struct in term.structs:
            flags.setdefault(2 * facts.struct_number[struct], set()).add(True)
        if term.opaque is None:
            around |= {
                t
                for t in facts.terms
                if t.optional and t.opaque is None and t.structs == term.structs and t.path == term.path
            }
    if any(len(x) > 1 for x in flags.values()):
        return None
    touched = set(wanted) | around

    def fits(term: Term, value: Any) -> bool:
        return all(satisfies(facts, x, value) for x in wanted.get(term, ())) and not (
            term in around and value is None
        )

    for term in touched:
        there = all(flags.get(2 * facts.struct_number[s]) == {True} for s in term.structs)
        gone = any(flags.get(2 * facts.struct_number[s]) == {False} for s in term.structs)
        options = {None} if gone else universe(term) if there else universe(term) | {None}
        if not any(fits(term, v) for v in options):
            return None

    def impose(state: Naive, *, change: bool) -> Naive | None:
        flipped = {bit for bit, x in flags.items() if state.flags[bit] not in x}
        empty = {t for t in touched if not any(fits(t, v) for v in state.values[t])}
        if (flipped or empty) and not change:
            return None
        renewed = {
            t for t in facts.terms for s in t.structs if 2 * facts.struct_number[s] in flipped
        }  # their struct comes or goes
        for bit, x in flags.items():
            state.flags[bit] = next(iter(x))
            state.known.pop(Literal(bit, not state.flags[bit]), None)
            state.known[Literal(bit, state.flags[bit])] = True
        for term in renewed:
            forget(state, term)
            state.values[term] = values_of(state, term)
            if not (term.opaque is not None and state.values[term] != {None}):
                learn(state, term)
        for term in touched:
            if not any(fits(term, v) for v in state.values[term]):
                forget(state, term)
                state.values[term] = values_of(state, term)
            state.values[term] = {v for v in state.values[term] if fits(term, v)}
            learn(state, term)
        assert set(structs) >= {bit for bit in flipped if bit in structs}
        return state

    found = [x for k in alternatives if (x := impose(naive(facts, k), change=False)) is not None]
    if found:
        return found
    changed = [impose(naive(facts, k), change=True) for k in alternatives]
    return [x for x in changed if x is not None]


def forget(state: Naive, term: Term) -> None:
    for bit, _ in state.facts.terms[term].atoms:
        state.known.pop(Literal(bit, True), None)
        state.known.pop(Literal(bit, False), None)


def learn(state: Naive, term: Term) -> None:
    """What all its values have in common is known."""
    for bit, _ in state.facts.terms[term].atoms:
        for sign in (True, False):
            if all(satisfies(state.facts, Literal(bit, sign), v) for v in state.values[term]):
                state.known[Literal(bit, sign)] = True


def would_hold(
    facts: Facts, alternatives: Sequence[Knowledge], literals: Sequence[Literal], requirement: Requirement
) -> bool:
    states = suppose(facts, alternatives, literals)
    if states is None:
        return False
    return all(s.entails(literals_of(c)) for s in states for c in clauses_of(requirement))


# ---- random programs


def explainable(text: str) -> Explainable | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.forge"
        path.write_text(text)
        try:
            return open_explainable(path)
        except CompileError:
            return None


def questions(spec: ProgramSpec) -> Iterable[tuple[Places, Place, Requirement]]:
    """Places of a program, with the requirements of its members and its target, where they do not hold."""
    found = explainable(spec.text())
    if found is None:
        event("refused")
        return
    try:
        places = Places(found.explored(found.program.graph))
    except CompileError:
        event("too many alternatives")
        return
    everywhere = list({p.known: p for p in places.everywhere()}.values())
    requirements = [x.requirement for x in places.explored.actions]
    for place in everywhere[-MOST_PLACES:]:
        for requirement in (*requirements, places.facts.goal):
            yield places, place, requirement


def candidates(requirement: Requirement) -> list[Literal]:
    return list(dict.fromkeys(x for c in clauses_of(requirement) for x in literals_of(c)))


def check_smallest(spec: ProgramSpec) -> None:
    for places, place, requirement in questions(spec):
        literals = candidates(requirement)
        if len(literals) > MOST_LITERALS:
            event("a large requirement")
            continue
        core = smallest_core(places.supposing, place.known, requirement)
        assert core is not None
        assert core.smallest
        wanted = next(
            (
                n
                for n in range(len(literals) + 1)
                for some in itertools.combinations(literals, n)
                if would_hold(places.facts, place.known, some, requirement)
            ),
            None,
        )
        event(f"core of {wanted} in {'several alternatives' if len(place.known) > 1 else 'one alternative'}")
        if wanted is None:
            assert not core.possible
            continue
        assert core.possible
        assert would_hold(places.facts, place.known, core.literals, requirement)
        assert len(core.literals) == wanted
        for literal in core.literals:
            rest = [x for x in core.literals if x != literal]
            assert not would_hold(places.facts, place.known, rest, requirement)
        settled = with_choices(places.supposing, place.known, requirement, core)
        assert len(settled.literals) == wanted
        assert would_hold(places.facts, place.known, settled.literals, requirement)
        for i, others in enumerate(settled.instead):
            for other in others:
                swapped = [*settled.literals[:i], other, *settled.literals[i + 1 :]]
                assert would_hold(places.facts, place.known, swapped, requirement)


@RELAXED
@given(programs())
def test_no_smaller_set_of_atoms_gives_the_edge(spec: ProgramSpec) -> None:
    check_smallest(spec)


@RELAXED
@given(programs(exact=False))
def test_no_smaller_set_gives_the_edge_where_atoms_are_opaque(spec: ProgramSpec) -> None:
    check_smallest(spec)


@RELAXED
@given(programs(), st.integers(1, 6))
def test_a_core_found_in_few_tries_has_no_atom_to_spare(spec: ProgramSpec, tries: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_module, "MOST_TRIES", tries)
        for places, place, requirement in questions(spec):
            core = smallest_core(places.supposing, place.known, requirement)
            assert core is not None
            if not core.possible or not core.literals:
                continue
            event("smallest" if core.smallest else "minimal by inclusion")
            assert would_hold(places.facts, place.known, core.literals, requirement)
            for literal in core.literals:
                rest = [x for x in core.literals if x != literal]
                assert not would_hold(places.facts, place.known, rest, requirement)


@RELAXED
@given(programs())
def test_a_bound_gives_the_same_core_or_none(spec: ProgramSpec) -> None:
    for places, place, requirement in questions(spec):
        core = smallest_core(places.supposing, place.known, requirement)
        assert core is not None
        if core.possible and core.literals:
            size = len(core.literals)
            assert smallest_core(places.supposing, place.known, requirement, below=size) is None
            assert smallest_core(places.supposing, place.known, requirement, below=size + 1) == core


# ---- what the explanations say is so


@FEWER
@given(programs())
def test_edges_are_those_of_the_linked_graph(spec: ProgramSpec) -> None:
    found = explainable(spec.text())
    assume(found is not None)
    assert found is not None
    linked = found.linked.get(found.program.graph)
    assume(linked is not None)
    assert linked is not None
    explored = found.explored(found.program.graph)
    names = sorted(found.program.graph.members)
    for one, other in itertools.product(["source", *names], [*names, "target"]):
        edge = explain_edge(explored, one, other)
        assert edge.on_walks == ((one, other) in linked.name_edges)
        assert edge.exists or not edge.on_walks
        assert edge.exists == bool(edge.proof)
        never = edge.gap is None and not edge.exists
        assert never == (edge.states == 0), "only after what can never run is there nothing to say"


@FEWER
@given(programs(exact=False))
def test_every_question_has_an_answer_in_text_and_json(spec: ProgramSpec) -> None:
    found = explainable(spec.text())
    assume(found is not None)
    assert found is not None
    for graph in (found.program.graph, *found.program.graph.graphs().values()):
        try:
            explored = found.explored(graph)
        except CompileError:
            continue
        linked = found.linked.get(graph)
        target = explain_target(explored, linked)
        assert target.reached or linked is None
        assert target.reached == (target.gap is None)
        assert target_lines(target)
        nodes = [explain_node(explored, name, linked) for name in graph.members]
        for node in nodes:
            assert (node.status == "on walks") == (node.gap is None)
            assert linked is None or (node.status == "on walks") == (node.node not in linked.cut)
            assert node.walks is None or (node.walks > 0) == (node.status == "on walks")
            assert node_lines(node)
        edges = [
            explain_edge(explored, one, other)
            for one, other in itertools.product(["source", *graph.members], [*graph.members, "target"])
        ]
        assert all(edge_lines(edge) for edge in edges)
        assert any(edge.on_walks for edge in edges) == target.reached
        json.dumps([x.to_json() for x in (target, *nodes, *edges)], allow_nan=False)


@RELAXED
@given(programs())
def test_promising_what_is_missing_makes_the_edge(spec: ProgramSpec) -> None:
    """The whole way round: the atoms of a core, written into the first node's `post`, and the edge is there."""
    found = explainable(spec.text())
    assume(found is not None)
    assert found is not None
    graph = found.program.graph
    try:
        places = Places(found.explored(graph))
    except CompileError:
        return
    for node in spec.nodes:
        number = places.number[node.act.name]
        if node.act.branch is not None or not places.runs(number):
            continue
        for other in places.explored.actions:
            nearest = nearest_place(places, places.after(number), other.requirement)
            assert nearest is not None
            core = nearest.core
            terms = [places.facts.atom_text.get(x.bit, (None, None))[0] for x in core.literals]
            free = {".".join(ref) for ref in node.act.free}
            if not core.literals or any(
                t is None or ".".join([*t.structs, *t.path]) not in free for t in terms
            ):
                continue
            atoms = [places.facts.literal_text(x.bit, x.sign) for x in core.literals]
            mended = explainable(promising(spec.text(), node.act.name, atoms))
            if mended is None:
                event("the promise contradicts another")
                continue
            event("mended")
            explored = mended.explored(mended.program.graph)
            edge = explain_edge(explored, node.act.name, other.name)
            assert edge.exists or edge.gap is None or edge.gap.obstacle != "facts", (atoms, edge)


def promising(text: str, node: str, atoms: Sequence[str]) -> str:
    """The program with more conditions in a node's `post`."""
    head, rest = text.split(f"node {node} {{\n", 1)
    body, tail = rest.split("\n}", 1)
    more = ", ".join(atoms)
    lines = body.split("\n")
    posts = [i for i, line in enumerate(lines) if line.startswith("  post ")]
    if posts:
        lines[posts[0]] += f", {more}"
    else:
        lines.insert(next(i for i, x in enumerate(lines) if x.startswith("  gives ")) + 1, f"  post {more}")
    return f"{head}node {node} {{\n" + "\n".join(lines) + "\n}" + tail
