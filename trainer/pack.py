"""Samples into bins: first-fit and best-fit decreasing over the whole set, in seconds for millions.

Lengths are integers no larger than the capacity, which is small: they are sorted by counting, and a bin is found by a
tree over remaining capacities instead of a scan. Pure functions of arrays; nothing here knows of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Packing:
    """Which samples lie in which bin.

    Attributes:
        capacity: tokens of a bin.
        order: int64 `[samples]`, sample numbers bin by bin.
        starts: int64 `[bins + 1]`: bin `b` holds `order[starts[b]:starts[b + 1]]`.
        tokens: of all samples.
    """

    capacity: int
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    tokens: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def bin(self, number: int) -> NDArray[np.int64]:
        """The samples of one bin."""
        return self.order[self.starts[number] : self.starts[number + 1]]

    @property
    def efficiency(self) -> float:
        """Tokens by the room of all bins."""
        raise NotImplementedError


def pack(
    lengths: NDArray[np.integer],
    capacity: int,
    method: Literal["ffd", "bfd", "none"] = "ffd",
    *,
    window: int = 0,
    shuffle: int | None = None,
) -> Packing:
    """Put samples into as few bins as the method finds.

    Args:
        lengths: of the samples, each from 1 to `capacity`.
        capacity: tokens of a bin.
        method: first-fit decreasing, best-fit decreasing, or a bin for each sample.
        window: samples packed together, in their order; 0 for all at once.
        shuffle: seed of the order of bins, or None to leave them as they were opened.

    Raises:
        InputError: a length is out of range (T007).
    """
    raise NotImplementedError


def lower_bound(lengths: NDArray[np.integer], capacity: int) -> int:
    """The bins that any packing needs: the larger of the total by the capacity and Martello and Toth's L2 (1990)."""
    raise NotImplementedError
