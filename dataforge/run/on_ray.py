"""A run on many machines: `dataforge run --on ray`.

The driver plans shards as a local run does, and leases them to workers, one actor each, that run the very same shard
code. It is Ray Core and nothing more: Ray starts the actors where there is room, carries questions and answers, and
says when an actor is lost. What must not be lost or doubled is ours: the table of leases, the journals, the seals.

The run directory is the driver's. A worker on the driver's machine keeps its journals right there; one on another
machine shares what it does through storage that all reach (see `worker`). The driver commits every seal as a local run
does, so a run that began here can go on without Ray, and the reverse.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import logging
import math
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dataforge.errors import DataForgeError, InputError, ProjectError, RunError
from dataforge.models.pool import Settings
from dataforge.run import endpoints, segments
from dataforge.run.engine import rows_at_once
from dataforge.run.journal import JOURNAL_NAME
from dataforge.run.leases import Lease, Leases
from dataforge.run.local import STATE, Run
from dataforge.run.progress import Gauges, Progress
from dataforge.run.quota import Demand, Limits, Quota
from dataforge.run.shard import Seal, ShardJobs, journal_header, shard_folder
from dataforge.run.storage import LocalStorage, Storage, make_folder, open_storage, write_durably
from dataforge.run.worker import (
    Ended,
    Orders,
    Report,
    Task,
    Worker,
    exchange,
    forget,
    marker,
    sealed_files,
    sealed_journal,
    segment_folder,
)

BEAT_S = 1.0
SILENCE_S = 30.0
"""A worker that does not answer for so long is lost."""
START_S = 300.0
"""How long a worker may take to come up: a cluster may have to add a machine for it."""
WIDTH = 4
"""Rows that a worker walks at once, over its equal part of the limits: room for what others leave at the end."""
MAX_LOST_IN_A_ROW = 5
BUSY_S = 5.0

logger = logging.getLogger("dataforge.run")


class RayRun(Run):
    """A run whose rows are walked by workers."""

    driver: _Driver | None = None

    async def _walk(self, listeners: Progress) -> None:
        _refuse_batches(self)
        _settle_environment()
        ray = _ray()
        with _cluster(ray, self.options.workers):
            self.driver = _Driver(self, listeners, ray)
            try:
                await self.driver.go()
            finally:
                self.calls, self.reused = self.driver.calls, self.driver.reused

    def _look(self) -> Gauges:
        return super()._look() if self.driver is None else self.driver.look(super()._look())

    # What the driver needs of a run.

    def shards(self) -> AsyncIterator[ShardJobs]:
        return self._shards()

    @functools.cached_property
    def token(self) -> str:
        """Of this run directory, for what workers keep elsewhere; it stays until every shard is whole."""
        path = self.options.out / STATE / "token"
        if not path.exists():
            make_folder(path.parent)
            write_durably(path, secrets.token_hex(8).encode())
        return path.read_text()

    def accept(self, lease: Lease, seal: Seal, shared: Storage | None) -> None:
        """Commit a seal as a local run does; the files are brought from shared storage first where that is given."""
        folder = shard_folder(self.options.out, lease.shard)
        if shared is not None:
            for old in folder.glob(f"{JOURNAL_NAME}*"):
                old.unlink()
            shared.get(sealed_journal(self.token, lease), folder / JOURNAL_NAME)
            for name in seal.files:
                shared.get(sealed_files(self.token, lease) + name, folder / name)
        self._commit(folder, seal)
        self.seals[seal.number] = seal
        self.whole.add(seal.number)
        if shared is not None:
            forget(shared, exchange(self.token, lease.shard))

    def hand_over(self, number: int, shared: Storage) -> None:
        """Share what the run directory holds of a shard, before a worker on another machine goes on with it."""
        journal = shard_folder(self.options.out, number) / JOURNAL_NAME
        segment = self.options.out / f"segment-{number}.sqlite"
        if journal.exists() and segments.export(journal, segment) is not None:
            shared.put(segment, f"{segment_folder(self.token, number)}journal.sqlite")
        segment.unlink(missing_ok=True)

    def bring_home(self, number: int, shared: Storage) -> None:
        """Load what workers on other machines shared of a shard that is not whole into the run directory's journal."""
        folder = shard_folder(self.options.out, number)
        segment = self.options.out / f"segment-{number}.sqlite"
        for name in shared.names(segment_folder(self.token, number)):
            shared.get(name, segment)
            segments.load(segment, folder, journal_header(self.id, number))
            segment.unlink()


