"""How fast an endpoint may be asked: a bound on requests in flight, and a pause that all its callers share.

A 429 says something about the endpoint, not about the call that happened to meet it. So the pause belongs to the
endpoint: one refusal holds back every caller, once, instead of each finding out for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Pause:
    """The time until which one endpoint wants to be left alone."""

    def __init__(self) -> None:
        self._over_at = 0.0

    @property
    def left_s(self) -> float:
        """Seconds until requests may go out again."""
        return max(0.0, self._over_at - time.monotonic())

    def extend(self, seconds: float) -> None:
        """Hold back every request that has not gone out yet. A shorter pause never cuts a longer one."""
        self._over_at = max(self._over_at, time.monotonic() + seconds)


_pauses: WeakValueDictionary[tuple[str, ...], Pause] = WeakValueDictionary()


def shared_pause(*endpoint: str) -> Pause:
    """The pause of an endpoint, the same for every backend that reaches it: address, model and account make one."""
    return _pauses.setdefault(endpoint, Pause())


class Limit:
    """The gate that one backend's requests pass. For one event loop."""

    def __init__(self, concurrency: int, pause: Pause) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self.pause = pause

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places in flight, once any pause is over."""
        async with self._slots:
            # Looped, since another caller may have prolonged the pause while this one slept.
            while (left := self.pause.left_s) > 0:  # noqa: ASYNC110 - a pause ends by the clock, not by an event
                await asyncio.sleep(left)
            yield
