"""Evaluations into a folder: every reply in a journal before it is judged, so that no call is paid for twice.

OUT/
journal/          replies, until all logs are whole; see `dataforge.run.journal`
TASK/             the log of each evaluation; see `evals.log`
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataforge.errors import PermanentError
from dataforge.models import ChatRequest, Completes, connect
from dataforge.models.binding import with_defaults
from dataforge.run.journal import CallRecord, Journal

if TYPE_CHECKING:
    from dataforge.models import Backend, ChatReply, CompletionRequest, ModelSpec
    from dataforge.run.journal import Purpose
    from dataforge.run.stop import Stop
    from evals.run import Job, OnError
    from evals.summary import Summary
    from evals.task import EvalTask, Item
    from schemas.evallog import Sample


@dataclass(frozen=True, slots=True)
class Wanted:
    """An evaluation to be run.

    Attributes:
        manifest: of its log.
        samples, sampling, thinking: as `evals.run.Job`.
    """

    task: EvalTask
    items: Sequence[Item]
    manifest: Mapping[str, Any]
    samples: int
    sampling: Any
    thinking: Any


class Journalled:
    """Asks a model whose replies are kept: what the journal holds costs nothing."""

    def __init__(self, backend: Backend, journal: Journal, spec: ModelSpec, purpose: Purpose) -> None:
        self._backend = backend
        self._journal = journal
        self._spec = spec
        self._purpose: Purpose = purpose

    async def __call__(self, request: ChatRequest | CompletionRequest) -> ChatReply:
        """As `evals.task.Ask`.

        Raises:
            ModelError: it cannot be asked; L004 where a raw completion is wanted of a server that offers none.
        """
        settled: ChatRequest | CompletionRequest
        if isinstance(request, ChatRequest):
            settled = with_defaults(request, self._spec)
        else:
            settled = with_defaults(request, self._spec)
        key = settled.key(self._spec.weights)
        reply = self._journal.reply(key)
        if reply is None:
            began = time.time()
            if isinstance(settled, ChatRequest):
                reply = await self._backend.complete(settled)
            elif isinstance(self._backend, Completes):
                reply = await self._backend.go_on(settled)
            else:
                raise PermanentError(
                    f"the backend of `{self._spec.name}` makes no raw completions",
                    code="L004",
                    help="bind the model with a backend that does: `openai`, `sglang` or `local`",
                )
            cost = self._spec.cost(reply)
            record = CallRecord(key, 0, "eval", self._spec.name, self._purpose, reply, began, cost)
            await self._journal.put_call(record)
        return reply


async def evaluated(
    out: Path,
    wanted: Sequence[Wanted],
    spec: ModelSpec,
    judge: ModelSpec | None,
    *,
    concurrency: int,
    on_error: OnError,
    progress: Callable[[Sample], None],
    stop: Stop,
) -> dict[str, Summary]:
    """The summaries of all evaluations, once their logs are whole.

    Raises:
        InputError: E020, a folder holds another log.
        OutputError: another process is writing here (R022).
        ModelError: the model cannot be asked.
        Interrupted: it was stopped.
    """
    from evals.log import LogWriter
    from evals.run import Job
    from evals.summary import summarise

    with ExitStack() as stack:
        jobs: list[Job] = []
        for one in wanted:
            log = stack.enter_context(LogWriter(out / one.task.name, one.manifest, one.items))
            jobs.append(Job(one.task, one.items, log, one.samples, one.sampling, one.thinking))
        timing: dict[str, Any] | None = None
        if any(next(job.wanted(), None) is not None for job in jobs):
            timing = await _asked(out, jobs, spec, judge, concurrency, on_error, progress, stop)
        summaries = {}
        for job in jobs:
            keys = list(job.keys())
            summary = summarise([job.log.done[key] for key in keys])
            told: dict[str, Any] = {"summary": summary.to_json()}
            if timing is not None:
                told |= {"timing": timing, "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            job.log.finish(keys, told)
            summaries[job.task.name] = summary
    shutil.rmtree(out / "journal", ignore_errors=True)
    return summaries


async def _asked(
    out: Path,
    jobs: Sequence[Job],
    spec: ModelSpec,
    judge: ModelSpec | None,
    concurrency: int,
    on_error: OnError,
    progress: Callable[[Sample], None],
    stop: Stop,
) -> dict[str, Any]:
    from evals.run import evaluate

    # What tells runs apart must be text in the journal.
    header = {"eval": json.dumps([spec.weights, judge.weights if judge is not None else None])}
    with Journal.open(out / "journal", header) as journal:
        backends = []

        def asking(one: ModelSpec, purpose: Purpose) -> Journalled:
            state = out / "journal" / f"state-{one.name}"
            backends.append(connect(replace(one, options={**one.options, "state_folder": state})))
            return Journalled(backends[-1], journal, one, purpose)

        try:
            timing = await evaluate(
                jobs,
                asking(spec, "ask"),
                judge=asking(judge, "judge") if judge is not None else None,
                concurrency=concurrency,
                on_error=on_error,
                progress=progress,
                stop=stop.is_set,
            )
            return timing.to_json()
        finally:
            for backend in backends:
                await backend.close()
