"""CPU time of a tree of processes, from /proc: where no control group accounts for them together.

A lower bound: a process that came and went between two looks, and whose parent does not wait for it, is not seen. Two sums
are each at most the truth, so the greater of them is too: what every process ever seen had used when it was last seen,
and what those alive have used with all children that they waited for.
"""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


class Tally:
    """The time that a process and its descendants use from now on."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._seen: dict[int, int] = {}
        self._alive = 0
        self._look()
        self._before = self._sums()

    def cpu_s(self) -> float:
        """CPU seconds so far, at least."""
        self._look()
        return max(now - before for now, before in zip(self._sums(), self._before, strict=True)) * _TICK_S

    def _sums(self) -> tuple[int, int]:
        return sum(self._seen.values()), self._alive

    def _look(self) -> None:
        self._alive = 0
        waiting = [self._root]
        while waiting:
            process = waiting.pop()
            try:
                text = Path(f"/proc/{process}/stat").read_bytes()
                for task in Path(f"/proc/{process}/task").iterdir():
                    waiting += map(int, (task / "children").read_bytes().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # gone
            user, system, of_children, system_of_children = map(int, text.rpartition(b")")[2].split()[11:15])
            self._seen[process] = user + system
            self._alive += user + system + of_children + system_of_children
