"""`dataforge run`: make the corpus, or go on making it."""

from __future__ import annotations

import asyncio
import enum
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.plan.artifact import Plan
    from dataforge.run.options import RunOptions, RunSummary
    from dataforge.run.progress import Progress


class Where(enum.StrEnum):
    """Where the rows of a run are walked."""

    local = "local"
    ray = "ray"


class SeedsCommand(TyperCommand):
    """`--seeds` takes all paths up to the next option, since a shell turns `seeds/*.txt` into several."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, "--seeds"))


def spread(arguments: Sequence[str], option: str) -> list[str]:
    """`--seeds a b` as `--seeds a --seeds b`."""
    found: list[str] = []
    values: int | None = None  # how many the option has had so far; None where the last option was another
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[place:]]
        if argument.startswith("-"):
            values = 0 if argument == option else None
        elif values is not None:
            found += [option] if values else []
            values += 1
        found.append(argument)
    return found


def register(app: typer.Typer) -> None:
    app.command("run", cls=SeedsCommand)(run)


def run(
    file: Path = typer.Argument(..., help="A `.forge` file or a plan document; before --seeds."),
    seeds: list[str] = typer.Option(
        [],
        "--seeds",
        help="Seed files, folders or globs, or verifier:NAME for its tasks; they replace the graph's own.",
    ),
    rows: int | None = typer.Option(None, min=1, help="How many rows to attempt; all by default."),
    walks: int = typer.Option(1, min=1, help="Walks a seed."),
    seed: int = typer.Option(0, help="Seed of the random walks."),
    out: Path | None = typer.Option(None, help="Corpus directory; out/GRAPH by default."),
    models: Path | None = typer.Option(
        None, "--models", help="A file of [models.NAME] tables; goes before dataforge.toml."
    ),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    concurrency: int | None = typer.Option(
        None, min=1, help="Rows under way at once; as many as keep the models busy by default."
    ),
    max_failures: int = typer.Option(
        0, min=0, help="Rows that may be lost to errors before the exit code is 1."
    ),
    on: Where = typer.Option(Where.local, help="Where to run: on this machine, or on a Ray cluster."),
    workers: int | None = typer.Option(
        None, min=1, help="Workers of a run on Ray; one a CPU of the cluster by default."
    ),
    shared: str | None = typer.Option(
        None,
        help="For a run on Ray, a folder or URL (s3://, gs://) that all machines reach; --out itself by default.",
    ),
    reuse: list[Path] = typer.Option(
        [],
        "--reuse",
        help="Directory of another run whose model replies are used again where the call is the same.",
    ),
    budget_tokens: int | None = typer.Option(None, min=1, help="Stop when the run has used so many tokens."),
    budget_cost: float | None = typer.Option(
        None, min=0, help="Stop when the run has cost so much, by the prices in the model bindings."
    ),
    budget_time: str | None = typer.Option(None, help="Stop after so long: 90s, 45m, 8h."),
    shard_rows: int | None = typer.Option(
        None, min=1, help="Rows a shard; the first start of a run chooses by how many there are."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done; ask no model."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Walk seeds through a graph into a judged corpus. Started again on the same --out, it resumes.

    Example: `dataforge run graphs/quickstart.forge --rows 40 --out out/quickstart`

    Ctrl-C stops taking rows and waits for the calls in flight; a second one leaves them. Either way the same command
    goes on from there.
    """
    from dataforge.cli.compile import show_warnings
    from dataforge.plan.artifact import open_plan
    from dataforge.run.dry import dry_run as look_ahead
    from dataforge.run.options import RunOptions
    from dataforge.run.stop import Budget

    plan = open_plan(file, graph=graph)
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
        shard_rows=shard_rows,
        reuse=tuple(reuse),
        budget=Budget(budget_tokens, budget_cost, _seconds(budget_time) if budget_time is not None else None),
        on=on.value,
        workers=workers,
        shared=shared,
    )
    if dry_run:
        found = look_ahead(plan, options)
        if as_json:
            print_json(found)
        else:
            _show_ahead(found)
        return
    from dataforge.cli._progress import terminal_progress
    from dataforge.run.progress import Progress

    progress = Progress() if as_json else terminal_progress()
    command = shlex.join(["dataforge", *sys.argv[1:]])
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        summary = runner.run(_run(plan, options, progress, command))
    if as_json:
        statistics = summary.statistics.to_json()
        print_json(
            summary.__dict__
            | {
                "attempted": summary.attempted,
                "statistics": statistics,
                "plan": plan.hash,
                "out": str(options.out),
            }
        )
    else:
        _show(summary, options, command)
    if summary.stopped:
        raise typer.Exit(3)
    if summary.failed > options.max_failures:
        raise typer.Exit(1)


