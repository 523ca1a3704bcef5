"""Runs that end or go on in odd ways: stopped at a bad moment, asked for fewer rows, with input that breaks half-way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.make import make_corpus
from dataforge.corpus.read import read_manifest
from dataforge.errors import InputError, OutputError, SeedError
from dataforge.models import connect
from dataforge.models.client import ModelSpec
from dataforge.plan.artifact import Plan, compile_program
from dataforge.run import sources
from dataforge.run.options import RunOptions, RunSummary
from dataforge.run.progress import Progress
from dataforge.run.stop import Budget, Stop
from tests.e2e import three_calls
from tests.e2e.server import ModelServer
from tests.e2e.test_run import GRAPH, NODES, STRUCTS, go, write_project
from tests.e2e.test_shards import ROWS, balanced, corpus, planned


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
        yield running


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return planned(tmp_path)


def steered(
    plan: Plan, out: Path, server: ModelServer, stop: Stop, connector: Any = connect, **options: Any
) -> RunSummary:
    """As `go`, with a stop that the test holds; a run that hangs fails."""
    models = out.parent / "models.toml"
    models.write_text(server.models_file())
    asked = RunOptions(out=out, models_file=models, **options)
    run = make_corpus(plan, asked, Progress(), command="test", stop=stop, environ={}, connector=connector)

    async def in_time() -> RunSummary:
        return await asyncio.wait_for(run, 30)

    return asyncio.run(in_time())


def test_a_stop_ends_a_run_that_waits_for_room_for_one_more_shard(tmp_path: Path) -> None:
    seeds = [{"text": f"seed number {i}"} for i in range(40)]
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, seeds))
    with ModelServer(delay_s=0.3) as slow:
        slow.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
        stop = Stop()

        class AtTheFirst(Progress):
            def call(self, event: Any) -> None:
                stop.set()

        models = tmp_path / "models.toml"
        models.write_text(slow.models_file())
        asked = RunOptions(out=tmp_path / "out", models_file=models, shard_rows=1, concurrency=10)

        async def in_time() -> RunSummary:
            run = make_corpus(plan, asked, AtTheFirst(), command="test", stop=stop, environ={})
            return await asyncio.wait_for(run, 20)

        summary = balanced(asyncio.run(in_time()))
    assert summary.parked == 40


def test_fewer_rows_than_a_stopped_start_had_finished_keep_the_books_balanced(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    out = tmp_path / "out"
    first = balanced(go(plan, out, server, budget=Budget(tokens=200), concurrency=1))
    assert 3 < first.kept < ROWS
    for _ in range(2):
        fewer = balanced(go(plan, out, server, rows=2))
        assert (fewer.planned, fewer.calls) == (first.kept, 0)
    whole = balanced(go(plan, out, server))
    assert (whole.kept, whole.resumed) == (ROWS, first.kept)
    assert max(server.prompts.values()) == 1


def test_a_reopened_shard_keeps_what_it_cost(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    out = tmp_path / "out"
    first = go(plan, out, server, shard_rows=4, rows=6)
    more = balanced(go(plan, out, server))
    assert first.calls + more.calls == server.calls == read_manifest(out)["counts"]["calls"]
    assert more.completion_tokens > first.completion_tokens
    again = balanced(go(plan, out, server))
    assert (again.calls, again.statistics.total().calls) == (0, server.calls)


def test_a_spent_budget_does_not_reopen_a_shard(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    out = tmp_path / "out"
    first = balanced(go(plan, out, server, shard_rows=4, rows=6))
    rows = corpus(out)
    budget = Budget(tokens=first.prompt_tokens + first.completion_tokens)
    for _ in range(2):
        spent = balanced(go(plan, out, server, budget=budget))
        assert (spent.calls, spent.kept, spent.parked) == (0, 6, 4)
        assert corpus(out) == rows


def test_a_reply_in_a_shard_with_a_lost_row_is_not_paid_for_again(
    tmp_path: Path, server: ModelServer
) -> None:
    functions = """
def fiction(doc):
    raise OSError("no")
