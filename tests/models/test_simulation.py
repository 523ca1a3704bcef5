"""Whole runs against simulated servers, through the real client, in virtual time. Seeded: figures repeat exactly."""

from __future__ import annotations

import pytest
from virtual_time import Metered, Moody, Queueing, Server, Windowed, work_off

JOBS = 4000
IDEAL_S = 400  # a quota of 600 a minute


@pytest.mark.parametrize(("provider", "concurrency"), [(Metered, 64), (Metered, 256), (Windowed, 64)])
def test_a_quota_that_we_do_not_know_is_found_out(provider, concurrency):
    """Per-call back-off lost 95% of these jobs, and Retry-After a call took 186 requests a job."""
    found = work_off(JOBS, provider(seed=1), concurrency=concurrency)
    assert (found.done, found.failed) == (JOBS, 0)
    assert found.requests_a_job <= 1.35
    assert found.seconds <= 1.2 * IDEAL_S


def test_a_quota_that_we_know_is_never_exceeded():
    found = work_off(JOBS, Metered(seed=1), concurrency=64, requests_per_minute=600)
    assert (found.done, found.refused) == (JOBS, 0)
    assert found.seconds <= 1.1 * IDEAL_S


@pytest.mark.parametrize(("slots", "concurrency"), [(4, 4096), (32, 4096), (128, 4096)])
def test_a_server_that_queues_is_not_buried(slots, concurrency):
    """With a limit that only a 429 lowers, requests time out in its queue, are made anew, and nothing gets done."""
    found = work_off(JOBS, Queueing(seed=1, slots=slots), concurrency=concurrency)
    assert (found.done, found.failed) == (JOBS, 0)
    assert found.requests_a_job <= 1.05
    assert found.seconds <= 1.2 * JOBS * 2.27 / slots


@pytest.mark.parametrize(
    ("share", "retry_after_s", "capacity"), [(0.05, None, 0.85), (0.05, 1.0, 0.75), (0.3, None, 0.5)]
)
def test_refusals_that_do_not_depend_on_load_do_not_choke_a_run(share, retry_after_s, capacity):
    """What is done is at least this part of what 64 calls at once would do without refusals."""
    found = work_off(JOBS, Moody(seed=1, share=share, retry_after_s=retry_after_s), concurrency=64)
    assert (found.done, found.failed) == (JOBS, 0)
    assert found.requests_a_job <= 1.05 / (1 - share)
    assert JOBS / found.seconds >= capacity * 64 / 2.27


def test_a_server_with_room_is_not_starved():
    class Quick(Server):
        def service_s(self) -> float:
            return 0.05

    server = Quick()
    found = work_off(2560, server, concurrency=256)
    assert server.most_in_flight == 256
    assert found.seconds <= 0.8  # ten full rounds are half a second


def test_a_quota_of_tokens_is_kept():
    """Each call takes 150 tokens, which is known afterwards, and reserves more before."""
    found = work_off(1000, Server(seed=1), concurrency=64, tokens_per_minute=15_000)
    assert found.done == 1000
    assert 9.5 <= found.seconds / 60 <= 11
