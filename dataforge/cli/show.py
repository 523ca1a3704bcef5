"""`dataforge show`: look at the rows of a corpus."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from schemas.corpus import Row


def register(app: typer.Typer) -> None:
    app.command("show")(show)


def show(
    directory: Path = typer.Argument(..., help="A corpus directory."),
    row: str | None = typer.Option(None, help="Only the row whose id begins so."),
    rejected: bool = typer.Option(
        False, "--rejected", help="The rows that were turned away, with the reason."
    ),
    calls: bool = typer.Option(False, "--calls", help="Single model calls too, not only finished samples."),
    limit: int = typer.Option(10, min=1, help="At most so many rows."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """Show rows with their conversation, walk, models and verdicts.

    Example: `dataforge show out/quickstart --limit 3`
    """
    from dataforge.corpus.read import read_manifest, read_rows
    from dataforge.errors import InputError

    manifest = read_manifest(directory)
    found = (
        r
        for r in read_rows(directory, rejected=rejected)
        if (calls or row is not None or r.kind == "final") and (row is None or r.id.startswith(row))
    )
    shown = 0
    for item in itertools.islice(found, limit):
        shown += 1
        if as_json:
            typer.echo(json.dumps(item.model_dump(mode="json"), ensure_ascii=False))
        else:
            _panel(item)
    if row is not None and not shown:
        raise InputError(
            f"no row of {directory} has an id that begins with {row}",
            code="R024",
            help="leave out --row to see ids",
        )
    if not as_json:
        rows = manifest["counts"]["rows"]
        typer.echo(
            f"{shown} shown; the corpus has {rows['final']} samples, {rows['call']} calls and {rows['rejected']} rejected rows"
        )


def _panel(row: Row) -> None:
    from rich.console import Console, Group
    from rich.panel import Panel
    from rich.text import Text

    from dataforge.cli import printable

    parts: list[Text] = [Text(f"{' → '.join(row.path) or row.node}   seed {row.seed_source}", style="dim")]
    for message in row.messages:
        head = Text(
            f"{message.role}{'' if message.train else ' (not trained)'}",
            style="bold cyan" if message.train else "bold",
        )
        parts.append(head)
        if message.reasoning_content:
            parts.append(Text(printable(message.reasoning_content), style="dim italic"))
        parts.append(Text(printable(message.content)))
    for verdict in row.verdicts:
        line = (
            f"{verdict.node} round {verdict.round}: {verdict.criterion} {verdict.score:g}  {verdict.reason}"
        )
        parts.append(Text(printable(line), style="green"))
    if row.reason is not None:
        reason = json.loads(row.reason)
        parts.append(
            Text(printable(f"{reason['code']} at {reason['stage']}: {reason['message']}"), style="red")
        )
    models = ", ".join(f"{m.role}={m.name}" for m in row.models)
    Console(highlight=False).print(
        Panel(
            Group(*parts),
            title=Text(f"{row.kind} {row.id}"),
            subtitle=Text(printable(models)),
            title_align="left",
        )
    )
