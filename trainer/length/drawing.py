"""The picture of a report: overlong rates, scores, survival, lengths, accuracy by length, tokens against score, the dial."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from trainer.length.trace import Trace

LONGEST_NAME = 24
_BARS = 12
"""Benchmarks that a plot has room for."""

_TOKENS = StrMethodFormatter("{x:,.0f}")

Drawn = Mapping[str, str]
"""The colour of each arm."""


def picture(document: Mapping[str, Any], arms: Mapping[str, Sequence[Trace]]) -> bytes:
    """A PNG of the figures of a report and the lengths of its traces."""
    rows: list[list[Any]] = [["overlong", "score"], ["survival", "histogram"], ["length", "tokens"]]
    if document["dial"]:
        rows.append(["dial", "dial"])
    figure = Figure(figsize=(13, 4.2 * len(rows)))
    figure.subplots_adjust(left=0.06, right=0.98, top=0.97, bottom=0.05, hspace=0.35, wspace=0.16)
    axes = figure.subplot_mosaic(rows)
    colours = {name: f"C{number % 10}" for number, name in enumerate(arms)}
    _bars(axes["overlong"], document, colours, "overlong_context")
    _bars(axes["score"], document, colours, "score")
    _survival(axes["survival"], document, colours)
    _histogram(axes["histogram"], document, arms, colours)
    _by_length(axes["length"], document, colours)
    _tokens(axes["tokens"], document, colours)
    titles = {
        "overlong": f"overlong, %: no tag within {document['context']:,} tokens of prompt and output",
        "score": "score, %",
        "survival": "still thinking after so many tokens, % (Kaplan–Meier)",
        "histogram": "tokens of thinking, % of runs (those cut off at their limit)",
        "length": "score by tokens of thinking, %",
        "tokens": "score, % by tokens of output, mean",
    }
    if document["dial"]:
        _dial(axes["dial"], document, colours)
        titles["dial"] = "asked against got, tokens of thinking (median, 10% to 90%)"
    for name, title in titles.items():
        axes[name].set_title(title, loc="left", fontsize=10)
        axes[name].spines[["top", "right"]].set_visible(False)
        if axes[name].get_legend_handles_labels()[0]:
            axes[name].legend(frameon=False, fontsize=9)
    image = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font has not is shown as boxes; the page has it as it is.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()


def label(name: str) -> str:
    """A name for matplotlib: a dollar in it begins no formula, an underscore hides nothing, nothing steers the layout."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    shown = shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"
    return " " * shown.startswith("_") + shown.replace("$", r"\$")


def _bars(axes: Axes, document: Mapping[str, Any], colours: Drawn, measure: str) -> None:
    groups = dict(list(document["benchmarks"].items())[:_BARS])
    shown = [(label(name), group["arms"]) for name, group in groups.items()]
    if len(document["benchmarks"]) > 1:
        shown.append(("all", document["all"]["arms"]))
    width = 0.8 / len(colours)
    for number, (arm, colour) in enumerate(colours.items()):
        places = [(x, figures[arm][measure]) for x, (_, figures) in enumerate(shown) if figures[arm][measure]]
        at = [x + (number - (len(colours) - 1) / 2) * width for x, _ in places]
        axes.bar(at, [100 * i["value"] for _, i in places], width, color=colour, label=label(arm))
        for x, (_, interval) in zip(at, places, strict=True):
            axes.plot([x, x], [100 * interval["low"], 100 * interval["high"]], color="black", linewidth=1)
    turned = len(shown) > 4
    axes.set_xticks(
        range(len(shown)),
        [name for name, _ in shown],
        rotation=20 if turned else 0,
        ha="right" if turned else "center",
    )
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(0, 100)


