"""A run starts soon, finishes its first row early, and after an edit asks only what the edit changed.

No time is asserted by the clock, which the neighbours of a machine can stretch: CPU seconds and the order of things are.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import three_calls
from tests.e2e.storm_server import StormServer

NOT_YET = {"httpx", "numpy", "openai", "opentelemetry", "pyarrow", "ray", "torch", "transformers"}


@pytest.fixture
def server() -> Iterator[StormServer]:
    with StormServer(latency_s=0.02) as running:
        yield running


def test_the_first_row_of_a_thousand_is_on_disk_early(tmp_path: Path, server: StormServer) -> None:
    program = three_calls.write_project(tmp_path, 1_000, server.url, concurrency=16)
    process = subprocess.Popen(
        three_calls.command(program, tmp_path / "out", "--concurrency", "16"),
        cwd=tmp_path, env=three_calls.environment(),
    )  # fmt: skip
    assert server.has_answered(100, timeout_s=60)
    process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGKILL
    assert three_calls.outcomes(tmp_path / "out") >= 1, "100 of 3,000 calls answered, and no row finished"
    assert usage.ru_utime + usage.ru_stime < 3.0


def test_nothing_heavy_is_loaded_before_the_first_request(tmp_path: Path, server: StormServer) -> None:
    server.configure(latency_s=60.0)
    program = three_calls.write_chain(tmp_path, 20, server.url)
    _, *command = three_calls.command(program, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *command],
        cwd=tmp_path, env=three_calls.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server.first_request()
    process.kill()
    _, imported = process.communicate()
    modules = {
        name.split(".")[0] for name in re.findall(r"^import time:.*\|\s*(\S+)$", imported, re.MULTILINE)
    }
    assert "dataforge" in modules
    assert not modules & NOT_YET


def test_an_edited_rubric_asks_only_the_judge_again(tmp_path: Path, server: StormServer) -> None:
    server.configure(latency_s=0.0)
    rows = 30
    program = three_calls.write_project(tmp_path, rows, server.url)
    before, after = tmp_path / "before", tmp_path / "after"

    def go(out: Path, *more: str) -> Counter[str]:
        server.reset()
        command = three_calls.command(program, out, *more)
        subprocess.run(
            command, cwd=tmp_path, env=three_calls.environment(), check=True, stdout=subprocess.DEVNULL
        )
        return Counter(arrival.model for arrival in server.arrivals())

    assert go(before) == {"writer-model": 2 * rows, "judge-model": rows}
    text = program.read_text()
    program.write_text(text.replace("does what the instruction asks", "does all that the instruction asks"))
    assert program.read_text() != text
    assert go(after, "--reuse", str(before)) == {"judge-model": rows}
