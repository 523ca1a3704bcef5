"""What 64 workers make of 1,000 endpoint slots while both come and go: a simulation around the real shard table and quota.

    python benchmarks/simulate_cluster.py --quick

A discrete-event simulation: seeded, single-threaded, in virtual time, so the machine's load changes nothing but the CPU
figures. `dataforge.run.leases` and `dataforge.run.quota` are the ones that `--on ray` uses; the workers, their calls
and the endpoints are simulated. A row is some calls one after another, a call takes a log-normal time. Endpoints and
workers are preempted at exponential intervals and replaced after a while. A preempted worker loses its calls in flight
and those finished since it last exported its journal; one in ten is only cut off, works on as long as its slice lets
it, and reports when the network is back: a zombie. An endpoint that goes takes its calls with it.

The baseline, `static`, has the same workers, exports and endpoints, but what one writes without a driver: each worker
has a fixed part of the shards and of the slots, and its replacement goes on where it was.

Figures, of `ours` and `static` each: `utilisation` of the slots that were there, to the end and `before_the_tail`;
`redone` calls over needed ones, by whose loss; `tail_s`, from the moment at which fewer than 90% of the slots that were
there had a call to the end; `zombie_seals` that came late and were dropped; `doubled_shards`, whose rows were delivered twice. And for ours: `messages_per_s` to the
driver, and `driver_cpu_s_per_1000_shards` in the table and the quota. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from dataforge.run.leases import Lease, Leases
from dataforge.run.quota import SLICE_S, Demand, Limits, Quota

MODEL = "writer"
CHECK_S = 1.0
"""Every so often a worker speaks with the driver, and how busy the slots are is looked at."""


@dataclass(frozen=True)
class Setting:
    """The cluster and the work. Times are in seconds."""

    workers: int = 64
    slots: int = 1_000
    endpoints: int = 20
    shards: int = 1_500
    rows: int = 200
    calls: int = 3
    median_s: float = 2.0
    sigma: float = 0.8
    worker_life_s: float = 1_800.0
    worker_away_s: float = 60.0
    endpoint_life_s: float = 3_600.0
    endpoint_away_s: float = 180.0
    cut_off: float = 0.1
    export_s: float = 5.0
    noticed_s: float = 10.0
    trip_s: float = 0.02
    width: float = 4.0
    """Rows that a worker walks at once, over its equal part of the slots."""


@dataclass(eq=False)
class Endpoint:
    slots: int
    up: bool = True
    busy: set[Call] = field(default_factory=set)
    queue: deque[Call] = field(default_factory=deque)


@dataclass(eq=False)
class Call:
    work: Work
    row: int
    endpoint: Endpoint
    over: bool = False


@dataclass(eq=False)
class Work:
    """A shard in a worker's hands: calls done by row, rows that are not begun, how many have not ended, calls exported."""

    worker: Worker
    shard: int
    lease: Lease
    done: list[int]
    todo: deque[int]
    left: int
    exported: int


@dataclass(eq=False)
class Worker:
    name: str
    place: int
    alive: bool = True
    cut: bool = False
    slots: int = 0
    until: float = 0.0
    asking: bool = False
    works: list[Work] = field(default_factory=list)
    ready: deque[tuple[Work, int]] = field(default_factory=deque)
    flying: set[Call] = field(default_factory=set)

    @property
    def under_way(self) -> int:
        return len(self.flying) + len(self.ready)


class Ours:
    """The table and the quota, with the CPU that they take."""

    def __init__(self, setting: Setting, clock: Callable[[], float]) -> None:
        self.leases: Leases[int] = Leases(range(setting.shards), clock=clock)
        self.quota = Quota({MODEL: Limits(setting.slots)}, clock=clock)
        self.cpu_s = 0.0
        self.messages = 0

    def lease(self, worker: Worker) -> Lease | None:
        return self._timed(lambda: self.leases.lease(worker.name, worker.name))

    def check(self, worker: Worker, demand: Demand) -> tuple[int, float]:
        def answer() -> int:
            for work in worker.works:
                self.leases.renew(work.lease, progressed=True)
            return self.quota.ask(worker.name, {MODEL: demand})[MODEL].concurrency

        return self._timed(answer), SLICE_S

    def seal(self, work: Work) -> bool:
        return self._timed(lambda: self.leases.seal(work.lease, work.lease.epoch))

    def lose(self, worker: Worker) -> None:
        self._timed(lambda: self.leases.lose(worker.name))

    def _timed(self, do: Callable[[], Any]) -> Any:
        self.messages += 1
        began = time.perf_counter()
        try:
            return do()
        finally:
            self.cpu_s += time.perf_counter() - began


