"""The engine: seeds in, journalled outcomes out, on one asyncio loop.

A row is one seed and one walk. Rows run side by side up to a bound, each depth first, so that the first are finished
early. Every model call and every finished row is in the journal before anything builds on it; a second start on the
same directory finds them there and goes on. When the run is stopped no new call is begun, and those in flight are
waited for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.actions.context import Rejected, RowContext
from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.domain.structs import first_problem
from dataforge.errors import (
    FunctionFailed,
    Interrupted,
    ModelError,
    RunError,
    SeedError,
)
from dataforge.models import connect
from dataforge.models.client import Backend, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.plan.walk import row_random
from dataforge.run.journal import JOURNAL_NAME, Journal, Outcome
from dataforge.run.models import Models, bind_models
from dataforge.run.progress import Progress
from dataforge.run.row import Router
from dataforge.run.samples import Samples
from dataforge.run.tokens import token_counter
from dataforge.seeds import Seed, expand, read_seeds
from schemas.corpus import Reason, Row

MAX_FAILED_IN_A_ROW = 25
"""As many rows lost to errors one after another, with none finished between, end the run: the cause is not the rows."""

MAX_COUNTED_BYTES = 64 * 1024 * 1024
"""Seeds up to this size are read once more beforehand, to know how many rows there are."""


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked to do.

    Attributes:
        out: the corpus directory.
        seeds: files, folders or globs that replace the graph's, relative to the working directory.
        rows: how many rows to attempt, or None for all.
        walks: walks a seed.
        seed: of the random streams.
        models_file: bindings that go before the project's.
        concurrency: rows under way at once.
        max_failures: rows that may be lost to errors without the run counting as failed.
    """

    out: Path
    seeds: tuple[str, ...] = ()
    rows: int | None = None
    walks: int = 1
    seed: int = 0
    models_file: Path | None = None
    concurrency: int = 64
    max_failures: int = 0


@dataclass(frozen=True)
class RunSummary:
    """What came of a run. `attempted` = `kept` + `rejected` + `failed`, earlier starts included."""

    attempted: int
    kept: int
    rejected: int
    failed: int
    filtered: int
    resumed: int
    samples: int
    calls: int
    reused_calls: int
    prompt_tokens: int
    completion_tokens: int
    wall_s: float
    interrupted: bool
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    failed_by: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One row to be walked."""

    row: int
    walk: int
    seed: Seed
    state: dict[str, BaseModel]


def seed_files(plan: Plan, options: RunOptions) -> tuple[list[Path], Path]:
    """The seed files of a run and the folder that their names are relative to.

    Raises:
        SeedError: where there are none.
    """
    if options.seeds:
        return expand(options.seeds, Path.cwd()), Path.cwd()
    if not plan.graph.seeds:
        raise SeedError(
            f"graph `{plan.graph.name}` names no seeds, and none are given",
            help="add --seeds PATH, or `seeds` to the graph",
        )
    return expand(plan.graph.seeds, plan.program.folder), plan.program.folder


class Filter:
    """Turns seeds into source states; counts those that do not satisfy the graph's `from`."""

    def __init__(self, graph: a.Graph, tokens: Callable[[str], int]) -> None:
        self.graph = graph
        self.tokens = tokens
        self.filtered = 0
        self.first_reason = ""

    def state(self, seed: Seed) -> dict[str, BaseModel] | None:
        """The source state, or None where the seed does not fit."""
        state: dict[str, BaseModel] = {}
        for name, struct in self.graph.sources.items():
            own = seed.fields.get(name) if len(self.graph.sources) > 1 or set(seed.fields) == {name} else None
            fields = own if isinstance(own, dict) else seed.fields
            try:
                state[name] = struct.model.model_validate(
                    {k: v for k, v in fields.items() if k in struct.fields}
                )
            except ValidationError as error:
                self._note(seed, first_problem(error, name))
                return None
        failing = broken(self.graph.where, state, self.tokens)
        if failing:
            self._note(seed, failing[0])
            return None
        return state

    def _note(self, seed: Seed, reason: str) -> None:
        self.filtered += 1
        self.first_reason = self.first_reason or f"{seed.source}: {reason}"


def jobs(files: list[Path], base: Path, options: RunOptions, seeds: Filter) -> Iterator[Job]:
    """The rows of a run, in order: for each seed that fits, its walks."""
    given = 0
    number = 0
    for seed in read_seeds(files, base=base):
        state = seeds.state(seed)
        if state is None:
            continue
        for walk in range(options.walks):
            if options.rows is not None and given >= options.rows:
                return
            yield Job(number, walk, seed, state)
            number += 1
            given += 1


def nothing_fits(graph: a.Graph, seeds: Filter) -> SeedError:
    """The error for a run without a row."""
    return SeedError(
        f"no seed satisfies the `from` of `{graph.name}`: {seeds.filtered} read; {seeds.first_reason}",
        code="R017",
        help="change the seeds, or ask less of them in `from … where`",
    )


