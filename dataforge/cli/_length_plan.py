"""`dataforge length plan`: what length control of a model takes, on paper."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from trainer.length.plan import Phase, Plan, Wish
    from trainer.plan import Architecture, Gpu


def plan(
    model: str = typer.Option("Qwen3-14B", help="A name such as Qwen3-14B, or a folder with a config.json."),
    gpu: str = typer.Option("B200", help="Kind of GPU: B200, H200, H100 or A100."),
    gpus: int = typer.Option(8, min=1, max=1_000_000, help="How many of them."),
    budget: int = typer.Option(30_000, min=1, max=10**7, help="Tokens of thinking at which a trace is cut."),
    context: int = typer.Option(40_960, min=1, max=10**7, help="Tokens of prompt and output together."),
    prompts: int | None = typer.Option(
        None, min=1, max=10**10, help="Prompts to sample on; without it, as many as --wanted needs."
    ),
    wanted: int | None = typer.Option(
        None,
        min=1,
        max=10**10,
        help="Cut traces that are wanted; by default 10,709, as many as the report had at 20,000.",
    ),
    samples: int = typer.Option(1, min=1, max=10_000, help="Runs a prompt."),
    cut_share: float = typer.Option(0.6, min=0, max=1, help="Share of the runs that reach the budget."),
    finished_tokens: float | None = typer.Option(
        None, min=1, help="Thinking of the other runs, on average; by default by the law of the Hermes 4 set."
    ),
    prompt_tokens: int = typer.Option(200, min=1, help="Of a prompt, on average."),
    answer_tokens: int = typer.Option(384, min=1, help="Of an answer, on average."),
    mix: float = typer.Option(
        0.5, min=0, help="Of the samples that are trained on, how many are ordinary ones."
    ),
    ordinary_tokens: float | None = typer.Option(
        None, min=1, help="Of an ordinary sample, on average; by default by the law of the Hermes 4 set."
    ),
    train_context: int = typer.Option(32_768, min=2, max=10**7, help="Tokens of a packed row."),
    epochs: int = typer.Option(1, min=1, max=1_000, help="How often the set is trained on."),
    decode: float | None = typer.Option(
        None,
        min=0.001,
        help="Tokens a second that one GPU decodes, where you measured it; by default half of its roofline.",
    ),
    mfu: float = typer.Option(0.40, min=0.01, max=1.0, help="Share of the peak that training reaches."),
    paper: bool = typer.Option(False, "--paper", help="The Hermes 4 report's own case, by its facts."),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Tokens to sample, GPU-hours, disk and training hours of length control, without a GPU.

    Example: `dataforge length plan --model Qwen3-14B --gpu B200 --gpus 8 --budget 30000 --context 40960 --prompts 20000`
    """
    from dataforge.errors import InputError
    from trainer.length.plan import PAPER_CUT, Wish, plan_of
    from trainer.plan import GPUS, find_architecture, gpu_of

    architecture, kind = find_architecture(model), gpu_of(gpu)
    if kind is None:
        raise InputError(
            f"`{gpu}` is no kind of GPU that plans know", code="T008", help=f"choose one of {', '.join(GPUS)}"
        )
    if paper:
        _show_paper(architecture, kind, gpus, as_json)
        return
    wish = Wish(
        budget=budget,
        context=context,
        prompts=prompts,
        wanted=PAPER_CUT if prompts is None and wanted is None else wanted,
        samples=samples,
        cut_share=cut_share,
        finished_tokens=finished_tokens,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        share=mix,
        ordinary_tokens=ordinary_tokens,
        train_context=train_context,
        epochs=epochs,
        decode=decode,
        mfu=mfu,
    )
    found = plan_of(architecture, kind, gpus, wish)
    if as_json:
        print_json(
            _described(found)
            | {"wish": asdict(wish), "model": architecture.name, "gpu": kind.name, "gpus": gpus}
        )
        return
    _show(found, wish, architecture, kind, gpus)


def _described(found: Plan) -> dict[str, Any]:
    return asdict(found) | {"on_paper": True, "gpu_hours": found.gpu_hours}


