"""The loop: batches in, steps out, nothing lost.

`train` reads from top to bottom as a run goes: join, prepare the data, load, parallelise, resume, step, save, export.
One step sums the loss over the trained tokens of the whole global batch, on all processes, and divides it by their
number *before* it goes backward: how the batch was cut into micro-batches and processes then changes nothing.

    out/
      config.toml run.json    what was asked for, and with what it ran
      packed/                 the rows (see `data`)
      checkpoints/            `step-000100/` … (see `checkpoint`)
      metrics.jsonl           a line a step, each step once (see `metrics`)
      model/                  the weights at the end, in Hugging Face's form
      summary.json report.html loss.png
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataforge.errors import InputError, Interrupted, RunError
from dataforge.files import arriving, write_json
from trainer import attention, metrics, report
from trainer import config as configuration
from trainer.batch import Batch, collate
from trainer.checkpoint import Checkpoints, State
from trainer.config import Config
from trainer.data import prepare
from trainer.disk import claimed
from trainer.export import export
from trainer.model import PackedLM, build_optimizer, learning_rate, prepare_layers
from trainer.packed import PackedSet, Row, is_packed_set, order
from trainer.parallel import World, announce, clip_gradients, join, leave, parallelize, sum_over_data
from trainer.pretrained import check_match, load_model
from trainer.samples import IGNORED
from trainer.unison import Stop, alone, ending, gathered, together


def train(config: Config, out: Path) -> dict[str, Any]:
    """Train, or go on where an earlier start of the same run in `out` was stopped.

    Returns:
        The summary of the run, as `summary.json` has it.

    Raises:
        InputError: configuration, data or model are wrong (T…).
        RunError: the loss is not a number (T010), the disk refused (R021).
        Interrupted: SIGINT or SIGTERM; a checkpoint was written.
    """
    if not config.data.paths:
        raise InputError(
            "nothing to train on: `data.paths` is empty",
            code="T001",
            help="name a corpus with --data, or in [data] of the configuration file",
        )
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    world = join(config.mesh)
    try:
        with Stop(world) as stop, alone(world, claim, out, config) or contextlib.nullcontext():
            return _run(config, out, world, stop)
    finally:
        leave(world)


def _run(config: Config, out: Path, world: World, stop: Stop) -> dict[str, Any]:
    together(world, _check_shares, config, world)
    backend = together(world, attention.choose, config.train.attention, world.device)
    sinks = alone(world, metrics.sinks, config, out) or ()

    packed = _named_set(config) or out / "packed"
    alone(world, _prepare, config, packed)
    data = together(world, PackedSet, packed)
    steps = config.train.steps or math.ceil(config.train.epochs * len(data) / config.train.rows)

    dtype = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    lm = together(world, load_model, config.model, dtype=dtype)
    tokenizer = data.tokenizer()
    together(world, check_match, lm, tokenizer)
    if config.checkpoint.gguf != "none":
        from trainer.gguf import check_gguf

        together(world, check_gguf, lm.config.to_dict(), tokenizer)
    gauge = metrics.Gauge.of(lm.config, data, config, world)
    parameters = lm.num_parameters()
    model = together(world, PackedLM, lm, backend, config.train)
    together(world, prepare_layers, model, config.train)
    model = together(world, parallelize, model, world, config.train)
    state = State(model, build_optimizer(model, config.optimizer))
    checkpoints = Checkpoints(out / "checkpoints", world, config, data.digest)
    together(world, checkpoints.resume, state)

    about = {"steps": steps, "resumed_at": state.step, "parameters": parameters, "attention": backend}
    about |= report.describe(config, data, world)
    # Kernels that are compiled for one length get batches of that length.
    fixed = data.context * config.train.micro_rows if backend == "flex" else 0
    every = config.checkpoint.every
    model.train()
    with _log(out, about, sinks, world) as log, stop.after_the_step():
        while state.step < steps:
            began = time.perf_counter()
            rows = order(len(data), state.step, config.train.rows, config.data.seed)
            share = [data.row(int(number)) for number in rows[world.data_rank :: world.data_size]]
            batches = _micro_batches(share, config.train.micro_rows, fixed, world.device)
            rate = learning_rate(config.optimizer, state.step, steps)
            sums, norm = step(state, batches, rate, config.optimizer.clip, world, len(data.kinds))
            if not (sums.isfinite().all() and math.isfinite(norm)):
                together(world, checkpoints.finish)
                why = f"the norm of the gradient is {norm}"
                if not sums.isfinite().all():
                    why = "the loss is not a number"
                found = gathered(world, suspects(state.model, share, batches))
                names = [data.sample_id(number) for number in found]
                raise ending(world, not_a_number(state.step + 1, rows, names, why, out))
            if log is not None:
                seconds = time.perf_counter() - began
                log.step(metrics.Figures.of(state.step, sums, rate, norm, seconds, gauge))
            ends = state.step == steps or stop.agreed()
            if ends or (every and state.step % every == 0):
                background = config.checkpoint.background and not ends
                together(world, checkpoints.save, state, background=background)
            if ends:
                break
    if state.step < steps:
        why = f"stopped after step {state.step} of {steps}; a checkpoint was written"
        raise ending(world, Interrupted(why, help="the same command goes on from there"))
    together(world, checkpoints.finish)
    together(world, export, state, tokenizer, out / "model", world, gguf=config.checkpoint.gguf)
    return alone(world, _conclude, out, about) or {}


def step(
    state: State, batches: Sequence[Batch], rate: float, clip: float, world: World, kinds: int
) -> tuple[Tensor, float]:
    """One optimizer step over this process's part of the global batch.

    Returns:
        Sums over the global batch, fp64 `[2 · kinds + 1]`: loss by kind of sample, trained tokens by kind, tokens; and
        the norm of the gradient before clipping. Where one of them is not finite, the weights are as they were.
    """
    # What each loss is divided by is known before any of them is computed.
    trained = sum_over_data(torch.tensor(sum(batch.trained for batch in batches)), world)
    state.optimizer.zero_grad(set_to_none=True)
    sums = sum_over_data(accumulate(state.model, batches, int(trained), kinds), world).cpu()
    norm = float(clip_gradients(state.model, clip))
    if sums.isfinite().all() and math.isfinite(norm):
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        state.step += 1
        state.trained_tokens += int(trained)
    return sums, norm


def accumulate(model: PackedLM, batches: Sequence[Batch], trained: int, kinds: int) -> Tensor:
    """Add up the gradients of all micro-batches, each of its summed loss by `trained`. Returns the sums of `step`."""
    sums = torch.zeros(2 * kinds + 1, dtype=torch.float64, device=batches[0].tokens.device)
    for at, batch in enumerate(batches):
        announce(model, last=at == len(batches) - 1)
        loss, by_token = model(batch)
        (loss / trained).backward()
        sums[:kinds].index_add_(0, batch.kinds, by_token.double())
        sums[kinds:-1].index_add_(0, batch.kinds, (batch.targets != IGNORED).double())
        sums[-1] += batch.tokens.numel() - batch.padding
    return sums


def _micro_batches(rows: Sequence[Row], size: int, fixed: int, device: torch.device) -> list[Batch]:
    cuts = range(0, len(rows), size)
    return [collate(rows[at : at + size], fixed=fixed).to(device) for at in cuts]


def claim(out: Path, config: Config) -> contextlib.ExitStack:
    """Make `out` the folder of this run, or see that it is. Nobody else has it until the stack is closed.

    Raises:
        InputError: checkpoints in it are of another configuration (T011).
        OutputError: it cannot be a folder (R020), or another process runs in it (R022).
    """
    kept = out / "config.toml"
    with contextlib.ExitStack() as ours:
        ours.enter_context(claimed(out))
        # Before its first checkpoint a run has nothing that another configuration would spoil.
        if kept.is_file() and any((out / "checkpoints").glob("step-*")):
            before, now = (configuration.mathematics(c) for c in (configuration.load(file=kept), config))
            differ = [
                f"`{key}` is {before[key]!r} there and {now[key]!r} here"
                for key in now
                if before[key] != now[key]
            ]
            if differ:
                raise InputError(
                    f"{out} holds a run of another configuration: {', '.join(differ)}",
                    code="T011",
                    help="choose another --out, or go on with the values of its config.toml",
                )
        with arriving(kept) as file:
            file.write(configuration.to_toml(config).encode())
        return ours.pop_all()


def _named_set(config: Config) -> Path | None:
    """The packed set, where `data.paths` names one instead of conversations."""
    only = Path(config.data.paths[0])
    return only if len(config.data.paths) == 1 and is_packed_set(only) else None


def _prepare(config: Config, packed: Path) -> None:
    if _named_set(config) is None:
        with metrics.preparing() as progress:
            prepare(config, packed, progress=progress)


def _check_shares(config: Config, world: World) -> None:
    if config.train.rows % world.data_size:
        raise InputError(
            f"a batch of {config.train.rows} rows cannot be shared evenly by {world.data_size} processes",
            code="T015",
            help="make train.rows a multiple of replicas × shards",
        )


def suspects(model: PackedLM, share: Sequence[Row], batches: Sequence[Batch]) -> list[int]:
    """The samples whose loss is not a number, or all of them where none is alone to blame.

    The weights are as they were before the step: asked again, without gradients, they show it.
    """
    fine: list[bool] = []
    for batch in batches:
        with torch.no_grad():
            _, losses = model(batch)
        documents = losses.split(batch.documents.lengths)
        fine += [bool(d.isfinite().all()) for d in documents[: len(documents) - bool(batch.padding)]]
    numbers = [int(number) for row in share for number in row.samples]
    return [number for number, is_fine in zip(numbers, fine, strict=True) if not is_fine] or numbers


def not_a_number(step: int, rows: Iterable[int], samples: Sequence[str], why: str, out: Path) -> RunError:
    """The error for such a step, with what a person needs to look into it."""
    saved = sorted(folder.name for folder in (out / "checkpoints").glob("step-*") if not folder.suffix)
    back = f"{out / 'checkpoints' / saved[-1]} is whole" if saved else "there is no checkpoint yet"
    return RunError(
        f"step {step}: {why}; samples {few(samples)} in the batch of rows {few([int(row) for row in rows])}",
        code="T010",
        help=f"nothing was saved since, and {back}. The usual cures are a lower optimizer.lr, a longer warm-up, and "
        "fp32, in another --out; `dataforge pack PACKED --show ROW` shows a row",
    )


def few(items: Sequence[object], most: int = 12) -> str:
    """A list for people, cut where it would fill the screen."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


@contextlib.contextmanager
def _log(
    out: Path, about: dict[str, Any], sinks: Sequence[Callable[..., metrics.Sink]], world: World
) -> Iterator[metrics.Log | None]:
    """The log of the main process; the others have none."""
    if not world.main:
        yield None
        return
    write_json(out / "run.json", about)
    with metrics.Log(out, about, sinks) as log:
        yield log


def _conclude(out: Path, about: dict[str, Any]) -> dict[str, Any]:
    steps = metrics.read(out / "metrics.jsonl")
    if not steps:
        raise InputError(
            f"{out / 'metrics.jsonl'} is gone: the weights are in {out / 'model'}, and of the steps nothing can be told",
            code="T012",
            help="nothing is left to do",
        )
    summary = report.summarise(steps, about) | {"model": str(out / "model")}
    write_json(out / "summary.json", summary)
    report.write(out, steps, about, summary)
    return summary
