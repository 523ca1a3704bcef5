"""What goes into a program and comes out, and the limits that are watched from outside.

A process could not be trusted to keep these itself: output is counted as it is read, CPU time is asked of the kernel for
all processes together, and the wall clock is the last resort. Pipes never block here, and what a program writes is kept up
to its limit and no further.
"""

from __future__ import annotations

import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dataforge.verifiers.sandbox.limits import Limits, Returned, Run, Status
from dataforge.verifiers.sandbox.values import Unreadable, decode

SPARE = 4096
"""Bytes that a returned value may need beyond the limit of output: marks and reasons."""

DYING_S = 30.0
"""Seconds that the end of a killed program may take before the sandbox itself is held broken."""


forks = threading.RLock()
"""Held while a descriptor is opened and put on record, or closed and struck off: no fork of this process comes between."""

_live: list[Flow] = []
"""Those under way."""


def abandon() -> None:
    """In a forked child: close the pipes of its parent's programs, or one that reads its input to the end would never see it."""
    while _live:
        _live.pop().close()


@dataclass(slots=True, eq=False)
class Flow:
    """What goes into a program and comes out, by pipes that never block here."""

    stdin: bytes
    limits: Limits
    theirs: list[int] = field(default_factory=list)
    open: dict[int, str] = field(default_factory=dict)
    out: dict[str, bytearray] = field(default_factory=dict)
    over: bool = False
    _sent: int = 0

    def __post_init__(self) -> None:
        with forks:
            _live.append(self)
            inside, ours = os.pipe()
            self.theirs.append(inside)
            self.open[ours] = "stdin"
            for name in ("stdout", "stderr", "result"):
                ours, inside = os.pipe()
                self.theirs.append(inside)
                self.open[ours] = name
                self.out[name] = bytearray()
        for descriptor in self.open:
            os.set_blocking(descriptor, False)

    def hand_over(self) -> None:
        """The other ends are the zygote's now."""
        with forks:
            while self.theirs:
                os.close(self.theirs.pop())

    def _register(self, poll: select.poll) -> None:
        for descriptor, name in list(self.open.items()):
            if name == "stdin":
                self.move(None, descriptor)
                if descriptor in self.open:
                    poll.register(descriptor, select.POLLOUT)
            else:
                poll.register(descriptor, select.POLLIN)

    def move(self, poll: select.poll | None, descriptor: int) -> None:
        """Read or write what can be."""
        name = self.open[descriptor]
        try:
            if name == "stdin":
                if self._sent < len(self.stdin):
                    self._sent += os.write(descriptor, self.stdin[self._sent : self._sent + 65536])
                if self._sent == len(self.stdin):
                    self._end(poll, descriptor)
                return
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._end(poll, descriptor)
            return
        if not piece:
            self._end(poll, descriptor)
            return
        self.out[name] += piece
        printed = len(self.out["stdout"]) + len(self.out["stderr"])
        self.over |= (
            printed > self.limits.output_bytes or len(self.out["result"]) > self.limits.output_bytes + SPARE
        )

    def _drain(self, poll: select.poll) -> None:
        """Everything is dead: take what is left in the pipes, up to the limit."""
        for descriptor, name in list(self.open.items()):
            while name != "stdin" and descriptor in self.open and not self.over:
                before = len(self.out[name])
                self.move(poll, descriptor)
                if len(self.out[name]) == before:
                    break

    def text(self, name: str) -> str:
        return bytes(self.out[name][: self.limits.output_bytes]).decode("utf-8", "replace")

    def watch(self, done: int, kill: Callable[[], None], used_s: Callable[[], float] | None) -> Status | None:
        """Move bytes until `done` can be read; kill what goes over a limit, and say which.

        Args:
            done: the descriptor that says that all is over.
            kill: end the program; `done` follows.
            used_s: CPU seconds so far, of all processes; None where only their own limits hold.
        """
        over: Status | None = None
        cores = os.cpu_count() or 1
        deadline = time.monotonic() + self.limits.wall
        # It can use no more CPU time than the clock gives each core, so there is no need to look before.
        look = time.monotonic() + self.limits.cpu_s / cores if used_s is not None else math.inf
        poll = select.poll()
        poll.register(done, select.POLLIN)
        self._register(poll)
        while True:
            wait = max(0.0, min(deadline, look) - time.monotonic()) if over is None else DYING_S
            ready = dict(poll.poll(wait * 1000 + 1))
            if over is not None and not ready:
                raise TimeoutError("a killed program does not end")
            for descriptor in ready.keys() & self.open.keys():
                self.move(poll, descriptor)
            if done in ready:
                self._drain(poll)
                return over or ("output" if self.over else None)
            if over is not None:
                continue
            now = time.monotonic()
            if self.over:
                over = "output"
            elif now >= deadline:
                over = "wall"
            elif used_s is not None and now >= look:
                left = self.limits.cpu_s - used_s()
                over = "cpu" if left <= 0 else None
                look = now + max(left / cores, 0.02)
            if over is not None:
                kill()

    def verdict(
        self,
        payload: dict[str, Any],
        code: int,
        over: Status | None,
        starved: bool,
        cpu_s: float,
        wall_s: float,
    ) -> Run:
        """What became of the program.

        Args:
            payload: what it was.
            code: its exit code, or the number of the signal that ended it, below zero.
            over: the limit for which it was killed from here.
            starved: whether the kernel killed one of its processes since memory was short.
            cpu_s: CPU seconds used.
            wall_s: seconds from start to end.
        """
        stderr, told = self.text("stderr"), bytes(self.out["result"])
        status: Status
        if over is not None:
            status = over
        elif code == -signal.SIGXCPU or cpu_s > self.limits.cpu_s:
            status = "cpu"
        elif starved or (code > 0 and stderr.rstrip().rpartition("\n")[2].startswith("MemoryError")):
            status = "memory"
        elif code < 0:
            status = "signal"
        else:
            status = "ok" if code == 0 else "error"
        returned, fault = None, _told(told)
        if status == "ok" and payload["kind"] == "call":
            returned, fault = _returned(told)
        return Run(
            status="error" if status == "ok" and fault else status,
            stdout=self.text("stdout"),
            stderr=stderr,
            cpu_s=cpu_s,
            wall_s=wall_s,
            exit_code=code if over is None and code >= 0 else None,
            signal=-code if over is None and code < 0 else None,
            returned=returned,
            fault=fault,
        )

    def _end(self, poll: select.poll | None, descriptor: int) -> None:
        if poll is not None:
            poll.unregister(descriptor)
        with forks:
            del self.open[descriptor]
            os.close(descriptor)

    def close(self) -> None:
        with forks:
            if self in _live:
                _live.remove(self)
            self.hand_over()
            for descriptor in list(self.open):
                self._end(None, descriptor)


def _returned(told: bytes) -> tuple[Returned | None, str]:
    if not told.startswith(b"="):
        return None, _told(told) or "the program ended before the function returned"
    try:
        return Returned(decode(told[1:])), ""
    except Unreadable as error:
        return None, str(error)


def _told(told: bytes) -> str:
    """Why there is no value, where the runner said."""
    return told[1:300].decode("utf-8", "replace") if told.startswith(b"!") else ""
