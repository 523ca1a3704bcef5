"""Paths → seeds: the stream that a run draws from.

Files come in the order of their names and records in the order of their file, so that row numbers mean the same on
every machine. All that readers find wrong passes through here and gets its file's name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataforge.errors import SeedError
from dataforge.seeds.flaw import Flaw
from dataforge.seeds.formats import format_of
from dataforge.seeds.seed import Seed, identify


def read_seeds(paths: Sequence[Path], *, base: Path) -> Iterator[Seed]:
    """Yield the seeds of these files, a file given twice being read once.

    Args:
        paths: files, as `expand` returns them.
        base: the folder that `Seed.source` and messages name files relative to.

    Raises:
        SeedError: at the first record that cannot be read, at an empty file, or where there is no file at all.
    """
    files = sorted({shown(path, base): path for path in paths}.items())
    if not files:
        raise SeedError(
            "there are no seeds: no file was given", code="R014", help="name a seed file or a folder"
        )
    for name, path in files:
        yield from _read_file(path, name)


def count(paths: Sequence[Path], *, base: Path) -> int:
    """How many seeds there are: one whole pass, and so also the check that all of them can be read."""
    return sum(1 for _ in read_seeds(paths, base=base))


def shown(path: Path, base: Path) -> str:
    """A file's name for people and for the corpus: relative to the base, with forward slashes."""
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # on another Windows drive
        return path.name


def _read_file(path: Path, name: str) -> Iterator[Seed]:
    empty = True
    try:
        for position, fields in format_of(path, name).read(path):
            empty = False
            yield _seed(fields, name, position)
    except Flaw as flaw:
        raise flaw.named(name) from None
    except FileNotFoundError:
        raise SeedError(
            f"{name}: there is no such file", help="it was there a moment ago; start again"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SeedError(
            f"{name}: cannot be read: {reason}", help="check the file and its permissions"
        ) from error
    if empty:
        raise SeedError(
            f"{name}: holds no seed", code="R014", help="the file is empty or blank; fill it, or leave it out"
        )


def _seed(fields: dict[str, Any], name: str, position: int) -> Seed:
    try:
        return Seed(identify(fields), f"{name}:{position}", fields)
    except Flaw as flaw:
        raise flaw.placed(position) from None
