"""What a run's calls and rows came to: counts that can be added, and the latencies they took.

Events go in, sums come out. Everything is an integer and every histogram has the same bounds, so the statistics of
shards, of starts and of workers add up exactly, in whatever order; money is counted in billionths for that reason.
Nothing here reads a clock or a disk: a shard keeps its statistics beside its rows, and a run adds them up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dataforge.run.progress import CallEvent

VERSION = 1

LOWEST_S, GROWTH, BUCKETS = 1e-4, 1.1, 220
"""Bucket i holds latencies from `LOWEST_S * GROWTH**i` up to the next one's bound: 0.1 ms to 35 h, a batch's day
included. Fixed for ever, since histograms of other bounds could not be added: another choice is another `VERSION`."""

RELATIVE_ERROR = math.sqrt(GROWTH) - 1
"""How far a percentile may be from the true one, as a part of it: 4.9%, half a bucket. Outside the bounds, more."""

_LOG_LOWEST, _BUCKETS_A_LOG, _LAST = math.log(LOWEST_S), 1 / math.log(GROWTH), BUCKETS - 1
_log = math.log

K = TypeVar("K")


@dataclass(slots=True)
class Histogram:
    """How often each latency was seen, by bucket; buckets that were never hit are not kept."""

    counts: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float) -> None:
        if seconds > LOWEST_S:
            bucket = int((_log(seconds) - _LOG_LOWEST) * _BUCKETS_A_LOG)
            if bucket > _LAST:
                bucket = _LAST
        else:
            bucket = 0
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        for bucket, number in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + number

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, q: float) -> float:
        """Seconds that q percent of the latencies do not exceed, by nearest rank and to `RELATIVE_ERROR`.

        0 where there are no latencies.
        """
        left = max(1, math.ceil(q * self.total / 100))
        for bucket, number in sorted(self.counts.items()):
            left -= number
            if left <= 0:
                return float(LOWEST_S * GROWTH ** (bucket + 0.5))
        return 0.0


@dataclass(slots=True)
class Counts:
    """Calls of one kind, added up.

    Attributes:
        calls: calls that were made; those of the following that are sums are sums over these.
        reused: further calls whose reply was there already: they cost nothing and took no time.
        attempts: requests, so that `attempts - calls` are retries.
        cost_nano: by the bindings' prices, in billionths of their currency.
        latency: of the calls made, retries included.
    """

    calls: int = 0
    reused: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0
    latency: Histogram = field(default_factory=Histogram)

    @property
    def cost(self) -> float:
        return self.cost_nano / 1e9

    @property
    def retries(self) -> int:
        return self.attempts - self.calls

    def merge(self, other: Counts) -> None:
        self.calls += other.calls
        self.reused += other.reused
        self.attempts += other.attempts
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_nano += other.cost_nano
        self.latency.merge(other.latency)


_SUMS = ("calls", "reused", "attempts", "prompt_tokens", "completion_tokens", "cost_nano")


def _row_order(row: tuple[tuple[str, str | None], int]) -> tuple[str, bool, str]:
    (status, code), _ = row
    return status, code is not None, code or ""


class Statistics:
    """Calls by node, purpose and model; rows by how they ended and why. Adding is `merge` or `+`."""

    __slots__ = ("calls", "rows")

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str, str], Counts] = {}
        self.rows: Counter[tuple[str, str | None]] = Counter()

    def add_call(self, event: CallEvent) -> None:
        """Count a call. This is on the path of every call: about a microsecond."""
        key = (event.node, event.purpose, event.model)
        counts = self.calls.get(key)
        if counts is None:
            counts = self.calls[key] = Counts()
        if event.reused:
            counts.reused += 1
            return
        counts.calls += 1
        counts.attempts += event.attempts
        counts.prompt_tokens += event.prompt_tokens
        counts.completion_tokens += event.completion_tokens
        if event.cost:
            counts.cost_nano += round(event.cost * 1e9)
        counts.latency.add(event.latency_s)

    def add(
        self,
        node: str,
        purpose: str,
        model: str,
        *,
        calls: int = 1,
        reused: int = 0,
        attempts: int | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        cost: float = 0.0,
        latency_s: float | None = None,
    ) -> None:
        """Count calls that no event tells of, such as those that a journal holds.

        Args:
            attempts: requests in all; one a call where it is not given.
            latency_s: of each of the calls; None where it is not known.
        """
        counts = self.calls.setdefault((node, purpose, model), Counts())
        counts.calls += calls
        counts.reused += reused
        counts.attempts += calls if attempts is None else attempts
        counts.prompt_tokens += prompt_tokens
        counts.completion_tokens += completion_tokens
        counts.cost_nano += round(cost * 1e9)
        if latency_s is not None:
            for _ in range(calls):
                counts.latency.add(latency_s)

    def add_row(self, status: str, code: str | None) -> None:
        """Count a row that has ended, with its reason's code where it was not kept."""
        self.rows[status, code] += 1

    def merge(self, other: Statistics) -> None:
        """Add another's counts to these."""
        for key, counts in other.calls.items():
            self.calls.setdefault(key, Counts()).merge(counts)
        self.rows.update(other.rows)

    def __add__(self, other: Statistics) -> Statistics:
        both = Statistics()
        both.merge(self)
        both.merge(other)
        return both

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statistics) and (self.calls, self.rows) == (other.calls, other.rows)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Statistics({self.to_json()})"

    def total(self) -> Counts:
        """All calls together."""
        return self._by(lambda key: "").get("", Counts())

    def by_step(self) -> dict[tuple[str, str], Counts]:
        """Calls by node and purpose, in the order in which they were first heard of."""
        return self._by(lambda key: key[:2])

    def by_node(self) -> dict[str, Counts]:
        """Calls by node."""
        return self._by(lambda key: key[0])

    def by_model(self) -> dict[str, Counts]:
        """Calls by the model's logical name."""
        return self._by(lambda key: key[2])

    def _by(self, part: Callable[[tuple[str, str, str]], K]) -> dict[K, Counts]:
        sums: dict[K, Counts] = {}
        for key, counts in self.calls.items():
            sums.setdefault(part(key), Counts()).merge(counts)
        return sums

    @property
    def by_status(self) -> dict[str, int]:
        """Rows by how they ended."""
        return self._rows(lambda status, code: status)

    @property
    def rejected_by(self) -> dict[str, int]:
        """Rejected rows by the reason's code."""
        return self._rows(lambda status, code: (code or "R000") if status == "rejected" else None)

    @property
    def failed_by(self) -> dict[str, int]:
        """Rows lost to errors, by the error's code."""
        return self._rows(lambda status, code: (code or "R000") if status == "failed" else None)

    def _rows(self, name: Callable[[str, str | None], str | None]) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for (status, code), number in self.rows.items():
            if (word := name(status, code)) is not None:
                sums[word] += number
        return dict(sums)

    def to_json(self) -> dict[str, Any]:
        """The counts as a JSON value, the same for equal counts; `from_json` makes them again."""
        return {
            "version": VERSION,
            "calls": [
                {
                    "node": node,
                    "purpose": purpose,
                    "model": model,
                    **{name: getattr(counts, name) for name in _SUMS},
                    "latency": [list(bucket) for bucket in sorted(counts.latency.counts.items())],
                }
                for (node, purpose, model), counts in sorted(self.calls.items())
            ],
            "rows": [
                {"status": status, "code": code, "rows": number}
                for (status, code), number in sorted(self.rows.items(), key=_row_order)
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Statistics:
        """The statistics that `to_json` told of.

        Raises:
            ValueError: where the document is of another version or no statistics at all.
        """
        if document.get("version") != VERSION:
            raise ValueError(f"statistics of version {document.get('version')!r}, not {VERSION}")
        found = cls()
        try:
            for told in document["calls"]:
                counts = Counts(
                    latency=Histogram({int(bucket): int(number) for bucket, number in told["latency"]})
                )
                for name in _SUMS:
                    setattr(counts, name, int(told[name]))
                found.calls[told["node"], told["purpose"], told["model"]] = counts
            for told in document["rows"]:
                found.rows[told["status"], told["code"]] = int(told["rows"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged statistics: {error!r}") from error
        return found
