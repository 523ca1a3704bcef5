"""What watches a run hears it from its beginning to its end, whatever that is, and lets no key out."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from dataforge.errors import RunError
from dataforge.models.client import ModelSpec
from dataforge.run import live as live_module
from dataforge.run.live import read_live
from dataforge.run.observe import observed
from dataforge.run.progress import Gauges, Progress
from tests.run.test_statistics import EVENT

KEY = "sk-planted-0123456789"
SPECS = {
    "writer": ModelSpec("writer", "generator", "openai", "m", "m", options={"api_key_env": "WRITER_KEY"}),
    "critic": ModelSpec("critic", "judge", "local", "n", "n"),
}


class Listener(Progress):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def call(self, event: object) -> None:
        self.heard.append("call")

    def gauge(self, now: Gauges) -> None:
        self.heard.append(now.state)

    def note(self, message: str) -> None:
        self.heard.append(message)

    def end(self) -> None:
        self.heard.append("end")


def test_a_run_is_watched_from_its_beginning_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(live_module, "EVERY_S", 0.001)
    listener, state = Listener(), Gauges()
    second = asyncio.Event()

    def look() -> Gauges:
        if listener.heard.count("running") > 1:
            second.set()
        return state

    async def run() -> None:
        nonlocal state
        async with observed(tmp_path, SPECS, [listener], look, {"WRITER_KEY": KEY}) as told:
            told.begin(3, 0, {"writer": f"m at http://u:{KEY}@h"})
            told.call(EVENT)
            logging.getLogger("dataforge.models").warning("refused %s", KEY, extra={"event": "refused"})
            await asyncio.wait_for(second.wait(), 30)
            state = Gauges(state="done", endpoints={"writer": KEY})

    asyncio.run(run())
    assert listener.heard[0] == "call"
    assert "refused [secret]" in listener.heard
    assert listener.heard[-2:] == ["done", "end"]
    assert (read_live(tmp_path).state, read_live(tmp_path).calls.made) == ("done", 1)
    assert json.loads((tmp_path / "log.jsonl").read_text())["event"] == "refused"
    for path in tmp_path.iterdir():
        assert KEY not in path.read_text()
    assert logging.getLogger("dataforge").handlers == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RunError("25 rows in a row were lost"), "25 rows in a row were lost"),
        (ValueError("a prompt"), "ValueError"),
        (asyncio.CancelledError(), "interrupted"),
    ],
)
def test_a_run_that_fails_is_said_to_have_stopped(tmp_path, error, why):
    async def run() -> None:
        async with observed(tmp_path, SPECS, [listener], Gauges, {}) as told:
            told.begin(3, 0, {})
            raise error

    listener = Listener()
    with pytest.raises(type(error)):
        asyncio.run(run())
    assert (read_live(tmp_path).state, read_live(tmp_path).why) == ("stopped", why)
    assert listener.heard[-1] == "end"


def test_a_look_that_fails_is_logged_and_ends_no_run(tmp_path):
    def look() -> Gauges:
        raise ValueError("an answer")

    async def run() -> str:
        async with observed(tmp_path, SPECS, [], look, {}) as told:
            told.begin(3, 0, {})
            await asyncio.sleep(0)
        return "done"

    assert asyncio.run(run()) == "done"
    assert read_live(tmp_path).over
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert (line["event"], line["fields"]["exception"]) == ("bug", "ValueError")
    assert "an answer" not in (tmp_path / "log.jsonl").read_text()
