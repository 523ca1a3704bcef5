"""Exercises in which a function is to be written. Each is drawn anew: numbers, words and turns of the rule differ."""

from __future__ import annotations

import random
import string
from typing import Any

from dataforge.verifiers.coding.exercise import WORDS, Exercise, written
from dataforge.verifiers.coding.texts import (
    balanced,
    capitals,
    palindrome,
    run_lengths,
    shift_letters,
    to_roman,
    top_words,
)


def _ints(rng: random.Random, low: int, high: int, most: int, least: int = 0) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(least, most))]


def count_between(rng: random.Random) -> Exercise:
    closed = rng.random() < 0.5
    less = "<=" if closed else "<"
    border = "Numbers equal to a border count." if closed else "Numbers equal to a border do not count."
    inputs: list[list[Any]] = [[[3, 7, 7, 1, 9], 3, 7], [[], 0, 5], [[5, 5, 5], 5, 5]]
    inputs += [[_ints(rng, -20, 20, 15, 5), rng.randint(-15, 0), rng.randint(1, 15)] for _ in range(4)]
    return written(
        f"It returns how many of the whole numbers in `values` lie between `low` and `high`. {border}",
        f"""
        def count_between(values, low, high):
            return sum(1 for value in values if low {less} value {less} high)
        """,
        inputs,
        "count_between(values, low, high)",
    )


def running_total(rng: random.Random) -> Exercise:
    cap = rng.randint(10, 40)
    inputs: list[list[Any]] = [[[cap - 1, 1, 2]], [[]], [[cap + 1]], [[cap, 1]]]
    inputs += [[_ints(rng, 0, cap, 12, 4)] for _ in range(3)]
    return written(
        f"""It returns the list of running totals of `numbers` (none is negative). Whenever a total would be more than {cap}, it starts
        again from 0 instead: that place of the list holds 0, and the next number is added to 0.""",
        f"""
        def running_totals(numbers):
            totals = []
            total = 0
            for number in numbers:
                total = total + number
                if total > {cap}:
                    total = 0
                totals.append(total)
            return totals
        """,
        inputs,
        "running_totals(numbers)",
    )


def rotate(rng: random.Random) -> Exercise:
    left = rng.random() < 0.5
    side = "left" if left else "right"
    cut = "steps % len(items)" if left else "-steps % len(items)"
    inputs: list[list[Any]] = [[[1, 2, 3, 4, 5], 2], [[], 3], [["a"], 7], [["x", "y", "z"], 10]]
    inputs += [[rng.sample(WORDS, rng.randint(2, 7)), rng.randint(0, 20)] for _ in range(3)]
    return written(
        f"""It returns a new list with the items of `items` rotated by `steps` places to the {side}. `steps` is not negative, and may be
        larger than the list is long; an empty list stays empty.""",
        f"""
        def rotate_{side}(items, steps):
            if not items:
                return []
            cut = {cut}
            return items[cut:] + items[:cut]
        """,
        inputs,
        f"rotate_{side}(items, steps)",
    )


def merge_intervals(rng: random.Random) -> Exercise:
    gap = rng.randint(0, 3)
    rule = (
        "that share at least one point"
        if gap == 0
        else f"that overlap, or have at most {gap} between the end of one and the start of the other,"
    )

    def drawn() -> list[list[int]]:
        starts = _ints(rng, 0, 40, 8, 2)
        return [[start, start + rng.randint(0, 6)] for start in starts]

    inputs: list[list[Any]] = [
        [[[1, 3], [2, 6], [9, 12]]],
        [[]],
        [[[5, 5]]],
        [[[1, 4], [4 + gap, 8]]],
        [[[1, 4], [5 + gap, 8]]],
    ]
    inputs += [[drawn()] for _ in range(3)]
    return written(
        f"""`intervals` is a list of pairs `[start, end]` of whole numbers with start at most end. It returns them sorted by start, with
        intervals {rule} merged into one, as often as that is possible.""",
        f"""
        def merge(intervals):
            merged = []
            for start, end in sorted(intervals):
                if merged and start - merged[-1][1] <= {gap}:
                    merged[-1][1] = max(merged[-1][1], end)
                else:
                    merged.append([start, end])
            return merged
        """,
        inputs,
        "merge(intervals)",
    )


def count_pairs(rng: random.Random) -> Exercise:
    word, sign = rng.choice([("sum", "+"), ("product", "*")])
    inputs: list[list[Any]] = [[[1, 2, 3, 4, 3], 6], [[], 0], [[2, 2, 2], 4], [[5], 5]]
    inputs += [[_ints(rng, -6, 6, 14, 6), rng.randint(-8, 8)] for _ in range(4)]
    return written(
        f"""It returns the number of pairs of places i < j for which the {word} of `numbers[i]` and `numbers[j]` is `target`. Equal numbers
        at different places make different pairs.""",
        f"""
        def count_pairs(numbers, target):
            count = 0
            for i in range(len(numbers)):
                for j in range(i + 1, len(numbers)):
                    if numbers[i] {sign} numbers[j] == target:
                        count += 1
            return count
        """,
        inputs,
        "count_pairs(numbers, target)",
    )


