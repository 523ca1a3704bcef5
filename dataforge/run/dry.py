"""What a run would do, found out without asking any model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dataforge.domain import actions as a
from dataforge.plan.artifact import Plan
from dataforge.run.jobs import Filter, jobs, nothing_fits
from dataforge.run.models import bind_models
from dataforge.run.options import RunOptions
from dataforge.run.row import Router
from dataforge.run.sources import sources_of
from dataforge.run.tokens import token_counter

DRY_WALKS = 2_000
"""Walks that a dry run draws; more rows are scaled up from these."""


def dry_run(plan: Plan, options: RunOptions, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a run would do, without asking any model: rows, expected calls a node and a model, bindings.

    Raises:
        InputError: as the run itself would.
    """
    specs, allowed = bind_models(plan, options.models_file, os.environ if environ is None else environ)
    tokens = token_counter(plan.project.tokenizer)
    sources = sources_of(plan, options)
    seeds = Filter(plan.graph, tokens)
    rows = [job.row for job in jobs(sources, options, seeds)]
    if not rows:
        raise nothing_fits(plan.graph, seeds)
    router = Router(plan.linked, options.seed, plan.graph.name)
    visits: Counter[str] = Counter()
    for row in rows[:DRY_WALKS]:
        visits.update(_visited(router, "", row, ""))
    scale = len(rows) / max(1, min(len(rows), DRY_WALKS))
    nodes = plan.graph.nodes()
    expected = {name: round(count * scale, 1) for name, count in sorted(visits.items())}
    calls: Counter[str] = Counter()
    for name, count in expected.items():
        rollouts = nodes[name].rollouts
        samples = 1 if rollouts is None or rollouts.keep == "first" else rollouts.samples
        for step in nodes[name].steps:
            if isinstance(step, a.Ask | a.Judge):
                calls[step.model.name] += count * samples  # type: ignore[assignment]
    return {
        "graph": plan.graph.name,
        "plan": plan.hash,
        "paths": plan.document["paths"],
        "seed_files": len(sources.names),
        "rows": len(rows),
        "filtered": seeds.filtered,
        "visits": expected,
        "calls_at_least": {name: round(count, 1) for name, count in sorted(calls.items())},
        "models": {
            name: {"model": s.model, "backend": s.backend, "weights": s.weights, "origin": s.origin}
            for name, s in sorted(specs.items())
        },
        "self_judging": [f"{x.judge} grades {x.generator} in {x.node}" for x in allowed],
    }


def _visited(router: Router, prefix: str, row: int, graph: str) -> list[str]:
    """Nodes of a row's walk, inner graphs walked too; a branch takes its first outcome that goes on."""
    walks = router.walks[graph]
    found = []
    for name in walks.names(row):
        full = prefix + name
        inner = walks.linked.inner.get(name)
        found.extend([full] if inner is None else _visited(router, f"{full}/", row, full))
    return found
