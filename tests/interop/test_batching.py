"""Batches: exactly the size asked for, from the oldest groups that can make it."""

from __future__ import annotations

import itertools
import time

from hypothesis import example, given
from hypothesis import strategies as st

from dataforge.interop.batching import Piece, batch, exactly

sizes = st.lists(st.integers(1, 9), max_size=9)


@given(sizes, st.integers(1, 30))
def test_a_choice_is_exact_and_found_wherever_there_is_one(there: list[int], target: int):
    chosen = exactly(there, target)
    all_choices = [
        places
        for count in range(len(there) + 1)
        for places in itertools.combinations(range(len(there)), count)
        if sum(there[p] for p in places) == target
    ]
    if chosen is None:
        assert not all_choices
    else:
        # Older groups first: no other choice comes before it in the order of the queue.
        assert tuple(chosen) == min(
            all_choices, key=lambda places: [p not in places for p in range(len(there))]
        )


pieces = st.lists(st.tuples(st.sampled_from([2, 4, 8]), st.integers(0, 2)), max_size=9)


@given(pieces)
@example([(2, 0), (2, 1), (2, 1), (2, 1), (8, 0)])
@example([(8, 0), (4, 1), (8, 1), (4, 1)])
def test_every_environment_gets_what_it_was_promised(there: list[tuple[int, int]]):
    queue = [Piece(size, env) for size, env in there]
    chosen = batch(queue, 16, {0: 0.25, 1: 0.5})
    all_choices = [
        places
        for count in range(len(queue) + 1)
        for places in itertools.combinations(range(len(queue)), count)
        if sum(queue[p].size for p in places) == 16
        and sum(queue[p].size for p in places if queue[p].env_id == 0) >= 4
        and sum(queue[p].size for p in places if queue[p].env_id == 1) >= 8
    ]
    if chosen is None:
        assert not all_choices
    else:
        assert tuple(chosen) == min(
            all_choices, key=lambda places: [p not in places for p in range(len(queue))]
        )


def test_a_batch_waits_for_an_environment_that_was_promised_a_part():
    queue = [Piece(4, 0)] * 4
    assert batch(queue, 8, {0: 0.3, 1: 0.5}) is None
    assert batch([*queue, Piece(4, 1)], 8, {0: 0.3, 1: 0.5}) == [0, 4]
    assert batch([*queue, Piece(2, 1)], 8, {1: 0.5}) is None, "it has sent a part of it alone"


def test_promises_beyond_the_whole_are_scaled_down():
    queue = [Piece(2, 0), Piece(2, 0), Piece(2, 1)]
    assert batch(queue, 4, {0: 0.7, 1: 0.6}) == [0, 2]


def test_a_large_group_does_not_take_the_place_of_anothers_only_one():
    queue = [Piece(4, 0), Piece(4, 0), Piece(4, 1)]
    assert batch(queue, 8, {0: 0.7, 1: 0.25}) == [0, 2]


def test_promises_without_room_for_a_group_of_each_do_not_block_the_trainer():
    queue = [Piece(4, env) for env in (0, 1, 2)]
    assert batch(queue, 8, dict.fromkeys(range(3), 0.3)) is not None


def test_shares_of_a_long_queue_are_quick():
    queue = [Piece(8 if n % 2 else 4, n % 5) for n in range(1_000)]
    started = time.process_time()
    chosen = batch(queue, 1_024, {0: 0.2, 1: 0.3, 2: 0.1})
    assert chosen is not None
    assert sum(queue[p].size for p in chosen) == 1_024
    assert time.process_time() - started < 2


def test_no_promise_is_first_come_first_served():
    assert batch([Piece(1)] * 8, 4, {}) == [0, 1, 2, 3]
    assert batch([Piece(8), Piece(3), Piece(1)], 4, {}) == [1, 2]
    assert batch([], 4, {0: 0.5}) is None
    assert batch([Piece(3)] * 5, 4, {}) is None


def test_thousands_of_groups_are_quick():
    chosen = exactly([8, 4, 2] * 2_000, 1_024)
    assert chosen is not None
    assert chosen == list(range(len(chosen)))[: len(chosen) - 1] + chosen[-1:]
