"""Small problems with a worked chain of steps that is checked again, and again: thinking that no model had to write.

Each problem asks what comes so many places after something (a day of the week, a month, a number in a story), and its
chain goes there place by place, right by construction. After the first pass comes doubt: another pass follows with a
chance that is higher for long chains, until `ROOM` is used up. Every row closes its thinking, half of them within 100
tokens of SmolLM2's and the longest after 220: a model that learns from them runs out of a context that is smaller than that.

Which part a problem belongs to (`lessons`, `practice`, `exam`) is decided by a hash of its text: no problem of one is
in another, however many are drawn. `thinking.forge` makes rows of lessons; problems without a solution are written by

    python graphs/thinking.py exam 40 > exam.jsonl
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

PROBLEMS = 40
"""On a sheet."""
ROOM = 80
"""Words of thinking, which may pass it by one more pass over a chain."""
PARTS = ("lessons", "lessons", "practice", "exam")
"""By the remainder of a problem's hash: half of all problems are for lessons."""
DOUBT, DOUBT_LONG, LONG = 0.7, 0.85, 4
"""Chance of another pass over a chain, and over one of `LONG` steps or more."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")
THINGS = ("apples", "books", "coins", "eggs", "keys", "pens", "shells", "stamps")
GAINS = ("buys {} more", "finds {} more", "is given {} more")
LOSSES = ("loses {}", "gives {} away", "sells {}")
DOUBTS = ("Wait, let me check that.", "Hm, is that right?", "Once more, to be sure.")

Drawn = tuple[str, list[str], str]
"""Text, steps and answer of a problem."""


def pose(sheet: Any) -> list[dict[str, Any]]:
    """The problems of a sheet, none of them twice."""
    return list(islice(drawn(sheet.part, f"{sheet.part} {sheet.name}"), PROBLEMS))


def drawn(part: str, seed: str) -> Iterator[dict[str, Any]]:
    """Problems of a part, each once: of whatever family the draw gives."""
    dice, known = random.Random(seed), set()
    while True:
        family = dice.choice(list(FAMILIES))
        text, steps, answer = FAMILIES[family](dice)
        if part_of(text) == part and text not in known:
            known.add(text)
            yield {"text": text, "family": family, "steps": steps, "answer": answer}


def work_out(problem: Any) -> dict[str, Any]:
    """The chain of steps, its doubts, and the answer in a sentence."""
    dice = random.Random(problem.text)
    chain = " ".join(problem.steps)
    told, passes = f"{chain} So it is {problem.answer}.", 1
    doubt = DOUBT_LONG if len(problem.steps) >= LONG else DOUBT
    while len(told.split()) < ROOM and dice.random() < doubt:
        told += f"\n{dice.choice(DOUBTS)} {chain} Yes, {problem.answer}."
        passes += 1
    return {
        "reasoning": told,
        "passes": passes,
        "text": f"The answer is {problem.answer}.",
    }


def part_of(text: str) -> str:
    """The part that a problem belongs to."""
    return PARTS[hashlib.blake2b(text.encode()).digest()[0] % len(PARTS)]


def _day(dice: random.Random) -> Drawn:
    start, distance = dice.choice(DAYS), dice.randint(2, 5)
    steps, answer = _onward(DAYS, start, distance)
    return f"Which day is {distance} days after {start}?", steps, answer


def _month(dice: random.Random) -> Drawn:
    start, distance = dice.choice(MONTHS), dice.randint(2, 5)
    steps, answer = _onward(MONTHS, start, distance)
    return f"Which month is {distance} months after {start}?", steps, answer


def _onward(circle: Sequence[str], start: str, distance: int) -> tuple[list[str], str]:
    """So many places on in a circle, a step a place."""
    places = [circle[(circle.index(start) + n) % len(circle)] for n in range(1, distance + 1)]
    return [f"{n} after: {place}." for n, place in enumerate(places, 1)], places[-1]


def _story(dice: random.Random) -> Drawn:
    who, things, change = dice.choice(PEOPLE), dice.choice(THINGS), dice.randint(2, 5)
    first = dice.randint(10, 40)
    gains = dice.random() < 0.5
    event = dice.choice(GAINS if gains else LOSSES).format(change)
    sign, word = (1, "more") if gains else (-1, "less")
    steps = [f"{n} {word}: {first + sign * n}." for n in range(1, change + 1)]
    text = f"{who} has {first} {things} and {event}. How many {things} does {who} have?"
    return text, steps, str(first + sign * change)


FAMILIES: dict[str, Callable[[random.Random], Drawn]] = {"day": _day, "month": _month, "story": _story}


def _write(part: str, count: str) -> None:
    """Problems for `dataforge length sample`, a line each."""
    for number, problem in enumerate(islice(drawn(part, part), int(count))):
        row = {
            "id": f"{part}-{number}",
            "benchmark": problem["family"],
            "prompt": problem["text"],
            "expected": problem["answer"],
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS or not sys.argv[2].isdecimal():
        sys.exit(f"usage: python {sys.argv[0]} {'|'.join(dict.fromkeys(PARTS))} COUNT")
    _write(*sys.argv[1:])