class Run:
    """One run (or a further start of it): `await go()`."""

    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        progress: Progress,
        stop: asyncio.Event,
        environ: Mapping[str, str] | None = None,
        connector: Callable[[ModelSpec], Backend] = connect,
    ) -> None:
        self.plan = plan
        self.options = options
        self.progress = progress
        self.stop = stop
        self.specs, self.self_judging = bind_models(
            plan, options.models_file, os.environ if environ is None else environ
        )
        self.tokens = token_counter(plan.project.tokenizer)
        self.files, self.base = seed_files(plan, options)
        self.connector = connector
        self.filter = Filter(plan.graph, self.tokens)
        self.samples = Samples(plan, self.specs, self.tokens)
        self.router = Router(plan.linked, options.seed, plan.hash)
        self.failed_in_a_row = 0
        self.failure: Exception | None = None

    def header(self) -> dict[str, str]:
        """What must be the same for a second start to go on with the first one's rows."""
        seeds = hashlib.blake2b(digest_size=16)
        for file in self.files:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            seeds.update(f"{file.name}|{content}|".encode())
        models = {name: [s.model, s.weights, s.sampling.listed()] for name, s in sorted(self.specs.items())}
        return {
            "plan": self.plan.hash,
            "random seed": str(self.options.seed),
            "walks a seed": str(self.options.walks),
            "seed files": seeds.hexdigest(),
            "models": json.dumps(models, sort_keys=True),
            "tokenizer": self.plan.project.tokenizer,
        }

    async def go(self) -> tuple[RunSummary, Journal]:
        """Run; returns the summary and the open journal, which the caller closes.

        Raises:
            InputError: seeds, models or the directory are wrong.
            RunError: the disk or every model failed; what was finished is kept.
        """
        began = time.monotonic()
        if not (self.options.out / JOURNAL_NAME).exists():
            self._see_a_seed()
        journal = Journal.open(self.options.out, self.header())
        try:
            summary = await self._go(journal, began)
        except BaseException:
            journal.close()
            raise
        return summary, journal

    def _see_a_seed(self) -> None:
        """Refuse a run without a single usable seed before anything is written."""
        probe = Filter(self.plan.graph, self.tokens)
        if next(jobs(self.files, self.base, self.options, probe), None) is None:
            raise nothing_fits(self.plan.graph, probe)

    async def _go(self, journal: Journal, began: float) -> RunSummary:
        finished = journal.finished()
        done = {row for row, status in finished.items() if status != "failed"}
        models = Models(self.specs, journal, self.progress, self.stop, self.connector)
        total = self._count_rows()
        self.progress.begin(total, len(done), {n: f"{s.model} ({s.backend})" for n, s in self.specs.items()})
        # More rows than calls can be in flight would only grow old together: few at a time are finished sooner, and a
        # server that caches prefixes still has theirs.
        width = max(
            1, min(self.options.concurrency, max((s.concurrency for s in self.specs.values()), default=1))
        )
        queue: asyncio.Queue[Job | None] = asyncio.Queue(maxsize=1)
        workers = [asyncio.create_task(self._work(queue, models, journal)) for _ in range(width)]
        try:
            for job in jobs(self.files, self.base, self.options, self.filter):
                if job.row in done:
                    continue
                if self.stop.is_set():
                    break
                await queue.put(job)
            for _ in workers:
                await queue.put(None)
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await models.close()
            self.progress.end()
        if self.failure is not None:
            raise self.failure
        return self._summary(journal, models, began, len(done))

    def _count_rows(self) -> int:
        """How many rows there will be, or 0 where the seeds are too many to read twice."""
        if sum(file.stat().st_size for file in self.files) > MAX_COUNTED_BYTES:
            return self.options.rows or 0
        probe = Filter(self.plan.graph, self.tokens)
        return sum(1 for _ in jobs(self.files, self.base, self.options, probe))

    async def _work(self, queue: asyncio.Queue[Job | None], models: Models, journal: Journal) -> None:
        while (job := await queue.get()) is not None:
            if self.stop.is_set():
                continue  # drain the queue, so that whoever fills it does not wait
            try:
                outcome = await self._row(job, models)
                await journal.put_outcome(outcome)
            except Interrupted:
                continue
            except Exception as error:  # noqa: BLE001 - ends the run: raised again by `_go`, once the queue is drained
                self._give_up(error)
                continue
            code = _code(outcome)
            self.progress.row(outcome.status, code)
            self.failed_in_a_row = self.failed_in_a_row + 1 if outcome.status == "failed" else 0
            if self.failed_in_a_row >= MAX_FAILED_IN_A_ROW:
                message = json.loads(outcome.rows[0].reason or "{}").get("message", "")
                self._give_up(
                    RunError(
                        f"{self.failed_in_a_row} rows in a row were lost to errors; the last: {message}",
                        code=code or "R000",
                        help="mend the cause and start the same command again: finished rows and calls are kept",
                    )
                )

    def _give_up(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.stop.set()

    async def _row(self, job: Job, models: Models) -> Outcome:
        """Walk one row to its end, whatever the end is."""
        seed = self.options.seed

        async def call(model: a.Model, request: Any, node: str, purpose: Any) -> Any:
            return await models.call(job.row, model, request, node, purpose)

        context = RowContext(
            row=job.row,
            walk=job.walk,
            call_model=call,
            tokens=self.tokens,
            rng=lambda purpose: row_random(seed, self.plan.hash, job.row, purpose),
            state=dict(job.state),
        )
        try:
            arrived, refused = await self.router.travel(context)
        except (ModelError, FunctionFailed) as error:
            reason = Reason(stage="run", code=error.code, message=error.message)
            return Outcome(
                job.row, job.seed.id, "failed", (self.samples.rejected(job.seed, context, [], (), reason),)
            )
        rows: list[Row] = []
        kept = False
        for traveller in arrived:
            try:
                rows.extend(self.samples.kept(job.seed, traveller.context, traveller.path, traveller.branch))
                kept = True
            except Rejected as rejection:
                refused.append((traveller, rejection))
        for traveller, why in refused:
            reason = Reason(stage=why.node, code=why.code, message=why.message)
            rows.append(
                self.samples.rejected(job.seed, traveller.context, traveller.path, traveller.branch, reason)
            )
        return Outcome(job.row, job.seed.id, "kept" if kept else "rejected", tuple(rows))

    def _summary(self, journal: Journal, models: Models, began: float, resumed: int) -> RunSummary:
        statuses: Counter[str] = Counter()
        by_code: dict[str, Counter[str]] = {"rejected": Counter(), "failed": Counter()}
        samples = 0
        for outcome in journal.outcomes():
            statuses[outcome.status] += 1
            samples += sum(row.reason is None for row in outcome.rows)
            if outcome.status in by_code:
                by_code[outcome.status][_code(outcome) or "R000"] += 1
        return RunSummary(
            attempted=statuses.total(),
            kept=statuses["kept"],
            rejected=statuses["rejected"],
            failed=statuses["failed"],
            filtered=self.filter.filtered,
            resumed=resumed,
            samples=samples,
            calls=models.calls,
            reused_calls=models.reused,
            prompt_tokens=models.prompt_tokens,
            completion_tokens=models.completion_tokens,
            wall_s=time.monotonic() - began,
            interrupted=self.stop.is_set(),
            rejected_by=dict(sorted(by_code["rejected"].items())),
            failed_by=dict(sorted(by_code["failed"].items())),
        )


def _code(outcome: Outcome) -> str | None:
    reason = next((row.reason for row in outcome.rows if row.reason is not None), None)
    return json.loads(reason)["code"] if reason is not None and outcome.status != "kept" else None


def dry_run(plan: Plan, options: RunOptions, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a run would do, without asking any model: rows, expected calls a node and a model, bindings.

    Raises:
        InputError: as the run itself would.
    """
    specs, allowed = bind_models(plan, options.models_file, os.environ if environ is None else environ)
    tokens = token_counter(plan.project.tokenizer)
    files, base = seed_files(plan, options)
    seeds = Filter(plan.graph, tokens)
    rows = [job.row for job in jobs(files, base, options, seeds)]
    if not rows:
        raise nothing_fits(plan.graph, seeds)
    router = Router(plan.linked, options.seed, plan.hash)
    visits: Counter[str] = Counter()
    for row in rows[:DRY_WALKS]:
        visits.update(_visited(router, "", row, ""))
    scale = len(rows) / max(1, min(len(rows), DRY_WALKS))
    nodes = plan.graph.nodes()
    expected = {name: round(count * scale, 1) for name, count in sorted(visits.items())}
    calls: Counter[str] = Counter()
    for name, count in expected.items():
        for step in nodes[name].steps:
            if isinstance(step, a.Ask | a.Judge):
                calls[step.model.name] += count  # type: ignore[assignment]
    return {
        "graph": plan.graph.name,
        "plan": plan.hash,
        "paths": plan.document["paths"],
        "seed_files": len(files),
        "rows": len(rows),
        "filtered": seeds.filtered,
        "visits": expected,
        "calls_at_least": {name: round(count, 1) for name, count in sorted(calls.items())},
        "models": {
            name: {"model": s.model, "backend": s.backend, "weights": s.weights, "origin": s.origin}
            for name, s in sorted(specs.items())
        },
        "self_judging": [f"{x.judge} grades {x.generator} in {x.node}" for x in allowed],
    }


DRY_WALKS = 2_000
"""Walks that a dry run draws; more rows are scaled up from these."""


def _visited(router: Router, prefix: str, row: int, graph: str) -> list[str]:
    """Nodes of a row's walk, inner graphs walked too; a branch takes its first outcome that goes on."""
    walks = router.walks[graph]
    found = []
    for name in walks.names(row):
        full = prefix + name
        inner = walks.linked.inner.get(name)
        found.extend([full] if inner is None else _visited(router, f"{full}/", row, full))
    return found
