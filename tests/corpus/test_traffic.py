"""Rows on edges: a real corpus, with a branch, a fan-out, a graph inside, and rows that end in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.corpus.read import read_manifest, read_rows
from dataforge.corpus.traffic import Traffic, read_traffic, walked
from dataforge.errors import OutputError
from dataforge.plan.artifact import Plan, compile_program, open_plan
from dataforge.plan.draw.drawing import Flow, drawing_of
from dataforge.plan.linked import SOURCE, TARGET
from tests.e2e.server import ModelServer
from tests.e2e.test_run import go, write_project

PROGRAM = """
struct Doc  { text: str  kind: "raw" | "fact" | "fiction" | "other" = "raw" }
struct Item { text: str }
struct Note { text: str  stage: "draft" | "done" = "draft" }
generator writer

node sort {
  takes Doc  gives Doc
  pre   Doc.kind == "raw"
  post  Doc.kind in {"fact", "fiction", "other"}
  keeps Doc.text
  ask writer { prompt "Sort: {{ Doc.text }}"  into Doc.kind }
  branch Doc.kind else reject
}
node split {
  takes Doc  gives many 2..4 Item
  pre   Doc.kind == "fact"
  post  words(Item.text) >= 2
  ask writer { prompt "Split: {{ Doc.text }}"  json Item }
}
node retell { takes Doc  gives Item  pre Doc.kind == "fiction"  post words(Item.text) >= 2
              ask writer { prompt "Retell: {{ Doc.text }}"  into Item.text } }
node draft  { takes Item  gives Note  post Note.stage == "draft"
              ask writer { prompt "Draft: {{ Item.text }}"  into Note.text } }
node check  { takes Note  gives Note  pre Note.stage == "draft"  post words(Note.text) >= 3
              ask writer { prompt "Check: {{ Note.text }}"  into Note.text }  set Note.stage = "done"  retry 0 }
