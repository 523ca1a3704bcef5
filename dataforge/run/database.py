"""SQLite as a run uses it: how files are opened, records sealed, and refusals of the disk turned into words.

Both the journal of a shard and the store of a run's replies are databases of this kind. They have a write-ahead log and
`synchronous=FULL`, so a commit that returned survives a power cut. Every payload carries a checksum over itself and
over the columns beside it: a flipped bit is found when the record is read, not believed.

Such files must lie on a local disk. Write-ahead logs need shared memory and working locks, and most network file
systems (NFS, CIFS, many FUSE ones) lack one or the other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from dataforge.errors import DataForgeError, OutputError, StorageError
from dataforge.run.storage import make_folder, sync_folder

FORMAT = 2
"""Version of the tables. The first had one journal a run."""

_APPLICATION_ID = (
    0x44466F72  # "DFor": SQLite keeps it in the file's head, so a stranger's database is told apart
)
_CHECKSUM_BYTES = 8
_WORTH_COMPRESSING = 1_024
"""Bytes; below, a reply shrinks by little and takes as long to compress as all else that is done with it."""

CALLS_TABLE = (
    "CREATE TABLE calls(seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, row INTEGER NOT NULL, node TEXT NOT NULL,"
    " model TEXT NOT NULL, purpose TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, latency_s REAL NOT NULL, cost REAL NOT NULL, reused INTEGER NOT NULL,"
    " started_at REAL NOT NULL, payload BLOB NOT NULL)"
)
CALL_COLUMNS = "key, row, node, model, purpose, prompt_tokens, completion_tokens, attempts, latency_s, cost, reused, started_at"
"""What stands beside a call's payload, in the order in which the checksum takes it."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that begins and ends its transactions where we say so."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that can change nothing, not even by folding back a log.

    Readers too need a log's shared memory, and make it beside the file. Where nothing can be made, as on a disk that is
    mounted to be read only, nobody writes either: a file without a log is then read as it lies.
    """
    log = path.with_name(f"{path.name}-wal")
    lies_still = not os.access(path.parent, os.W_OK, effective_ids=True) and not (
        log.exists() and log.stat().st_size
    )
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if lies_still else ''}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=30,
    )


def touch_private(path: Path) -> None:
    """Make the file, for its owner only. SQLite gives its log and shared memory the mode of the database file."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def prepare(connection: sqlite3.Connection, path: Path, tables: tuple[str, ...]) -> None:
    """Make the tables of a new database, or see that an old one is ours to use.

    Raises:
        OutputError: R020 where it is a stranger's or a newer DataForge's, R046 where it is an older one's, R021 where
            its file system cannot hold such a database.
    """
    new = not is_begun(connection, path)
    [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OutputError(
            f"{path.parent} cannot hold a journal: its file system has no shared memory",
            code="R021",
            help="choose an --out on a local disk",
        )
    if new:
        connection.execute("BEGIN IMMEDIATE")
        for statement in tables:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")


def is_begun(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a database of ours has its tables: false for one that is new, or was cut short before it got them.

    Raises:
        OutputError: R020 where it is a stranger's or a newer DataForge's, R046 where it is an older one's.
    """
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return False
    if application != _APPLICATION_ID:
        raise foreign(path, "is no journal of DataForge")
    if version > FORMAT:
        raise foreign(path, f"was written by a newer DataForge (format {version}, this one reads {FORMAT})")
    if version < FORMAT:
        raise outdated(path, version)
    return True


def foreign(path: Path, what: str) -> OutputError:
    return OutputError(f"{path} {what}", help=f"choose another --out: {path.parent} is left as it was")


def outdated(path: Path, version: int) -> OutputError:
    return OutputError(
        f"{path} is a journal of format {version}, from before runs had shards; this DataForge goes on with format {FORMAT}",
        code="R046",
        help=f"choose another --out ({path.parent} is left as it was), or finish that run with the version it began with",
    )


# ---- locks


def take_lock(path: Path, what: str) -> int:
    """Hold a lock file, made where it is missing; the kernel lets go of it when the process ends, however it ends.

    Raises:
        OutputError: R022 where another process holds it.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 32).decode("ascii", "replace").strip()
        os.close(lock)
        raise OutputError(
            f"{what} is in use by another run" + (f" (process {holder})" if holder else ""),
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


def make_private(folder: Path) -> None:
    """Make a folder, for its owner only, where it is missing."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)  # or a power cut takes what is in it


# ---- records


def seal(columns: tuple[Any, ...], content: bytes, *, compress: bool) -> bytes:
    """Content as a payload: a checksum, then the content, compressed where that is asked for and worth its time."""
    packed = zlib.compress(content, level=1) if compress and len(content) > _WORTH_COMPRESSING else content
    return _checksum(columns, packed) + (b"z" if packed is not content else b"=") + packed


def unseal(sealed: object, columns: tuple[Any, ...], what: str, path: Path) -> bytes:
    """The content of a payload.

    Raises:
        StorageError: where it or a column beside it is not what was sealed.
    """
    whole = sealed if isinstance(sealed, bytes) else b""  # a flipped bit can change a column's type
    packed = whole[_CHECKSUM_BYTES + 1 :]
    if whole[:_CHECKSUM_BYTES] != _checksum(columns, packed):
        raise StorageError(
            f"{what} in {path} is damaged: its checksum does not fit",
            help="the disk has changed the file: restore it from a copy, or start anew with another --out",
        )
    return zlib.decompress(packed) if whole[_CHECKSUM_BYTES : _CHECKSUM_BYTES + 1] == b"z" else packed


def _checksum(columns: tuple[Any, ...], packed: bytes) -> bytes:
    digest = hashlib.blake2b(ascii(columns).encode("ascii"), digest_size=_CHECKSUM_BYTES)
    digest.update(packed)
    return digest.digest()


def to_json(value: Any) -> bytes:
    """JSON of anything that came out of JSON: half a surrogate pair from a model comes back as it was."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def from_json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


# ---- what the disk refuses


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
def refusing(path: Path, *, opening: bool = False) -> Iterator[None]:
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
            raise foreign(path, "is no journal of DataForge") from error
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
