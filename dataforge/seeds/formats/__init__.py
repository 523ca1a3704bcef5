"""The formats that seeds are read from: one module each, found by name endings.

A format is a module with the names of `Format`. Those of this folder are found by looking; an installed package adds
its own through an entry point of the group `dataforge.seeds` that names such a module. Modules import what they need
only when they read, so that looking costs nothing.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from dataforge.errors import ProjectError, SeedError

ENTRY_POINTS = "dataforge.seeds"


class Format(Protocol):
    """How one format is read."""

    SUFFIXES: tuple[str, ...]
    """The name endings it claims, in lower case: ``(".jsonl", ".jsonl.gz")``."""

    def read(self, path: Path, /) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each record's position (a line or row, from 1) and its fields; raise `Flaw` where it is wrong."""
        ...


def format_of(path: Path, name: str) -> Format:
    """The format that claims the path's ending.

    Raises:
        SeedError: R010 where none does.
    """
    known = _known()
    matching = [suffix for suffix in known if path.name.lower().endswith(suffix)]
    if not matching:
        ending = f"files ending in {path.suffix}" if path.suffix else "files without an ending"
        raise SeedError(
            f"{name}: {ending} are not read as seeds", help=f"seed files end in {', '.join(suffixes())}"
        )
    return known[max(matching, key=len)]


def is_known(path: Path) -> bool:
    return path.name.lower().endswith(suffixes())


def suffixes() -> tuple[str, ...]:
    """Every name ending that some format claims, sorted."""
    return tuple(sorted(_known()))


@functools.cache
def _known() -> Mapping[str, Format]:
    claimed: dict[str, Format] = {}
    owners: dict[str, str] = {}
    for owner, found in [*_shipped(), *_installed()]:
        for suffix in found.SUFFIXES:
            if suffix in claimed:
                raise ProjectError(
                    f"both {owners[suffix]} and {owner} read seed files that end in {suffix}",
                    help="uninstall the package that you do not want",
                )
            claimed[suffix], owners[suffix] = found, owner
    return claimed


def _shipped() -> Iterator[tuple[str, Format]]:
    for module in pkgutil.iter_modules(__path__):
        yield "DataForge", cast("Format", importlib.import_module(f"{__name__}.{module.name}"))


def _installed() -> Iterator[tuple[str, Format]]:
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        owner = entry.dist.name if entry.dist else entry.value
        try:
            found = entry.load()
        except Exception as error:  # whatever a package does on import, its user must hear whose it is
            raise ProjectError(
                f"the seed format {entry.name} of {owner} cannot be loaded: {error}",
                help=f"mend or uninstall {owner}",
            ) from error
        yield owner, cast("Format", found)
