"""The main job on the embedded models, as the README says it: a corpus, read back and checked from its stored state."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataforge.corpus.read import read_manifest, read_rows
from dataforge.plan.artifact import compile_program
from dataforge.verifiers import Response, find, verify
from schemas.task import Task
from tests.e2e.test_run import recheck

ROOT = Path(__file__).parent.parent.parent
ROWS = 12


def quickstart(out: Path, rows: int) -> list[str]:
    """The README's main command, for fewer rows."""
    return [
        sys.executable, "-m", "dataforge", "run", str(ROOT / "graphs" / "quickstart.forge"),
        "--rows", str(rows), "--out", str(out), "--json",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A corpus of a few rows, and what the run said of it. Which answers are good enough differs a little by machine."""
    out = tmp_path_factory.mktemp("quickstart") / "out"
    done = subprocess.run(quickstart(out, ROWS), capture_output=True, check=True)
    return out, json.loads(done.stdout)


@pytest.mark.embedded
def test_quickstart_makes_a_corpus_that_keeps_its_contracts(made: tuple[Path, dict[str, Any]]) -> None:
    out, first = made
    assert first["attempted"] == ROWS == first["kept"] + first["rejected"]
    assert first["kept"] >= 1
    done = subprocess.run(quickstart(out, ROWS), capture_output=True, check=True)
    again = json.loads(done.stdout)
    assert (again["calls"], again["resumed"], again["kept"]) == (0, ROWS, first["kept"])

    plan = compile_program(ROOT / "graphs" / "quickstart.forge")
    rows = list(read_rows(out))
    finals = [row for row in rows if row.kind == "final"]
    assert len(finals) == first["kept"]
    for row in finals:
        assert recheck(plan, row) == []
        assert [m.role for m in row.messages] == ["user", "assistant"]
        assert row.verdicts
    manifest = read_manifest(out)
    assert manifest["models"]["critic"]["smoke_grade"]
    assert "Smoke grade" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.embedded
def test_easy_tasks_are_sampled_until_an_answer_is_right(tmp_path: Path) -> None:
    """A model of 135M parameters writes some answers of a simple form; whatever is kept passes its verifier again."""
    tasks = ROOT / "graphs" / "tasks" / "easy.jsonl"
    command = [
        sys.executable, "-m", "dataforge", "run", str(ROOT / "graphs" / "rejection.forge"),
        "--seeds", str(tasks), "--rows", "4", "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    first = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert first["attempted"] == 4 == first["kept"] + first["rejected"]
    assert first["kept"] >= 1
    finals = [row for row in read_rows(tmp_path / "out") if row.kind == "final"]
    for row in finals:
        task = Task.model_validate(json.loads(row.state)["Task"])
        assert verify(find(task.verifier), task, Response(row.messages[-1].content, reasoning="")).passed
    for row in read_rows(tmp_path / "out", rejected=True):
        if json.loads(row.reason or "{}")["code"] == "R111" and row.kind == "call":
            task = Task.model_validate(json.loads(row.state)["Task"])
            assert not verify(find(task.verifier), task, Response(row.messages[-1].content)).passed


@pytest.mark.embedded
def test_load_dataset_reads_the_corpus(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    out, told = made
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(out / "data" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert loaded.num_rows == told["samples"]
    assert {"messages", "state", "verdicts", "path"} <= set(loaded.column_names)
    assert set(loaded[0]["messages"][0]) >= {"role", "content", "train"}
