"""A run that is killed, stopped or out of disk ends as if it had not been, and pays for nothing twice.

Everything here is seen from outside: `dataforge run` in a process of its own, a server in another, and the files. The
server's answers are a function of the request and carry a token of it, so a record in a journal names the request that
it answers, and the server's log says whether that was ever asked for again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e import three_calls
from tests.e2e.storm_server import Arrival, StormServer

LONG = pytest.mark.skipif(
    not os.environ.get("LONG_PROOFS"), reason="takes minutes: set LONG_PROOFS=1 to run it"
)


@pytest.fixture
def server() -> Iterator[StormServer]:
    with StormServer(latency_s=0.01) as running:
        yield running


@dataclass
class Run:
    """One run, as many starts as it takes."""

    program: Path
    out: Path
    more: tuple[str, ...] = ()

    def start(self, **popen: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            three_calls.command(self.program, self.out, *self.more),
            cwd=self.program.parent, env=three_calls.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen,
        )  # fmt: skip

    def finish(self, **popen: Any) -> dict[str, Any]:
        """A start that goes to the end; its summary."""
        code, said, wrong = ended(self.start(**popen))
        assert code == 0, said + wrong
        summary: dict[str, Any] = json.loads(said)
        return summary

    def acknowledged(self) -> set[str]:
        return three_calls.acknowledged(self.out)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, wrong = process.communicate(timeout=300)
    return process.returncode, said, wrong


def corpus(out: Path) -> dict[str, list[str]]:
    """Every row of every file, as sorted lines of JSON."""
    return {
        kind: sorted(
            json.dumps(row, sort_keys=True)
            for file in sorted((out / kind).glob("*.parquet"))
            for row in pq.read_table(file).to_pylist()
        )
        for kind in ("data", "rejected")
    }


def files(out: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(out)): p.read_bytes() for k in ("data", "rejected") for p in (out / k).iterdir()
    }


def balanced(out: Path, rows: int) -> None:
    """The manifest accounts for every row, and no id is there twice."""
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert counts["kept"] + counts["rejected"] == rows
    assert counts["failed"] == counts.get("parked", 0) == 0
    ids = [json.loads(line)["id"] for lines in corpus(out).values() for line in lines]
    assert len(ids) == len(set(ids))
    assert ids


@dataclass
class Kill:
    """What was known just after one.

    Attributes:
        seen: length of the server's log.
        acknowledged: tokens in journals and in the store.
    """

    seen: int
    acknowledged: set[str] = field(repr=False)


def settled(server: StormServer) -> int:
    """Length of the server's log, once it has noticed that its client is gone."""
    while server.stats()["in_flight"]:
        time.sleep(0.005)
    return int(server.stats()["requests"])


