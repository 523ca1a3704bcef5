"""The endpoints of one model, and the gate that every request to them passes.

A call enters with what it will send and is given an endpoint: one that is neither paused nor parked nor being drained,
whose breaker is shut and which has room, while the model as a whole has room too and its quota of the minute allows it.
Calls that must wait do so in the order in which they came. Among several endpoints a prompt goes to the one that its
beginning hashes to, so that a server's prefix cache is of use, unless that one has a quarter more in flight than the
others on average; then the next by hash is asked (Mirrokni, Thorup and Zadimoghaddam, 2018, on rendezvous hashing).

Endpoints come and go while calls are under way. Nothing here waits for a network: one timer wakes those who wait.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from dataforge.errors import ModelError, ProjectError, QuotaError, TransientError
from dataforge.models import wire
from dataforge.models.addresses import check_host
from dataforge.models.client import NO_ENDPOINT, ModelSpec
from dataforge.models.limits import Breaker, Bucket, Concurrency, Pause, RetryBudget, shared_pause
from dataforge.project import http_url

log = logging.getLogger("dataforge.models")

_PREFIX_BYTES = 1024
_OVERLOAD = 1.25
_FOREVER = float("inf")
_SPREAD, _MASK = 0x9E3779B97F4A7C15, 2**64 - 1
"""Fibonacci hashing. The hash of a tuple of two gives one endpoint in eight a fifth of its share, another more than double."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the endpoints of a model are asked; what two bindings must have in common to share a pool.

    Attributes:
        urls: addresses that serve the same weights.
        model: the model's name there.
        key_variable: the environment variable that the key is in, or None.
        allow_link_local: whether an address may be a link-local one.
        concurrency: the most requests in flight, over all endpoints.
        requests_per_minute, tokens_per_minute: the account's quota, over all endpoints.
        patience_s: the longest pause that is kept, and how long calls wait where no endpoint is up.
        retry_base_s: first step of a back-off.
        breaker_after, breaker_wait_s, breaker_longest_s: see `limits.Breaker`.
    """

    urls: tuple[str, ...]
    model: str
    key_variable: str | None = None
    allow_link_local: bool = False
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    patience_s: float = 600.0
    retry_base_s: float = 1.0
    breaker_after: int = 20
    breaker_wait_s: float = 2.0
    breaker_longest_s: float = 600.0

    @classmethod
    def of(cls, spec: ModelSpec) -> Settings:
        """The settings in a binding's options."""
        told = spec.options
        return cls(
            urls=tuple(url.rstrip("/") for url in told.get("base_url") or (wire.DEFAULT_URL,)),
            model=spec.model,
            key_variable=told.get("api_key_env"),
            allow_link_local=bool(told.get("allow_link_local", False)),
            concurrency=spec.concurrency,
            requests_per_minute=told.get("requests_per_minute"),
            tokens_per_minute=told.get("tokens_per_minute"),
            patience_s=float(told.get("rate_limit_wait_s", 600.0)),
            retry_base_s=float(told.get("retry_base_s", 1.0)),
            breaker_after=int(told.get("breaker_after", 20)),
            breaker_wait_s=float(told.get("breaker_wait_s", 2.0)),
            breaker_longest_s=float(told.get("breaker_longest_s", 600.0)),
        )


