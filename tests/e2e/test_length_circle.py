"""Length control of the embedded model, by the commands that the documentation gives, with less of everything.

The rows that give it the `<think>` form come from a graph of ours; what they promise is held here too.
"""

from __future__ import annotations

import calendar
import importlib.util
import json
import re
import subprocess
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest

from dataforge.corpus.read import read_rows
from tests.cli.commands import GRAPHS, command, dataforge, printed

DAYS, MONTHS = list(calendar.day_name), list(calendar.month_name)[1:]


@pytest.fixture(scope="module")
def thinking() -> ModuleType:
    """The functions behind the graph."""
    spec = importlib.util.spec_from_file_location("thinking", GRAPHS / "thinking.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_problem_of_one_part_is_in_another(thinking: ModuleType) -> None:
    parts = {
        part: {p["text"] for p in islice(thinking.drawn(part, part), 200)} for part in set(thinking.PARTS)
    }
    assert all(len(texts) == 200 for texts in parts.values())
    assert len(set.union(*parts.values())) == 200 * len(parts)


def test_rows_think_step_by_step_to_the_right_answer(tmp_path: Path) -> None:
    """Told by counting on the calendar and in numbers, not by the functions that made them."""
    assert dataforge("run", GRAPHS / "thinking.forge", "--out", tmp_path / "lessons", cwd=tmp_path).code == 0
    rows = list(read_rows(tmp_path / "lessons"))
    assert len(rows) == 640
    passes = []
    for row in rows:
        asked, said = row.messages
        first, *checks = (said.reasoning_content or "").split("\n")
        chain, _, answer = first.rstrip(".").rpartition(" So it is ")
        assert said.content == f"The answer is {answer}."
        assert all(chain in check and check.endswith(f"Yes, {answer}.") for check in checks)
        assert chain.rstrip(".").endswith(f" {answer}")
        numbers = [int(number) for number in re.findall(r"\d+", asked.content)]
        if json.loads(row.state)["Problem"]["family"] == "story":
            change = numbers[1] if "more" in asked.content.partition(".")[0] else -numbers[1]
            assert int(answer) == numbers[0] + change
        else:
            start = asked.content.rstrip("?").rpartition(" ")[2]
            circle = DAYS if start in DAYS else MONTHS
            assert answer == circle[(circle.index(start) + numbers[0]) % len(circle)]
        assert chain.count(":") == numbers[-1]
        passes.append(1 + len(checks))
    # Checked again often, and closed in the end.
    assert min(passes) == 1
    assert max(passes) > 4
    assert sum(passes) / len(passes) > 2


@pytest.mark.embedded
@pytest.mark.slow
def test_the_embedded_model_learns_to_think_and_is_measured_cut_and_tuned(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out"
    printed("run", GRAPHS / "thinking.forge", "--rows", "2", "--out", "out/lessons", "--json", cwd=tmp_path)
    for part, count in (("practice", 6), ("exam", 4)):
        done = subprocess.run(
            [*command()[:1], str(GRAPHS / "thinking.py"), part, str(count)], capture_output=True, check=True
        )
        (out / f"{part}.jsonl").write_bytes(done.stdout)
    printed(
        "train", "--preset", "smollm2-135m", "--data", "out/lessons", "--out", "out/stage1", "--json",
        "--set", "data.context=192", "--set", "train.steps=10", "--set", "optimizer.lr=5e-4",
        "--set", "checkpoint.every=0", "--set", "train.threads=1", cwd=tmp_path,
    )  # fmt: skip
    settings = (GRAPHS / "length.toml").read_text()
    for old, new in (
        ("budgets = [96]", "budgets = [24]"),
        ("rows = 4", "rows = 2"),
        ("epochs = 1", "steps = 2"),
    ):
        assert old in settings
        settings = settings.replace(old, new, 1)
    (tmp_path / "length.toml").write_text(settings)
    report = printed("length", "run", "length.toml", "--out", "out/length", "--json", cwd=tmp_path)
    assert report["arms"] == ["before", "forced 24", "control", "after"]
    stages = {
        name: json.loads((out / "length" / name / "stage.json").read_text())["result"]
        for name in ("sampled", "masked", "tuned", "after")
    }
    (cut,) = stages["sampled"]["arms"]
    assert cut["trainable"] >= 1
    # Three tokens spell the tag in this vocabulary, and one ends the turn.
    assert stages["masked"]["trained"]["least"] == stages["masked"]["trained"]["most"] == 4
    assert stages["tuned"]["mix"]["masked"]["trained"] == 4 * cut["trainable"]
    assert stages["after"]["arms"][0]["traces"] == 4
