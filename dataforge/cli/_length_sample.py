"""`dataforge length sample`: what a policy thinks, cut at a budget or measured."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._counting import counting
from dataforge.cli._stopping import heeding
from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.cli._length_book import Round
    from dataforge.models.client import ModelSpec
    from trainer.length.trace import Trace
    from trainer.masks import Renderer
CONTEXT = 40_960
"""Tokens of prompt and output where nobody says: the paper's."""
MEASURE = "measure"


def sample(
    prompts: list[Path] = typer.Argument(
        ..., help="Problems: .jsonl or .parquet with `prompt` or `messages`, or a corpus of `dataforge run`."
    ),
    model: str = typer.Option(
        "embedded", help="Whose tokenizer and template it is: a folder, a name at the hub, or `embedded`."
    ),
    template: str = typer.Option("auto", help="Its chat template: `auto`, a shipped one, or a .jinja file."),
    models: Path | None = typer.Option(
        None, "--models", help="A file with [models.policy], the endpoint; goes before dataforge.toml."
    ),
    budget: str = typer.Option(
        MEASURE, help="Tokens of thinking to cut at, such as 96, 30k or 2k,8k,30k; or `measure`: cut nothing."
    ),
    context: int | None = typer.Option(
        None, min=2, help="Tokens of prompt and output together; by default what the model is known to take."
    ),
    samples: int = typer.Option(1, min=1, help="Rollouts a problem."),
    answer_tokens: int = typer.Option(1024, min=1, help="The most tokens of an answer after a cut."),
    ask: str | None = typer.Option(
        None, help="A system line that asks for the budget: 'reasoning budget: {budget}'."
    ),
    asked: str | None = typer.Option(
        None, help="With `--budget measure`: the budgets that --ask asks for, such as 2k,8k."
    ),
    out: Path = typer.Option(Path("out/traces"), "--out", "-o", help="Folder of the traces."),
    as_json: bool = typer.Option(False, "--json", help="Print the manifest as JSON."),
) -> None:
    """Sample traces: measure how long a model thinks, or cut at a budget, close, and let it answer.

    Example: `dataforge length sample problems.jsonl --budget 512 -o out/traces`

    Example: `dataforge length sample problems.jsonl --models policy.toml --model Qwen/Qwen3-14B --budget 30k`

    Started again on the same --out, it goes on: every reply is on disk before anything builds on it. Ctrl-C waits for the
    calls in flight; a second one leaves them.
    """
    from dataforge.cli._length_book import Round
    from dataforge.errors import InputError
    from dataforge.models.binding import bind
    from dataforge.project import load_project
    from trainer.config import ModelConfig
    from trainer.length.prompts import asking, read_prompts
    from trainer.length.sample import SamplingPlan
    from trainer.masks import Renderer
    from trainer.pretrained import load_tokenizer

    budgets = [None] if budget == MEASURE else parsed(budget, "--budget")
    asks: Sequence[int | None] = parsed(asked, "--asked") if asked is not None else budgets
    if asked is not None and (ask is None or budget != MEASURE):
        raise InputError(
            "--asked says what a measurement's prompts ask for",
            code="L001",
            help="give it with `--budget measure` and --ask; where traces are cut, they ask for their budgets",
        )
    if ask is not None and asks == [None]:
        raise InputError(
            "--ask asks for a budget, and a measurement has none",
            code="L001",
            help="say which: --asked 2k,8k; or name budgets to cut at",
        )
    problems = read_prompts(prompts)
    spec = bind([("policy", "generator", {})], load_project(Path.cwd()), models, os.environ)["policy"]
    if spec.sampling.thinking_budget is not None:
        raise InputError(
            f"{spec.origin} binds the policy with a `thinking_budget`, and traces would be closed by the client",
            code="L001",
            help="take it out: `--budget` cuts at a budget, and keeps what was forced apart",
        )
    renderer = Renderer(load_tokenizer(ModelConfig(path=model, template=template)), template)
    rounds = []
    for wish in asks:
        said = problems if ask is None or wish is None else [asking(p, wish, ask) for p in problems]
        plan = SamplingPlan(
            budget=None if budget == MEASURE else wish,
            context=context or known_context(spec),
            answer_tokens=answer_tokens,
            samples=samples,
            concurrency=spec.concurrency,
        )
        rounds.append(Round(said, plan))
    manifest = run_sampling(out, spec, renderer, rounds, quiet=as_json)
    if as_json:
        print_json({**manifest, "out": str(out)})
    else:
        show(manifest, out)


