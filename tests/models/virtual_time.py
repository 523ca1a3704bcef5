"""Servers that exist in virtual time only: hours of a run in seconds, the same for the same seed.

The event loop's clock jumps to the next thing that is due instead of waiting for it. The client under test is the real
one, but for its transport, which asks one of the servers below.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from dataforge.errors import ModelError
from dataforge.models import wire
from dataforge.models.chat import ChatBackend
from dataforge.models.client import ChatRequest, ModelSpec, Sampling
from dataforge.models.pool import Pool, Settings
from dataforge.models.transport import CHAT, Answer, Timeouts
from schemas.chat import Message

_numbers = itertools.count()


class _Skipping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits, and nothing is due"
        self.now += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.skipping = _Skipping()
        super().__init__(self.skipping)

    def time(self) -> float:
        return self.skipping.now


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def completion(tokens: int = 100) -> Answer:
    body = {
        "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": tokens},
    }
    return Answer(200, {}, json.dumps(body).encode(), 0.0)


def too_many(retry_after_s: float | None) -> Answer:
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    return Answer(429, headers, b'{"error": {"message": "slow down"}}', 0.0)


@dataclass
class Server:
    """Answers after about two seconds; subclasses refuse, fail or queue."""

    seed: int = 0
    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def service_s(self) -> float:
        return self.draw.lognormvariate(math.log(2.0), 0.5)

    async def answer(self) -> Answer:
        await asyncio.sleep(self.service_s())
        return completion()

    async def post(
        self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            async with asyncio.timeout(timeouts.total_s):
                return await self.answer()
        except TimeoutError as error:
            raise wire.timed_out(endpoint, timeouts.total_s) from error
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        pass


@dataclass
class Metered(Server):
    """A provider with a quota a minute, which refuses what is beyond and says when to come back."""

    per_minute: float = 600.0
    burst: float = 10.0
    level: float = field(init=False, default=10.0)
    seen: float = 0.0

    async def answer(self) -> Answer:
        self.level = min(self.burst, self.level + (now() - self.seen) * self.per_minute / 60)
        self.seen = now()
        if self.level < 1:
            self.refused += 1
            wait_s = math.ceil((1 - self.level) * 60 / self.per_minute)
            await asyncio.sleep(0.05)
            return too_many(wait_s)
        self.level -= 1
        return await super().answer()


@dataclass
class Windowed(Server):
    """The same, counted in whole minutes of the clock."""

    per_minute: int = 600
    minute: int = -1
    used: int = 0

    async def answer(self) -> Answer:
        if int(now() // 60) != self.minute:
            self.minute, self.used = int(now() // 60), 0
        self.used += 1
        if self.used > self.per_minute:
            self.refused += 1
            wait_s = math.ceil(60 - now() % 60)
            await asyncio.sleep(0.05)
            return too_many(wait_s)
        return await super().answer()


@dataclass
class Queueing(Server):
    """So many slots, first come, first served, and never a refusal; it works on for those who have hung up."""

    slots: int = 32
    free: asyncio.Semaphore | None = None
    work: set[asyncio.Task[None]] = field(default_factory=set)

    async def answer(self) -> Answer:
        self.free = self.free or asyncio.Semaphore(self.slots)
        task = asyncio.create_task(self.serve())
        self.work.add(task)
        task.add_done_callback(self.work.discard)
        await asyncio.shield(task)
        return completion()

    async def serve(self) -> None:
        assert self.free is not None
        async with self.free:
            await asyncio.sleep(self.service_s())


@dataclass
class Moody(Server):
    """Refuses a share of requests, however few they are."""

    share: float = 0.05
    retry_after_s: float | None = None

    async def answer(self) -> Answer:
        if self.draw.random() < self.share:
            self.refused += 1
            await asyncio.sleep(0.05)
            return too_many(self.retry_after_s)
        return await super().answer()


@dataclass(frozen=True)
class Outcome:
    done: int
    failed: int
    seconds: float
    requests: int
    refused: int
    limits: list[int]

    @property
    def requests_a_job(self) -> float:
        return self.requests / (self.done + self.failed)


def work_off(
    jobs: int, server: Server, *, workers: int = 0, total_timeout_s: float = 60.0, **told: Any
) -> Outcome:
    """Make so many calls through the real client, as many at once as it will take."""
    random.seed(server.seed)  # the client's jitter

    async def main() -> Outcome:
        url = f"http://server-{next(_numbers)}/v1"  # endpoints of one name share their pauses
        options = {"base_url": (url,), "total_timeout_s": total_timeout_s}
        spec = ModelSpec(
            "w", "generator", "openai", "m", "m", options=options, concurrency=told["concurrency"]
        )
        pool = Pool(Settings((url,), "m", **told), "", "the test", now)
        backend = ChatBackend(spec, pool, server)
        left = iter(range(jobs))
        ended = {True: 0, False: 0}
        limits = []

        async def worker() -> None:
            for job in left:
                message = Message(role="user", content=f"job {job}")
                try:
                    await backend.complete(ChatRequest((message,), Sampling(max_tokens=200)))
                    ended[True] += 1
                except ModelError:
                    ended[False] += 1
                limits.append(pool.status()[0]["limit"])

        began = now()
        await asyncio.gather(*(worker() for _ in range(workers or told["concurrency"])))
        seconds = now() - began
        return Outcome(ended[True], ended[False], seconds, server.requests, server.refused, limits)

    return run(main)
