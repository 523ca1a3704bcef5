"""The state of a run in a file, `live.json`, rewritten about each second: for other terminals and other machines.

Writers and readers share one document, `Snapshot`, and nothing else. The file appears whole or not at all, is not
synced (it is of no use after a power cut), and a disk that refuses it is logged once and never ends the run.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataforge.errors import OutputError
from dataforge.run.progress import CallEvent, Gauges, Progress, State
from dataforge.run.statistics import Statistics

NAME = "live.json"
EVERY_S = 1.0
STALE_AFTER_S = 10.0
"""A file of a run under way that is older has been left behind: its process is gone, or hangs."""
SPEED_OVER_S = 30.0
"""Speeds are those of so many seconds past, so that a pause is seen."""
NOTES = 20

logger = logging.getLogger("dataforge.run")


class _Part(BaseModel):
    # Keys that a later release adds are passed over, so that its runs can be watched too.
    model_config = ConfigDict(extra="ignore", frozen=True)


class RowsNow(_Part):
    """Rows: to be attempted in all (None where that is not known), finished by earlier starts, and ended in this one."""

    planned: int | None
    earlier: int
    by_status: dict[str, int]
    rejected_by: dict[str, int]
    failed_by: dict[str, int]

    @property
    def done(self) -> int:
        return self.earlier + sum(n for status, n in self.by_status.items() if status != "filtered")


class ShardsNow(_Part):
    """Shards: how many there will be (None where that is not known), and how many are finished."""

    planned: int | None
    whole: int


class CallsNow(_Part):
    """Calls of this start. `retries` are requests beyond one a call."""

    made: int
    reused: int
    retries: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class SpeedNow(_Part):
    """What was done a second, over the last `over_s` seconds."""

    over_s: float
    calls: float
    tokens: float


class NodeNow(_Part):
    """The calls of one node and purpose; the latencies are seconds that so many percent did not exceed."""

    node: str
    purpose: str
    calls: int
    reused: int
    retries: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    p50_s: float
    p95_s: float
    p99_s: float


class NoteNow(_Part):
    at: datetime
    message: str


class Snapshot(_Part):
    """What `live.json` holds; docs/observing.md says it for people."""

    version: Literal[1]
    pid: int = Field(gt=0)
    host: str
    started_at: datetime
    updated_at: datetime
    state: State
    why: str
    rows: RowsNow
    shards: ShardsNow
    calls: CallsNow
    speed: SpeedNow
    nodes: list[NodeNow]
    models: dict[str, str]
    endpoints: dict[str, Any]
    notes: list[NoteNow]

    @property
    def over(self) -> bool:
        return self.state in ("done", "stopped")

    def stale(self, now: datetime) -> str | None:
        """Why nobody writes this any more, or None where somebody does, or where the run is over."""
        age = (now - self.updated_at).total_seconds()
        if self.over or age <= STALE_AFTER_S:
            return None
        gone = self.host == socket.gethostname() and not _alive(self.pid)
        return f"{'its process is gone; ' if gone else ''}not updated for {age:,.0f} s"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def read_live(directory: Path) -> Snapshot:
    """The state of the run in a directory.

    Raises:
        OutputError: R023, where no run has told its state there.
    """
    path = directory / NAME
    try:
        return Snapshot.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise OutputError(
            f"{directory} holds no run that can be watched: it has no {NAME}",
            code="R023",
            help="name the --out directory of a run that has begun",
        ) from error
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror}", code="R023") from error
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, told["loc"]))
        raise OutputError(
            f"{path} is not the state of a run{' at ' + where if where else ''}: {told['msg']}",
            code="R023",
            help="it was damaged, or written by another version of dataforge",
        ) from error


def nodes_of(statistics: Statistics) -> list[NodeNow]:
    """The calls of each node and purpose, by name: which is heard of first may differ from run to run."""
    return [
        NodeNow(
            node=node,
            purpose=purpose,
            calls=counts.calls,
            reused=counts.reused,
            retries=counts.retries,
            prompt_tokens=counts.prompt_tokens,
            completion_tokens=counts.completion_tokens,
            cost=counts.cost,
            p50_s=round(counts.latency.percentile(50), 4),
            p95_s=round(counts.latency.percentile(95), 4),
            p99_s=round(counts.latency.percentile(99), 4),
        )
        for (node, purpose), counts in sorted(statistics.by_step().items(), key=lambda item: item[0])
    ]


async def keep_telling(progress: Progress, look: Callable[[], Gauges]) -> None:
    """Tell the listeners how the run stands, about each second, until cancelled."""
    while True:
        progress.gauge(look())
        await asyncio.sleep(EVERY_S)


class Speed:
    """Calls and tokens a second over the last `SPEED_OVER_S`, from their running totals."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def at(self, now: float, calls: int, tokens: int) -> tuple[float, float]:
        """Speeds at a moment; the first call is the zero of the clock. Steps under half a second are not kept."""
        seen = self._seen
        while len(seen) > 1 and seen[1][0] <= now - SPEED_OVER_S:
            seen.popleft()
        if not seen:
            seen.append((now, calls, tokens))
        since, calls_then, tokens_then = seen[0]
        seconds = max(1.0, now - since)
        if now - seen[-1][0] >= 0.5:
            seen.append((now, calls, tokens))
        return (calls - calls_then) / seconds, (tokens - tokens_then) / seconds


