"""One worker of a run on many machines: the engine of `engine`, with shards that a driver hands out one by one.

The driver asks and the worker answers, always: for the next shard that it wants (`wants`), to take one and say how it
ended (`take`), and about each second for what has happened (`beat`), which brings the worker its slice of the models'
limits as well. A worker that hears nothing starts no call once its slice has run out.

On the driver's own machine a shard's journal lies in the run directory, just as in a local run. Elsewhere it lies in
a scratch folder of that machine, and what is new in it is put into shared storage every few seconds (`segments`); a
sealed shard's files are put there under a name with the lease's epoch. Nothing here knows how the driver's questions
get to the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataforge.errors import DataForgeError, InputError, OutputError, StorageError
from dataforge.models import connect
from dataforge.models.client import Backend, ModelSpec
from dataforge.plan.artifact import open_document
from dataforge.run import segments
from dataforge.run.endpoints import Command, Follower
from dataforge.run.engine import Engine
from dataforge.run.jobs import Filter, Job
from dataforge.run.journal import JOURNAL_NAME, Journal
from dataforge.run.leases import Lease
from dataforge.run.models import Models
from dataforge.run.progress import CallEvent, Progress
from dataforge.run.quota import SLICE_S, Demand, Limits
from dataforge.run.shard import OpenShard, Seal, ShardJobs, journal_header, shard_folder
from dataforge.run.stop import Stop
from dataforge.run.storage import Storage, open_storage
from dataforge.run.store import CallStore, Reuse
from dataforge.run.tokens import token_counter
from dataforge.run.walker import Walker
from dataforge.seeds import Seed

EXPORT_S = 5.0
"""What is lost with a machine: calls of so many seconds, beside those in flight."""

_OWN_FIELDS = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

logger = logging.getLogger("dataforge.run")


@dataclass(frozen=True)
class Task:
    """What every worker of a run is told. No key is in it: workers read those from their own environment.

    Attributes:
        run: identity of the run.
        token: of this run directory, for what its workers keep elsewhere: two directories may hold the same run.
        plan: the plan document.
        root: the project's folder, which must be there on every machine.
        specs: the bindings.
        meters: logical model → name of the limits that it is under.
        seed: of the random streams.
        shard_rows: rows a shard.
        width: rows under way at once.
        reuse: directories of other runs whose replies are used again.
        out: the run directory, on the driver's machine.
        shared: storage that all machines reach: a path or a URL.
        node: the driver's machine.
    """

    run: str
    token: str
    plan: Mapping[str, Any]
    root: Path
    specs: Mapping[str, ModelSpec]
    meters: Mapping[str, str]
    seed: int
    shard_rows: int
    width: int
    reuse: tuple[Path, ...]
    out: Path
    shared: str
    node: str


@dataclass(frozen=True)
class Orders:
    """What the driver has for a worker.

    Attributes:
        slices: its part of each limit.
        commands: all commands about endpoints, as `endpoints.read` gives them.
        stop: why to stop, where it must.
    """

    slices: Mapping[str, Limits]
    commands: Sequence[Command] = ()
    stop: str | None = None


@dataclass(frozen=True)
class Report:
    """What has happened on a worker since its last report.

    Attributes:
        calls, rows: events, as `Progress` hears them.
        logs: log records, as `logging.makeLogRecord` takes them.
        demands: what it could use of each limit.
        progressed: shards in which a call was made.
        in_flight: calls that are waiting for their answer.
        endpoints: logical model → what its pool tells of its endpoints.
        stop: why the worker itself is stopping.
    """

    calls: Sequence[CallEvent]
    rows: Sequence[tuple[str, str | None]]
    logs: Sequence[Mapping[str, Any]]
    demands: Mapping[str, Demand]
    progressed: frozenset[int]
    in_flight: int
    endpoints: Mapping[str, Any]
    stop: str | None


@dataclass(frozen=True)
class Ended:
    """How a lease ended.

    Attributes:
        seal: where the shard is whole.
        beyond: rows of it that an earlier start had finished and this one did not ask for.
        busy: whether another process still holds the shard's journal: try again later.
        error: why the worker cannot go on.
    """

    seal: Seal | None = None
    beyond: int = 0
    busy: bool = False
    error: Exception | None = None


@dataclass
class _Held:
    """A lease in this worker's hands."""

    lease: Lease
    folder: Path
    ended: asyncio.Future[Ended]
    mark: segments.Mark = segments.Mark()
    exported: int = 0
    exporting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Worker:
    """Made and used on one event loop; `start` comes first."""

    def __init__(self, task: Task, node: str) -> None:
        """
        Args:
            node: the machine that this is.

        Raises:
            DataForgeError: where the project, the plan or the shared storage is not what it is on the driver's machine.
        """
        self.task = task
        self.is_home = node == task.node
        self.shared = open_storage(task.shared)
        if not self.is_home:
            _check_shared(self.shared, task)
        plan = open_document(dict(task.plan), task.root / "plan.json")
        tokens = token_counter(plan.project.tokenizer)
        self.scratch = Path(tempfile.gettempdir()) / f"dataforge-{os.getuid()}" / task.token
        self.filter = Filter(plan.graph, tokens)
        self.stop = Stop()
        self.ear = _Ear()
        specs = {name: self._with_state(spec) for name, spec in task.specs.items()}
        self.store = CallStore(task.out) if self.is_home else None
        self.models = Models(specs, self.store, Reuse(task.reuse), self.ear, self.stop, self._connect)
        walker = Walker(plan, specs, tokens, task.seed)
        self.engine = Engine(walker, self.models, task.run, task.width, self.ear, self.stop)
        self._backends: dict[str, Backend] = {}
        self._follower = Follower(specs)
        self._held: dict[int, _Held] = {}
        self._given: asyncio.Queue[ShardJobs | None] = asyncio.Queue()
        self._wanted = asyncio.Event()
        self._over = False
        self._slices: Mapping[str, Limits] = {}
        self._asked = time.monotonic()
        self._unread = 0  # shards whose rows have not all been taken yet
        self._busy = {meter: deque([task.width], maxlen=5) for meter in task.meters.values()}

    def _with_state(self, spec: ModelSpec) -> ModelSpec:
        if self.is_home:
            return spec
        return replace(spec, options={**spec.options, "state_folder": self.scratch / "state" / spec.name})

    def start(self) -> None:
        """Begin; returns at once."""
        ours = logging.getLogger("dataforge")
        ours.setLevel(logging.INFO)
        ours.addHandler(self.ear.handler)
        self._asked = time.monotonic()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._watch_slices())]
        if not self.is_home:
            self._tasks.append(asyncio.create_task(self._keep_exporting()))

    # ---- what the driver asks

    async def wants(self) -> bool:
        """Wait until rows are wanting; False once there will be no more of that."""
        await self._wanted.wait()
        self._wanted.clear()
        return not self._over

    async def take(self, lease: Lease, rows: Sequence[tuple[int, int, Seed]]) -> Ended:
        """Walk a shard's rows, each given as row, walk and seed; returns when the shard has ended here."""
        folder = shard_folder(self.task.out if self.is_home else self.scratch, lease.shard)
        try:
            await asyncio.to_thread(self._prepare, lease.shard, folder)
        except DataForgeError as error:
            self._wanted.set()
            return Ended(busy=True) if error.code == "R022" else Ended(error=error)
        if self._over:
            return Ended()
        held = _Held(lease, folder, asyncio.get_running_loop().create_future())
        self._held[lease.shard] = held
        self._given.put_nowait(ShardJobs(lease.shard, self._jobs(rows), folder))
        return await held.ended

    async def beat(self, orders: Orders) -> Report:
        """Take orders, and report."""
        self._slices = orders.slices
        self._apply(live=True)
        self._follower.apply(orders.commands, self.models.backends())
        if orders.stop is not None:
            self.stop.set(orders.stop)
            self._given.put_nowait(None)
        self._asked = time.monotonic()
        return self._report()

    def finish(self, *, is_whole: bool) -> None:
        """There are no more shards; where every one is whole, what is kept here of any has had its use."""
        self._given.put_nowait(None)
        if is_whole and not self.is_home:
            shutil.rmtree(self.scratch, ignore_errors=True)

    # ---- shards

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            await self.engine.run(self._shards(), self._ended)
        except Exception as failure:  # noqa: BLE001 - it is the driver's to raise
            error = failure
        finally:
            self._over = True
            if not self.is_home:
                await self._export()
            for held in self._held.values():
                if not held.ended.done():
                    held.ended.set_result(Ended(error=error))
            self._held.clear()
            await self.models.close()
            self._wanted.set()

    async def _shards(self) -> AsyncIterator[ShardJobs]:
        while not self.stop.is_set():
            self._wanted.set()
            given = await self._given.get()
            if given is None:
                return
            yield given

    def _jobs(self, rows: Sequence[tuple[int, int, Seed]]) -> Iterator[Job]:
        self._unread += 1
        try:
            for row, walk, seed in rows:
                state = self.filter.state(seed)
                assert state is not None, "the driver hands out only seeds that fit"
                yield Job(row, walk, seed, state)
        finally:
            self._unread -= 1

    def _prepare(self, number: int, folder: Path) -> None:
        """See that the shard's journal is free, and that it has what others shared of it."""
        header = journal_header(self.task.run, number)
        with Journal.open(folder, header):
            pass
        for name in self.shared.names(segment_folder(self.task.token, number)):
            segment = folder / "segment.sqlite"
            self.shared.get(name, segment)
            segments.load(segment, folder, header)
            segment.unlink()

    async def _ended(self, shard: OpenShard) -> None:
        held = self._held[shard.number]
        seal = await asyncio.to_thread(shard.seal) if shard.is_whole else None
        async with held.exporting:
            if not self.is_home:
                await asyncio.to_thread(self._upload, held, seal)
            del self._held[shard.number]
        held.ended.set_result(Ended(seal, shard.beyond))

    def _upload(self, held: _Held, seal: Seal | None) -> None:
        """Share the files of a whole shard, or the last records of another one, and forget them here."""
        if seal is None:
            self._export_one(held)
        else:
            segment = held.folder / "segment.sqlite"
            segments.export(held.folder / JOURNAL_NAME, segment)
            self.shared.put(segment, sealed_journal(self.task.token, held.lease))
            for name in seal.files:
                self.shared.put(held.folder / name, sealed_files(self.task.token, held.lease) + name)
        shutil.rmtree(held.folder, ignore_errors=True)

    async def _keep_exporting(self) -> None:
        while not self._over:
            await asyncio.sleep(EXPORT_S)
            await self._export()

    async def _export(self) -> None:
        for held in list(self._held.values()):
            try:
                async with held.exporting:
                    if held.lease.shard in self._held:
                        await asyncio.to_thread(self._export_one, held)
            except (StorageError, OutputError) as error:
                # Nothing is lost yet: the records are here, and go with the next segment.
                logger.warning("%s", error.message, extra={"event": "export_failed"})

    def _export_one(self, held: _Held) -> None:
        segment = held.folder / f"segment-{held.exported}.sqlite"
        mark = segments.export(held.folder / JOURNAL_NAME, segment, held.mark)
        if mark is not None:
            name = f"{held.lease.epoch}-{held.exported:06d}.sqlite"
            self.shared.put(segment, segment_folder(self.task.token, held.lease.shard) + name)
            held.mark, held.exported = mark, held.exported + 1
        segment.unlink(missing_ok=True)

    # ---- limits

    def _connect(self, spec: ModelSpec) -> Backend:
        self._backends[spec.name] = backend = connect(spec)
        self._apply(live=True)
        return backend

    def _pool(self, meter: str) -> Any:
        """What keeps to the limits of a meter: all its models share one; None where none is connected, or has any."""
        pools = (
            getattr(backend, "pool", None)
            for name, backend in self._backends.items()
            if self.task.meters[name] == meter
        )
        return next((pool for pool in pools if pool is not None), None)

    def _apply(self, *, live: bool) -> None:
        for meter in self._busy:
            if (pool := self._pool(meter)) is not None:
                limits = self._slices.get(meter, Limits(0))
                pool.resize(
                    concurrency=limits.concurrency if live else 0,
                    requests_per_minute=limits.requests_per_minute,
                    tokens_per_minute=limits.tokens_per_minute,
                )

    async def _watch_slices(self) -> None:
        while not self._over:
            await asyncio.sleep(1.0)
            if time.monotonic() > self._asked + SLICE_S:
                self._apply(live=False)

    def _demand(self, meter: str) -> Demand:
        """As many calls as rows are under way; at the end of the work, as many as there have been of late."""
        pool = self._pool(meter)
        in_flight, waiting = (pool.in_flight, pool.waiting) if pool is not None else (0, 0)
        self._busy[meter].append(in_flight + waiting)
        wanted = self.task.width if self._unread else max(self._busy[meter])
        return Demand(in_flight, max(waiting, wanted - in_flight))

    def _report(self) -> Report:
        calls, rows, logs = self.ear.take()
        demands = {meter: self._demand(meter) for meter in self._busy}
        pools = {name: getattr(backend, "pool", None) for name, backend in self._backends.items()}
        return Report(
            calls,
            rows,
            logs,
            demands,
            frozenset(event.row // self.task.shard_rows for event in calls if not event.reused),
            sum(demand.in_flight for demand in demands.values()),
            {name: pool.status() for name, pool in pools.items() if pool is not None},
            self.stop.reason,
        )


@dataclass
class _Ear(Progress):
    """Hears a worker's events and keeps them until they are taken."""

    calls: list[CallEvent] = field(default_factory=list)
    rows: list[tuple[str, str | None]] = field(default_factory=list)
    logs: list[Mapping[str, Any]] = field(default_factory=list)

    def call(self, event: CallEvent) -> None:
        self.calls.append(event)

    def row(self, status: str, code: str | None) -> None:
        self.rows.append((status, code))

    @property
    def handler(self) -> logging.Handler:
        ear = self

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                told = {
                    k: v for k, v in record.__dict__.items() if k not in _OWN_FIELDS and not k.startswith("_")
                }
                about = {"name": record.name, "levelno": record.levelno, "levelname": record.levelname}
                ear.logs.append({**told, **about, "msg": record.getMessage(), "created": record.created})

        return Handler(logging.INFO)

    def take(self) -> tuple[list[CallEvent], list[tuple[str, str | None]], list[Mapping[str, Any]]]:
        taken = self.calls, self.rows, self.logs
        self.calls, self.rows, self.logs = [], [], []
        return taken


def exchange(token: str, number: int | None = None) -> str:
    """Where files are in shared storage while they are on their way: a run directory's, or those of one of its shards."""
    return f"exchange/{token}/" if number is None else f"exchange/{token}/{number:05d}/"


def marker(token: str) -> str:
    """A file by which a worker sees that its shared storage is the driver's."""
    return f"{exchange(token)}here"


def segment_folder(token: str, number: int) -> str:
    return f"{exchange(token, number)}segments/"


def sealed_journal(token: str, lease: Lease) -> str:
    """The whole journal of a sealed shard. It is a segment too: should the seal get lost, the next lease finds it."""
    return f"{segment_folder(token, lease.shard)}{lease.epoch}-sealed.sqlite"


def sealed_files(token: str, lease: Lease) -> str:
    """The folder of a sealed shard's Parquet files, a lease's own."""
    return f"{exchange(token, lease.shard)}{lease.epoch}/"


def forget(shared: Storage, prefix: str) -> None:
    """Remove what was on its way."""
    for name in shared.names(prefix):
        shared.remove(name)


def _check_shared(shared: Storage, task: Task) -> None:
    with contextlib.suppress(StorageError):
        if shared.read(marker(task.token)) is not None:
            return
    raise InputError(
        f"{task.shared} is not the same place on every machine of the cluster",
        code="R045",
        help="give --shared a folder that all machines mount, or a bucket such as s3://bucket/folder",
    )
