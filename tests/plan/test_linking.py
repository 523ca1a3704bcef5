"""The linked graph against a naive planner over sets of concrete states, on random programs.

More of them: `DATAFORGE_EXAMPLES=10000 pytest tests/plan/test_linking.py`.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, event, given, settings
from pydantic import BaseModel

from dataforge.domain.conditions import holds
from dataforge.domain.measures import simple_tokens
from dataforge.lang.diagnostics import CompileError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.walk import Walks, all_paths
from tests.plan.brute import Naive, expected
from tests.plan.domains import VALUES, Act, ProgramSpec, Schema, instances, programs, real

MOST_WALKS = 300
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
RELAXED = settings(
    max_examples=int(os.environ.get("DATAFORGE_EXAMPLES", "150")), deadline=None, suppress_health_check=QUIET
)
NOT_LINKED = {"F030", "F031"}
"""What the resolver says of conditions with too many alternatives, and of such as can never hold."""


def compiled(spec: ProgramSpec) -> Plan | set[str]:
    """The plan, or the codes of its errors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.forge"
        path.write_text(spec.text())
        try:
            return compile_program(path)
        except CompileError as error:
            return {d.code for d in error.diagnostics if d.severity == "error"}


# ---- exact: walks, counts, edges and errors are those of the naive planner


def check_exact(spec: ProgramSpec) -> None:
    found = compiled(spec)
    if isinstance(found, set) and found & NOT_LINKED:
        event("contradictory")
        return
    wanted = expected(spec, MOST_WALKS)
    if wanted is None:
        event("too many walks")
        return
    if isinstance(found, set):
        event(f"refused: {sorted(found)}")
        assert found == wanted.codes
        return
    event(
        f"linked, {'nested' if len(spec.graphs) > 1 else 'flat'}, {len(wanted.walks) if len(wanted.walks) < 5 else 'more'} walks"
    )
    assert not wanted.codes
    walks = list(all_paths(found.linked, 2 * MOST_WALKS))
    assert set(walks) == wanted.walks
    assert len(walks) == len(wanted.walks), "no walk has two ways through the graph"
    assert found.linked.paths == wanted.paths
    names = {name.partition("[")[0] for walk in walks for name in walk}
    assert set(found.linked.cut) == set(spec.graphs[-1].members) - names
    pairs = [(("source", *w), (*w, "target")) for w in walks]
    assert set(found.linked.name_edges) == {
        (a.partition("[")[0], b.partition("[")[0]) for x, y in pairs for a, b in zip(x, y, strict=True)
    }
    check_dag(found)


def check_dag(found: Plan) -> None:
    dag = found.linked.dag()
    assert nx.is_directed_acyclic_graph(dag)
    assert [v for v in dag if dag.in_degree(v) == 0] == ["source"]
    assert [v for v in dag if dag.out_degree(v) == 0] == ["target"]
    assert set(dag) == {"source", *nx.descendants(dag, "source")} == {"target", *nx.ancestors(dag, "target")}
    assert dag.number_of_edges() == found.linked.edge_count
    names = {(dag.nodes[a]["node"] or a, dag.nodes[b]["node"] or b) for a, b in dag.edges}
    assert tuple(sorted(names)) == found.linked.name_edges
    walked = Walks(found.linked, 0, found.hash).names(0)
    assert all(pair in names for pair in zip(["source", *walked], [*walked, "target"], strict=True))


@RELAXED
@given(programs())
def test_walks_edges_and_errors_are_those_of_the_naive_planner(spec: ProgramSpec) -> None:
    check_exact(spec)


# ---- sound: also where the planner may miss a walk, every walk that it has can be walked


def check_sound(spec: ProgramSpec) -> None:
    found = compiled(spec)
    if isinstance(found, set):
        event(f"refused: {sorted(found)}")
        return
    check_beliefs(spec, found)
    check_rows(spec, found)


def check_beliefs(spec: ProgramSpec, found: Plan) -> None:
    """Every walk of the planner is one of the naive planner."""
    naive = Naive(spec.schema, spec.graphs[-1], spec.acts())
    for path in all_paths(found.linked, 20):
        belief = naive.source()
        for name in path:
            following = naive.after(belief)
            assert naive.allowed(belief, spec.acts()[name.partition("[")[0]]), f"{name} in {path}"
            if name not in following:
                event("an outcome that no state has")
                break
            belief = following[name][1]
        else:
            assert naive.is_goal(belief)


State = Mapping[str, BaseModel]


def perform(
    act: Act, state: State, schema: Schema, models: Mapping[str, type[BaseModel]], chance: random.Random
) -> State:
    """What a node with good luck makes of a state: known fields as its clauses say, the others as they come."""
    after = dict(state)
    for struct in act.gives:
        fields = {f: chance.choice(VALUES[f]) for f in dict(schema)[struct]}
        known = {f: v for (s, f), v in act.constants if s == struct}
        made = real(fields | known)
        made |= {f: getattr(state[s], f) for s, f in act.kept if s == struct}
        made |= {f: getattr(state[s], g) for (t, f), (s, g) in act.copies if t == struct}
        after[struct] = models[struct](**made)
    return after


def check_rows(spec: ProgramSpec, found: Plan) -> None:
    linked, members, acts = found.linked, found.graph.members, spec.acts()
    models = {name: struct.model for name, struct in found.program.structs.items()}
    chance = random.Random(1)
    sources = found.graph.sources
    starts = []
    for _ in range(60):
        state: State = {s: models[s](**real(chance.choice(list(instances(spec.schema, s))))) for s in sources}
        if holds(found.graph.where, state, simple_tokens):
            starts.append(state)
    arrived = 0
    for state in starts[:20]:
        at = linked.source
        while True:
            options: list[Any] = list(linked.steps[at])
            if at in linked.goals:
                options.append(None)
            step = chance.choice(options)
            if step is None:
                assert set(found.graph.targets) <= set(state)
                assert holds(found.graph.goal, state, simple_tokens)
                arrived += 1
                break
            name = linked.actions[step.action].name
            member = members[name]
            post = getattr(member, "post", None) or getattr(member, "goal")  # noqa: B009
            pre = getattr(member, "pre", None) or getattr(member, "where")  # noqa: B009
            assert holds(pre, state, simple_tokens)
            assert set(acts[name].takes) <= set(state)
            tries = (perform(acts[name], state, spec.schema, models, chance) for _ in range(30))
            after = next((t for t in tries if holds(post, t, simple_tokens)), None)
            if after is None:
                break  # no luck: the row is rejected
            branch = acts[name].branch
            outcome = 0
            if branch is not None:
                outcome = linked.actions[step.action].labels.index(getattr(after[branch[0]], branch[1]))
            if step.after[outcome] is None:
                assert branch is not None and acts[name].reject
                break
            state, at = after, step.after[outcome]
    event(f"{'some' if arrived else 'no'} rows arrive")


@RELAXED
@given(programs(exact=False))
def test_no_walk_reaches_a_node_whose_precondition_fails(spec: ProgramSpec) -> None:
    check_sound(spec)


# ---- graphs inside graphs


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
