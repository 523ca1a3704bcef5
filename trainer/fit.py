"""The loops of packing, compiled: which bin each sample of a decreasing sequence goes into.

Samples of equal length are placed as a run: the bin that takes the first of them also takes the next, until it is full for
this length. So loops go over lengths and bins, and the sorted samples never exist: a histogram says how many there are of
each length, and a last pass gives each sample its place in its run.

First fit asks for the first bin with room for a length, best fit for the smallest room that has a bin. Both ask for the
first of an array that is at least this much, which `_first` answers from a tree of maxima over blocks of the array: a
block is a cache line, so that the tree over a million bins stays in a cache.

Only `pack` imports this, and only when it packs, since numba takes most of a second to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]

BLOCK = 16


@njit(cache=True)
def histogram(lengths: Integers, longest: int) -> NDArray[np.int64]:
    """How many samples there are of each length, from 0 to `longest`."""
    counts = np.zeros(longest + 1, np.int64)
    for length in lengths:
        counts[length] += 1
    return counts


@njit(cache=True)
def first_fit(counts: NDArray[np.int64], capacity: int, most: int, bins: Integers) -> int:
    """Put samples, longest first, each into the first bin that has room for it.

    Args:
        counts: of each length.
        capacity: of a bin.
        most: bins that may be needed.
        bins: receives the bin of each sample, in decreasing order of length.

    Returns:
        How many bins were opened.
    """
    rooms, maxima = _array(most)
    placed = opened = 0
    for length in range(len(counts) - 1, 0, -1):
        left = counts[length]
        while left > 0:
            bin = _first(rooms, maxima, length)
            if bin < 0:
                bin, opened = opened, opened + 1
                room = capacity
            else:
                room = rooms[bin]
            run = min(left, room // length)
            _put(rooms, maxima, bin, room - run * length)
            bins[placed : placed + run] = bin
            placed += run
            left -= run
    return opened


@njit(cache=True)
def best_fit(counts: NDArray[np.int64], capacity: int, most: int, bins: Integers) -> int:
    """Put samples, longest first, each into a bin that it leaves the least room in; see `first_fit`.

    Of bins with the same room it is the one that was filled last: they lie on a stack for each room.
    """
    rooms, maxima = _array(capacity + 1)
    top, below = np.full(capacity + 1, -1, np.int32), np.empty(most, np.int32)
    placed = opened = 0
    for length in range(len(counts) - 1, 0, -1):
        left = counts[length]
        while left > 0:
            room = _first(rooms, maxima, length)
            if room < 0:
                bin, opened = opened, opened + 1
                room = capacity
            else:
                bin = top[room]
                top[room] = below[bin]
                if top[room] < 0:
                    _put(rooms, maxima, room, 0)
            run = min(left, room // length)
            room -= run * length
            if top[room] < 0:
                _put(rooms, maxima, room, room)
            top[room], below[bin] = bin, top[room]
            bins[placed : placed + run] = bin
            placed += run
            left -= run
    return opened


@njit(cache=True)
def deal(lengths: Integers, counts: NDArray[np.int64], bins: Integers, opened: int, place: Integers) -> None:
    """Give each sample the next bin of those that its length was given, numbered from `opened` on."""
    following = np.zeros(len(counts), np.int64)
    for length in range(len(counts) - 1, 0, -1):
        following[length - 1] = following[length] + counts[length]
    for sample in range(len(lengths)):
        length = lengths[sample]
        place[sample] = opened + bins[following[length]]
        following[length] += 1


@njit(cache=True)
def gather(place: Integers, names: Integers, order: Integers, starts: Integers) -> None:
    """List samples bin by bin, those of a bin in their order, where `names` has the new number of each bin.

    `starts` comes in as zeros. It holds the ends of bins until each sample has moved its own down by one.
    """
    for bin in place:
        starts[names[bin]] += 1
    for bin in range(1, len(starts)):
        starts[bin] += starts[bin - 1]
    for sample in range(len(place) - 1, -1, -1):
        bin = names[place[sample]]
        starts[bin] -= 1
        order[starts[bin]] = sample


@njit(cache=True)
def _array(size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Zeros in whole blocks, and the tree of maxima over the blocks: the children of 1 are 2 and 3, and so on."""
    leaves = 1
    while leaves * BLOCK < size:
        leaves *= 2
    return np.zeros((size + BLOCK - 1) // BLOCK * BLOCK, np.int32), np.zeros(2 * leaves, np.int32)


@njit(cache=True)
def _first(values: NDArray[np.int32], maxima: NDArray[np.int32], least: int) -> int:
    """Where the first value is that is at least `least`, or -1."""
    if maxima[1] < least:
        return -1
    node = 1
    while 2 * node < len(maxima):
        node *= 2
        if maxima[node] < least:
            node += 1
    at = (node - len(maxima) // 2) * BLOCK
    while values[at] < least:
        at += 1
    return at


@njit(cache=True)
def _put(values: NDArray[np.int32], maxima: NDArray[np.int32], at: int, value: int) -> None:
    """Set a value, and the maxima above it as far as they change."""
    values[at] = value
    block = at // BLOCK
    largest = values[block * BLOCK]
    for other in range(block * BLOCK + 1, (block + 1) * BLOCK):
        largest = max(largest, values[other])
    node = len(maxima) // 2 + block
    while node > 0 and maxima[node] != largest:
        maxima[node] = largest
        # The root's neighbour is unused, and 0.
        largest = max(largest, maxima[node ^ 1])
        node //= 2
