"""Comparing: intervals cover, tests hold their level, pairing and set-ups are what they should be; by simulation and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.compare import compare, difference
from evals.log import Log, write_log
from evals.summary import summarise
from evals.tables import markdown, page
from schemas.evallog import Sample
from tests.cli.commands import dataforge

PROBLEMS, SAMPLES = 60, 4


def simulated(rng: np.random.Generator, chances: np.ndarray, clusters: int = 0) -> list[Sample]:
    """Answers of a model that is right with a chance of its own at each problem."""
    right = rng.random((len(chances), SAMPLES)) < chances[:, None]
    return [
        Sample(task="t", item=str(item), sample=k, cluster=str(item % clusters) if clusters else "",
               status="right" if right[item, k] else "wrong", score=float(right[item, k]), finish_reason="stop")
        for item in range(len(chances))
        for k in range(SAMPLES)
    ]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [(2.0, 2.0), (1.0, 4.0), (0.5, 0.5)])
def test_intervals_hold_the_true_score(a: float, b: float) -> None:
    """Of models whose problems are drawn from a law, 95% intervals hold the law's mean in at least 93% of 400 draws."""
    rng = np.random.default_rng(int(10 * a + b))
    held = 0
    for _ in range(400):
        score = summarise(simulated(rng, rng.beta(a, b, PROBLEMS))).score
        assert score is not None
        assert score.low is not None
        assert score.high is not None
        held += score.low <= a / (a + b) <= score.high
    assert held / 400 >= 0.93


def test_intervals_are_wider_where_problems_come_in_clusters() -> None:
    """Of clusters whose problems are alike, an interval that took them for independent would hold far less often."""
    rng = np.random.default_rng(5)
    held = blind = 0
    for _ in range(300):
        chances = np.tile(rng.beta(1, 1, 12), 5)  # 12 clusters of 5 problems alike
        samples = simulated(rng, chances, clusters=12)
        score = summarise(samples).score
        alone = summarise([s.model_copy(update={"cluster": ""}) for s in samples]).score
        assert score is not None
        assert alone is not None
        held += score.low <= 0.5 <= score.high  # type: ignore[operator]
        blind += alone.low <= 0.5 <= alone.high  # type: ignore[operator]
    assert held / 300 >= 0.93
    assert blind / 300 < 0.8


def test_paired_tests_hold_their_level_and_find_what_they_should() -> None:
    rng = np.random.default_rng(7)
    alarms = found = covered = 0
    gain = 0.15
    for _ in range(300):
        chances = rng.beta(2, 2, PROBLEMS) * (1 - gain)
        first, same = simulated(rng, chances), simulated(rng, chances)
        better = simulated(rng, chances + gain)
        none, some = difference(first, same), difference(first, better)
        assert none is not None
        assert some is not None
        alarms += none.p <= 0.05
        found += some.p <= 0.05
        covered += some.value.low <= gain <= some.value.high  # type: ignore[operator]
    assert alarms / 300 <= 0.075
    assert covered / 300 >= 0.93
    assert found / 300 >= 0.8, "a gain twice as large as what it would show"


def test_what_would_be_shown_is_shown_four_times_of_five() -> None:
    rng = np.random.default_rng(11)
    chances = rng.beta(2, 2, PROBLEMS) * 0.8
    told = difference(simulated(rng, chances), simulated(rng, chances + 0.1))
    assert told is not None
    assert told.detectable is not None
    shown = 0
    for _ in range(300):
        drawn = rng.beta(2, 2, PROBLEMS) * (1 - told.detectable)
        each = difference(simulated(rng, drawn), simulated(rng, drawn + told.detectable))
        assert each is not None
        shown += each.p <= 0.05
    assert 0.7 <= shown / 300 <= 0.92


def log(path: Path, samples: list[Sample], **manifest: Any) -> Log:
    told = {"task": "t", "model": {"model": path.name}, "sampling": {"temperature": 0.6}, **manifest}
    write_log(path, told, samples)
    return Log(path, {"forge_eval": 1, **told}, tuple(samples))


def test_only_what_both_answered_is_compared_and_the_rest_is_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    first = simulated(rng, np.full(10, 0.5))
    second = [s for s in simulated(rng, np.full(12, 0.5)) if s.item != "3"]
    second[0] = second[0].model_copy(update={"status": "timeout", "score": None})
    told = difference(first, second)
    assert told is not None
    assert (told.clusters, told.left_out) == (9, 3)
    only = [s.model_copy(update={"status": "timeout", "score": None}) if s.item == "0" else s for s in second]
    assert difference(first, only).clusters == 8  # type: ignore[union-attr]


def test_the_table_names_what_differs_in_the_set_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    logs = [
        log(tmp_path / "base", simulated(rng, np.full(30, 0.4))),
        log(
            tmp_path / "tuned", simulated(rng, np.full(30, 0.9)), sampling={"temperature": 1.0}, thinking="on"
        ),
    ]
    [comparison] = compare(logs)
    assert comparison.rows[1].setup == {
        "model.model": ("base", "tuned"), "sampling.temperature": (0.6, 1.0), "thinking": (None, "on"),
    }  # fmt: skip
    table = markdown([comparison])
    assert "sampling.temperature: 0.6 → 1.0" in table
    assert "p < 0.001" in table
    html = page([log_with_markup(tmp_path)])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def log_with_markup(tmp_path: Path) -> Any:
    rng = np.random.default_rng(3)
    hostile = "<script>alert(1)</script>"
    [comparison] = compare(
        [
            log(tmp_path / "one", simulated(rng, np.full(5, 0.5)), name=hostile),
            log(tmp_path / "two", simulated(rng, np.full(5, 0.5)), name="two"),
        ]
    )
    return comparison


def test_as_people_run_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    log(tmp_path / "a" / "t", simulated(rng, np.full(20, 0.4)), name="first")
    log(tmp_path / "b" / "t", simulated(rng, np.full(20, 0.6)), name="second")
    done = dataforge("eval", "compare", "a", "b", cwd=tmp_path)
    assert done.code == 0
    assert "| first |" in done.out
    told = dataforge("eval", "compare", "a", "b", "--json", cwd=tmp_path).json()
    assert [row["label"] for row in told[0]["rows"]] == ["first", "second"]
    assert json.dumps(told)
    assert dataforge("eval", "compare", "a", "b", "-o", "c.html", cwd=tmp_path).code == 0
    assert (tmp_path / "c.html").read_text().startswith("<!DOCTYPE html>")
    alone = dataforge("eval", "compare", "a", cwd=tmp_path)
    assert (alone.code, "error[E023]" in alone.err) == (2, True)
