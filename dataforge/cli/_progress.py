"""A run's progress on a terminal, or as a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)

from dataforge.run.progress import Progress

PLAIN_EVERY_S = 10.0


def terminal_progress() -> Progress:
    """A live line on a terminal, plain lines elsewhere; both on stderr."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class PlainProgress(Progress):
    """A line every few seconds."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
        self.rows = self.done = self.calls = self.reused = self.tokens = 0
        self.status: Counter[str] = Counter()
        self.began = self.told = time.monotonic()

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        self.rows, self.done = rows, done
        self.began = self.told = time.monotonic()
        for name, bound in models.items():
            self.console.print(f"{name}: {bound}")
        if done:
            self.console.print(f"resuming: {done} rows are finished")

    def call(self, model: str, tokens: int, latency_s: float, reused: bool) -> None:
        self.calls += 1
        self.reused += reused
        self.tokens += 0 if reused else tokens
        self.show()

    def row(self, status: str, code: str | None) -> None:
        self.done += 1
        self.status[status] += 1
        self.show()

    def note(self, message: str) -> None:
        self.console.print(message)

    def summary(self) -> str:
        elapsed = max(time.monotonic() - self.began, 1e-9)
        counts = ", ".join(f"{n} {word}" for word, n in sorted(self.status.items()))
        return f"{counts or 'no row yet'} · {self.calls} calls, {self.reused} reused · {self.tokens / elapsed:.0f} tokens/s"

    def show(self) -> None:
        if time.monotonic() - self.told >= PLAIN_EVERY_S:
            self.told = time.monotonic()
            self.console.print(f"{self.done}/{self.rows or '?'} rows · {self.summary()}")


class LiveProgress(PlainProgress):
    """A bar with the counts beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = Bar(
            TextColumn("rows"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.task: TaskID | None = None

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        super().begin(rows, done, models)
        self.bar.start()
        self.task = self.bar.add_task("", total=rows or None, completed=done)

    def show(self) -> None:
        if self.task is not None:
            self.bar.update(self.task, completed=self.done, description=self.summary())

    def end(self) -> None:
        self.bar.stop()
