"""`dataforge show`: look at the rows of a corpus, or watch the run that makes it."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, printable, say

if TYPE_CHECKING:
    from rich.console import Console

    from schemas.corpus import Row


def register(app: typer.Typer) -> None:
    app.command("show")(show)


def show(
    directory: Path = typer.Argument(..., help="A corpus directory: the --out of a run."),
    row: str | None = typer.Option(None, help="Only the row whose id begins so."),
    rejected: bool = typer.Option(
        False, "--rejected", help="The rows that were turned away, with the reason."
    ),
    calls: bool = typer.Option(False, "--calls", help="Single model calls too, not only finished samples."),
    limit: int = typer.Option(10, min=1, help="At most so many rows."),
    live: bool = typer.Option(
        False, "--live", help="Watch the run that is under way there, until it is over."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """Show rows with their conversation, walk, models and verdicts; with --live, a run that is under way.

    Example: `dataforge show out/quickstart --limit 3`
    """
    from dataforge.corpus.read import read_rows
    from dataforge.errors import InputError

    if live:
        if row is not None or rejected or calls:
            raise typer.BadParameter("shows the run, not its rows", param_hint="--live")
        from dataforge.cli._live import show_live

        show_live(directory, as_json=as_json)
        return
    manifest = _manifest(directory)
    found: Iterator[Row] = read_rows(directory, rejected=rejected)
    if row is not None:
        if not rejected:
            found = itertools.chain(found, read_rows(directory, rejected=True))
        found = (r for r in found if r.id.startswith(row))
    elif not calls:
        found = (r for r in found if r.kind == "final")
    shown = 0
    console = None if as_json else _console()
    for item in itertools.islice(found, limit):
        shown += 1
        if console is None:
            print_json(item.model_dump(mode="json"), indent=None)
        else:
            console.print(_panel(item))
    if row is not None and not shown:
        raise InputError(
            f"no row of {directory} has an id that begins with {row}",
            code="R024",
            help="leave out --row to see ids",
        )
    if console is not None:
        say(f"{shown} shown; {_counts(manifest)}")


def _manifest(directory: Path) -> dict[str, Any]:
    from dataforge.corpus.read import read_manifest
    from dataforge.errors import OutputError

    try:
        return read_manifest(directory)
    except OutputError as error:
        if _under_way(directory):
            raise OutputError(
                f"{directory} holds a run that is under way",
                code="R023",
                help=f"to watch it: dataforge show --live {shlex.quote(str(directory))}",
            ) from error
        raise


def _under_way(directory: Path) -> bool:
    from dataforge.errors import OutputError
    from dataforge.run.live import read_live

    try:
        state = read_live(directory)
    except OutputError:
        return False
    return not state.over and state.stale(datetime.now(UTC)) is None


def _counts(manifest: dict[str, Any]) -> str:
    rows = manifest["counts"]["rows"]
    lost = rows.get("lost", 0)
    told = f"the corpus has {rows['final']:,} samples, {rows['call']:,} calls and {rows['rejected'] - lost:,} rejected rows"
    return f"{told}; {lost:,} samples were drawn and not kept (--rejected --calls)" if lost else told


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _panel(row: Row) -> Any:
    """The row in a frame. Every text of it comes from models, seeds or strangers: none may steer the terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    def text(content: str, style: str = "") -> Text:
        return Text(printable(content), style=style)

    parts = [text(f"{' → '.join(row.path) or row.node}   seed {row.seed_source}", "dim")]
    for message in row.messages:
        parts.append(text(message.role, "bold cyan" if message.train else "bold"))
        if message.reasoning_content:
            parts.append(text(message.reasoning_content, "dim italic"))
        parts.append(text(message.content))
        parts.extend(text(json.dumps(call, ensure_ascii=False)) for call in message.tool_calls or ())
    for verdict in row.verdicts:
        told = f"{verdict.criterion} {verdict.score:g}  {verdict.reason}"
        # Of the first of its kind there is nothing to number.
        number = f" {verdict.round + 1}" if verdict.round else ""
        parts.append(text(f"{verdict.node}{number}: {told}", "green"))
    if row.reason is not None:
        parts.append(text(_reason(row.reason), "red"))
    return Panel(
        Group(*parts),
        title=text(f"{row.kind} {row.id}"),
        subtitle=text(", ".join(f"{m.role}={m.name}" for m in row.models)),
        title_align="left",
    )


def _reason(told: str) -> str:
    from pydantic import ValidationError

    from schemas.corpus import Reason

    try:
        reason = Reason.model_validate_json(told)
    except ValidationError:
        return told
    return f"{reason.code} at {reason.stage}: {reason.message}"
