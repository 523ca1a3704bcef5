"""How alike two texts are, from 0 to 1: by the words that they share, and by the edits from one to the other."""

from __future__ import annotations

from collections import Counter


def token_f1(said: str, right: str) -> float:
    """The harmonic mean of precision and recall of words, as multisets; their order does not count."""
    ours, theirs = said.split(), right.split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / (len(ours) + len(theirs))


def edit_ratio(said: str, right: str) -> float:
    """One minus the Levenshtein distance by the length of the longer text."""
    longest = max(len(said), len(right))
    return 1.0 if longest == 0 else 1.0 - distance(said, right) / longest


def distance(first: str, second: str) -> int:
    """The least number of characters to insert, remove or replace.

    A column of the table of distances is held in two integers, one bit a row: up and down steps (Myers 1999, in Hyyrö's
    form), so that a character costs a few operations on integers however long the other text is.
    """
    if len(first) < len(second):
        first, second = second, first
    if not second:
        return len(first)
    rows = len(second)
    mask, top = (1 << rows) - 1, 1 << (rows - 1)
    where: dict[str, int] = {}
    for row, char in enumerate(second):
        where[char] = where.get(char, 0) | 1 << row
    up, down, result = mask, 0, rows
    for char in first:
        match = where.get(char, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        right_up = down | (~(diagonal | up) & mask)
        right_down = up & diagonal
        if right_up & top:
            result += 1
        if right_down & top:
            result -= 1
        right_up = (right_up << 1) | 1
        up = ((right_down << 1) | ~(diagonal | right_up)) & mask
        down = right_up & diagonal & mask
    return result