def longest_run(rng: random.Random) -> Exercise:
    how, sign = rng.choice(
        [
            ("that are all equal", "=="),
            ("of which each is greater than the one before", ">"),
            ("of which none is smaller than the one before", ">="),
        ]
    )
    inputs: list[list[Any]] = [[[1, 1, 2, 2, 2, 1]], [[]], [[4]], [[1, 2, 3, 4]], [[3, 2, 1]]]
    inputs += [[_ints(rng, 0, 4, 18, 8)] for _ in range(3)]
    return written(
        f"It returns the greatest number of neighbouring items in `numbers` {how}; 0 for an empty list.",
        f"""
        def longest_run(numbers):
            best = 0
            length = 0
            for place in range(len(numbers)):
                if place > 0 and numbers[place] {sign} numbers[place - 1]:
                    length += 1
                else:
                    length = 1
                best = max(best, length)
            return best
        """,
        inputs,
        "longest_run(numbers)",
    )


def group_by_remainder(rng: random.Random) -> Exercise:
    by = rng.randint(2, 7)
    inputs: list[list[Any]] = [[[1, 2, 3, 10, 11]], [[]], [[0]], [[-1, -2, 7]]]
    inputs += [[_ints(rng, -30, 30, 12, 4)] for _ in range(3)]
    return written(
        f"""It groups the whole numbers in `numbers` by their remainder modulo {by} (as Python's `%` gives it, so never negative). It returns a dictionary
        from each remainder that occurs, written as text such as `"0"`, to the list of its numbers in their order.""",
        f"""
        def group(numbers):
            groups = {{}}
            for number in numbers:
                groups.setdefault(str(number % {by}), []).append(number)
            return groups
        """,
        inputs,
        "group(numbers)",
    )


def digit_sum(rng: random.Random) -> Exercise:
    base = rng.choice([2, 3, 5, 8, 9, 12])
    inputs: list[list[Any]] = [[0], [1], [base], [base**5 - 1], [10**18]]
    inputs += [[rng.randint(1, 10**6)] for _ in range(3)]
    return written(
        f"It returns the sum of the digits that the non-negative whole number `number` has when written in base {base}.",
        f"""
        def digit_sum(number):
            total = 0
            while number > 0:
                total += number % {base}
                number //= {base}
            return total
        """,
        inputs,
        "digit_sum(number)",
    )


def nth_distinct(rng: random.Random) -> Exercise:
    n = rng.randint(2, 4)
    word, backwards = rng.choice([("smallest", False), ("largest", True)])
    ordinal = {2: "second", 3: "third", 4: "fourth"}[n]
    inputs: list[list[Any]] = [[[4, 1, 4, 9, 2, 7]], [[]], [[1] * 5], [[3, 1, 2]]]
    inputs += [[_ints(rng, -9, 9, 12, 5)] for _ in range(4)]
    return written(
        f"It returns the {ordinal} {word} of the different values in `values`, or None if there are fewer than {n} different ones.",
        f"""
        def pick(values):
            different = sorted(set(values), reverse={backwards})
            return different[{n} - 1] if len(different) >= {n} else None
        """,
        inputs,
        "pick(values)",
    )


def matrix_edge(rng: random.Random) -> Exercise:
    where, test = rng.choice(
        [
            (
                "on its border (first and last row, first and last column; each once)",
                "r in (0, rows - 1) or c in (0, columns - 1)",
            ),
            (
                "strictly inside, that is not in the first or last row or column",
                "0 < r < rows - 1 and 0 < c < columns - 1",
            ),
            ("whose row and column numbers, counted from 0, have an even sum", "(r + c) % 2 == 0"),
        ]
    )

    def drawn(rows: int, columns: int) -> list[list[int]]:
        return [[rng.randint(-9, 9) for _ in range(columns)] for _ in range(rows)]

    inputs: list[list[Any]] = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], [[]], [[[5]]], [[[1, 2]]]]
    inputs += [[drawn(rng.randint(2, 5), rng.randint(2, 5))] for _ in range(3)]
    return written(
        f"`matrix` is a list of rows of equal length. It returns the sum of the numbers {where}; 0 for an empty matrix.",
        f"""
        def matrix_sum(matrix):
            rows = len(matrix)
            columns = len(matrix[0]) if rows else 0
            total = 0
            for r in range(rows):
                for c in range(columns):
                    if {test}:
                        total += matrix[r][c]
            return total
        """,
        inputs,
        "matrix_sum(matrix)",
    )


def weighted_mean(rng: random.Random) -> Exercise:
    inputs: list[list[Any]] = [[[1.0, 2.0, 4.0], [1, 1, 2]], [[3.5], [2]], [[1.0, 2.0], [0, 0]], [[], []]]
    inputs += [
        [[round(rng.uniform(-5, 5), 2) for _ in range(n)], [rng.randint(0, 9) for _ in range(n - 1)] + [1]]
        for n in (3, 5, 8)
    ]
    empty = rng.choice(["0.0", "-1.0"])
    return written(
        f"""It returns the mean of the floats in `values`, each weighted by the whole number at the same place of `weights`. Both lists have
        the same length, and no weight is negative. If the weights add up to 0, it returns {empty}.""",
        f"""
        def weighted_mean(values, weights):
            total = sum(weights)
            if total == 0:
                return {empty}
            return sum(value * weight for value, weight in zip(values, weights)) / total
        """,
        inputs,
        "weighted_mean(values, weights)",
        floats=True,
    )


