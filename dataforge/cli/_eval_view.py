"""`dataforge eval view`: a log as one page to browse."""

from __future__ import annotations

from pathlib import Path

import typer

from dataforge.cli._terminal import say


def view(
    log: Path = typer.Argument(..., help="A log: OUT/TASK of an evaluation."),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="The page to write; `view.html` in the log without it.", show_default=False
    ),
) -> None:
    """Write a page of HTML that needs nothing else: headline, plots, every sample with what was taken from it.

    Example: `dataforge eval view out/evals/gsm8k`
    """
    from dataforge.cli._output import writing
    from evals.log import read_log
    from evals.view import write_page

    read = read_log(log)
    page = out if out is not None else read.path / "view.html"
    with writing(page):
        write_page(read, page)
    say(f"{len(read.samples):,} samples in {page}")
