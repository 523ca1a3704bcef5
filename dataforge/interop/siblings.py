"""Samples of a corpus that answer one prompt: those that were kept with those that were turned away.

A node that verifies leaves a `call` row in `data/` for each sample it kept, and one in `rejected/` for each other one; they
belong together where seed, node and all messages before the answer are the same. The two lie in different files, whose
rows have no common number, so both are read once and put into a SQLite file beside the result, which sorts them on disk:
memory holds one prompt's samples at a time, however large the corpus is.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from dataforge.actions.rollouts import PASS_RATE, SPARED, UNVERIFIED
from dataforge.corpus.read import read_rows
from dataforge.errors import StorageError
from dataforge.run.storage import storing
from dataforge.verifiers.registry import names
from schemas.chat import Message
from schemas.corpus import Reason, Row, VerdictLine

_AT_ONCE = 500
_TOLD_EVERY = 1_000

_TABLE = """
create table sample (
  place integer primary key, prompt blob not null, won integer not null, score real, row text not null
)
"""
_BY_PROMPT = "create index by_prompt on sample (prompt, place)"


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer, and what became of it.

    Attributes:
        row: as the corpus has it.
        won: whether it was kept.
        score: the verifiers' mean, from 0 to 1; None where no verdict is on record.
    """

    row: Row
    won: bool
    score: float | None

    @property
    def prompt(self) -> list[Message]:
        return self.row.messages[:-1]

    @property
    def answer(self) -> Message:
        return self.row.messages[-1]

    @property
    def text(self) -> str:
        """All that the model wrote, thinking included."""
        return f"{self.answer.reasoning_content or ''}\n{self.answer.content}"


def siblings(
    directory: Path,
    beside: Path,
    *,
    both: bool,
    heard: Callable[[int], None] = lambda rows: None,
) -> Iterator[list[Sample]]:
    """The samples of each prompt, those that won first, each in the order of the corpus.

    Args:
        directory: of the corpus.
        beside: a folder on a disk with room for the samples.
        both: only prompts with a sample that was kept and one that was turned away.
        heard: told how many rows have been read, now and then.

    Raises:
        OutputError: R023, where the directory holds no whole corpus.
        StorageError: where the disk refuses.
    """
    try:
        with (
            storing(beside),
            tempfile.TemporaryDirectory(prefix=".export-", dir=beside) as folder,
            closing(sqlite3.connect(Path(folder) / "samples.sqlite", isolation_level=None)) as store,
        ):
            _fill(store, directory, both, heard)
            yield from _by_prompt(store, both)
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"{beside} has no room for the samples: {error}", help="make room, or put -o on another disk"
        ) from error


def score_of(row: Row) -> float | None:
    """What the verifiers of a sample's node said of it, as their mean; None where they said nothing."""
    lines = [line for line in row.verdicts if line.node == row.node and line.criterion != PASS_RATE]
    told = [line for line in lines if line.criterion in names()] or [*filter(_may_be_a_score, lines)]
    return sum(line.score for line in told) / len(told) if told else None


def _may_be_a_score(line: VerdictLine) -> bool:
    """Whether it may be that of a verifier that is not installed here: a judge's scale mostly goes beyond 1."""
    return 0.0 <= line.score <= 1.0


def _by_prompt(store: sqlite3.Connection, both: bool) -> Iterator[list[Sample]]:
    wanted = "having max(won) = 1 and min(won) = 0" if both else ""
    found = store.execute(f"select prompt from sample group by prompt {wanted} order by min(place)")  # noqa: S608
    while prompts := found.fetchmany(_AT_ONCE):
        for (prompt,) in prompts:
            rows = store.execute(
                "select row, won, score from sample where prompt = ? order by won desc, place", (prompt,)
            )
            yield [Sample(Row.model_validate_json(text), bool(won), score) for text, won, score in rows]


def _fill(store: sqlite3.Connection, directory: Path, both: bool, heard: Callable[[int], None]) -> None:
    # It is gone after this, whatever happens, so nothing need be durable.
    store.execute("pragma journal_mode = off")
    store.execute("pragma synchronous = off")
    store.execute(_TABLE)
    store.execute("begin")
    read = place = 0
    for won in (False, True):
        if won:
            store.execute(_BY_PROMPT)  # asked for below, and cheaper to make at once than row by row
        for row in read_rows(directory, rejected=not won):
            read += 1
            if read % _TOLD_EVERY == 0:
                heard(read)
            if not _is_sample(row, won, both):
                continue
            key, score = _key(row), score_of(row)
            if won and both:
                known = store.execute("select 1 from sample where prompt = ? limit 1", (key,)).fetchone()
                if known is None:
                    continue
            elif score is None and not both:
                continue
            place += 1
            store.execute(
                "insert into sample values (?, ?, ?, ?, ?)", (place, key, won, score, row.model_dump_json())
            )
    store.execute("commit")
    heard(read)


def _is_sample(row: Row, won: bool, both: bool) -> bool:
    if row.kind != "call" or not row.messages or row.messages[-1].role != "assistant":
        return False
    # Of the others only what a verifier turned away is a loser; what passed where another was kept is one of the group.
    return won or _code(row) in ((UNVERIFIED,) if both else (UNVERIFIED, SPARED))


def _code(row: Row) -> str:
    try:
        return Reason.model_validate_json(row.reason or "").code
    except ValidationError:
        return ""


def _key(row: Row) -> bytes:
    """Seed, node and everything before the answer: equal for samples that answer the same."""
    prompt = [message.model_dump(exclude={"train"}, exclude_none=True) for message in row.messages[:-1]]
    text = json.dumps([row.seed_id, row.node, prompt, row.tools], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
