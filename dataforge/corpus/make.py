"""Run a plan and write its corpus: the whole of `dataforge run` but for what the terminal shows."""

from __future__ import annotations

import asyncio
import importlib.metadata
import itertools
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataforge.corpus.layout import CARD, FOLDERS, MANIFEST, PLAN
from dataforge.corpus.write import CorpusInfo, write_corpus
from dataforge.errors import OutputError
from dataforge.models import connect
from dataforge.models.client import Backend, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.run import database
from dataforge.run.journal import JOURNAL_NAME
from dataforge.run.local import RUN_NAME, Run
from dataforge.run.options import RunOptions, RunSummary
from dataforge.run.progress import Progress
from dataforge.run.stop import Stop
from dataforge.run.storage import LocalStorage

LIBRARIES = ("dataforge-compiler", "aiohttp", "jinja2", "lark", "openai", "pyarrow", "pydantic", "xllamacpp")


async def make_corpus(
    plan: Plan,
    options: RunOptions,
    progress: Progress,
    *,
    command: str,
    stop: Stop | None = None,
    environ: Mapping[str, str] | None = None,
    connector: Callable[[ModelSpec], Backend] = connect,
) -> RunSummary:
    """Run, or go on with a run, and write the corpus of everything that is finished, however the run ended.

    A run that was stopped leaves a corpus of the rows that were finished, whose manifest says so; the same command goes
    on from there and writes it anew.

    Raises:
        InputError: where seeds, models or the directory are wrong.
        RunError: where the disk or every model failed.
    """
    run = _kind(options)(plan, options, progress, stop or Stop(), environ, connector)
    with database.refusing(options.out, opening=True):
        _see_that_nothing_is_in_the_way(options.out)
    with run.directory():
        summary = await run.go()
        if run.seals:
            storage = LocalStorage(options.out)
            info = _info(run, summary, command)
            await asyncio.to_thread(write_corpus, storage, list(run.seals.values()), info)
    return summary


def _see_that_nothing_is_in_the_way(out: Path) -> None:
    """Refuse a folder that is no run's, but has files where the corpus would be: they are somebody's."""
    if (out / RUN_NAME).exists() or (out / JOURNAL_NAME).exists():
        return
    published = [CARD, MANIFEST, PLAN, *(f"{folder}/{kind}-*" for kind, folder in FOLDERS.items())]
    for path in itertools.chain.from_iterable(map(out.glob, published)):
        raise OutputError(
            f"{path} is there already, and {out} is no run's directory: it would be written over",
            help="choose another --out",
        )


def _kind(options: RunOptions) -> type[Run]:
    if options.on == "local":
        return Run
    from dataforge.run.on_ray import RayRun

    return RayRun


def _info(run: Run, summary: RunSummary, command: str) -> CorpusInfo:
    plan, options = run.plan, run.options
    total = summary.statistics.total()
    return CorpusInfo(
        plan=plan.document,
        project=plan.project.name,
        command=command,
        models={name: _model(spec) for name, spec in sorted(run.specs.items())},
        counts={
            "planned": summary.planned,
            "attempted": summary.attempted,
            "kept": summary.kept,
            "rejected": summary.rejected,
            "failed": summary.failed,
            "parked": summary.parked,
            "filtered": summary.filtered,
            "calls": total.calls,
            "reused_calls": total.reused,
            "requests": total.attempts,
            "prompt_tokens": total.prompt_tokens,
            "completion_tokens": total.completion_tokens,
            "cost": total.cost,
        },
        rejected_by=summary.rejected_by,
        failed_by=summary.failed_by,
        settings={
            "seed": options.seed,
            "walks": options.walks,
            "tokenizer": plan.project.tokenizer,
            "shard_rows": run.shard_rows,
        },
        seeds=tuple(run.sources.names),
        self_judging=tuple(f"`{x.judge}` graded `{x.generator}` in `{x.node}`" for x in run.self_judging),
        versions={"python": platform.python_version(), **_versions()},
        stopped=summary.stopped,
        nodes={
            name: {
                "calls": counts.calls,
                "retries": counts.retries,
                "prompt_tokens": counts.prompt_tokens,
                "completion_tokens": counts.completion_tokens,
                "cost": counts.cost,
                "latency_s": {f"p{q}": round(counts.latency.percentile(q), 4) for q in (50, 95, 99)},
            }
            for name, counts in sorted(summary.statistics.by_node().items())
        },
    )


def _model(spec: ModelSpec) -> dict[str, Any]:
    return {
        "role": spec.kind,
        "model": spec.model,
        "weights": spec.weights,
        "backend": spec.backend,
        # A GGUF file of the user's own, which has a path, may be as good as any model.
        "smoke_grade": spec.backend == "local" and "path" not in spec.options,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found
