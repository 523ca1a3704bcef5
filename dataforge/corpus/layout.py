"""The files of a corpus directory: names, the Parquet schema, and how a file becomes durable before it counts."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataforge.errors import OutputError, StorageError

MANIFEST = "manifest.json"
CARD = "README.md"
TRAIN, REJECTED = "train", "rejected"
FOLDERS = {TRAIN: "data", REJECTED: "rejected"}


@functools.cache
def schema() -> Any:
    """The Arrow schema of every Parquet file of a corpus; columns as in `schemas.corpus.Row`."""
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    message = pa.struct(
        [
            ("role", text),
            ("content", text),
            ("reasoning_content", text),
            ("tool_calls", texts),  # each call as JSON: their arguments have no common type
            ("tool_call_id", text),
            ("train", pa.bool_()),
        ]
    )
    model = pa.struct([("role", text), ("name", text), ("weights", text)])
    verdict = pa.struct(
        [
            ("node", text),
            ("criterion", text),
            ("score", pa.float64()),
            ("reason", text),
            ("round", pa.int64()),
        ]
    )
    return pa.schema(
        [
            ("id", text),
            ("messages", pa.list_(message)),
            ("tools", texts),
            ("kind", text),
            ("graph", text),
            ("node", text),
            ("path", texts),
            ("seed_id", text),
            ("seed_source", text),
            ("models", pa.list_(model)),
            ("verdicts", pa.list_(verdict)),
            ("thinking", text),
            ("tokens", pa.int64()),
            ("state", text),
            ("reason", text),
        ]
    )


def shard_name(kind: str, number: int, of: int) -> str:
    return f"{kind}-{number:05d}-of-{of:05d}.parquet"


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(
                f"the disk is full: {path} cannot be written",
                help="make room and start the same command again: everything finished is in the journal",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT):
            raise OutputError(
                f"{path} cannot be written: {error.strerror}", code="R021", help="choose another --out"
            ) from error
        raise StorageError(
            f"{path} cannot be written: {error}", help="see to the disk and start the same command again"
        ) from error


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a temporary file, synced, put in place by a rename that is synced too."""
    temporary = path.with_name(f".{path.name}.tmp")
    with storing(path):
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            put_in_place(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a synced file to its name, and sync the folder that holds the name."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
