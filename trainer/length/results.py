"""What came out of the experiment: its figures, the paper's two tables beside ours, a picture and a page.

All figures are of the test set, in percent, as the mean over seeds and half the distance between the least and the largest.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dataforge.files import arriving, write_json
from trainer.length import task
from trainer.length.experiment import BENCHMARKS, DIRECT, TEST, Design, folder_of
from trainer.length.measures import by_problem, closing, overlong_in_context
from trainer.length.trace import Trace, read_traces
from trainer.page import page, picture, table

FORMAT = 1
STAGE_1 = "stage 1"
ALL = "all"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CUT, LOSS = 98.9, 3.9
"""Percent: by how much the report's runs at 30,000 tokens cut overlong at least, and lost of their score at most."""

PAPER_2 = {
    "AIME'24": ("55.0", "55.4", "+0.7%", "28.2", "0.1", "-99.6%"),
    "AIME'25": ("48.7", "46.8", "-3.9%", "25.9", "0.1", "-99.6%"),
    "GPQA Diamond": ("57.4", "60.2", "+4.7%", "18.2", "0.2", "-98.9%"),
    "LiveCodeBench v6": ("28.6", "42.5", "+48.6%", "60.0", "0.1", "-99.8%"),
}
"""Table 2 of the Hermes 4 report, as printed: score of stage 1 and at 30,000 tokens, and overlong of both."""

PAPER_5 = {
    "AIME'24": ((34.0, 51.3), (0.6, 35.4), (15.1, 56.5), (28.2, 55.0)),
    "AIME'25": ((34.9, 41.7), (0.4, 27.3), (17.6, 44.0), (25.9, 48.8)),
    "GPQA Diamond": ((49.6, 44.3), (0.4, 55.7), (30.0, 52.6), (18.2, 57.4)),
    "LiveCodeBench v6": ((39.7, 33.6), (0.5, 41.8), (24.2, 46.0), (60.0, 28.6)),
}
"""Table 5, at 20,000 tokens: overlong and score of standard mask, tag alone, control, stage 1."""

Values = dict[str, list[float]]
"""Figures by name, each with a value a seed."""


def name_of(arm: str, budget: int) -> str:
    return f"{arm} {budget}"


def document(design: Design, out: Path) -> dict[str, Any]:
    """Every figure, from the traces in the folder of the experiment."""
    arms: dict[str, Values] = {}
    lengths: dict[str, list[int]] = {}
    for seed in design.seeds:
        at = out / f"seed-{seed}"
        base = read_traces(at / "by-itself" / TEST)
        for name, folder, budget in _folders(design):
            traces = base if name == STAGE_1 else read_traces(at / folder / TEST)
            for figure, value in _figures(traces, base, budget, design).items():
                arms.setdefault(name, {}).setdefault(figure, []).append(value)
            lengths.setdefault(name, []).extend(t.thinking_tokens for t in traces if t.closed)
    found = {name: {"values": values, **_spread(values)} for name, values in arms.items()}
    return {
        "length_demo": FORMAT,
        "design": asdict(design),
        "claims": [_claim(*each) for each in _claims(found, design)],
        "arms": found,
        "lengths": lengths,
    }


def _folders(design: Design) -> Iterator[tuple[str, str, int]]:
    """Name, folder and budget of all that was measured; a budget of 0 is none."""
    yield STAGE_1, "by-itself", 0
    for budget in (DIRECT, *design.budgets):
        yield name_of("forced", budget), f"forced-{budget}", budget
    for arm, budget in design.arms:
        yield name_of(arm, budget), folder_of(arm, budget), budget


