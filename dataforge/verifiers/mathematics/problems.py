"""Make mathematical problems: topics in turn, answers that are right because the problem was built from them.

Each block of tasks holds every topic once, in an order of its own. A problem has a seed of its own, so the first k of n
tasks are the first k of any other n. How the answer is to be given is said behind the problem.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.task import Task

LEVELS = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its answer.

    Attributes:
        text: what is asked.
        answer: the truth.
        facts: what else the verifier is told, such as the kind of the answer.
    """

    text: str
    answer: str | list[str]
    facts: dict[str, Any] = field(default_factory=dict)


Maker = Callable[[random.Random, int], Problem]

ASKED = (
    "Put your final answer in \\boxed{}.",
    "Give the final answer inside \\boxed{}.",
    "Show your working, and write the final answer in \\boxed{} at the end.",
    "Reason step by step, then state the result in \\boxed{}.",
    "Finish with the answer in \\boxed{}, once.",
)


def problems(seed: int, n: int) -> Iterator[Task]:
    """`n` problems."""
    from dataforge.verifiers.mathematics.exercises import EXERCISES
    from dataforge.verifiers.mathematics.stories import STORIES

    topics = {**EXERCISES, **STORIES}
    order: list[str] = []
    for at in range(n):
        if not order:
            order = sorted(topics)
            random.Random(f"{seed}/{at}").shuffle(order)
        topic = order.pop()
        rng = random.Random(f"{seed}/{at}/{topic}")
        level = rng.randrange(LEVELS)
        made = topics[topic](rng, level)
        yield Task(
            prompt=f"{made.text}\n\n{rng.choice(ASKED)}",
            facts={"answer": made.answer, **made.facts},
            verifier="maths",
            topic=topic,
            difficulty=level / (LEVELS - 1),
        )
