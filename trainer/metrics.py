"""The figures of a run, step by step: in `metrics.jsonl`, on the terminal, and wherever else they are wished.

`Figures` is one step. `Log` keeps each in a line of `metrics.jsonl`, shows it (a live panel, or plain lines where there is
no terminal) and hands it to the sinks: TensorBoard and Weights & Biases, each behind its extra. What becomes of them at
the end is in `report`.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from torch import Tensor

from dataforge.errors import InputError
from dataforge.files import arriving
from trainer.config import Config
from trainer.packed import PackedSet
from trainer.parallel import World
from trainer.plan import architecture_of, flops_per_token, peak_of

SMOOTHING = 0.9
"""Share of the old value in the smoothed loss of each step."""

Sink = Callable[[int, dict[str, float]], None]
"""Another place for figures: takes the step and its numbers by name."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What turns the sums of a step into figures.

    Attributes:
        kinds: names of the kinds of samples.
        room: tokens that a global batch could hold.
        device: of this process.
        flops: forward and backward, of a token.
        peak: FLOP/s of all devices together, or None where they are not known.
    """

    kinds: tuple[str, ...]
    room: int
    device: torch.device
    flops: float = 0.0
    peak: float | None = None

    @classmethod
    def of(cls, model_config: Any, data: PackedSet, config: Config, world: World) -> Gauge:
        room = data.context * config.train.rows
        on_cuda = world.device.type == "cuda"
        peak = peak_of(config.log.gpu or torch.cuda.get_device_name(world.device)) if on_cuda else None
        if peak is None:
            return cls(data.kinds, room, world.device)
        try:
            flops = flops_per_token(architecture_of(model_config), data.document_lengths)
        except InputError:
            # An architecture that nobody can count has no MFU; it trains all the same.
            return cls(data.kinds, room, world.device)
        return cls(data.kinds, room, world.device, flops, peak * world.size)

    def memory_gb(self) -> float:
        """The most that this process had so far, on its device."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        # Kilobytes on Linux, bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


@dataclass(frozen=True, slots=True)
class Figures:
    """One step, over the whole global batch.

    Attributes:
        step: from 1.
        loss: mean over trained tokens.
        lr: the rate that the step took.
        grad_norm: before clipping.
        tokens, trained_tokens: of the batch, without padding.
        efficiency: tokens by the room of the batch's rows.
        loss_by_kind: mean loss of each kind of sample in the batch.
        seconds: wall time.
        mfu: FLOP/s by the devices' peak, or None where that is not known.
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    trained_tokens: int
    efficiency: float
    loss_by_kind: dict[str, float]
    seconds: float
    memory_gb: float
    mfu: float | None

    @classmethod
    def of(
        cls, step: int, sums: Tensor, lr: float, grad_norm: float, seconds: float, gauge: Gauge
    ) -> Figures:
        """From the sums of `train.step`: loss by kind, trained tokens by kind, tokens."""
        kinds = len(gauge.kinds)
        losses, counts, tokens = sums[:kinds].tolist(), sums[kinds:-1].tolist(), int(sums[-1])
        by_kind = zip(gauge.kinds, losses, counts, strict=True)
        return cls(
            step=step,
            loss=sum(losses) / sum(counts),
            lr=lr,
            grad_norm=grad_norm,
            tokens=tokens,
            trained_tokens=int(sum(counts)),
            efficiency=tokens / gauge.room,
            loss_by_kind={kind: loss / count for kind, loss, count in by_kind if count},
            seconds=seconds,
            memory_gb=gauge.memory_gb(),
            mfu=gauge.flops * tokens / seconds / gauge.peak if gauge.peak else None,
        )


def read(file: Path) -> list[Figures]:
    """The steps in a `metrics.jsonl`. A line that a crash cut short is the last, and no step.

    Raises:
        InputError: another line is no step (T012).
    """
    lines = file.read_bytes().split(b"\n") if file.is_file() else []
    steps = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            steps.append(Figures(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{file}, line {number}: is no step of a run",
                code="T012",
                help="take the line out, or move the file away: figures are lost with it, and no weights",
            ) from error
    return steps


class Log:
    """Where each step goes, once.

    Lines of `metrics.jsonl` beyond the checkpoint that the run goes on from are of a process that was killed: the steps
    come again, and their lines with them.

    Args:
        about: the run, as `run.json` has it.
    """

    def __init__(
        self, out: Path, about: dict[str, Any], open_sinks: Sequence[Callable[..., Sink]] = ()
    ) -> None:
        done = about["resumed_at"]
        self._file = out / "metrics.jsonl"
        kept = [figures for figures in read(self._file) if figures.step <= done]
        with arriving(self._file) as file:
            file.write("".join(map(_line, kept)).encode())
        self._stack = contextlib.ExitStack()
        self._lines = self._stack.enter_context(self._file.open("a", encoding="utf-8"))
        self._sinks = [open_sink(about, self._stack) for open_sink in open_sinks]
        self._view = _View(about, kept)

    def __enter__(self) -> Log:
        self._view.begin(self._stack)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self, figures: Figures) -> None:
        """Keep and show one step."""
        self._lines.write(_line(figures))
        self._lines.flush()
        values = asdict(figures)
        by_kind = {f"loss/{kind}": loss for kind, loss in values.pop("loss_by_kind").items()}
        numbers = {name: float(value) for name, value in (values | by_kind).items() if value is not None}
        for sink in self._sinks:
            sink(figures.step, numbers)
        self._view.step(figures)


def _line(figures: Figures) -> str:
    return json.dumps(asdict(figures)) + "\n"


class _View:
    """What people see: a panel that is drawn anew each step, or now and then a line."""

    def __init__(self, about: dict[str, Any], done: Sequence[Figures]) -> None:
        # Names of kinds are the data's: what looks like markup in them is none.
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._about, self._steps = about, about["steps"]
        self._live: Live | None = None
        self._smoothed = Smoothed()
        self._seconds: list[float] = []
        for figures in done:
            self._take(figures)

    def begin(self, stack: contextlib.ExitStack) -> None:
        about, done = self._about, self._about["resumed_at"]
        if (warmup := about["config"]["optimizer.warmup_steps"]) >= self._steps:
            self._console.print(f"note: a warm-up of {warmup:,} steps leaves none at the peak rate")
        again = f", of which {done:,} are done" if done else ""
        self._console.print(
            f"{about['parameters']:,} parameters, {about['rows']:,} rows of {about['context']:,} tokens, "
            f"{self._steps:,} steps{again}"
        )
        if self._console.is_terminal and done < self._steps:
            self._live = stack.enter_context(Live(console=self._console, auto_refresh=False))

    def step(self, figures: Figures) -> None:
        self._take(figures)
        if self._live is not None:
            panel = Table.grid(padding=(0, 2))
            for name, value in self._figures(figures):
                panel.add_row(Text(name, style="dim"), Text(value))
            self._live.update(panel, refresh=True)
        elif figures.step in (1, self._steps) or figures.step % max(1, self._steps // 100) == 0:
            self._console.print("  ".join(f"{name} {value}" for name, value in self._figures(figures)))

    def _take(self, figures: Figures) -> None:
        self._smoothed.take(figures.loss)
        self._seconds = [*self._seconds[-19:], figures.seconds]

    def _figures(self, figures: Figures) -> Iterator[tuple[str, str]]:
        yield "step", f"{figures.step:,}/{self._steps:,}"
        yield "loss", f"{figures.loss:.4f} (smoothed {self._smoothed.value:.4f})"
        if len(figures.loss_by_kind) > 1:
            yield "by kind", ", ".join(f"{kind} {loss:.4f}" for kind, loss in figures.loss_by_kind.items())
        yield "lr", f"{figures.lr:.3g}"
        yield "gradient", f"{figures.grad_norm:.3f}"
        speed, trained = (n / figures.seconds for n in (figures.tokens, figures.trained_tokens))
        yield "tokens/s", f"{speed:,.0f} ({trained:,.0f} trained)"
        if figures.mfu is not None:
            yield "MFU", f"{figures.mfu:.1%}"
        yield "packed", f"{figures.efficiency:.2%}"
        yield "memory", f"{figures.memory_gb:.2f} GB"
        yield "left", duration((self._steps - figures.step) * sum(self._seconds) / len(self._seconds))


class Smoothed:
    """A mean of what was taken that forgets, corrected for its start from 0, as moments are in Adam."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def take(self, value: float) -> None:
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * value
        self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)

    @property
    def value(self) -> float:
        return self._sum / self._weight


