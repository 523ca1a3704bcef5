"""How much of each model a worker may use, so that all of a cluster's workers together keep to the model's limits.

A limit such as 1,000 calls at once, or 6,000 requests a minute, holds for the whole run. Workers ask about each second
for a slice of it, saying what they could use, and are given the largest fair share that is free: nobody gets more than
they can use, what one leaves the others share, and those who want most are levelled down to the same share
(max-min fairness). A slice lives for some seconds; a worker that does not come back gives it up.

The sum never exceeds the limit, also while slices shrink. A worker that is told to use less still has calls in flight,
and the answer that tells it so may still be on its way. So a slice counts at the largest of what was granted now, what
was granted the time before and what was in flight; room is given on once its worker has come back without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SLICE_S = 10.0
"""How long a slice lives. A worker starts no call once its slice is older, counted from when it asked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all workers together may use of one model; None for a rate without a bound."""

    concurrency: int
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a worker has in flight, and how many calls more it would begin at once if it might."""

    in_flight: int = 0
    waiting: int = 0


class Quota:
    """The limits of a run's models, in slices.

    Args:
        wholes: the limits of each model, by its name.
        clock: seconds, never going back.
        slice_s: how long a slice lives.
    """

    def __init__(
        self, wholes: Mapping[str, Limits], *, clock: Callable[[], float], slice_s: float = SLICE_S
    ) -> None:
        self._clock = clock
        self._slice_s = slice_s
        self._models = {name: _Model(whole) for name, whole in wholes.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The models that there are limits for."""
        return tuple(self._models)

    def ask(self, worker: str, demands: Mapping[str, Demand]) -> dict[str, Limits]:
        """A worker's slices for `slice_s` from now, in place of those that it had.

        A worker has one question under way at a time, and applies its answer before the next.
        """
        now = self._clock()
        slices = {}
        for name, demand in demands.items():
            self._models[name].expire(now)
            slices[name] = self._models[name].slice(worker, demand, now + self._slice_s)
        return slices

    def counted(self, model: str) -> Limits:
        """What counts as used now: at most the limits of the model.

        More only where a worker came back after its slice had run out with calls still in flight.
        """
        known = self._models[model]
        known.expire(self._clock())
        return known.counted()


class _Model:
    """Who has what of one model."""

    def __init__(self, whole: Limits) -> None:
        self._calls = _Pool(whole.concurrency)
        self._requests = None if whole.requests_per_minute is None else _Pool(whole.requests_per_minute)
        self._tokens = None if whole.tokens_per_minute is None else _Pool(whole.tokens_per_minute)
        self._wanted: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def expire(self, now: float) -> None:
        for worker in [worker for worker, until in self._until.items() if until <= now]:
            del self._until[worker], self._wanted[worker]
            for pool in self._pools():
                pool.forget(worker)

    def slice(self, worker: str, demand: Demand, until: float) -> Limits:
        self._until[worker] = until
        self._wanted[worker] = demand.in_flight + demand.waiting
        share = fair_shares(int(self._calls.whole), self._wanted)[worker]
        calls = self._calls.give(worker, share, demand.in_flight)
        # Rates are shared as the calls are: who may have half of these in flight may use half of the rate.
        part = calls / sum(self._calls.granted.values()) if calls else 0.0
        return Limits(
            int(calls),
            None if self._requests is None else self._requests.give(worker, part * self._requests.whole),
            None if self._tokens is None else self._tokens.give(worker, part * self._tokens.whole),
        )

    def counted(self) -> Limits:
        return Limits(
            int(sum(self._calls.counted.values())),
            None if self._requests is None else sum(self._requests.counted.values()),
            None if self._tokens is None else sum(self._tokens.counted.values()),
        )

    def _pools(self) -> list[_Pool]:
        return [pool for pool in (self._calls, self._requests, self._tokens) if pool is not None]


class _Pool:
    """One limit: what each worker was granted of it, and what counts for it until it comes back."""

    def __init__(self, whole: float) -> None:
        self.whole = whole
        self.granted: dict[str, float] = {}
        self.counted: dict[str, float] = {}

    def give(self, worker: str, share: float, in_use: float = 0.0) -> float:
        """A worker's share, as far as it is free now."""
        had = self.granted.get(worker, 0.0)
        self.counted.pop(worker, None)
        grant = max(0.0, min(share, self.whole - sum(self.counted.values())))
        self.granted[worker] = grant
        self.counted[worker] = max(grant, had, in_use)
        return grant

    def forget(self, worker: str) -> None:
        del self.granted[worker], self.counted[worker]


def fair_shares(whole: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """A whole in max-min fair shares: none above what is wanted, none below another's unless it wants no more.

    >>> fair_shares(100, {"a": 10, "b": 500, "c": 60})
    {'a': 10, 'b': 45, 'c': 45}
    """
    shares = dict.fromkeys(wanted, 0)
    left = whole
    for place, worker in enumerate(sorted(wanted, key=lambda worker: (wanted[worker], worker))):
        shares[worker] = min(wanted[worker], left // (len(wanted) - place))
        left -= shares[worker]
    return shares
