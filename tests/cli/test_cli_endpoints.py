"""`dataforge endpoints`, from outside, on a directory that a run holds."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.run.endpoints import RUN_LOCK, read
from dataforge.run.live import Live
from dataforge.run.progress import Gauges
from tests.cli.commands import dataforge

A, B = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"
STATUS = {
    "writer": [
        {"url": A, "state": "open", "in_flight": 3, "limit": 16, "requests": 1200, "failures": 2, "rate_limited": 0}
    ]
}  # fmt: skip


def tell(out: Path) -> None:
    live = Live.in_folder(out)
    live.begin(10, 0, {"writer": "m (openai)", "critic": "n (openai)"})
    live.gauge(Gauges(endpoints=STATUS))
    live.end()


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A directory that a run holds, and where it tells how it stands."""
    folder = tmp_path / "out"
    folder.mkdir()
    tell(folder)
    with (folder / RUN_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def test_an_endpoint_is_added_and_drained(out, tmp_path):
    added = dataforge("endpoints", "add", "out", "writer", B + "/", cwd=tmp_path)
    assert (added.code, added.out) == (0, f"asked the run in out to use {B} for writer\n")
    drained = dataforge("endpoints", "drain", "out", "writer", A, cwd=tmp_path)
    assert (drained.code, drained.err) == (0, "")
    back = dataforge("endpoints", "drain", "out", "writer", B, cwd=tmp_path)
    assert back.code == 0, "what was asked for can be taken back before the run has told of it"
    assert [(c.number, c.do, c.model, c.url) for c in read(out)] == [
        (2, "drain", "writer", A),
        (3, "drain", "writer", B),
    ]


def test_the_list_is_what_the_run_tells_and_what_it_was_asked(out, tmp_path):
    assert dataforge("endpoints", "add", "out", "writer", B, cwd=tmp_path).code == 0
    listed = dataforge("endpoints", "list", "out", cwd=tmp_path)
    assert (listed.code, listed.err) == (0, "")
    assert listed.out == (
        f"writer\n  {A}  open, 3 of 16 in flight, 1,200 requests, 2 failed\n  {B}  asked for, not taken up\n"
    )
    assert dataforge("endpoints", "list", "out", "--json", cwd=tmp_path).json() == STATUS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "out", "wrter", A], "did you mean `writer`?"),
        (["add", "out", "nobody", A], "its models: writer, critic"),
        (["add", "out", "writer", "node7:30000"], "starts with http:// or https://"),
        (["add", "out", "writer", "http://me:hidden@node7/v1"], "no user name or password"),
        (["drain", "out", "writer", B], f"its endpoints: {A}"),
        (["drain", "out", "critic", B], "none yet"),
        (["add", "elsewhere", "writer", A], "no run is under way in elsewhere"),
    ],
)
def test_what_cannot_be_done_is_refused_and_written_nowhere(out, tmp_path, arguments, says):
    done = dataforge("endpoints", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert "error[R044]" in done.err
    assert says in done.err
    assert read(out) == ()


def test_a_run_that_has_ended_is_steered_no_more_and_can_still_be_looked_at(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    tell(out)
    (out / RUN_LOCK).write_text("4711\n")
    done = dataforge("endpoints", "add", "out", "writer", A, cwd=tmp_path)
    assert done.code == 2
    assert "error[R044]: no run is under way in out" in done.err
    assert not (out / "endpoints.json").exists()
    listed = dataforge("endpoints", "list", "out", cwd=tmp_path)
    assert listed.code == 0
    assert A in listed.out
    assert "no run is under way in out" in listed.err
    assert (out / RUN_LOCK).read_text() == "4711\n"


def test_a_directory_without_a_run_has_nothing_to_list(tmp_path):
    done = dataforge("endpoints", "list", ".", "--json", cwd=tmp_path)
    assert done.code == 2
    assert json.loads(done.out)["error"]["code"] == "R023"
