"""Where generated values get their freedom: one small protocol, with Hypothesis or a seeded generator behind it.

Every generator of this package takes a `Chooser`. Under Hypothesis its choices are Hypothesis's own, so examples shrink
and replay. Where a first attempt does not satisfy a condition that only trying can decide, the same generator goes on
with `Seeded`, which costs Hypothesis nothing and filters nothing.

Choosing the least number, or the first item, gives the simplest value: that is what examples shrink to.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

Item = TypeVar("Item")


class Chooser(Protocol):
    """A source of choices."""

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        ...

    def real(self, low: float, high: float) -> float:
        """A finite number from `low` to `high`, both included."""
        ...


class Drawn:
    """Choices that Hypothesis draws."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        if low == high:
            return low
        chosen: int = self._draw(_integers(low, high))
        return chosen

    def real(self, low: float, high: float) -> float:
        chosen: float = self._draw(st.floats(low, high, allow_nan=False, allow_infinity=False))
        return chosen


@functools.lru_cache(maxsize=4_096)
def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)  # making one costs more than drawing from it


class Seeded:
    """Choices of a seeded generator. Seed 0 always chooses the simplest."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._simple = seed == 0

    def integer(self, low: int, high: int) -> int:
        if self._simple:
            return low
        return self._random.randint(low, high)

    def real(self, low: float, high: float) -> float:
        if self._simple:
            return min(max(low, 0.0), high)
        return self._random.uniform(low, high)


def pick(chooser: Chooser, items: Sequence[Item]) -> Item:
    """One of the items."""
    return items[chooser.integer(0, len(items) - 1)]


def perhaps(chooser: Chooser) -> bool:
    """Yes or no; no is the simpler."""
    return chooser.integer(0, 1) == 1
