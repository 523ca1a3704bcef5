"""Statistics add up exactly, in any order, survive JSON, and name percentiles as close as they say."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.run.progress import CallEvent
from dataforge.run.statistics import BUCKETS, GROWTH, LOWEST_S, RELATIVE_ERROR, Histogram, Statistics

EVENT = CallEvent(
    row=3,
    node="answer",
    purpose="ask",
    model="writer",
    served_by="m-1",
    prompt_tokens=100,
    completion_tokens=40,
    latency_s=0.25,
    attempts=2,
    cost=0.0002,
    reused=False,
    started_at=1.0,
    finish_reason="stop",
)
EVENTS = st.builds(
    CallEvent,
    row=st.integers(0, 9),
    node=st.sampled_from(["instruct", "answer", "inner/answer"]),
    purpose=st.sampled_from(["ask", "judge"]),
    model=st.sampled_from(["writer", "critic"]),
    served_by=st.just("m"),
    prompt_tokens=st.integers(0, 2**40),
    completion_tokens=st.integers(0, 2**40),
    latency_s=st.floats(0, 1e6),
    attempts=st.integers(1, 5),
    cost=st.floats(0, 100),
    reused=st.booleans(),
    started_at=st.just(0.0),
    finish_reason=st.just("stop"),
)
ROWS = st.tuples(
    st.sampled_from(["kept", "rejected", "failed", "parked"]), st.none() | st.sampled_from(["R101", "R007"])
)


def heard(events: list[CallEvent], rows: list[tuple[str, str | None]]) -> Statistics:
    statistics = Statistics()
    for event in events:
        statistics.add_call(event)
    for status, code in rows:
        statistics.add_row(status, code)
    return statistics


STATISTICS = st.builds(heard, st.lists(EVENTS, max_size=8), st.lists(ROWS, max_size=5))


@given(STATISTICS, STATISTICS, STATISTICS)
def test_adding_is_associative_and_commutative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Statistics() == a


@given(st.lists(EVENTS, max_size=12), st.lists(ROWS, max_size=6), st.integers(0, 12))
def test_parts_add_up_to_the_whole(events, rows, cut):
    assert heard(events[:cut], rows[:cut]) + heard(events[cut:], rows[cut:]) == heard(events, rows)


@given(STATISTICS, STATISTICS)
def test_adding_leaves_the_parts_alone(a, b):
    before = a.to_json(), b.to_json()
    both = a + b
    both.add_call(EVENT)
    both.add_row("kept", None)
    assert (a.to_json(), b.to_json()) == before


@given(STATISTICS, STATISTICS)
def test_json_and_back_is_the_same(a, b):
    assert Statistics.from_json(json.loads(json.dumps(a.to_json()))) == a
    assert json.dumps((a + b).to_json()) == json.dumps((b + a).to_json())


@given(
    st.lists(st.floats(LOWEST_S, LOWEST_S * GROWTH**BUCKETS), min_size=1, max_size=60), st.integers(0, 100)
)
def test_percentiles_are_within_the_stated_error(latencies, q):
    histogram = Histogram()
    for seconds in latencies:
        histogram.add(seconds)
    true = sorted(latencies)[max(1, math.ceil(q * len(latencies) / 100)) - 1]
    assert abs(histogram.percentile(q) - true) <= true * RELATIVE_ERROR * (1 + 1e-9)
    assert RELATIVE_ERROR <= 0.05


@pytest.mark.parametrize(("seconds", "told"), [(-1.0, LOWEST_S), (0.0, LOWEST_S), (1e9, 127_000)])
def test_latencies_outside_the_bounds_count_as_the_nearest(seconds, told):
    histogram = Histogram()
    histogram.add(seconds)
    assert histogram.total == 1
    assert histogram.percentile(50) == pytest.approx(told, rel=0.06)


def test_no_latency_at_all_is_zero():
    assert Histogram().percentile(99) == 0.0


def test_a_reused_call_costs_nothing():
    statistics = heard([EVENT, replace(EVENT, reused=True, latency_s=0.0)], [])
    total = statistics.total()
    assert (total.calls, total.reused, total.attempts, total.retries) == (1, 1, 2, 1)
    assert (total.prompt_tokens, total.completion_tokens, total.cost) == (100, 40, 0.0002)
    assert total.latency.total == 1


def test_totals_by_node_and_by_model():
    judged = replace(EVENT, purpose="judge", model="critic", completion_tokens=7)
    other = replace(EVENT, node="instruct")
    statistics = heard([EVENT, EVENT, judged, other], [])
    assert {name: c.calls for name, c in statistics.by_node().items()} == {"answer": 3, "instruct": 1}
    assert {name: c.calls for name, c in statistics.by_model().items()} == {"writer": 3, "critic": 1}
    assert statistics.by_node()["answer"].completion_tokens == 87
    assert statistics.total().calls == 4
    assert Statistics().total().calls == 0


def test_calls_can_be_added_without_an_event():
    by_hand, by_event = Statistics(), heard([EVENT], [])
    by_hand.add(
        "answer", "ask", "writer",
        attempts=2, prompt_tokens=100, completion_tokens=40, cost=0.0002, latency_s=0.25,
    )  # fmt: skip
    assert by_hand == by_event
    by_hand.add("answer", "ask", "writer", calls=0, reused=3)
    assert (by_hand.total().calls, by_hand.total().reused, by_hand.total().attempts) == (1, 3, 2)


def test_rows_by_status_and_by_reason():
    rows = [("kept", None), ("kept", None), ("rejected", "R101"), ("rejected", "R107"), ("failed", "R101")]
    statistics = heard([], rows)
    assert statistics.by_status == {"kept": 2, "rejected": 2, "failed": 1}
    assert statistics.rejected_by == {"R101": 1, "R107": 1}
    assert statistics.failed_by == {"R101": 1}


@pytest.mark.parametrize(
    "document",
    [{}, {"version": 0, "calls": [], "rows": []}, {"version": 1}, {"version": 1, "calls": [1], "rows": []}],
)
def test_what_is_no_statistics_is_refused(document):
    with pytest.raises(ValueError, match="statistics"):
        Statistics.from_json(document)
