"""A run's progress: live on a terminal, a line now and then where there is none; always on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from dataforge.cli._summary import money
from dataforge.cli._terminal import printable
from dataforge.run.live import Speed
from dataforge.run.progress import CallEvent, Gauges, Progress

PLAIN_EVERY_S = 5.0
DRAWN_A_SECOND = 4
"""How often the live view is drawn. Events only count: drawing is left to the clock, however many there are."""


def terminal_progress() -> Progress:
    """Live on a terminal, plain lines elsewhere."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class _Console(Console):
    """Says what it can, as long as anyone can be reached: a run of hours does not end with the pipe that it is shown by."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class PlainProgress(Progress):
    """Counts what it hears, and says so in a line every few seconds."""

    def __init__(self) -> None:
        self.console = _Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.rows = self.done = self.calls = self.reused = 0
        self.ended = self.tokens = 0
        self.cost = 0.0
        self.status: Counter[str] = Counter()
        self.now = Gauges()
        self.speed = Speed()
        self.began = self.told = time.monotonic()

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        self.rows, self.done = rows, done
        self.began = self.told = time.monotonic()
        self.speed.at(self.began, 0, 0)
        for name, bound in models.items():
            self.line(f"{name}: {bound}")
        if done:
            self.line(f"{done:,} rows are finished already; going on from there")

    def call(self, event: CallEvent) -> None:
        self.calls += 1
        if event.reused:
            self.reused += 1
        else:
            self.tokens += event.completion_tokens
            self.cost += event.cost
        self.show()

    def row(self, status: str, code: str | None) -> None:
        self.done += 1
        self.ended += 1
        self.status[status] += 1
        self.show()

    def gauge(self, now: Gauges) -> None:
        self.now = now
        self.show()

    def note(self, message: str) -> None:
        self.line(message)

    def line(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk under `2> run.log`
            self.console.print(printable(text), soft_wrap=True)

    def rows_summary(self) -> str:
        """Rows by how they ended in this start, and shards."""
        counts = ", ".join(f"{self.status[word]:,} {word}" for word in ("kept", "rejected"))
        failed = f", {self.status['failed']:,} failed" if self.status["failed"] else ""
        shards = f" · {self.now.shards_whole:,}/{self.now.shards:,} shards" if self.now.shards > 1 else ""
        return f"{counts}{failed}{shards}"

    def calls_summary(self) -> str:
        """Calls, those in flight, what they cost, and speed."""
        reused = f" ({self.reused:,} reused)" if self.reused else ""
        in_flight = f", {self.now.in_flight:,} in flight" if self.now.in_flight else ""
        cost = f" · cost {money(self.cost)}" if self.cost else ""
        speed = self.speed.at(time.monotonic(), self.calls, self.tokens)[1]
        return f"{self.calls:,} calls{reused}{in_flight}{cost} · {speed:,.0f} tokens/s"

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
        self.line(f"{self.done:,}{of} rows · {self.rows_summary()} · {self.calls_summary()}{left}")


class _WithCounts(Bar):
    """The bar, and under it lines of counts: together they would not fit 80 columns. Counted when it is drawn."""

    counts: Callable[[], Iterable[str]] = tuple

    def get_renderables(self) -> Iterable[RenderableType]:
        lines = self.counts()
        yield from super().get_renderables()
        for line in lines:
            yield Text(line, no_wrap=True, overflow="ellipsis")


class LiveProgress(PlainProgress):
    """A bar with the counts below it."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = _WithCounts(
            TextColumn("rows"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            speed_estimate_period=120,
            refresh_per_second=DRAWN_A_SECOND,
        )
        self.task: TaskID | None = None

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        super().begin(rows, done, models)
        self.task = self.bar.add_task("", total=rows or None, completed=done)
        self.bar.counts = self.draw
        self.bar.start()

    def show(self) -> None:
        """Nothing: the bar is drawn by the clock."""

    def draw(self) -> Iterable[str]:
        if self.task is not None:
            self.bar.update(self.task, completed=self.done)
        return self.rows_summary(), self.calls_summary()

    def end(self) -> None:
        self.bar.stop()
