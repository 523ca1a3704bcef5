"""From a run that really verifies to a pair: what the engine leaves is what the export looks for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import GRAPHS, dataforge
from tests.models.scripted_server import ScriptedServer, says


def test_winners_and_losers_of_a_run_become_pairs_and_groups(tmp_path: Path):
    pytest.importorskip("math_verify")
    right = says("Counting up from one by one gives \\boxed{2}.")
    wrong = says("I would guess that it may be \\boxed{3}.")
    shutil.copy(GRAPHS / "rejection.forge", tmp_path)
    (tmp_path / "dataforge.toml").write_text('[project]\nname = "t"\n')
    (tmp_path / "tasks.jsonl").write_text(
        json.dumps({"prompt": "1 + 1?", "facts": {"answer": "2"}, "verifier": "maths"}) + "\n"
    )
    # The first request asks only whether the model answers.
    with ScriptedServer([says(), right, wrong, wrong, wrong]) as server:
        (tmp_path / "models.toml").write_text(
            f'[models.solver]\nbackend = "openai"\nmodel = "m"\nbase_url = "{server.url}"\n'
        )
        ran = dataforge(
            "run",
            "rejection.forge",
            "--seeds",
            "tasks.jsonl",
            "--models",
            "models.toml",
            "--out",
            "out",
            cwd=tmp_path,
        )
    assert ran.code == 0, ran.err
    assert dataforge("export", "out", "--to", "preference", "-o", "pairs.jsonl", cwd=tmp_path).code == 0
    pair = json.loads((tmp_path / "pairs.jsonl").read_text())
    assert "boxed{2}" in pair["chosen"][0]["content"]
    assert "boxed{3}" in pair["rejected"][0]["content"]
    assert dataforge("export", "out", "--to", "groups", "-o", "groups.jsonl", cwd=tmp_path).code == 0
    assert json.loads((tmp_path / "groups.jsonl").read_text())["scores"] == [1.0, 0.0, 0.0, 0.0]
