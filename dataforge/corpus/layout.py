"""The files of a corpus directory: their names."""

from __future__ import annotations

from dataforge.run.output import REJECTED, TRAIN

MANIFEST = "manifest.json"
CARD = "README.md"
PLAN = "plan.json"
FOLDERS = {TRAIN: "data", REJECTED: "rejected"}


def shard_name(kind: str, number: int, of: int) -> str:
    return f"{kind}-{number:05d}-of-{of:05d}.parquet"
