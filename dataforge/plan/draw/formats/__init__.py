"""The formats of `dataforge graph`: one file each, found by its name.

A format is a module with `SUFFIXES`, the endings of file names that mean it, and `draw(sheet)`, which returns the text of
the whole file. To add one is to add a file here.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Protocol, cast

from dataforge.plan.artifact import Plan
from dataforge.plan.draw.drawing import Drawing


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a format draws.

    Attributes:
        plan: the compiled program.
        drawing: its main graph; rows of a corpus are on its arrows.
        run: what is known of the corpus as a whole: its name, rows kept, rejected and failed; None without one.
    """

    plan: Plan
    drawing: Drawing
    run: dict[str, Any] | None = None


class Format(Protocol):
    """What each module in this folder has."""

    SUFFIXES: tuple[str, ...]

    def draw(self, sheet: Sheet) -> str:
        """The whole file."""
        ...


@functools.cache
def formats() -> dict[str, Format]:
    """Every format, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")
    return {name: cast("Format", importlib.import_module(f"{__name__}.{name}")) for name in names}


def format_of(file_name: str) -> str | None:
    """The format that a file's name asks for, or None."""
    for name, form in formats().items():
        if file_name.lower().endswith(form.SUFFIXES):
            return name
    return None
