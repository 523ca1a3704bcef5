"""What several evaluations say to a model: zero-shot, in plain words, with one place for the answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from schemas.task import Task

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BOXED = "Put your final answer in \\boxed{}."
LETTER = "Think it through, then end with a line `Answer: ` and the letter of the option that you choose."
PROGRAM = "Give the whole program in one fenced code block of the language `python`."


def choice(
    question: str,
    options: Sequence[str],
    right: int,
    *,
    passage: str = "",
    topic: str = "",
    ask: str = LETTER,
) -> Task:
    """A multiple-choice task, its options lettered in their order.

    Args:
        right: place of the right option, from 0.
        passage: what the question is about, where it is about a text.
    """
    lettered = "\n".join(f"{letter}) {text.strip()}" for letter, text in zip(LETTERS, options, strict=False))
    prompt = "\n\n".join(filter(None, (passage.strip(), question.strip(), lettered, ask)))
    facts = {"answer": LETTERS[right], "options": [text.strip() for text in options]}
    return Task(prompt=prompt, facts=facts, verifier="multiple_choice", topic=topic)


def shuffled(right: str, others: Sequence[str], seed: str) -> tuple[list[str], int]:
    """Options in an order that the seed gives, and the place of the right one: for data that always has it first."""
    options = [right, *others]
    random.Random(seed).shuffle(options)
    return options, options.index(right)


def boxed(question: str, answer: str | list[str], *, topic: str = "", **facts: Any) -> Task:
    """A mathematical task."""
    return Task(
        prompt=f"{question.strip()}\n\n{BOXED}",
        facts={"answer": answer, **facts},
        verifier="maths",
        topic=topic,
    )
