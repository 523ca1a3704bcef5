"""The laws of the shard table: one worker a shard, one seal a shard, and every shard whole in the end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from dataforge.run.leases import Lease, Leases

WORKERS = [f"worker-{n}" for n in range(4)]
LEASE_S = 10.0


class Table(RuleBasedStateMachine):
    """Workers that lease, renew, die, stall and report late, in any order. A seal is the epoch that made it."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.shards = list(range(5))
        self.gone: set[int] = set()
        self.table: Leases[int] = Leases(
            self.shards, clock=lambda: self.now, lease_s=LEASE_S, max_losses=3, first_epoch=7
        )
        self.current: dict[int, tuple[Lease, float]] = {}
        """The lease that holds each shard and when it ends, as the workers know it."""
        self.last: dict[int, Lease] = {}
        self.accepted: dict[int, int] = {}
        self.epochs: list[int] = []

    def live(self, lease: Lease) -> bool:
        held = self.current.get(lease.shard)
        return held is not None and held[0] == lease and held[1] > self.now

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=leases, worker=st.sampled_from(WORKERS), home=st.sampled_from(["a", "b"]))
    def lease(self, worker: str, home: str) -> object:
        lease = self.table.lease(worker, home)
        if lease is None:
            return multiple()
        held = self.current.get(lease.shard)
        assert held is None or held[1] <= self.now, "a shard is never leased twice at once"
        assert lease.shard not in self.accepted, "a whole shard is never leased"
        assert lease.shard not in self.gone
        self.current[lease.shard] = (lease, self.now + LEASE_S)
        self.last[lease.shard] = lease
        self.epochs.append(lease.epoch)
        return lease

    @rule(lease=leases, progressed=st.booleans())
    def renew(self, lease: Lease, progressed: bool) -> None:
        live = self.live(lease)
        assert self.table.renew(lease, progressed=progressed) == live
        if live:
            self.current[lease.shard] = (lease, self.now + LEASE_S)

    @rule(lease=leases, wait_s=st.sampled_from([0.0, 5.0]))
    def give_back(self, lease: Lease, wait_s: float) -> None:
        live = self.live(lease)
        self.table.give_back(lease, wait_s)
        if live:
            del self.current[lease.shard]

    @rule(lease=leases)
    def seal(self, lease: Lease) -> None:
        newest = self.last[lease.shard] == lease
        accepted = self.table.seal(lease, lease.epoch)
        assert accepted == (newest and lease.shard not in self.gone | set(self.accepted)), (
            "one seal, and never a zombie's"
        )
        if accepted:
            self.accepted[lease.shard] = lease.epoch
            self.current.pop(lease.shard, None)

    @rule(lease=leases)
    def leave(self, lease: Lease) -> None:
        newest = self.last[lease.shard] == lease
        left = self.table.leave(lease)
        assert left == (newest and lease.shard not in self.gone | set(self.accepted))
        if left:
            self.gone.add(lease.shard)
            self.current.pop(lease.shard, None)

    @rule()
    def add(self) -> None:
        if len(self.shards) < 8:
            self.shards.append(len(self.shards))
            self.table.add(self.shards[-1])

    @rule(worker=st.sampled_from(WORKERS))
    def lose(self, worker: str) -> None:
        lost = self.table.lose(worker)
        theirs = {lease.shard for lease, until in self.current.values() if lease.worker == worker}
        assert {lease.shard for lease in lost} <= theirs
        for shard in theirs:
            del self.current[shard]

    @invariant()
    def seals_are_the_accepted_ones(self) -> None:
        assert self.table.sealed == self.accepted

    @invariant()
    def epochs_only_grow(self) -> None:
        assert self.epochs == sorted(set(self.epochs))
        assert all(epoch >= 7 for epoch in self.epochs)

    def teardown(self) -> None:
        """One worker that lives brings every shard that was not given up to its end."""
        self.now += 100.0
        self.table.expire()
        self.now += 100.0
        given_up = set(self.table.given_up)
        while (lease := self.table.lease("survivor")) is not None:
            assert self.table.seal(lease, lease.epoch)
        assert self.table.done
        assert set(self.table.sealed) | given_up | self.gone == set(self.shards)


Table.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTable = Table.TestCase


def table(shards: int, **options: float) -> tuple[Leases[str], list[float]]:
    now = [0.0]
    return Leases(range(shards), clock=lambda: now[0], max_losses=2, **options), now  # type: ignore[arg-type]


def take(leases: Leases[str], worker: str, home: str = "") -> Lease:
    lease = leases.lease(worker, home)
    assert lease is not None
    return lease


def test_a_lost_shard_goes_first_and_waits_a_while_for_its_home() -> None:
    leases, now = table(5, home_s=30.0)
    for worker, home in [("one", "a"), ("two", "b")]:
        take(leases, worker, home)
    leases.lose("one")
    leases.lose("two")
    assert take(leases, "three", "b").shard == 1
    assert take(leases, "three", "b").shard == 2
    now[0] += 31.0
    assert take(leases, "three", "b").shard == 0
    assert take(leases, "three", "b").shard == 3


def test_a_shard_that_nobody_gets_anywhere_with_is_given_up() -> None:
    leases, _ = table(2)
    for _ in range(2):
        assert take(leases, "one").shard == 0
        leases.lose("one")
    assert leases.given_up == [0]
    assert leases.seal(take(leases, "one"), "second shard")
    assert leases.done


def test_progress_clears_the_count_of_losses() -> None:
    leases, _ = table(1)
    for _ in range(9):
        assert leases.renew(take(leases, "one"), progressed=True)
        leases.lose("one")
    assert leases.given_up == []
    assert leases.renew(take(leases, "one"))
    leases.lose("one")
    assert leases.given_up == [0]


def test_a_shard_given_back_is_no_loss_and_rests_a_while() -> None:
    leases, now = table(1)
    for _ in range(5):
        leases.give_back(take(leases, "one"), wait_s=3.0)
        assert leases.lease("one") is None
        now[0] += 3.0
    assert leases.given_up == []


def test_a_lease_that_ran_out_still_seals_until_another_has_the_shard() -> None:
    leases, now = table(2, lease_s=5.0)
    late, later = take(leases, "one"), take(leases, "two")
    now[0] += 6.0
    assert not leases.renew(late)
    assert leases.seal(late, "late but whole")
    assert take(leases, "three").shard == later.shard
    assert not leases.seal(later, "a zombie's")
    assert leases.sealed == {late.shard: "late but whole"}
