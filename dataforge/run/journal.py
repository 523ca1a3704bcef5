"""The journal of a run: every model call and every finished row, on disk before anyone builds on it.

What comes in are `CallRecord`s, as calls return, and `Outcome`s, as rows end. What goes out, on a second start, are the
replies that need not be paid for again and the rows that need not be walked again; and, at the end, the outcomes in row
order for the corpus. The promise: once a put has returned, the record survives `kill -9` and a power cut, and is there
exactly once. After a crash, at most the calls that were in flight are made twice.

It is an SQLite database with a write-ahead log and `synchronous=FULL`. One thread writes. It takes all that has queued
up while the last transaction was being synced and makes that the next transaction, so a sync (4 to 8 ms) is shared by
all who wait (group commit). Payloads are JSON, compressed, with a checksum over payload and columns: a flipped bit is
found when the record is read, not believed.

The directory must be on a local disk. Write-ahead logs need shared memory and working locks, and most network file
systems (NFS, CIFS, many FUSE ones) lack one or the other; there a run may refuse to start, or be damaged by a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import queue
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from dataforge.errors import DataForgeError, OutputError, StorageError
from dataforge.models.client import ChatReply
from schemas.corpus import Row

JOURNAL_NAME = "journal.sqlite"
LOCK_NAME = "journal.lock"

Purpose = Literal["ask", "judge"]
Status = Literal["kept", "rejected", "failed", "filtered"]

_APPLICATION_ID = (
    0x44466F72  # "DFor": SQLite keeps it in the file's head, so a stranger's database is told apart
)
_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE header(name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE calls(seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, row INTEGER NOT NULL, node TEXT NOT NULL,"
    " model TEXT NOT NULL, purpose TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,"
    " payload BLOB NOT NULL)",
    "CREATE TABLE outcomes(row INTEGER PRIMARY KEY, status TEXT NOT NULL, payload BLOB NOT NULL)",
)
_PUT_CALL = (
    "INSERT INTO calls(key, row, node, model, purpose, prompt_tokens, completion_tokens, payload)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO NOTHING"
)
# A failure is no answer: only it may be replaced, by what a later attempt at the row gives.
_PUT_OUTCOME = (
    "INSERT INTO outcomes(row, status, payload) VALUES (?, ?, ?) ON CONFLICT(row) DO UPDATE"
    " SET status = excluded.status, payload = excluded.payload WHERE outcomes.status = 'failed'"
)
_FIND_CALL = "SELECT key, row, node, model, purpose, prompt_tokens, completion_tokens, payload FROM calls WHERE key = ?"
_CALLS_AFTER = (
    "SELECT seq, key, row, node, model, purpose, prompt_tokens, completion_tokens, payload FROM calls"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)
_OUTCOMES_AFTER = "SELECT row, status, payload FROM outcomes WHERE row > ? ORDER BY row LIMIT ?"

_LARGEST_GROUP = 1024  # records in one transaction
_PAGE = 256  # records read at a time, so that no long read holds the write-ahead log from being folded back
_CHECKSUM_BYTES = 8


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One model call that came back.

    Attributes:
        key: content address of the request, from `ChatRequest.key`.
        row: number of the row whose walk made the call.
        node: the node that asked.
        model: the model's logical name in the `.forge` file.
        weights: identity of its weights.
        purpose: whether it was asked to make something or to judge it.
        request: the messages as sent, sampling and thinking: JSON values only.
        reply: what came back.
        started_at, ended_at: Unix seconds.
    """

    key: str
    row: int
    node: str
    model: str
    weights: str
    purpose: Purpose
    request: dict[str, Any]
    reply: ChatReply
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one row of the run ended.

    Attributes:
        row: its number.
        seed_id: the seed it walked from.
        status: `kept`, `rejected`, `failed` (a model or the machine let us down: it may be tried again), or `filtered`
            (the seed was turned away before any walk).
        rows: what the corpus gets: the final sample and its calls. A row with a `reason` goes to the rejected ones,
            and unless the outcome is `kept`, every row must have one.
    """

    row: int
    seed_id: str
    status: Status
    rows: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        if self.status != "kept" and any(row.reason is None for row in self.rows):
            raise ValueError(f"row {self.row} is {self.status}, but a corpus row of it gives no reason")


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls and their tokens, as the servers counted them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has asked of its models so far: in all, by logical name of the model, and by node."""

    all: Tally = Tally()
    by_model: Mapping[str, Tally] = field(default_factory=dict)
    by_node: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Put:
    """A statement on its way to the writer, and who waits for it."""

    statement: str
    values: tuple[Any, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Journal:
    """The open journal of a run; make one with `Journal.open`, and `close` it or use it in a `with`."""

    def __init__(self, path: Path, writer: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self.commits = 0
        """Transactions made durable since opening: fewer than the puts where group commit did its work."""
        self._writer = writer
        self._reader = _connect(path)
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
            header: what fixes the rows of the run (plan hash, rng seed, …), stored by the first opening; every later
                one must bring the same.

        Raises:
            OutputError: R020 where the journal is of another run, of a newer DataForge or no journal; R021 where the
                directory may not be written; R022 where another run has it open.
            StorageError: R021 where the disk is full or failing.
        """
        path = directory / JOURNAL_NAME
        lock = _take_lock(directory)
        try:
            with _refusing(directory, opening=True):
                # SQLite gives its log and shared memory the mode of the database file, so that is made first.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with _refusing(path):
                writer = _connect(path)
            try:
                with _refusing(path):
                    _begin_or_check(writer, directory, header)
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
        with _refusing(self.path):
            found = self._reader.execute(_FIND_CALL, (key,)).fetchone()
        return None if found is None else _call(found, self.path).reply

    async def put_call(self, record: CallRecord) -> None:
        """Store a call; returns once it is durable. A key that is there already keeps its first reply.

        Raises:
            StorageError: where the disk refused, now or at an earlier put: what was acknowledged before is kept.
        """
        columns = (
            record.key,
            record.row,
            record.node,
            record.model,
            record.purpose,
            record.reply.prompt_tokens,
            record.reply.completion_tokens,
        )
        payload = {
            "weights": record.weights,
            "request": record.request,
            "reply": asdict(record.reply),
            "started_at": record.started_at,
            "ended_at": record.ended_at,
        }
        await self._put(_PUT_CALL, (*columns, _seal(columns, payload)))

    async def put_outcome(self, outcome: Outcome) -> None:
        """Store how a row ended; returns once it is durable. Only a failed row may end anew.

        Raises:
            StorageError: as for `put_call`.
        """
        columns = (outcome.row, outcome.status)
        payload = {"seed_id": outcome.seed_id, "rows": [row.model_dump() for row in outcome.rows]}
        await self._put(_PUT_OUTCOME, (*columns, _seal(columns, payload)))

    def finished(self) -> dict[int, Status]:
        """The status of every row that has ended, by its number."""
        with _refusing(self.path):
            return dict(self._reader.execute("SELECT row, status FROM outcomes ORDER BY row"))

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes in row order, read a page at a time.

        Raises:
            StorageError: where a record is damaged.
        """
        for row, status, sealed in self._pages(_OUTCOMES_AFTER):
            payload = _unseal(sealed, (row, status), f"the outcome of row {row}", self.path)
            rows = tuple(Row.model_validate(each) for each in payload["rows"])
            yield Outcome(row, payload["seed_id"], status, rows)

    def calls(self) -> Iterator[CallRecord]:
        """All calls in the order in which they were stored, read a page at a time.

        Raises:
            StorageError: where a record is damaged.
        """
        for found in self._pages(_CALLS_AFTER):
            yield _call(found[1:], self.path)

    def totals(self) -> Totals:
        """Calls and tokens so far, in all and apart."""
        query = (
            "SELECT model, node, count(*), sum(prompt_tokens), sum(completion_tokens) FROM calls"
            " GROUP BY model, node ORDER BY model, node"
        )
        with _refusing(self.path):
            groups = self._reader.execute(query).fetchall()
        whole, by_model, by_node = Tally(), dict[str, Tally](), dict[str, Tally]()
        for model, node, *numbers in groups:
            tally = Tally(*numbers)
            whole += tally
            by_model[model] = by_model.get(model, Tally()) + tally
            by_node[node] = by_node.get(node, Tally()) + tally
        return Totals(whole, by_model, by_node)

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

    async def _put(self, statement: str, values: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        with self._gate:
            if self._closed:
                raise RuntimeError("the journal is closed")
            if self._failure is not None:
                raise self._as_error(self._failure)
            self._queue.put(_Put(statement, values, loop, done))
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
                    self._writer.execute(put.statement, put.values)
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
        error = refusal(self.path, failure)
        error.__cause__ = failure
        return error

    def _pages(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that has its key first, and takes the key to go on after and how many to give."""
        with _refusing(self.path):
            reader = _connect(self.path)
        with contextlib.closing(reader):
            after = -1
            while True:
                with _refusing(self.path):
                    page = reader.execute(query, (after, _PAGE)).fetchall()
                if not page:
                    return
                yield from page
                after = page[-1][0]


def refusal(path: Path, error: OSError | sqlite3.Error) -> StorageError:
    """What to tell people when the disk refuses to read or write a file."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    full = full or getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"
    if full:
        return StorageError(
            f"no space is left to write {path}", help="make room, then run the same command again"
        )
    words = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return StorageError(
        f"the disk refused {path}: {words}",
        help="check the disk and its mount; what was finished before is kept, and the same command goes on from there",
    )


@contextlib.contextmanager
def _refusing(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Turn what the operating system and SQLite raise into errors for people; wrong input where the run is opening."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise (
            _unusable(path, error) if opening and isinstance(error, OSError) else refusal(path, error)
        ) from error
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:
            raise  # misuse: a bug of ours
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise _foreign(path.parent, "is no journal of DataForge") from error
        raise refusal(path, error) from error


def _unusable(directory: Path, error: OSError) -> DataForgeError:
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return OutputError(f"{directory} cannot be a folder: {error.strerror}", help="choose another --out")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"{directory} cannot be written: {error.strerror}",
            code="R021",
            help="choose an --out that you may write to",
        )
    return refusal(directory, error)


def _foreign(directory: Path, what: str) -> OutputError:
    return OutputError(
        f"{directory / JOURNAL_NAME} {what}", help=f"choose another --out: {directory} is left as it was"
    )


def _take_lock(directory: Path) -> int:
    """Make the directory where it is missing, and hold its lock file; the kernel lets go of it when the process ends."""
    with _refusing(directory, opening=True):
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            raise OutputError(
                f"{directory} is in use by another run" + (f" (process {holder})" if holder else ""),
                code="R022",
                help="wait for it to end or stop it, or choose another --out",
            ) from error
        except OSError:
            os.close(lock)
            raise
        # The number is only for the message above, so a full disk must not keep anyone from resuming.
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()}\n".encode())
        return lock


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that begins and ends its transactions where we say so."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _begin_or_check(connection: sqlite3.Connection, directory: Path, header: Mapping[str, str]) -> None:
    """Write the header of a new journal, or hold an old one's against ours."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    new = (application, version, tables) == (0, 0, 0)
    if not new:
        _check(connection, directory, header, application, version)
    [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OutputError(
            f"{directory} cannot hold a journal: its file system has no shared memory",
            code="R021",
            help="choose an --out on a local disk",
        )
    if new:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.executemany("INSERT INTO header(name, value) VALUES (?, ?)", sorted(header.items()))
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("COMMIT")


def _check(
    connection: sqlite3.Connection, directory: Path, header: Mapping[str, str], application: int, version: int
) -> None:
    if application != _APPLICATION_ID:
        raise _foreign(directory, "is no journal of DataForge")
    if version > _SCHEMA_VERSION:
        raise _foreign(
            directory,
            f"was written by a newer DataForge (format {version}, this one reads {_SCHEMA_VERSION})",
        )
    stored = dict(connection.execute("SELECT name, value FROM header"))
    for name in sorted(stored.keys() | header.keys()):
        if stored.get(name) != header.get(name):
            raise OutputError(
                f"{directory} holds a run of another kind: its {name} is {stored.get(name, 'not given')},"
                f" and now it is {header.get(name, 'not given')}",
                help="choose another --out, or go back to what that run was started with",
            )


def _call(found: tuple[Any, ...], path: Path) -> CallRecord:
    *columns, sealed = found
    key, row, node, model, purpose, _, _ = columns
    payload = _unseal(sealed, tuple(columns), f"call {key}", path)
    return CallRecord(
        key=key,
        row=row,
        node=node,
        model=model,
        purpose=purpose,
        **{**payload, "reply": ChatReply(**payload["reply"])},
    )


def _seal(columns: tuple[Any, ...], payload: Mapping[str, Any]) -> bytes:
    """Checksum and compressed JSON. Pure ASCII, so that half a surrogate pair from a model comes back as it was."""
    packed = zlib.compress(json.dumps(payload, separators=(",", ":")).encode("ascii"), level=1)
    return _checksum(columns, packed) + packed


def _unseal(sealed: object, columns: tuple[Any, ...], what: str, path: Path) -> dict[str, Any]:
    whole = sealed if isinstance(sealed, bytes) else b""  # a flipped bit can change a column's type
    packed = whole[_CHECKSUM_BYTES:]
    if whole[:_CHECKSUM_BYTES] != _checksum(columns, packed):
        raise StorageError(
            f"{what} in {path} is damaged: its checksum does not fit",
            help="the disk has changed the file: restore it from a copy, or start anew with another --out",
        )
    payload: dict[str, Any] = json.loads(zlib.decompress(packed))
    return payload


def _checksum(columns: tuple[Any, ...], packed: bytes) -> bytes:
    digest = hashlib.blake2b(json.dumps(columns).encode("ascii"), digest_size=_CHECKSUM_BYTES)
    digest.update(packed)
    return digest.digest()
