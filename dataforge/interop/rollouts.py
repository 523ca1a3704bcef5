"""The environment's loop: a task, a group of responses to it, their verdicts, a scored group into the queue.

Several groups are under way at once. Each waits for room in the queue before it asks the model for anything, so a trainer
that is slow, or not there yet, stops the sampling and nothing else. A response about which nothing can be said (an error
of the verifier, not of the model) is sampled again; where that does not help, the group is left out and counted, and
never scored 0.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dataforge.errors import InputError, ModelError, PermanentError, QuotaError
from dataforge.interop.groups import Pieces, ScoredResponse, Tokenise, group_of
from dataforge.interop.logprobs import Sampled, Sampler
from dataforge.interop.trajectories import OWN, Queued, Trajectories
from dataforge.models.client import ChatReply, ChatRequest, Sampling
from dataforge.models.conversing import conversed
from dataforge.verifiers import CHECKS, Response, Verifier
from schemas.chat import Message, Thinking
from schemas.task import Task

AllEqual = Literal["keep", "drop"]

TASKS_AT_ONCE = 16
SAMPLED_AGAIN = 2
"""How often a response is sampled again whose verifier failed."""
HOPELESS = 8
"""After so many groups in a row that the endpoint refuses for good, and none that it takes, the loop ends."""
WAIT_S, LONGEST_WAIT_S = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """How groups are made.

    Attributes:
        size: responses of a group.
        in_flight: groups under way at once.
        all_equal: what becomes of a group whose responses all earned the same. They are kept by default: rejection
            sampling wants those that are all right; for GRPO they carry no signal.
        sampling: temperature and friends, with what the binding says already in it.
        thinking: whether the model should think.
    """

    size: int = 8
    in_flight: int = 4
    all_equal: AllEqual = "keep"
    sampling: Sampling = Sampling()
    thinking: Thinking = "auto"


@dataclass(slots=True)
class Counts:
    """What the loop has done.

    Attributes:
        groups: put into the queue.
        dropped: left out, by reason.
        outcomes: verdicts by outcome.
        again: responses sampled again because their verifier failed.
        in_flight: groups under way now.
        tasks: drawn so far.
    """

    groups: int = 0
    tasks: int = 0
    in_flight: int = 0
    again: int = 0
    score: float = 0.0
    responses: int = 0
    done: bool = False
    dropped: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As `/status` tells them."""
        return {
            "groups": self.groups,
            "tasks": self.tasks,
            "in_flight": self.in_flight,
            "sampled_again": self.again,
            "mean_score": round(self.score / self.responses, 6) if self.responses else None,
            "dropped": dict(self.dropped),
            "outcomes": dict(self.outcomes),
            "done": self.done,
        }