def _show(found: Plan, wish: Wish, architecture: Architecture, gpu: Gpu, gpus: int) -> None:
    from trainer.length.plan import BANDWIDTH, BYTES_A_TOKEN, COMPRESSED, EFFICIENCY, PAPER_BENCHMARKS

    said = "on paper: nothing was measured" + (" but the rate of decoding" if found.decoding.measured else "")
    say(
        f"{architecture.name}, {architecture.parameters / 1e9:,.2f}B parameters: thinking cut at {wish.budget:,} tokens, "
        f"in a context of {wish.context:,}"
    )
    say(f"on {_count(gpus)} ({gpu.name}); {said}\n")
    say(
        f"assumed: {wish.cut_share:.0%} of the runs reach the budget (the report: 60% of LiveCodeBench's reach 40,960 tokens)"
    )
    law = "" if wish.finished_tokens else ", as long as samples that Hermes 4 was trained on"
    say(f"assumed: the others think for {found.finished_tokens:,.0f} tokens on average{law}")
    say(f"assumed: {wish.prompt_tokens:,} tokens of prompt, {wish.answer_tokens:,} of answer\n")

    runs = found.sampling.runs
    many = f"× {wish.samples:,}: {runs:,} runs, {found.cut:,} of them cut and {found.kept:,} finished"
    _line("prompts", f"{found.prompts:,}", many)
    names = ", ".join(f"{b.name} {b.problems:,} × {b.samples}" for b in PAPER_BENCHMARKS)
    _show_phase("measured before", found.before, f"the report's benchmarks: {names}")
    _show_phase("sampled", found.sampling, "up to the budget, and the answers")
    _show_phase("measured after", found.after, "what ran to the context now closes at the budget")
    d = found.decoding
    say()
    if d.measured:
        say(f"decoding: {d.rate:,.0f} tokens/s a GPU, as given; the roofline is {d.roofline:,.0f}")
    else:
        say(
            f"assumed: {d.rate:,.0f} tokens/s a GPU, {EFFICIENCY:.0%} of a roofline of {d.roofline:,.0f}; measure it and give --decode"
        )
    say(
        f"roofline: {BANDWIDTH[gpu.name] / 1e12:g} TB/s of memory for the weights in bf16 and {d.sequences:,} runs at once, with "
        f"{d.attended:,.0f} tokens behind each on average, on {_count(d.tensor)}\n"
    )
    t = found.training
    _line(
        "samples to train on",
        f"{found.tagged + found.ordinary:,}",
        f"{found.tagged:,} cut ones, of {found.positions:,} trained positions, and {found.ordinary:,} ordinary ones "
        f"(--mix {wish.share:g}, assumed: of {found.ordinary_tokens:,.0f} tokens)",
    )
    full = f"of {wish.train_context:,} tokens, {found.efficiency:.1%} full (first-fit decreasing)"
    _line("rows of the packed set", f"{found.rows:,}", full)
    epochs = "1 epoch" if wish.epochs == 1 else f"{wish.epochs:,} epochs"
    _line(
        "trained",
        _big(found.trained_tokens),
        f"tokens in {epochs}: {t.gpu_hours:,.0f} GPU-hours, {t.hours:,.1f} hours; assumed: {wish.mfu:.0%} MFU, so "
        f"{t.tokens_per_s:,.0f} tokens/s a GPU",
    )
    layout = found.layout
    if layout is None:
        _line("memory", "", "no layout fits rows of this length")
    else:
        more = "" if layout.gpus == gpus else f", which takes {_count(layout.gpus)}"
        _line("memory", _bytes(layout.memory.total), f"a GPU, in bf16 from fp32 weights{more}")
    say()
    text = f"assumed: {BYTES_A_TOKEN:g} bytes a token, {_bytes(found.text_bytes)}, of which zstd leaves {COMPRESSED:.0%}"
    _line("traces on disk", _bytes(found.trace_bytes), text)
    _line("packed set", _bytes(found.packed_bytes))
    _line(
        "a checkpoint",
        _bytes(found.checkpoint_bytes),
        "weights and AdamW in fp32; as many as checkpoint.keep",
    )
    say()
    say(f"in all {found.gpu_hours:,.0f} GPU-hours, {found.gpu_hours / gpus:,.1f} hours on {_count(gpus)}")


def _show_phase(name: str, phase: Phase, note: str) -> None:
    hours = f"{phase.gpu_hours:,.0f} GPU-hours, {phase.hours:,.1f} hours"
    _line(name, _big(phase.decoded), f"tokens of {phase.runs:,} runs: {hours}; {note}")


def _line(name: str, figure: str, note: str = "") -> None:
    say(f"  {name:<22} {figure:>12}   {note}".rstrip())


def _show_paper(architecture: Architecture, gpu: Gpu, gpus: int, as_json: bool) -> None:
    from trainer.length.plan import PAPER_CUT, PAPER_PROMPTS, PAPER_UNIQUE, paper_case

    case = paper_case(architecture, gpu, gpus)
    fewer, whole = case["at_20k"], case["all_prompts"]
    if as_json:
        print_json(case | {"at_20k": _described(fewer), "all_prompts": _described(whole)})
        return
    say(
        f"The Hermes 4 report's case on {_count(gpus)} ({gpu.name}), on paper: it gives neither throughput nor hours for it\n"
    )
    say(
        f"{PAPER_CUT:,} samples cut at 20,000 tokens: {case['share_of_prompts']:.1%} of the {PAPER_PROMPTS:,} prompts gathered, or "
        f"{case['share_of_unique']:.0%} of {PAPER_UNIQUE:,} unique ones;"
    )
    say(
        f"where 60% are cut, {fewer.prompts:,} prompts give as many: {_big(fewer.sampling.decoded)} tokens, "
        f"{fewer.sampling.gpu_hours:,.0f} GPU-hours"
    )
    say(
        f"of {_big(fewer.tagged * 20_000.0)} tokens of thinking, the loss sees none, and {fewer.positions:,} positions behind it; "
        f"training takes {_big(fewer.trained_tokens)} tokens and {fewer.training.gpu_hours:,.0f} GPU-hours"
    )
    say()
    say(
        f"all {PAPER_PROMPTS:,} prompts to 30,000 tokens: {_big(whole.sampling.decoded)} tokens, {whole.sampling.gpu_hours:,.0f} GPU-hours "
        f"({whole.cut:,} cut); training on all of it {whole.training.gpu_hours:,.0f} GPU-hours"
    )
    if stage_1 := case["stage_1_gpu_hours"]:
        say(f"its first stage took {stage_1:,} B200-hours")
    say(
        f"the two measurements: {whole.before.runs:,} runs each, {_big(whole.before.decoded)} tokens before and {_big(whole.after.decoded)} after"
    )


def _big(count: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if count >= unit:
            return f"{count / unit:,.2f}{name}"
    return f"{count:,.0f}"


def _bytes(size: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.1f} kB"


def _count(gpus: int) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus:,} GPUs"