def _survival(axes: Axes, document: Mapping[str, Any], colours: Drawn) -> None:
    for arm, colour in colours.items():
        curve = document["all"]["arms"][arm]["survival"]
        at = [0, *curve["at"], curve["longest"]]
        left = [1.0, *curve["share"], curve["share"][-1] if curve["share"] else 1.0]
        axes.step(at, [100 * s for s in left], where="post", color=colour, label=label(arm))
    axes.set_ylim(0, 101)
    _mark(axes, document)
    # Where nobody thinks, the curves have no length.
    axes.set_xlim(0, max(1, axes.get_xlim()[1]))


def _histogram(
    axes: Axes, document: Mapping[str, Any], arms: Mapping[str, Sequence[Trace]], colours: Drawn
) -> None:
    longest = max(t.thinking_tokens for traces in arms.values() for t in traces)
    bins = np.linspace(0, max(longest, document["budget"] or 1), 41).tolist()
    for arm, colour in colours.items():
        lengths = [t.thinking_tokens for t in arms[arm]]
        weights = np.full(len(lengths), 100 / len(lengths))
        axes.hist(
            lengths, bins, weights=weights, histtype="step", linewidth=1.5, color=colour, label=label(arm)
        )
    axes.set_xlim(left=0)
    _mark(axes, document)


def _mark(axes: Axes, document: Mapping[str, Any]) -> None:
    axes.xaxis.set_major_formatter(_TOKENS)
    if document["budget"]:
        axes.axvline(document["budget"], color="black", linestyle=":", linewidth=1, label="budget")


def _by_length(axes: Axes, document: Mapping[str, Any], colours: Drawn) -> None:
    bins = document["all"]["by_length"]
    for number, (arm, colour) in enumerate(colours.items()):
        places = [(x, each) for x, each in enumerate(bins[arm]) if each["score"]]
        at = np.array([x for x, _ in places]) + (number - (len(colours) - 1) / 2) * 0.1
        axes.plot(at, [100 * b["score"]["value"] for _, b in places], "o-", color=colour, label=label(arm))
        for x, (_, each) in zip(at, places, strict=True):
            axes.plot(
                [x, x], [100 * each["score"]["low"], 100 * each["score"]["high"]], color=colour, alpha=0.5
            )
    names = [bin_name(each) for each in next(iter(bins.values()))]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(0, 101)


def bin_name(each: Mapping[str, Any]) -> str:
    """A bin of lengths, for people."""
    if each["to"] is None:
        return f"{each['from']:,} and more"
    return f"{each['from']:,} to {each['to'] - 1:,}"


def _tokens(axes: Axes, document: Mapping[str, Any], colours: Drawn) -> None:
    for arm, colour in colours.items():
        figures = document["all"]["arms"][arm]
        if (score := figures["score"]) is None:
            continue
        x, y = figures["tokens"]["value"], 100 * score["value"]
        axes.plot([x], [y], "o", color=colour, label=label(arm))
        axes.plot([x, x], [100 * score["low"], 100 * score["high"]], color=colour)
        if figures["tokens"]["low"] is not None:
            axes.plot([figures["tokens"]["low"], figures["tokens"]["high"]], [y, y], color=colour)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 101)
    axes.xaxis.set_major_formatter(_TOKENS)


def _dial(axes: Axes, document: Mapping[str, Any], colours: Drawn) -> None:
    asked = [step["asked"] for found in document["dial"].values() for step in found["steps"]]
    axes.plot([min(asked), max(asked)], [min(asked), max(asked)], ":", color="black", linewidth=1)
    for arm, found in document["dial"].items():
        # Several arms may be steps of one dial, which has a colour of its own.
        steps, colour = found["steps"], colours.get(arm, "black")
        at = [step["asked"] for step in steps]
        axes.plot(at, [step["median"] for step in steps], "o-", color=colour, label=label(arm))
        axes.fill_between(
            at, [step["p10"] for step in steps], [step["p90"] for step in steps], color=colour, alpha=0.15
        )
    axes.set_xlabel("asked")
    axes.xaxis.set_major_formatter(_TOKENS)
    axes.yaxis.set_major_formatter(_TOKENS)