class Live(Progress):
    """Hears a run and writes its state whenever it is told how things stand.

    Writing waits for the disk, and a disk that syncs a journal makes others wait; so it is done beside the loop, one
    write at a time, and a state that comes while another is being written is passed over.

    Args:
        put: stores the bytes of `live.json`; may refuse with an OSError or a StorageError.
        clean: what every text passes, to blot secrets.
    """

    def __init__(self, put: Callable[[bytes], None], clean: Callable[[str], str] = str) -> None:
        self.put = put
        self.clean = clean
        self.statistics = Statistics()
        self.planned: int | None = None
        self.earlier = 0
        self.models: dict[str, str] = {}
        self.notes: deque[NoteNow] = deque(maxlen=NOTES)
        self.started_at = datetime.now(UTC)
        self.last = Gauges()
        self._speed = Speed()
        self._pen: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._refused = False

    @classmethod
    def in_folder(cls, out: Path, clean: Callable[[str], str] = str) -> Live:
        """One that writes `OUT/live.json`."""
        return cls(lambda data: _replace_file(out / NAME, data), clean)

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        self.planned, self.earlier = rows or None, done
        self.models = {name: self._text(bound) for name, bound in models.items()}
        self._pen = ThreadPoolExecutor(1, thread_name_prefix="live.json")
        self.gauge(self.last)

    def call(self, event: CallEvent) -> None:
        self.statistics.add_call(event)

    def row(self, status: str, code: str | None) -> None:
        self.statistics.add_row(status, code)

    def note(self, message: str) -> None:
        self.notes.append(NoteNow(at=datetime.now(UTC), message=self._text(message)))

    def gauge(self, now: Gauges) -> None:
        self.last = now
        if self._pen is not None and (self._writing is None or self._writing.done()):
            self._writing = self._pen.submit(self._write, self.snapshot())

    def end(self) -> None:
        if self._pen is None:
            return
        self._pen.shutdown()
        self._pen = None
        if self.last.state in ("running", "stopping"):
            # Nobody said that the run was done, so it was not.
            self.last = replace(self.last, state="stopped")
        self.last = replace(self.last, in_flight=0)
        self._write(self.snapshot())

    def snapshot(self) -> Snapshot:
        """The state now."""
        total, now = self.statistics.total(), self.last
        calls, tokens = self._speed.at(time.monotonic(), total.calls, total.completion_tokens)
        return Snapshot(
            version=1,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=self.started_at,
            updated_at=datetime.now(UTC),
            state=now.state,
            why=self._text(now.why),
            rows=RowsNow(
                planned=self.planned,
                earlier=self.earlier,
                by_status=self.statistics.by_status,
                rejected_by=self.statistics.rejected_by,
                failed_by=self.statistics.failed_by,
            ),
            shards=ShardsNow(planned=now.shards or None, whole=now.shards_whole),
            calls=CallsNow(
                made=total.calls,
                reused=total.reused,
                retries=total.retries,
                in_flight=now.in_flight,
                prompt_tokens=total.prompt_tokens,
                completion_tokens=total.completion_tokens,
                cost=total.cost,
            ),
            speed=SpeedNow(over_s=SPEED_OVER_S, calls=round(calls, 2), tokens=round(tokens, 1)),
            nodes=nodes_of(self.statistics),
            models=self.models,
            endpoints=dict(now.endpoints),
            notes=list(self.notes),
        )

    def _text(self, text: str) -> str:
        # Half a surrogate pair, which a server's error message may hold, is no JSON that all readers take.
        return self.clean(text).encode("utf-8", "backslashreplace").decode("utf-8")

    def _write(self, state: Snapshot) -> None:
        try:
            text = json.dumps(state.model_dump(), ensure_ascii=False, default=_odd, indent=1)
            self.put((self.clean(text) + "\n").encode("utf-8", "replace"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is worth more than the telling of it
            if not self._refused:
                self._refused = True
                logger.warning(
                    "the state of the run cannot be written, so `dataforge show --live` will not see it: %s",
                    error,
                    extra={"event": "live_not_written"},
                )


def _odd(value: object) -> str:
    """Times; and what a backend may tell of its endpoints that is no JSON."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _replace_file(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    temporary.replace(path)
