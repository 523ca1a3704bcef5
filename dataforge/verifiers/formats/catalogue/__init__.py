"""The formats themselves, as data over the forms: one module a family."""

from __future__ import annotations

from functools import cache

from dataforge.verifiers.formats.catalogue import data, marked, programs, prose, several
from dataforge.verifiers.formats.format import Format


@cache
def by_name() -> dict[str, Format]:
    """Name → format, in the order of the catalogue."""
    every = (*data.FORMATS, *marked.FORMATS, *prose.FORMATS, *programs.FORMATS, *several.FORMATS)
    named = {format.name: format for format in every}
    assert len(named) == len(every), "two formats have one name"
    return named
