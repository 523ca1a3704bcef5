"""Control groups: bounds on processes and memory of a whole container, and its CPU time, where we may make groups.

Both versions of the interface. A group is made beneath the one that this process is in, so bounds set from outside hold
too; version 2 forbids groups with children to hold processes, so there it is made beside. What cannot be had is left out,
and `Groups.has` tells: a container without them falls back on limits a process (see `docs/decisions/018-sandbox.md`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "dataforge-sandbox-"
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Home:
    """Where groups can be made: a folder for each controller; of version 2 they are all one."""

    version: int
    parents: tuple[tuple[str, Path], ...]


@functools.cache
def home() -> Home:
    """Where this process may make groups."""
    return find_home(
        Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace"),
        Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace"),
    )


def find_home(mounts: str, groups: str) -> Home:
    """Likewise, from what /proc says of mounts and of the groups of a process."""
    mine = {
        name: path
        for line in groups.splitlines()
        for _, names, path in [line.split(":", 2)]
        for name in names.split(",")
    }
    parents: dict[str, Path] = {}
    unified: list[tuple[str, Path]] = []
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup":
            for controller in {"pids", "memory", "cpuacct"} & set(options.split(",")):
                if controller in mine and (folder := _usable(place, mine[controller])) is not None:
                    parents[controller] = folder
        elif kind == "cgroup2" and "" in mine:
            unified = _usable_v2(place, mine[""])
    if parents:
        return Home(1, tuple(sorted(parents.items())))
    return Home(2, tuple(unified))


def _usable(place: str, group: str) -> Path | None:
    for folder in (Path(place + group), Path(place)):
        if folder.is_dir() and _makes(folder):
            return folder
    return None


def _usable_v2(place: str, group: str) -> list[tuple[str, Path]]:
    """The nearest group above, with the controllers that it hands down."""
    own = Path(place + group.rstrip("/"))
    for folder in (own, *own.parents):
        if not folder.is_relative_to(place):
            break
        try:
            handed = set((folder / "cgroup.subtree_control").read_text().split())
        except OSError:
            continue
        if {"memory", "pids"} <= handed and _makes(folder):
            return [(name, folder) for name in ("cpu", "memory", "pids")]
    return []


def _makes(folder: Path) -> bool:
    """Whether groups can be made there and processes moved in: by doing the first."""
    trial = folder / f"{PREFIX}{os.getpid()}-{next(_serial)}"
    try:
        trial.mkdir()
    except OSError:
        return False
    try:
        return os.access(trial / "cgroup.procs", os.W_OK)
    finally:
        with contextlib.suppress(OSError):
            trial.rmdir()


class Groups:
    """One container's groups."""

    def __init__(self, where: Home) -> None:
        name = f"{PREFIX}{os.getpid()}-{next(_serial)}"
        self._version = where.version
        self._folders: dict[str, Path] = {}
        self._set: dict[str, int] = {}
        try:
            for controller, parent in where.parents:
                (parent / name).mkdir(exist_ok=True)
                self._folders[controller] = parent / name
        except OSError:
            self.close()
            raise

    @staticmethod
    def available(controller: str) -> bool:
        """Whether this machine lets us bound `pids` or `memory`."""
        return controller in dict(home().parents)

    def has(self, controller: str) -> bool:
        """Whether `pids` or `memory` is bounded, or `cpu` measured."""
        if controller == "cpu":
            return "cpuacct" in self._folders or "cpu" in self._folders
        return controller in self._folders

    def take(self, process: int) -> None:
        """Put a process in; what it starts is in too."""
        for folder in dict.fromkeys(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(process))

    def bound(self, memory_bytes: int, processes: int) -> None:
        """Set the bounds of what runs next."""
        if "pids" in self._folders:
            self._write("pids", "pids.max", processes)
        if "memory" in self._folders:
            self._write(
                "memory", "memory.limit_in_bytes" if self._version == 1 else "memory.max", memory_bytes
            )
            if self._version == 2:
                self._write("memory", "memory.swap.max", 0)

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        if self._version == 1:
            return int((self._folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        text = (self._folders["cpu"] / "cpu.stat").read_text()
        found = re.search(r"^usage_usec (\d+)", text, re.MULTILINE)
        return int(found[1]) / 1e6 if found else 0.0

    def killed(self) -> int:
        """How many processes were killed so far since memory was short."""
        if "memory" not in self._folders:
            return 0
        name = "memory.oom_control" if self._version == 1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)", (self._folders["memory"] / name).read_text(), re.MULTILINE)
        return int(found[1]) if found else 0

    def close(self) -> None:
        """Remove the groups; those in them are dead or dying."""
        for folder in dict.fromkeys(self._folders.values()):
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)  # the kernel has not let go of the last process yet
                else:
                    break
        self._folders.clear()

    def _write(self, controller: str, file: str, value: int) -> None:
        if self._set.get(file) != value:
            try:
                (self._folders[controller] / file).write_text(str(value))
            except FileNotFoundError:
                if file != "memory.swap.max":  # a kernel without swap accounting has none
                    raise
            self._set[file] = value


def sweep(where: Home) -> None:
    """Remove groups that a killed process left behind."""
    for _, parent in where.parents:
        for folder in _left(parent):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _left(parent: Path) -> Iterator[Path]:
    for folder in parent.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            yield folder
