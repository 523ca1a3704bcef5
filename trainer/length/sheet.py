"""The page of a report: what changed, what it cost, how sure that is, and how each figure came about."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trainer.length.degeneration import GRAMS, LOOP_WORDS, STRETCH, TURNS
from trainer.length.drawing import bin_name
from trainer.page import page, picture, table

_STYLE = """<style>
body { max-width: 84rem }
table { display: block; overflow-x: auto; font-size: .85rem }
td { white-space: nowrap; font-variant-numeric: tabular-nums }
td, th { padding-right: 1rem }
tr:first-child td { color: #222; font-weight: 600; white-space: normal; overflow-wrap: normal }
</style>"""

_NONE = "–"
_NOT_ASCII = re.compile(r"[^\n\x20-\x7e]")

Rows = list[tuple[object, ...]]

TESTS = {
    "score": "score",
    "overlong_context": "overlong, context",
    "overlong_output": "overlong, output",
    "score_where_finished": "score where it was finished before",
    "tokens": "tokens of output",
}


def sheet(document: Mapping[str, Any], image: bytes) -> bytes:
    """One page that needs nothing else."""
    first, *others = document["arms"]
    words = document["definitions"]
    whole = page(
        f"Length control: {first} against {', '.join(others)}",
        _STYLE,
        "".join(f"<p>{html.escape(line)}</p>" for line in headlines(document)),
        _list(f"Note: {note}" for note in document["notes"]),
        f"<p>Overlong, by prompt and output (“context”): {html.escape(words['overlong_context'])}.<br>"
        f"Overlong, by output: {html.escape(words['overlong_output'])}.<br>"
        "A turn that ends inside its thinking is overlong by both; one without thinking by neither.</p>",
        picture(image, "overlong rates, scores, survival, lengths, accuracy by length, and tokens, by arm"),
        *(part for name in others for part in _before_and_after(document, name)),
        "<h2>All arms: overlong / score, %, by output</h2>",
        table(_all_arms(document)),
        "<h2>Differences, problem by problem</h2>",
        "<p>After minus before, in points (tokens as they are), with 95% intervals; p of the paired permutation test, and after "
        "Holm's correction over the benchmarks and arms of the same row name.</p>",
        table(_tests(document)),
        "<h2>Tokens of thinking</h2>",
        "<p>≥: a lower bound, since a run that was cut off lies at or below it.</p>",
        table(_lengths(document)),
        *_closing(document),
        *_degeneration(document),
        "<h2>Score by tokens of thinking, %</h2>",
        table(_by_length(document)),
        "<h2>Tokens of output and what they cost</h2>",
        table(_tokens(document)),
        *_dial(document),
        "<h2>How the figures came about</h2>",
        _list(_methods(document)),
    )
    # Names are the data's: a character in one that steers, hides or turns the reading is shown as one that is lost.
    return _NOT_ASCII.sub(lambda c: c[0] if c[0].isprintable() else "\ufffd", whole.decode()).encode()


def headlines(document: Mapping[str, Any]) -> Iterator[str]:
    """Each arm against the first in a sentence, over all benchmarks: for the page, and for the terminal."""
    first = document["arms"][0]
    for name, found in document["all"]["against"].items():
        overlong, score, kept = found["overlong_context"], found["score"], found["score_where_finished"]
        line = (
            f"{name}: overlong {_percent(overlong['before'])}% → {_percent(overlong['after'])}% "
            f"({_relative(overlong['relative'])})"
        )
        if score:
            line += (
                f", score {_percent(score['before'])} → {_percent(score['after'])} ({_relative(score['relative'])}, "
                f"p = {_p(score['p'])})"
            )
        if kept:
            line += (
                f"; on the {_problems(kept['problems'])} that “{first}” finished "
                f"{_percent(kept['before'])} → {_percent(kept['after'])} ({_relative(kept['relative'])})"
            )
        tokens = found["tokens"]
        yield f"{line}; tokens of output {_relative(tokens['relative'])}"


def _problems(count: int) -> str:
    return f"{count:,} problem{'s' * (count > 1)}"


def _groups(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The benchmarks, and all of them together where there are several."""
    yield from document["benchmarks"].items()
    if len(document["benchmarks"]) > 1:
        yield "all", document["all"]


def _before_and_after(document: Mapping[str, Any], name: str) -> Iterator[str]:
    """The form of the report's Table 2, for both definitions, and on the problems that needed no control."""
    yield f"<h2>{html.escape(name)}</h2>"
    rows: Rows = [
        (
            "",
            *("score before", "after", "Δ rel"),
            *("overlong (context) before", "after", "Δ rel"),
            *("overlong (output) before", "after", "Δ rel"),
            *("problems finished before", "score before", "after", "Δ rel"),
        )
    ]
    for benchmark, group in _groups(document):
        found = group["against"][name]
        kept = found["score_where_finished"]
        rows.append(
            (
                benchmark,
                *_change(found["score"]),
                *_change(found["overlong_context"]),
                *_change(found["overlong_output"]),
                f"{kept['problems']:,}" if kept else "0",
                *_change(kept),
            )
        )
    yield table(rows)


def _change(found: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if found is None:
        return _NONE, _NONE, _NONE
    return _percent(found["before"]), _percent(found["after"]), _relative(found["relative"])


def _all_arms(document: Mapping[str, Any]) -> Rows:
    """The form of the report's Table 5."""
    rows: Rows = [("", *document["arms"])]
    for benchmark, group in _groups(document):
        cells = (
            f"{_interval(figures['overlong_output'])} / {_interval(figures['score'])}"
            for figures in group["arms"].values()
        )
        rows.append((benchmark, *cells))
    return rows


def _tests(document: Mapping[str, Any]) -> Rows:
    rows: Rows = [("", "arm", "of", "problems", "difference", "p", "p, Holm")]
    for benchmark, group in _groups(document):
        for name, compared in group["against"].items():
            for kind, words in TESTS.items():
                if found := compared[kind]:
                    shown = (_signed_tokens if kind == "tokens" else _signed)(found["difference"])
                    corrected = _p(found["p_holm"]) if "p_holm" in found else _NONE
                    rows.append(
                        (benchmark, name, words, f"{found['problems']:,}", shown, _p(found["p"]), corrected)
                    )
    return rows


def _lengths(document: Mapping[str, Any]) -> Rows:
    names = ("mean", "median", "p90", "p95", "p99", "max")
    rows: Rows = [
        (
            "",
            "arm",
            "runs",
            "cut off",
            *names,
            "closed",
            "from outside",
            "at the limit",
            "mid-thought",
            "no thinking",
        )
    ]
    for benchmark, group in _groups(document):
        for name, figures in group["arms"].items():
            spread, endings = figures["thinking"], figures["endings"]
            lengths = (f"{'≥ ' * (n in spread['at_least'])}{spread[n]:,.0f}" for n in names)
            rows.append(
                (
                    benchmark,
                    name,
                    f"{figures['runs']:,}",
                    f"{spread['cut_off']:,}",
                    *lengths,
                    *(f"{endings[how]:,}" for how in ("closed", "forced", "limit", "stopped", "none")),
                )
            )
    return rows


def _closing(document: Mapping[str, Any]) -> Iterator[str]:
    if not (budget := document["budget"]):
        return
    yield f"<h2>Where thinking is closed, by the budget of {budget:,} tokens, % of runs</h2>"
    rows: Rows = [
        ("", "arm", "before 95%", "95% to 99%", "at it (±1%)", "beyond", "not by itself", "no thinking")
    ]
    for benchmark, group in _groups(document):
        for name, figures in group["arms"].items():
            rows.append((benchmark, name, *map(_interval, figures["closing"].values())))
    yield table(rows)


def _degeneration(document: Mapping[str, Any]) -> Iterator[str]:
    grams = [f"repeated runs of {n} words, %" for n in GRAMS]
    rows: Rows = [
        ("", "arm", "runs that end in a loop, %", "words in it, %", *grams, "compressed to, %", "strange, %")
    ]
    for benchmark, group in _groups(document):
        for name, figures in group["arms"].items():
            if found := figures["degeneration"]:
                repeated = map(_percent, found["repeated"].values())
                rows.append(
                    (
                        benchmark,
                        name,
                        _interval(found["loops"]),
                        _percent(found["words_in_loops"]),
                        *repeated,
                        _percent(found["compressed"]),
                        _interval(found["strange"]),
                    )
                )
    if len(rows) > 1:
        yield "<h2>Loops and word salad</h2>"
        yield table(rows)


def _by_length(document: Mapping[str, Any]) -> Rows:
    """Bins are common to all arms; each has its runs in brackets."""
    rows: Rows = []
    for benchmark, group in _groups(document):
        bins = next(iter(group["by_length"].values()))
        rows.append((benchmark, "tokens", *map(bin_name, bins)))
        for name, found in group["by_length"].items():
            rows.append(("", name, *(f"{_interval(each['score'])} ({each['runs']:,})" for each in found)))
    return rows


def _tokens(document: Mapping[str, Any]) -> Rows:
    price = document["price"]
    head = [
        "",
        "arm",
        "a run, mean over problems",
        "in all",
        "score a 1,000 tokens",
        "saved a run",
        "saved in all",
    ]
    rows: Rows = [(*head, *(["cost", "saved"] if price is not None else []))]
    for benchmark, group in _groups(document):
        for name, figures in group["arms"].items():
            tokens, compared = figures["tokens"], group["against"].get(name)
            saved = compared["tokens"] if compared else None
            rate = figures["score_per_1000_tokens"]
            money = []
            if price is not None:
                money = [_money(tokens["total"], price), _money(saved["saved"], price) if saved else ""]
            rows.append(
                (
                    benchmark,
                    name,
                    _bounds(tokens, "{:,.0f}".format),
                    f"{tokens['total']:,}",
                    _NONE if rate is None else f"{100 * rate:.2f}",
                    _bounds(_negative(saved["difference"]), "{:,.0f}".format) if saved else "",
                    f"{saved['saved']:,.0f}" if saved else "",
                    *money,
                )
            )
    return rows


def _dial(document: Mapping[str, Any]) -> Iterator[str]:
    if not document["dial"]:
        return
    yield "<h2>Budgets asked for, and thinking that came</h2>"
    rows: Rows = [
        (
            "",
            "asked",
            "runs",
            "median",
            "10%",
            "90%",
            "within 1%, %",
            "within 10%, %",
            "over by more than 1%, %",
            "not closed by itself",
        )
    ]
    words = {True: "rises with what was asked", False: "does not rise with it", None: "one step only"}
    for name, found in document["dial"].items():
        for step in found["steps"]:
            lengths = (f"{step[key]:,}" for key in ("asked", "runs", "median", "p10", "p90"))
            near = (_percent(step[key]) for key in ("within_1", "within_10", "over"))
            rows.append((name, *lengths, *near, f"{step['not_closed']:,}"))
        rows.append((name, f"the median {words[found['monotone']]}"))
    yield table(rows)


def _methods(document: Mapping[str, Any]) -> Iterator[str]:
    first = document["arms"][0]
    yield "A score or rate is the mean over problems of the mean over their runs; “all” is over all problems, whatever their benchmark."
    yield (
        "Intervals of scores and rates are Wilson's, for as many independent runs as vary as much as the problems do; where no "
        "problem differs from another, for as many runs as there are problems."
    )
    yield (
        f"Intervals of differences and of tokens are by 10,000 bootstrap draws of problems (seed {document['seed']}); p-values by "
        "flipping the sign of each problem's difference: exactly for scores of 0 and 1 (with one run a problem that is "
        "McNemar's exact test), else by 20,000 draws."
    )
    yield "Where no problem differs between two arms, the interval has no width, and says no more than that."
    yield "Δ rel is of the value before: −98.9% is a rate that fell to about a ninetieth."
    yield (
        f"“Finished before” are the problems of which {first} closed every run within the context. They were chosen by its luck, "
        "so where runs of a problem differ, the cost on them is rather too high."
    )
    yield (
        "Survival is Kaplan and Meier's: a run that was cut off, or closed from outside, counts as lasting longer than that. “all” "
        "mixes benchmarks."
    )
    yield "Bins of length are quantiles of the runs of all arms together. Long runs are on hard problems: a low score there is no effect of length."
    yield (
        f"A loop is one passage that ends the thinking, {TURNS} times or more to the word, over {LOOP_WORDS} words at least. Repeated runs "
        "of words also count what comes again with changes; like compression they rise with length alone, so compare them "
        "between arms of like length."
    )
    yield (
        f"Strange is the share of stretches of {STRETCH} words that a model of word pairs finds more surprising than 99 in 100 of those that "
        f"{first} closed by itself (so about 1% is what good text has), a problem's own runs always left out. It catches words in "
        "no order, other languages and broken characters, not fluent nonsense; “–” where there is too little to hold it against."
    )
    yield "Tokens of output are of thinking and answer, without the tags. Saved in all is over the runs of the first arm."


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _relative(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:+.1f}%".replace("-", "−")


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _interval(interval: Mapping[str, Any] | None) -> str:
    return _NONE if interval is None else _bounds(interval, _percent)


def _signed(interval: Mapping[str, Any]) -> str:
    return _bounds(interval, lambda value: f"{100 * value:+.1f}".replace("-", "−"))


def _signed_tokens(interval: Mapping[str, Any]) -> str:
    return _bounds(interval, lambda value: f"{value:+,.0f}".replace("-", "−"))


def _negative(interval: Mapping[str, Any]) -> dict[str, Any]:
    low, high = interval["low"], interval["high"]
    return {
        "value": -interval["value"],
        "low": None if high is None else -high,
        "high": None if low is None else -low,
    }


def _bounds(interval: Mapping[str, Any], shown: Any) -> str:
    if interval["low"] is None:
        return str(shown(interval["value"]))
    return f"{shown(interval['value'])} [{shown(interval['low'])}, {shown(interval['high'])}]"


def _money(tokens: float, price: float) -> str:
    return f"{tokens * price / 1e6:,.2f}"
