"""Walks through every name and over every edge: the same as counting them one by one, on random programs."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings

from dataforge.lang.diagnostics import CompileError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.draw.counts import count_walks, share_of, short_count
from dataforge.plan.draw.drawing import drawing_of
from dataforge.plan.draw.why import why_of
from dataforge.plan.linked import SOURCE, TARGET, Linked
from dataforge.plan.walk import all_paths
from tests.plan.domains import ProgramSpec, programs

MOST = 400
RELAXED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def compiled(text: str) -> Plan | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "main.forge"
        path.write_text(text)
        try:
            return compile_program(path)
        except CompileError:
            return None


def one_by_one(linked: Linked) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Every walk of a graph, followed by itself; one that uses a name or an edge twice counts once."""
    through: Counter[str] = Counter()
    over: Counter[tuple[str, str]] = Counter()
    open_: list[tuple[int, tuple[str, ...], int]] = [(linked.source, (SOURCE,), 1)]
    while open_:
        state, walk, times = open_.pop()
        if state in linked.goals:
            whole = (*walk, TARGET)
            for name in set(whole):
                through[name] += times
            for edge in set(itertools.pairwise(whole)):
                over[edge] += times
        for step in linked.steps[state]:
            for after in step.after:
                if after is not None:
                    name = linked.actions[step.action].name
                    open_.append((after, (*walk, name), times * linked.multiplicity[step.action]))
    return through, over


@RELAXED
@given(programs())
def test_counts_are_those_of_walking_every_walk(spec: ProgramSpec) -> None:
    plan = compiled(spec.text())
    if plan is None or plan.linked.paths > MOST:
        event("refused, or too many walks")
        return
    for level in drawing_of(plan).levels():
        through, over = one_by_one(level.linked)
        assert level.counts.through == through
        assert level.counts.over == over
        assert set(over) == set(level.arrows) == set(level.linked.name_edges)
        event("a name twice in a walk" if _repeats(level.linked) else "each name once")


def _repeats(linked: Linked) -> bool:
    return any(len(set(walk)) < len(walk) for walk in all_paths(linked, 2 * MOST))


TIDY = """
struct Doc { text: str  stage: "first" | "second" = "first"  tidy: bool = false }
generator writer
node tidy    { takes Doc  gives Doc  pre not Doc.tidy  keeps Doc.stage
               ask writer { prompt "{{ Doc.text }}"  into Doc.text }  set Doc.tidy = true }
node advance { takes Doc  gives Doc  pre Doc.stage == "first"  keeps Doc.text  set Doc.stage = "second" }
graph g {
  from Doc where Doc.stage == "first", not Doc.tidy
  to   Doc where Doc.stage == "second"
  nodes *
  emit { user "?"  assistant "{{ Doc.text }}" }
}
"""


def test_a_walk_that_uses_a_node_twice_counts_once() -> None:
    """Four walks: advance, with a `tidy` before it, after it, both, or neither."""
    plan = compiled(TIDY)
    assert plan is not None
    counts = count_walks(plan.linked)
    assert counts.total == 4
    assert counts.through["tidy"] == 3
    assert counts.through["advance"] == 4
    assert counts.over["tidy", "advance"] == counts.over["advance", "tidy"] == 2
    assert drawing_of(plan).boxes["advance"].layer > 0, (
        "the two names lead to one another, and still have layers"
    )


def test_inner_graphs_count_each_of_their_walks() -> None:
    from tests.plan.draw_programs import program

    plan = compiled(program(60))
    assert plan is not None
    counts = count_walks(plan.linked)
    assert counts.total == plan.linked.paths
    assert counts.through["finish"] == counts.total
    assert counts.total % plan.linked.inner["finish"].paths == 0
    assert sum(n for (tail, _), n in counts.over.items() if tail == SOURCE) == counts.total
    assert sum(n for (_, head), n in counts.over.items() if head == TARGET) == counts.total


# ---- what explains edges


@RELAXED
@given(programs(exact=False))
def test_an_edge_is_where_no_clause_is_missing(spec: ProgramSpec) -> None:
    """After the tail of every edge there is a state that lacks nothing of what its head needs."""
    plan = compiled(spec.text())
    if plan is None:
        event("refused")
        return
    for level in drawing_of(plan).levels():
        why = why_of(level.linked)
        assert set(why.after) == set(level.boxes) - {TARGET}
        for tail, states in why.after.items():
            for head in level.after[tail]:
                assert any(not why.missing(state, head) for state in states), (tail, head)


def test_numbers_for_people() -> None:
    assert short_count(999_999_999) == "999,999,999"
    assert short_count(10**12) == "1.000e+12"
    assert short_count(10**400).startswith("1e")
    assert share_of(10**400, 4 * 10**400) == 0.25
    assert share_of(0, 0) == 0
