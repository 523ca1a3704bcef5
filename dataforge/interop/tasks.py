"""Where an environment's tasks come from: its verifier, which makes them without end, or a file of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dataforge.errors import InputError
from dataforge.interop.groups import first_fault
from dataforge.verifiers import Verifier
from schemas.task import Task

A_ROUND = 1_000
"""Tasks that are made of one seed, where they have no end."""


def tasks_of(
    verifier: Verifier[Any],
    file: Path | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    epochs: int = 1,
) -> Iterator[Task]:
    """The tasks of an environment, made as they are asked for.

    Args:
        file: a task a line; None for the verifier's own.
        seed: of the verifier's own.
        limit: at most so many different ones.
        epochs: how often a bounded set is gone through.

    Raises:
        InputError: V031, where the verifier makes none and no file is given, or the file is wrong; of a file this shows
            when the line is reached.
    """
    if file is not None:
        first = next(read_tasks(file), None)
        if first is None:
            raise InputError(
                f"{file} has no tasks", code="V031", help="a task is a line, as `schemas.task.Task` has it"
            )
        if first.verifier not in ("", verifier.name):
            raise InputError(
                f"the tasks of {file} are for `{first.verifier}`, and not for `{verifier.name}`",
                code="V031",
                help=f"name the verifier `{first.verifier}`, or other tasks",
            )
        return _again(lambda: itertools.islice(read_tasks(file), limit), epochs)
    if not verifier.makes_tasks:
        raise InputError(
            f"the verifier `{verifier.name}` makes no tasks of its own",
            code="V031",
            help="give --tasks FILE with a task a line: "
            '{"prompt": "…", "facts": {…}}; or take a verifier that makes them',
        )
    if limit is None:
        return _endless(verifier, seed)
    return _again(lambda: verifier.tasks(seed, limit), epochs)


def read_tasks(file: Path) -> Iterator[Task]:
    """The tasks of a file, one JSON object a line.

    Raises:
        InputError: V031, where it cannot be read or a line is no task.
    """
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    yield Task.model_validate_json(line)
                except ValidationError as error:
                    raise InputError(
                        f"{file}, line {number}: {first_fault(error)}",
                        code="V031",
                        help='a task is {"prompt": "…", "facts": {…}}, with `system` if wished',
                    ) from error
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", code="V031", help="name a file with a task a line"
        ) from error


def _again(make: Any, epochs: int) -> Iterator[Task]:
    for _ in range(epochs):
        yield from make()


def _endless(verifier: Verifier[Any], seed: int) -> Iterator[Task]:
    """Never the same ones again: each round has a seed of its own."""
    for number in itertools.count():
        empty = True
        for task in verifier.tasks(seed + number, A_ROUND):
            empty = False
            yield task
        if empty:
            return
