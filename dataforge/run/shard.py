"""The shard: a contiguous range of rows, and the unit of work, of durability and of distribution.

A shard under way is a folder with a journal. When the last of its rows has ended well, it is sealed: its rows become two
Parquet files beside the journal. Whoever runs it then commits the seal (`seal.json`, put in place by one rename), and
from there on the shard is whole, and its journal can go. A crash before the commit leaves the journal, after it the seal;
there is no moment in which a finished call is in neither. The same code does this on one machine and on many.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataforge.errors import OutputError
from dataforge.run.jobs import Job
from dataforge.run.journal import Journal, Status
from dataforge.run.output import write_rows
from dataforge.run.statistics import Statistics
from dataforge.run.store import SHARDS

SEAL_NAME = "seal.json"
SEAL_VERSION = 1


def shard_folder(out: Path, number: int) -> Path:
    """Where a shard of a run lives."""
    return out / SHARDS / f"{number:05d}"


def journal_header(run: str, number: int) -> dict[str, str]:
    """What the journal of a shard belongs to, so that no other run's or shard's is taken for it."""
    return {"run": run, "shard": str(number)}


@dataclass(frozen=True)
class ShardJobs:
    """A shard's work: its jobs, in row order, and the folder for its journal and its files."""

    number: int
    jobs: Iterable[Job]
    folder: Path


@dataclass(frozen=True)
class Seal:
    """What a shard came to.

    Attributes:
        run: identity of the run, so that no other run's seal is taken for ours.
        number: of the shard.
        first, count: its rows are `first` to `first + count - 1`.
        rows: of the corpus, by kind (see `output.Written`).
        tokens: in its training rows.
        files: name in the shard's folder → hash.
        statistics: of its calls and rows.
    """

    run: str
    number: int
    first: int
    count: int
    rows: Mapping[str, int]
    tokens: int
    files: Mapping[str, str]
    statistics: Statistics

    def to_json(self) -> bytes:
        fields = {**self.__dict__, "version": SEAL_VERSION, "statistics": self.statistics.to_json()}
        return (json.dumps(fields, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Seal:
        """Read a seal.

        Raises:
            OutputError: R020 where it is none, or a newer DataForge's.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("version") != SEAL_VERSION:
                raise ValueError("another version's")
            return cls(**{**fields, "statistics": Statistics.from_json(fields["statistics"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{where} is no seal of a shard that this DataForge reads: {error}",
                help="go on with the version that began the run, or choose another --out",
            ) from error


class OpenShard:
    """A shard under way: its journal, and how many of its rows have not ended yet."""

    def __init__(self, number: int, folder: Path, run: str) -> None:
        """Open the shard's journal, or begin it.

        Raises:
            OutputError, StorageError: where the journal cannot be used; see `Journal.open`.
        """
        self.number = number
        self.folder = folder
        self.run = run
        self.journal = Journal.open(folder, journal_header(run, number))
        self.ended: dict[int, Status] = self.journal.finished()
        self.first = -1
        self.count = 0
        self.under_way = 0
        self.handed_out = False
        """Whether all its rows were given to workers, so that it ends when they have ended."""

    def takes(self, job: Job) -> bool:
        """Count a row of the shard; whether it is still to be walked."""
        self.first = job.row if self.first < 0 else self.first
        self.count += 1
        done = self.ended.get(job.row, "failed") != "failed"
        self.under_way += not done
        return not done

    @property
    def is_over(self) -> bool:
        return self.handed_out and self.under_way == 0

    @property
    def is_whole(self) -> bool:
        """Whether every row ended well: kept or rejected, neither lost to an error nor parked.

        A seal speaks for the rows of its range alone, so others that an earlier start finished keep the shard open.
        """
        ended = self.ended
        rows = range(self.first, self.first + self.count)
        return self.is_over and not self.beyond and all(ended.get(row, "failed") != "failed" for row in rows)

    @property
    def beyond(self) -> int:
        """How many rows an earlier start, with more `--rows`, has finished that this one does not ask for."""
        return sum(row >= self.first + self.count for row in self.ended) if self.handed_out else 0

    def seal(self) -> Seal:
        """Write the two Parquet files of the rows that have ended, and say what they hold. Takes a while: run it in a thread.

        Raises:
            StorageError, OutputError: where the disk refuses, or a record of the journal is damaged.
        """
        written = write_rows((outcome.lines for outcome in self.journal.outcomes()), self.folder)
        return Seal(
            run=self.run,
            number=self.number,
            first=self.first,
            count=self.count,
            rows=written.rows,
            tokens=written.tokens,
            files=written.files,
            statistics=self.journal.statistics(),
        )

    def close(self) -> None:
        self.journal.close()
