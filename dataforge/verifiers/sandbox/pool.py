"""Warm containers, used again and again: a program finds one ready, and has it alone while it runs.

Any thread may ask, so `asyncio.to_thread` does too. There are as many containers as are asked for at once, up to twice the cores; one
that broke is replaced. A fork of this process makes its own and leaves its parent's alone.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dataforge.verifiers.sandbox import cgroups, flow
from dataforge.verifiers.sandbox.container import Container
from dataforge.verifiers.sandbox.limits import Limits, Run
from dataforge.verifiers.sandbox.unsafe import Unsafe

UNSAFE = "DATAFORGE_UNSAFE_SANDBOX"
"""Set to 1, this variable makes every sandbox an unsafe one, for machines that give no isolation."""


DEFAULT = Limits()


class _Runner(Protocol):
    def run(self, payload: dict[str, Any], stdin: bytes, limits: Limits) -> Run: ...


class Session:
    """One container, for programs one after another; each has a file system, a pid namespace and limits of its own."""

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    def run(self, source: str, *, stdin: str = "", limits: Limits = DEFAULT) -> Run:
        """Run a program as a script.

        Raises:
            IsolationError: nothing can be said of it.
        """
        return self._runner.run({"kind": "run", "source": source}, _bytes(stdin), limits)

    def call(
        self,
        source: str,
        function: str,
        arguments: Sequence[Any],
        *,
        stdin: str = "",
        limits: Limits = DEFAULT,
    ) -> Run:
        """Call a function that a program defines, or a method of its class `Solution`; `Run.returned` has the value.

        Args:
            source: the program; `__name__` is not `__main__` while it is read.
            function: its name.
            arguments: JSON values.
            stdin: what it can read.
            limits: of reading and calling together.

        Raises:
            IsolationError: nothing can be said of it.
        """
        payload = {
            "kind": "call",
            "source": source,
            "function": function,
            "arguments": list(arguments),
            "most": limits.output_bytes,
        }
        return self._runner.run(payload, _bytes(stdin), limits)


def run_program(
    source: str, *, stdin: str = "", limits: Limits = DEFAULT, packages: bool = False, unsafe: bool = False
) -> Run:
    """Run a program, isolated, and say what became of it. Any thread may call it.

    Args:
        source: Python, run as a script.
        stdin: what it reads.
        limits: what it may use.
        packages: show it the packages that are installed beside DataForge, such as numpy; else the standard library alone.
        unsafe: run it without isolation, as this user with all that the user may do.

    Raises:
        IsolationError: V020, this machine gives no isolation, or it broke: this says nothing of the program.
    """
    with session(packages=packages, unsafe=unsafe) as box:
        return box.run(source, stdin=stdin, limits=limits)


@contextmanager
def session(*, packages: bool = False, unsafe: bool = False) -> Iterator[Session]:
    """One container for several programs in a row; for one thread at a time.

    Raises:
        IsolationError: V020, this machine gives no isolation.
    """
    if unsafe or os.environ.get(UNSAFE) == "1":
        yield Session(Unsafe(packages))
        return
    with _pool().container(packages) as container:
        yield Session(container)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class _Pool:
    def __init__(self, size: int) -> None:
        self.owner = os.getpid()
        self._closed = False
        self._places = threading.Semaphore(size)
        # Lists, since a fork may happen at any time and a list has no lock that could stay held in the child.
        self._idle: dict[bool, list[Container]] = {False: [], True: []}
        self._all: list[Container] = []
        cgroups.sweep(cgroups.home())

    @contextmanager
    def container(self, packages: bool) -> Iterator[Container]:
        with self._places:
            container = self._ready(packages)
            try:
                yield container
            finally:
                if container.alive and not self._closed:
                    self._idle[packages].append(container)
                else:
                    self._end(container)

    def _ready(self, packages: bool) -> Container:
        while True:
            try:
                container = self._idle[packages].pop()
            except IndexError:
                with flow.forks:
                    container = Container()
                    # Before it starts: a fork meanwhile must know of it.
                    self._all.append(container)
                try:
                    container.start(packages)
                except BaseException:
                    self._all.remove(container)
                    raise
                return container
            if container.alive:
                return container
            self._end(container)

    def _end(self, container: Container) -> None:
        self._all.remove(container)
        container.close()

    def close(self) -> None:
        """End the idle ones; one that is in use ends after its use."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                self._end(idle.pop())

    def abandon(self) -> None:
        for container in self._all:
            container.abandon()


_lock = threading.Lock()
_made: _Pool | None = None


def _pool() -> _Pool:
    global _made
    with _lock:
        if _made is None:
            _made = _Pool(2 * (os.cpu_count() or 1))
        return _made


def close() -> None:
    """End every container that is not in use. The next program starts a new one."""
    global _made
    with _lock:
        made, _made = _made, None
    if made is not None and made.owner == os.getpid():
        made.close()


def _forked() -> None:
    """In a forked child: its parent's containers are not its own, and its parent's lock may be held for ever."""
    global _lock, _made
    _lock = threading.Lock()
    made, _made = _made, None
    try:
        if made is not None:
            made.abandon()
        flow.abandon()
    finally:
        flow.forks.release()


atexit.register(close)
os.register_at_fork(before=flow.forks.acquire, after_in_parent=flow.forks.release, after_in_child=_forked)
