"""Run a plan and write its corpus: the whole of `dataforge run` but for what the terminal shows."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from typing import Any

from dataforge.corpus.write import CorpusInfo, write_corpus
from dataforge.models import connect
from dataforge.models.client import Backend, ModelSpec
from dataforge.plan.artifact import Plan
from dataforge.run.engine import Run, RunOptions, RunSummary
from dataforge.run.journal import Journal
from dataforge.run.progress import Progress

LIBRARIES = ("dataforge-compiler", "jinja2", "lark", "openai", "pyarrow", "pydantic", "xllamacpp")


async def make_corpus(
    plan: Plan,
    options: RunOptions,
    progress: Progress,
    *,
    command: str,
    stop: asyncio.Event,
    environ: Mapping[str, str] | None = None,
    connector: Callable[[ModelSpec], Backend] = connect,
) -> RunSummary:
    """Run, or go on with a run, and write the corpus of everything that is finished.

    An interrupted run writes no corpus: its directory holds the journal, and the same command goes on.

    Raises:
        InputError: where seeds, models or the directory are wrong.
        RunError: where the disk or every model failed.
    """
    run = Run(plan, options, progress, stop, environ, connector)
    summary, journal = await run.go()
    with journal:
        if not summary.interrupted:
            await asyncio.to_thread(
                write_corpus, options.out, journal.outcomes(), _info(run, summary, journal, command)
            )
    return summary


def _info(run: Run, summary: RunSummary, journal: Journal, command: str) -> CorpusInfo:
    totals = journal.totals().all
    plan, options = run.plan, run.options
    return CorpusInfo(
        plan=plan.document,
        project=plan.project.name,
        command=command,
        models={name: _model(spec) for name, spec in sorted(run.specs.items())},
        counts={
            "attempted": summary.attempted,
            "kept": summary.kept,
            "rejected": summary.rejected,
            "failed": summary.failed,
            "filtered": summary.filtered,
            "calls": totals.calls,
            "prompt_tokens": totals.prompt_tokens,
            "completion_tokens": totals.completion_tokens,
        },
        rejected_by=summary.rejected_by,
        failed_by=summary.failed_by,
        settings={"seed": options.seed, "walks": options.walks, "tokenizer": plan.project.tokenizer},
        seeds=tuple(
            str(file.relative_to(run.base)) if file.is_relative_to(run.base) else file.name
            for file in run.files
        ),
        self_judging=tuple(f"`{x.judge}` graded `{x.generator}` in `{x.node}`" for x in run.self_judging),
        versions={"python": platform.python_version(), **_versions()},
    )


def _model(spec: ModelSpec) -> dict[str, Any]:
    return {
        "role": spec.kind,
        "model": spec.model,
        "weights": spec.weights,
        "backend": spec.backend,
        "smoke_grade": spec.backend == "local",
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found
