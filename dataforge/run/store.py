"""Replies that are paid for: those of a run's whole shards, and those of other runs that `--reuse` names.

A shard's journal ends with the shard. Its calls move into `calls.sqlite` beside the corpus, under the same content keys,
so that a further start, a row with the same prompt or another run finds them there. What is asked for is looked up here
after the shard's own journal, and before anybody is paid.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from dataforge.errors import OutputError
from dataforge.models.client import ChatReply
from dataforge.run import database
from dataforge.run.journal import JOURNAL_NAME, find_reply

STORE_NAME = "calls.sqlite"
SHARDS = "shards"

_TAKE = (
    f"INSERT INTO calls({database.CALL_COLUMNS}, payload) SELECT {database.CALL_COLUMNS}, payload"  # noqa: S608
    " FROM shard.calls WHERE true ORDER BY seq ON CONFLICT(key) DO NOTHING"
)


class KeyFilter:
    """Which content keys were added: no word for one that was, and now and then a false one for one that was not.

    Nearly every call of a run is new, and asking the store for it would cost more than all else that is done with its
    reply. A Bloom filter (B. Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970) of three bits a
    key; a key is a hash already, so its own bytes say which. Beyond some ten million keys it lets ever more through.
    """

    _BITS = 26

    def __init__(self) -> None:
        self._seen = bytearray(1 << (self._BITS - 3))

    def add(self, key: bytes) -> None:
        for place in self._places(key):
            self._seen[place >> 3] |= 1 << (place & 7)

    def __contains__(self, key: bytes) -> bool:
        seen = self._seen
        return all(seen[place >> 3] & (1 << (place & 7)) for place in self._places(key))

    def _places(self, key: bytes) -> tuple[int, int, int]:
        bits = int.from_bytes(key, "big")
        mask = (1 << self._BITS) - 1
        return bits & mask, (bits >> 32) & mask, (bits >> 64) & mask


class CallStore:
    """The replies of a run's whole shards."""

    def __init__(self, out: Path) -> None:
        """Open the store of a run directory, or begin one.

        Raises:
            OutputError, StorageError: where the file is none of ours, or the disk refuses.
        """
        self.path = out / STORE_NAME
        with database.refusing(self.path, opening=True):
            database.touch_private(self.path)
        with database.refusing(self.path):
            self._connection = database.connect(self.path)
            database.prepare(self._connection, self.path, (database.CALLS_TABLE,))
            self._known = KeyFilter()
            for (key,) in self._connection.execute("SELECT key FROM calls"):
                self._known.add(key)

    def reply(self, key: str) -> ChatReply | None:
        """The reply to a call, or None where the store has none."""
        return find_reply(self._connection, key, self.path) if bytes.fromhex(key) in self._known else None

    def take(self, journal: Path) -> None:
        """Take over the calls of a journal, in one transaction; those that are here already stay as they are."""
        with database.refusing(self.path), contextlib.closing(database.connect(self.path)) as writer:
            writer.execute("ATTACH DATABASE ? AS shard", (str(journal),))
            writer.execute("BEGIN IMMEDIATE")
            writer.execute(_TAKE)
            writer.execute("COMMIT")
            for (key,) in writer.execute("SELECT key FROM shard.calls"):
                self._known.add(key)
            writer.execute("PRAGMA main.wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._connection.close()


class Reuse:
    """The replies of other runs, finished or not, opened for reading only."""

    def __init__(self, directories: tuple[Path, ...]) -> None:
        """Open what the run directories hold.

        Raises:
            OutputError: R023 where a directory holds no run, R046 where an older version wrote it.
        """
        self._sources: list[tuple[Path, sqlite3.Connection]] = []
        for directory in directories:
            found = [directory / STORE_NAME, *sorted((directory / SHARDS).glob(f"*/{JOURNAL_NAME}"))]
            there = [path for path in found if path.is_file()]
            if (old := directory / JOURNAL_NAME).is_file():
                raise database.outdated(old, 1)
            if not there:
                raise OutputError(
                    f"{directory} holds no run whose calls could be reused",
                    code="R023",
                    help="name the --out directory of a run",
                )
            for path in there:
                with database.refusing(path):
                    reader = database.connect_to_read(path)
                    if database.is_begun(reader, path):
                        self._sources.append((path, reader))

    def reply(self, key: str) -> ChatReply | None:
        """The reply to a call, or None where no run has it."""
        for path, reader in self._sources:
            if (found := find_reply(reader, key, path)) is not None:
                return found
        return None

    def close(self) -> None:
        for _, reader in self._sources:
            reader.close()
