"""Packing, held to the plainest way to do it: a scan over all bins for every sample."""

from __future__ import annotations

import math
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dataforge.errors import InputError
from trainer.pack import Packing, lower_bound, pack

ROOT = Path(__file__).resolve().parents[2]

Method = Literal["ffd", "bfd", "none"]
Samples = tuple[list[int], int]

METHODS: tuple[Method, ...] = ("ffd", "bfd", "none")


@st.composite
def samples(draw: st.DrawFn, most: int = 120, longest: int = 60) -> Samples:
    """Lengths and a capacity: of all sizes, mostly long, mostly short, or of a few sizes that recur."""
    capacity = draw(st.integers(1, longest))
    low = draw(st.integers(1, capacity))
    high = draw(st.integers(low, capacity))
    sizes = st.integers(low, high)
    if draw(st.booleans()):
        sizes = st.sampled_from(draw(st.lists(sizes, min_size=1, max_size=4)))
    return draw(st.lists(sizes, min_size=1, max_size=most)), capacity


def array(lengths: list[int]) -> NDArray[np.int32]:
    return np.array(lengths, np.int32)


def contents(packing: Packing) -> list[list[int]]:
    return [packing.bin(number).tolist() for number in range(len(packing))]


def decreasing(lengths: list[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda sample: (-lengths[sample], sample))


def first_fit_decreasing(lengths: list[int], capacity: int) -> list[list[int]]:
    bins: list[list[int]] = []
    rooms: list[int] = []
    for sample in decreasing(lengths):
        fitting = [bin for bin, room in enumerate(rooms) if room >= lengths[sample]]
        if not fitting:
            bins.append([])
            rooms.append(capacity)
        bin = fitting[0] if fitting else len(bins) - 1
        bins[bin].append(sample)
        rooms[bin] -= lengths[sample]
    return [sorted(bin) for bin in bins]


def best_fit_decreasing(lengths: list[int], capacity: int) -> list[list[int]]:
    """Of bins with the same room, the one that was filled last."""
    bins: list[list[int]] = []
    rooms: list[int] = []
    filled: list[int] = []
    for time, sample in enumerate(decreasing(lengths)):
        fitting = [bin for bin, room in enumerate(rooms) if room >= lengths[sample]]
        if not fitting:
            bins.append([])
            rooms.append(capacity)
            filled.append(time)
        bin = min(fitting, key=lambda b: (rooms[b], -filled[b])) if fitting else len(bins) - 1
        bins[bin].append(sample)
        rooms[bin] -= lengths[sample]
        filled[bin] = time
    return [sorted(bin) for bin in bins]


def fewest_bins(lengths: list[int], capacity: int) -> int:
    """By trying everything: each sample into every bin so far, or into a new one."""
    ordered = sorted(lengths, reverse=True)
    best = len(ordered)

    def place(at: int, rooms: tuple[int, ...]) -> None:
        nonlocal best
        if len(rooms) >= best:
            return
        if at == len(ordered):
            best = len(rooms)
            return
        for room in {room for room in rooms if room >= ordered[at]}:
            bin = rooms.index(room)
            place(at + 1, (*rooms[:bin], room - ordered[at], *rooms[bin + 1 :]))
        place(at + 1, (*rooms, capacity - ordered[at]))

    place(0, ())
    return best


def martello_toth(lengths: list[int], capacity: int) -> int:
    """L2 as the book has it, for every threshold up to half a bin."""
    bounds = []
    for threshold in range(capacity // 2 + 1):
        alone = [x for x in lengths if x > capacity - threshold]
        long = [x for x in lengths if capacity - threshold >= x and 2 * x > capacity]
        short = [x for x in lengths if capacity >= 2 * x and x >= threshold]
        beside = len(long) * capacity - sum(long)
        bounds.append(len(alone) + len(long) + max(0, math.ceil((sum(short) - beside) / capacity)))
    return max(bounds)


@settings(max_examples=60)
@given(samples())
def test_first_and_best_fit_decreasing_are_exactly_that(case: Samples) -> None:
    lengths, capacity = case
    assert contents(pack(array(lengths), capacity)) == first_fit_decreasing(lengths, capacity)
    assert contents(pack(array(lengths), capacity, "bfd")) == best_fit_decreasing(lengths, capacity)


@pytest.mark.parametrize("capacity", [64, 997, 4096])
def test_both_are_exact_over_hundreds_of_bins(capacity: int) -> None:
    """Where the tree over bins, or over rooms, has several levels."""
    random = np.random.default_rng(capacity)
    lengths = np.clip(capacity / 4 * np.exp(random.standard_normal(1_500)), 1, capacity).astype(np.int32)
    listed = lengths.tolist()
    assert contents(pack(lengths, capacity)) == first_fit_decreasing(listed, capacity)
    assert contents(pack(lengths, capacity, "bfd")) == best_fit_decreasing(listed, capacity)


@settings(max_examples=60)
@given(
    samples(), st.sampled_from(METHODS), st.integers(0, 40), st.one_of(st.none(), st.integers(0, 2**64 - 1))
)
def test_no_sample_is_lost_or_doubled_and_no_bin_over_capacity(
    case: Samples, method: Method, window: int, shuffle: int | None
) -> None:
    lengths, capacity = case
    packing = pack(array(lengths), capacity, method, window=window, shuffle=shuffle)
    bins = contents(packing)
    assert sorted(sample for bin in bins for sample in bin) == list(range(len(lengths)))
    assert all(0 < sum(lengths[sample] for sample in bin) <= capacity for bin in bins)
    assert all(a < b for bin in bins for a, b in pairwise(bin))
    assert packing.starts[0] == 0
    assert packing.starts[-1] == len(packing.order) == len(lengths)
    assert packing.order.dtype == packing.starts.dtype == np.int32
    assert packing.tokens == sum(lengths)
    assert packing.efficiency == pytest.approx(sum(lengths) / (len(bins) * capacity))
    assert math.ceil(sum(lengths) / capacity) <= lower_bound(array(lengths), capacity) <= len(packing)


@settings(max_examples=60)
@given(samples())
def test_lower_bound_is_that_of_martello_and_toth(case: Samples) -> None:
    lengths, capacity = case
    assert lower_bound(array(lengths), capacity) == martello_toth(lengths, capacity)


def test_lower_bound_sees_what_total_length_does_not() -> None:
    # Nothing fits beside a 7 but 3 or less; the 4s need bins of their own, two in each.
    assert lower_bound(array([7, 7, 7, 4, 4, 4]), 10) == 5
    assert math.ceil(33 / 10) == 4


@settings(max_examples=60)
@given(samples(most=9, longest=24))
def test_first_fit_decreasing_keeps_its_guarantee(case: Samples) -> None:
    """At most 11/9 of the optimum and 6/9 of a bin (Dósa, 2007), which in turn is no less than the lower bound."""
    lengths, capacity = case
    fewest = fewest_bins(lengths, capacity)
    assert lower_bound(array(lengths), capacity) <= fewest
    assert 9 * len(pack(array(lengths), capacity)) <= 11 * fewest + 6


@settings(max_examples=30)
@given(samples(), st.sampled_from(METHODS), st.integers(1, 40))
def test_a_window_is_packed_as_if_it_were_alone(case: Samples, method: Method, window: int) -> None:
    lengths, capacity = case
    alone = [
        [start + sample for sample in bin]
        for start in range(0, len(lengths), window)
        for bin in contents(pack(array(lengths[start : start + window]), capacity, method))
    ]
    assert contents(pack(array(lengths), capacity, method, window=window)) == alone


@settings(max_examples=30)
@given(samples(), st.sampled_from(METHODS), st.integers(0, 2**32))
def test_shuffling_changes_the_order_of_bins_and_nothing_else(
    case: Samples, method: Method, seed: int
) -> None:
    lengths, capacity = case
    plain, shuffled = (pack(array(lengths), capacity, method, shuffle=s) for s in (None, seed))
    assert sorted(contents(shuffled)) == sorted(contents(plain))
    assert contents(pack(array(lengths), capacity, method, shuffle=seed)) == contents(shuffled)


def test_the_order_of_bins_hangs_on_the_seed() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500)
    orders = [contents(pack(lengths, 100, shuffle=seed)) for seed in (None, 0, 1)]
    assert all(a != b for a, b in pairwise([*orders, orders[0]]))


def test_none_gives_a_bin_to_each_sample() -> None:
    assert contents(pack(array([3, 1, 2]), 10, "none")) == [[0], [1], [2]]


def test_read_only_lengths_of_another_type_are_packed_alike() -> None:
    """As they come from a memory-mapped file."""
    lengths = np.random.default_rng(0).integers(1, 1_000, 500)
    mapped = lengths.astype(np.uint16)
    mapped.flags.writeable = False
    assert contents(pack(mapped, 1_000)) == contents(pack(array(lengths.tolist()), 1_000))


@pytest.mark.parametrize("function", [pack, lower_bound])
@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([], "there are no samples to pack"),
        ([5, 0, 5, -1], "sample 1 has 0 tokens, and a bin takes 1 to 1,024"),
        ([5, 5, -1], "sample 2 has -1 tokens, and a bin takes 1 to 1,024"),
        ([5, 1024, 1025, 0], "sample 2 has 1,025 tokens, and a bin takes 1 to 1,024"),
    ],
)
def test_lengths_that_cannot_be_packed_are_refused_by_number(
    function: Any, lengths: list[int], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        function(array(lengths), 1_024)
    assert (caught.value.code, caught.value.message) == ("T007", said)
    assert caught.value.help


def test_a_negative_window_is_refused() -> None:
    with pytest.raises(InputError, match="a window of -5 samples"):
        pack(array([1, 2]), 10, window=-5)


def test_a_million_samples_take_little_memory_and_leave_no_room() -> None:
    """The cell that `benchmarks/packing.py` runs five times as large; it checks the packing itself."""
    cell = {"packer": "ours", "settings": {}, "law": "hermes", "samples": 1_000_000, "seed": 0, "repeats": 1}
    row = runpy.run_path(str(ROOT / "benchmarks" / "packing.py"))["measure"](cell)
    assert 3_800 < row["mean"] < 3_860
    assert row["efficiency"] > 99.99
    # 64 MB for five million, in proportion.
    assert row["extra_mb"] < 64 / 5
