"""`dataforge length run`: all of length control, from one file of settings."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dataforge.cli._length_report import show_report
from dataforge.cli._terminal import say, sigterm_as_ctrl_c

if TYPE_CHECKING:
    from dataforge.models.client import ModelSpec
    from dataforge.project import ModelTable
    from trainer.length.run import Order
    from trainer.masks import Renderer


def run(
    settings: Path = typer.Argument(..., help="A TOML file: problems, policy, budgets, training."),
    out: Path = typer.Option(
        Path("out/length"), "--out", "-o", help="Folder of the run; started again on it, it resumes."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Measure, sample, mask, tune, measure again, report. Started again on the same --out, it goes on.

    Example: `dataforge length run graphs/length.toml --out out/length`

    Stages that are done are skipped; a setting that one of them depended on cannot be changed any more. Where the tuned
    model is served elsewhere, the command ends with exit code 3 when it is to be served, and then goes on from there.
    """
    from dataforge.errors import InputError, Interrupted
    from trainer.length.run import run as all_stages
    from trainer.length.settings import load

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "`dataforge length run` is one process, and torchrun starts several",
            code="L001",
            help="for a model that several devices train, take the single commands: sample, mask, `torchrun … -m dataforge length"
            " tune`, sample, report",
        )
    told = load(settings)
    command = shlex.join(["dataforge", *sys.argv[1:]])
    try:
        # Stages that heed signals themselves do so inside; the others end as by Ctrl-C.
        with sigterm_as_ctrl_c():
            report = all_stages(told, out, Models(quiet=as_json), tell=lambda line: say(line, err=True))
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; what was done is in {out}", help=f"to go on: {command}") from None
    show_report(report, out / "report", as_json=as_json)


class Models:
    """What a run reaches models by: the bindings of its settings, and a journal in the folder of the traces."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def sample(self, order: Order, renderer: Renderer) -> None:
        from dataforge.cli._length_book import Round
        from dataforge.cli._length_sample import run_sampling

        rounds = [Round(prompts, plan) for prompts, plan in order.rounds]
        spec = self._bound(order.name, order.table)
        # An event loop that heeds signals leaves them with the default handler, not with the one before.
        with sigterm_as_ctrl_c():
            run_sampling(order.out, spec, renderer, rounds, quiet=self._quiet)

    def weights(self, name: str, table: ModelTable) -> str:
        return self._bound(name, table).weights

    def silence(self, name: str, table: ModelTable) -> str | None:
        return asyncio.run(_silence(self._bound(name, table)))

    def _bound(self, name: str, table: ModelTable) -> ModelSpec:
        from dataforge.models.binding import bind
        from dataforge.project import Project

        here = Project(root=Path.cwd(), name="length", models={name: table})
        return bind([(name, "generator", {})], here, None, os.environ)[name]


async def _silence(spec: ModelSpec) -> str | None:
    from dataforge.errors import ModelError
    from dataforge.models import connect

    backend = connect(spec)
    try:
        await backend.ping()
    except ModelError as error:
        return error.message
    finally:
        await backend.close()
    return None