def _figures(traces: Sequence[Trace], base: Sequence[Trace], budget: int, design: Design) -> dict[str, float]:
    """The figures of one policy of one seed."""

    def percent(figure: Callable[[Trace], float | None], of: Sequence[Trace]) -> float:
        return 100 * fmean(fmean(values) for values in by_problem(of, figure).values()) if of else np.nan

    def overlong(trace: Trace) -> bool:
        return overlong_in_context(trace, design.context)

    done = {t.problem for t in base if not overlong(t)}
    # A check that went through ends in a word of its own: the others were broken off.
    broken = [t.thinking_tokens for t in traces if t.closed and not t.thinking.endswith(task.OK)]
    found = {
        "overlong": percent(overlong, traces),
        "score": percent(lambda t: t.score, traces),
        "score where stage 1 finished": percent(lambda t: t.score, [t for t in traces if t.problem in done]),
        "thinking": fmean(t.thinking_tokens for t in traces),
        "broken off": 100 * len(broken) / len(traces),
    }
    for q in QUANTILES:
        found[f"broken off at {q:.0%}"] = float(np.quantile(broken, q)) if broken else np.nan
    if budget:
        places = closing(traces, budget)
        found |= {f"closed {place}": 100 * share["value"] for place, share in places.items()}
    for kind in BENCHMARKS:
        here = [t for t in traces if t.benchmark == kind]
        found[f"overlong, {kind}"] = percent(overlong, here)
        found[f"score, {kind}"] = percent(lambda t: t.score, here)
    return found


def _spread(values: Values) -> dict[str, dict[str, float]]:
    return {
        "mean": {name: fmean(each) for name, each in values.items()},
        "spread": {name: (max(each) - min(each)) / 2 for name, each in values.items()},
    }


def relative(after: float, before: float) -> float:
    """The change in percent of what was."""
    return 100 * (after - before) / before if before else np.nan


Claim = tuple[str, str, bool]


def _claims(arms: Mapping[str, Any], design: Design) -> Iterator[Claim]:
    """What the report's tables let one expect, what was found, and whether it came out."""

    def mean(name: str, figure: str) -> float:
        return float(arms[name]["mean"][figure])

    over, score = mean(STAGE_1, "overlong"), mean(STAGE_1, "score")
    direct = mean(name_of("forced", DIRECT), "score")
    yield "stage 1 is overlong in 20% to 60% of its runs", f"{over:.1f}%", 20 <= over <= 60
    yield (
        "without thinking it scores far lower",
        f"{direct:.1f}% against {score:.1f}%",
        direct < score / 2,
    )
    tag = name_of("tag", design.loose)
    cut = -relative(mean(tag, "overlong"), over)
    loss = -relative(mean(tag, "score"), score)
    yield (
        f"`tag` at the loose budget cuts overlong by {CUT}% or more, at {LOSS}% of the score or less",
        f"cut by {cut:.1f}%; the score {_changed(-loss)}",
        cut >= CUT and loss <= LOSS,
    )
    kept = "score where stage 1 finished"
    cost = -relative(mean(tag, kept), mean(STAGE_1, kept))
    yield (
        f"… nor of the score on the problems that stage 1 finished by itself, more than {LOSS}%",
        f"the score there {_changed(-cost)}",
        cost <= LOSS,
    )
    standard = name_of("standard", design.loose)
    change = relative(mean(standard, "overlong"), over)
    yield (
        f"`standard` on the same traces does not cut it by {CUT}%",
        f"overlong {_changed(change)}",
        -change < CUT,
    )
    yield "… and raises it, as in three of the report's four benchmarks", f"{_changed(change)}", change > 0
    truncated = name_of("truncated", design.loose)
    if truncated in arms:
        change = relative(mean(truncated, "overlong"), over)
        yield (
            "training on their thinking alone, never closed, raises it",
            f"overlong {_changed(change)}",
            change > 0,
        )
    tight = name_of("tag", design.tight)
    dearer = -relative(mean(tight, "score"), mean(tag, "score"))
    yield (
        "`tag` at the tight budget cuts overlong too, and costs clearly more of the score",
        f"overlong {mean(tight, 'overlong'):.1f}%, score {mean(tight, 'score'):.1f}% against {mean(tag, 'score'):.1f}%",
        mean(tight, "overlong") < over / 2 and dearer > LOSS,
    )
    for which, budget in (("loose", design.loose), ("tight", design.tight)):
        control, there = name_of("control", budget), name_of("tag", budget)
        found = mean(control, "overlong")
        yield (
            f"the control of the {which} budget lies between `tag` and stage 1",
            f"{mean(there, 'overlong'):.1f}% < {found:.1f}% < {over:.1f}%",
            mean(there, "overlong") < found < over,
        )


