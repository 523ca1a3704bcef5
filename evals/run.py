"""Ask and judge, side by side: each answer is judged as it lands, and its place goes to the next question at once.

    items × samples ──► places at the endpoint ──► replies ──► verdicts ──► the log
                         `concurrency` of them       judged beside the asking, in threads of their own

Several evaluations share the places in turn, so none of them waits for another. Only so many samples are held as are asked or
judged. A server that fails for good ends the run by default, once all that is under way has ended; with `record` the sample
is put on record as lost, with a status of its own, and the run goes on. What a verifier fails at is on record in both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dataforge.errors import Interrupted, ModelError, PermanentError, QuotaError
from dataforge.models.client import ChatReply, ChatRequest, CompletionRequest, Sampling
from dataforge.models.conversing import conversed
from dataforge.models.thinking import split_thinking
from dataforge.verifiers import CHECKS, Response, find
from dataforge.verifiers.protocol import Verifier, error
from evals.log import LogWriter
from evals.score import lost, sample_of, says_nothing, whole
from evals.task import Ask, EvalTask, Item, Judged
from schemas.chat import Message, Thinking
from schemas.evallog import Sample

OnError = Literal["halt", "record"]

_HELD = 4
"""Samples that are asked or judged at once, as a multiple of the places: a bound on memory."""
_HOPELESS = 8
"""So many requests in a row that the server refuses, and none that it took: it would refuse them all."""


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation of a run.

    Attributes:
        items: its questions, in the order of its data.
        log: where its samples go; what is done there is not asked again.
        samples: answers to each item.
        sampling: how they are sampled.
        thinking: whether the model should think.
    """

    task: EvalTask
    items: Sequence[Item]
    log: LogWriter
    samples: int = 1
    sampling: Sampling = Sampling()
    thinking: Thinking = "auto"

    def keys(self) -> Iterator[tuple[str, int]]:
        """Every sample, in the order of items."""
        return ((item.id, number) for item in self.items for number in range(self.samples))

    def wanted(self) -> Iterator[tuple[Item, int]]:
        """Those still to be asked: first one answer to every item, then the second of each."""
        return (
            (item, number)
            for number in range(self.samples)
            for item in self.items
            if (item.id, number) not in self.log.done
        )


@dataclass(slots=True)
class Timing:
    """Where the time of a run went, in wall seconds of this start.

    Attributes:
        asking: while at least one request was under way, and none was judged.
        both: while some were under way and others judged.
        judging: while some were judged, and no request was under way.
        judged: of all samples, one after another: what judging would take by itself.
    """

    asking: float = 0.0
    both: float = 0.0
    judging: float = 0.0
    judged: float = 0.0
    most_in_flight: int = 0
    _asked: int = field(default=0, repr=False)
    _judged: int = field(default=0, repr=False)
    _at: float = field(default_factory=time.monotonic, repr=False)

    def change(self, asked: int = 0, judged: int = 0) -> None:
        """Note that so many requests, or judgements, began (or ended, where negative)."""
        now = time.monotonic()
        passed = now - self._at
        self._at = now
        if self._asked and self._judged:
            self.both += passed
        elif self._asked:
            self.asking += passed
        elif self._judged:
            self.judging += passed
        self._asked += asked
        self._judged += judged
        self.most_in_flight = max(self.most_in_flight, self._asked)

    def to_json(self) -> dict[str, Any]:
        """For a manifest; `overlap` is the share of the time of judging in which requests were under way as well."""
        busy = self.both + self.judging
        return {
            "asking_s": round(self.asking, 3),
            "both_s": round(self.both, 3),
            "judging_s": round(self.judging, 3),
            "judged_s": round(self.judged, 3),
            "overlap": round(self.both / busy, 4) if busy else None,
            "most_in_flight": self.most_in_flight,
        }


async def evaluate(
    jobs: Sequence[Job],
    ask: Ask,
    *,
    judge: Ask | None = None,
    concurrency: int = 16,
    on_error: OnError = "halt",
    progress: Callable[[Sample], None] = lambda sample: None,
    stop: Callable[[], bool] = lambda: False,
) -> Timing:
    """Ask and judge all that the logs lack.

    Args:
        ask: asks the model; it may answer from a journal.
        judge: asks the judge, for evaluations that need one.
        concurrency: places at the endpoint.
        on_error: whether a sample that the server fails at ends the run, or is put on record as lost.
        progress: told of each sample when it is in its log.
        stop: whether nothing more should be begun.

    Raises:
        ModelError: the server fails for good, and the run halts at it; or it refuses everything, or its account is spent.
        Interrupted: `stop` said so.
        StorageError: the disk refuses.
    """
    run = _Run(ask, judge, concurrency, on_error, progress, stop)
    await run.all(jobs)
    return run.timing


