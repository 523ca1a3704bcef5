"""`dataforge length demo`: the experiment on a model from scratch, with its controls."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

from dataforge.cli._terminal import print_json, say


def demo(
    out: Path = typer.Option(
        Path("out/length-demo"),
        "--out",
        "-o",
        help="Folder of the experiment; started again on it, it resumes.",
    ),
    quick: bool = typer.Option(False, "--quick", help="One seed and the main arms, in a third of the time."),
    processes: int = typer.Option(2, min=1, max=64, help="Jobs at once, each on one core."),
    as_json: bool = typer.Option(False, "--json", help="Print all figures as JSON."),
) -> None:
    """Train a small model that over-thinks, then each way of training it to stop, and show what came out.

    Example: `dataforge length demo --quick --out out/length-demo`

    Three seeds take some 15 minutes on two cores; `--quick` some 5. Nothing is downloaded. What does not come out as in the
    Hermes 4 report is shown as it is. Ctrl-C ends with exit code 3, and the same command goes on.
    """
    from dataforge.errors import Interrupted
    from trainer.length import experiment
    from trainer.length.demo import demo as run
    from trainer.length.results import lines

    design = experiment.quick() if quick else experiment.full()
    try:
        found = run(design, out, processes=processes, tell=lambda line: say(line, err=True))
    except Interrupted as error:
        command = shlex.join(["dataforge", *sys.argv[1:]])
        raise Interrupted(error.message, help=f"to go on: {command}") from None
    if as_json:
        print_json(found)
        return
    for line in lines(found, design):
        say(line)
    say(f"\nwritten to {out / 'demo.html'}, demo.png and demo.json beside it")
