"""Numbers from a set of them: a value of any `Numbers`, small and round ones first."""

from __future__ import annotations

import math

from dataforge.domain.values import Cut, Numbers, interval
from dataforge.testing.choices import Chooser, perhaps

REACH = 1_000
"""How far beyond a bound, or on either side of zero, a number is looked for where the set goes on for ever."""

Span = tuple[int, int | None]
"""The least and the most whole number of a stretch; None is without bound."""


def spans(values: Numbers) -> list[Span]:
    """The stretches of a set of whole numbers from 0 on, rising."""
    values = values & interval(0, integer=True)
    return [
        (int(low), None if math.isinf(high) else int(high) - 1)
        for (low, _), (high, _) in zip(values.cuts[::2], values.cuts[1::2], strict=True)
    ]


def number(values: Numbers, chooser: Chooser) -> int | float:
    """A number of the set, which must not be empty."""
    pairs = list(zip(values.cuts[::2], values.cuts[1::2], strict=True))
    low, high = pairs[chooser.integer(0, len(pairs) - 1)]
    return _whole(low, high, chooser) if values.integer else _real(low, high, chooser)


def _whole(low: Cut, high: Cut, chooser: Chooser) -> int:
    if math.isinf(low[0]) and math.isinf(high[0]):
        size = chooser.integer(0, REACH)
        return -size if size and perhaps(chooser) else size
    if math.isinf(low[0]):
        last = int(high[0]) - 1
        return last - chooser.integer(0, REACH)
    first = int(low[0])
    if math.isinf(high[0]):
        return first + chooser.integer(0, REACH)
    return chooser.integer(first, int(high[0]) - 1)


def _real(low: Cut, high: Cut, chooser: Chooser) -> float:
    first = _inside(low, -1) if not math.isinf(low[0]) else None
    last = _inside(high, 1) if not math.isinf(high[0]) else None
    if first is None and last is None:
        first, last = -float(REACH), float(REACH)
    elif first is None:
        assert last is not None
        first = last - REACH
    elif last is None:
        last = first + REACH
    assert last is not None
    whole = math.ceil(first)
    if whole <= last and not perhaps(chooser):
        return float(chooser.integer(whole, math.floor(last)))
    return chooser.real(first, last)


def _inside(cut: Cut, side: int) -> float:
    """The number next to a cut, on the side of the interval that it begins (-1) or ends (1)."""
    value, after = float(cut[0]), cut[1]
    if side < 0:
        return math.nextafter(value, math.inf) if after else value
    return value if after else math.nextafter(value, -math.inf)
