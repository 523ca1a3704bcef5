"""What a run is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dataforge.run.statistics import Statistics
from dataforge.run.stop import Budget


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked to do.

    Attributes:
        out: the corpus directory.
        seeds: files, folders or globs that replace the graph's, relative to the working directory.
        rows: how many rows to attempt, or None for all.
        walks: walks a seed.
        seed: of the random streams.
        models_file: bindings that go before the project's.
        concurrency: rows under way at once; None for as many as keep the models busy.
        max_failures: rows that may be lost to errors without the run counting as failed.
        shard_rows: rows a shard; None lets the first start choose by how many there are.
        reuse: directories of other runs whose replies are used again.
        budget: what may be spent.
        on: whether the rows are walked in this process or by workers on Ray.
        workers: how many a run on Ray has; None for one a CPU of the cluster.
        shared: a folder or URL that all machines of a Ray cluster reach; None for `out` itself.
    """

    out: Path
    seeds: tuple[str, ...] = ()
    rows: int | None = None
    walks: int = 1
    seed: int = 0
    models_file: Path | None = None
    concurrency: int | None = None
    max_failures: int = 0
    shard_rows: int | None = None
    reuse: tuple[Path, ...] = ()
    budget: Budget = Budget()
    on: Literal["local", "ray"] = "local"
    workers: int | None = None
    shared: str | None = None


@dataclass(frozen=True)
class RunSummary:
    """What came of a run, earlier starts included: `planned` = `kept` + `rejected` + `failed` + `parked`.

    Attributes:
        planned: rows that there are: seeds that fit × walks, up to `--rows`.
        parked: rows that were not finished because the run was stopped; the next start goes on with them.
        filtered: seeds that did not satisfy the graph's `from`, which make no rows.
        resumed: rows that an earlier start had finished.
        samples: training rows.
        calls, reused_calls: model calls of this start, and replies that were there already.
        stopped: why the run ended before its rows did, or None.
        statistics: of all starts: calls, tokens, cost and latencies by node; rows by reason.
    """

    planned: int
    kept: int
    rejected: int
    failed: int
    parked: int
    filtered: int
    resumed: int
    samples: int
    calls: int
    reused_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
    wall_s: float
    stopped: str | None
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    failed_by: Mapping[str, int] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)

    @property
    def attempted(self) -> int:
        """Rows that came to an end."""
        return self.kept + self.rejected + self.failed
