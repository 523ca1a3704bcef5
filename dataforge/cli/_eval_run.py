"""`dataforge eval run`: ask a model the items of evaluations, judge its answers, and keep every sample."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._counting import counting
from dataforge.cli._stopping import heeding
from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.cli._eval_book import Wanted
    from dataforge.models import ModelSpec, Sampling
    from evals.summary import Figure, Summary
    from evals.task import EvalTask, Item
    from schemas.evallog import Sample


def run(
    names: list[str] = typer.Argument(
        ..., metavar="TASK…", help="Evaluations; `dataforge eval tasks` lists them.", show_default=False
    ),
    model: str = typer.Option(
        "generator", "--model", "-m", help="The model to measure, as a [models.NAME] table calls it."
    ),
    judge: str = typer.Option("judge", help="The model that judges, where an evaluation needs one."),
    models: Path | None = typer.Option(None, "--models", help="A file of [models.NAME] tables."),
    out: Path = typer.Option(
        Path("out/evals"), "--out", "-o", help="Folder of the logs, one folder an evaluation."
    ),
    name: str | None = typer.Option(
        None, "--name", help="What the logs are called in comparisons; by default the model."
    ),
    data: list[str] = typer.Option(
        [],
        "--data",
        help="TASK=PATH: a file or folder of rows in place of the evaluation's own. May be given again.",
    ),
    limit: int | None = typer.Option(None, min=1, help="Only so many items, drawn by --seed."),
    samples: int | None = typer.Option(None, "--samples", "-k", min=1, help="Answers to each item."),
    seed: int = typer.Option(0, help="Of drawn items, and of sampling where the binding says so."),
    temperature: float | None = typer.Option(None, min=0, max=5, help="As the binding says without it."),
    top_p: float | None = typer.Option(None, min=0, max=1, help="As the binding says without it."),
    max_tokens: int | None = typer.Option(
        None, min=1, help="The most tokens of an answer, thinking included."
    ),
    system: str | None = typer.Option(
        None, help="A system prompt before the evaluation's own, to see what it changes."
    ),
    thinking: str = typer.Option("auto", help="Whether the model should think: auto, on or off."),
    concurrency: int | None = typer.Option(
        None, min=1, help="Requests in flight; as the binding says without it."
    ),
    on_error: str = typer.Option(
        "halt", help="What to do when a sample fails for good at the server: halt, or record it and go on."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the summaries as JSON."),
) -> None:
    """Measure a model; exit code 1 where samples could not be judged.

    Example: `dataforge eval gsm8k ifeval --models models.toml --limit 50 -k 4`

    Started again with the same options it goes on where it stopped, and asks nothing twice. Ctrl-C waits for the calls in
    flight; a second one leaves them.
    """
    import dataforge.statistics  # noqa: F401 - which needs numpy: better missed now than after the last answer
    from dataforge.models.binding import bind
    from dataforge.project import load_project
    from evals.registry import find

    for option, value, known in (
        ("--thinking", thinking, ("auto", "on", "off")),
        ("--on-error", on_error, ("halt", "record")),
    ):
        if value not in known:
            raise typer.BadParameter(f"`{value}` is none of {', '.join(known)}", param_hint=option)
    chosen = [find(each) for each in dict.fromkeys(names)]
    given = _data(data, [task.name for task in chosen])
    project = load_project(Path.cwd())
    spec = bind([(model, "generator", {})], project, models, os.environ)[model]
    _check_binding(spec, model, models)
    judging = None
    if any(task.needs_judge for task in chosen):
        judging = bind([(judge, "judge", {})], project, models, os.environ)[judge]
    sampling = _sampling(temperature, top_p, max_tokens)
    server = _server(spec)
    wanted = [
        _wanted(task, given.get(task.name), spec, judging, sampling, server,
                name=name, limit=limit, samples=samples, seed=seed, system=system, thinking=thinking)
        for task in chosen
    ]  # fmt: skip
    summaries = _evaluate(
        out, wanted, spec, judging, concurrency or spec.concurrency, on_error, quiet=as_json
    )
    if as_json:
        print_json({name: summary.to_json() for name, summary in summaries.items()})
    else:
        for one in wanted:
            show(one.task.name, summaries[one.task.name], one.manifest["data"])
        say(f"\nlogs in {out}; to look at them: dataforge eval view {shlex.quote(str(out / chosen[0].name))}")
    if any(summary.lost for summary in summaries.values()):
        raise typer.Exit(1)


def _wanted(
    task: EvalTask,
    given: Path | None,
    spec: ModelSpec,
    judging: ModelSpec | None,
    sampling: Sampling,
    server: Mapping[str, Any],
    *,
    name: str | None,
    limit: int | None,
    samples: int | None,
    seed: int,
    system: str | None,
    thinking: str,
) -> Wanted:
    from dataclasses import asdict, replace

    from dataforge import __version__
    from dataforge.cli._eval_book import Wanted
    from dataforge.models.binding import with_defaults
    from dataforge.models.client import ChatRequest
    from evals.data import find_rows
    from evals.items import items_digest, items_of, with_system

    rows = find_rows(task.name, task.sources, given, seed=seed, limit=limit)
    whole = items_of(task, rows)
    items = _drawn(whole, limit, seed)
    if system is not None:
        items = [with_system(item, system) for item in items]
    if sampling.max_tokens is None and spec.sampling.max_tokens is None and task.max_tokens is not None:
        sampling = replace(sampling, max_tokens=task.max_tokens)
    if spec.sampling.seed is not None:
        sampling = replace(sampling, seed=spec.sampling.seed + seed)
    many = samples or task.samples
    settled = with_defaults(ChatRequest((), sampling), spec).sampling
    manifest = {
        "task": task.name,
        "name": name,
        "model": _told(spec),
        "judge": _told(judging) if task.needs_judge and judging is not None else None,
        "sampling": asdict(settled),
        "system": system,
        "thinking": thinking,
        "samples": many,
        "limit": limit,
        "seed": seed,
        "data": {**rows.to_json(), "items": len(whole)},
        "items": len(items),
        "items_digest": items_digest(items),
        "verifier": _verifiers(task, items),
        "server": server,
        "versions": {"dataforge": __version__, "python": sys.version.split()[0]},
        "command": shlex.join(["dataforge", *sys.argv[1:]]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return Wanted(task, items, manifest, many, sampling, thinking)


def _drawn(items: Sequence[Item], limit: int | None, seed: int) -> Sequence[Item]:
    """So many items, in the order of the data: the first rows of many benchmarks are of one kind."""
    if limit is None or limit >= len(items):
        return items
    places = sorted(random.Random(f"items {seed}").sample(range(len(items)), limit))
    return [items[place] for place in places]


def _verifiers(task: EvalTask, items: Sequence[Item]) -> dict[str, int]:
    from dataforge.verifiers import find

    names = {item.task.verifier or task.verifier for item in items} - {""}
    return {name: find(name).version for name in sorted(names)}


def _told(spec: ModelSpec) -> dict[str, Any]:
    urls = spec.options.get("base_url") or ()
    return {
        "role": spec.name,
        "model": spec.model,
        "weights": spec.weights,
        "backend": spec.backend,
        "endpoints": list(urls),
    }


def _sampling(temperature: float | None, top_p: float | None, max_tokens: int | None) -> Sampling:
    from dataforge.models import Sampling

    return Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens)


def _check_binding(spec: ModelSpec, model: str, models: Path | None) -> None:
    """See that the model which is measured is the one that was meant."""
    from dataforge.errors import InputError
    from dataforge.models.binding import DEFAULT

    if spec.origin == DEFAULT and (models is not None or model != "generator"):
        raise InputError(
            f"{models or 'the project file'} binds no model `{model}`",
            code="R001",
            help=f"write a table [models.{model}], or name one that is there with --model",
        )


def _data(data: Sequence[str], tasks: Sequence[str]) -> dict[str, Path]:
    from dataforge.errors import InputError

    found = {}
    for each in data:
        task, equals, path = each.partition("=")
        if not equals and len(tasks) == 1:
            task, path = tasks[0], each
        if task not in tasks or not path:
            raise InputError(
                f"--data {each}: it should be TASK=PATH, for one of {', '.join(tasks)}",
                code="E011",
                help=f"such as --data {tasks[0]}=rows.jsonl",
            )
        found[task] = Path(path)
    return found


def _server(spec: ModelSpec) -> dict[str, Any]:
    """What the server tells of itself: its engine, version and models; empty where it tells nothing."""
    from evals.server import told_by

    urls = spec.options.get("base_url") or ()
    return told_by(urls[0]) if spec.backend in ("openai", "openai_sdk", "sglang") and urls else {}


def _evaluate(
    out: Path,
    wanted: Sequence[Wanted],
    spec: ModelSpec,
    judging: ModelSpec | None,
    concurrency: int,
    on_error: Any,
    *,
    quiet: bool,
) -> dict[str, Summary]:
    from dataforge.cli._eval_book import evaluated
    from dataforge.errors import RunError
    from dataforge.run.stop import Stop

    total = sum(len(one.items) * one.samples for one in wanted)
    command = shlex.join(["dataforge", *sys.argv[1:]])
    stop = Stop()
    try:
        with counting(total, "samples", _count(), quiet=quiet) as (progress, note):
            work = evaluated(
                out, wanted, spec, judging,
                concurrency=concurrency, on_error=on_error, progress=progress, stop=stop,
            )  # fmt: skip
            return asyncio.run(heeding(work, stop, note, f"what was answered is kept in {out}", command))
    except RunError as error:
        more = "--on-error record puts such samples on record and goes on" if on_error == "halt" else ""
        error.help = "; ".join(
            filter(None, (error.help, more, f"what was answered is kept, to go on: {command}"))
        )
        raise


def _count() -> Callable[[Sample], str]:
    """What says after each sample how many there are of each status."""
    counts: Counter[str] = Counter()

    def count(sample: Sample) -> str:
        counts[sample.status] += 1
        return ", ".join(f"{number:,} {status}" for status, number in counts.most_common())

    return count


def part_of(data: Mapping[str, Any]) -> str:
    """What to say where not all of a benchmark's items are there: some sources lack some, and some items cannot be judged."""
    there, whole = data.get("items", data["rows"]), data.get("of", data["rows"])
    return f", {there:,} of the benchmark's {whole:,} items" if there < whole else ""


