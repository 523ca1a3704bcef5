"""A cache of parsed files on disk, by content hash: a file of 10,000 nodes takes seconds to parse and a blink to load.

An entry is the syntax tree as JSON: reading it builds our own frozen classes and nothing else, so a planted entry can
at worst be a wrong program, never code. The key covers the text, the grammar and the tree's classes, so an entry
never has to be thrown out. Only texts that parsed without a complaint are stored. A cache that cannot be read or
written is as good as an empty one: the text is parsed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dataforge.lang import syntax
from dataforge.lang.diagnostics import Report, Source, Span

MIN_CHARS = 4_000
"""Shorter texts parse faster than a file opens."""


def parse_stored(source: Source, report: Report) -> syntax.File:
    """Parse a text, or load its tree from the cache."""
    if len(source.text) < MIN_CHARS:
        return _parse(source, report)
    folder = _folder()
    if folder is None:
        return _parse(source, report)
    place = folder / f"{_key(source.text)}.json"
    try:
        found = _decode(json.loads(place.read_bytes()))
        if isinstance(found, syntax.File):
            return found
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        pass  # no entry, or a damaged one: parse
    before = len(report.diagnostics)
    file = _parse(source, report)
    if len(report.diagnostics) == before:
        _store(place, file)
    return file


def _parse(source: Source, report: Report) -> syntax.File:
    from dataforge.lang.parse import (
        parse,
    )  # Lark and the grammar cost 0.2 s of CPU: only where a text is parsed

    return parse(source, report)


def _folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "dataforge" / "syntax"
    except RuntimeError:
        return None  # a user without a home, as containers have them


def _key(text: str) -> str:
    digest = hashlib.blake2b(_version(), digest_size=16)
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@functools.cache
def _version() -> bytes:
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for name in ("grammar.lark", "build.py", "syntax.py", "store.py"):
        digest.update((here / name).read_bytes())
    return digest.digest()


def _store(place: Path, file: syntax.File) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(_encode(file), stream, separators=(",", ":"))
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)
    except OSError:
        return  # a full or read-only disk costs time, not correctness


# ---- codec: a dataclass is [number of its class, field, field, …]; a tuple [-1, …]; a span [-2, start, end]

_CLASSES = tuple(
    sorted(
        (c for c in vars(syntax).values() if isinstance(c, type) and dataclasses.is_dataclass(c)),
        key=lambda c: c.__name__,
    )
)
_NUMBERS = {c: i for i, c in enumerate(_CLASSES)}
_FIELDS = {c: tuple(f.name for f in dataclasses.fields(c)) for c in _CLASSES}


def _encode(value: Any) -> Any:
    kind = type(value)
    if kind is Span:
        return [-2, value.start, value.end]
    number = _NUMBERS.get(kind)
    if number is not None:
        return [number, *[_encode(getattr(value, name)) for name in _FIELDS[kind]]]
    if kind is tuple:
        return [-1, *[_encode(v) for v in value]]
    return value


def _decode(value: Any) -> Any:
    if type(value) is not list:
        return value
    head = value[0]
    if head == -2:
        return Span(value[1], value[2])
    rest = [_decode(v) if type(v) is list else v for v in value[1:]]
    return tuple(rest) if head == -1 else _CLASSES[head](*rest)
