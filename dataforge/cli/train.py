"""`dataforge train`: weights from a corpus; and `dataforge train plan`, what that would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from dataforge.cli._terminal import print_json, say
from dataforge.cli._train_plan import plan
from dataforge.cli.run import spread


class DataGroup(TyperGroup):
    """`--data` takes all paths up to the next option, since a shell turns `corpora/*` into several."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, "--data"))


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=DataGroup, invoke_without_command=True, rich_markup_mode="markdown")
    group.callback()(train)
    group.command("plan")(plan)
    app.add_typer(group, name="train")


def train(
    ctx: typer.Context,
    preset: str | None = typer.Option(
        None, help="A configuration to start from: tiny, smollm2-135m, hermes4-14b, -70b or -405b."
    ),
    config: Path | None = typer.Option(None, help="A TOML file with what differs from it."),
    sets: list[str] = typer.Option([], "--set", help="One value: table.key=value. May be given again."),
    data: list[str] = typer.Option(
        [], "--data", help="Corpora, chat files, or one packed set; they replace `data.paths`."
    ),
    out: Path = typer.Option(Path("out/trained"), help="Folder of the run; started again on it, it resumes."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Train on a corpus. Started again on the same --out, it goes on from the last checkpoint.

    Example: `dataforge train --preset smollm2-135m --data out/quickstart --out out/tuned`

    Example: `torchrun --nproc-per-node 8 -m dataforge train --preset hermes4-14b --data packed --out out/hermes`

    Ctrl-C or SIGTERM finishes the step, writes a checkpoint and ends with exit code 3; a second one ends it at once.
    """
    if ctx.invoked_subcommand is not None:
        return
    from dataclasses import replace

    from trainer.config import load

    chosen = load(preset, config, sets)
    if data:
        chosen = replace(chosen, data=replace(chosen.data, paths=tuple(data)))
    from trainer.train import train as run

    summary = run(chosen, out)
    if not summary:
        # Another process of torchrun: the main one speaks for all.
        return
    if as_json:
        print_json(summary)
        return
    say(
        f"loss {summary['first_loss']:.4f} → {summary['last_loss']:.4f} after {summary['steps']:,} steps, "
        f"{summary['trained_tokens']:,} trained tokens; weights in {summary['model']}, curves in {out / 'report.html'}"
    )
