"""The engine: walks the rows of shards side by side on one asyncio loop, each row depth first.

What comes in are shards with their jobs, in order; each is given back when the last of its rows has ended. Every model
call and every finished row is in the shard's journal before anything builds on it. A worker takes whichever row is
next, of this shard or the following one, so that the tail of a shard leaves no slot idle. When the run is stopped no
new call is begun, and those in flight are waited for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from dataforge.errors import Interrupted, ModelError, RunError, TransientError
from dataforge.models.client import ModelSpec
from dataforge.run.jobs import Job
from dataforge.run.journal import Outcome
from dataforge.run.models import Models
from dataforge.run.progress import Progress
from dataforge.run.shard import OpenShard, ShardJobs
from dataforge.run.stop import Stop
from dataforge.run.walker import Walker

MAX_FAILED_IN_A_ROW = 25
"""As many rows lost to errors one after another, with none finished between, end the run: the cause is not the rows."""

WALKS_A_ROW = 3
"""How often a row is walked before a failure that may pass counts as its end. In 6,000 calls at an endpoint where one in
seven fails, two calls meet four failures in a row; in a million, hundreds do."""

MAX_OPEN_SHARDS = 8
"""A slow row holds its shard open while others go on, but not without bound: each has a journal."""


def rows_at_once(specs: dict[str, ModelSpec], asked: int | None) -> int:
    """How many rows to walk side by side.

    A few more than calls may be in flight, since some rows are always between two calls. Many more would only grow old
    together: few at a time are finished sooner, and a server that caches prefixes still has theirs.
    """
    most = max((spec.concurrency for spec in specs.values()), default=1)
    return max(1, min(asked or most + most // 4, most + most // 4))


class Engine:
    """Runs shards with one plan and one set of models."""

    def __init__(
        self, walker: Walker, models: Models, run: str, width: int, progress: Progress, stop: Stop
    ) -> None:
        """
        Args:
            run: identity of the run, for the journals of its shards.
            width: rows under way at once.
        """
        self.walker = walker
        self.models = models
        self.run_id = run
        self.width = width
        self.progress = progress
        self.stop = stop
        self._failed_in_a_row = 0
        self._failure: Exception | None = None

    async def run(
        self, shards: AsyncIterator[ShardJobs], ended: Callable[[OpenShard], Awaitable[None]]
    ) -> None:
        """Walk every row of every shard, until the shards end or the run is stopped.

        Args:
            shards: taken one by one as rows are needed.
            ended: called once for each opened shard, when its rows have ended or the run is stopped.

        Raises:
            RunError: where the disk, a contract or model after model failed; what was finished is kept.
            InputError: where a model does not answer at all.
        """
        queue: asyncio.Queue[tuple[OpenShard, Job] | None] = asyncio.Queue(maxsize=1)
        ending: dict[OpenShard, asyncio.Task[None]] = {}
        opened: list[OpenShard] = []

        def end(shard: OpenShard) -> None:
            if shard not in ending:
                ending[shard] = asyncio.create_task(self._end(shard, ended))

        workers = [asyncio.create_task(self._work(queue, end)) for _ in range(self.width)]
        try:
            try:
                async for jobs in shards:
                    await self._room(opened, ending)
                    if self.stop.is_set():
                        break
                    shard = OpenShard(jobs.number, jobs.folder, self.run_id)
                    opened.append(shard)
                    self.models.journals.append(shard.journal)
                    for job in jobs.jobs:
                        if self.stop.is_set():
                            break
                        if shard.takes(job):
                            await self._calm()
                            await queue.put((shard, job))
                    else:
                        shard.handed_out = True
                        if shard.is_over:
                            end(shard)
            except Exception as error:  # noqa: BLE001 - as where a row fails: what is in flight is paid for, and waited for
                self._give_up(error)
            for _ in workers:
                await queue.put(None)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self._failure is None:
                for shard in opened:
                    end(shard)
            await asyncio.gather(*ending.values(), return_exceptions=True)
            for shard in opened:
                shard.close()
        if self._failure is not None:
            raise self._failure

    async def _end(self, shard: OpenShard, ended: Callable[[OpenShard], Awaitable[None]]) -> None:
        try:
            await ended(shard)
        except Exception as error:
            self._give_up(error)
            raise
        finally:
            self.models.journals.remove(shard.journal)
            shard.close()

    async def _room(self, opened: list[OpenShard], ending: dict[OpenShard, asyncio.Task[None]]) -> None:
        """Wait until few enough shards are open or the run is stopped, and forget those that have ended."""
        while not self.stop.is_set():  # rows that a stop cuts short stay under way
            for shard in [s for s in opened if s in ending and ending[s].done()]:
                opened.remove(shard)
                # Looked at, so that asyncio does not complain: it is `_failure` already.
                ending.pop(shard).exception()
            if len(opened) < MAX_OPEN_SHARDS or sum(shard.under_way for shard in opened) < self.width:
                return
            await asyncio.sleep(0.05)

    async def _work(
        self,
        queue: asyncio.Queue[tuple[OpenShard, Job] | None],
        end: Callable[[OpenShard], None],
    ) -> None:
        while (taken := await queue.get()) is not None:
            shard, job = taken
            if self.stop.is_set():
                continue  # drain the queue, so that whoever fills it does not wait
            try:
                outcome = await self._walked(shard, job)
                await shard.journal.put_outcome(outcome)
                self._note(shard, outcome)
            except Interrupted:
                continue
            except ModelError as error:  # the walker lets through those that are about the endpoint alone
                self.stop.set(error.message)
                continue
            except Exception as error:  # noqa: BLE001 - ends the run: raised again by `run`, once the queue is drained
                self._give_up(error)
                continue
            if shard.is_over:
                end(shard)

    async def _walked(self, shard: OpenShard, job: Job) -> Outcome:
        """Walk a row, again where all attempts at a call met a failure that may pass: what it has is in the journal."""
        call = partial(self.models.call, shard.journal)
        for _ in range(WALKS_A_ROW - 1):
            outcome = await self.walker.walk(job, call)
            if outcome.code != TransientError.default_code:
                return outcome
        return await self.walker.walk(job, call)

    async def _calm(self) -> None:
        """Wait while calls queue for a place in flight: a further row would only make the older ones wait."""
        while self.models.is_crowded and not self.stop.is_set():  # noqa: ASYNC110 - many things end a queue
            await asyncio.sleep(0.01)

    def _note(self, shard: OpenShard, outcome: Outcome) -> None:
        shard.ended[outcome.row] = outcome.status
        shard.under_way -= 1
        self.progress.row(outcome.status, outcome.code)
        if outcome.status != "failed":
            self._failed_in_a_row = 0
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            message = json.loads(outcome.rows[0].reason or "{}").get("message", "")
            self._give_up(
                RunError(
                    f"{self._failed_in_a_row} rows in a row were lost to errors; the last: {message}",
                    code=outcome.code or "R000",
                    help="mend the cause and start the same command again: finished rows and calls are kept",
                )
            )

    def _give_up(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.stop.set("an error ended the run")
