"""What is measured of traces: overlong rates, scores, lengths, loops, tokens, the dial; and two arms, problem by problem.

Everything is a pure function of traces and gives JSON values. Rates and scores are means over problems of the mean over
their runs, with intervals from `statistics`; lengths are of runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from dataforge.statistics import (
    Interval,
    Problem,
    Values,
    difference,
    kaplan_meier,
    mean,
    means,
    p_value,
    share,
)
from trainer.length.degeneration import GRAMS, Reference, Repetition, repetition, words
from trainer.length.trace import Trace

Ending = Literal["closed", "forced", "limit", "stopped", "none"]
"""How thinking ended: closed by the policy; closed from outside at the budget; not at all, at the limit; by the end of the
turn, without a tag; or there was none."""

AT_BUDGET = 1
"""Percent: how far from the budget a run may close to be said to close at it."""

EARLY = 95
"""Percent of the budget before which a run closes early."""

BINS = 5
"""Quantiles of length by which accuracy is shown."""

Figure = Callable[[Trace], float | None]


def ending(trace: Trace) -> Ending:
    """How the thinking of a trace ended."""
    if trace.case == "thinking":
        return "forced" if trace.forced else "limit"
    if not trace.thinking_tokens:
        return "none"
    return "closed" if trace.closed else "stopped"


def overlong_in_context(trace: Trace, context: int) -> bool:
    """No `</think>` within `context` tokens of prompt and output together (the Hermes 4 report's Table 2).

    A tag that was appended from outside is one. A turn without thinking is not overlong; one that ended inside its
    thinking is. What a template puts beside thinking (a token or two) is not counted.
    """
    return overlong_in_output(trace, context - trace.prompt_tokens)


def overlong_in_output(trace: Trace, tokens: int) -> bool:
    """No `</think>` within `tokens` tokens of output (Table 5); otherwise as `overlong_in_context`."""
    how = ending(trace)
    return how in ("limit", "stopped") or (how != "none" and trace.thinking_tokens + 1 > tokens)


def output_tokens(trace: Trace) -> int:
    """Of thinking and answer, without the tags."""
    return trace.thinking_tokens + trace.answer_tokens


def by_problem(traces: Iterable[Trace], figure: Figure) -> dict[Problem, list[float]]:
    """A figure of each run, by problem, in order of problems; runs that have none are left out."""
    found: dict[Problem, list[float]] = {}
    for trace in sorted(traces, key=lambda t: (t.benchmark, t.problem, t.sample, t.asked or 0)):
        if (value := figure(trace)) is not None:
            found.setdefault((trace.benchmark, trace.problem), []).append(float(value))
    return found


def measure(
    traces: Sequence[Trace],
    *,
    context: int,
    output: int,
    budget: int | None,
    readings: Mapping[int, Reading] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every measure of one policy, as JSON values; of one benchmark, or of several taken together.

    Args:
        traces: at least one.
        readings: of each trace by its `id()`, where its text was read already (`read`).
        seed: of the bootstrap.
    """
    figures: dict[str, Figure] = {
        "score": lambda t: t.score,
        "overlong_context": lambda t: overlong_in_context(t, context),
        "overlong_output": lambda t: overlong_in_output(t, output),
    }
    rates = {name: by_problem(traces, figure) for name, figure in figures.items()}
    tokens = by_problem(traces, output_tokens)
    runs = [len(each) for each in tokens.values()]
    endings = [ending(trace) for trace in traces]
    # Where there was no thinking, it lasted 0 tokens: a policy that has stopped thinking must not look as if it had not.
    lengths = [trace.thinking_tokens for trace in traces]
    ended = [how not in ("forced", "limit") for how in endings]
    scored = by_problem((t for t in traces if t.score is not None), output_tokens)
    return {
        "problems": len(runs),
        "runs": len(traces),
        "runs_a_problem": [min(runs), max(runs)],
        **{name: as_json(share(values)) if values else None for name, values in rates.items()},
        "endings": {how: endings.count(how) for how in ("closed", "forced", "limit", "stopped", "none")},
        "answers_ended": as_json(share(by_problem(traces, lambda t: t.ended))),
        "thinking": spread(lengths, ended),
        "survival": asdict(kaplan_meier(lengths, ended)),
        "closing": closing(traces, budget) if budget else None,
        "tokens": as_json(mean(tokens, seed)) | {"total": sum(map(output_tokens, traces))},
        "score_per_1000_tokens": _ratio(1000 * _mean(rates["score"]), _mean(scored)) if scored else None,
        "degeneration": degeneration(traces, read(traces, None) if readings is None else readings),
    }


def spread(lengths: Sequence[int], ended: Sequence[bool]) -> dict[str, Any]:
    """Mean, quantiles and maximum of the lengths of runs.

    `at_least` names those that are only lower bounds, since a run that was cut off lies at or below them: it would have
    gone on, nobody knows how far.
    """
    cut = [n for n, whole in zip(lengths, ended, strict=True) if not whole]
    quantiles = np.quantile(lengths, (0.5, 0.9, 0.95, 0.99, 1), method="inverted_cdf")
    found = dict(zip(("median", "p90", "p95", "p99", "max"), map(int, quantiles), strict=True))
    bounds = ["mean"] * bool(cut) + [name for name, n in found.items() if cut and n >= min(cut)]
    return {"mean": float(np.mean(lengths)), **found, "cut_off": len(cut), "at_least": bounds}


def closing(traces: Sequence[Trace], budget: int) -> dict[str, Any]:
    """Where the policy closed its thinking by itself, by the budget: six shares of all runs that make up one."""

    def place(trace: Trace) -> str:
        at, how = trace.thinking_tokens, ending(trace)
        if how != "closed":
            return "none" if how == "none" else "not_closed"
        if 100 * abs(at - budget) <= AT_BUDGET * budget:
            return "at_budget"
        return "early" if 100 * at < EARLY * budget else "nearly" if at < budget else "beyond"

    def of(name: str) -> dict[str, Any]:
        return as_json(share(by_problem(traces, lambda t: place(t) == name)))

    return {name: of(name) for name in ("early", "nearly", "at_budget", "beyond", "not_closed", "none")}


Reading = tuple[Repetition, float | None]
"""What the text of one trace repeats, and how much of it is strange."""


def read(traces: Iterable[Trace], reference: Reference | None) -> dict[int, Reading]:
    """Read the thinking of each trace, which takes longer than all else here: by `id()` of the trace.

    Args:
        reference: what its words are held against.
    """
    found = {}
    for t in traces:
        said = words(t.thinking)
        strange = reference.strange((t.benchmark, t.problem), said) if reference else None
        found[id(t)] = repetition(t.thinking, said), strange
    return found


def degeneration(traces: Sequence[Trace], readings: Mapping[int, Reading]) -> dict[str, Any] | None:
    """Loops and word salad in the thinking; None where nobody thinks. See `trainer.length.degeneration`."""
    found = [readings[id(t)][0] for t in traces if readings[id(t)][0].words]
    if not found:
        return None
    strange = by_problem(traces, lambda t: readings[id(t)][1])
    return {
        "repeated": {str(n): float(np.mean([r.repeated[n] for r in found])) for n in GRAMS},
        "loops": as_json(share(by_problem(traces, lambda t: readings[id(t)][0].loop > 0))),
        "words_in_loops": sum(r.loop for r in found) / sum(r.words for r in found),
        "compressed": float(np.median([r.compressed for r in found])),
        "strange": as_json(share(strange)) if strange else None,
    }


def edges(traces: Iterable[Trace]) -> list[int]:
    """Where bins of thinking length meet: `BINS` quantiles of the runs of all arms together, equal ones once."""
    lengths = [t.thinking_tokens for t in traces if t.score is not None]
    if not lengths:
        return []
    inner = np.quantile(lengths, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return sorted({int(n) for n in inner if n > min(lengths)})


def by_length(traces: Sequence[Trace], between: Sequence[int]) -> list[dict[str, Any]]:
    """The score of runs by how long they thought: bins from one edge up to the next, without it."""
    low, bins = 0, []
    for high in (*between, None):
        here = [t for t in traces if low <= t.thinking_tokens and (high is None or t.thinking_tokens < high)]
        scores = by_problem(here, lambda t: t.score)
        runs = sum(map(len, scores.values()))
        bins.append(
            {"from": low, "to": high, "runs": runs, "score": as_json(share(scores)) if runs else None}
        )
        low = high or 0
    return bins


def dial(traces: Iterable[Trace]) -> dict[str, Any] | None:
    """Budgets that were asked for against thinking that came; None where none was asked for.

    `monotone`: whether the median rises with every step of what was asked; None where there is one step only.
    """
    by_budget: dict[int, list[Trace]] = {}
    for trace in traces:
        if trace.asked is not None:
            by_budget.setdefault(trace.asked, []).append(trace)
    if not by_budget:
        return None
    steps = []
    for asked, runs in sorted(by_budget.items()):
        got = np.array([t.thinking_tokens for t in runs])
        low, middle, high = (int(n) for n in np.quantile(got, (0.1, 0.5, 0.9), method="inverted_cdf"))
        near = {
            f"within_{percent}": float(np.mean(np.abs(got - asked) * 100 <= percent * asked))
            for percent in (1, 10)
        }
        over = float(np.mean((got - asked) * 100 > asked))
        not_closed = sum(not t.closed for t in runs)
        steps.append(
            {
                "asked": asked,
                "runs": len(runs),
                "median": middle,
                "p10": low,
                "p90": high,
                **near,
                "over": over,
                "not_closed": not_closed,
            }
        )
    medians = [step["median"] for step in steps]
    rises = all(a < b for a, b in pairwise(medians))
    return {"steps": steps, "monotone": rises if len(steps) > 1 else None}


def compare(
    before: Sequence[Trace], after: Sequence[Trace], *, context: int, output: int, seed: int = 0
) -> dict[str, Any]:
    """Paired by problem: score, overlong rates and tokens before and after, with intervals of the differences and p-values.

    `score_where_finished` is of the problems of which the first arm closed every run within the context: what length
    control costs where there was no need for it. It is chosen by the first arm's luck, so it rather overstates the cost
    where several runs of a problem differ.

    Args:
        before, after: of the same problems.
    """
    finished = {
        problem
        for problem, late in by_problem(before, lambda t: overlong_in_context(t, context)).items()
        if not any(late)
    }

    def paired(figure: Figure, problems: set[Problem] | None = None) -> dict[str, Any] | None:
        a, b = by_problem(before, figure), by_problem(after, figure)
        both = sorted(p for p in a.keys() & b.keys() if problems is None or p in problems)
        if not both:
            return None
        a, b = {p: a[p] for p in both}, {p: b[p] for p in both}
        first, then = _mean(a), _mean(b)
        return {
            "problems": len(both),
            "before": first,
            "after": then,
            "difference": as_json(difference(a, b, seed)),
            "relative": _ratio(then - first, first),
            "p": p_value(a, b, seed),
        }

    tokens = paired(output_tokens)
    if tokens is not None:
        # What the first arm's runs would have saved, each at the mean of its problem.
        tokens["saved"] = -tokens["difference"]["value"] * len(before)
    return {
        "score": paired(lambda t: t.score),
        "overlong_context": paired(lambda t: overlong_in_context(t, context)),
        "overlong_output": paired(lambda t: overlong_in_output(t, output)),
        "score_where_finished": paired(lambda t: t.score, finished),
        "tokens": tokens,
    }


def as_json(interval: Interval) -> dict[str, Any]:
    """An interval as JSON has it: a bound that is none is null."""
    return {name: n if math.isfinite(n) else None for name, n in asdict(interval).items()}


def _mean(values: Values) -> float:
    return float(means(values).mean())


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