def show(task: str, summary: Summary, data: Mapping[str, Any]) -> None:
    """A summary for people: the score, what it counts, and every status.

    Args:
        data: of which rows, as a manifest has it.
    """
    say(f"\n{task}: {summary.samples:,} samples of {summary.items:,} items")
    say(f"  data       {data['source']} {data['revision']}".rstrip() + part_of(data))
    if "instead" in data:
        say(f"             in place of a better source: {data['instead']}")
    say(f"  score      {_figure(summary.score)}   unparsed, empty and overlong answers count as 0")
    say(f"  of parsed  {_figure(summary.of_parsed)}   of those alone in which an answer was found")
    if summary.lost:
        say(
            f"  over all   {_percent(summary.low)} to {_percent(summary.high)}   the {summary.lost:,} that were not judged"
            " taken for wrong, or for right"
        )
    if len(summary.pass_at) > 1:
        say("  pass@k     " + "  ".join(f"{k}: {_percent(value)}" for k, value in summary.pass_at.items()))
    if summary.majority is not None:
        say(f"  majority   {_percent(summary.majority)}")
    for name, figure in summary.measures.items():
        say(f"  {name:10} {_figure(figure)}")
    say("  status     " + ", ".join(f"{count:,} {status}" for status, count in summary.status.items()))
    if summary.cut_off:
        say(
            f"  overlong   {_percent(summary.unclosed)} inside the thinking, {_percent(summary.cut_off)} anywhere"
        )
    if summary.cut_off or summary.tokens["thinking"] is not None:
        # Longer than the last of them is no answer.
        within = [f"{budget:,}: {_percent(score)}" for budget, score in summary.budgets.items()][-6:]
        say("  budgets    " + "  ".join(within) + "   had answers been cut off at so many tokens")
    tokens = summary.tokens
    if tokens["completion"] is not None:
        right = f"; {tokens['right']:,.0f} for a right answer" if tokens["right"] is not None else ""
        say(f"  tokens     {tokens['completion']:,.0f} an answer{right}")


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "none"
    if figure.low is None or figure.high is None:
        return _percent(figure.value)
    return f"{_percent(figure.value)} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f}%"
