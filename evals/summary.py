"""What a log amounts to: counts that add up, scores with intervals and bounds, and what the answers cost.

Everything is a mean over problems of the mean over their samples, so a problem with more answers counts no more than others.
Four figures say how good a model is, and differ only in what they do with samples that were not judged:

    score        over the samples that the model answers for; unparsed, empty and overlong are worth 0
    of_parsed    over those in which an answer was found
    low, high    over all samples, the lost ones taken for wrong, and for right
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.evallog import GRADED, LOST, OF_THE_MODEL, Sample


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate with its 95% confidence interval, clustered by `Sample.cluster`; None where it cannot be told."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a log amounts to.

    Attributes:
        samples, items, clusters: how many of each.
        status: samples by status; all of them are counted.
        score, of_parsed: as the head of this module has them; None where no sample counts.
        low, high: bounds over all samples.
        pass_at: k → the chance that one of k answers is right, unbiased; for powers of 2 up to the least number of answers.
        majority: the score of the answer that most of an item's samples give; None with fewer than 3 an item.
        unclosed, cut_off: the two rates of being overlong: inside the thinking, and anywhere.
        tokens: means a sample of `prompt`, `completion`, `thinking`, and `right`: completion tokens a right answer.
        budgets: tokens → the score, had every answer been cut off there: what took more is worth 0; powers of 2 up to the longest.
        latency_s: median and 95th percentile.
        measures: means of the samples' own measures, over those that have them.
        topics: of each topic, samples and score.
    """

    samples: int
    items: int
    clusters: int
    status: Mapping[str, int]
    score: Figure | None
    of_parsed: Figure | None
    low: float | None
    high: float | None
    pass_at: Mapping[int, float]
    majority: float | None
    unclosed: float | None
    cut_off: float | None
    tokens: Mapping[str, float | None]
    budgets: Mapping[int, float]
    latency_s: Mapping[str, float | None]
    measures: Mapping[str, Figure] = field(default_factory=dict)
    topics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Samples of which nobody knows what they would have been worth."""
        return sum(self.status.get(status, 0) for status in LOST)

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "items": self.items,
            "clusters": self.clusters,
            "status": dict(self.status),
            "score": self.score.to_json() if self.score else None,
            "of_parsed": self.of_parsed.to_json() if self.of_parsed else None,
            "low": self.low,
            "high": self.high,
            "pass_at": {str(k): value for k, value in self.pass_at.items()},
            "majority": self.majority,
            "unclosed": self.unclosed,
            "cut_off": self.cut_off,
            "tokens": dict(self.tokens),
            "budgets": {str(tokens): score for tokens, score in self.budgets.items()},
            "latency_s": dict(self.latency_s),
            "measures": {name: figure.to_json() for name, figure in self.measures.items()},
            "topics": {name: dict(told) for name, told in self.topics.items()},
        }


def summarise(samples: Sequence[Sample]) -> Summary:
    """What samples amount to."""
    by_item: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_item[sample.item].append(sample)
    counts = Counter(sample.status for sample in samples)
    status: dict[str, int] = {name: counts[name] for name in (*OF_THE_MODEL, *LOST) if counts[name]}
    answered = [s for s in samples if s.finish_reason is not None]
    of_model = [s for s in samples if s.status in OF_THE_MODEL]
    right = counts["right"]
    completion = sum(s.completion_tokens for s in answered)
    return Summary(
        samples=len(samples),
        items=len(by_item),
        clusters=len({s.cluster or s.item for s in samples}),
        status=status,
        score=figure_of(of_model),
        of_parsed=figure_of(s for s in samples if s.status in GRADED),
        low=_mean(by_item, 0.0),
        high=_mean(by_item, 1.0),
        pass_at=_pass_at(by_item),
        majority=_majority(by_item),
        unclosed=_share(answered, lambda s: s.unclosed),
        cut_off=_share(answered, lambda s: s.cut_off),
        tokens={
            "prompt": _average([s.prompt_tokens for s in answered]),
            "completion": _average([s.completion_tokens for s in answered]),
            "thinking": _average([s.reasoning_tokens for s in answered if s.reasoning_tokens is not None]),
            "right": completion / right if right else None,
        },
        budgets=_budgets(of_model),
        latency_s=_quantiles([s.latency_s for s in answered]),
        measures=_measures(samples),
        topics=_topics(samples),
    )


def pass_at_k(n: int, right: int, k: int) -> float:
    """The chance that at least one of k answers, drawn from n of which `right` are right, is right.

    The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374).
    """
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def _pass_at(by_item: Mapping[str, Sequence[Sample]]) -> dict[int, float]:
    counted = {item: [s for s in group if s.status in OF_THE_MODEL] for item, group in by_item.items()}
    least = min((len(group) for group in counted.values() if group), default=0)
    groups = [group for group in counted.values() if group]
    ks = [2**power for power in range(least.bit_length()) if 2**power <= least]
    return {
        k: sum(pass_at_k(len(g), sum(s.status == "right" for s in g), k) for g in groups) / len(groups)
        for k in ks
    }


def _majority(by_item: Mapping[str, Sequence[Sample]]) -> float | None:
    """The mean over items of the score of the answer given most often; of answers given equally often, of their mean."""
    scores = []
    for group in by_item.values():
        votes: dict[str, list[float]] = defaultdict(list)
        counted = [s for s in group if s.status in OF_THE_MODEL]
        if len(counted) < 3:
            return None
        for sample in counted:
            if sample.status in GRADED and sample.extracted is not None and sample.score is not None:
                votes[_alike(sample.extracted)].append(sample.score)
        most = max(map(len, votes.values()), default=0)
        tops = [sum(each) / len(each) for each in votes.values() if len(each) == most]
        scores.append(sum(tops) / len(tops) if tops else 0.0)
    return sum(scores) / len(scores) if scores else None


def _alike(answer: str) -> str:
    """Answers that differ in spaces, case, or LaTeX's own marks are one vote."""
    return re.sub(r"\\(?:left|right|,|;|!| )|[\s$]", "", answer.replace("\\dfrac", "\\frac")).casefold()


