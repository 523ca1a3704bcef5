"""Sets of values: what a condition on one term allows, and what is known of it.

Two forms, closed under union, intersection and complement: `Numbers` (a union of disjoint intervals) and `Symbols` (a
finite set of texts, booleans or other constants, or all but such a set). Both carry `absent`: whether the term may be
missing or null. Every comparison excludes `absent` (a comparison with nothing is false); a negation brings it back.

An interval's ends are *cuts*, places between values: `(v, 0)` lies just before v and `(v, 1)` just after it, so an
open and a closed end need no case of their own and tuples order them. Over the integers `(4, 1)` and `(5, 0)` are the
same place, and the second form is used.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

Cut = tuple[float, int]
LOWEST: Cut = (-math.inf, 0)
HIGHEST: Cut = (math.inf, 1)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """A union of disjoint intervals: `cuts` alternates beginnings and ends, in strictly rising order."""

    cuts: tuple[Cut, ...]
    integer: bool = False
    absent: bool = False

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.absent
        return bisect.bisect_right(self.cuts, (cast("float", value), 0)) % 2 == 1

    def __and__(self, other: Numbers) -> Numbers:
        if self.cuts == other.cuts and self.absent == other.absent:
            return self
        return Numbers(_merge(self.cuts, other.cuts, 2), self.integer, self.absent and other.absent)

    def __or__(self, other: Numbers) -> Numbers:
        if self.cuts == other.cuts and self.absent == other.absent:
            return self
        return Numbers(_merge(self.cuts, other.cuts, 1), self.integer, self.absent or other.absent)

    def __invert__(self) -> Numbers:
        cuts = self.cuts
        start = cuts[1:] if cuts and cuts[0] == LOWEST else (LOWEST, *cuts)
        rest = start[:-1] if start and start[-1] == HIGHEST else (*start, HIGHEST)
        return Numbers(rest, self.integer, not self.absent)

    def __le__(self, other: Numbers) -> bool:
        return (not self.absent or other.absent) and _merge(self.cuts, other.cuts, 2) == self.cuts

    def isdisjoint(self, other: Numbers) -> bool:
        return not (self.absent and other.absent) and not _merge(self.cuts, other.cuts, 2)

    @property
    def empty(self) -> bool:
        return not self.cuts and not self.absent

    @property
    def full(self) -> bool:
        return self.cuts == (LOWEST, HIGHEST) and self.absent

    def present(self) -> Numbers:
        """The same set without `absent`."""
        return Numbers(self.cuts, self.integer, False) if self.absent else self

    def listed(self, most: int) -> tuple[Scalar, ...] | None:
        """The values one by one, rising, where they are finite and no more than `most`; `absent` is not listed."""
        found: list[Scalar] = []
        for (low, low_side), (high, high_side) in zip(self.cuts[::2], self.cuts[1::2], strict=True):
            if math.isinf(low) or math.isinf(high):
                return None
            if self.integer:
                if high - low + len(found) > most:
                    return None
                found.extend(range(int(low), int(high)))
            elif low == high and (low_side, high_side) == (0, 1):
                found.append(low)
            else:
                return None
        return tuple(found) if len(found) <= most else None

    def describe(self, term: str) -> str:
        """The set as a condition of the language, as short as it can be said."""
        if not self.cuts:
            return f"not has {term}" if self.absent else f"{term} never"
        if self.absent:
            return _negated(~self, term)
        points = self.listed(16)
        if points is not None and len(points) == 1:
            return f"{term} == {_number(points[0])}"
        if points is not None and len(self.cuts) > 2:
            return f"{term} in {{{', '.join(map(_number, points))}}}"
        parts = [
            self._interval(term, low, high) for low, high in zip(self.cuts[::2], self.cuts[1::2], strict=True)
        ]
        if len(parts) == 2 and self.cuts[0] == LOWEST and self.cuts[-1] == HIGHEST:
            missing = (~self).present()
            hole = missing.listed(1)
            if hole:
                return f"{term} != {_number(hole[0])}"
        return " or ".join(parts)

    def _interval(self, term: str, low: Cut, high: Cut) -> str:
        if low == LOWEST and high == HIGHEST:
            return f"has {term}"
        if self.integer and not math.isinf(low[0]) and not math.isinf(high[0]):
            return f"{term} in {_number(low[0])}..{_number(high[0] - 1)}"
        lower = f"{term} {'>' if low[1] else '>='} {_number(low[0])}"
        upper = f"{term} {'<=' if high[1] else '<'} {_number(high[0])}"
        if self.integer and not math.isinf(high[0]):
            upper = f"{term} <= {_number(high[0] - 1)}"
        if low == LOWEST:
            return upper
        if high == HIGHEST:
            return lower
        if not low[1] and high[1]:
            return f"{term} in {_number(low[0])}..{_number(high[0])}"
        return f"{lower} and {upper}"


@dataclass(frozen=True, slots=True)
class Symbols:
    """A finite set of constants, or (`cofinite`) all constants but those."""

    items: frozenset[Scalar]
    cofinite: bool = False
    absent: bool = False

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.absent
        if not self.items:
            return (
                self.cofinite
            )  # without a look at the value: lists and structs, of which `has` asks, have no hash
        return (value in self.items) != self.cofinite

    def __and__(self, other: Symbols) -> Symbols:
        absent = self.absent and other.absent
        match self.cofinite, other.cofinite:
            case False, False:
                return Symbols(self.items & other.items, False, absent)
            case False, True:
                return Symbols(self.items - other.items, False, absent)
            case True, False:
                return Symbols(other.items - self.items, False, absent)
            case _:
                return Symbols(self.items | other.items, True, absent)

    def __or__(self, other: Symbols) -> Symbols:
        return ~(~self & ~other)

    def __invert__(self) -> Symbols:
        return Symbols(self.items, not self.cofinite, not self.absent)

    def __le__(self, other: Symbols) -> bool:
        if self.absent and not other.absent:
            return False
        if self.cofinite:
            return other.cofinite and other.items <= self.items
        return self.items.isdisjoint(other.items) if other.cofinite else self.items <= other.items

    def isdisjoint(self, other: Symbols) -> bool:
        if self.absent and other.absent:
            return False
        if self.cofinite:
            return not other.cofinite and other.items <= self.items
        return self.items <= other.items if other.cofinite else self.items.isdisjoint(other.items)

    @property
    def empty(self) -> bool:
        return not self.items and not self.cofinite and not self.absent

    @property
    def full(self) -> bool:
        return not self.items and self.cofinite and self.absent

    def present(self) -> Symbols:
        """The same set without `absent`."""
        return Symbols(self.items, self.cofinite, False) if self.absent else self

    def listed(self, most: int) -> tuple[Scalar, ...] | None:
        """The values one by one, in a fixed order, where they are finite and no more than `most`."""
        if self.cofinite or len(self.items) > most:
            return None
        return tuple(sorted(self.items, key=lambda v: (type(v).__name__, str(v))))

    def describe(self, term: str) -> str:
        """The set as a condition of the language, as short as it can be said."""
        if not self.items and not self.cofinite:
            return f"not has {term}" if self.absent else f"{term} never"
        if self.absent:
            return _negated(~self, term)
        if self.cofinite and not self.items:
            return f"has {term}"
        values = [
            quoted(v) if isinstance(v, str) else json.dumps(v)
            for v in sorted(self.items, key=lambda v: (type(v).__name__, str(v)))
        ]
        if len(values) == 1:
            if self.items == {True} and not self.cofinite:
                return term
            return f"{term} {'!=' if self.cofinite else '=='} {values[0]}"
        return f"{term} {'not in' if self.cofinite else 'in'} {{{', '.join(values)}}}"


Values = Numbers | Symbols
ANYTHING = Symbols(frozenset(), cofinite=True, absent=True)
PRESENT = Symbols(frozenset(), cofinite=True)
YES = Symbols(frozenset({True}))


def interval(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    integer: bool = False,
) -> Numbers:
    """The numbers from `low` to `high`; over the integers the ends are moved to the whole numbers inside."""
    start: Cut = LOWEST if low == -math.inf else (low, int(open_low))
    end: Cut = HIGHEST if high == math.inf else (high, int(not open_high))
    if integer:
        start, end = _whole(start), _whole(end)
    return Numbers((start, end) if start < end else (), integer)


def points(values: Iterable[float], *, integer: bool = False) -> Numbers:
    """Exactly these numbers."""
    result = Numbers((), integer)
    for value in values:
        result = result | interval(value, value, integer=integer)
    return result


def symbols(values: Iterable[Scalar]) -> Symbols:
    """Exactly these constants."""
    return Symbols(frozenset(values))


def intersection(a: Values, b: Values) -> Values:
    """Both at once; the two must be of one form, as two conditions on one term always are."""
    return a & b  # type: ignore[operator]


def union(a: Values, b: Values) -> Values:
    """Either; the two must be of one form."""
    return a | b  # type: ignore[operator]


def within(a: Values, b: Values) -> bool:
    """Whether every value of `a` is one of `b`."""
    return a <= b  # type: ignore[operator]


def disjoint(a: Values, b: Values) -> bool:
    """Whether no value is in both."""
    return a.isdisjoint(b)  # type: ignore[arg-type]


def _whole(cut: Cut) -> Cut:
    """The same place among the integers, in its first form."""
    value, side = cut
    if math.isinf(value):
        return cut
    if value == math.floor(value):
        return (int(value) + side, 0)
    return (math.ceil(value), 0)


def _merge(a: tuple[Cut, ...], b: tuple[Cut, ...], need: int) -> tuple[Cut, ...]:
    """Cuts of the places covered by at least `need` of two unions of intervals."""
    if len(a) == 2 and len(b) == 2 and need == 2:  # much the most frequent case
        low, high = max(a[0], b[0]), min(a[1], b[1])
        return (low, high) if low < high else ()
    events = sorted(
        [(c, 1 - 2 * (i % 2)) for i, c in enumerate(a)] + [(c, 1 - 2 * (i % 2)) for i, c in enumerate(b)]
    )
    out: list[Cut] = []
    depth = 0
    i = 0
    while i < len(events):
        cut = events[i][0]
        before = depth >= need
        while i < len(events) and events[i][0] == cut:
            depth += events[i][1]
            i += 1
        if (depth >= need) != before:
            out.append(cut)
    return tuple(out)


def _negated(values: Values, term: str) -> str:
    """That the term has none of these values: absence included."""
    if values.empty:
        return f"has {term} or not has {term}"
    text = values.describe(term)
    return f"not {text}" if text == term else f"not ({text})"


def quoted(text: str) -> str:
    """Text as the language writes it."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _escaped(c)) for c in text) + '"'


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def _number(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
