"""Make procedural tasks: a name, a level and a seed give the question, and the facts that its verdict needs.

Each block of tasks holds every kind once, in an order of its own, so any share of them is balanced. An item is made from a
seed of its own; whatever was made before does not matter. An item whose stored answer would not pass is passed over.
"""

from __future__ import annotations

import contextlib
import decimal
import functools
import io
import json
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.procedural import answers
from dataforge.verifiers.procedural.grading import Item
from dataforge.verifiers.procedural.table import KEPT, LEFT_OUT
from schemas.task import Task

TRIES = 20
"""How often an item is made anew where its stored answer would not pass."""


@dataclass(frozen=True, slots=True)
class Made:
    """A question with its item.

    Attributes:
        item: what its verdict needs.
        question: as the package asks it.
        difficulty: from 0 to 1 over the levels of its curriculum; None where it has none.
    """

    item: Item
    question: str
    difficulty: float | None


def names() -> tuple[str, ...]:
    """The tasks that are kept, sorted."""
    return tuple(sorted(KEPT))


def tasks_of(chosen: Sequence[str], seed: int, n: int) -> Iterator[Task]:
    """`n` tasks of the named kinds, each as often as the others."""
    order: list[str] = []
    for at in range(n):
        if not order:
            order = list(chosen)
            random.Random(f"{seed}/{at}").shuffle(order)
        name = order.pop()
        yield task(made(name, f"{seed}/{at}"), random.Random(f"{seed}/{at}/form"))


def check(name: str) -> None:
    """See that a task is one that is kept.

    Raises:
        InputError: V090, it is not.
    """
    if name in KEPT:
        return
    if name in LEFT_OUT:
        raise InputError(
            f"the task `{name}` of reasoning-gym is left out: it {LEFT_OUT[name]}",
            code="V090",
            help="`dataforge.verifiers.procedural.table` lists the tasks that are kept",
        )
    raise InputError(
        f"reasoning-gym has no task `{name}`",
        code="V090",
        help="`dataforge.verifiers.procedural.table` lists the tasks that are kept",
    )


def task(question: Made, rng: random.Random) -> Task:
    """The task of a question: how to answer is said behind it."""
    forms: tuple[answers.Form, ...] = (
        ("tags", "tags", "block") if KEPT[question.item.task].lines else ("tags", "tags", "line")
    )
    form = rng.choice(forms)
    asked = rng.choice(answers.ASKED[form])
    facts: dict[str, Any] = {"task": question.item.task, "answer": question.item.answer, "form": form}
    if question.item.metadata:
        facts["metadata"] = dict(question.item.metadata)
    return Task(
        prompt=f"{question.question.strip()}\n\n{asked}",
        facts=facts,
        verifier="reasoning",
        topic=question.item.task,
        difficulty=question.difficulty,
    )


def made(name: str, seed: str) -> Made:
    """The question of a seed."""
    manner = KEPT[name]
    for attempt in range(TRIES):
        rng = random.Random(f"{seed}/{name}/{attempt}")
        level = rng.randrange(manner.levels) if manner.levels else None
        found = entry(name, level, rng.randrange(2**30))
        if found is None:
            continue
        if not manner.grader(found.item, found.item.answer):
            return Made(found.item, found.question, None if level is None else _difficulty(name, level))
    raise AssertionError(f"{TRIES} items of `{name}` with a stored answer that does not pass")


@functools.lru_cache(maxsize=256)
def _settings(name: str, level: int | None) -> dict[str, Any]:
    """The settings of a level of the package's curriculum; none for the default."""
    if level is None:
        return {}
    from reasoning_gym.factory import create_curriculum

    curriculum = create_curriculum(name)
    for attribute in curriculum.attributes.values():
        curriculum.set_attr_level(attribute.name, min(level, len(attribute.levels) - 1))
    settings = vars(curriculum.generate_configuration({}))
    return {
        key: value
        for key, value in settings.items()
        if key not in ("seed", "size") and not key.startswith("_")
    }


@functools.lru_cache(maxsize=256)
def _source(name: str, level: int | None) -> Any:
    """The package's object that makes items; making one may load word lists."""
    from reasoning_gym.factory import create_dataset

    return create_dataset(name, **{**_settings(name, level), "seed": 0, "size": 2**31})


def _difficulty(name: str, level: int) -> float:
    from reasoning_gym.factory import create_curriculum

    highest = max(len(attribute.levels) for attribute in create_curriculum(name).attributes.values()) - 1
    return round(level / highest, 3) if highest else 0.0


def entry(name: str, level: int | None, index: int) -> Made | None:
    """One item of the package; None where it has no answer, or the package could not make it."""
    manner = KEPT[name]
    with contained():
        if manner.at_once:
            from reasoning_gym.factory import create_dataset

            source, index = create_dataset(name, **{**_settings(name, level), "seed": index, "size": 1}), 0
        else:
            source = _source(name, level)
        try:
            raw = source[index]
        except (ValueError, RuntimeError):
            return None  # some give up after a number of attempts
    stored = raw["metadata"][manner.stored] if manner.stored else raw["answer"]
    answer = stored if isinstance(stored, str) else "" if stored is None else json.dumps(stored)
    if not answer.strip():
        return None
    metadata = {key: raw["metadata"][key] for key in manner.keep}
    # Through JSON, as the facts of a task will be.
    metadata = json.loads(json.dumps(metadata))
    return Made(Item(name, answer, metadata), str(raw["question"]), None)


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Keep what the package does to the process inside: global generators, the precision of decimals, output, open files."""
    import numpy

    before, numpy_before = random.getstate(), numpy.random.get_state()
    try:
        with (
            decimal.localcontext(decimal.Context()),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(before)
        numpy.random.set_state(numpy_before)