graph jot  { from Item  to Note where Note.stage == "done"  nodes draft, check }
graph main {
  from Doc where Doc.kind == "raw"
  to   Note where Note.stage == "done"
  nodes sort, split, retell, jot
  seeds "seeds.jsonl"
  EMIT
}
"""
EMIT = 'emit { user "{{ Note.stage }}"  assistant "{{ Note.text }}" }'
SEEDS = [{"text": "water is wet"}, {"text": "a fox sleeps"}, {"text": "a dull fox"}, {"text": "no idea"}]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.answers = {
            "^Sort: water": "fact",
            "^Sort: a ": "fiction",
            "^Sort: no": "other",
            "^Split:": '{"items": [{"text": "water wets"}, {"text": "rain falls"}, {"text": "ice melts"}]}',
            "^Retell: a fox": "the fox slept",
            "^Retell: a dull": "dull words",
            "^Draft: dull": "dull",
            "^Draft:": "a good draft",
            "^Check: dull": "dull",
            "^Check:": "a good note at last",
        }
        yield running


@pytest.fixture(scope="module", params=["emits", "calls only"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: ModelServer
) -> tuple[Plan, Path]:
    folder = tmp_path_factory.mktemp("project")
    emit = EMIT if request.param == "emits" else ""
    plan = compile_program(write_project(folder, PROGRAM.replace("EMIT", emit), SEEDS))
    go(plan, folder / "corpus", server)
    return plan, folder / "corpus"


def shape(traffic: Traffic, graph: str = "") -> dict[tuple[str, str], tuple[int, int, int]]:
    return {edge: (f.kept, f.rejected, f.later) for edge, f in sorted(traffic.flows[graph].items())}


def test_rows_are_where_they_went(made: tuple[Plan, Path]) -> None:
    """Four seeds: one fans out into three that arrive, one arrives, one is too dull for `check`, one has no branch."""
    plan, corpus = made
    traffic = read_traffic(corpus, plan)
    assert shape(traffic) == {
        ("source", "sort"): (4, 1, 1),
        ("sort", "split"): (3, 0, 0),
        ("sort", "retell"): (1, 0, 1),
        ("split", "jot"): (3, 0, 0),
        ("retell", "jot"): (1, 1, 0),
        ("jot", "target"): (4, 0, 0),
    }
    assert shape(traffic, "jot") == {
        ("source", "draft"): (4, 0, 1),
        ("draft", "check"): (4, 1, 0),
        ("check", "target"): (4, 0, 0),
    }
    assert (traffic.kept, traffic.rejected, traffic.failed) == (4, 2, 0)
    assert traffic.reasons == Counter(R101=1, R109=1)
    assert traffic.flows["jot"]["draft", "check"].reasons == Counter(R101=1)


def test_what_comes_to_a_node_leaves_it_or_is_turned_away_there(made: tuple[Plan, Path]) -> None:
    plan, corpus = made
    traffic = read_traffic(corpus, plan)
    for level in drawing_of(plan, traffic.flows).levels():
        for name in level.boxes:
            into = [level.arrows[before, name].flow or Flow() for before in level.before[name]]
            out = [level.arrows[name, after].flow or Flow() for after in level.after[name]]
            if name not in (SOURCE, TARGET):
                assert sum(f.rows - f.rejected for f in into) == sum(f.rows for f in out), name
                assert sum(f.kept for f in into) == sum(f.kept for f in out), name


def test_every_token_is_on_one_edge(made: tuple[Plan, Path]) -> None:
    plan, corpus = made
    traffic = read_traffic(corpus, plan)
    counted = sum(flow.tokens for flows in traffic.flows.values() for flow in flows.values())
    assert counted == read_manifest(corpus)["counts"]["tokens_in_train"] > 0


def test_every_row_walks_along_edges_of_the_graph(made: tuple[Plan, Path]) -> None:
    plan, corpus = made
    edges = {(level.path, edge) for level in drawing_of(plan).levels() for edge in level.arrows}
    rows = [*read_rows(corpus), *(r for r in read_rows(corpus, rejected=True) if r.path)]
    assert rows
    for row in rows:
        legs = walked(row.path, plan.linked)
        if row.reason is None:
            assert set(legs) <= edges
        assert legs[0] == ("", (SOURCE, row.path[0].partition("/")[0]))


def test_the_plan_that_a_corpus_carries_is_its_own(made: tuple[Plan, Path]) -> None:
    plan, corpus = made
    again = open_plan(corpus / "plan.json")
    assert read_traffic(corpus, again).kept == read_traffic(corpus, plan).kept


def test_a_corpus_of_another_plan_is_refused(made: tuple[Plan, Path], tmp_path: Path) -> None:
    _, corpus = made
    other = compile_program(
        write_project(tmp_path, PROGRAM.replace("EMIT", EMIT.replace("{{ Note.stage }}", "?")), SEEDS)
    )
    with pytest.raises(OutputError) as error:
        read_traffic(corpus, other)
    assert error.value.code == "R028"
    assert other.hash[:12] in error.value.message


TWO_ROUNDS = """
struct Doc { text: str  half: bool = false }
node begin { takes Doc  gives Doc  pre not Doc.half  keeps Doc.text  set Doc.half = true }
node close { takes Doc  gives Doc  pre Doc.half      keeps Doc.text  set Doc.half = false }
graph round { from Doc where not Doc.half  to Doc where not Doc.half  nodes begin, close  steps 2..2 }
graph main {
  from Doc where not Doc.half  to Doc where not Doc.half  nodes round  steps 2..2
  emit { user "?"  assistant "{{ Doc.text }}" }
}
"""


def test_a_graph_that_follows_itself_is_two_passes(tmp_path: Path) -> None:
    (tmp_path / "main.forge").write_text(TWO_ROUNDS)
    plan = compile_program(tmp_path / "main.forge")
    legs = walked(["round/begin", "round/close", "round/begin", "round/close"], plan.linked)
    assert [edge for graph, edge in legs if graph == ""] == [
        (SOURCE, "round"), ("round", "round"), ("round", TARGET),
    ]  # fmt: skip
    assert Counter(edge for graph, edge in legs if graph == "round") == {
        (SOURCE, "begin"): 2, ("begin", "close"): 2, ("close", TARGET): 2,
    }  # fmt: skip