def flatten(rng: random.Random) -> Exercise:
    depth = rng.randint(1, 3)
    times = {1: "one level", 2: "two levels", 3: "three levels"}[depth]
    inputs: list[list[Any]] = [[[1, [2, [3, [4, [5]]]]]], [[]], [[[], [[]]]], [["ab", ["cd"]]]]
    inputs += [
        [[rng.randint(0, 9), [[rng.randint(0, 9)], [[[rng.randint(0, 9)]]]], [rng.randint(0, 9)]]]
        for _ in range(2)
    ]
    return written(
        f"It returns `nested` flattened by {times}: the items of lists inside it take the place of those lists, down to that depth and no deeper.",
        f"""
        def flatten(nested, depth={depth}):
            flat = []
            for item in nested:
                if isinstance(item, list) and depth > 0:
                    flat.extend(flatten(item, depth - 1))
                else:
                    flat.append(item)
            return flat
        """,
        inputs,
        "flatten(nested)",
    )


def moving_average(rng: random.Random) -> Exercise:
    window = rng.randint(2, 4)
    inputs: list[list[Any]] = [[[1, 2, 3, 4, 5, 6]], [[]], [[1]], [[7] * window]]
    inputs += [[_ints(rng, -20, 20, 12, 6)] for _ in range(3)]
    return written(
        f"""It returns the list of the averages, as floats, of every {window} neighbouring numbers in `numbers`, from left to right; an empty
        list if there are fewer than {window}.""",
        f"""
        def moving_average(numbers):
            averages = []
            for start in range(len(numbers) - {window} + 1):
                averages.append(sum(numbers[start:start + {window}]) / {window})
            return averages
        """,
        inputs,
        "moving_average(numbers)",
        floats=True,
    )


def insert_position(rng: random.Random) -> Exercise:
    left = rng.random() < 0.5
    side, sign = ("before", "<") if left else ("after", "<=")
    inputs: list[list[Any]] = [[[1, 3, 3, 5], 3], [[], 4], [[2], 1], [[2], 2], [[2], 3]]
    inputs += [[sorted(_ints(rng, 0, 20, 12, 4)), rng.randint(0, 20)] for _ in range(3)]
    return written(
        f"""`ordered` is sorted in ascending order. It returns the place, counted from 0, at which `value` is to be inserted so that the list stays
        sorted; where equal values are there already, {side} all of them.""",
        f"""
        def insert_position(ordered, value):
            place = 0
            for item in ordered:
                if item {sign} value:
                    place += 1
            return place
        """,
        inputs,
        "insert_position(ordered, value)",
    )


def chunks(rng: random.Random) -> Exercise:
    size = rng.randint(2, 4)
    drop = rng.random() < 0.5
    rest = "A last part that is shorter is left out." if drop else "The last part may be shorter."
    keep = f"len(part) == {size}" if drop else "part"
    inputs: list[list[Any]] = [
        [list(range(1, 2 * size + 2))],
        [[]],
        [[0]],
        [list(string.ascii_lowercase[: 2 * size])],
    ]
    inputs += [[_ints(rng, 0, 99, 13, 3)] for _ in range(3)]
    return written(
        f"It returns the items of `items` in parts of {size}, in order, as a list of lists. {rest}",
        f"""
        def parts(items):
            cut = [items[start:start + {size}] for start in range(0, len(items), {size})]
            return [part for part in cut if {keep}]
        """,
        inputs,
        "parts(items)",
    )


FUNCTIONS = {
    "count between": (count_between, 0.05),
    "running total": (running_total, 0.2),
    "rotation": (rotate, 0.15),
    "every n-th word": (capitals, 0.15),
    "letter shift": (shift_letters, 0.25),
    "merging intervals": (merge_intervals, 0.4),
    "counting pairs": (count_pairs, 0.15),
    "longest run": (longest_run, 0.25),
    "grouping": (group_by_remainder, 0.2),
    "digit sum": (digit_sum, 0.15),
    "balanced brackets": (balanced, 0.35),
    "n-th distinct value": (nth_distinct, 0.15),
    "matrix sum": (matrix_edge, 0.25),
    "run lengths": (run_lengths, 0.25),
    "weighted mean": (weighted_mean, 0.2),
    "frequent words": (top_words, 0.3),
    "flattening": (flatten, 0.35),
    "palindrome": (palindrome, 0.1),
    "moving average": (moving_average, 0.2),
    "insert position": (insert_position, 0.2),
    "Roman numerals": (to_roman, 0.3),
    "parts of a list": (chunks, 0.1),
}
"""Topic to maker and difficulty."""
