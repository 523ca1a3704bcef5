"""Many processes that fail and stop as one: only the main process speaks, and none waits for one that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist

from dataforge.errors import DataForgeError, Interrupted
from trainer.parallel import World

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def together(
    world: World, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Do something on every process. An error of one is an error of all."""
    result, error = None, None
    try:
        result = work(*args, **kwargs)
    except DataForgeError as failure:
        error = failure
    if world.size > 1:
        errors: list[DataForgeError | None] = [None] * world.size
        dist.all_gather_object(errors, error)
        error = next((e for e in errors if e is not None), None)
    if error is not None:
        raise ending(world, error)
    return result  # type: ignore[return-value]


def alone(
    world: World, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result | None:
    """Do something on the main process while the others wait, which get None. Its error is an error of all."""

    def main_only() -> Result | None:
        return work(*args, **kwargs) if world.main else None

    return together(world, main_only)


def gathered(world: World, numbers: list[int]) -> list[int]:
    """The numbers of all processes, each once."""
    parts = [numbers] * world.size
    if world.size > 1:
        dist.all_gather_object(parts, numbers)
    return sorted({number for part in parts for number in part})


def ending(world: World, error: DataForgeError) -> BaseException:
    """What to raise for an error that all processes have: the main one speaks, the others only leave."""
    return error if world.main else SystemExit(error.exit_code)


class Stop:
    """SIGINT and SIGTERM: a wish to stop after the step while steps are made, the end at any other time.

    A second signal ends a process that runs alone at once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._stepping = False
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def after_the_step(self) -> Iterator[None]:
        """From here to the end of the block, whoever steps asks `agreed`."""
        self._stepping = True
        yield
        self._stepping = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self._stepping:
            raise ending(self._world, Interrupted("stopped", help="the same command goes on from there"))
        # Under torchrun each Ctrl-C comes twice, from the terminal and from torchrun; that kills whoever takes too long.
        if self._asked and self._world.size == 1:
            os._exit(Interrupted.exit_code)
        self._asked = True

    def agreed(self) -> bool:
        """Whether any process was asked to stop: all of them hear of it after the same step."""
        if self._world.size == 1:
            return self._asked
        asked = torch.tensor(int(self._asked), device=self._world.device)
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked)
