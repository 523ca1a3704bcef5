"""`dataforge length tune`: masked rows mixed with ordinary ones, and a training run on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from dataforge.cli._terminal import print_json, say
from dataforge.cli.run import spread


class Command(TyperCommand):
    """`--ordinary` takes all paths up to the next option, since a shell turns `corpora/*` into several."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, "--ordinary"))


def tune(
    masked: list[Path] = typer.Argument(..., help="Folders of `dataforge length mask`; before --ordinary."),
    ordinary: list[Path] = typer.Option(
        [], "--ordinary", help="What to mix in: corpora, chat files, finished/ folders of traces."
    ),
    mix: float | None = typer.Option(
        None, help="Share of ordinary samples, from 0 to below 1; 0.5 by default, and 0 without --ordinary."
    ),
    preset: str | None = typer.Option(None, help="A configuration of `dataforge train` to start from."),
    config: Path | None = typer.Option(None, help="A TOML file with what differs from it."),
    sets: list[str] = typer.Option([], "--set", help="One value: table.key=value. May be given again."),
    out: Path = typer.Option(
        Path("out/tuned"), "--out", "-o", help="Folder of the run; started again on it, it resumes."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Train on masked traces beside ordinary samples. Started again on the same --out, it goes on.

    Example: `dataforge length tune out/masked --ordinary out/lessons --preset smollm2-135m --set data.context=512`

    A row must hold every masked sample whole; one that is longer is an error before the first step, which says what would
    hold it.
    """
    from dataforge.errors import InputError
    from trainer.config import load
    from trainer.length import tune as tuning

    chosen = load(preset, config, sets)
    if chosen.data.paths:
        raise InputError(
            "`data.paths` is the mix's, and cannot be named",
            code="L001",
            help="name masked rows first, and ordinary ones with --ordinary",
        )
    share = mix if mix is not None else tuning.SHARE if ordinary else 0.0
    plan = tuning.Mix(tuple(masked), tuple(ordinary), share, chosen.data.kinds, chosen.data.seed)
    summary = tuning.tune(chosen, plan, out, tell=lambda line: say(line, err=True))
    if not summary:
        # Another process of torchrun: the main one speaks for all.
        return
    if as_json:
        print_json(summary)
        return
    say(
        f"loss {summary['first_loss']:.4f} → {summary['last_loss']:.4f} after {summary['steps']:,} steps;"
        f" weights in {summary['model']}, curves in {out / 'report.html'}"
    )
    say(f"next: measure it, `dataforge length sample BENCHMARK --model {summary['model']} --models …`")
