"""`dataforge train plan`: what a run needs and how long it takes, on paper."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from trainer.plan import Architecture, Gpu, Layout, Lengths, Time


def plan(
    preset: str | None = typer.Option(None, help="A configuration that ships, such as hermes4-14b."),
    config: Path | None = typer.Option(None, "--config", help="A TOML file over it."),
    sets: list[str] = typer.Option([], "--set", help="One value over both: mesh.tensor=8"),
    model: str | None = typer.Option(
        None, help="A name such as Llama-3.1-8B, or a folder with a config.json."
    ),
    gpu: str = typer.Option("B200", help="Kind of GPU: B200, H200, H100 or A100."),
    gpus: int = typer.Option(8, min=1, max=1_000_000, help="How many of them."),
    tokens: float | None = typer.Option(
        None,
        min=1,
        max=1e20,
        help="Tokens in all; without it, those of the configured steps, of the packed set, or 56e9.",
    ),
    mfu: float = typer.Option(0.40, min=0.01, max=1.0, help="Share of the peak that training reaches."),
    packed: Path | None = typer.Option(None, help="A packed set, for the lengths of its documents."),
    paper: bool = typer.Option(False, "--paper", help="Hold the formulas against the hours of Hermes 4."),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Memory, layout, FLOPs and GPU-hours of a training run, without a GPU.

    Example: `dataforge train plan --preset hermes4-70b --gpu H200 --gpus 64`
    """
    if paper:
        _show_paper(as_json)
        return
    from dataforge.errors import InputError
    from trainer.config import MeshConfig, load
    from trainer.plan import (
        GPUS,
        MOST_GPUS,
        PAPER_TOKENS,
        advise,
        find_architecture,
        gpu_of,
        hermes_lengths,
        lay_out,
        time_of,
    )

    configured = preset is not None or config is not None
    if not configured and model is None:
        raise InputError(
            "nothing to plan for", code="T001", help="name a --preset, a --config or a --model: Llama-3.1-8B"
        )
    # A bare model is planned as the presets for many GPUs are; its mesh and the rows of its batch are open, unless set.
    usual = [] if configured else ["data.context=16384", "train.precision=autocast"]
    settings = load(preset, config, [*usual, *sets])
    step, mesh = settings.train, settings.mesh
    if not configured and not any(text.strip().startswith(("train.rows", "train.steps")) for text in sets):
        step = replace(step, rows=0)
    architecture = find_architecture(settings.model.path if model is None else model)
    kind = gpu_of(gpu)
    if kind is None:
        raise InputError(
            f"`{gpu}` is no kind of GPU that plans know", code="T008", help=f"choose one of {', '.join(GPUS)}"
        )
    context = settings.data.context
    lengths: Lengths = hermes_lengths(context)
    set_tokens = PAPER_TOKENS
    if packed is not None:
        from trainer.packed import PackedSet

        rows = PackedSet(packed)
        context, lengths = rows.context, rows.document_lengths
        set_tokens = float(step.epochs * lengths.sum())
    tokens = tokens or float(step.steps * step.rows * context) or set_tokens

    layout = advice = None
    if configured or mesh != MeshConfig():
        layout = lay_out(architecture, kind, gpus, step, mesh, context)
    if layout is None or not layout.fits:
        advice = advise(architecture, kind, gpus, step, context)
    gpus_used = advice.gpus if advice is not None else gpus
    time = time_of(architecture, kind, gpus_used, lengths, context, tokens, mfu)
    if as_json:
        print_json(
            {
                "architecture": asdict(architecture)
                | {name: getattr(architecture, name) for name in ("parameters", "matmul_parameters")},
                "gpu": asdict(kind),
                "layout": _described(layout),
                "advice": _described(advice),
                "tokens": tokens,
                "time": asdict(time),
            }
        )
        return
    whole, multiplied = architecture.parameters / 1e9, architecture.matmul_parameters / 1e9
    say(f"{architecture.name}: {whole:,.2f}B parameters, {multiplied:,.2f}B of them in matrix products")
    say(
        f"on {gpus:,} × {kind.name}, of {_gb(kind.memory)} and {kind.peak / 1e12:,.0f} TFLOP/s (dense bf16) each\n"
    )
    say(f"{step.precision}, rows of {context:,} tokens, {step.micro_rows} at once")
    if layout is not None:
        _show_layout(layout, kind)
    if advice is not None:
        if layout is not None:
            say("this fits:")
        _show_layout(advice, kind)
    elif layout is None or not layout.fits:
        say(
            f"no layout fits on {max(gpus, MOST_GPUS):,} GPUs or fewer: it takes shorter rows, a larger GPU, or "
            "a number of rows that more of them can share\n"
        )
    _show_time(time, architecture, tokens, gpus_used)