def _seconds(text: str) -> float:
    """A time such as `90s`, `45m` or `8h`; a bare number is seconds."""
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in factor else (text, "s")
    try:
        seconds = float(number) * factor[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(
            f"`{text}` is no time; write it as 90s, 45m or 8h", param_hint="--budget-time"
        )
    return seconds


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop, where that is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(plan: Plan, options: RunOptions, progress: Progress, command: str) -> RunSummary:
    from dataforge.corpus.make import make_corpus
    from dataforge.errors import Interrupted
    from dataforge.run.stop import Stop

    stop = Stop()
    asked = 0
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(make_corpus(plan, options, progress, command=command, stop=stop))

    def interrupt() -> None:
        nonlocal asked
        asked += 1
        stop.set()
        if asked == 1:
            progress.note("stopping: waiting for the calls in flight (once more to leave them)")
        else:
            task.cancel()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        raise Interrupted(
            f"stopped; what was finished is in {options.out}", help=f"to go on: {command}"
        ) from None
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _show(summary: RunSummary, options: RunOptions, command: str) -> None:
    from dataforge.cli._summary import lines

    earlier = f" ({summary.resumed:,} finished by an earlier start)" if summary.resumed else ""
    parked = f" + {summary.parked:,} not finished" if summary.parked else ""
    say(
        f"{summary.planned:,} rows{earlier} = {summary.kept:,} kept + {summary.rejected:,} rejected"
        f" + {summary.failed:,} lost to errors{parked}"
    )
    for line in lines(summary.statistics):
        say(f"  {line}")
    if summary.filtered:
        say(f"{summary.filtered:,} seeds do not satisfy the graph's `from` and were not attempted")
    cost = f", cost {summary.cost:,.2f}" if summary.cost else ""
    say(
        f"{summary.calls:,} model calls in {summary.wall_s:.1f} s, {summary.reused_calls:,} replies were there already;"
        f" in all {summary.completion_tokens:,} tokens written, {summary.prompt_tokens:,} read{cost}"
    )
    if summary.stopped:
        say(f"stopped before the end: {summary.stopped}; to go on: {command}")
    out = shlex.quote(str(options.out))
    say(f"\n{summary.samples:,} training rows in {options.out}\nlook at them:  dataforge show {out}")
    if summary.rejected or summary.failed:
        say(f"and at others: dataforge show {out} --rejected")
    if summary.failed:
        say(f"the rows that were lost to errors are tried again by: {command}")


def _show_ahead(found: Mapping[str, Any]) -> None:
    rows, files = found["rows"], found["seed_files"]
    say(
        f"{found['graph']}: {rows:,} rows from {files:,} seed file{'s' if files != 1 else ''}, {found['paths']} paths"
    )
    say(f"plan {found['plan']}")
    if found["filtered"]:
        say(f"{found['filtered']:,} seeds do not satisfy the graph's `from`")
    say("\nnodes, and how many rows come by:")
    for name, visits in found["visits"].items():
        say(f"  {visits:>10,.0f}  {name}")
    say("\nmodels, and how many calls at least (retries and judge rounds come on top):")
    for name, model in found["models"].items():
        calls = found["calls_at_least"].get(name, 0)
        say(f"  {calls:>10,.0f}  {name}: {model['model']} by {model['backend']}, from {model['origin']}")
    for line in found["self_judging"]:
        say(f"self-judging, which the project allows: {line}")