class Endpoint:
    """One address, what is known of how it does, and what is in flight there."""

    def __init__(self, address: wire.Endpoint, settings: Settings) -> None:
        self.address = address
        self.concurrency = Concurrency(max(1, settings.concurrency))
        self.pause: Pause = shared_pause(address.url, address.model, settings.key_variable or "")
        self.breaker = Breaker(settings.breaker_after, settings.breaker_wait_s, settings.breaker_longest_s)
        self.budget = RetryBudget()
        self.in_flight = 0
        self.draining = False
        self.parked = False
        self.requests = 0
        self.failures = 0
        self.rate_limited = 0
        self.last_error: ModelError | None = None
        self.salt = zlib.crc32(address.url.encode())
        self._settings = settings

    @property
    def is_up(self) -> bool:
        """Whether calls may be sent there, if not at this moment."""
        return not (self.draining or self.parked or self.breaker.is_open)

    def free_at(self) -> float:
        """When a request may go out; infinity where that takes more than time to pass."""
        if self.draining or self.parked or self.in_flight >= self.concurrency.limit:
            return _FOREVER
        return max(self.pause.over_at, self.breaker.ready_at())

    def status(self, now: float) -> dict[str, Any]:
        """The endpoint as plain values, for showing."""
        return {
            "url": self.address.url,
            "state": self._state(now),
            "in_flight": self.in_flight,
            "limit": self.concurrency.limit,
            "requests": self.requests,
            "failures": self.failures,
            "rate_limited": self.rate_limited,
        }

    def succeeded(self, now: float, latency_s: float, tokens: int, *, at_once: bool) -> None:
        """An answer came."""
        self.answered()
        self.concurrency.succeeded(now, self.in_flight, latency_s, tokens, at_once=at_once)

    def answered(self) -> None:
        """Something came that says that the endpoint is there and does its work, if only to refuse a request."""
        self.pause.reset()
        if self.breaker.answered():
            self._tell(logging.INFO, "breaker_closed", "%s answers again", self.address)

    def refused(self, now: float, error: ModelError, asked_s: float | None) -> float:
        """The endpoint asked to be asked less. Returns how long it is to be left alone, 0 for no longer than usual."""
        self.rate_limited += 1
        self.last_error = error
        self.breaker.answered()
        if self.concurrency.overloaded(now, asked_s):
            self._tell(logging.INFO, "cut", "%s: %d requests at once", self.address, self.concurrency.limit)
        if asked_s is None:
            # One refusal in twenty is weather, and for the call alone to wait out.
            many = self.concurrency.refuses_many
            pause_s = self.pause.back_off(now, self._settings.retry_base_s) if many else 0.0
        else:
            pause_s = asked_s
        pause_s = min(pause_s, self._settings.patience_s)
        if self.pause.extend(now + pause_s):
            self._tell(logging.INFO, "paused", "%s asks for a pause of %.1f s", self.address, pause_s)
        return pause_s

    def failed(self, now: float, error: ModelError) -> None:
        """The endpoint did not answer, or with nothing that could be used."""
        self.failures += 1
        self.last_error = error
        if isinstance(error, wire.TimedOut) and self.concurrency.overloaded(now):
            self._tell(logging.INFO, "cut", "%s: %d requests at once", self.address, self.concurrency.limit)
        wait_s = self.breaker.failed(now)
        if wait_s is not None:
            self._tell(
                logging.WARNING,
                "breaker_open",
                "%s only fails; it is left alone, and tried again in %.3g s",
                self.address,
                wait_s,
            )

    def park(self, error: ModelError) -> None:
        """The account has nothing left: ask no more, until a person has seen to it."""
        self.last_error = error
        self.breaker.answered()
        if not self.parked:
            self.parked = True
            self._tell(
                logging.WARNING, "parked", "%s is parked: its account's quota is used up", self.address
            )

    def welcome(self) -> None:
        """A person names the endpoint anew: whatever was held against it is forgotten."""
        self.draining = self.parked = False
        self.breaker.answered()

    def _state(self, now: float) -> str:
        if self.draining:
            return "draining"
        if self.parked:
            return "parked"
        if self.breaker.is_open:
            return "open"
        return "paused" if self.pause.over_at > now else "active"

    def _tell(self, level: int, event: str, message: str, *args: object) -> None:
        about = {"event": event, "model": self.address.model, "endpoint": self.address.url}
        log.log(level, message, *args, extra=about)


@dataclass(slots=True)
class Ask:
    """A call at the gate.

    Attributes:
        body: what it will send; its beginning chooses among several endpoints.
        tokens: what it reserves of the quota of tokens.
        avoid: an endpoint where it has just failed.
    """

    body: bytes
    tokens: int
    avoid: Endpoint | None = None


