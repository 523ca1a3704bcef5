"""Folders that are whole or not there: written under another name, flushed to the disk, and renamed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException

from dataforge.errors import StorageError

PARTIAL = ".partial"
"""What the name of a folder ends with that is not whole."""


def replace(folder: Path, part: Path) -> None:
    """Give a folder that is whole its name, and see that all of it has reached the disk."""
    sync(part)
    discard(folder)
    part.rename(folder)
    sync(folder.parent)


def discard(folder: Path) -> None:
    """Remove a folder, so that no half of it is ever taken for whole."""
    going = folder if folder.suffix == PARTIAL else folder.with_name(f"{folder.name}.old{PARTIAL}")
    if going.exists():
        shutil.rmtree(going)
    if folder.exists():
        shutil.rmtree(folder.rename(going))


def sync(path: Path) -> None:
    """See that a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason(error: BaseException) -> str:
    """The innermost error of a failure, in a line."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def refused(path: Path, error: BaseException) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {reason(error)}",
        help="the checkpoints before it are whole: make room, and start the same command again",
    )
