"""Two models on the same problems: what a difference is worth, and what else differs between their set-ups.

Problems are paired: of two logs only the items count that both answered, and the difference is a mean over clusters of the
difference within each, which takes the difficulty of problems out of it (Miller 2024, arXiv:2411.00640). Its interval is a
bootstrap of clusters, its p that of the paired permutation test, corrected after Holm where there are several comparisons.
`detectable` is the least true difference that a comparison of so many problems finds in four of five cases: below it,
"no difference was found" says little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from dataforge.errors import InputError
from evals.log import Log
from evals.summary import Figure, Summary, summarise, values_of
from schemas.evallog import Sample

SEED = 0
POWER = 0.8
_REACH = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)
_NO_SETUP = frozenset(
    {"summary", "timing", "started", "ended", "command", "name", "whole", "forge_eval", "task"}
)
"""Keys of a manifest that say nothing about how a model was measured."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One log against another, of one figure.

    Attributes:
        figure: `score`, or a measure's name.
        clusters: independent problems that both answered.
        left_out: items that only one of them has, or that one lost.
        value: the second's mean less the first's, with its interval.
        p: two-sided, of the paired permutation test; `holm` with the others of its table taken into account.
        detectable: the least true difference that so many problems show in 80% of cases at the 5% level.
        needed: problems that would show a true difference as large as the one found; None where that is 0.
    """

    figure: str
    clusters: int
    left_out: int
    value: Figure
    p: float
    holm: float
    detectable: float | None
    needed: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "figure": self.figure,
            "clusters": self.clusters,
            "left_out": self.left_out,
            **self.value.to_json(),
            "p": self.p,
            "holm": self.holm,
            "detectable": self.detectable,
            "needed": self.needed,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One log in a comparison.

    Attributes:
        differences: against the first log of the same evaluation; empty for that one itself.
        setup: what of its set-up is not as in the first, as name → (there, here).
    """

    log: Log
    label: str
    summary: Summary
    differences: tuple[Difference, ...]
    setup: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Logs of one evaluation beside each other, the first of them the baseline."""

    task: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "rows": [
                {
                    "label": row.label,
                    "log": str(row.log.path),
                    "summary": row.summary.to_json(),
                    "differences": [difference.to_json() for difference in row.differences],
                    "setup": {name: list(pair) for name, pair in row.setup.items()},
                }
                for row in self.rows
            ],
        }


def compare(logs: Sequence[Log]) -> list[Comparison]:
    """Compare logs, evaluation by evaluation; the first log of each is the baseline of the others.

    Raises:
        InputError: E023, no evaluation has two logs.
    """
    by_task: dict[str, list[Log]] = {}
    for log in logs:
        by_task.setdefault(log.task, []).append(log)
    if not any(len(group) > 1 for group in by_task.values()):
        raise InputError(
            "no evaluation has two logs, so there is nothing to compare",
            code="E023",
            help=f"there is one each of {', '.join(by_task)}" if by_task else "name folders with logs",
        )
    found: list[tuple[str, list[Log], list[list[Difference]]]] = []
    for task, group in by_task.items():
        found.append((task, group, [[], *([*_differences(group[0], other)] for other in group[1:])]))
    corrected = iter(_holm([d.p for _, _, rows in found for row in rows for d in row]))
    comparisons = []
    for task, group, rows in found:
        labels = _labels(group)
        comparisons.append(
            Comparison(
                task,
                tuple(
                    Row(
                        log,
                        label,
                        summarise(log.samples),
                        tuple(_with_holm(difference, next(corrected)) for difference in differences),
                        _setup(group[0], log),
                    )
                    for log, label, differences in zip(group, labels, rows, strict=True)
                ),
            )
        )
    return comparisons


def paired(
    before: Sequence[Sample], after: Sequence[Sample], figure: str = "score"
) -> tuple[dict[tuple[str, str], list[float]], dict[tuple[str, str], list[float]], int]:
    """A figure of both by cluster, of the items that both have it of; and how many items that leaves out."""

    def value(sample: Sample) -> float | None:
        return sample.score if figure == "score" else sample.measures.get(figure)

    has = [{s.item for s in samples if value(s) is not None} for samples in (before, after)]
    both = has[0] & has[1]
    everything = {s.item for s in (*before, *after)}
    one, other = (values_of([s for s in samples if s.item in both], value) for samples in (before, after))
    return one, other, len(everything - both)


def difference(before: Sequence[Sample], after: Sequence[Sample], figure: str = "score") -> Difference | None:
    """One against another; None where they share fewer than two problems."""
    from dataforge import statistics

    one, other, left_out = paired(before, after, figure)
    if len(one) < 2:
        return None
    told = statistics.difference(one, other, SEED)
    each = statistics.means(other) - statistics.means(one)
    spread = float(each.std(ddof=1))
    n = len(each)
    p = statistics.p_value(one, other, SEED)
    return Difference(
        figure,
        n,
        left_out,
        Figure(told.value, told.low, told.high),
        p,
        p,
        _REACH * spread / math.sqrt(n) if spread else None,
        math.ceil((_REACH * spread / told.value) ** 2) if told.value and spread else None,
    )


def _differences(before: Log, after: Log) -> list[Difference]:
    names = ["score", *dict.fromkeys(name for s in (*before.samples, *after.samples) for name in s.measures)]
    found = (difference(before.samples, after.samples, name) for name in names)
    return [each for each in found if each is not None]


def _holm(values: Sequence[float]) -> list[float]:
    from dataforge.statistics import holm

    return holm(values)


def _with_holm(found: Difference, p: float) -> Difference:
    return Difference(
        found.figure, found.clusters, found.left_out, found.value, found.p, p, found.detectable, found.needed
    )


def _labels(logs: Sequence[Log]) -> list[str]:
    """What logs are called, each otherwise: by name or model, and by folder where two have one name."""
    labels = [log.label for log in logs]
    return [
        label if labels.count(label) == 1 else f"{label} ({log.path.parent.name or log.path})"
        for label, log in zip(labels, logs, strict=True)
    ]


def _setup(first: Log, log: Log) -> dict[str, tuple[Any, Any]]:
    """What differs between two manifests, one level down where both hold an object."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in sorted({*first.manifest, *log.manifest} - _NO_SETUP):
        there, here = first.manifest.get(name), log.manifest.get(name)
        if there == here:
            continue
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            for key in sorted({*there, *here}):
                if there.get(key) != here.get(key):
                    found[f"{name}.{key}"] = (there.get(key), here.get(key))
        else:
            found[name] = (there, here)
    return found