def _changed(percent: float) -> str:
    return f"{'rises' if percent > 0 else 'falls'} by {abs(percent):.1f}%"


def _claim(expected: str, found: str, came_out: bool) -> dict[str, Any]:
    return {"expected": expected, "found": found, "came_out": came_out}


def write(design: Design, out: Path) -> dict[str, Any]:
    """Write `demo.json`, `demo.png` and `demo.html`; returns the first."""
    found = document(design, out)
    lengths = found.pop("lengths")
    image = _picture(found, lengths, design)
    parts = [f"<h2>{title}</h2>{table(rows)}" for title, rows in tables(found, design)]
    for name, content in (
        ("demo.png", image),
        ("demo.html", page("Length control: the experiment", picture(image, "figures of all arms"), *parts)),
    ):
        with arriving(out / name) as stream:
            stream.write(content)
    write_json(out / "demo.json", _without_nan(found))
    return found


def _without_nan(value: Any) -> Any:
    """The same with null for what is no number: JSON has none."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and np.isnan(value) else value


Table = tuple[str, list[tuple[str, ...]]]


def tables(found: Mapping[str, Any], design: Design) -> list[Table]:
    """Title and rows of cells of each table, the first row being its heading."""
    many = f"mean of {len(design.seeds)} seeds ± half their range" if len(design.seeds) > 1 else "one seed"
    return [
        ("What came out", _claims_table(found)),
        (f"All arms ({many}, {design.tested} problems, context {design.context})", _arms_table(found)),
        ("Where thinking was closed", _closing_table(found)),
        (
            f"As in Table 2: `tag` at the loose budget, {design.loose} tokens",
            _table_2(found, design),
        ),
        *(
            (f"As in Table 5: masks at {budget} tokens, overlong / score", _table_5(found, design, budget))
            for budget in reversed(design.budgets)
        ),
    ]


def _claims_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = [(c["expected"], c["found"], "yes" if c["came_out"] else "NO") for c in found["claims"]]
    return [("expected", "found", "came out"), *rows]


def _cell(arm: Mapping[str, Any], figure: str, digits: int = 1) -> str:
    if figure not in arm["mean"] or np.isnan(arm["mean"][figure]):
        return "-"
    spread = f" ± {arm['spread'][figure]:.{digits}f}" if len(arm["values"][figure]) > 1 else ""
    return f"{arm['mean'][figure]:.{digits}f}{spread}"


def _change(arm: Mapping[str, Any], base: Mapping[str, Any], figure: str) -> str:
    change = relative(arm["mean"][figure], base["mean"][figure])
    return "-" if np.isnan(change) else f"{change:+.1f}%"


def _arms_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    arms = found["arms"]
    base = arms[STAGE_1]
    kept = "score where stage 1 finished"
    heading = ("arm and budget", "overlong", "Δ", "score", "Δ", "where stage 1 finished", "Δ", "thinking")
    return [
        heading,
        *(
            (
                name,
                _cell(arm, "overlong"),
                _change(arm, base, "overlong"),
                _cell(arm, "score"),
                _change(arm, base, "score"),
                _cell(arm, kept),
                _change(arm, base, kept),
                _cell(arm, "thinking"),
            )
            for name, arm in arms.items()
        ),
    ]


def _closing_table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    heading = (
        "arm and budget",
        "broken off",
        "at (5 / 25 / 50 / 75 / 95%)",
        "all runs: < 95% of it",
        "up to it",
        "± 1%",
        "beyond",
    )
    rows = []
    for name, arm in found["arms"].items():
        places = [_cell(arm, f"closed {place}") for place in ("early", "nearly", "at_budget", "beyond")]
        at = " / ".join(
            _cell({**arm, "spread": {}, "values": _one(arm)}, f"broken off at {q:.0%}", 0) for q in QUANTILES
        )
        rows.append((name, _cell(arm, "broken off"), at, *places))
    return [heading, *rows]


def _one(arm: Mapping[str, Any]) -> dict[str, list[float]]:
    return {figure: values[:1] for figure, values in arm["values"].items()}


def _table_2(found: Mapping[str, Any], design: Design) -> list[tuple[str, ...]]:
    arms = found["arms"]
    base, tag = arms[STAGE_1], arms[name_of("tag", design.loose)]
    rows: list[tuple[str, ...]] = [
        ("", "score, stage 1", "score, tag", "Δ", "overlong, stage 1", "overlong, tag", "Δ")
    ]
    for kind in (*BENCHMARKS, ALL):
        figures = [figure if kind == ALL else f"{figure}, {kind}" for figure in ("score", "overlong")]
        cells = [(_cell(base, f), _cell(tag, f), _change(tag, base, f)) for f in figures]
        rows.append((kind, *cells[0], *cells[1]))
    rows += [(f"Hermes 4: {name}", *printed) for name, printed in PAPER_2.items()]
    return rows


def _table_5(found: Mapping[str, Any], design: Design, budget: int) -> list[tuple[str, ...]]:
    arms = found["arms"]
    masks = [("standard", "standard mask"), ("tag", "tag alone"), ("control", "control")]
    columns = [(arms[name], title) for arm, title in masks if (name := name_of(arm, budget)) in arms]
    columns.append((arms[STAGE_1], "stage 1"))
    rows: list[tuple[str, ...]] = [("", *(title for _, title in columns))]
    for kind in (*BENCHMARKS, ALL):
        over, score = ((f if kind == ALL else f"{f}, {kind}") for f in ("overlong", "score"))
        rows.append((kind, *(f"{_cell(arm, over)} / {_cell(arm, score)}" for arm, _ in columns)))
    titles = [title for _, title in columns]
    for name, cells in PAPER_5.items():
        told = dict(zip(("standard mask", "tag alone", "control", "stage 1"), cells, strict=True))
        rows.append((f"Hermes 4: {name}", *("{} / {}".format(*told[title]) for title in titles)))
    return rows


def lines(found: Mapping[str, Any], design: Design) -> Iterator[str]:
    """The tables as text; what came out first, in two lines each."""
    (title, _), *others = tables(found, design)
    yield title
    for claim in found["claims"]:
        yield f"  {'yes' if claim['came_out'] else 'NO ':4} {claim['expected']}"
        yield f"       {claim['found']}"
    for title, rows in others:
        yield ""
        yield title
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        for row in rows:
            yield (
                "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            )


def _picture(found: Mapping[str, Any], lengths: Mapping[str, Sequence[int]], design: Design) -> bytes:
    figure = Figure(figsize=(13, 9))
    figure.subplots_adjust(left=0.12, right=0.98, top=0.95, bottom=0.07, hspace=0.3, wspace=0.25)
    axes = figure.subplot_mosaic([["overlong", "score"], ["closing", "closing"]])
    arms = found["arms"]
    names = list(arms)[::-1]
    for what in ("overlong", "score"):
        axes[what].barh(
            names,
            [arms[name]["mean"][what] for name in names],
            xerr=[arms[name]["spread"][what] for name in names],
            color=[_COLOURS.get(name.split()[0], "tab:gray") for name in names],
        )
        axes[what].set_title(f"{what}, % of runs, by arm and budget", loc="left", fontsize=10)
        axes[what].set_xlim(0, 100)
    bins = list(range(0, design.context + 2, 2))
    for name in (
        STAGE_1,
        *(name_of(arm, design.loose) for arm in ("control", "standard", "window:16", "tag")),
    ):
        if name in lengths:
            colour = _COLOURS.get(name.split()[0])
            axes["closing"].hist(
                lengths[name], bins=bins, histtype="step", label=name, color=colour, linewidth=1.5
            )
    axes["closing"].axvline(design.loose, color="black", linestyle=":", label="budget")
    axes["closing"].set_title("tokens of thinking of the runs that closed it", loc="left", fontsize=10)
    axes["closing"].legend(frameon=False)
    for each in axes.values():
        each.spines[["top", "right"]].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return image.getvalue()


_COLOURS = {
    "stage": "tab:gray",
    "forced": "tab:brown",
    "tag": "tab:blue",
    "window:16": "tab:cyan",
    "standard": "tab:red",
    "answer": "tab:purple",
    "truncated": "tab:orange",
    "control": "tab:green",
}