def values_of(
    samples: Iterable[Sample], figure: Callable[[Sample], float | None] = lambda sample: sample.score
) -> dict[tuple[str, str], list[float]]:
    """A figure by cluster, as `dataforge.statistics` takes it; samples without it are left out.

    A cluster of several items has one value an item: the mean over its samples.
    """
    items: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        value = figure(sample)
        if value is not None:
            items[sample.cluster or sample.item][sample.item].append(value)
    return {
        (cluster, ""): [sum(each) / len(each) for each in group.values()]
        if len(group) > 1
        else next(iter(group.values()))
        for cluster, group in items.items()
    }


def _measures(samples: Sequence[Sample]) -> dict[str, Figure]:
    names = dict.fromkeys(name for sample in samples for name in sample.measures)
    found = {name: figure_of(samples, lambda s, name=name: s.measures.get(name)) for name in names}  # type: ignore[misc]
    return {name: figure for name, figure in found.items() if figure is not None}


def figure_of(
    samples: Iterable[Sample], figure: Callable[[Sample], float | None] = lambda sample: sample.score
) -> Figure | None:
    """The mean of a figure from 0 to 1, with its interval; None where no sample has it."""
    from dataforge.statistics import share

    found = values_of(samples, figure)
    if not found:
        return None
    told = share(found)
    unknown = len(found) < 2
    return Figure(told.value, None if unknown else told.low, None if unknown else told.high)


def _mean(by_item: Mapping[str, Sequence[Sample]], lost: float) -> float | None:
    """The mean over items, what is lost taken for this."""
    means = [sum(s.score if s.score is not None else lost for s in g) / len(g) for g in by_item.values()]
    return sum(means) / len(means) if means else None


def _budgets(samples: Sequence[Sample]) -> dict[int, float]:
    """The score at each limit of tokens. No answer would have been another but for being cut off, so it takes no inference."""
    longest = max((s.completion_tokens for s in samples), default=0)
    if longest < 2:
        return {}
    by_item: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_item[sample.item].append(sample)
    found = {}
    for budget in (2**power for power in range(4, (longest - 1).bit_length() + 1)):
        means = [
            sum((s.score or 0.0) * (s.completion_tokens <= budget) for s in group) / len(group)
            for group in by_item.values()
        ]
        found[budget] = sum(means) / len(means)
    return found


def _topics(samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.topic].append(sample)
    if len(groups) < 2:
        return {}
    return {
        topic: {
            "samples": len(group),
            "score": _average([s.score for s in group if s.score is not None]),
            "lost": sum(s.status in LOST for s in group),
        }
        for topic, group in sorted(groups.items())
    }


def _share(samples: Sequence[Sample], holds: Callable[[Sample], bool]) -> float | None:
    return sum(map(holds, samples)) / len(samples) if samples else None


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _quantiles(values: Sequence[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    if not ordered:
        return {"median": None, "p95": None}
    return {
        name: ordered[min(len(ordered) - 1, int(q * len(ordered)))]
        for name, q in (("median", 0.5), ("p95", 0.95))
    }
