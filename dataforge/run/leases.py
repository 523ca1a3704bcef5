"""Which worker has which shard: the table that the driver of a distributed run keeps.

A shard is pending, leased or whole. A lease carries an epoch, higher than that of any lease before it, and runs out
unless it is renewed. A worker that was given up for lost may still be at work, and may still report: its epoch tells it
from the one that has the shard now, so of all seals of a shard exactly one is accepted. Nothing here knows a network or
a clock; the caller brings the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Lease:
    """A shard in a worker's hands.

    Attributes:
        shard: its number.
        epoch: of this lease; no other lease of this run has it.
        worker: who has it.
        home: the node that the worker is on, where the shard's journal grows.
    """

    shard: int
    epoch: int
    worker: str
    home: str = ""


@dataclass(slots=True)
class _Shard:
    """What the table knows of one shard. Its last lease stays written here after its end."""

    lease: Lease | None = None
    until: float = 0.0
    not_before: float = 0.0
    not_away_before: float = 0.0
    losses: int = 0


class Leases(Generic[S]):
    """The table of a run's shards.

    Args:
        shards: the numbers of those that are not whole yet; they are leased in this order. `add` takes more.
        clock: seconds, never going back.
        lease_s: how long a lease lives without a renewal.
        max_losses: a shard that so many workers lost one after another, none of them any further, is given up.
        home_s: how long a lost shard waits for a worker on the same machine, whose disk has its journal.
        first_epoch: of the first lease. Epochs name files, so a later start must begin above those of an earlier one.
    """

    def __init__(
        self,
        shards: Iterable[int] = (),
        *,
        clock: Callable[[], float],
        lease_s: float = 60.0,
        max_losses: int = 5,
        home_s: float = 30.0,
        first_epoch: int = 1,
    ) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._max_losses = max_losses
        self._home_s = home_s
        self._next_epoch = first_epoch
        self._shards: dict[int, _Shard] = {number: _Shard() for number in shards}
        self._fresh = deque(self._shards)
        self._begun: list[int] = []  # leased before, and lost: partly done, so they go first
        self._leased: set[int] = set()
        self.given_up: list[int] = []
        """Shards that no worker got anywhere with."""
        self.left: list[int] = []
        """Shards whose rows have all been tried, some of them in vain: for another start."""
        self.sealed: dict[int, S] = {}
        """The one accepted seal of each shard that is whole."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to lease or to wait for."""
        return len(self.sealed) + len(self.given_up) + len(self.left) == len(self._shards)

    def add(self, number: int) -> None:
        """One more shard, behind the others."""
        self._shards[number] = _Shard()
        self._fresh.append(number)

    def lease(self, worker: str, home: str = "") -> Lease | None:
        """A shard for a worker, or None where there is none now: begun ones first, of those one whose journal is at home."""
        self.expire()
        number = self._choose(home)
        if number is None:
            return None
        shard = self._shards[number]
        shard.lease = Lease(number, self._next_epoch, worker, home)
        shard.until = self._clock() + self._lease_s
        self._next_epoch += 1
        self._leased.add(number)
        return shard.lease

    def renew(self, lease: Lease, *, progressed: bool = False) -> bool:
        """Prolong a lease. False where it ran out or another has the shard: the worker must stop and drop its work.

        Args:
            lease: the lease.
            progressed: whether the worker got any further since the last time. That clears the count of losses: a shard
                that many preempted workers carried on in turn is no bad shard.
        """
        self.expire()
        shard = self._shards[lease.shard]
        if shard.lease != lease or lease.shard not in self._leased:
            return False
        shard.until = self._clock() + self._lease_s
        shard.losses = 0 if progressed else shard.losses
        return True

    def give_back(self, lease: Lease, wait_s: float = 0.0) -> None:
        """A worker hands a shard back, unfinished and through no fault of the shard; it is not leased for `wait_s`."""
        if lease.shard in self._leased and self._shards[lease.shard].lease == lease:
            self._shards[lease.shard].not_before = self._clock() + wait_s
            self._to_pending(lease.shard)

    def seal(self, lease: Lease, seal: S) -> bool:
        """Accept a shard as whole, or drop the result of a lease that another has come after, or a second seal.

        A lease that ran out still seals, as long as nobody else was given the shard: the work is done.
        """
        if not self._take_out(lease):
            return False
        self.sealed[lease.shard] = seal
        return True

    def leave(self, lease: Lease) -> bool:
        """A worker is through with a shard that is not whole: nobody else gets it. False as for `seal`."""
        if not self._take_out(lease):
            return False
        self.left.append(lease.shard)
        return True

    def lose(self, worker: str) -> list[Lease]:
        """A worker died: its leases end. Returns them."""
        lost = [lease for lease in self._held() if lease.worker == worker]
        for lease in lost:
            self._end(lease)
        return lost

    def expire(self) -> list[Lease]:
        """End the leases that ran out. Returns them."""
        now = self._clock()
        out = [lease for lease in self._held() if self._shards[lease.shard].until <= now]
        for lease in out:
            self._end(lease)
        return out

    def _take_out(self, lease: Lease) -> bool:
        """End a shard's way through the table, if this is its last lease and the first that says so."""
        number = lease.shard
        if self._shards[number].lease != lease or number in self.sealed or number in self.left:
            return False
        if number in self._leased:
            self._leased.discard(number)
        else:
            (self.given_up if number in self.given_up else self._begun).remove(number)
        return True

    def _held(self) -> list[Lease]:
        return [lease for number in sorted(self._leased) if (lease := self._shards[number].lease) is not None]

    def _end(self, lease: Lease) -> None:
        shard = self._shards[lease.shard]
        shard.losses += 1
        shard.not_away_before = self._clock() + self._home_s
        if shard.losses < self._max_losses:
            self._to_pending(lease.shard)
        else:
            self._leased.discard(lease.shard)
            self.given_up.append(lease.shard)

    def _to_pending(self, number: int) -> None:
        self._leased.discard(number)
        self._begun.append(number)

    def _choose(self, home: str) -> int | None:
        now = self._clock()
        ready = [number for number in self._begun if self._shards[number].not_before <= now]
        at_home = [number for number in ready if self._home(number) == home]
        away = [number for number in ready if self._shards[number].not_away_before <= now]
        for number in (*at_home, *away):
            self._begun.remove(number)
            return number
        return self._fresh.popleft() if self._fresh else None

    def _home(self, number: int) -> str | None:
        lease = self._shards[number].lease
        return None if lease is None else lease.home
