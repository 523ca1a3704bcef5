"""docs/evals.md: what it shows runs, what it lists is there, and what it says of the cases holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from dataforge.cli.eval import register
from evals.extraction import gold
from evals.registry import find, names
from schemas.evallog import GRADED, LOST, OF_THE_MODEL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evals.md").read_text(encoding="utf-8")


def test_the_example_of_a_task_runs() -> None:
    [code] = re.findall(r"<!-- run -->\n```python\n(.*?)\n```", PAGE, flags=re.DOTALL)
    exec(compile(code, "docs/evals.md", "exec"), {"__name__": "page"})


def test_the_table_lists_every_evaluation_in_its_family() -> None:
    part = PAGE.partition("## The evaluations")[2].partition("\n## ")[0]
    listed = {
        name: family.strip()
        for family, cells in re.findall(r"^\| (\w+) \| (`.*`) \|$", part, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cells)
    }
    assert listed == {name: find(name).family for name in names()}


def test_the_table_lists_every_status() -> None:
    part = PAGE.partition("## What a sample can be")[2].partition("\n## ")[0]
    rows = "\n".join(line.split("|")[1] for line in part.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == {*GRADED, *OF_THE_MODEL, *LOST}


@pytest.mark.parametrize("line", re.findall(r"^dataforge eval .*$", PAGE, flags=re.MULTILINE))
def test_the_options_that_it_names_are_there(line: str) -> None:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    group: Any = typer.main.get_command(app)
    evals = group.commands["eval"]
    words = line.split()[2:]
    command = evals.commands.get(words[0], evals.commands["run"])
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_cases_are_as_many_as_it_says() -> None:
    cases = list(gold())
    none = sum(case.expected is None for case in cases)
    assert f"{len(cases)} completions written by hand" in PAGE
    assert f"where there is no answer, of {none})" in PAGE