class Rollouts:
    """The loop of one verifier and one model.

    Args:
        verifier: which judges.
        tasks: what is asked; made in a thread, since some take their time.
        sample: asks the model once.
        tokenise: makes tokens and masks; called in one thread of its own.
        queue: where groups go.
        note: told what people should know.
        pieces: the tokenizer's tokens one by one, where samples come with log-probabilities.
    """

    def __init__(
        self,
        verifier: Verifier[Any],
        tasks: Iterator[Task],
        sample: Sampler,
        tokenise: Tokenise,
        queue: Trajectories,
        options: GroupOptions,
        note: Callable[[str], None] = lambda line: None,
        pieces: Pieces | None = None,
    ) -> None:
        self.counts = Counts()
        self._pieces = pieces
        self._verifier = verifier
        self._tasks = tasks
        self._sample = sample
        self._tokenise = tokenise
        self._queue = queue
        self._options = options
        self._note = note
        self._drawn: list[Task] = []
        self._drawing = asyncio.Lock()
        self._refused = 0
        self._failed = 0

    async def run(self) -> None:
        """Go on until there are no more tasks.

        Raises:
            ModelError: the endpoint refuses everything, or the account behind it is spent.
            InputError: the tasks cannot be asked or tokenised at all.
        """
        # The renderer of chat templates is not made for several threads.
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as thread:
            workers = [asyncio.create_task(self._work(thread)) for _ in range(self._options.in_flight)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        self.counts.done = True

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            await self._queue.room()
            task = await self._next()
            if task is None:
                return
            self.counts.in_flight += 1
            try:
                await self._group(task, thread)
            finally:
                self.counts.in_flight -= 1

    async def _next(self) -> Task | None:
        async with self._drawing:
            if not self._drawn:
                self._drawn = await asyncio.to_thread(list, itertools.islice(self._tasks, TASKS_AT_ONCE))
                self._drawn.reverse()
            if not self._drawn:
                return None
            self.counts.tasks += 1
            return self._drawn.pop()

    async def _group(self, task: Task, thread: ThreadPoolExecutor) -> None:
        """Make the group of a task and put it into the queue, or count why not."""
        options = self._options
        made = await asyncio.gather(
            *(self._response(task, number) for number in range(options.size)), return_exceptions=True
        )
        failures = [each for each in made if isinstance(each, BaseException)]
        if failures:
            await self._failure(failures)
            return
        self._refused = self._failed = 0
        responses = [each for each in made if isinstance(each, ScoredResponse)]
        if len(responses) < options.size:
            self.counts.dropped["verifier"] += 1
            return
        scores = {response.score for response in responses}
        self.counts.score += sum(response.score for response in responses)
        self.counts.responses += len(responses)
        if len(scores) == 1 and options.size > 1 and options.all_equal == "drop":
            self.counts.dropped["all equal"] += 1
            return
        try:
            group = await asyncio.get_running_loop().run_in_executor(thread, self._made, responses)
        except InputError as error:
            reason = "other tokens" if error.code == "V036" else "not rendered"
            self.counts.dropped[reason] += 1
            if self.counts.groups == 0 and self.counts.dropped[reason] >= HOPELESS:
                raise
            if self.counts.dropped[reason] in (1, HOPELESS) or self.counts.dropped[reason] % 100 == 0:
                self._note(f"a group is left out: {error.message}")
            return
        if self._queue.is_too_long(group.longest):
            self.counts.dropped["too long"] += 1
            return
        await self._queue.add_own(group)
        self.counts.groups += 1

    def _made(self, responses: list[ScoredResponse]) -> Queued:
        params = sampling_params(self._options.sampling)
        group = group_of(responses, self._tokenise, pieces=self._pieces, generation_params=params)
        return Queued.of(group.model_copy(update={"env_id": OWN}))

    async def _response(self, task: Task, number: int) -> ScoredResponse | None:
        """A scored response; None where its verifier failed each time."""
        for again in range(1 + SAMPLED_AGAIN):
            attempt = number + again * self._options.size
            sampling = self._options.sampling
            if sampling.seed is not None:
                # The same seed would give the same response as many times as the group has places.
                sampling = replace(sampling, seed=sampling.seed + attempt)
            sampled, messages, response = await self._said(task, sampling, attempt)
            verdict = await CHECKS.verdict(self._verifier, task, response)
            self.counts.outcomes[verdict.outcome if verdict.error is None else f"error: {verdict.error}"] += 1
            if verdict.score is not None:
                return ScoredResponse(
                    messages,
                    verdict.score,
                    ended=sampled.reply.finish_reason != "length",
                    logprobs=sampled.logprobs,
                )
            if again < SAMPLED_AGAIN:
                self.counts.again += 1
            if verdict.error == "task":
                return None  # another response would not mend the task
        return None

    async def _said(
        self, task: Task, sampling: Sampling, attempt: int
    ) -> tuple[Sampled, tuple[Message, ...], Response]:
        """An answer, or a conversation with tools to its end: the last sample, all messages, and what is to be judged."""
        samples: list[Sampled] = []

        async def ask(messages: tuple[Message, ...]) -> ChatReply:
            request = ChatRequest(messages, sampling, thinking=self._options.thinking, attempt=attempt)
            samples.append(await self._sample(request))
            return samples[-1].reply

        messages, response = await conversed(self._verifier.converse(task), prompt_of(task), ask)
        return samples[-1], messages, response

    async def _failure(self, failures: list[BaseException]) -> None:
        """A group that the model or we ourselves failed at: what would only repeat itself ends the loop."""
        for failure in failures:
            if not isinstance(failure, ModelError) or isinstance(failure, QuotaError):
                raise failure
        first = failures[0]
        assert isinstance(first, ModelError)
        self.counts.dropped["model"] += 1
        self._failed += 1
        self._refused = self._refused + 1 if isinstance(first, PermanentError) else 0
        if self._refused >= HOPELESS:
            raise first
        if self._failed in (1, HOPELESS) or self._failed % 100 == 0:
            self._note(f"a group is left out: {first.message}")
        await asyncio.sleep(min(LONGEST_WAIT_S, WAIT_S * 2 ** min(self._failed, 10)))


def prompt_of(task: Task) -> tuple[Message, ...]:
    """What the model is told.

    Raises:
        InputError: V031, where the task offers a tool only in the API's way, which requests here do not carry.
    """
    told = f"{task.system or ''}\n{task.prompt}"
    names = [str(tool.get("function", tool).get("name")) for tool in task.tools]
    if missing := next((name for name in names if name not in told), None):
        raise InputError(
            f"the task offers the tool `{missing}` in the API's way alone, and requests carry no tools",
            code="V031",
            help="describe the tools in the prompt as well, as the tasks of `tool_calls` and `tool_use` do",
        )
    system = [Message(role="system", content=task.system)] if task.system is not None else []
    return (*system, Message(role="user", content=task.prompt))


def sampling_params(sampling: Sampling) -> Mapping[str, Any]:
    """How responses are sampled, as trainers read it."""
    names = ("temperature", "top_p", "max_tokens")
    return {name: value for name in names if (value := getattr(sampling, name)) is not None}
