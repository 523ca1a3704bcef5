"""A run's progress: live on a terminal, a line now and then where there is none; always on stderr."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from dataforge.cli._terminal import printable
from dataforge.run.progress import CallEvent, Progress

PLAIN_EVERY_S = 5.0
SPEED_OVER_S = 30.0
"""Tokens a second are those of so many seconds past, so that a pause is seen."""


def terminal_progress() -> Progress:
    """Live on a terminal, plain lines elsewhere."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class PlainProgress(Progress):
    """Counts what it hears, and says so in a line every few seconds."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.rows = self.done = self.calls = self.reused = 0
        self.ended = 0
        self.status: Counter[str] = Counter()
        self.tokens: deque[tuple[float, int]] = deque()
        self.began = self.told = time.monotonic()

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        self.rows, self.done = rows, done
        self.began = self.told = time.monotonic()
        for name, bound in models.items():
            self.line(f"{name}: {bound}")
        if done:
            self.line(f"{done:,} rows are finished already; going on from there")

    def call(self, event: CallEvent) -> None:
        self.calls += 1
        self.reused += event.reused
        if not event.reused:
            self.tokens.append((time.monotonic(), event.completion_tokens))
        self.show()

    def row(self, status: str, code: str | None) -> None:
        self.done += 1
        self.ended += 1
        self.status[status] += 1
        self.show()

    def note(self, message: str) -> None:
        self.line(message)

    def line(self, text: str) -> None:
        self.console.print(printable(text), soft_wrap=True)

    def summary(self) -> str:
        """Rows by how they ended in this start, calls, and speed."""
        counts = ", ".join(f"{self.status[word]:,} {word}" for word in ("kept", "rejected"))
        failed = f", {self.status['failed']:,} failed" if self.status["failed"] else ""
        reused = f" ({self.reused:,} reused)" if self.reused else ""
        return f"{counts}{failed} · {self.calls:,} calls{reused} · {self.speed():.0f} tokens/s"

    def speed(self) -> float:
        now = time.monotonic()
        while self.tokens and self.tokens[0][0] < now - SPEED_OVER_S:
            self.tokens.popleft()
        return sum(n for _, n in self.tokens) / max(1.0, min(SPEED_OVER_S, now - self.began))

    def show(self) -> None:
        now = time.monotonic()
        if now - self.told < PLAIN_EVERY_S:
            return
        self.told = now
        of = f"/{self.rows:,}" if self.rows else ""
        left = ""
        if self.rows and self.ended:
            seconds = (now - self.began) / self.ended * max(0, self.rows - self.done)
            left = (
                f" · about {seconds / 60:.0f} min left" if seconds >= 90 else f" · about {seconds:.0f} s left"
            )
        self.line(f"{self.done:,}{of} rows · {self.summary()}{left}")


class _TwoLines(Bar):
    """The bar, and under it a line of counts: together they would not fit 80 columns."""

    counts = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.counts, no_wrap=True, overflow="ellipsis")


class LiveProgress(PlainProgress):
    """A bar with the counts below it."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = _TwoLines(
            TextColumn("rows"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            speed_estimate_period=120,
        )
        self.task: TaskID | None = None

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        super().begin(rows, done, models)
        self.task = self.bar.add_task("", total=rows or None, completed=done)
        self.bar.counts = self.summary()
        self.bar.start()

    def show(self) -> None:
        if self.task is not None:
            self.bar.counts = self.summary()
            self.bar.update(self.task, completed=self.done)

    def end(self) -> None:
        self.bar.stop()
