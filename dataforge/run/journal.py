"""The journal of a shard: every model call and every finished row, on disk before anyone builds on it.

What comes in are `CallRecord`s, as calls return, and `Outcome`s, as rows end. What goes out, on a second start, are the
replies that need not be paid for again and the rows that need not be walked again; and, when the shard has ended, the
lines of its rows in row order for the corpus. The promise: once a put has returned, the record survives `kill -9` and a
power cut, and is there exactly once. After a crash, at most the calls that were in flight are made twice.

It is an SQLite database (see `database`). One thread writes. It takes all that has queued up while the last transaction
was being synced and makes that the next transaction, so a sync (4 to 8 ms) is shared by all who wait (group commit).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from dataforge.errors import OutputError
from dataforge.models.client import ChatReply
from dataforge.run import database
from dataforge.run.output import line
from dataforge.run.statistics import Statistics
from schemas.corpus import Row

JOURNAL_NAME = "journal.sqlite"
LOCK_NAME = "journal.lock"

Purpose = Literal["ask", "judge"]
Status = Literal["kept", "rejected", "failed"]

OUTCOMES_TABLE = (
    "CREATE TABLE outcomes(row INTEGER PRIMARY KEY, status TEXT NOT NULL, code TEXT, payload BLOB NOT NULL)"
)
_TABLES = (
    "CREATE TABLE header(name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    database.CALLS_TABLE,
    OUTCOMES_TABLE,
)
_PUT_CALL = (
    f"INSERT INTO calls({database.CALL_COLUMNS}, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - fixed words
    " ON CONFLICT(key) DO NOTHING"
)
# A failure is no answer: only it may be replaced, by what a later attempt at the row gives.
_PUT_OUTCOME = (
    "INSERT INTO outcomes(row, status, code, payload) VALUES (?, ?, ?, ?) ON CONFLICT(row) DO UPDATE"
    " SET status = excluded.status, code = excluded.code, payload = excluded.payload WHERE outcomes.status = 'failed'"
)
_CALLS_AFTER = f"SELECT seq, {database.CALL_COLUMNS}, payload FROM calls WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
_OUTCOMES_AFTER = "SELECT row, status, code, payload FROM outcomes WHERE row > ? ORDER BY row LIMIT ?"

_LARGEST_GROUP = 1024  # records in one transaction
_PAGE = 256  # records read at a time, so that no long read holds the write-ahead log from being folded back


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One model call that came back.

    The request is not kept: the key stands for it, and the plan and the seed make it again.

    Attributes:
        key: content address of the request, from `ChatRequest.key`.
        row: number of the row whose walk made the call.
        node: the node that asked.
        model: the model's logical name in the `.forge` file.
        purpose: whether it was asked to make something or to judge it.
        reply: what came back.
        started_at: Unix seconds.
        cost: by the prices of the binding; 0 where it has none.
        reused: whether the reply was taken over from another run, and so was not paid for in this one.
    """

    key: str
    row: int
    node: str
    model: str
    purpose: Purpose
    reply: ChatReply
    started_at: float
    cost: float = 0.0
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row of the run ended.

    Attributes:
        row: its number.
        status: `kept`, `rejected`, or `failed` (a model or the machine let us down: it may be tried again).
        rows: what the corpus gets: the final sample and its calls. A row with a `reason` goes to the rejected ones,
            and unless the outcome is `kept`, every row must have one.
        code: why the row was not kept, for counting; None where it was.
    """

    row: int
    status: Status
    rows: tuple[Row, ...] = ()
    code: str | None = None

    def __post_init__(self) -> None:
        if self.status != "kept" and any(row.reason is None for row in self.rows):
            raise ValueError(f"row {self.row} is {self.status}, but a corpus row of it gives no reason")


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """An outcome as the journal keeps it: its rows as lines of JSON, in the form of the corpus (see `output`)."""

    row: int
    status: Status
    code: str | None
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Put:
    """A record on its way to the writer, and who waits for it. It is sealed there, where that holds up nobody."""

    statement: str
    columns: tuple[Any, ...]
    content: bytes
    compress: bool
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Journal:
    """The open journal of a shard; make one with `Journal.open`, and `close` it or use it in a `with`."""

    def __init__(self, path: Path, writer: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self.commits = 0
        """Transactions made durable since opening: fewer than the puts where group commit did its work."""
        self._writer = writer
        self._reader = database.connect(path)
        self._keys = {key for (key,) in self._reader.execute("SELECT key FROM calls")}
        self._lock = lock
        self._queue: queue.SimpleQueue[_Put | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, directory: Path, header: Mapping[str, str]) -> Journal:
        """Open the journal in a directory, or begin one; the directory is made (for its owner only) where it is missing.

        Args:
            directory: where `journal.sqlite` lies or shall lie.
            header: what the journal belongs to, stored by the first opening; every later one must bring the same.

        Raises:
            OutputError: R020 where the journal is of another run, of a newer DataForge or no journal, R046 where it is
                of an older one; R021 where the directory may not be written; R022 where another run has it open.
            StorageError: R021 where the disk is full or failing.
        """
        path = directory / JOURNAL_NAME
        with database.refusing(directory, opening=True):
            database.make_private(directory)
            lock = database.take_lock(directory / LOCK_NAME, str(directory))
        try:
            with database.refusing(directory, opening=True):
                database.touch_private(path)
            with database.refusing(path):
                writer = database.connect(path)
            try:
                with database.refusing(path):
                    database.prepare(writer, path, _TABLES)
                    _begin_or_check(writer, path, header)
                    return cls(path, writer, lock)
            except BaseException:
                writer.close()
                raise
        except BaseException:
            os.close(lock)
            raise

    def reply(self, key: str) -> ChatReply | None:
        """The reply that the journal holds for a call, or None where it was never made.

        Raises:
            StorageError: where the record is damaged.
        """
        if bytes.fromhex(key) not in self._keys:
            return None
        return find_reply(self._reader, key, self.path)

    async def put_call(self, record: CallRecord) -> None:
        """Store a call; returns once it is durable. A key that is there already keeps its first reply.

        Raises:
            StorageError: where the disk refused, now or at an earlier put: what was acknowledged before is kept.
        """
        reply = record.reply
        key = bytes.fromhex(record.key)
        columns = (
            key,
            record.row,
            record.node,
            record.model,
            record.purpose,
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.attempts,
            float(reply.latency_s),
            float(record.cost),
            int(record.reused),
            float(record.started_at),
        )
        await self._put(_PUT_CALL, columns, database.to_json(_said(reply)), compress=True)
        self._keys.add(key)

    async def put_outcome(self, outcome: Outcome) -> None:
        """Store how a row ended; returns once it is durable. Only a failed row may end anew.

        Raises:
            StorageError: as for `put_call`.
        """
        columns = (outcome.row, outcome.status, outcome.code)
        # Not compressed: it is gone as soon as the shard is whole.
        await self._put(_PUT_OUTCOME, columns, b"\n".join(map(line, outcome.rows)), compress=False)

    def finished(self) -> dict[int, Status]:
        """The status of every row that has ended, by its number."""
        with database.refusing(self.path):
            return dict(self._reader.execute("SELECT row, status FROM outcomes ORDER BY row"))

    def outcomes(self) -> Iterator[StoredOutcome]:
        """All outcomes in row order, read a page at a time.

        Raises:
            StorageError: where a record is damaged.
        """
        for row, status, code, sealed in self._pages(_OUTCOMES_AFTER):
            text = database.unseal(sealed, (row, status, code), f"the outcome of row {row}", self.path)
            yield StoredOutcome(row, status, code, tuple(text.split(b"\n")) if text else ())

    def calls(self) -> Iterator[CallRecord]:
        """All calls in the order in which they were stored, read a page at a time.

        Raises:
            StorageError: where a record is damaged.
        """
        for _, *columns, sealed in self._pages(_CALLS_AFTER):
            reply = _reply(tuple(columns), sealed, self.path)
            key, row, node, model, purpose, *_, cost, reused, started_at = columns
            yield CallRecord(key.hex(), row, node, model, purpose, reply, started_at, cost, bool(reused))

    def statistics(self) -> Statistics:
        """What the calls and rows so far came to, earlier starts included."""
        found = Statistics()
        for (
            _,
            _,
            _,
            node,
            model,
            purpose,
            prompt,
            completion,
            attempts,
            latency_s,
            cost,
            reused,
            *_,
        ) in self._pages(_CALLS_AFTER):
            if reused:
                found.add(node, purpose, model, calls=0, reused=1)
            else:
                found.add(
                    node,
                    purpose,
                    model,
                    attempts=attempts,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    cost=cost,
                    latency_s=latency_s,
                )
        with database.refusing(self.path):
            ended = self._reader.execute(
                "SELECT status, code, count(*) FROM outcomes GROUP BY status, code"
            ).fetchall()
        for status, code, number in ended:
            found.rows[status, code] += number
        return found

    def close(self) -> None:
        """Write what is queued, fold the log back into the database and let the directory go; a second time does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._reader.close()
        # A full disk may keep the log from being folded back. Nothing is lost by that: it is read at the next opening.
        with contextlib.suppress(sqlite3.OperationalError):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()
        os.close(self._lock)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _put(self, statement: str, columns: tuple[Any, ...], content: bytes, *, compress: bool) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._gate:
            if self._closed:
                raise RuntimeError("the journal is closed")
            if self._failure is not None:
                raise self._as_error(self._failure)
            self._queue.put(_Put(statement, columns, content, compress, loop, done))
        await done

    def _write(self) -> None:
        """The writer thread: a group, a transaction, an answer to all who wait; again."""
        last = False
        while not last:
            group: list[_Put] = []
            with contextlib.suppress(queue.Empty):
                put = self._queue.get()
                while put is not None:
                    group.append(put)
                    if len(group) == _LARGEST_GROUP:
                        break
                    put = self._queue.get_nowait()
                last = put is None
            if group:
                self._commit(group)

    def _commit(self, group: list[_Put]) -> None:
        if self._failure is None:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                for put in group:
                    sealed = database.seal(put.columns, put.content, compress=put.compress)
                    self._writer.execute(put.statement, (*put.columns, sealed))
                self._writer.execute("COMMIT")
                self.commits += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                # After a failed sync nobody knows what is on disk, so nothing is ever written after it.
                self._failure = error
                with contextlib.suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
        waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for put in group:
            waiting.setdefault(put.loop, []).append(put.done)
        for loop, futures in waiting.items():
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(self._answer, futures, self._failure)

    def _answer(self, futures: list[asyncio.Future[None]], failure: Exception | None) -> None:
        for done in futures:
            if done.done():  # cancelled while waiting
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(self._as_error(failure))

    def _as_error(self, failure: Exception) -> Exception:
        """A fresh error for each who waits: a shared one would gather everybody's traceback."""
        if not isinstance(failure, sqlite3.OperationalError) and type(failure) is not sqlite3.DatabaseError:
            return failure  # a bug of ours, not the disk's doing
        error = database.refusal(self.path, failure)
        error.__cause__ = failure
        return error

    def _pages(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that has its key first, and takes the key to go on after and how many to give."""
        with database.refusing(self.path):
            reader = database.connect(self.path)
        with contextlib.closing(reader):
            after = -1
            while True:
                with database.refusing(self.path):
                    page = reader.execute(query, (after, _PAGE)).fetchall()
                if not page:
                    return
                yield from page
                after = page[-1][0]


def find_reply(reader: sqlite3.Connection, key: str, path: Path) -> ChatReply | None:
    """The reply to a call in any database that has the table of calls.

    Raises:
        StorageError: where the record is damaged.
    """
    query = f"SELECT {database.CALL_COLUMNS}, payload FROM calls WHERE key = ?"  # noqa: S608 - fixed words
    with database.refusing(path):
        found = reader.execute(query, (bytes.fromhex(key),)).fetchone()
    if found is None:
        return None
    *columns, sealed = found
    return _reply(tuple(columns), sealed, path)


def _reply(columns: tuple[Any, ...], sealed: object, path: Path) -> ChatReply:
    key = columns[0]
    what = f"call {key.hex() if isinstance(key, bytes) else key}"
    return ChatReply(**database.from_json(database.unseal(sealed, columns, what, path)))


def _said(reply: ChatReply) -> dict[str, Any]:
    """What a reply says beyond its defaults."""
    said: dict[str, Any] = {"text": reply.text}
    for name, default in _DEFAULTS.items():
        if (value := getattr(reply, name)) != default:
            said[name] = value
    return said


_DEFAULTS = {name: value for name, value in asdict(ChatReply(text="")).items() if name != "text"}


def _begin_or_check(connection: sqlite3.Connection, path: Path, header: Mapping[str, str]) -> None:
    """Write the header of a new journal, or hold an old one's against ours."""
    stored = dict(connection.execute("SELECT name, value FROM header"))
    if not stored:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO header(name, value) VALUES (?, ?)", sorted(header.items()))
        connection.execute("COMMIT")
    else:
        check_header(path.parent, stored, header)


def check_header(directory: Path, stored: Mapping[str, str], header: Mapping[str, str]) -> None:
    """Refuse to go on with what another run began.

    Raises:
        OutputError: R020, naming what differs.
    """
    for name in sorted(stored.keys() | header.keys()):
        if stored.get(name) != header.get(name):
            raise OutputError(
                f"{directory} holds a run of another kind: its {name} is {stored.get(name, 'not given')},"
                f" and now it is {header.get(name, 'not given')}",
                help="choose another --out, or go back to what that run was started with",
            )
