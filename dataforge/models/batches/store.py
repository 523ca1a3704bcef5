"""What must be remembered of batches across starts: which calls went out in which one.

A file a batch, in the folder that the run gives. It is written before the batch can cost anything, and again once the batch
has an id, each time whole and durable or not at all. Prompts and answers are not in it: the run makes the former anew and
fetches the latter from the endpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataforge.errors import StorageError

_VERSION = 1
_KEPT_S = 30 * 24 * 3600.0
"""Endpoints throw outputs away after a month, and a batch without its output is no use to anyone."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One batch, as far as a later start needs to know it.

    Attributes:
        marker: a name of our own making. It is in the batch's metadata, so a batch whose id we never learnt can be found.
        keys: content keys of the calls, which are also the lines' `custom_id`s.
        bare: those of them that were sent without their schema.
        began_at: when it was first stored, in seconds since 1970.
        file_id: the uploaded file.
        batch_id: the endpoint's name for the batch; empty until we learn it.
    """

    marker: str
    keys: tuple[str, ...]
    bare: frozenset[str]
    began_at: float
    file_id: str = ""
    batch_id: str = ""


class Store:
    """The batches of one logical model at one endpoint. Without a folder nothing is remembered."""

    def __init__(self, folder: Path | None, owner: tuple[str, ...]) -> None:
        self._folder = folder
        self._owner = list(owner)

    @property
    def remembers(self) -> bool:
        return self._folder is not None

    def load(self) -> list[Sent]:
        """The batches of earlier starts, oldest first; those too old to be fetched are forgotten here.

        Raises:
            StorageError: a file cannot be read. To go on without it would pay for its batch twice.
        """
        if self._folder is None or not self._folder.is_dir():
            return []
        found = [sent for path in self._folder.glob("*.json") if (sent := self._read(path)) is not None]
        oldest = time.time() - _KEPT_S
        for sent in found:
            if sent.began_at < oldest:
                self.forget(sent)
        return sorted((sent for sent in found if sent.began_at >= oldest), key=lambda sent: sent.began_at)

    def save(self, sent: Sent) -> None:
        """Store a batch, durable and whole, in place of what was stored of it before.

        Raises:
            StorageError: the disk refuses.
        """
        if self._folder is None:
            return
        record = {"version": _VERSION, "owner": self._owner, **asdict(sent), "bare": sorted(sent.bare)}
        path = self._path(sent)
        new = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with new.open("w", encoding="ascii") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StorageError(
                f"the disk refused {path}: {error.strerror or error}",
                help="make room or mend the disk, then run the same command again",
            ) from error

    def forget(self, sent: Sent) -> None:
        """Remove a batch that nobody will ask for any more. One that stays after all does no harm."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._path(sent).unlink(missing_ok=True)

    def _path(self, sent: Sent) -> Path:
        assert self._folder is not None
        return self._folder / f"{sent.marker}.json"

    def _read(self, path: Path) -> Sent | None:
        """The batch in a file, or None where it is another model's."""
        try:
            record = json.loads(path.read_bytes())
            if record["version"] != _VERSION:
                raise ValueError("it is of another version")
            if record["owner"] != self._owner:
                return None
            return Sent(
                marker=path.stem,
                keys=_texts(record["keys"]),
                bare=frozenset(_texts(record["bare"])),
                began_at=float(record["began_at"]),
                file_id=str(record["file_id"]),
                batch_id=str(record["batch_id"]),
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise StorageError(
                f"{path} should tell of a batch under way and cannot be read: {error}",
                help="restore it from a copy, or remove it: its calls are then made, and paid for, anew",
            ) from error


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))