def _described(layout: Layout | None) -> dict[str, Any] | None:
    if layout is None:
        return None
    described = asdict(layout)
    described["memory"]["total"] = layout.memory.total
    return described


def _count(gpus: int) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus:,} GPUs"


def _gb(size: float) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 99.5e9 else f"{size / 1e9:.1f} GB"


def _show_layout(layout: Layout, gpu: Gpu) -> None:
    from trainer.plan import HEADROOM

    m, memory = layout.mesh, layout.memory
    words = "with" if layout.recompute else "without"
    say(
        f"mesh {m.replicas} × {m.shards} × {m.tensor} on {_count(layout.gpus)} (replicas × shards × tensor), "
        f"{words} recomputation\n"
    )
    limit = HEADROOM * gpu.memory
    kept = f"{_gb(memory.activations_kept)} without recomputation" if layout.recompute else ""
    for name, size, note in (
        ("weights", memory.weights, ""),
        ("gradients", memory.gradients, ""),
        ("AdamW", memory.optimizer, ""),
        ("activations", memory.activations, kept),
        ("logits", memory.logits, f"{_gb(memory.logits_whole)} without chunks"),
        ("buffers", memory.buffers, ""),
        ("a GPU in all", memory.total, f"{'fits' if layout.fits else 'DOES NOT FIT'} into {_gb(limit)}"),
    ):
        say(f"  {name:<14} {_gb(size):>9}   {note}".rstrip())
    say()


def _show_time(time: Time, architecture: Architecture, tokens: float, gpus: int) -> None:
    matrices = 6 * architecture.matmul_parameters
    saved = 1 - time.flops_per_token / time.flops_per_token_full
    say(
        f"{time.flops_per_token / 1e9:,.1f} GFLOP a token: {matrices / 1e9:,.1f} in matrices, "
        f"{(time.flops_per_token - matrices) / 1e9:,.1f} in attention to {time.attended:,.0f} tokens; "
        f"attention to whole rows would make it {time.flops_per_token_full / 1e9:,.1f} ({saved:.0%} saved)"
    )
    say(
        f"{tokens / 1e9:,.4g}B tokens at {time.mfu:.0%} MFU: {time.tokens_per_s:,.0f} tokens/s a GPU, "
        f"{time.gpu_hours:,.0f} GPU-hours, {time.hours:,.1f} hours on {_count(gpus)}"
    )


def _show_paper(as_json: bool) -> None:
    from trainer import plan as figures

    found = {name: figures.paper(name) for name in figures.PAPER_HOURS}
    if as_json:
        print_json({name: {"implied": asdict(a), "at_40": asdict(b)} for name, (a, b) in found.items()})
        return
    peak = figures.GPUS["B200"].peak
    say("Hermes 4 on 192 B200, 56B tokens; in brackets for the 56.6B that steps × rows × context come to")
    say(f"MFU is of {peak / 1e12:,.0f} TFLOP/s, dense bf16\n")
    say(
        f"{'':<15} {'GPU-hours':>9}  {'tokens/s a GPU':>15}  {'TFLOP/s':>7}  {'MFU':>4}  {'hours at 40%':>12}"
    )
    for name, (implied, tuned) in found.items():
        rate = f"{implied.tokens_per_s:,.0f} ({implied.tokens_per_s * figures.RECIPE_TOKENS / figures.PAPER_TOKENS:,.0f})"
        say(
            f"{name:<15} {implied.gpu_hours:>9,.0f}  {rate:>15}  {implied.mfu * peak / 1e12:>7.0f}  "
            f"{implied.mfu:>4.0%}  {tuned.gpu_hours:>12,.0f}"
        )
