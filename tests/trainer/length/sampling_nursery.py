"""A nursery (see `tests.trainer.nursery`) for commands that sample: it imports no torch, and so starts in a quarter of the time."""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.trainer.nursery import ROOT, Nursery, _fork


class SamplingNursery(Nursery):
    """The process that forks."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )


_IMPORTED = (
    "rich.progress",
    "transformers.models.auto.tokenization_auto",
    "dataforge.cli._length_book",
    "dataforge.models.openai",
    "trainer.length.sample",
    "trainer.pretrained",
)


def _serve() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        question = json.loads(line)
        if "run" in question:
            answer = _fork(question["run"], question["log"], question["environment"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(question["wait"], 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _serve()