def parsed(text: str, option: str) -> list[int]:
    """Budgets such as `96`, `30k` or `2k,8k,30k`; a `k` is a thousand.

    Raises:
        InputError: it is none, or one is there twice (L001).
    """
    from dataforge.errors import InputError

    found = []
    for word in text.split(","):
        digits, factor = (word.strip()[:-1], 1000) if word.strip()[-1:] in "kK" else (word.strip(), 1)
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:12]) * factor < 10**9):
            raise InputError(
                f"{option} is `{text}`, which names no budget",
                code="L001",
                help="a number of tokens, such as 96 or 30k; several with commas; or `--budget measure`",
            )
        found.append(int(digits) * factor)
    if len(set(found)) < len(found):
        raise InputError(f"{option} is `{text}`, which names a budget twice", code="L001")
    return found


def known_context(spec: ModelSpec) -> int:
    """The tokens of prompt and output that a binding is known to take.

    Raises:
        InputError: it says a number that is none (L001).
    """
    from dataforge.errors import InputError
    from dataforge.models.embedded_generator import CONTEXT_TOKENS

    told = spec.options.get("context_length")
    if told is None:
        return CONTEXT_TOKENS if spec.backend == "local" else CONTEXT
    if not isinstance(told, int) or told < 2:
        raise InputError(
            f"{spec.origin} binds the policy with a `context_length` of {told!r}",
            code="L001",
            help="it is a number of tokens, such as 40960; or say it with --context",
        )
    return told


def run_sampling(
    out: Path, spec: ModelSpec, renderer: Renderer, rounds: Sequence[Round], *, quiet: bool
) -> dict[str, Any]:
    """Sample into a folder with progress on stderr and signals heeded; returns the manifest.

    Raises:
        Interrupted: by a signal, once the calls in flight have ended or a second one came.
        Others: as `dataforge.cli._length_book.sampled`.
    """
    from dataforge.cli._length_book import sampled
    from dataforge.errors import RunError
    from dataforge.run.stop import Stop

    total = sum(len(one.prompts) * one.plan.samples for one in rounds)
    command = shlex.join(["dataforge", *sys.argv[1:]])
    try:
        with counting(total, "traces", _count(), quiet=quiet) as (progress, note):
            stop = Stop()
            work = sampled(out, spec, renderer, rounds, progress=progress, stop=stop)
            return asyncio.run(heeding(work, stop, note, f"what was sampled is kept in {out}", command))
    except RunError as error:
        error.help = f"{error.help}; what was sampled is kept, to go on: {command}".removeprefix("None; ")
        raise


def _count() -> Callable[[Trace], str]:
    """What says after each trace how many were cut, and what all of them took."""
    done = finished = tokens = 0

    def count(trace: Trace) -> str:
        nonlocal done, finished, tokens
        done += 1
        finished += trace.case == "finished"
        tokens += trace.thinking_tokens + trace.answer_tokens
        return f"{done - finished:,} cut, {finished:,} finished, {tokens:,} tokens"

    return count


def show(manifest: Mapping[str, Any], out: Path) -> None:
    """The traces of each budget, for people."""
    trainable = 0
    for arm in manifest["arms"]:
        trainable += arm["trainable"]
        n, said = arm["traces"], "measured" if arm["budget"] is None else f"budget {arm['budget']:,}"
        if arm["asked"] is not None:
            said += f", asked for {arm['asked']:,}"
        say(f"{said}: {n:,} traces")
        say(
            f"  {arm['finished']:,} finished, {arm['cut_in_thinking']:,} cut inside the thinking,"
            f" {arm['cut_in_answer']:,} inside the answer"
        )
        say(f"  {arm['unclosed']:,} ({arm['unclosed'] / n:.1%}) did not close their thinking")
        say(
            f"  thinking: {arm['mean_thinking_tokens']:,.1f} tokens in the mean,"
            f" {arm['median_thinking_tokens']:,.1f} in the median"
        )
        if arm["scored"]:
            say(f"  score {arm['score']:.3f}, of {arm['scored']:,} with a reference answer")
        if arm["unfit"]:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in arm["unfit"].items())
            say(f"  not to be trained on: {reasons}")
    folder = shlex.quote(str(out))
    say(f"\ntraces in {out}, {trainable:,} of them to train on")
    if trainable:
        say(f"next: dataforge length mask {folder}")
