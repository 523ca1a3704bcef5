"""A run on this machine: seeds cut into shards, walked by the engine, each shard's seal committed as it becomes whole.

A run directory says what it is in `run.json`, written by the first start: plan, seeds, models, shard size. Every further
start must bring the same, finds the seals of whole shards and the journals of others, and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

from dataforge.errors import ContractBug, OutputError
from dataforge.models import connect
from dataforge.models.client import Backend, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.run import database, segments
from dataforge.run.endpoints import RUN_LOCK, follow
from dataforge.run.engine import Engine, rows_at_once
from dataforge.run.jobs import Filter, Job, jobs, nothing_fits
from dataforge.run.journal import JOURNAL_NAME, LOCK_NAME, check_header
from dataforge.run.models import Models, bind_models
from dataforge.run.observe import observed
from dataforge.run.options import RunOptions, RunSummary
from dataforge.run.progress import Gauges, Progress
from dataforge.run.shard import SEAL_NAME, OpenShard, Seal, ShardJobs, journal_header, shard_folder
from dataforge.run.sources import sources_of
from dataforge.run.statistics import Statistics
from dataforge.run.stop import Purse, Stop
from dataforge.run.storage import sync_folder, write_durably
from dataforge.run.store import SHARDS, STORE_NAME, CallStore, Reuse
from dataforge.run.tokens import token_counter
from dataforge.run.walker import Walker

logger = logging.getLogger("dataforge.run")

RUN_NAME = "run.json"
STATE = "state"

FEWEST_SHARD_ROWS, MOST_SHARD_ROWS, USUAL_SHARDS = 1_000, 20_000, 1_000


class Run:
    """One run (or a further start of it): `await go()`, then read `seals`."""

    def __init__(
        self,
        plan: Plan,
        options: RunOptions,
        progress: Progress,
        stop: Stop,
        environ: Mapping[str, str] | None = None,
        connector: Callable[[ModelSpec], Backend] = connect,
    ) -> None:
        self.plan = plan
        self.options = options
        self.progress = progress
        self.stop = stop
        self.environ = os.environ if environ is None else environ
        specs, self.self_judging = bind_models(plan, options.models_file, self.environ)
        self.specs = {name: self._with_state(spec) for name, spec in specs.items()}
        self.tokens = token_counter(plan.project.tokenizer)
        self.sources = sources_of(plan, options)
        self.connector = connector
        self.filter = Filter(plan.graph, self.tokens)
        self.seals: dict[int, Seal] = {}
        """Of every shard with finished rows: whole ones, and, once the run has ended, those that are not."""
        self.whole: set[int] = set()
        self.shard_rows = 0
        self.planned = 0
        self.seen: set[int] = set()
        """Shards that have a row in this start; one with fewer `--rows` leaves later shards of an earlier one alone."""
        self.all_seen = False
        """Whether every row was counted and given out, so that what is planned is known."""
        self.calls = self.reused = 0
        self.models: Models | None = None
        self.is_done = False

    def _with_state(self, spec: ModelSpec) -> ModelSpec:
        return dataclasses.replace(
            spec, options={**spec.options, "state_folder": self.options.out / STATE / spec.name}
        )

    def header(self) -> dict[str, str]:
        """What must be the same for a second start to go on with the first one's rows."""
        models = {name: [s.model, s.weights, s.sampling.listed()] for name, s in sorted(self.specs.items())}
        return {
            "plan": self.plan.hash,
            "random seed": str(self.options.seed),
            "walks a seed": str(self.options.walks),
            "seed files": self.sources.digest(),
            "models": json.dumps(models, sort_keys=True),
            "tokenizer": self.plan.project.tokenizer,
        }

    @contextlib.contextmanager
    def directory(self) -> Iterator[None]:
        """Hold the run directory for this process, and see that it is this run's.

        Raises:
            OutputError: R020 where it is another run's, R021 where it may not be written, R022 where it is in use, R046
                where an older DataForge began it.
            SeedError: R017 where no seed fits, before anything is written.
        """
        out = self.options.out
        # Before anything is written, so that a wrong path leaves nothing behind.
        reuse = Reuse(self.options.reuse)
        if not (out / RUN_NAME).exists():
            self._see_a_seed()
        with database.refusing(out, opening=True):
            database.make_private(out)
            lock = database.take_lock(out / RUN_LOCK, str(out))
        try:
            self._begin_or_check(out)
            with contextlib.closing(CallStore(out)) as self.store, contextlib.closing(reuse) as self.reuse:
                yield
        finally:
            os.close(lock)

    def _see_a_seed(self) -> None:
        """Refuse a run without a single usable seed before anything is written."""
        probe = Filter(self.plan.graph, self.tokens)
        if next(jobs(self.sources, self.options, probe), None) is None:
            raise nothing_fits(self.plan.graph, probe)

    def _begin_or_check(self, out: Path) -> None:
        if (old := out / JOURNAL_NAME).exists():
            raise database.outdated(old, 1)
        header = self.header()
        asked = self.options.shard_rows
        total = self._count_rows()
        if (out / RUN_NAME).exists():
            found = _read_run(out / RUN_NAME)
            if asked is not None:
                header["rows a shard"] = str(asked)
            else:
                header["rows a shard"] = found.get("rows a shard", "")
            try:
                check_header(out, found, header)
            except OutputError:
                if not _is_blank(out):
                    raise
                # Such as one whose model was misspelt: to begin anew takes nothing from anyone.
                for journal in out.glob(f"{SHARDS}/*/{JOURNAL_NAME}"):
                    _remove_journal(journal.parent)
                (out / RUN_NAME).unlink()
        if not (out / RUN_NAME).exists():
            header["rows a shard"] = str(asked or _shard_rows(total))
            document = json.dumps({"forge_run": 1, "header": header}, sort_keys=True, indent=2) + "\n"
            write_durably(out / RUN_NAME, document.encode())
        with database.refusing(out, opening=True):
            database.make_private(out / SHARDS)
        self.shard_rows = int(header["rows a shard"])
        self.id = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=8).hexdigest()
        self.total = total

    async def go(self) -> RunSummary:
        """Run, in `directory`.

        Raises:
            InputError: seeds, models or the directory are wrong.
            RunError: the disk or every model failed; what was finished is kept.
        """
        began = time.monotonic()
        self._read_seals()
        earlier = self._earlier()
        self.resumed = sum(n for status, n in earlier.by_status.items() if status != "failed")
        spent = earlier.total()
        purse = Purse(
            self.options.budget, self.stop, spent.prompt_tokens + spent.completion_tokens, spent.cost
        )
        listeners = [self.progress, purse]
        async with observed(self.options.out, self.specs, listeners, self._look, self.environ) as told:
            told.begin(
                self.total, self.resumed, {n: f"{s.model} ({s.backend})" for n, s in self.specs.items()}
            )
            logger.info(
                "%d rows, %d of them finished by earlier starts",
                self.total,
                self.resumed,
                extra={"event": "run_began", "plan": self.plan.hash, "run": self.id},
            )
            timer = purse.begin_clock()
            try:
                await self._walk(told)
            finally:
                if timer is not None:
                    timer.cancel()
            await asyncio.to_thread(self._seal_the_rest)
            summary = self._summary(began)
            self.is_done = summary.stopped is None
            logger.info("%s", self.stop.reason or "the run is done", extra={"event": "run_ended"})
        if not summary.failed and not summary.parked:
            # There is no further start to go on with it.
            shutil.rmtree(self.options.out / STATE, ignore_errors=True)
        return summary

    async def _walk(self, listeners: Progress) -> None:
        """Walk the rows of every shard that is not whole. Here: in this process."""
        models = Models(self.specs, self.store, self.reuse, listeners, self.stop, self.connector)
        walker = Walker(self.plan, self.specs, self.tokens, self.options.seed)
        width = rows_at_once(self.specs, self.options.concurrency)
        engine = Engine(walker, models, self.id, width, listeners, self.stop)
        self.models = models
        self.stop.then(models.leave)
        steering = asyncio.create_task(follow(self.options.out, models.backends, known=self.specs))
        try:
            await engine.run(self._shards(), self._ended)
        finally:
            steering.cancel()
            await asyncio.gather(steering, return_exceptions=True)
            self.calls, self.reused = models.calls, models.reused
            await models.close()

    def _look(self) -> Gauges:
        """How the run stands, for those who watch it."""
        pools = self.models.pools() if self.models is not None else {}
        return Gauges(
            in_flight=self.models.in_flight if self.models is not None else 0,
            shards=-(-self.total // self.shard_rows),
            shards_whole=len(self.whole),
            endpoints={name: pool.status() for name, pool in pools.items()},
            state="done" if self.is_done else "stopping" if self.stop.is_set() else "running",
            why=self.stop.reason or "",
        )

    # ---- shards

    async def _shards(self) -> AsyncIterator[ShardJobs]:
        """The shards that have something left to do, in order. Counts every row on its way."""
        rows = jobs(self.sources, self.options, self.filter)
        for number, of_shard in itertools.groupby(rows, lambda job: job.row // self.shard_rows):
            await asyncio.sleep(0)  # a Ctrl-C is heard while thousands of whole shards are passed over
            if self.stop.is_set():
                return
            self.seen.add(number)
            left = await self._left(number, of_shard)
            if left is not None:
                yield ShardJobs(number, left, shard_folder(self.options.out, number))
        self.all_seen = not self.stop.is_set()

    async def _left(self, number: int, of_shard: Iterator[Job]) -> Iterator[Job] | None:
        """The jobs of a shard, or None where it is whole already."""
        counted = self._counted(of_shard)
        if number not in self.whole:
            return counted
        # More rows may have been asked for since: then the last shard goes on, with the calls that it has.
        known = list(counted)
        if len(known) <= self.seals[number].count:
            self.planned += self.seals[number].count - len(known)
            return None
        await asyncio.to_thread(self._reopen, number)
        return iter(known)

    def _counted(self, rows: Iterator[Job]) -> Iterator[Job]:
        for job in rows:
            self.planned += 1
            yield job

    def _reopen(self, number: int) -> None:
        """Give a whole shard a journal again. Its calls go back there, since that is where they are counted."""
        folder = shard_folder(self.options.out, number)
        segment = folder / "segment.sqlite"
        rows = range(number * self.shard_rows, (number + 1) * self.shard_rows)
        if segments.export(self.store.path, segment, rows=rows) is not None:
            segments.load(segment, folder, journal_header(self.id, number))
        segment.unlink()
        (folder / SEAL_NAME).unlink()
        sync_folder(folder)  # were the seal back after a power cut, the journal would go
        self.whole.remove(number)
        seal = self.seals.pop(number)
        self.resumed -= seal.count

    async def _ended(self, shard: OpenShard) -> None:
        """Seal and commit a shard that is whole; leave the journal of any other for the next start."""
        self.planned += shard.beyond
        if not shard.is_whole:
            if shard.is_over:  # its journal is closed now, and another shard's row may ask the same
                await asyncio.to_thread(self.store.take, shard.journal.path)
            return
        seal = await asyncio.to_thread(shard.seal)
        await asyncio.to_thread(self._commit, shard.folder, seal)
        self.seals[seal.number] = seal
        self.whole.add(seal.number)
        logger.info("shard %d is whole", seal.number, extra={"event": "shard_sealed", "shard": seal.number})

    def _commit(self, folder: Path, seal: Seal) -> None:
        """The order matters: the calls are safe in the store before the seal says that the journal is not needed.

        The journal's files go while it is still open, and are read from until it is closed: a row of another shard may
        be asking it at this moment.
        """
        self.store.take(folder / JOURNAL_NAME)
        write_durably(folder / SEAL_NAME, seal.to_json())
        _remove_journal(folder)

    def _read_seals(self) -> None:
        for path in sorted((self.options.out / SHARDS).glob(f"*/{SEAL_NAME}")):
            seal = Seal.from_json(path.read_bytes(), str(path))
            if seal.run != self.id:
                raise OutputError(f"{path} is the seal of another run", help="choose another --out")
            self.seals[seal.number] = seal
            self.whole.add(seal.number)
            _remove_journal(path.parent)  # where a crash fell between the commit and this

    def _journals(self) -> Iterator[OpenShard]:
        """The shards that are not whole but have a journal, opened one after another."""
        for path in sorted((self.options.out / SHARDS).glob(f"*/{JOURNAL_NAME}")):
            number = int(path.parent.name)
            if number not in self.whole:
                shard = OpenShard(number, path.parent, self.id)
                with contextlib.closing(shard):
                    yield shard

    def _earlier(self) -> Statistics:
        """What earlier starts came to. What shards have that are not whole is put where rows of all shards find it."""
        found = Statistics()
        for seal in self.seals.values():
            found.merge(seal.statistics)
        for shard in self._journals():
            found.merge(shard.journal.statistics())
            self.store.take(shard.journal.path)
        return found

    def _seal_the_rest(self) -> None:
        """Write the finished rows of shards that are not whole, for the corpus of a run that is not."""
        for shard in self._journals():
            shard.first, shard.count = shard.number * self.shard_rows, len(shard.ended)
            self.seals[shard.number] = shard.seal()

    # ---- the end

    def _count_rows(self) -> int:
        """How many rows there will be at most, or 0 where the seeds are too many to read twice."""
        if not self.sources.are_few:
            asked, made = self.options.rows or 0, self.sources.tasks_alone * self.options.walks
            return min(asked, made) if asked and made else asked or made
        probe = Filter(self.plan.graph, self.tokens)
        return sum(1 for _ in jobs(self.sources, self.options, probe))

    def _summary(self, began: float) -> RunSummary:
        whole = Statistics()
        for seal in self.seals.values():
            whole.merge(seal.statistics)
        ended: Mapping[str, int] = Counter(whole.by_status)
        finished = sum(ended.values())
        planned = self.planned + sum(
            seal.count for seal in self.seals.values() if seal.number not in self.seen
        )
        if self.stop.is_set():
            planned = max(planned, finished, 0 if self.all_seen else self.total)
        if planned < finished or (planned > finished and not self.stop.is_set()):
            raise ContractBug(
                f"the books do not balance: {planned:,} rows were planned, and {finished:,} ended",
                help="this is a bug of DataForge: please report it; the journals hold everything",
            )
        total = whole.total()
        return RunSummary(
            planned=planned,
            kept=ended["kept"],
            rejected=ended["rejected"],
            failed=ended["failed"],
            parked=planned - finished,
            filtered=self.filter.filtered,
            resumed=self.resumed,
            samples=sum(seal.rows["train"] for seal in self.seals.values()),
            calls=self.calls,
            reused_calls=self.reused,
            prompt_tokens=total.prompt_tokens,
            completion_tokens=total.completion_tokens,
            cost=total.cost,
            wall_s=time.monotonic() - began,
            # A budget that the last row spent has stopped nothing.
            stopped=self.stop.reason if planned > finished or not (self.all_seen or self.total) else None,
            rejected_by=dict(sorted(whole.rejected_by.items())),
            failed_by=dict(sorted(whole.failed_by.items())),
            statistics=whole,
        )


def _shard_rows(total: int) -> int:
    """Rows a shard: few enough shards to list, few enough rows to lose little time with one."""
    return min(MOST_SHARD_ROWS, max(FEWEST_SHARD_ROWS, total // USUAL_SHARDS))


def _read_run(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_bytes())
        header = document["header"]
        if document["forge_run"] != 1:
            raise ValueError("it is of a newer DataForge")
        return {str(name): str(value) for name, value in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{path} does not say what run this is: {error}",
            help=f"choose another --out: {path.parent} is left as it was",
        ) from error


def _is_blank(out: Path) -> bool:
    """Whether a run has come to nothing yet: no call, no row, and nothing that a backend is waiting for elsewhere."""
    if any(out.glob(f"{SHARDS}/*/{SEAL_NAME}")) or any(out.glob(f"{STATE}/**/*")):
        return False
    for path in [*out.glob(STORE_NAME), *out.glob(f"{SHARDS}/*/{JOURNAL_NAME}")]:
        with database.refusing(path), contextlib.closing(database.connect_to_read(path)) as reader:
            if not database.is_begun(reader, path):
                continue
            tables = ["calls"] if path.name == STORE_NAME else ["calls", "outcomes"]
            if any(reader.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables):  # noqa: S608
                return False
    return True


def _remove_journal(folder: Path) -> None:
    for name in (JOURNAL_NAME, f"{JOURNAL_NAME}-wal", f"{JOURNAL_NAME}-shm", LOCK_NAME):
        (folder / name).unlink(missing_ok=True)
