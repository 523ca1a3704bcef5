"""Comparisons as Markdown and as one self-contained page with a plot of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from evals.compare import Comparison, Difference, Row
from evals.summary import Figure

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #2f6feb; --text: #1f2328; --back: #fff }
@media (prefers-color-scheme: dark) { :root { --bar: #58a6ff; --text: #e6edf3; --back: #0d1117 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .7rem; text-align: left; vertical-align: top }
td.n, th.n { text-align: right }
.sure { font-weight: 600 }
.note { opacity: .75 }
svg text { fill: var(--text); font-size: 12px }
code { font-size: 90% }
"""
_HEADS = (
    "model",
    "score",
    "of parsed",
    "over all",
    "not judged",
    "overlong",
    "tokens",
    "against the first",
    "what differs",
)
_LEFT, _WIDTH, _LINE = 200, 420, 26


def markdown(comparisons: Sequence[Comparison]) -> str:
    """A table an evaluation, for an issue or a model card."""
    parts = []
    for comparison in comparisons:
        lines = [
            f"## {comparison.task}",
            "",
            f"| {' | '.join(_HEADS)} |",
            "|" + "---|" * len(_HEADS),
        ]
        lines += ["| " + " | ".join(_cell(value) for value in _cells(row)) + " |" for row in comparison.rows]
        lines += [
            f"\n{row.label}, {difference.figure}: {told(difference)}"
            for row in comparison.rows
            for difference in row.differences[1:]
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def page(comparisons: Sequence[Comparison]) -> str:
    """One page of HTML that needs nothing else."""
    body = ["<h1>Comparison</h1>", f'<p class="note">{_LEGEND}</p>']
    for comparison in comparisons:
        body.append(f"<h2>{escape(comparison.task)}</h2>")
        body.append(_plot(comparison))
        body.append("<table><thead><tr>" + "".join(f"<th>{h}</th>" for h in _HEADS) + "</tr></thead><tbody>")
        body += [
            "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in _cells(row)) + "</tr>"
            for row in comparison.rows
        ]
        body.append("</tbody></table>")
        more = [(row, d) for row in comparison.rows for d in row.differences[1:]]
        if more:
            body.append(
                "<table><thead><tr><th>model</th><th>measure</th><th>against the first</th></tr></thead><tbody>"
            )
            for row, d in more:
                body.append(
                    f"<tr><td>{escape(row.label)}</td><td>{escape(d.figure)}</td><td>{escape(told(d))}</td></tr>"
                )
            body.append("</tbody></table>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Comparison</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


_LEGEND = (
    "Scores are means over problems with 95% intervals, clustered by problem. Unparsed, empty and overlong answers count as 0; "
    "samples that were not judged count as wrong and as right in the two bounds over all. Differences are paired by problem: "
    "interval, p corrected for the number of comparisons, and the least difference that so many problems would show in four "
    "cases of five."
)


def told(difference: Difference) -> str:
    """A difference in words."""
    value = difference.value
    said = f"{100 * value.value:+.1f}"
    if value.low is not None and value.high is not None:
        said += f" ({100 * value.low:+.1f} to {100 * value.high:+.1f})"
    said += f", p = {difference.holm:.3f}" if difference.holm >= 0.001 else ", p < 0.001"
    said += f", {difference.clusters:,} problems"
    if difference.detectable is not None:
        said += f", would show {100 * difference.detectable:.1f}"
    if difference.left_out:
        said += f"; {difference.left_out:,} items left out"
    return said


def _cells(row: Row) -> list[str]:
    summary = row.summary
    bounds = "" if summary.low is None or summary.high is None or not summary.lost else (
        f"{100 * summary.low:.1f} to {100 * summary.high:.1f}"
    )  # fmt: skip
    lost = ", ".join(
        f"{summary.status[s]:,} {s}"
        for s in ("refused", "timeout", "unserved", "fault")
        if s in summary.status
    )
    tokens = summary.tokens["completion"]
    return [
        row.label,
        figure(summary.score),
        figure(summary.of_parsed),
        bounds,
        lost,
        "" if not summary.cut_off else f"{100 * summary.cut_off:.1f}%",
        "" if tokens is None else f"{tokens:,.0f}",
        told(row.differences[0]) if row.differences else "",
        "; ".join(f"{name}: {_short(a)} → {_short(b)}" for name, (a, b) in row.setup.items()),
    ]


def figure(value: Figure | None) -> str:
    """A figure as per cent, with its interval."""
    if value is None:
        return "none"
    if value.low is None or value.high is None:
        return f"{100 * value.value:.1f}"
    return f"{100 * value.value:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _plot(comparison: Comparison) -> str:
    """Scores with their intervals, one below the other."""
    height = _LINE * len(comparison.rows) + 30
    parts = [
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + 80} {height}" width="100%" style="max-width:46rem" role="img">'
    ]
    parts.append(f"<title>Scores of {escape(comparison.task)} with 95% intervals</title>")
    for tick in range(0, 101, 20):
        x = _LEFT + _WIDTH * tick / 100
        parts.append(f'<line x1="{x}" x2="{x}" y1="4" y2="{height - 22}" stroke="var(--line)"/>')
        parts.append(f'<text x="{x}" y="{height - 6}" text-anchor="middle">{tick}</text>')
    for number, row in enumerate(comparison.rows):
        y = _LINE * number + 18
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(_shortened(row.label))}</text>'
        )
        score = row.summary.score
        if score is None:
            continue
        if score.low is not None and score.high is not None:
            parts.append(
                f'<line x1="{_LEFT + _WIDTH * score.low:.1f}" x2="{_LEFT + _WIDTH * score.high:.1f}" y1="{y}" y2="{y}"'
                ' stroke="var(--bar)" stroke-width="2"/>'
            )
        parts.append(f'<circle cx="{_LEFT + _WIDTH * score.value:.1f}" cy="{y}" r="5" fill="var(--bar)"/>')
    return "".join(parts) + "</svg>"


def _shortened(label: str) -> str:
    return label if len(label) <= 28 else label[:27] + "…"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
