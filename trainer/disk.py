"""Folders that are whole or not there, and held by one process; single files are `dataforge.files`'s."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dataforge.errors import OutputError, StorageError
from dataforge.files import sync

PARTIAL = ".partial"
"""What the name of a folder ends with that is not whole."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder, and have it for this process alone.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Have the folder of a run for this process alone.

    Raises:
        OutputError: another process has it (R022), or it cannot be a folder (R020).
    """
    with ExitStack() as ours:
        try:
            ours.enter_context(held(out))
        except BlockingIOError as error:
            raise OutputError(
                f"another process runs in {out}",
                code="R022",
                help="wait for it to end, or choose another --out",
            ) from error
        except OSError as error:
            raise OutputError(
                f"{out} cannot be the folder of a run: {error.strerror}", help="choose another --out"
            ) from error
        yield


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


def cause(error: BaseException) -> BaseException:
    """What went wrong on the first process on which something did."""
    from torch.distributed.checkpoint.api import CheckpointException

    return next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error


def reason(error: BaseException) -> str:
    """What went wrong, in a line."""
    error = cause(error)
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def refused(path: Path, error: BaseException) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {reason(error)}",
        help="the checkpoints before it are whole: make room, and start the same command again",
    )
