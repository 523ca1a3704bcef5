"""What a run may use, what became of it, and the error for a machine on which nothing can be isolated.

`Limits` goes in, `Run` comes out. A run that went over a limit is a `Run` like any other: it is the program's own doing.
`IsolationError` is never the program's doing: nothing can be said of it then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dataforge.errors import InputError

Status = Literal["ok", "error", "cpu", "memory", "output", "wall", "signal"]
"""How a run ended: with exit code 0, with another one, over one of four limits, or by a signal of its own making."""

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use, all its processes together.

    Attributes:
        cpu_s: CPU seconds, of all its processes. Checked every few hundredths of a second.
        wall_s: seconds from start to end, for programs that sleep; None is ten times `cpu_s` and ten more.
        memory_bytes: memory, files in its `/tmp` included; at least 32 MiB.
        processes: processes and threads at once.
        output_bytes: what it may write to stdout and stderr together, and once more as a returned value.
        disk_bytes: what it may keep in `/tmp`, its only writable folder.
        files: files and folders in `/tmp`.
        open_files: file descriptors a process.
    """

    cpu_s: float = 5.0
    wall_s: float | None = None
    memory_bytes: int = 256 * MIB
    processes: int = 16
    output_bytes: int = MIB
    disk_bytes: int = 16 * MIB
    files: int = 1000
    open_files: int = 64

    def __post_init__(self) -> None:
        least = {
            "cpu_s": 0.01,
            "memory_bytes": 32 * MIB,
            "processes": 1,
            "output_bytes": 0,
            "disk_bytes": 4096,
        }
        least |= {"files": 1, "open_files": 8}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(
                    f"the limit `{name}` of a sandboxed run is {getattr(self, name)}",
                    code="V021",
                    help=f"it is at least {low:g}",
                )
        if self.wall_s is not None and self.wall_s <= 0:
            raise InputError(
                f"the limit `wall_s` of a sandboxed run is {self.wall_s:g}",
                code="V021",
                help="it is above 0; leave it out for ten times `cpu_s` and ten seconds more",
            )

    @property
    def wall(self) -> float:
        """Seconds after which a run is ended whatever it does."""
        return self.wall_s if self.wall_s is not None else 10.0 + 10.0 * self.cpu_s


@dataclass(frozen=True, slots=True)
class Returned:
    """A value that a function returned: plain data, rebuilt here from what came out of the sandbox.

    Attributes:
        value: None, a bool, int, float, str, list, tuple or dict, of exactly these types.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Run:
    """What became of a program.

    Attributes:
        status: how it ended. `ok` means exit code 0 (and, for a call, that a value came back).
        stdout: what it printed, undecodable bytes replaced; cut at the limit where the status is `output`.
        stderr: likewise; the end of an uncaught exception's traceback is here.
        cpu_s: CPU seconds of all its processes.
        wall_s: seconds from start to end.
        exit_code: its exit code, or None where a signal or a limit ended it.
        signal: the number of the signal that ended it, or None.
        returned: for a call, what the function returned; None where nothing did or it is no plain data.
        fault: for a call, why there is no value, for people; empty otherwise.
    """

    status: Status
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    exit_code: int | None = None
    signal: int | None = None
    returned: Returned | None = None
    fault: str = ""


class IsolationError(InputError):
    """Nothing was run, or nothing can be said of what was: the machine gives no isolation, or it broke."""

    default_code = "V020"
