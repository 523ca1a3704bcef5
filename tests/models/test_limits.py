"""Laws of the limits, in a time that the test keeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.models.limits import (
    LONGEST_WAIT_S,
    Breaker,
    Bucket,
    Concurrency,
    Pause,
    RetryBudget,
    jitter_s,
    shared_pause,
)

gaps = st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=60)


# Buckets


@given(st.floats(2, 6000), st.lists(st.floats(0, 90, allow_nan=False), max_size=200))
def test_no_minute_has_more_than_its_quota(per_minute, gaps):
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, []
    for gap in gaps:
        now = bucket.ready_at(now + gap, 1)  # as soon as may be, but sometimes later
        bucket.take(now, 1)
        taken.append(now)
    for i, start in enumerate(taken):
        assert sum(1 for at in taken[i:] if at < start + 60 - 1e-6) <= per_minute + 1e-6


@given(st.floats(2, 600))
def test_a_quota_is_used_up(per_minute):
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, 0
    while (at := bucket.ready_at(now, 1)) < 600:
        now = at
        bucket.take(now, 1)
        taken += 1
    assert taken >= 0.45 * 10 * per_minute
    assert per_minute < 60 or taken >= 0.97 * 10 * per_minute


def test_what_was_reserved_too_much_is_given_back():
    bucket = Bucket(6000, 0.0)
    bucket.take(0.0, 100)
    assert bucket.ready_at(0.0, 50) == pytest.approx(50 / 98.33, rel=0.01)
    bucket.take(0.0, 40 - 100)
    assert bucket.ready_at(0.0, 50) == 0.0


def test_a_taking_larger_than_the_bucket_waits_for_a_full_one_and_leaves_a_debt():
    bucket = Bucket(600, 0.0)
    assert bucket.ready_at(0.0, 500) == 0.0
    bucket.take(0.0, 500)
    assert bucket.ready_at(0.0, 1) == pytest.approx(491 / 9.83, rel=0.01)


def test_a_share_of_nothing_lets_nothing_through_until_it_grows():
    bucket = Bucket(600, 0.0)
    bucket.take(0.0, 10)
    bucket.resize(0.0, 0.0)
    assert bucket.ready_at(1000.0, 1) == float("inf")
    bucket.resize(600, 1000.0)
    assert bucket.ready_at(1000.0, 1) == pytest.approx(1000.1, abs=0.01)


@given(gaps, st.lists(st.floats(1, 1000), min_size=60, max_size=60))
def test_resizing_makes_nothing_out_of_nothing(gaps, rates):
    bucket, now, taken = Bucket(max(rates), 0.0), 0.0, 0
    for gap, rate in zip(gaps, rates, strict=False):
        now += gap
        bucket.resize(rate, now)
        while bucket.ready_at(now, 1) <= now:
            bucket.take(now, 1)
            taken += 1
    assert taken <= max(rates) / 60 * (now + 1) + 1


# Retries


@given(gaps, st.integers(0, 50))
def test_retries_stay_within_their_budget(gaps, sent_between):
    budget, now, at, sent = RetryBudget(), 0.0, [], 0
    for gap in gaps:
        now += gap
        for _ in range(sent_between):
            budget.sent()
        sent += sent_between
        at.append(now + budget.wait_s(now))
    allowed = budget.SAVED + budget.FLOOR_PER_S * max(at) + budget.SHARE * sent
    assert len(at) <= allowed + 1


def test_a_flood_of_retries_is_spread_out():
    budget = RetryBudget()
    waits = [budget.wait_s(0.0) for _ in range(200)]
    assert waits[:100] == [0.0] * 100
    assert waits[-1] == pytest.approx(10.0)


@given(st.floats(0.01, 10), st.integers(0, 100))
def test_jitter_is_between_nothing_and_a_bound(base_s, failures):
    assert 0 <= jitter_s(base_s, failures) <= min(LONGEST_WAIT_S, base_s * 2 ** min(failures, 16))


# Pauses


def test_a_pause_is_shared_and_a_shorter_one_does_not_cut_it():
    one, other = shared_pause("http://a", "m"), shared_pause("http://a", "m")
    assert one is other
    assert one is not shared_pause("http://a", "n")
    assert one.extend(10.0)
    assert not other.extend(5.0)
    assert one.over_at == 10.0


def test_pauses_that_nobody_asked_for_grow_until_an_answer_comes():
    pause = Pause()
    for round_ in range(12):
        pause.back_off(round_ * 100.0, 1.0)
        pause.extend(round_ * 100.0 + 50)
        assert pause.back_off(round_ * 100.0 + 1, 1.0) <= min(60.0, 2.0**round_)  # one round, one step
    pause.reset()
    assert pause.back_off(5000.0, 1.0) <= 1.0


# Breakers


def test_a_breaker_opens_after_so_many_failures_in_a_row_and_tries_ever_more_rarely():
    breaker = Breaker(after=3, wait_s=30, longest_s=100)
    assert [breaker.failed(0.0) for _ in range(2)] == [None, None]
    breaker.answered()
    assert [breaker.failed(0.0) for _ in range(3)] == [None, None, 30]
    assert breaker.is_open
    assert breaker.ready_at() == 30
    assert breaker.failed(1.0) is None  # one that had been under way
    now, waits = 30.0, []
    for _ in range(4):
        breaker.sent()
        assert breaker.ready_at() == float("inf")  # one on trial is enough
        waits.append(breaker.failed(now))
        now = breaker.ready_at()
    assert waits == [60, 100, 100, 100]
    breaker.sent()
    assert breaker.answered()
    assert not breaker.is_open
    assert breaker.ready_at() == 0.0


def test_a_trial_that_is_called_off_may_be_made_anew():
    breaker = Breaker(after=1)
    breaker.failed(0.0)
    breaker.sent()
    breaker.abandoned()
    assert breaker.ready_at() == 30


# Concurrency

events = st.lists(st.sampled_from(["good", "retried", "idle", "bad", "wait"]), max_size=400)


def replay(limit: Concurrency, events: list[str]) -> list[int]:
    now, seen = 0.0, []
    for event in events:
        now += 20.0 if event == "wait" else 0.05
        if event == "bad":
            limit.overloaded(now)
        elif event != "wait":
            in_flight = 1 if event == "idle" else limit.limit
            limit.succeeded(now, in_flight, 0.5, 10, at_once=event != "retried")
        seen.append(limit.limit)
    return seen


@given(st.integers(1, 5000), events)
def test_the_limit_stays_between_floor_and_ceiling(ceiling, events):
    seen = replay(Concurrency(ceiling), events)
    assert all(min(Concurrency.FLOOR, ceiling) <= limit <= ceiling for limit in seen)


@given(events.map(lambda made: [e for e in made if e not in {"good", "bad"}]))
def test_neither_idling_nor_retries_make_the_limit_grow(events):
    assert set(replay(Concurrency(1000), events)) <= {Concurrency.START}


@given(st.integers(1, 200))
def test_one_cut_an_episode(refusals):
    limit = Concurrency(32)
    cuts = [limit.overloaded(i * 0.01) for i in range(refusals)]
    assert sum(cuts) <= 1
    assert limit.limit in {32, 25}


def test_growth_doubles_a_round_until_the_first_cut_and_is_a_twentieth_after():
    limit = Concurrency(100_000)
    replay(limit, ["good"] * 32)
    assert limit.limit == 64
    replay(limit, ["bad"] * 20)
    assert limit.limit == 51
    now = 100.0
    for _ in range(51):
        limit.succeeded(now, limit.limit, 0.5, 10, at_once=True)
    assert limit.limit == 53


def test_longer_answers_are_not_taken_for_a_slower_server():
    limit = Concurrency(1000)
    for round_ in range(6):
        for _ in range(limit.limit):
            limit.succeeded(round_ * 50.0, limit.limit, 2.0 * 2**round_, 100 * 2**round_, at_once=True)
    assert not limit.queues
    assert limit.limit == 1000


def rounds(limit: Concurrency, count: int, latency_s) -> None:
    """So many round trips; the latency is that of the requests that were in flight as one began."""
    for _ in range(count):
        size = limit.limit
        for _ in range(size):
            limit.succeeded(0.0, limit.limit, latency_s(size), 100, at_once=True)


def test_latency_that_grows_with_the_limit_ends_growth():
    limit = Concurrency(1000)
    rounds(limit, 20, lambda in_flight: max(1.0, in_flight / 16))
    assert limit.queues
    assert limit.limit == 64


def test_a_server_that_becomes_faster_is_asked_more():
    limit = Concurrency(1000)
    rounds(limit, 20, lambda in_flight: max(1.0, in_flight / 16))
    rounds(limit, 80, lambda _: 1.0)
    assert limit.limit == 1000