def killed_until_done(
    run: Run, server: StormServer, rows: int, kills: int, draw: random.Random
) -> list[Kill]:
    """Start and kill the run again and again, at most so many times, then let it finish.

    Most kills come some answers after the start, and up to 30 ms after the last of them; others come at any time in the
    first two seconds, and so hit start-up; and once all is answered, they come while the files are made.
    """
    found: list[Kill] = []
    most = 2 * three_calls.CALLS_A_ROW * rows // kills
    while len(found) < kills:
        process = run.start()
        left = three_calls.CALLS_A_ROW * rows - len(server.answered())
        if left and draw.random() < 0.85:
            target = server.stats()["answered"] + min(left, draw.randint(1, most))
            while process.poll() is None and not server.has_answered(target, 0.5):
                pass
            time.sleep(draw.uniform(0, 0.03 if left > most else 0.5))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, 2.0))
        process.kill()
        code, said, wrong = ended(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL, said + wrong
        found.append(Kill(settled(server), run.acknowledged()))
    run.finish()
    return found


def holds(kills: list[Kill], server: StormServer, concurrency: int) -> None:
    """What was acknowledged stays so and is not asked for again; a crash costs no more than what was in flight."""
    arrivals = server.arrivals()
    earlier: set[str] = set()
    for kill, after in pairwise([*kills, Kill(len(arrivals), set())]):
        assert earlier <= kill.acknowledged, "an acknowledged call is gone"
        earlier = kill.acknowledged
        assert built_on(arrivals[: kill.seen]) <= kill.acknowledged, "built on before it was on disk"
        before = {arrival.token for arrival in arrivals[: kill.seen]}
        assert len(before - kill.acknowledged) <= concurrency, "more was lost than was in flight"
        asked = [arrival.token for arrival in arrivals[kill.seen : after.seen]]
        assert len(asked) == len(set(asked)), "asked twice in one start"
        assert not kill.acknowledged & set(asked), "asked for again, though it was in the journal"


def built_on(arrivals: list[Arrival]) -> set[str]:
    """Tokens of answers from which a later prompt was made: for the run, those calls are over."""
    return {token for arrival in arrivals for token in arrival.builds_on}


@pytest.mark.parametrize(
    ("rows", "kills", "concurrency"),
    [
        pytest.param(100, 8, 8, id="8 moments"),
        pytest.param(2_000, 200, 32, id="200 moments", marks=[pytest.mark.slow, LONG]),
    ],
)
def test_killed_at_any_moment_a_run_ends_as_an_unbroken_one(
    tmp_path: Path, server: StormServer, rows: int, kills: int, concurrency: int
) -> None:
    program = three_calls.write_project(tmp_path, rows, server.url, concurrency=concurrency)
    more = ("--concurrency", str(concurrency), "--shard-rows", str(rows // 5))
    unbroken = Run(program, tmp_path / "unbroken", more)
    unbroken.finish()
    needed = server.asked()
    assert set(needed.values()) == {1}
    assert len(needed) == three_calls.CALLS_A_ROW * rows
    balanced(unbroken.out, rows)

    draw = random.Random(rows)
    suffered = 0
    for attempt in range(kills):
        server.reset()
        run = Run(program, tmp_path / f"out{attempt}", more)
        found = killed_until_done(run, server, rows, kills - suffered, draw)
        suffered += len(found)
        holds(found, server, concurrency)
        assert set(server.answered()) == set(needed)
        balanced(run.out, rows)
        assert corpus(run.out) == corpus(unbroken.out)
        assert files(run.out) == files(unbroken.out)
        if suffered >= kills:
            break
    assert suffered >= kills


def asks_nothing_again(run: Run, server: StormServer, seen: int, known: set[str]) -> tuple[int, set[str]]:
    """After a start has ended: hold the log since `seen` against what was on disk before it; both as they are now."""
    arrivals = [arrival.token for arrival in server.arrivals()]
    assert not known & set(arrivals[seen:])
    now = run.acknowledged()
    assert known <= now
    return len(arrivals), now


def fills_up(run: Run, server: StormServer, rows: int, steps: Iterator[dict[str, Any]]) -> None:
    """Start a run with less room than it needs, then with more and more; each item of `steps` makes some."""
    seen, known = 0, set[str]()
    codes = []
    for popen in steps:
        code, said, wrong = ended(run.start(**popen))
        codes.append(code)
        settled(server)
        if code != 0:
            assert code == 1, said + wrong
            assert "R021" in said + wrong
            assert "Traceback" not in said + wrong
        seen, known = asks_nothing_again(run, server, seen, known)
    assert codes[-1] == 0
    assert codes.count(1) >= 2, "the disk was never full"
    balanced(run.out, rows)


def test_a_file_size_limit_stops_a_run_and_room_lets_it_go_on(
    tmp_path: Path, server: StormServer, unbroken: dict[str, bytes]
) -> None:
    def steps() -> Iterator[dict[str, Any]]:
        for kib in (24, 128, 640):
            yield {"preexec_fn": partial(resource.setrlimit, resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))}
        yield {}

    program = three_calls.write_project(tmp_path, 150, server.url, concurrency=8)
    fills_up(Run(program, tmp_path / "out"), server, 150, steps())
    assert files(tmp_path / "out") == unbroken


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run of 150 rows to which nothing happened."""
    folder = tmp_path_factory.mktemp("unbroken")
    with StormServer() as server:
        run = Run(three_calls.write_project(folder, 150, server.url), folder / "out")
        run.finish()
    return files(run.out)


def mounted(folder: Path, *arguments: str) -> None:
    """Mount a file system, or skip the test."""
    folder.mkdir(exist_ok=True)
    command = ["mount", *arguments, str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system, and not everywhere")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Where a test mounts a disk; it is unmounted afterwards."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_full_disk_stops_a_run_and_room_lets_it_go_on(
    tmp_path: Path, server: StormServer, unbroken: dict[str, bytes], disk: Path
) -> None:
    def steps() -> Iterator[dict[str, Any]]:
        yield {}
        for size in ("512k", "1m", "64m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
            yield {}

    mounted(disk, "-t", "tmpfs", "-o", "size=128k", "tmpfs")
    program = three_calls.write_project(tmp_path, 150, server.url, concurrency=8)
    run = Run(program, disk / "out")
    fills_up(run, server, 150, steps())
    assert files(run.out) == unbroken


def test_a_power_cut_loses_nothing_that_was_built_on(
    tmp_path: Path, server: StormServer, unbroken: dict[str, bytes], disk: Path
) -> None:
    """The disk is an image file. A copy of it, made while the run is held still, is what a cut would have left."""
    image, cuts = tmp_path / "disk.img", [tmp_path / f"cut{number}.img" for number in range(3)]
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    if (
        not shutil.which("mkfs.ext4")
        or subprocess.run(["mkfs.ext4", "-q", "-F", image], check=False).returncode
    ):
        pytest.skip("there is no mkfs.ext4")
    mounted(disk, "-o", "loop", str(image))
    program = three_calls.write_project(tmp_path, 150, server.url, concurrency=8)
    run = Run(program, disk / "out", ("--concurrency", "8"))
    process = run.start()
    seen = []
    for number, cut in enumerate(cuts, start=1):
        assert server.has_answered(100 * number, 60)
        process.send_signal(signal.SIGSTOP)
        shutil.copy(image, cut)
        seen.append(server.arrivals())
        process.send_signal(signal.SIGCONT)
    process.kill()
    ended(process)
    settled(server)
    for cut, arrivals in zip(cuts, seen, strict=True):
        subprocess.run(["umount", str(disk)], check=True)
        mounted(disk, "-o", "loop", str(cut))
        known = run.acknowledged()
        assert built_on(arrivals) <= known
        assert len({arrival.token for arrival in arrivals} - known) <= 8
    server.reset()
    run.finish()
    assert not known & set(server.asked())
    assert files(run.out) == unbroken


def test_sigterm_lets_the_calls_in_flight_come_home(tmp_path: Path, server: StormServer) -> None:
    server.configure(latency_s=0.3)
    program = three_calls.write_project(tmp_path, 40, server.url, concurrency=8)
    run = Run(program, tmp_path / "out", ("--concurrency", "8"))
    process = run.start()
    assert server.has_answered(16, 60)
    process.terminate()
    code, said, wrong = ended(process)
    assert code == 3, said + wrong
    told = server.stats()
    assert 16 <= told["requests"] == told["answered"] < 120
    assert run.acknowledged() == set(server.answered())
    server.configure(latency_s=0.0)
    run.finish()
    assert set(server.asked().values()) == {1}
    assert len(server.asked()) == 120
    balanced(run.out, 40)


def test_the_bytes_do_not_depend_on_concurrency(tmp_path: Path, server: StormServer) -> None:
    server.configure(latency_s=0.02)
    program = three_calls.write_project(tmp_path, 50, server.url, concurrency=64)
    one = Run(program, tmp_path / "one", ("--concurrency", "1"))
    many = Run(program, tmp_path / "many", ("--concurrency", "64"))
    one.finish()
    assert server.stats()["peak"] == 1
    many.finish()
    assert server.stats()["peak"] > 16
    assert files(one.out) == files(many.out)