def smoothed(values: Iterable[float]) -> list[float]:
    """The smoothed value at each of them."""
    mean, found = Smoothed(), []
    for value in values:
        mean.take(value)
        found.append(mean.value)
    return found


def duration(seconds: float) -> str:
    """For people: `40 s`, `12 min`, `3.5 h`."""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"


@contextlib.contextmanager
def preparing() -> Iterator[Callable[[int, int], None]]:
    """A bar for the conversations that are being tokenised, where there is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("tokenising", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def sinks(config: Config, out: Path) -> list[Callable[..., Sink]]:
    """What opens the sinks that a configuration asks for, once the run can be described.

    Raises:
        InputError: the package of one is not installed (T013).
    """
    wished = {"tensorboard": (config.log.tensorboard, _tensorboard), "wandb": (config.log.wandb, _wandb)}
    found = []
    for package, (wish, importing) in wished.items():
        if wish:
            try:
                found.append(importing(config, out))
            except ImportError as error:
                raise InputError(
                    f"`log.{package}` needs the package {package}, which is not installed",
                    code="T013",
                    help=f"pip install 'dataforge-compiler[{package}]', or leave log.{package} out",
                ) from error
    return found


def _tensorboard(config: Config, out: Path) -> Callable[..., Sink]:
    from torch.utils.tensorboard import SummaryWriter

    def open_sink(about: dict[str, Any], stack: contextlib.ExitStack) -> Sink:
        # What a killed process wrote beyond its checkpoint is taken back.
        writer = SummaryWriter(str(out / "tensorboard"), purge_step=about["resumed_at"] + 1)
        stack.callback(writer.close)

        def write(step: int, numbers: dict[str, float]) -> None:
            for name, value in numbers.items():
                writer.add_scalar(name, value, step)

        return write

    return open_sink


def _wandb(config: Config, out: Path) -> Callable[..., Sink]:
    import wandb

    def open_sink(about: dict[str, Any], stack: contextlib.ExitStack) -> Sink:
        name = out.resolve().name
        identity = f"{name}-{about['config_digest']}-{about['data_digest'][:8]}"
        run = wandb.init(
            project=config.log.project, name=name, id=identity, resume="allow", config=about, dir=out
        )
        stack.callback(run.finish)
        return lambda step, numbers: run.log(numbers, step=step)

    return open_sink
