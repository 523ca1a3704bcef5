"""The laws of the quota: never above the limit, fair, nothing left idle, and what a vanished worker had comes back."""

from __future__ import annotations

import doctest

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dataforge.run import quota
from dataforge.run.quota import Demand, Limits, Quota, fair_shares

WORKERS = st.sampled_from("abcd")
SLICE_S = 10.0


class Worker:
    """What a worker really does: it starts calls as far as its live slice lets it, and never cancels one."""

    def __init__(self) -> None:
        self.slice = Limits(0, 0.0, 0.0)
        self.until = 0.0
        self.in_flight = 0
        self.answer: tuple[Limits, float] | None = None


class Cluster(RuleBasedStateMachine):
    """Workers that ask, hear the answer late, start and finish calls, and die."""

    @initialize(calls=st.integers(0, 20), rate=st.none() | st.floats(1.0, 1e4))
    def begin(self, calls: int, rate: float | None) -> None:
        self.now = 0.0
        self.whole = Limits(calls, rate, 1000.0)
        self.quota = Quota({"m": self.whole}, clock=lambda: self.now, slice_s=SLICE_S)
        self.workers = {name: Worker() for name in "abcd"}

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        # A worker whose slice runs out with calls in flight is a dead one here: its connections are gone.
        self.now += seconds
        for name, worker in self.workers.items():
            if worker.until <= self.now and worker.answer is None:
                self.workers[name] = Worker()

    @rule(name=WORKERS, waiting=st.integers(0, 30))
    def ask(self, name: str, waiting: int) -> None:
        worker = self.workers[name]
        if worker.answer is None:
            until = self.now + SLICE_S
            granted = self.quota.ask(name, {"m": Demand(worker.in_flight, waiting)})["m"]
            assert granted.concurrency <= worker.in_flight + waiting, "nobody gets more than they can use"
            worker.answer = (granted, until)

    @rule(name=WORKERS)
    def hear(self, name: str) -> None:
        worker = self.workers[name]
        if worker.answer is not None:
            (worker.slice, worker.until), worker.answer = worker.answer, None

    @rule(name=WORKERS, calls=st.integers(1, 20))
    def start(self, name: str, calls: int) -> None:
        worker = self.workers[name]
        if worker.until > self.now:
            worker.in_flight = max(worker.in_flight, min(worker.in_flight + calls, worker.slice.concurrency))

    @rule(name=WORKERS, calls=st.integers(1, 20))
    def finish(self, name: str, calls: int) -> None:
        self.workers[name].in_flight = max(0, self.workers[name].in_flight - calls)

    @rule(name=WORKERS)
    def die(self, name: str) -> None:
        self.workers[name] = Worker()

    @invariant()
    def the_cluster_keeps_to_the_limits(self) -> None:
        live = [w for w in self.workers.values() if w.until > self.now]
        assert sum(w.in_flight for w in live) <= self.whole.concurrency
        for name in ("requests_per_minute", "tokens_per_minute"):
            whole = getattr(self.whole, name)
            if whole is None:
                assert all(getattr(w.slice, name) is None for w in live)
            else:
                assert sum(getattr(w.slice, name) for w in live) <= whole * (1 + 1e-9)
        counted = self.quota.counted("m")
        assert sum(w.slice.concurrency for w in live) <= counted.concurrency <= self.whole.concurrency

    def teardown(self) -> None:
        """Whoever vanished, those left get everything in the end."""
        self.now += 2 * SLICE_S
        for _ in range(3):
            granted = self.quota.ask("a", {"m": Demand(0, 1000)})["m"]
        assert granted.concurrency == self.whole.concurrency
        if self.whole.concurrency:
            assert granted.requests_per_minute == self.whole.requests_per_minute
            assert granted.tokens_per_minute == self.whole.tokens_per_minute


Cluster.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCluster = Cluster.TestCase

DEMANDS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.integers(0, 60), min_size=1, max_size=8
)


@given(st.integers(0, 200), DEMANDS)
def test_shares_are_max_min_fair(whole: int, wanted: dict[str, int]) -> None:
    shares = fair_shares(whole, wanted)
    assert sum(shares.values()) == min(whole, sum(wanted.values())), (
        "nothing is left idle that somebody wants"
    )
    for one, share in shares.items():
        assert share <= wanted[one]
        if share < wanted[one]:
            assert share >= max(shares.values()) - 1, (
                "who wants more has no less than anybody, but for a remainder"
            )


@given(st.integers(0, 200), DEMANDS, DEMANDS)
def test_slices_settle_at_the_fair_shares(whole: int, before: dict[str, int], wanted: dict[str, int]) -> None:
    asking = Quota({"m": Limits(whole, requests_per_minute=600.0)}, clock=lambda: 0.0)
    wants = dict.fromkeys(before, 0) | wanted
    in_flight: dict[str, int] = dict.fromkeys(wants, 0)
    for demands in (before, *[wants] * 4):
        granted = {}
        for name, wish in demands.items():
            demand = Demand(in_flight[name], max(0, wish - in_flight[name]))
            granted[name] = asking.ask(name, {"m": demand})["m"]
            in_flight[name] = min(wish, granted[name].concurrency)
    assert {n: g.concurrency for n, g in granted.items()} == fair_shares(whole, wants)
    rates = [g.requests_per_minute or 0.0 for g in granted.values()]
    assert sum(rates) <= 600.0 * (1 + 1e-9)


def test_two_workers_share_a_rate_as_they_share_the_calls() -> None:
    asking = Quota({"m": Limits(100, 600.0, 9000.0)}, clock=lambda: 0.0)
    in_flight = {"a": 0, "b": 0}
    for _ in range(4):
        granted = {}
        for name, wish in [("a", 25), ("b", 500)]:
            demand = Demand(in_flight[name], wish - in_flight[name])
            granted[name] = asking.ask(name, {"m": demand})["m"]
            in_flight[name] = granted[name].concurrency
    assert granted == {"a": Limits(25, 150.0, 2250.0), "b": Limits(75, 450.0, 6750.0)}


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(quota).failed == 0
