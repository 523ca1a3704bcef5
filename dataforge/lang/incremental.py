"""Text → syntax again, after an edit: only the items that changed are parsed.

`parse_items` gives what `parse` gives: the same tree, spans and diagnostics, whatever the text (a property test holds
them together). A file is cut at its top-level items as `parse` cuts one that is broken. What each item's text means is
kept relative to its own start, so an item that an edit only moved costs a shift of its spans, which is a twentieth of a
parse.

Cuts are guesses: an item may hold a line that looks like another's beginning. A guess is wrong only where the text
before it ends inside an item, so an item that ends too soon is tried again together with what follows it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from operator import attrgetter
from typing import Any

from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from dataforge.lang import syntax as s
from dataforge.lang.collection import held_collection
from dataforge.lang.diagnostics import Diagnostic, Report, Source, Span
from dataforge.lang.parse import cuts, lost_names, parse, parse_text, plain_cuts, report_syntax
from dataforge.lang.repair import Budget

MOST_JOINED = 8
"""An item is tried together with at most so many pieces after it; past that, the whole text is parsed."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one stretch of text means by itself, with spans that count from its start."""

    file: s.File
    problems: tuple[Diagnostic, ...] = ()
    failed: bool = False
    ends_too_soon: bool = False


@dataclass
class ItemCache:
    """What was parsed before, by text. What the last text did not use is let go."""

    pieces: dict[str, _Piece] = field(default_factory=dict)
    placed: dict[tuple[str, int], s.File] = field(default_factory=dict)
    """Trees at their place in the last text: those before an edit are taken as they are."""


_Bound = tuple[int, int]


def parse_items(source: Source, cache: ItemCache, report: Report) -> s.File:
    """Parse a whole file as `parse` does, taking from the cache what did not change since the last call.

    Args:
        source: the text.
        cache: of this file; the call leaves in it what the next one can use.
        report: where complaints go.
    """
    with held_collection():
        return _parse_items(source, cache, report)


def _parse_items(source: Source, cache: ItemCache, report: Report) -> s.File:
    text = source.text
    known, cache.pieces = cache.pieces, {}
    placed, cache.placed = cache.placed, {}
    budget = Budget()

    def piece(bound: _Bound) -> _Piece:
        chunk = text[bound[0] : bound[1]]
        found = cache.pieces.get(chunk) or known.get(chunk) or _parse_piece(chunk, budget)
        cache.pieces[chunk] = found
        return found

    bounds = list(itertools.pairwise(plain_cuts(text)))
    if any(piece(bound).failed for bound in bounds):
        joined, unclear = _joined(bounds, piece)
        if unclear:
            return parse(source, report)
        bounds = joined or list(itertools.pairwise(cuts(text)))
        if joined is None and not any(piece(bound).failed for bound in bounds):
            return parse(source, report)  # each item parses and the whole does not: the whole says where
    pieces = [piece(bound) for bound in bounds]
    if _version_is_misplaced(pieces):
        return parse(source, report)

    items: list[s.Item] = []
    version: s.Literal | None = None
    broken: list[str] = []
    for (start, end), found in zip(bounds, pieces, strict=True):
        for d in found.problems:
            report.error(d.code, d.message, source, Span(d.span.start + start, d.span.end + start), d.help)
        key = (text[start:end], start)
        file = placed.get(key)
        if file is None:
            file = _shifted(found.file, start) if start else found.file
        cache.placed[key] = file
        version = version or file.version
        items.extend(file.items)
        broken.extend(file.broken)
    return s.File(tuple(items), version, tuple(broken))


def _parse_piece(chunk: str, budget: Budget) -> _Piece:
    report = Report()
    source = Source("", chunk)
    try:
        file = parse_text(source, chunk, 0, report)
    except UnexpectedInput as error:
        report_syntax(source, chunk, 0, error, report, budget)
        lost = s.File((), None, lost_names(chunk))
        return _Piece(lost, tuple(report.diagnostics), True, _ends_too_soon(chunk, error))
    if file.version is not None:  # which `parse` looks at
        report = Report()
        file = parse(source, report)
    return _Piece(file, tuple(report.diagnostics))


def _ends_too_soon(chunk: str, error: UnexpectedInput) -> bool:
    """Whether all that is wrong with a text is that it ends: more of it might mend it."""
    if isinstance(error, UnexpectedToken):
        return bool(error.token.type == "$END")
    at: Any = error.pos_in_stream  # typed as None by Lark, an offset in fact
    # A dotted name may go on on the next line.
    return isinstance(error, UnexpectedCharacters) and chunk[at or 0 :].strip() == "."


def _joined(bounds: Sequence[_Bound], piece: Callable[[_Bound], _Piece]) -> tuple[list[_Bound] | None, bool]:
    """Bounds of pieces that all parse, where the whole text does, else None; and whether it could not be told.

    A piece that parses is a run of whole items in the whole text too: the parser is deterministic, and no item that
    could end there goes on with a word that begins another. So only pieces that fail need what follows them.
    """
    found: list[_Bound] = []
    n = 0
    while n < len(bounds):
        start, end = bounds[n]
        n += 1
        joined = 0
        while (tried := piece((start, end))).failed:
            if not tried.ends_too_soon or n == len(bounds):
                return None, False
            if joined == MOST_JOINED:
                return None, True
            end = bounds[n][1]
            joined += 1
            n += 1
        found.append((start, end))
    return found, False


def _version_is_misplaced(pieces: Sequence[_Piece]) -> bool:
    """Whether `forge` stands twice, or after an item: only the whole text says where."""
    holders = [n for n, piece in enumerate(pieces) if piece.file.version is not None]
    if len(holders) > 1:
        return True
    return bool(holders) and any(p.failed or p.file.items for p in pieces[: holders[0]])


# ---- moving a tree

_new_span = tuple.__new__


def _shifted(value: Any, by: int) -> Any:
    """The tree with every span moved."""
    kind = type(value)
    if kind is tuple:
        return tuple([_shifted(v, by) for v in value]) if value else value
    plan = _PLANS.get(kind)
    if plan is None:
        return value  # text, a number, a flag
    get, build, moved = plan
    parts = list(get(value))
    for n in moved:
        part = parts[n]
        if type(part) is Span:
            start, end = part
            if start or end:  # else it stands nowhere
                parts[n] = _new_span(Span, (start + by, end + by if end else 0))
        elif part:
            parts[n] = _shifted(part, by)
    return build(*parts)


def _plan(kind: type[Any]) -> tuple[Callable[[Any], Any], Callable[..., Any], tuple[int, ...]]:
    names = [f.name for f in fields(kind)]
    get = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    flat = {"str", "bool", "str | None", "tuple[str, ...]", "int | float | None"}
    moved = tuple(
        n for n, f in enumerate(fields(kind)) if f.type not in flat and not str(f.type).startswith("OneOf")
    )
    return get, kind, moved


_PLANS = {kind: _plan(kind) for kind in vars(s).values() if isinstance(kind, type) and is_dataclass(kind)}
"""For each class of the tree: how to take it apart, how to put it together, and which parts may hold a span."""