@dataclass
class _Hand:
    """A worker as the driver sees it."""

    name: str
    actor: Any
    node: str = ""
    leases: dict[int, Lease] = field(default_factory=dict)
    in_flight: int = 0
    endpoints: Mapping[str, Any] = field(default_factory=dict)


class _Driver:
    """Leases shards to workers until all are whole."""

    def __init__(self, run: RayRun, listeners: Progress, ray: Any) -> None:
        self.run = run
        self.listeners = listeners
        self.ray = ray
        self.calls = self.reused = 0
        place = run.options.shared or str(run.options.out.absolute())
        self.shared = open_storage(place)
        self.leases: Leases[Seal] = Leases(clock=time.monotonic, first_epoch=time.time_ns() // 1_000_000)
        meters = {name: Settings.of(spec) for name, spec in run.specs.items()}
        names = {settings: name for name, settings in reversed(meters.items())}
        self.quota = Quota(
            {
                name: Limits(s.concurrency, s.requests_per_minute, s.tokens_per_minute)
                for s, name in names.items()
            },
            clock=time.monotonic,
        )
        self.workers = run.options.workers or max(
            1, sum(bool(n["Alive"] and n["Resources"].get("CPU")) for n in ray.nodes())
        )
        most = rows_at_once(run.specs, run.options.concurrency)
        self.task = Task(
            run=run.id,
            token=run.token,
            plan=run.plan.document,
            root=run.plan.project.root,
            specs=run.specs,
            meters={name: names[settings] for name, settings in meters.items()},
            seed=run.options.seed,
            shard_rows=run.shard_rows,
            width=max(1, min(most, math.ceil(WIDTH * most / self.workers))),
            reuse=tuple(path.absolute() for path in run.options.reuse),
            out=run.options.out.absolute(),
            shared=place,
            node=ray.get_runtime_context().get_node_id(),
        )
        self._hands: dict[str, _Hand] = {}
        self._shards = run.shards()
        self._rows: dict[int, Any] = {}
        self._planning = asyncio.Lock()
        self._all_planned = False
        self._failure: Exception | None = None
        self._lost_in_a_row = 0
        self._wanted_endpoints: tuple[endpoints.Command, ...] = ()
        self._refused = ""

    async def go(self) -> None:
        """Bring every shard to its end.

        Raises:
            RunError, InputError: as the engine does, or R045 where workers are lost again and again.
        """
        await asyncio.to_thread(self.shared.put_bytes, marker(self.task.token), b"")
        task = self.ray.put(self.task)
        places = [asyncio.create_task(self._keep_a_worker(place, task)) for place in range(self.workers)]
        try:
            await asyncio.gather(*places)
        finally:
            for place in places:
                place.cancel()
            await asyncio.gather(*places, return_exceptions=True)
        await asyncio.to_thread(self._clear)
        if self._failure is not None:
            raise self._failure
        if self.leases.given_up:
            raise RunError(
                f"shards {', '.join(map(str, sorted(self.leases.given_up)))} were lost by worker after worker, none of"
                " which got any further with them",
                code="R045",
                help="see the workers' logs on the cluster for what ends them, such as want of memory; then start the"
                " same command again: everything else is kept",
            )

    def look(self, here: Gauges) -> Gauges:
        """How the run stands: what is known here, and what the workers told last."""
        hands = self._hands.values()
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for hand in hands:
            for model, told in hand.endpoints.items():
                for endpoint in told:
                    known = found.setdefault(model, {}).setdefault(endpoint["url"], {})
                    for name, value in endpoint.items():
                        known[name] = known.get(name, 0) + value if isinstance(value, int) else value
        return replace(
            here,
            in_flight=sum(hand.in_flight for hand in hands),
            endpoints={model: list(by_url.values()) for model, by_url in found.items()},
        )

    # ---- workers

    async def _keep_a_worker(self, place: int, task: Any) -> None:
        """Have a worker at work; where one is lost, another takes its place."""
        actor_class = self.ray.remote(_Actor).options(
            num_cpus=1, max_concurrency=64, max_restarts=0, scheduling_strategy="SPREAD"
        )
        for start in range(1_000_000):
            hand = _Hand(f"worker {place}" + (f".{start}" if start else ""), actor_class.remote())
            try:
                await self._attend(hand, task)
                return
            except (
                self.ray.exceptions.RayActorError,
                self.ray.exceptions.RayTaskError,
                TimeoutError,
            ) as error:
                self._lose(hand, error)
            except DataForgeError as error:
                self._fail(error)
            finally:
                self._hands.pop(hand.name, None)
                self.ray.kill(hand.actor)
            if self._is_over():
                return

    def _lose(self, hand: _Hand, error: Exception) -> None:
        self.leases.lose(hand.name)
        self._lost_in_a_row += 1
        logger.warning("%s was lost", hand.name, extra={"event": "worker_lost", "why": type(error).__name__})
        if self._lost_in_a_row >= MAX_LOST_IN_A_ROW:
            self._fail(
                RunError(
                    f"{self._lost_in_a_row} workers were lost in a row, and nothing was done between: {error}"[
                        :500
                    ],
                    code="R045",
                    help="see the workers' logs on the cluster; DataForge and the project must be there on every machine",
                )
            )

    async def _attend(self, hand: _Hand, task: Any) -> None:
        """All that is between the driver and one worker, from its start to its end."""
        started = await self._started(hand, task)
        if started is None:
            return
        if isinstance(started, Exception):
            self._fail(started)
            return
        hand.node = started
        self._hands[hand.name] = hand
        beats = asyncio.create_task(self._keep_beating(hand))
        feeding = asyncio.create_task(self._feed(hand))
        try:
            done, _ = await asyncio.wait({beats, feeding}, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in (beats, feeding):
                each.cancel()
            await asyncio.gather(beats, feeding, return_exceptions=True)
        self._hear(hand, await asyncio.wait_for(hand.actor.beat.remote(Orders({})), SILENCE_S))

    async def _started(self, hand: _Hand, task: Any) -> str | Exception | None:
        """Where the worker came up, or why it did not; None where it is not wanted any more before there was room for it."""
        starting: asyncio.Future[str | Exception] = asyncio.ensure_future(hand.actor.start.remote(task))
        until = time.monotonic() + START_S
        while not self._is_over():
            done, _ = await asyncio.wait({starting}, timeout=0.2)
            if done:
                return starting.result()
            if time.monotonic() > until:
                raise TimeoutError("it did not come up")
        starting.cancel()
        return None

    async def _feed(self, hand: _Hand) -> None:
        """Give a worker a shard whenever it wants one, until there is nothing more to give."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while await hand.actor.wants.remote():
                lease = await self._next_lease(hand, under_way)
                if lease is None:
                    await hand.actor.finish.remote(is_whole=self._is_whole())
                    break
                under_way.add(asyncio.create_task(self._have_done(hand, lease)))
            await asyncio.gather(*under_way)
        finally:
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _next_lease(self, hand: _Hand, under_way: set[asyncio.Task[None]]) -> Lease | None:
        """A shard; waits while others have all that are left, since they may be lost."""
        while not self._is_over():
            for each in [each for each in under_way if each.done()]:
                each.result()
                under_way.remove(each)
            lease = self.leases.lease(hand.name, hand.node)
            if lease is None and await self._plan_one():
                continue
            if lease is not None:
                hand.leases[lease.shard] = lease
                if hand.node != self.task.node:
                    await asyncio.to_thread(self.run.hand_over, lease.shard, self.shared)
                return lease
            await asyncio.sleep(0.1)
        return None

    async def _plan_one(self) -> bool:
        """Read one more shard's rows from the seeds; False where there are no more."""
        async with self._planning:
            if self._all_planned or self.run.stop.is_set():
                return False
            shard = await anext(self._shards, None)
            if shard is None:
                self._all_planned = True
                return False
            rows = await asyncio.to_thread(lambda: [(job.row, job.walk, job.seed) for job in shard.jobs])
            self._rows[shard.number] = self.ray.put(rows)
            self.leases.add(shard.number)
            return True

    async def _have_done(self, hand: _Hand, lease: Lease) -> None:
        """Have a worker do a shard, and see to how that ends."""
        ended: Ended = await hand.actor.take.remote(lease, self._rows[lease.shard])
        hand.leases.pop(lease.shard, None)
        away = None if hand.node == self.task.node else self.shared
        if ended.error is not None:
            self._fail(ended.error)
            self.leases.give_back(lease)
        elif ended.busy:
            self.leases.give_back(lease, BUSY_S)
        elif ended.seal is None:
            if self.leases.leave(lease):
                self.run.planned += ended.beyond
        elif self.leases.seal(lease, ended.seal):
            self._lost_in_a_row = 0
            self.run.planned += ended.beyond
            try:
                await asyncio.to_thread(self.run.accept, lease, ended.seal, away)
            except DataForgeError as error:
                self._fail(error)
            else:
                del self._rows[lease.shard]
        elif away is not None:
            await asyncio.to_thread(forget, away, sealed_files(self.task.token, lease))

    async def _keep_beating(self, hand: _Hand) -> None:
        slices = self.quota.ask(hand.name, {meter: Demand(0, self.task.width) for meter in self.quota.names})
        while True:
            orders = Orders(slices, self._commands(), self.run.stop.reason)
            report = await asyncio.wait_for(hand.actor.beat.remote(orders), SILENCE_S)
            self._hear(hand, report)
            for lease in hand.leases.values():
                self.leases.renew(lease, progressed=lease.shard in report.progressed)
            slices = self.quota.ask(hand.name, report.demands)
            until = time.monotonic() + BEAT_S
            while time.monotonic() < until and self.run.stop.reason == orders.stop:  # noqa: ASYNC110 - it is a clock, too
                await asyncio.sleep(0.05)

    def _commands(self) -> tuple[endpoints.Command, ...]:
        """What people want of the endpoints; the last that could be read, where the file is damaged."""
        try:
            self._wanted_endpoints = endpoints.read(self.run.options.out)
            self._refused = ""
        except InputError as error:
            if error.message != self._refused:
                logger.warning("%s", error.message, extra={"event": "endpoint_command_refused"})
            self._refused = error.message
        return self._wanted_endpoints

    def _hear(self, hand: _Hand, report: Report) -> None:
        for event in report.calls:
            self.calls += not event.reused
            self.reused += event.reused
            self.listeners.call(event)
        for status, code in report.rows:
            self.listeners.row(status, code)
        for record in report.logs:
            about = {**record, "worker": hand.name}
            logging.getLogger(str(record["name"])).handle(logging.makeLogRecord(about))
        if report.calls or report.rows:
            self._lost_in_a_row = 0
        hand.in_flight, hand.endpoints = report.in_flight, report.endpoints
        if report.stop is not None:
            self.run.stop.set(report.stop)

    # ---- the end

    def _is_over(self) -> bool:
        return self.run.stop.is_set() or (self._all_planned and self.leases.done)

    def _is_whole(self) -> bool:
        return self._all_planned and self.leases.done and not (self.leases.given_up or self.leases.left)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self.run.stop.set("an error ended the run")

    def _clear(self) -> None:
        """Bring home what is left of shards that are not whole, and remove all that was on its way."""
        for number in self._rows:
            self.run.bring_home(number, self.shared)
        forget(self.shared, exchange(self.task.token))
        if isinstance(self.shared, LocalStorage) and self.shared.local is not None:
            with contextlib.suppress(OSError):
                for folder in sorted((self.shared.local / "exchange").rglob("*"), reverse=True):
                    folder.rmdir()
                (self.shared.local / "exchange").rmdir()


class _Actor:
    """A worker, as a Ray actor. It ends with the driver's process: it is not detached."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    async def start(self, task: Task) -> str | Exception:
        """Come up; returns the machine that this is, or why that did not work."""
        node: str = _ray().get_runtime_context().get_node_id()
        try:
            self.worker = Worker(task, node)
        except Exception as error:  # noqa: BLE001 - the driver raises it
            return error
        self.worker.start()
        return node

    async def wants(self) -> bool:
        assert self.worker is not None
        return await self.worker.wants()

    async def take(self, lease: Lease, rows: Any) -> Ended:
        assert self.worker is not None
        return await self.worker.take(lease, rows)

    async def beat(self, orders: Orders) -> Report:
        assert self.worker is not None
        return await self.worker.beat(orders)

    async def finish(self, *, is_whole: bool) -> None:
        assert self.worker is not None
        self.worker.finish(is_whole=is_whole)


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            "--on ray needs Ray, which is not installed",
            code="R038",
            help="pip install 'dataforge-compiler[ray]'",
        ) from error


def _settle_environment() -> None:
    """What Ray reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_ADDRESS" not in os.environ and "ray" not in sys.modules:
        # Whoever reaches a cluster runs code on it, and other users of this machine reach its loopback interface.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextlib.contextmanager
def _cluster(ray: Any, workers: int | None) -> Iterator[None]:
    """The cluster that `RAY_ADDRESS` names, or one on this machine for as long as the run lasts."""
    address = os.environ.get("RAY_ADDRESS")
    here: dict[str, Any] = {}
    if not address:
        here = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": workers or 1}
    # Ray takes SIGTERM for itself, and ends the process at once; ours lets the calls in flight come home.
    theirs = threading.current_thread() is not threading.main_thread()
    handlers = (
        {} if theirs else {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    )
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **here
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster at {address or 'this machine'}: {error}"[:500],
            code="R045",
            help="set RAY_ADDRESS to the address of a running cluster, or unset it to start one here",
        ) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_batches(run: Run) -> None:
    for spec in run.specs.values():
        if spec.backend == "openai_batch":
            raise ProjectError(
                f"model `{spec.name}` is asked in batches, which one process has to wait for",
                code="R045",
                help='run it with --on local, or without mode = "batch"',
            )
