"""Files that are whole or not there: written under another name, flushed to the disk, and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def arriving(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which has its name once it is whole; nothing is left of one that is not."""
    part = path.with_name(f".{path.name}.tmp")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """A document for people and programs, whole or as it was."""
    with arriving(path) as stream:
        stream.write(json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n")


def sync(path: Path) -> None:
    """See that a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
