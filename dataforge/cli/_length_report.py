"""`dataforge length report`: what length control changed, and what it cost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import typer

from dataforge.cli._terminal import few, print_json, say


def report(
    folders: list[Path] = typer.Argument(
        ...,
        metavar="BEFORE AFTER [MORE]...",
        help="Folders of traces; the first is what all others are held against.",
    ),
    names: list[str] = typer.Option(
        [], "--name", help="What to call a folder, in their order; without it, its own name."
    ),
    context: int | None = typer.Option(
        None,
        min=1,
        help="Overlong is no </think> within so many tokens of prompt and output; by default the context of BEFORE.",
    ),
    output: int | None = typer.Option(
        None,
        min=1,
        help="And by the second definition, within so many of output; by default 0.8 of the context.",
    ),
    budget: int | None = typer.Option(
        None,
        min=1,
        help="The budget that thinking was to be closed at; by default that of the traces, where it is one.",
    ),
    out: Path = typer.Option(Path("out/length-report"), "--out", "-o", help="Folder of the report."),
    price: float | None = typer.Option(
        None, min=0, help="Of a million tokens of output, to say what was saved."
    ),
    only_common: bool = typer.Option(
        False, "--only-common", help="Compare the problems that all have, instead of refusing others."
    ),
    seed: int = typer.Option(0, min=0, help="Of the bootstrap and the permutations."),
    as_json: bool = typer.Option(False, "--json", help="Print report.json."),
) -> None:
    """Before and after: scores, overlong rates, lengths, loops, tokens, with intervals and paired tests, on one page.

    Example: `dataforge length report out/before out/forced out/after --name base --name forced --name tuned
    --context 40960 --output 32768 --budget 30000 -o out/report`
    """
    from dataforge.errors import InputError
    from trainer.length.report import write_report
    from trainer.length.trace import read_traces

    if names and len(names) != len(folders):
        raise InputError(
            f"{len(folders):,} folders and {len(names):,} names",
            code="L001",
            help="give each folder a --name, or none",
        )
    called = names or [folder.resolve().name for folder in folders]
    if twice := [name for name, times in Counter(called).items() if times > 1]:
        raise InputError(
            f"two folders are called {few(twice)}",
            code="L001",
            help="tell them apart: a --name for each, in their order",
        )
    arms = {name: list(read_traces(folder)) for name, folder in zip(called, folders, strict=True)}
    everything = [trace for traces in arms.values() for trace in traces]
    if context is None:
        context = max((trace.limit for trace in next(iter(arms.values()))), default=1)
    if budget is None:
        budgets = {trace.budget for trace in everything if trace.budget is not None}
        budget = budgets.pop() if len(budgets) == 1 else None
    document = write_report(
        arms,
        out,
        context=context,
        output=output or max(1, context * 4 // 5),
        budget=budget,
        price=price,
        only_common=only_common,
        seed=seed,
    )
    show_report(document, out, as_json=as_json)


def show_report(document: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print what a report says in short, or all of it as JSON.

    Args:
        out: the folder that it was written to.
    """
    from trainer.length.sheet import headlines

    if as_json:
        print_json(document)
        return
    for line in headlines(document):
        say(line)
    for note in document["notes"]:
        say(f"note: {note}")
    say(f"written to {out / 'report.html'}")