class Pool:
    """The endpoints of one model. For one event loop.

    Args:
        settings: which endpoints, and how they are asked.
        key: the key's value, sent to these endpoints and nowhere else.
        origin: where the binding comes from, for messages.
        clock: seconds, never going back.

    Raises:
        ProjectError: with code R035, where an address is one that no model is at.
    """

    def __init__(
        self, settings: Settings, key: str, origin: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.concurrency = settings.concurrency
        self.in_flight = 0
        self._key = key
        self._origin = origin
        self._requests = _bucket(settings.requests_per_minute, clock())
        self._tokens = _bucket(settings.tokens_per_minute, clock())
        self._endpoints: list[Endpoint] = []
        self._waiting: deque[tuple[asyncio.Future[Endpoint], Ask]] = deque()
        self._down_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        for url in settings.urls:
            self.add(url)

    # What a person, a run or a cluster does to it.

    def add(self, url: str) -> None:
        """Send calls to this address from now on. One that was being drained, or is parked, is taken back.

        Raises:
            ProjectError: it is no address of an API (R001), or one that no model is at (R035).
        """
        url = url.rstrip("/")
        try:
            http_url(url)
        except ValueError as error:
            shown = url.rpartition("@")[2]  # before that may be a password
            raise ProjectError(
                f"{self._origin} names an endpoint `{shown}`, which is no address of an API", help=str(error)
            ) from None
        check_host(urlsplit(url).hostname or "", self.settings.allow_link_local, self._origin)
        known = self._at(url)
        if known is not None:
            known.welcome()
        else:
            address = wire.Endpoint(url, self.settings.model, self.settings.key_variable, self._key)
            endpoint = Endpoint(address, self.settings)
            endpoint.concurrency.ceiling = max(1, self.concurrency)
            self._endpoints.append(endpoint)
        self._wake()

    def drain(self, url: str) -> bool:
        """Send no more calls to this address, and drop it once those in flight have ended. Returns whether it is known."""
        known = self._at(url.rstrip("/"))
        if known is None:
            return False
        known.draining = True
        self._drop_drained(known)
        self._wake()
        return True

    def resize(
        self,
        *,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        """Other bounds from now on, such as a worker's share of a cluster's; None leaves one as it is."""
        now = self.clock()
        if concurrency is not None:
            self.concurrency = concurrency
            for endpoint in self._endpoints:
                endpoint.concurrency.ceiling = max(1, concurrency)
        if requests_per_minute is not None:
            self._requests = _resized(self._requests, requests_per_minute, now)
        if tokens_per_minute is not None:
            self._tokens = _resized(self._tokens, tokens_per_minute, now)
        self._wake()

    def status(self) -> list[dict[str, Any]]:
        """Each endpoint as plain values: url, state, in_flight, limit, requests, failures, rate_limited."""
        now = self.clock()
        return [endpoint.status(now) for endpoint in self._endpoints]

    @property
    def waiting(self) -> int:
        """Calls that would begin at once if they might."""
        return len(self._waiting)

    def __len__(self) -> int:
        return len(self._endpoints)

    # What a call does.

    async def enter(self, ask: Ask) -> Endpoint:
        """Wait for an endpoint, and hold a place there until `leave`.

        Raises:
            QuotaError: every endpoint is parked.
            TransientError: with code R005, where none has been up for `patience_s`.
        """
        if not self._waiting:
            endpoint = self._admit(ask, self.clock())[0]
            if endpoint is not None:
                return endpoint
        hopeless = self._hopeless(self.clock())
        if hopeless is not None:
            raise hopeless
        future: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, ask))
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().breaker.abandoned()
                self.leave(future.result(), ask)
            raise

    def leave(self, endpoint: Endpoint, ask: Ask, used_tokens: int | None = None) -> None:
        """A request has ended, well or not.

        Args:
            endpoint: where it was.
            ask: as it entered.
            used_tokens: what it really took, where that is known.
        """
        endpoint.in_flight -= 1
        self.in_flight -= 1
        if self._tokens is not None and used_tokens is not None:
            self._tokens.take(self.clock(), used_tokens - ask.tokens)
        if endpoint.draining:
            self._drop_drained(endpoint)
        if self._waiting:
            self._wake()

    @property
    def is_parked(self) -> bool:
        """Whether every endpoint there is has an account with nothing left."""
        staying = [endpoint for endpoint in self._endpoints if not endpoint.draining]
        return bool(staying) and all(endpoint.parked for endpoint in staying)

    def has_other(self, endpoint: Endpoint) -> bool:
        """Whether a call could go elsewhere at this moment."""
        now = self.clock()
        return any(other is not endpoint and other.free_at() <= now for other in self._endpoints)

    # How it is decided.

    def _admit(self, ask: Ask, now: float) -> tuple[Endpoint | None, float]:
        """A place for the call, or None and the time at which to look again."""
        if self.in_flight >= self.concurrency:
            return None, _FOREVER
        if self._requests is not None and (ready := self._requests.ready_at(now, 1)) > now:
            return None, ready
        if self._tokens is not None and (ready := self._tokens.ready_at(now, ask.tokens)) > now:
            return None, ready
        free, soonest = [], _FOREVER
        for endpoint in self._endpoints:
            at = endpoint.free_at()
            if at <= now:
                free.append(endpoint)
            elif at < soonest:
                soonest = at
        if not free:
            return None, soonest
        chosen = free[0] if len(free) == 1 else _choose(free, ask)
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, ask.tokens)
        if self._down_since is not None and chosen.is_up:
            self._down_since = None
        self.in_flight += 1
        chosen.in_flight += 1
        chosen.requests += 1
        chosen.breaker.sent()
        return chosen, now

    def _wake(self) -> None:
        """Let in whom there is room for, and see to it that the next one is looked at in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.clock()
        look_again = _FOREVER
        while self._waiting:
            future, ask = self._waiting[0]
            if future.done():  # called off
                self._waiting.popleft()
                continue
            endpoint, look_again = self._admit(ask, now)
            if endpoint is None:
                break
            self._waiting.popleft()
            future.set_result(endpoint)
        while self._waiting and (hopeless := self._hopeless(now)) is not None:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(hopeless)
        if not self._waiting:
            return
        if self._down_since is not None:
            look_again = min(look_again, self._down_since + self.settings.patience_s)
        if look_again < _FOREVER:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, look_again - now) + 1e-4, self._wake)

    def _hopeless(self, now: float) -> ModelError | None:
        """The error for those who wait where waiting has no sense, or has had none for too long."""
        staying = [endpoint for endpoint in self._endpoints if not endpoint.draining]
        if any(endpoint.is_up for endpoint in staying):
            self._down_since = None
            return None
        if self.is_parked:
            return QuotaError(
                f"every endpoint of model `{self.settings.model}` is parked: {_said(staying)}",
                help="add credit and start the same command again, or bind the model elsewhere",
            )
        if self._down_since is None:
            self._down_since = now
        down_s = now - self._down_since
        if down_s < self.settings.patience_s or any(e.breaker.ready_at() == _FOREVER for e in staying):
            return None
        return TransientError(
            f"no endpoint of model `{self.settings.model}` has been up for {down_s:.0f} s: {_said(staying)}",
            code=NO_ENDPOINT,
            help="see that the server runs, and start the same command again: it goes on from here",
        )

    def _at(self, url: str) -> Endpoint | None:
        return next((endpoint for endpoint in self._endpoints if endpoint.address.url == url), None)

    def _drop_drained(self, endpoint: Endpoint) -> None:
        if endpoint.in_flight == 0 and endpoint in self._endpoints:
            self._endpoints.remove(endpoint)


_pools: WeakValueDictionary[tuple[object, ...], Pool] = WeakValueDictionary()


def shared_pool(settings: Settings, key: str, origin: str) -> Pool:
    """The pool of these endpoints: one for all bindings of a run that say the same, so that they keep to one limit.

    Raises:
        ProjectError: as for `Pool`.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # nothing runs yet, so nobody to share with is known
        return Pool(settings, key, origin)
    name = (id(loop), settings, key)
    found = _pools.get(name)
    if found is None:
        found = _pools[name] = Pool(settings, key, origin)
    return found


def _choose(free: Sequence[Endpoint], ask: Ask) -> Endpoint:
    """The endpoint that the prompt's beginning hashes to, among those that are not overloaded beside the others."""
    others = [endpoint for endpoint in free if endpoint is not ask.avoid]
    bound = math.ceil(_OVERLOAD * (sum(e.in_flight for e in others) + 1) / len(others))
    prefix = zlib.crc32(ask.body[:_PREFIX_BYTES])
    return max(
        (endpoint for endpoint in others if endpoint.in_flight < bound),
        key=lambda endpoint: (prefix ^ endpoint.salt) * _SPREAD & _MASK,
    )


def _bucket(per_minute: float | None, now: float) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, now)


def _resized(bucket: Bucket | None, per_minute: float, now: float) -> Bucket:
    if bucket is None:
        return Bucket(per_minute, now)
    bucket.resize(per_minute, now)
    return bucket


def _said(endpoints: Sequence[Endpoint]) -> str:
    """What the endpoints said last, for a message."""
    said = [endpoint.last_error.message for endpoint in endpoints if endpoint.last_error is not None]
    return "; ".join(said[:3]) or "there is none"
