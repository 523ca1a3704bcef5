"""`dataforge run`: make the corpus, or go on making it."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dataforge.plan.artifact import Plan
    from dataforge.run.engine import RunOptions, RunSummary
    from dataforge.run.progress import Progress


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    file: Path = typer.Argument(..., help="A `.forge` file or a plan document."),
    seeds: list[str] = typer.Option(
        [], "--seeds", help="Seed files, folders or globs; they replace the graph's own."
    ),
    rows: int | None = typer.Option(None, min=1, help="How many rows to attempt; all by default."),
    walks: int = typer.Option(1, min=1, help="Walks a seed."),
    seed: int = typer.Option(0, help="Seed of the random walks."),
    out: Path | None = typer.Option(None, help="Corpus directory; out/GRAPH by default."),
    models: Path | None = typer.Option(
        None, "--models", help="A file of [models.NAME] tables; goes before dataforge.toml."
    ),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    concurrency: int = typer.Option(64, min=1, help="Rows under way at once."),
    max_failures: int = typer.Option(
        0, min=0, help="Rows that may be lost to errors before the exit code is 1."
    ),
    on: str = typer.Option("local", help="Where to run: local."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done; ask no model."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Walk seeds through a graph into a judged corpus. Started again on the same --out, it resumes.

    Example: `dataforge run graphs/quickstart.forge --rows 40 --out out/quickstart`
    """
    from dataforge.cli.compile import show_warnings
    from dataforge.errors import InputError
    from dataforge.plan.artifact import open_plan
    from dataforge.run.engine import RunOptions
    from dataforge.run.engine import dry_run as look_ahead

    if on != "local":
        raise InputError(
            f"there is no engine `{on}` in this version",
            code="R002",
            help="leave out --on, or write --on local",
        )
    plan = open_plan(file, graph=graph)
    if not as_json:
        show_warnings(plan)
    options = RunOptions(
        out=out or Path("out") / plan.graph.name,
        seeds=tuple(seeds),
        rows=rows,
        walks=walks,
        seed=seed,
        models_file=models,
        concurrency=concurrency,
        max_failures=max_failures,
    )
    if dry_run:
        found = look_ahead(plan, options)
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else _plain(found))
        return
    from dataforge.cli._progress import terminal_progress
    from dataforge.run.progress import Progress

    progress = Progress() if as_json else terminal_progress()
    command = shlex.join(["dataforge", *sys.argv[1:]])
    summary = asyncio.run(_run(plan, options, progress, command))
    if as_json:
        typer.echo(json.dumps(asdict(summary) | {"out": str(options.out)}, ensure_ascii=False, indent=2))
    else:
        _show(summary, options, command)
    if summary.interrupted:
        raise typer.Exit(3)
    if summary.failed > options.max_failures:
        raise typer.Exit(1)


async def _run(plan: Plan, options: RunOptions, progress: Progress, command: str) -> RunSummary:
    from dataforge.corpus.make import make_corpus

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(make_corpus(plan, options, progress, command=command, stop=stop))

    def interrupt() -> None:
        if stop.is_set():
            task.cancel()
            return
        stop.set()
        progress.note("stopping: waiting for the calls in flight (once more to leave them)")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        from dataforge.errors import Interrupted

        raise Interrupted(
            f"stopped; what was finished is in {options.out}", help=f"to go on: {command}"
        ) from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _show(summary: RunSummary, options: RunOptions, command: str) -> None:
    echo = typer.echo
    echo(
        f"{summary.attempted} rows attempted = {summary.kept} kept + {summary.rejected} rejected + {summary.failed} lost to errors"
        f" ({summary.filtered} seeds filtered, {summary.resumed} rows from an earlier start)"
    )
    for word, found in (("rejected", summary.rejected_by), ("lost", summary.failed_by)):
        for code, number in sorted(found.items(), key=lambda item: (-item[1], item[0])):
            echo(f"  {number:>6} {word}: {code} {_meaning(code)}")
    echo(
        f"{summary.calls} model calls ({summary.reused_calls} found in the journal), "
        f"{summary.completion_tokens:,} tokens written, {summary.prompt_tokens:,} read, {summary.wall_s:.1f} s"
    )
    if summary.interrupted:
        echo(f"interrupted; to go on: {command}")
        return
    echo(f"{summary.samples} training rows in {options.out}")
    echo(f"look at them: dataforge show {shlex.quote(str(options.out))}")


def _meaning(code: str) -> str:
    from dataforge.run.reasons import MEANINGS

    return MEANINGS.get(code, "")


def _plain(found: dict[str, object]) -> str:
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {name}: {entry}" for name, entry in value.items()] or ["  none"]
        elif value != []:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)
