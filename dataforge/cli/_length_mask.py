"""`dataforge length mask`: traces into rows to train on, with what the loss sees of each."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._documents import show_documents
from dataforge.cli._terminal import print_json, say, sigterm_as_ctrl_c
from dataforge.cli.pack import reading

if TYPE_CHECKING:
    from trainer.masks import Renderer
    from trainer.show import Document

SHOWN = 2000
"""Characters of a piece of text that are shown; of a longer one, its two ends."""


def mask(
    traces: Path = typer.Argument(help="A folder of `dataforge length sample`."),
    strategy: str = typer.Option(
        "tag",
        help="What the loss sees: tag, answer, standard, or window:K for the last K tokens of thinking.",
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder of the rows, for `dataforge train --data`."),
    model: str = typer.Option("embedded", help="The model that the traces are of: its tokenizer is used."),
    template: str = typer.Option("auto", help="Its chat template, as `model.template` of `dataforge train`."),
    show: int | None = typer.Option(None, min=0, help="Show this row, with what is trained in it."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary, or the row, as JSON."),
) -> None:
    """Make rows to train on of the traces that were cut, and check each: its budget, and what is trained, to the token.

    Example: `dataforge length mask out/traces --strategy tag -o out/masked --model Qwen/Qwen3-14B`

    Example: `dataforge length mask out/traces -o out/masked --model Qwen/Qwen3-14B --show 0`
    """
    from trainer.config import ModelConfig
    from trainer.length.mask import shown
    from trainer.masks import Renderer
    from trainer.pretrained import load_tokenizer

    renderer = Renderer(load_tokenizer(ModelConfig(path=model, template=template)), template)
    summary = _write(traces, strategy, out, renderer, quiet=as_json)
    if show is None:
        print_json({**summary, "folder": str(out)}) if as_json else _show_summary(summary, out)
        return
    document = shown(out, show, renderer)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(document))
    else:
        show_documents(
            f"row {show:,} of {summary['samples']:,}: {document.length:,} tokens", [_short(document)]
        )


def _write(traces: Path, strategy: str, out: Path, renderer: Renderer, *, quiet: bool) -> dict[str, Any]:
    from dataforge.errors import Interrupted
    from trainer.length.mask import write_masked

    try:
        with sigterm_as_ctrl_c(), reading(quiet) as progress:
            return write_masked(traces, strategy, out, renderer, progress=progress)
    except KeyboardInterrupt:
        command = shlex.join(["dataforge", *sys.argv[1:]])
        raise Interrupted(f"stopped; {out} is not whole", help=f"to make it: {command}") from None


def _show_summary(summary: dict[str, Any], out: Path) -> None:
    trained, samples = summary["trained"], summary["samples"]
    least, most = trained["least"], trained["most"]
    a_sample = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    budgets = ", ".join(
        f"{each['samples']:,} cut inside the answer"
        if each["budget"] is None
        else f"{each['samples']:,} at {each['budget']:,} tokens"
        for each in summary["budgets"]
    )
    facts = {
        "samples": f"{samples:,}: {budgets}",
        "trained": f"{a_sample} token{'s' if most > 1 else ''} a sample ({summary['strategy']}), {trained['in_all']:,} in all",
        "thinking": f"{summary['thinking_tokens']:,} tokens",
        "longest": f"{summary['longest']:,} tokens: what data.context must hold",
        "changed": ", ".join(f"{name} {n:,}" for name, n in summary["changes"].items()) or "nothing",
    }
    for name, said in facts.items():
        say(f"{name:<14}{said}")
    if untaught := summary.get("untaught"):
        say(
            f"\nnote: the template writes {untaught!r} before </think>, and `{summary['strategy']}` does not teach the"
            " model to write it there; `window:0` does"
        )
    say(f"\ntrain on it:  dataforge length tune {shlex.quote(str(out))}")


def _short(document: Document) -> Document:
    """With the middle of long thinking left out: its ends are what one looks at."""
    from dataclasses import replace

    runs = tuple(
        replace(
            run,
            text=f"{run.text[: SHOWN // 2]}\n[… {len(run.text) - SHOWN:,} characters …]\n{run.text[-SHOWN // 2 :]}",
        )
        if len(run.text) > SHOWN
        else run
        for run in document.runs
    )
    return replace(document, runs=runs)
