"""The audit of a log: what each rule takes, how often they differ, and what the headline depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataforge.errors import InputError
from evals.audit import audit
from evals.log import Log, write_log
from evals.task import Item
from schemas.evallog import Sample
from schemas.task import Task
from tests.cli.commands import dataforge

SAID = {
    "plain": ("Answer: B", "right", "B"),
    "doubt": ("It may be A, it may be B. I cannot tell.", "unparsed", None),
    "letter": ("A good question. Answer: C", "wrong", "C"),
    "lost": ("", "unserved", None),
}


def a_log(folder: Path, verifier: str = "multiple_choice") -> tuple[Log, dict[str, Item]]:
    items = {
        name: Item(
            name,
            Task(prompt="Which?", verifier=verifier, facts={"answer": "B", "options": ["w", "x", "y", "z"]}),
        )
        for name in SAID
    }
    samples = [
        Sample(
            task="multiple_choice",
            item=name,
            completion=text,
            status=status,  # type: ignore[arg-type]
            score=None if status == "unserved" else float(status == "right"),
            extracted=taken,
            finish_reason="stop" if text else None,
        )
        for name, (text, status, taken) in SAID.items()
    ]
    manifest = {"task": "multiple_choice", "model": {"role": "m", "model": "m"}, "verifier": {verifier: 1}}
    write_log(folder, manifest, samples, items.values())
    return Log(folder, manifest, samples), items


def test_each_rule_is_scored_and_what_was_lost_is_left_out(tmp_path: Path) -> None:
    log, items = a_log(tmp_path / "log")
    found = audit(log, items)
    assert found.rules[0] == "ours"
    assert len(found.reads) == 3
    assert found.scores["ours"].value == pytest.approx(1 / 3)
    assert found.takes["ours"] == pytest.approx(2 / 3)
    doubt = next(read for read in found.reads if read.sample.item == "doubt")
    assert doubt.taken["ours"] is None
    assert any(taken is not None for taken in doubt.taken.values()), "some rule invents a letter here"
    values = [figure.value for figure in found.scores.values()]
    assert found.swing == pytest.approx(max(values) - min(values))
    for (a, b), share in found.disagreement.items():
        assert share == pytest.approx(sum(r.scores[a] != r.scores[b] for r in found.reads) / 3)


def test_a_judge_is_one_of_the_rules(tmp_path: Path) -> None:
    log, items = a_log(tmp_path / "log")
    found = audit(log, items, {("plain", 0): "B", ("doubt", 0): None, ("letter", 0): "B"})
    assert found.rules[-1] == "judge"
    assert found.scores["judge"].value == pytest.approx(2 / 3)
    assert found.disagreement["ours", "judge"] == pytest.approx(1 / 3)


def test_the_command_shows_a_table_and_the_samples(tmp_path: Path) -> None:
    a_log(tmp_path / "log")
    done = dataforge("eval", "audit", "log", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "| ours | 33.3" in done.out
    assert "The headline swings by" in done.out
    told = dataforge("eval", "audit", "log", "--json", cwd=tmp_path).json()
    assert told["samples"] == 3
    assert set(told["scores"]) == set(told["rules"])


def test_rules_are_known_for_choices_and_values_alone(tmp_path: Path) -> None:
    log, items = a_log(tmp_path / "log", "schema")
    with pytest.raises(InputError) as caught:
        audit(log, items)
    assert caught.value.code == "E024"
    done = dataforge("eval", "audit", "log", cwd=tmp_path)
    assert (done.code, "error[E024]" in done.err) == (2, True)
