"""What a user names → the seed files it means.

A name is a file, a folder (with all below it) or a glob, relative to a base. A file that is named outright must be of
a known format. Folders and globs may hold other things: those are passed over, and so are hidden files and the papers
that lie beside data by custom (README, LICENCE and the like), which are prose but no seeds.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataforge.errors import SeedError
from dataforge.seeds.formats import format_of, is_known, suffixes
from dataforge.seeds.read import shown

_PAPERS = re.compile(
    r"(readme|licen[cs]es?|notices?|copying|copyright|authors|contributing|changelog)([-_.].*)?\.(md|txt)",
    re.IGNORECASE,
)


def expand(patterns: Sequence[str], base: Path, within: Path | None = None) -> list[Path]:
    """The files that the patterns mean, each once, sorted by their name relative to the base.

    Args:
        patterns: names of files or folders, or globs.
        base: what they are relative to.
        within: a folder that none of them may lead out of, through symbolic links either; None where any will do.

    Raises:
        SeedError: R010 where a pattern means nothing that can be read, or something outside.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        try:
            for path in _matches(pattern, base):
                if within is not None and not path.resolve().is_relative_to(within.resolve()):
                    raise SeedError(
                        f"{pattern}: {shown(path, base)} lies outside the project",
                        help="copy the file into the project, or name it yourself with --seeds",
                    )
                found.setdefault(shown(path, base), path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SeedError(f"{pattern}: cannot be looked up: {reason}", help="check the name") from error
    return [path for _, path in sorted(found.items())]


def _matches(pattern: str, base: Path) -> list[Path]:
    path = base / pattern
    if path.is_file():
        format_of(path, pattern)
        return [path]
    if path.is_dir():
        files = list(_inside(path))
        if not files:
            raise _nothing_in(f"the folder {pattern}")
        return files
    if glob.has_magic(pattern):
        # Path.glob refuses absolute patterns, and does not pass over hidden files.
        hits = [base / hit for hit in glob.glob(pattern, root_dir=base, recursive=True)]  # noqa: PTH207
        if not hits:
            raise SeedError(f"no file matches {pattern}", help=f"looked in {_looked_in(pattern, base)}")
        files = [
            file for hit in hits for file in (_inside(hit) if hit.is_dir() else [hit]) if _is_seed_file(file)
        ]
        if not files:
            raise _nothing_in(f"what matches {pattern}")
        return files
    if path.exists():
        raise SeedError(
            f"{pattern}: neither a file nor a folder", help="name a seed file, a folder or a glob"
        )
    raise SeedError(f"{pattern}: there is no such file or folder", help=_nearest(path, base))


def _inside(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (path for name in files if _is_seed_file(path := Path(parent, name)))


def _is_seed_file(path: Path) -> bool:
    return (
        not path.name.startswith(".")
        and not _PAPERS.fullmatch(path.name)
        and is_known(path)
        and path.is_file()
    )


def _nothing_in(where: str) -> SeedError:
    return SeedError(f"{where} holds no seed file", help=f"seed files end in {', '.join(suffixes())}")


def _looked_in(pattern: str, base: Path) -> str:
    fixed: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    folder = base.joinpath(*fixed)
    name = Path(*fixed).as_posix() if fixed else "the folder that names are relative to"
    if not folder.is_dir():
        return f"{name}, which does not exist; {_nearest(folder, base)}"
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))[:5]
    return f"{name}, which holds {', '.join(others) if others else 'nothing'}"


def _nearest(path: Path, base: Path) -> str:
    """The existing name that comes closest to the first part of the path that does not exist."""
    parent, missing = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, missing = parent.parent, parent.name
    names = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
    close = difflib.get_close_matches(missing, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {shown(parent / close[0], base)}?"
    where = f"the folder {base.resolve().name}" if parent.resolve() == base.resolve() else shown(parent, base)
    return f"there is nothing called {missing} in {where}"
