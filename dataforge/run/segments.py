"""What a worker on another machine shares of a shard under way: records of its journal, in small files of their own.

The journal grows on the worker's disk. Every few seconds the records that are new go into a segment, a database with
the journal's two tables, and the segment into the run's shared storage. Whoever has the shard next, elsewhere, loads
its segments into a journal of its own first. Payloads keep their checksums all the way.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dataforge.run import database
from dataforge.run.journal import OUTCOMES_TABLE, Journal

_CALLS = f"{database.CALL_COLUMNS}, payload"
_OUTCOMES = "row, status, code, payload"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a journal has been exported: the last call's number, and the rows whose good end went out."""

    calls: int = 0
    rows: frozenset[int] = frozenset()


def export(
    journal: Path, segment: Path, after: Mark = Mark(), rows: Collection[int] | None = None
) -> Mark | None:
    """Write the records of a journal, or the calls of a store, that came after a mark. None where there are none.

    Args:
        journal: a journal that may be open and growing, or a store, which has no outcomes.
        segment: the file to be made; it is complete, but not synced, on return.
        after: how far earlier segments went.
        rows: only calls of these rows.

    Raises:
        StorageError: where the disk refuses.
    """
    segment.unlink(missing_ok=True)
    with database.refusing(segment), contextlib.closing(_connect(segment)) as target:
        target.execute("ATTACH DATABASE ? AS journal", (str(journal),))
        target.execute("BEGIN")
        of_rows = "" if rows is None else " AND row IN (SELECT value FROM json_each(:rows))"
        chosen = {"after": after.calls, "rows": json.dumps(list(rows or ()))}
        target.execute(
            f"INSERT INTO main.calls({_CALLS}) SELECT {_CALLS} FROM journal.calls"  # noqa: S608 - fixed words
            f" WHERE seq > :after{of_rows} ORDER BY seq",
            chosen,
        )
        [last] = target.execute("SELECT coalesce(max(seq), :after) FROM journal.calls", chosen).fetchone()
        ended: set[int] = set()
        if target.execute("SELECT 1 FROM journal.sqlite_master WHERE name = 'outcomes'").fetchone():
            good = target.execute("SELECT row FROM journal.outcomes WHERE status != 'failed'")
            ended = {row for (row,) in good} - after.rows
            target.execute(
                f"INSERT INTO main.outcomes SELECT {_OUTCOMES} FROM journal.outcomes"  # noqa: S608
                " WHERE row IN (SELECT value FROM json_each(?))",
                (json.dumps(sorted(ended)),),
            )
        [calls] = target.execute("SELECT count(*) FROM main.calls").fetchone()
        target.execute("COMMIT")
    return Mark(last, after.rows | ended) if calls or ended else None


def load(segment: Path, folder: Path, header: dict[str, str]) -> None:
    """Take a segment's records over into the journal in a folder; those that are there already stay as they are.

    Raises:
        OutputError, StorageError: where the journal cannot be used; see `Journal.open`.
    """
    with (
        Journal.open(folder, header) as journal,
        database.refusing(segment),
        contextlib.closing(database.connect(journal.path)) as target,
    ):
        target.execute("ATTACH DATABASE ? AS segment", (str(segment),))
        target.execute("BEGIN IMMEDIATE")
        target.execute(
            f"INSERT INTO main.calls({_CALLS}) SELECT {_CALLS} FROM segment.calls"  # noqa: S608
            " WHERE true ORDER BY seq ON CONFLICT(key) DO NOTHING"
        )
        target.execute(
            f"INSERT INTO main.outcomes SELECT {_OUTCOMES} FROM segment.outcomes"  # noqa: S608
            " WHERE true ON CONFLICT(row) DO UPDATE SET status = excluded.status, code = excluded.code,"
            " payload = excluded.payload WHERE main.outcomes.status = 'failed'"
        )
        target.execute("COMMIT")


def _connect(segment: Path) -> sqlite3.Connection:
    """A new database without a log: one file, made in one go, and thrown away where that is cut short."""
    database.touch_private(segment)
    connection = sqlite3.connect(segment, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(database.CALLS_TABLE)
    connection.execute(OUTCOMES_TABLE)
    return connection
