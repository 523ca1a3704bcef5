"""What `--reuse` reads: other runs' replies, wherever they lie and however their run ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.models.client import ChatReply
from dataforge.run import database
from dataforge.run.journal import JOURNAL_NAME, CallRecord, Journal
from dataforge.run.store import STORE_NAME, CallStore, Reuse

KEY = "ab" * 16


@pytest.fixture
def run() -> Iterator[Path]:
    """A run directory with one reply in its store, which anyone may read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Journal.open(folder / "shards/00000", {}) as journal:
            record = CallRecord(KEY, 0, "node", "writer", "ask", ChatReply(text="so it is"), 0.0)
            asyncio.run(journal.put_call(record))
        with contextlib.closing(CallStore(folder)) as store:
            store.take(journal.path)
        journal.path.unlink()
        folder.chmod(0o755)
        (folder / STORE_NAME).chmod(0o444)
        yield folder
        folder.chmod(0o755)


def reply(folder: Path) -> ChatReply | None:
    with contextlib.closing(Reuse((folder,))) as found:
        return found.reply(KEY)


def test_a_directory_that_may_only_be_read_can_be_reused(run: Path) -> None:
    run.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        found = reply(run)
    finally:
        if root:
            os.seteuid(0)
    assert found is not None
    assert found.text == "so it is"


@pytest.mark.parametrize("prepared", [False, True])
def test_a_journal_cut_short_before_it_had_tables_keeps_no_run_from_being_reused(
    run: Path, prepared: bool
) -> None:
    path = run / "shards/00001" / JOURNAL_NAME
    path.parent.mkdir()
    database.touch_private(path)
    if prepared:
        with contextlib.closing(database.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    assert reply(run) is not None
