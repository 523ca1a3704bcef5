"""The linked graph against a naive planner over sets of concrete states, on random programs."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import HealthCheck, assume, event, given, settings

from dataforge.domain.conditions import holds
from dataforge.domain.measures import simple_tokens
from dataforge.lang.diagnostics import CompileError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.walk import Walks, all_paths
from tests.plan.brute import Naive, ProgramSpec, programs, thaw

MOST_WALKS = 400
RELAXED = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def compiled(spec: ProgramSpec) -> Plan | set[str]:
    """The plan, or the codes of its errors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.forge"
        path.write_text(spec.text())
        try:
            return compile_program(path)
        except CompileError as error:
            return {d.code for d in error.diagnostics if d.severity == "error"}


@RELAXED
@given(programs())
def test_walks_are_those_of_the_naive_planner(spec: ProgramSpec) -> None:
    found = compiled(spec)
    if isinstance(found, set) and found & {"F031", "F030"}:
        event("contradictory")
        return
    naive = Naive(spec)
    assert naive.source() is not None
    alive, cyclic = naive.explore()
    if isinstance(found, set):
        event(f"refused: {sorted(found)}")
        if found == {"F061"}:
            assert naive.source() not in alive
        else:
            assert found == {"F062"}
            assert cyclic
        return
    event("linked")
    assert naive.source() in alive
    assert not cyclic
    walks = naive.walks(alive, MOST_WALKS)
    assume(len(walks) <= MOST_WALKS)
    assert set(all_paths(found.linked, 2 * MOST_WALKS)) == walks
    assert found.linked.paths == len(walks)


@RELAXED
@given(programs())
def test_no_walk_reaches_a_node_whose_precondition_fails(spec: ProgramSpec) -> None:
    """On real values that satisfy every postcondition before it, as a run would check them."""
    found = compiled(spec)
    assume(not isinstance(found, set))
    assert isinstance(found, Plan)
    naive = Naive(spec)
    chance = random.Random(0)
    members = found.graph.members
    structs = found.program.structs
    for path in list(all_paths(found.linked, 20)):
        belief = naive.source()
        assert belief is not None
        for step in path:
            node = members[step.partition("[")[0]]
            for concrete in chance.sample(sorted(belief.states, key=repr), min(10, len(belief.states))):
                state = {name: structs[name].model(**fields) for name, fields in thaw(concrete).items()}
                assert holds(node.pre, state, simple_tokens)  # type: ignore[union-attr]
                assert set(node.takes) <= set(state)  # type: ignore[union-attr]
            belief = dict(naive.after(belief))[step]
        for concrete in chance.sample(sorted(belief.states, key=repr), min(10, len(belief.states))):
            state = {name: structs[name].model(**fields) for name, fields in thaw(concrete).items()}
            assert holds(found.graph.goal, state, simple_tokens)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(programs())
def test_the_dag_has_one_source_and_one_target(spec: ProgramSpec) -> None:
    found = compiled(spec)
    assume(not isinstance(found, set))
    assert isinstance(found, Plan)
    dag = found.linked.dag()
    assert nx.is_directed_acyclic_graph(dag)
    assert [v for v in dag if dag.in_degree(v) == 0] == ["source"]
    assert [v for v in dag if dag.out_degree(v) == 0] == ["target"]
    assert dag.number_of_edges() == found.linked.edge_count
    names = {(dag.nodes[a]["node"] or a, dag.nodes[b]["node"] or b) for a, b in dag.edges}
    assert tuple(sorted(names)) == found.linked.name_edges
    assert nx.is_directed_acyclic_graph(dag)
    for row in range(5):
        walked = Walks(found.linked, 0, found.hash).names(row)
        assert all(pair in names for pair in zip(["source", *walked], [*walked, "target"], strict=True))


def nested(depth: int) -> str:
    graphs = ["graph g0 { from A where A.step == 0  to B  nodes one, two, three }"]
    graphs += [f"graph g{i} {{ from A where A.step == 0  to B  nodes g{i - 1} }}" for i in range(1, depth)]
    return (
        """
    struct A { step: int = 0 }
    struct B { text: str = "" }
    node one { takes A  gives A  pre A.step == 0  set A.step = 1 }
    node two { takes A  gives B  pre A.step == 0  set B.text = "x" }
    node three { takes A  gives B  set B.text = "y" }
    """
        + "\n".join(graphs)
        + f'\ngraph main {{ from A where A.step == 0  to B  nodes g{depth - 1}, two  emit {{ user "?"  assistant "{{{{ B.text }}}}" }} }}'
    )


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_graphs_nest_to_any_depth_and_count_their_inner_walks(project: Path, depth: int) -> None:
    (project / "main.forge").write_text(nested(depth))
    plan = compile_program(project / "main.forge")
    # Inside: two, three, one → three. Beside: two.
    assert plan.linked.paths == 4


def test_a_graph_may_be_used_in_two_others(project: Path) -> None:
    text = nested(1).replace(
        "graph main", "graph other { from A where A.step == 0  to B  nodes g0, two }\ngraph main"
    )
    (project / "main.forge").write_text(text.replace("nodes g0, two  emit", "nodes g0, other  emit"))
    assert compile_program(project / "main.forge").linked.paths == 3 + 4


def test_updates_with_monotone_kinds_and_the_frame_rule(project: Path) -> None:
    (project / "main.forge").write_text("""
    struct Doc { text: str  kind: "a" | "b" | "c" = "a"  lang: str = "en" }
    struct Note { text: str = "" }
    node ab { takes Doc  gives Doc  pre Doc.kind == "a"  keeps Doc.text, Doc.lang  set Doc.kind = "b" }
    node bc { takes Doc  gives Doc  pre Doc.kind == "b"  keeps Doc.text  set Doc.kind = "c" }
    node german { takes Doc  gives Note  pre Doc.lang == "de"  set Note.text = "ja" }
    node any { takes Doc  gives Note  pre Doc.kind == "c"  set Note.text = "yes" }
    graph main { from Doc where Doc.kind == "a", Doc.lang == "de"  to Note  nodes *  emit { user "?"  assistant "{{ Note.text }}" } }
    """)
    linked = compile_program(project / "main.forge").linked
    # `lang` is kept by ab and forgotten by bc, which sets it to its default "en".
    assert set(all_paths(linked, 10)) == {("german",), ("ab", "german"), ("ab", "bc", "any")}