class Static:
    """Shard n belongs to place n mod workers, and so does its part of the slots."""

    def __init__(self, setting: Setting, clock: Callable[[], float]) -> None:
        places = setting.workers
        self.todo = [deque(range(place, setting.shards, places)) for place in range(places)]
        self.slots = [setting.slots // places + (place < setting.slots % places) for place in range(places)]
        self.cpu_s = 0.0
        self.messages = 0

    def lease(self, worker: Worker) -> Lease | None:
        todo = self.todo[worker.place]
        return Lease(todo.popleft(), 0, worker.name) if todo else None

    def check(self, worker: Worker, demand: Demand) -> tuple[int, float]:
        return self.slots[worker.place], float("inf")

    def seal(self, work: Work) -> bool:
        return True

    def lose(self, worker: Worker) -> None:
        self.todo[worker.place].extendleft(work.shard for work in reversed(worker.works))


class Simulation:
    """One run of one policy, to its end."""

    def __init__(self, setting: Setting, policy: type[Ours | Static], seed: int) -> None:
        self.setting = setting
        self.random = random.Random(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = 0
        self.policy = policy(setting, lambda: self.now)
        part = setting.slots // setting.endpoints
        self.endpoints = [Endpoint(part) for _ in range(setting.endpoints)]
        self.width = max(1, int(setting.width * setting.slots / setting.workers))
        self.saved = [[0] * setting.rows for _ in range(setting.shards)]
        self.whole: set[int] = set()
        self.workers: list[Worker] = []
        self.counts: Counter[str] = Counter()
        self.busy_s = self.there_s = self.full_busy_s = self.full_there_s = 0.0
        self.full_until = 0.0

    def run(self) -> dict[str, Any]:
        for place in range(self.setting.workers):
            self.join(place)
        for endpoint in self.endpoints:
            self.after(
                self.random.expovariate(1 / self.setting.endpoint_life_s), lambda e=endpoint: self.leave(e)
            )
        self.after(CHECK_S, self.look)
        while len(self.whole) < self.setting.shards:
            self.now, _, event = heapq.heappop(self.events)
            event()
        needed = self.setting.shards * self.setting.rows * self.setting.calls
        found: dict[str, Any] = {
            "wall_s": round(self.now),
            "utilisation": round(self.busy_s / self.there_s, 4),
            "before_the_tail": round(self.full_busy_s / self.full_there_s, 4),
            "redone": {
                "by_workers": round(self.counts["redone by workers"] / needed, 5),
                "by_endpoints": round(self.counts["redone by endpoints"] / needed, 5),
            },
            "redone_calls_per_lost_worker": round(
                self.counts["redone by workers"] / max(1, self.counts["workers lost"]), 1
            ),
            "tail_s": round(self.now - self.full_until),
            "workers_lost": self.counts["workers lost"],
            "zombie_seals": self.counts["zombie seals"],
            "doubled_shards": self.counts["doubled shards"],
        }
        if isinstance(self.policy, Ours):
            assert self.policy.leases.done
            assert not self.policy.leases.given_up
            assert not self.counts["doubled shards"]
            found["messages_per_s"] = round(self.policy.messages / self.now, 1)
            found["driver_cpu_s_per_1000_shards"] = round(self.policy.cpu_s / self.setting.shards * 1000, 3)
            found["driver_cpu_share"] = round(self.policy.cpu_s / self.now, 5)
        return found

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.events, (self.now + seconds, self.number, event))

    def look(self) -> None:
        there = sum(endpoint.slots for endpoint in self.endpoints if endpoint.up)
        busy = sum(len(endpoint.busy) for endpoint in self.endpoints)
        self.there_s += there * CHECK_S
        self.busy_s += busy * CHECK_S
        if busy >= 0.9 * there:
            self.full_until = self.now
            self.full_busy_s, self.full_there_s = self.busy_s, self.there_s
        self.after(CHECK_S, self.look)

    # ---- workers

    def join(self, place: int) -> None:
        worker = Worker(f"{place}-{self.number}", place)
        self.workers.append(worker)
        self.after(self.random.expovariate(1 / self.setting.worker_life_s), lambda: self.preempt(worker))
        self.after(self.random.random() * CHECK_S, lambda: self.check(worker))
        self.after(self.random.random() * self.setting.export_s, lambda: self.export(worker))

    def check(self, worker: Worker) -> None:
        """Speak with the driver: renew what is held, ask for a slice, and for a shard where rows are wanting."""
        if not worker.alive or worker.cut:
            return
        unbegun = sum(len(work.todo) for work in worker.works)
        waiting = len(worker.ready) + min(unbegun, max(0, self.width - worker.under_way))
        worker.slots, for_s = self.policy.check(worker, Demand(len(worker.flying), waiting))
        worker.until = self.now + for_s
        self.go_on(worker)
        self.after(CHECK_S, lambda: self.check(worker))

    def export(self, worker: Worker) -> None:
        if not worker.alive or worker.cut:
            return
        for work in worker.works:
            self.saved[work.shard] = work.done.copy()
            work.exported = sum(work.done)
        self.after(self.setting.export_s, lambda: self.export(worker))

    def go_on(self, worker: Worker) -> None:
        """Begin rows and calls as far as width and slice let it."""
        if not worker.alive:
            return
        while worker.under_way < self.width:
            work = next((work for work in worker.works if work.todo), None)
            if work is None:
                self.want_shard(worker)
                break
            worker.ready.append((work, work.todo.popleft()))
        while worker.ready and len(worker.flying) < worker.slots and self.now < worker.until:
            self.begin(worker, *worker.ready.popleft())

    def want_shard(self, worker: Worker) -> None:
        if not worker.asking and not worker.cut:
            worker.asking = True
            self.after(self.setting.trip_s, lambda: self.take_shard(worker))

    def take_shard(self, worker: Worker) -> None:
        if not worker.alive or worker.cut:
            return
        lease = self.policy.lease(worker)
        if lease is None:
            self.after(CHECK_S, lambda: setattr(worker, "asking", False))
            return
        worker.asking = False
        done = self.saved[lease.shard].copy()
        todo = deque(row for row, calls in enumerate(done) if calls < self.setting.calls)
        work = Work(worker, lease.shard, lease, done, todo, len(todo), sum(done))
        worker.works.append(work)
        if work.left == 0:
            self.seal(work)
        self.go_on(worker)

    def seal(self, work: Work) -> None:
        work.worker.works.remove(work)
        if not self.policy.seal(work):
            self.counts["zombie seals"] += 1
            self.counts["redone by workers"] += sum(work.done) - work.exported
        elif work.shard in self.whole:
            self.counts["doubled shards"] += 1
        else:
            self.whole.add(work.shard)

    def preempt(self, worker: Worker) -> None:
        self.counts["workers lost"] += 1
        self.after(self.setting.noticed_s, lambda: self.policy.lose(worker))
        self.after(self.setting.worker_away_s, lambda: self.join(worker.place))
        if self.random.random() < self.setting.cut_off:
            worker.cut = True
            self.after(self.setting.worker_away_s, lambda: self.come_back(worker))
        else:
            self.die(worker)

    def come_back(self, worker: Worker) -> None:
        """A zombie reports what it finished, and ends."""
        for work in [work for work in worker.works if work.left == 0]:
            self.seal(work)
        self.die(worker)

    def die(self, worker: Worker) -> None:
        worker.alive = False
        self.workers.remove(worker)
        lost = sum(sum(work.done) - work.exported for work in worker.works)
        self.counts["redone by workers"] += lost + len(worker.flying)
        for call in list(worker.flying):
            self.end(call)

    # ---- calls

    def begin(self, worker: Worker, work: Work, row: int) -> None:
        up = [endpoint for endpoint in self.endpoints if endpoint.up]
        endpoint = min(up, key=lambda e: len(e.busy) + len(e.queue))
        call = Call(work, row, endpoint)
        worker.flying.add(call)
        if len(endpoint.busy) < endpoint.slots:
            self.serve(call)
        else:
            endpoint.queue.append(call)

    def serve(self, call: Call) -> None:
        call.endpoint.busy.add(call)
        seconds = self.setting.median_s * self.random.lognormvariate(0.0, self.setting.sigma)
        self.after(seconds, lambda: self.answer(call))

    def end(self, call: Call) -> None:
        """Free the call's slot for the next in the queue."""
        call.over = True
        call.work.worker.flying.discard(call)
        endpoint = call.endpoint
        endpoint.busy.discard(call)
        while endpoint.up and endpoint.queue and len(endpoint.busy) < endpoint.slots:
            following = endpoint.queue.popleft()
            if not following.over:
                self.serve(following)

    def answer(self, call: Call) -> None:
        if call.over:
            return
        self.end(call)
        work, worker = call.work, call.work.worker
        work.done[call.row] += 1
        if work.done[call.row] < self.setting.calls:
            worker.ready.appendleft((work, call.row))
        else:
            work.left -= 1
            if work.left == 0 and not worker.cut:
                self.seal(work)
        self.go_on(worker)

    def leave(self, endpoint: Endpoint) -> None:
        endpoint.up = False
        gone = [*endpoint.busy, *(call for call in endpoint.queue if not call.over)]
        self.counts["redone by endpoints"] += len(endpoint.busy)
        endpoint.queue.clear()
        for call in gone:
            self.end(call)
            call.work.worker.ready.appendleft((call.work, call.row))
        for worker in {call.work.worker: None for call in gone}:
            self.go_on(worker)
        self.after(self.setting.endpoint_away_s, lambda: self.back(endpoint))

    def back(self, endpoint: Endpoint) -> None:
        endpoint.up = True
        self.after(self.random.expovariate(1 / self.setting.endpoint_life_s), lambda: self.leave(endpoint))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the shards")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    setting = Setting(shards=500 if arguments.quick else 2_000)
    found: dict[str, Any] = {"setting": asdict(setting)}
    for name, policy in (("ours", Ours), ("static", Static)):
        found[name] = Simulation(setting, policy, arguments.seed).run()
        print(f"{name:7} " + "  ".join(f"{key} {value}" for key, value in found[name].items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
