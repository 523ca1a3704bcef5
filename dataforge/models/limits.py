"""How hard an endpoint may be asked: pure rules, each told the time, none of which waits or touches a network.

    Concurrency    requests in flight, found out by trying: grows while that pays, cut when the endpoint is overloaded
    Pause          the time until which an endpoint wants to be left alone
    Bucket         requests or tokens a minute
    RetryBudget    how many requests may be second attempts, so that retries do not bury an endpoint that is ill
    Breaker        whether an endpoint that only fails is asked at all

`now` is seconds on any clock that does not run backwards, so simulations run these very classes in virtual time. One
`pool.Endpoint` holds one of each; `pool.Pool` asks them before every request and tells them how it ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from weakref import WeakValueDictionary

LONGEST_WAIT_S = 60.0
"""No back-off that we choose ourselves is longer."""


class Concurrency:
    """How many requests may be in flight at one endpoint.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989), with four rules for endpoints of this kind:

    * Growth counts only where the limit is really used, and comes from calls that succeeded at once.
    * One cut an episode: after a cut nothing is cut or grown for a while, since what comes back was sent before it.
    * Some endpoints refuse or drop a share of requests however few they are. Up to `TOLERATED` of the answers is taken
      for that, and more where a cut turns out not to have helped: otherwise the limit would creep down to nothing.
    * Servers that queue never refuse; there more requests in flight only wait longer. So a round that was slow, and in
      which twice the requests did no more work, ends growth. Work is counted both in answers and in tokens, so that
      answers that become longer are not taken for a server that becomes slower.

    The limit never falls below `FLOOR`.
    """

    START = 32
    FLOOR = 2
    TOLERATED = 0.12
    COOL_DOWN_S = 10.0
    _CUT = 0.8
    _GROWTH = 0.05  # of the limit, a round, once there has been a cut
    _SHARE_WEIGHT = 1 / 64
    _USED = 0.8
    _PAYS = 1.2  # twice the requests that give less than this much more work only queue
    _SLOW, _TOO_SLOW = 1.5, 6.0  # times the latency of the endpoint at ease
    _NOT_SLOW_S = 1.0  # a queue this short is nobody's trouble, and may be our own process's

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.queues = False
        self._limit = float(min(self.START, ceiling))
        self._slow_start = True
        self._quiet_until = 0.0
        self._bad_share = 0.0
        self._tolerated = self.TOLERATED
        self._tally = _Tally()
        self._last_share: float | None = None
        self._round = _Round(self._limit)
        self._ease = (float("inf"), float("inf"))  # seconds an answer, seconds a token
        self._best = (0.0, 0.0)
        self._knee = self._limit

    @property
    def limit(self) -> int:
        return max(1, int(min(self._limit, self.ceiling)))

    def succeeded(self, now: float, in_flight: int, latency_s: float, tokens: int, *, at_once: bool) -> None:
        """An answer came.

        Args:
            now: the time.
            in_flight: requests in flight when it came, itself among them.
            latency_s: how long it took; to the first token where it was streamed.
            tokens: how many it has; 0 where latency does not depend on them, or that is not known.
            at_once: whether it was a call's first attempt.
        """
        self._bad_share *= 1 - self._SHARE_WEIGHT
        self._tally.answers += 1
        if not at_once or now < self._quiet_until or in_flight < self._USED * self.limit:
            return
        if self._round.is_whole_with(latency_s, tokens):
            self._judge_round(now)
        if self._limit < self.ceiling and not self.queues:
            self._limit += 1.0 if self._slow_start else max(self._GROWTH, 1 / self._limit)

    def overloaded(self, now: float, cool_down_s: float | None = None) -> bool:
        """The endpoint refused for its load, or let a request time out. Returns whether that led to a cut."""
        self._bad_share += (1 - self._bad_share) * self._SHARE_WEIGHT
        self._tally.answers += 1
        self._tally.bad += 1
        if not self.refuses_many or now < self._quiet_until or self._is_weather():
            return False
        self._cut(now, cool_down_s or 0.0)
        return True

    @property
    def refuses_many(self) -> bool:
        """Whether refusals are more than the weather."""
        return self._bad_share > self._tolerated

    def _is_weather(self) -> bool:
        """Whether the last cut has not helped, so that it is not our load that is refused; it is then taken back.

        Of a load that is too large by a share s, a cut by a fifth leaves a share (s - 0.2) / 0.8. Nearer to s than to
        that, the share does not come from the load.
        """
        share, before = self._tally.share, self._last_share
        if before is None or before > 0.5:
            return False
        helped = max(0.0, (before - (1 - self._CUT)) / self._CUT)
        if share < (before + helped) / 2:
            return False
        self._tolerated = max(self.TOLERATED, 1.5 * share)
        self._limit = min(self._limit / self._CUT, float(self.ceiling))
        self._last_share = None
        self._tally = _Tally()
        return True

    def _cut(self, now: float, cool_down_s: float = 0.0) -> None:
        self._limit = max(float(min(self.FLOOR, self.ceiling)), min(self._limit, self.ceiling) * self._CUT)
        self._last_share = None if self._slow_start else self._tally.share
        self._slow_start = False
        self._tolerated = self.TOLERATED
        self._bad_share = 0.0
        self._quiet_until = now + max(self.COOL_DOWN_S, cool_down_s)
        self._tally = _Tally()
        self._round = _Round(self._limit)

    def _judge_round(self, now: float) -> None:
        """Compare a round of answers with the best there was."""
        size = self._round.size
        latency_s, token_s = self._round.means()
        self._ease = (min(self._ease[0], latency_s), min(self._ease[1], token_s))
        # Little's law: what is in flight by how long it stays is what is done a second, in answers and in tokens.
        pace = (size / max(latency_s, 1e-9), size / max(token_s, 1e-9))
        paid = any(one > self._PAYS * best for one, best in zip(pace, self._best, strict=True))
        if paid:
            self._knee = size
            self._best = (max(self._best[0], pace[0]), max(self._best[1], pace[1]))
        slower = min(latency_s / self._ease[0], token_s / self._ease[1])
        slow = latency_s > self._NOT_SLOW_S and slower > self._SLOW
        self.queues = slow and not paid and self._limit >= 2 * self._knee
        if self.queues:
            self._slow_start = False
            self._limit = 2 * self._knee
            if slower > self._TOO_SLOW:
                self._cut(now)
        self._round = _Round(self._limit)


class _Tally:
    """What came back since the last cut."""

    __slots__ = ("answers", "bad")

    def __init__(self) -> None:
        self.answers, self.bad = 0, 0

    @property
    def share(self) -> float:
        return self.bad / max(1, self.answers)


class _Round:
    """The answers of about one round trip of all requests in flight."""

    __slots__ = ("_answers", "_seconds", "_tokens", "size")

    def __init__(self, size: float) -> None:
        self.size = size
        self._answers, self._seconds, self._tokens = 0, 0.0, 0

    def is_whole_with(self, latency_s: float, tokens: int) -> bool:
        self._answers += 1
        self._seconds += latency_s
        self._tokens += tokens
        return self._answers >= self.size

    def means(self) -> tuple[float, float]:
        """Seconds an answer and seconds a token; the former twice where tokens are not known."""
        return self._seconds / self._answers, self._seconds / (self._tokens or self._answers)


class Pause:
    """The time until which one endpoint wants to be left alone, by everyone.

    A refusal says something about the endpoint, not about the call that happened to meet it. So one refusal holds back
    every caller, once, instead of each finding out for itself.
    """

    def __init__(self) -> None:
        self.over_at = 0.0
        self._in_a_row = 0

    def extend(self, until: float) -> bool:
        """Hold back every request that has not gone out yet; returns whether that prolongs the pause."""
        longer = until > self.over_at
        self.over_at = max(self.over_at, until)
        return longer

    def back_off(self, now: float, base_s: float) -> float:
        """How long to pause for an endpoint that refuses many and does not say: longer, the more such pauses in a row."""
        if now >= self.over_at:
            self._in_a_row += 1
        return jitter_s(base_s, self._in_a_row)

    def reset(self) -> None:
        """The endpoint has answered."""
        self._in_a_row = 0


_pauses: WeakValueDictionary[tuple[str, ...], Pause] = WeakValueDictionary()


def shared_pause(*endpoint: str) -> Pause:
    """The pause of an endpoint, the same for every client that reaches it: address, model and account make one."""
    return _pauses.setdefault(endpoint, Pause())


class Bucket:
    """So many a minute, and in no minute more: what fits in is one second's worth, and it fills up with the rest.

    A single taking may be larger than the bucket, as a long prompt is beside a small quota. It then waits for a full
    bucket and leaves a debt behind.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._seen = now
        self._size = self._level = self._rate = 0.0
        self.resize(per_minute, now)
        self._level = self._size

    def resize(self, per_minute: float, now: float) -> None:
        """Another rate from now on; what is in the bucket stays, as far as it fits."""
        self._fill(now)
        self._size = max(1.0, per_minute / 60)
        self._rate = max(per_minute - self._size, per_minute / 2) / 60
        self._level = min(self._size, self._level)

    def ready_at(self, now: float, amount: float) -> float:
        """The earliest time at which so much can be taken; infinity where the rate is nothing."""
        lacking = min(amount, self._size) - self._fill(now)
        if lacking <= 1e-6:
            return now
        return now + lacking / self._rate if self._rate else float("inf")

    def take(self, now: float, amount: float) -> None:
        """Take so much; less than nothing gives back what was taken too much."""
        self._level = min(self._size, self._fill(now) - amount)

    def _fill(self, now: float) -> float:
        if now > self._seen:
            self._level = min(self._size, self._level + (now - self._seen) * self._rate)
            self._seen = now
        return self._level


