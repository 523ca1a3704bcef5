"""A run through a storm: an endpoint that fails in every way it can, and for a while is not there at all.

Seen from outside, as in `test_crash`: every row ends as kept or rejected, the endpoint is asked hardly more than it must
be, and when it says that it is asked too much, it is left alone for as long as it said.
"""

from __future__ import annotations

import json
import os
import subprocess
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e import three_calls
from tests.e2e.storm_server import Arrival, StormServer

STORM = {"500": 0.05, "429": 0.05, "reset": 0.02, "hang": 0.02, "truncated": 0.02, "empty": 0.02}
CONCURRENCY = 16
RETRY_AFTER_S = 0.2
ON_ITS_WAY_S = 0.05
"""What was sent before the 429 had been read may arrive this much after it."""


@pytest.fixture
def server() -> Iterator[StormServer]:
    with StormServer(latency_s=0.02, retry_after_s=RETRY_AFTER_S) as running:
        yield running


@pytest.mark.parametrize(
    ("rows", "dead_s", "options"),
    [
        # An endpoint that only fails is tried again after two seconds, then four; here, as it is soon back, after half of one.
        pytest.param(150, 3.0, {"breaker_wait_s": 0.5}, id="150 rows"),
        pytest.param(
            2_000,
            20.0,
            {},
            id="2000 rows",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(
                    not os.environ.get("LONG_PROOFS"), reason="takes minutes: set LONG_PROOFS=1 to run it"
                ),
            ],
        ),
    ],
)
def test_a_storm_loses_no_row(
    tmp_path: Path, server: StormServer, rows: int, dead_s: float, options: dict[str, float]
) -> None:
    needed = three_calls.CALLS_A_ROW * rows
    server.configure(rates=STORM, dead_after=needed // 2, dead_s=dead_s)
    program = three_calls.write_project(
        tmp_path,
        rows,
        server.url,
        concurrency=CONCURRENCY,
        total_timeout_s=2.0,
        retry_base_s=0.1,
        options=options,
    )
    process = subprocess.run(
        three_calls.command(program, tmp_path / "out", "--concurrency", str(CONCURRENCY)),
        cwd=tmp_path, env=three_calls.environment(), capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    told = server.stats()
    assert process.returncode == 0, (told["met"], process.stdout + process.stderr)

    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert (counts["kept"] + counts["rejected"], counts["failed"]) == (rows, 0)
    for file in (tmp_path / "out" / "rejected").iterdir():
        assert all(json.loads(reason)["code"] for reason in pq.read_table(file)["reason"].to_pylist())

    assert set(told["met"]) >= {"200", *STORM}, "it was no storm"
    assert told["distinct"] == needed
    # What the server had written when it died may never have been read, and whoever was slow by a second too.
    assert sum(n - 1 for n in server.answered().values()) <= CONCURRENCY, "answered calls were asked again"
    assert told["requests"] <= 1.35 * needed
    assert heeded(server.arrivals())


def heeded(arrivals: list[Arrival]) -> bool:
    """Whether next to nothing arrives for a model from just after a 429 to the end of the wait that it asks for."""
    unheeding = 0
    for model in {arrival.model for arrival in arrivals}:
        own = [arrival for arrival in arrivals if arrival.model == model]
        held = [arrival.when for arrival in own if arrival.met == "429"]
        for arrival in own:
            last = bisect_left(held, arrival.when) - 1
            since = arrival.when - held[last] if last >= 0 else RETRY_AFTER_S
            unheeding += ON_ITS_WAY_S < since < 0.95 * RETRY_AFTER_S
    return unheeding <= 0.01 * len(arrivals)
