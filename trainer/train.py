"""The loop: batches in, steps out, nothing lost.

`train` reads from top to bottom as a run goes: join, prepare the data, load, parallelise, resume, step, save, export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.config import Config


def train(config: Config, out: Path) -> dict[str, Any]:
    """Train, or go on where an earlier start of the same run in `out` was stopped.

    Returns:
        The summary of the run, as `summary.json` has it.

    Raises:
        InputError: configuration, data or model are wrong (T…).
        RunError: the loss is not a number (T010), the disk refused (R021).
        Interrupted: SIGINT or SIGTERM; a checkpoint was written.
    """
    raise NotImplementedError