"""
    server.answers = {"^Sort: lost": "fiction", "^Sort": "fact", "^Fact": "It is so indeed."}
    seeds = [{"text": text} for text in ("the very same", "lost it is", *["the very same"] * 4)]
    plan = compile_program(write_project(tmp_path, STRUCTS + NODES + GRAPH, seeds, functions))
    summary = balanced(go(plan, tmp_path / "out", server, shard_rows=2, concurrency=1))
    assert (summary.kept, summary.failed) == (5, 1)
    assert max(server.prompts.values()) == 1


def test_a_budget_that_the_last_call_spends_stops_nothing(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    free = go(plan, tmp_path / "free", server)
    budget = Budget(tokens=free.prompt_tokens + free.completion_tokens)
    for _ in range(2):
        exact = balanced(go(plan, tmp_path / "exact", server, budget=budget))
        assert (exact.kept, exact.stopped) == (ROWS, None)
        assert read_manifest(tmp_path / "exact")["stopped"] is None
        assert json.loads((tmp_path / "exact/live.json").read_text())["state"] == "done"


def test_calls_in_flight_are_kept_where_the_seeds_break_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path)
    with (tmp_path / "seeds.jsonl").open("a") as seeds:
        seeds.write("{ no JSON\n")
    monkeypatch.setattr(sources, "MAX_COUNTED_BYTES", 0)
    with ModelServer(delay_s=0.3) as slow:
        slow.answers = {"^Sort": "fact", "^Fact": "It is so indeed."}
        out = tmp_path / "out"
        with pytest.raises(SeedError):
            go(plan, out, slow, concurrency=2)
        (name,) = out.glob("shards/*/journal.sqlite")
        with contextlib.closing(sqlite3.connect(name)) as journal:
            [kept] = journal.execute("SELECT count(*) FROM calls").fetchone()
        assert kept == slow.calls > 0


def test_a_stop_while_a_model_is_pinged_begins_no_call(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    stop = Stop()

    def connector(spec: ModelSpec) -> Any:
        backend = connect(spec)
        really = backend.ping

        async def ping() -> str:
            stop.set()
            return await really()

        backend.ping = ping  # type: ignore[method-assign]
        return backend

    summary = balanced(steered(plan, tmp_path / "out", server, stop, connector))
    assert (summary.parked, server.calls) == (ROWS, 0)


def test_a_backend_whose_ping_breaks_is_closed(tmp_path: Path, plan: Plan, server: ModelServer) -> None:
    closed = []

    def connector(spec: ModelSpec) -> Any:
        backend = connect(spec)
        really = backend.close

        async def ping() -> str:
            raise OSError("a bug")

        async def close() -> None:
            closed.append(spec.name)
            await really()

        backend.ping, backend.close = ping, close  # type: ignore[method-assign]
        return backend

    with pytest.raises(OSError, match="a bug"):
        steered(plan, tmp_path / "out", server, Stop(), connector)
    assert closed


def test_a_run_that_came_to_nothing_keeps_no_other_from_its_directory(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    out = tmp_path / "out"
    right = server.models_file()
    server.models_file = lambda: right.replace(server.url, "http://127.0.0.1:9/v1").replace(
        "writer-", "writter-"
    )  # type: ignore[method-assign]
    with pytest.raises(InputError, match="does not answer"):
        go(plan, out, server)
    server.models_file = lambda: right  # type: ignore[method-assign]
    assert balanced(go(plan, out, server, shard_rows=4)).kept == ROWS
    server.models_file = lambda: right.replace("writer-", "other-")  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="its models is"):
        go(plan, out, server)


@pytest.mark.parametrize("name", ["README.md", "data/train-00000-of-00001.parquet"])
def test_a_folder_with_files_of_others_where_the_corpus_would_be_is_left_alone(
    tmp_path: Path, plan: Plan, server: ModelServer, name: str
) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with pytest.raises(OutputError, match="would be written over") as error:
        go(plan, out, server)
    assert error.value.code == "R020"
    assert [p for p in out.rglob("*") if p.is_file()] == [out / name]
    (out / name).rename(out / "notes.txt")
    assert balanced(go(plan, out, server)).kept == ROWS


def test_a_listener_that_breaks_ends_the_run_and_hangs_nobody(
    tmp_path: Path, plan: Plan, server: ModelServer
) -> None:
    class Broken(Progress):
        def row(self, status: str, code: str | None) -> None:
            raise OSError("gone")

    (tmp_path / "models.toml").write_text(server.models_file())
    asked = RunOptions(out=tmp_path / "out", models_file=tmp_path / "models.toml", concurrency=2)

    async def in_time() -> RunSummary:
        run = make_corpus(plan, asked, Broken(), command="test", environ={})
        return await asyncio.wait_for(run, 20)

    with pytest.raises(OSError, match="gone"):
        asyncio.run(in_time())
    assert balanced(go(plan, tmp_path / "out", server)).kept == ROWS


@pytest.mark.parametrize("sink", ["pipe", "full disk"])
def test_a_run_goes_on_when_nobody_can_be_told_of_it(tmp_path: Path, server: ModelServer, sink: str) -> None:
    program = three_calls.write_project(tmp_path / "project", 5, server.url)
    command = [word for word in three_calls.command(program, tmp_path / "out") if word != "--json"]
    stderr: Any = subprocess.PIPE if sink == "pipe" else Path("/dev/full").open("wb")  # noqa: SIM115 - closed below
    told = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=three_calls.environment())
    (told.stderr or stderr).close()
    said, _ = told.communicate(timeout=60)
    assert told.returncode == 0
    assert said.startswith(b"5 rows = 5 kept")
