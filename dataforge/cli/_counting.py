"""Progress over a known number of things: a bar on a terminal, a line now and then elsewhere, with a word on what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

PLAIN_EVERY_S = 5.0


@contextmanager
def counting(
    total: int, noun: str, count: Callable[[T], str], *, quiet: bool
) -> Iterator[tuple[Callable[[T], None], Callable[[str], None]]]:
    """What hears of each thing that is done, and what hears of notes.

    Args:
        noun: what they are called, such as `samples`.
        count: called with each; says how all of them stand.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet, highlight=False, markup=False)
    if console.is_terminal:
        columns = (
            TextColumn(noun), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda each: bar.update(task, advance=1, description=count(each)), console.print
        return
    told, done = time.monotonic(), 0

    def line(each: T) -> None:
        nonlocal told, done
        done += 1
        said = count(each)
        if time.monotonic() - told >= PLAIN_EVERY_S:
            told = time.monotonic()
            console.print(f"{done:,} of {total:,} {noun}: {said}")

    yield line, console.print
