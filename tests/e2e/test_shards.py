"""Runs in shards: what is whole stays whole, what was paid for is never paid again, and the books balance."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.read import read_manifest, read_rows
from dataforge.errors import OutputError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.run import local
from dataforge.run.options import RunSummary
from dataforge.run.shard import SEAL_NAME
from dataforge.run.stop import Budget
from dataforge.run.store import STORE_NAME
from tests.e2e.server import ModelServer
from tests.e2e.test_run import GRAPH, NODES, STRUCTS, go, write_project

ROWS = 10


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
        yield running


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path)


def planned(folder: Path, nodes: str = NODES) -> Plan:
    seeds = [{"text": f"seed number {i}"} for i in range(ROWS)]
    return compile_program(write_project(folder, STRUCTS + nodes + GRAPH, seeds))


def balanced(summary: RunSummary) -> RunSummary:
    parts = (summary.kept, summary.rejected, summary.failed, summary.parked)
    assert summary.planned == sum(parts), parts
    return summary


def corpus(out: Path) -> list[str]:
    return sorted(row.model_dump_json() for part in (False, True) for row in read_rows(out, rejected=part))


def data(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.glob("*/*.parquet"))}


def test_a_run_of_many_shards_has_the_rows_of_a_run_of_one(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    whole = balanced(go(plan, tmp_path / "whole", server))
    parts = balanced(go(plan, tmp_path / "parts", server, shard_rows=3))
    assert whole.planned == parts.planned == ROWS
    assert corpus(tmp_path / "whole") == corpus(tmp_path / "parts")
    out = tmp_path / "parts"
    assert [p.name for p in sorted((out / "data").iterdir())] == [
        f"train-0000{n}-of-00004.parquet" for n in range(4)
    ]
    assert len(list(out.glob(f"shards/*/{SEAL_NAME}"))) == 4
    assert not list(out.glob("shards/*/journal.sqlite*")), (
        "the journal of a whole shard is folded into the store"
    )
    assert read_manifest(out)["counts"]["calls"] == parts.calls == whole.calls


def test_bytes_do_not_depend_on_concurrency(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    go(plan, tmp_path / "one", server, shard_rows=4, concurrency=1)
    go(plan, tmp_path / "many", server, shard_rows=4, concurrency=64)
    assert data(tmp_path / "one") == data(tmp_path / "many") != {}


@pytest.mark.parametrize("step", ["take", "write_durably", "_remove_journal"])
def test_a_crash_at_any_step_of_a_commit_loses_and_doubles_nothing(
    tmp_path: Path, plan: Plan, server: ModelServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    go(plan, tmp_path / "smooth", server, shard_rows=3)
    server.prompts.clear()
    owner = local.CallStore if step == "take" else local
    really = getattr(owner, step)
    times = 0

    def crash(*arguments: Any) -> None:
        nonlocal times
        if step != "write_durably" or str(arguments[0]).endswith(SEAL_NAME):
            times += 1
            if times == 2:
                raise KeyboardInterrupt
        really(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(owner, step, crash)
        with pytest.raises(KeyboardInterrupt):
            go(plan, out, server, shard_rows=3, concurrency=1)
    assert not (out / "manifest.json").exists()
    balanced(go(plan, out, server, shard_rows=3))
    assert sum(n - 1 for n in server.prompts.values()) <= 1, "only the call that was in flight"
    assert corpus(out) == corpus(tmp_path / "smooth")


def test_more_rows_reopen_the_last_shard_and_pay_for_the_new_ones_only(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    out = tmp_path / "out"
    assert balanced(go(plan, out, server, shard_rows=4, rows=6)).planned == 6
    more = balanced(go(plan, out, server, shard_rows=4))
    assert (more.planned, more.resumed) == (ROWS, 4)
    assert max(server.prompts.values()) == 1
    fewer = balanced(go(plan, out, server, rows=2))
    assert fewer.planned == fewer.resumed == ROWS, "what is finished stays in the corpus"


def test_shards_of_another_size_are_another_run(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    go(plan, tmp_path / "out", server, shard_rows=4)
    with pytest.raises(OutputError, match="rows a shard is 4") as error:
        go(plan, tmp_path / "out", server, shard_rows=5)
    assert error.value.code == "R020"


def test_the_same_prompt_in_another_shard_is_not_paid_for_twice(tmp_path: Path, server: ModelServer) -> None:
    text = STRUCTS + NODES + GRAPH
    plan = compile_program(write_project(tmp_path, text, [{"text": "the very same"}] * 6))
    summary = balanced(go(plan, tmp_path / "out", server, shard_rows=2, concurrency=1))
    assert max(server.prompts.values()) == 1
    assert summary.kept == 6
    assert summary.reused_calls > 0


# ---- reuse


def test_an_edited_rubric_asks_the_judge_anew_and_nobody_else(tmp_path: Path, server: ModelServer) -> None:
    go(planned(tmp_path), tmp_path / "old", server, shard_rows=4)
    server.prompts.clear()
    edited = planned(tmp_path)
    (tmp_path / "main.forge").write_text(
        (tmp_path / "main.forge").read_text().replace("Is it clear?", "Is it clear to a child?")
    )
    edited = compile_program(tmp_path / "main.forge")
    summary = balanced(go(edited, tmp_path / "new", server, reuse=(tmp_path / "old",)))
    assert summary.kept == ROWS
    assert summary.calls == server.calls == ROWS, "one verdict a row"
    assert all("to a child" in prompt for prompt in server.prompts)
    assert read_manifest(tmp_path / "new")["counts"]["calls"] == ROWS
    shutil.rmtree(tmp_path / "old")
    assert go(edited, tmp_path / "new", server).calls == 0, "the new run holds all that it used"


def test_a_run_under_way_can_be_reused(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    go(plan, tmp_path / "old", server, budget=Budget(tokens=60), concurrency=1)
    paid = server.calls
    assert (tmp_path / "old/shards/00000/journal.sqlite").exists()
    summary = balanced(go(plan, tmp_path / "new", server, reuse=(tmp_path / "old",)))
    assert summary.reused_calls == paid
    assert max(server.prompts.values()) == 1


def test_reuse_of_what_is_no_run_is_refused_before_anything_is_written(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    with pytest.raises(OutputError) as error:
        go(plan, tmp_path / "out", server, reuse=(tmp_path,))
    assert error.value.code == "R023"
    assert not (tmp_path / "out").exists()


def test_a_directory_of_an_older_version_is_refused_and_left_as_it_is(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    database = sqlite3.connect(old / "journal.sqlite")
    database.execute("PRAGMA user_version = 1")
    database.close()
    for options in ({"reuse": (old,)}, {}):
        with pytest.raises(OutputError, match="before runs had shards") as error:
            go(plan, tmp_path / "new" if options else old, server, **options)
        assert error.value.code == "R046"
    assert [p.name for p in old.iterdir() if p.name != "run.lock"] == ["journal.sqlite"]


# ---- stopping


def test_a_spent_budget_keeps_what_is_done_and_parks_the_rest(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    out = tmp_path / "out"
    first = balanced(go(plan, out, server, budget=Budget(tokens=200), shard_rows=3, concurrency=1))
    assert first.stopped is not None
    assert "token budget of 200" in first.stopped
    assert 0 < first.kept < ROWS
    assert first.parked == ROWS - first.kept
    manifest = read_manifest(out)
    assert (manifest["counts"]["parked"], manifest["stopped"]) == (first.parked, first.stopped)
    assert len({row.id for row in read_rows(out) if row.kind == "final"}) == first.kept
    assert "Not whole" in (out / "README.md").read_text()
    again = balanced(go(plan, out, server, budget=Budget(tokens=200), shard_rows=3))
    assert (again.calls, again.kept) == (0, first.kept), "the budget is the run's, not the start's"
    last = balanced(go(plan, out, server))
    assert (last.kept, last.parked, last.stopped) == (ROWS, 0, None)
    assert max(server.prompts.values()) == 1


def test_prices_make_a_cost_and_a_cost_budget_stops(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    priced = server.models_file().replace("[models.judge]", "prompt_price = 1000.0\n[models.judge]")
    server.models_file = lambda: priced  # type: ignore[method-assign]
    out = tmp_path / "out"
    first = balanced(go(plan, out, server, budget=Budget(cost=0.035), concurrency=1))
    assert first.stopped == "the cost budget of 0.035 is spent"
    assert first.cost == pytest.approx(0.04), "10 prompt tokens a call at 1,000 a million"
    whole = balanced(go(plan, out, server))
    assert whole.cost == pytest.approx(read_manifest(out)["counts"]["cost"]) == pytest.approx(0.2)


def test_a_time_budget_stops(tmp_path: Path, plan: Plan) -> None:
    with ModelServer(delay_s=0.1) as slow:
        slow.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
        summary = balanced(go(plan, tmp_path / "out", slow, budget=Budget(time_s=0.5), concurrency=1))
    assert summary.stopped == "the time budget of 0.5 s is spent"
    assert summary.parked > 0


def test_rows_lost_to_errors_keep_their_shard_open_and_are_tried_again(
    tmp_path: Path, server: ModelServer
) -> None:
    needed = tmp_path / "needed.txt"
    functions = f"""
def fiction(doc):
    if doc.text.endswith("4"):
        open({str(needed)!r}).close()
    return {{"text": "a tale of " + doc.text, "mood": "grim"}}
"""
    server.answers = {"^Sort": "fiction"}
    seeds = [{"text": f"seed number {i}"} for i in range(ROWS)]
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, seeds, functions))
    first = balanced(go(plan, tmp_path / "out", server, shard_rows=3))
    assert (first.kept, first.failed_by) == (ROWS - 1, {"R108": 1})
    assert sorted(p.parent.name for p in (tmp_path / "out").glob(f"shards/*/{SEAL_NAME}")) == [
        "00000",
        "00002",
        "00003",
    ]
    needed.touch()
    last = balanced(go(plan, tmp_path / "out", server, shard_rows=3))
    assert (last.kept, last.failed, last.calls) == (ROWS, 0, 0)


def test_files_of_a_run_are_for_its_owner_only(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    go(plan, tmp_path / "out", server, budget=Budget(tokens=200), shard_rows=3, concurrency=1)
    private = [tmp_path / "out" / STORE_NAME, *(tmp_path / "out").glob("shards/*/journal.*")]
    assert len(private) > 1
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}
