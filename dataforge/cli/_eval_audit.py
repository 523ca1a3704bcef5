"""`dataforge eval audit`: how far a score depends on the parser."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_bytes, print_json, say

if TYPE_CHECKING:
    from evals.log import Log
    from evals.task import Item

_SHOWN = 10


def audit(
    log: Path = typer.Argument(..., help="A log: OUT/TASK of an evaluation."),
    judge: str | None = typer.Option(
        None,
        "--judge",
        help="Also ask this model what each reply gives as its answer; a [models.NAME] table.",
    ),
    models: Path | None = typer.Option(None, "--models", help="A file of [models.NAME] tables."),
    as_json: bool = typer.Option(False, "--json", help="Print it as JSON, with every sample that disagrees."),
) -> None:
    """Read a log's answers by the rules of several frameworks: the score under each, and which samples they differ on.

    Example: `dataforge eval audit out/evals/gpqa_diamond`
    """
    from evals.audit import audit as audited
    from evals.audit import table
    from evals.log import read_items, read_log

    read = read_log(log)
    items = read_items(read.path)
    judged = asyncio.run(_judged(read, items, judge, models)) if judge is not None else None
    found = audited(read, items, judged)
    if as_json:
        print_json(found.to_json())
        return
    print_bytes(table(found))
    apart = [each for each in found.reads if each.disagrees]
    if apart:
        say(
            f"\n{len(apart):,} samples on which they differ"
            + (f", {_SHOWN} of them:" if len(apart) > _SHOWN else ":")
        )
    for each in apart[:_SHOWN]:
        taken = ", ".join(f"{name} {text if text is not None else '–'}" for name, text in each.taken.items())
        say(f"  {each.sample.item}: {taken}")


async def _judged(
    log: Log, items: dict[str, Item], judge: str, models: Path | None
) -> dict[tuple[str, int], str | None]:
    """What a judge takes from each answer, a few at a time; replies are kept beside the log."""
    from dataforge.cli._eval_book import Journalled
    from dataforge.models import connect
    from dataforge.models.binding import bind
    from dataforge.project import load_project
    from dataforge.run.journal import Journal
    from evals.audit import ask_judge
    from schemas.evallog import LOST

    spec = bind([(judge, "judge", {})], load_project(Path.cwd()), models, os.environ)[judge]
    backend = connect(spec)
    places = asyncio.Semaphore(spec.concurrency)
    found: dict[tuple[str, int], str | None] = {}
    with Journal.open(log.path / "judged", {"audit": spec.weights}) as journal:
        ask = Journalled(backend, journal, spec, "judge")

        async def one(sample: Any) -> None:
            async with places:
                found[sample.key] = await ask_judge(sample, items[sample.item], ask)

        try:
            await asyncio.gather(*(one(sample) for sample in log.samples if sample.status not in LOST))
        finally:
            await backend.close()
    return found
