"""A run on Ray makes the corpus of a local run, whoever is killed on the way, and pays for nothing twice.

One cluster of two machines, as far as Ray can tell, for all tests: a worker on the driver's keeps its journals in the
run directory, the other one shares what it does. All is seen from outside, as in `test_crash`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import three_calls
from tests.e2e.storm_server import StormServer
from tests.e2e.test_crash import balanced, ended, files, settled

pytest.importorskip("ray")
pytestmark = pytest.mark.ray

ROWS = 120
CALLS = three_calls.CALLS_A_ROW * ROWS
CONCURRENCY = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment of a cluster's drivers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.ray_cluster"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=three_calls.environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[StormServer]:
    with StormServer() as running:
        yield running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, server: StormServer) -> Path:
    return three_calls.write_project(
        tmp_path_factory.mktemp("project"), ROWS, server.url, concurrency=CONCURRENCY
    )


@pytest.fixture(scope="module")
def unbroken(program: Path) -> dict[str, bytes]:
    """The files of a local run."""
    run = Run(program, program.parent / "unbroken", {})
    run.finish("--on", "local")
    return files(run.out)


class Run:
    """One run, as many starts as it takes."""

    def __init__(self, program: Path, out: Path, cluster: dict[str, str]) -> None:
        self.program, self.out, self.cluster = program, out, cluster

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            three_calls.command(self.program, self.out, "--shard-rows", "15", *more),
            cwd=self.program.parent, env={**three_calls.environment(), **self.cluster}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self, *more: str) -> dict[str, Any]:
        code, said, wrong = ended(self.start(*more))
        assert code == 0, said + wrong
        summary: dict[str, Any] = json.loads(said)
        return summary

    def workers(self) -> dict[int, set[Path]]:
        """The process of each worker, and the shards whose journals it has open."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (
                    b"ray::_Actor" in (process / "cmdline").read_bytes()
                    and self.cluster["RAY_AUTH_TOKEN"].encode() in (process / "environ").read_bytes()
                ):
                    held = {handle.readlink() for handle in (process / "fd").iterdir()}
                    found[int(process.name)] = {p.parent for p in held if p.name == "journal.sqlite"}
        return found

    def kill_one(self, at_home: bool) -> set[str]:
        """Kill a worker that has answers in its journals; the tokens of these."""
        until = time.monotonic() + 240
        while time.monotonic() < until:
            for process, shards in self.workers().items():
                if any(self.out in shard.parents for shard in shards) == at_home:
                    os.kill(process, signal.SIGSTOP)  # so that what is read is what there is
                    tokens = acknowledged(shards)
                    os.kill(process, signal.SIGKILL if tokens else signal.SIGCONT)
                    if tokens:
                        return tokens
            time.sleep(0.05)
        raise AssertionError("there was no such worker")


def acknowledged(shards: set[Path]) -> set[str]:
    """Tokens of the answers in some shards' journals."""
    with tempfile.TemporaryDirectory() as copies:
        for number, shard in enumerate(shards):
            with contextlib.suppress(FileNotFoundError, shutil.Error):
                shutil.copytree(shard, Path(copies) / "shards" / str(number))
        return three_calls.acknowledged(Path(copies))


def test_two_machines_make_the_corpus_of_a_local_run(
    tmp_path: Path, program: Path, cluster: dict[str, str], server: StormServer, unbroken: dict[str, bytes]
) -> None:
    server.reset()
    run = Run(program, tmp_path / "out", cluster)
    summary = run.finish("--on", "ray", "--workers", "3")  # for the third there is never room
    assert (summary["planned"], summary["calls"]) == (ROWS, CALLS)
    assert set(server.asked().values()) == {1}
    assert server.stats()["peak"] <= CONCURRENCY, "the limit is the whole cluster's"
    balanced(run.out, ROWS)
    assert files(run.out) == unbroken
    assert not (run.out / "exchange").exists()


def test_killed_workers_cost_time_and_no_answer(
    tmp_path: Path, program: Path, cluster: dict[str, str], server: StormServer, unbroken: dict[str, bytes]
) -> None:
    server.reset()
    server.configure(latency_s=2.5)  # so slow that no worker is done before the other one is up
    run = Run(program, tmp_path / "out", cluster)
    process = run.start("--on", "ray")
    try:
        known = run.kill_one(at_home=True)
        known |= run.kill_one(at_home=False)
        server.configure(latency_s=0.05)
    except BaseException:
        process.kill()
        raise
    finally:
        code, said, wrong = ended(process)
    assert code == 0, said + wrong
    asked = server.asked()
    assert not {token for token in known if asked[token] > 1}, "asked for again, though it was in a journal"
    assert asked.total() - CALLS <= 2 * CONCURRENCY, "more was lost than was in flight"
    balanced(run.out, ROWS)
    assert files(run.out) == unbroken


def test_without_its_driver_nothing_is_asked_and_a_stopped_run_goes_on_locally(
    tmp_path: Path, program: Path, cluster: dict[str, str], server: StormServer, unbroken: dict[str, bytes]
) -> None:
    server.reset()
    server.configure(latency_s=0.1)
    run = Run(program, tmp_path / "out", cluster)
    process = run.start("--on", "ray")
    try:
        assert server.has_answered(30, 240)
    finally:
        process.kill()
        ended(process)
    until = time.monotonic() + 120
    while run.workers() and time.monotonic() < until:
        time.sleep(0.1)
    assert not run.workers(), "orphans"
    seen = settled(server)

    token = (run.out / "state" / "token").read_text()
    process = run.start("--on", "ray")
    try:
        assert server.has_answered(len(server.answered()) + 60, 240)
    finally:
        process.terminate()
        code, said, wrong = ended(process)
    assert code == 3, said + wrong
    told = server.stats()
    assert told["requests"] == settled(server), "calls in flight were waited for"
    second = [arrival.token for arrival in server.arrivals()][seen:]
    assert second

    server.configure(latency_s=0.0)
    run.finish("--on", "local")
    third = [arrival.token for arrival in server.arrivals()][told["requests"] :]
    assert not set(second) & set(third), "asked for again, though the run was stopped in good order"
    balanced(run.out, ROWS)
    assert files(run.out) == unbroken
    # What a worker on another machine had when its driver died stays there until somebody empties the folder.
    shutil.rmtree(Path(tempfile.gettempdir()) / f"dataforge-{os.getuid()}" / token, ignore_errors=True)