class RetryBudget:
    """Retries are at most a tenth of what is sent, and some a second, so that small runs can retry at all.

    Nothing is refused: a retry beyond the budget waits for its turn. An endpoint that fails every request is then asked
    a few times a second, not four times as often as one that is well.
    """

    SHARE = 0.1
    FLOOR_PER_S = 10.0
    SAVED = 100.0

    def __init__(self) -> None:
        self._level = self.SAVED
        self._seen = 0.0

    def sent(self) -> None:
        """A call's first request went out."""
        self._level = min(self.SAVED, self._level + self.SHARE)

    def wait_s(self, now: float) -> float:
        """Reserve one retry, and say how long to wait with it."""
        self._level = min(self.SAVED, self._level + max(0.0, now - self._seen) * self.FLOOR_PER_S) - 1
        self._seen = now
        return max(0.0, -self._level) / self.FLOOR_PER_S


class Breaker:
    """Stops asking an endpoint that has failed many times in a row, and tries it with one request now and then.

    Args:
        after: failures in a row that open it.
        wait_s: seconds until the first trial; doubled each time a trial fails.
        longest_s: the most seconds between trials.
    """

    def __init__(self, after: int = 20, wait_s: float = 30.0, longest_s: float = 600.0) -> None:
        self._after, self._wait_s, self._longest_s = after, wait_s, longest_s
        self._failures = 0
        self._trips = 0
        self._open_until = 0.0
        self._on_trial = False

    @property
    def is_open(self) -> bool:
        return self._trips > 0

    def ready_at(self) -> float:
        """When the next request may go out; infinity while one is out on trial."""
        return float("inf") if self._on_trial else self._open_until

    def sent(self) -> None:
        """A request went out. Where the breaker is open, everything hangs on it."""
        self._on_trial = self.is_open

    def answered(self) -> bool:
        """The endpoint is there. Returns whether that closed the breaker."""
        was_open = self.is_open
        self._failures, self._trips, self._open_until, self._on_trial = 0, 0, 0.0, False
        return was_open

    def failed(self, now: float) -> float | None:
        """The endpoint failed. Returns the seconds until a trial where that opened the breaker, else None."""
        self._failures += 1
        if not self._on_trial and (self.is_open or self._failures < self._after):
            return None
        wait_s = min(self._longest_s, self._wait_s * 2.0**self._trips)
        self._trips = min(self._trips + 1, 32)
        self._on_trial = False
        self._open_until = now + wait_s
        return wait_s

    def abandoned(self) -> None:
        """A request was called off, which says nothing; the next one may be the trial."""
        self._on_trial = False


def jitter_s(base_s: float, failures: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Full jitter: anything up to a bound that doubles with each failure."""
    return draw(0, min(LONGEST_WAIT_S, base_s * 2 ** min(max(failures - 1, 0), 16)))
