"""`live.json`: what a run tells, told whole, told again, and told as far as the disk lets it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dataforge.errors import OutputError
from dataforge.run import live as live_module
from dataforge.run.live import NAME, NOTES, Live, Snapshot, Speed, keep_telling, read_live
from dataforge.run.log import Blot, RunLog
from dataforge.run.progress import Gauges
from tests.run.test_statistics import EVENT


def test_a_run_is_told_and_can_be_read(tmp_path):
    live = Live.in_folder(tmp_path)
    live.begin(10, 2, {"writer": "m-1 (openai)"})
    live.call(EVENT)
    live.call(replace(EVENT, reused=True))
    live.call(replace(EVENT, purpose="judge", latency_s=1.0, attempts=1))
    for status, code in (("kept", None), ("rejected", "R107"), ("failed", "R007"), ("filtered", None)):
        live.row(status, code)
    live.note("http://a slows down")
    pool = {"writer": [{"endpoint": "http://a", "in_flight": 3}]}
    live.gauge(Gauges(in_flight=3, shards=4, shards_whole=1, endpoints=pool, state="done"))
    live.end()
    told = read_live(tmp_path)
    assert (told.pid, told.host, told.state, told.over) == (os.getpid(), socket.gethostname(), "done", True)
    assert (told.rows.planned, told.rows.done) == (10, 5)
    assert (told.rows.rejected_by, told.rows.failed_by) == ({"R107": 1}, {"R007": 1})
    assert (told.shards.planned, told.shards.whole) == (4, 1)
    assert (told.calls.made, told.calls.reused, told.calls.retries, told.calls.in_flight) == (2, 1, 1, 0)
    assert (told.calls.prompt_tokens, told.calls.completion_tokens, told.calls.cost) == (200, 80, 0.0004)
    assert [(node.node, node.purpose, node.calls) for node in told.nodes] == [
        ("answer", "ask", 1),
        ("answer", "judge", 1),
    ]
    assert told.nodes[1].p95_s == pytest.approx(1.0, rel=0.05)
    assert told.models == {"writer": "m-1 (openai)"}
    assert told.endpoints == pool
    assert [note.message for note in told.notes] == ["http://a slows down"]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_run_that_nobody_calls_done_has_stopped(tmp_path):
    live = Live.in_folder(tmp_path)
    live.begin(10, 0, {})
    live.gauge(Gauges(state="stopping", why="its budget of 5.00 is spent"))
    live.end()
    told = read_live(tmp_path)
    assert (told.state, told.why, told.stale(datetime.now(UTC) + timedelta(days=1))) == (
        "stopped", "its budget of 5.00 is spent", None,
    )  # fmt: skip


def test_readers_never_see_half_a_file(tmp_path):
    live = Live.in_folder(tmp_path)
    live.begin(10, 0, {"writer": "w" * 100_000})
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            live.gauge(Gauges())

    writer = threading.Thread(target=write)
    writer.start()
    stamps = set()
    until = time.monotonic() + 30
    try:
        while len(stamps) < 20 and time.monotonic() < until:
            if (tmp_path / NAME).exists():
                stamps.add(read_live(tmp_path).updated_at)
    finally:
        over.set()
        writer.join()
        live.end()
    assert len(stamps) == 20, "written again and again while it was read"


def test_the_loop_does_not_wait_for_a_slow_disk():
    slow, began = threading.Event(), threading.Event()
    written = []

    def put(data: bytes) -> None:
        began.set()
        slow.wait(30)
        written.append(data)

    live = Live(put)
    live.begin(1, 0, {})
    assert began.wait(30)
    for _ in range(100):
        live.gauge(Gauges())
    assert written == []
    slow.set()
    live.end()
    assert len(written) == 2, "the states that came meanwhile were passed over; the last was not"


def test_a_disk_that_refuses_is_said_once_and_ends_nothing(tmp_path, caplog):
    live = Live.in_folder(tmp_path / "not there")
    with caplog.at_level(logging.WARNING, logger="dataforge"):
        live.begin(1, 0, {})
        for _ in range(3):
            live._write(live.snapshot())
        live.end()
    (record,) = caplog.records
    assert record.event == "live_not_written"
    assert record.levelno == logging.WARNING


def test_odd_text_and_secrets_do_not_reach_the_file(tmp_path):
    live = Live.in_folder(tmp_path, Blot(["sk-planted"]))
    live.begin(0, 0, {"writer": "at http://u:sk-planted@h"})
    for number in range(NOTES + 5):
        live.note(f"{number} \ud83d sk-planted")
    live.gauge(Gauges(endpoints={"writer": {"url": "sk-planted", "odd": {1, 2}, "half": "\udc80"}}))
    live.end()
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    assert "sk-planted" not in text
    told = read_live(tmp_path)
    assert len(told.notes) == NOTES
    assert told.notes[-1].message == f"{NOTES + 4} \\ud83d [secret]"
    assert told.rows.planned is None


def test_gauges_are_told_until_cancelled(monkeypatch):
    monkeypatch.setattr(live_module, "EVERY_S", 0.001)
    live = Live(lambda data: None)
    looked = []

    async def run() -> None:
        enough = asyncio.Event()

        def look() -> Gauges:
            looked.append(1)
            if len(looked) == 3:
                enough.set()
            return Gauges(in_flight=len(looked))

        task = asyncio.create_task(keep_telling(live, look))
        await asyncio.wait_for(enough.wait(), 30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert live.last.in_flight == len(looked)


def snapshot(tmp_path: Path, **changes: object) -> Snapshot:
    live = Live.in_folder(tmp_path)
    live.begin(1, 0, {})
    live.end()
    return read_live(tmp_path).model_copy(update={"state": "running", **changes})


def test_a_file_left_behind_is_stale(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    now = datetime.now(UTC)
    old = now - timedelta(seconds=75)
    assert snapshot(tmp_path, updated_at=now - timedelta(seconds=5), pid=gone.pid).stale(now) is None
    assert snapshot(tmp_path, updated_at=old).stale(now) == "not updated for 75 s"
    assert snapshot(tmp_path, updated_at=old, pid=gone.pid).stale(now) == (
        "its process is gone; not updated for 75 s"
    )
    # Of another machine's processes nothing is known here.
    elsewhere = snapshot(tmp_path, updated_at=old, pid=gone.pid, host="elsewhere.example")
    assert elsewhere.stale(now) == "not updated for 75 s"
    assert snapshot(tmp_path, updated_at=old, state="done").stale(now) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2}', '{"version": 1}', '"\\ud800"'], ids=lambda text: text or "empty"
)
def test_what_is_no_state_of_a_run_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(OutputError, match="not the state of a run") as caught:
        read_live(tmp_path)
    assert caught.value.code == "R023"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no run that can be watched"):
        read_live(tmp_path)


def test_a_later_release_may_add_keys(tmp_path):
    before = snapshot(tmp_path).model_dump(mode="json")
    before["rows"]["new"] = before["new"] = 1
    (tmp_path / NAME).write_text(json.dumps(before))
    assert read_live(tmp_path).state == "running"


def test_speed_is_that_of_the_last_seconds():
    speed = Speed()
    assert speed.at(100.0, 0, 0) == (0, 0)
    for second in range(1, 61):
        told = speed.at(100.0 + second, 4 * second, 400 * second)
    assert told == pytest.approx((4, 400), rel=0.05)
    for second in range(61, 100):
        told = speed.at(100.0 + second, 240, 24_000)
    assert told == (0, 0)


def test_the_page_shows_the_document_and_the_log_as_they_are(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "observing.md").read_text(encoding="utf-8")
    example, line = (
        page.split(f"<!-- {name} -->\n```json\n")[1].split("\n```")[0] for name in ("live.json", "log.jsonl")
    )
    shown = Snapshot.model_validate_json(example)
    assert shown.model_dump(mode="json", exclude_unset=True).keys() == Snapshot.model_fields.keys()
    assert shown.rows.done == 3200
    for key in Snapshot.model_fields.keys() - {"version", "pid", "host", "started_at", "updated_at"}:
        assert f"| `{key}`" in page or f", `{key}` |" in page
    with RunLog(tmp_path, print):
        logging.getLogger("dataforge.models").warning("x")
    written = json.loads((tmp_path / "log.jsonl").read_text())
    assert list(json.loads(line)) == list(written)