class _Run:
    """A run under way. After a failure it begins nothing more."""

    def __init__(
        self,
        ask: Ask,
        judge: Ask | None,
        concurrency: int,
        on_error: OnError,
        progress: Callable[[Sample], None],
        stop: Callable[[], bool],
    ) -> None:
        self.timing = Timing()
        self._ask = ask
        self._judge = judge
        self._places = asyncio.Semaphore(concurrency)
        self._held = asyncio.Semaphore(_HELD * concurrency)
        self._on_error = on_error
        self._progress = progress
        self._stop = stop
        self._failure: BaseException | None = None
        self._refused = 0

    def _halts(self) -> bool:
        return self._failure is not None or self._stop()

    async def all(self, jobs: Sequence[Job]) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            for job, item, number in _in_turn(jobs):
                await self._held.acquire()
                if self._halts():
                    break
                task = asyncio.create_task(self._sample(job, item, number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        if self._stop():
            raise Interrupted("stopped; what was asked is in the log", help="the same command goes on")

    async def _sample(self, job: Job, item: Item, number: int) -> None:
        """One sample into its log."""
        try:
            sample = await self._made(job, item, number)
            if sample is not None:
                job.log.write(sample)
                self._progress(sample)
        except _Halted:
            pass
        except Exception as failure:  # noqa: BLE001 - it ends the run, once the others have ended
            self._failure = self._failure or failure
        finally:
            self._held.release()

    async def _made(self, job: Job, item: Item, number: int) -> Sample | None:
        """Ask, then judge; None where the run halts at this sample."""
        named = item.task.verifier or job.task.verifier
        verifier = find(named) if named else None
        conversation = job.task.converse(item)
        if conversation is None and verifier is not None:
            conversation = verifier.converse(item.task)
        replies: list[ChatReply] = []

        async def ask(messages: tuple[Message, ...]) -> ChatReply:
            replies.append(await self._asked(job, item, messages, number))
            return replies[-1]

        try:
            _, response = await conversed(conversation, item.said(), ask)
        except ModelError as failure:
            return self._lost(job, item, number, failure)
        if says_nothing(response) or _is_withheld(response):
            return sample_of(job.task.name, item, number, response, None, replies)
        began = time.monotonic()
        self.timing.change(judged=1)
        try:
            judged = await self._judged(job.task, verifier, item, response)
        except ModelError as failure:
            return self._lost(job, item, number, failure, by="judge", reply=replies[-1])
        finally:
            took = time.monotonic() - began
            self.timing.change(judged=-1)
            self.timing.judged += took
        return sample_of(
            job.task.name,
            item,
            number,
            response,
            judged.verdict,
            replies,
            notes=judged.notes,
            measures=judged.measures,
            verify_s=took,
        )

    async def _asked(self, job: Job, item: Item, messages: tuple[Message, ...], number: int) -> ChatReply:
        sampling = job.sampling
        if sampling.seed is not None:
            # The same seed would give the same answer as often as it is asked for.
            sampling = replace(sampling, seed=sampling.seed + number)
        request: ChatRequest | CompletionRequest
        if item.raw:
            request = CompletionRequest(item.raw, sampling, attempt=number)
        else:
            request = ChatRequest(messages, sampling, thinking=job.thinking, attempt=number)
        async with self._places:
            if self._halts():
                raise _Halted
            self.timing.change(asked=1)
            try:
                reply = await self._ask(request)
            finally:
                self.timing.change(asked=-1)
        self._refused = -1
        if item.raw:
            text, reasoning = split_thinking(reply.text)
            reply = replace(reply, text=text, reasoning=reasoning)
        return reply

    async def _judged(
        self, task: EvalTask, verifier: Verifier[Any] | None, item: Item, response: Response
    ) -> Judged:
        found = await task.judged(item, response, self._judge)
        if found is not None:
            return found
        if verifier is None:
            return Judged(error("task", "the item names no verifier"))
        verdict = await CHECKS.verdict(verifier, item.task, response)
        return Judged(whole(verdict), measures=task.measures(item, response, verdict))

    def _lost(
        self, job: Job, item: Item, number: int, failure: ModelError, *, by: str = "server", reply: Any = None
    ) -> Sample | None:
        """The sample as lost; None where the run is to halt at it."""
        if self._refused >= 0 and isinstance(failure, PermanentError):
            self._refused += 1
        if self._on_error == "halt" or isinstance(failure, QuotaError) or self._refused >= _HOPELESS:
            raise failure
        return lost(job.task.name, item, number, failure, by=by, reply=reply)


class _Halted(Exception):
    """The run begins nothing more."""


def _is_withheld(response: Response) -> bool:
    return response.finish_reason == "content_filter"


def _in_turn(jobs: Sequence[Job]) -> Iterator[tuple[Job, Item, int]]:
    """One sample of each job after another, as long as it has some."""
    waiting = [(job, job.wanted()) for job in jobs]
    while waiting:
        left = []
        for job, wanted in waiting:
            found = next(wanted, None)
            if found is not None:
                yield job, *found
                left.append((job, wanted))
        waiting = left
