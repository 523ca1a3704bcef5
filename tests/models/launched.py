"""What tests of launched servers share: where the stand-in is, what it was told, and whether it has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAND_IN = Path(__file__).with_name("sglang_stand_in.py")
KEY = "sk-planted-0123456789.abcdef"


def told(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def lives(pid: int) -> bool:
    """Whether a process runs. One that has ended and waits to be reaped by whoever adopted it does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(record: Path) -> bool:
    """Whether every server that was launched has ended, with the processes that it started."""
    pids = [line[key] for line in told(record) for key in ("pid", "helper")]
    return bool(pids) and eventually(lambda: not any(map(lives, pids)))
