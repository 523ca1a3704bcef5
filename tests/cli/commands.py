"""Runs `dataforge` as people do: in a process of its own, with its own environment and folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
GRAPHS = REPOSITORY / "graphs"
OURS = ("OPENAI_", "DATAFORGE_")


def environment(**more: str) -> dict[str, str]:
    """The environment without what would bind models or colour the output."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(OURS) and k not in ("FORCE_COLOR", "COLUMNS")
    }
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", **more}


@dataclass(frozen=True)
class Done:
    """What a command left: exit code and output."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "dataforge", *map(str, arguments)]


def dataforge(*arguments: str | Path, cwd: Path, stdin: str = "", **env: str) -> Done:
    """Run a command to its end, with no terminal."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**env),
        input=stdin.encode(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return Done(done.returncode, out, err)


def printed(*arguments: str | Path, cwd: Path) -> dict[str, Any]:
    """What a command that must succeed prints as JSON. Training takes its time on a busy machine."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=environment(OMP_NUM_THREADS="1"), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def project(folder: Path) -> Path:
    """A starter project whose models are recordings; `--models models.toml` binds them. Returns its folder."""
    assert dataforge("init", folder, cwd=folder.parent).code == 0
    record(
        folder / "writer.jsonl",
        {
            "contains": "Summarise",
            "text": "Each part of light can be stopped alone, and the rest of it goes on as before.",
        },
        {
            "contains": "Write one short question",
            "texts": ["What is a ray of light?", "Can light be stopped?"],
        },
        {"contains": "Answer this question", "text": "The least part of light that can be stopped alone."},
    )
    verdict = {
        "criteria": [{"criterion": c, "score": 4, "reason": "fits"} for c in ("relevance", "grounding")]
    }
    record(folder / "critic.jsonl", {"contains": "", "text": json.dumps(verdict)})
    (folder / "models.toml").write_text(
        '[models.writer]\nbackend = "replay"\npath = "writer.jsonl"\n'
        '[models.critic]\nbackend = "replay"\npath = "critic.jsonl"\n'
    )
    return folder


def record(path: Path, *lines: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
