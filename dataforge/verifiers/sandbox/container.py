"""The grader's end of one zygote: start it, hand it programs, watch them, kill them.

A container runs one program at a time; `pool` has several. What a program prints, and the limits that are watched from
here, are in `flow`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import platform
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataforge.verifiers.sandbox import cgroups, wire
from dataforge.verifiers.sandbox.enclosure import BOOTSTRAP
from dataforge.verifiers.sandbox.flow import Flow
from dataforge.verifiers.sandbox.limits import MIB, IsolationError, Limits, Run
from dataforge.verifiers.sandbox.outfit import Outfit, environment, interpreter, outfit
from dataforge.verifiers.sandbox.syscalls import NUMBERS
from dataforge.verifiers.sandbox.tally import Tally

USERS = 2_000_000_000
"""Programs of a grader that is root run as users from here on: a number for each container, and nobody's account."""

START_S = 30.0
"""Seconds in which a zygote must be there."""

ENDING_S = 1.0
"""Seconds that a container may take to end by itself."""

_OWN_PROCESSES = 3
"""A container's processes that are not the program's: the one that waits outside, the zygote, and the init."""

_OWN_MEMORY = 24 * MIB
"""What these may use of the group's memory, above what the program may."""

_serial = itertools.count()

HELP = (
    "the sandbox needs Linux with user namespaces: `sysctl user.max_user_namespaces` above 0, "
    "`kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, in Docker `--security-opt seccomp=unconfined`; "
    "DATAFORGE_UNSAFE_SANDBOX=1 runs programs without isolation"
)


class Container:
    """One zygote in its namespaces. Not for several threads at once."""

    def __init__(self) -> None:
        """Make one that is still to be started: whoever keeps it can let go of it from now on.

        Raises:
            IsolationError: this machine gives no isolation.
        """
        if platform.system() != "Linux" or platform.machine() not in NUMBERS:
            raise IsolationError(
                f"there is no sandbox for {platform.system()} on {platform.machine()}",
                help=f"it needs Linux on {' or '.join(NUMBERS)}; DATAFORGE_UNSAFE_SANDBOX=1 runs programs without isolation",
            )
        self.owner = os.getpid()
        self.broken = False
        self._groups = cgroups.Groups(cgroups.home())
        self._process: subprocess.Popen[bytes] | None = None
        self._control, self._theirs = wire.pair()

    def start(self, packages: bool = False) -> None:
        """Start it.

        Raises:
            IsolationError: this machine gives no isolation. It is closed then.
        """
        try:
            with self._theirs:
                self._start(self._theirs, packages)
        except BaseException:
            self.close()
            raise

    def _start(self, theirs: socket.socket, packages: bool) -> None:
        wear = outfit(packages)
        here = str(Path(__file__).parent)
        self._control.settimeout(START_S)
        with memory_file(b"") as complaints:
            try:
                self._enclose(theirs, wear, here, complaints)
            except (OSError, EOFError) as error:
                os.lseek(complaints, 0, os.SEEK_SET)
                why = (
                    str(error)
                    or os.read(complaints, 1000).decode(errors="replace").strip()
                    or "its process died"
                )
                raise IsolationError(f"a sandbox cannot be started: {why}", help=HELP) from error
        if not self._groups.has("pids") and not self._counts_by_namespace:
            raise IsolationError(
                "nothing bounds the processes of a sandboxed program",
                help="it needs Linux 5.14, or a control group that this user may write, or root",
            )
        self._control.settimeout(None)

    def _enclose(self, theirs: socket.socket, wear: Outfit, here: str, complaints: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [interpreter(), "-I", "-S", "-B", "-c", BOOTSTRAP, here, "enclosure", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=[theirs.fileno()],
            env=environment(),
            cwd="/",
            start_new_session=True,
        )
        self._groups.take(self._process.pid)
        theirs.close()
        self._hear("unshared")
        self._map_ids(self._process.pid)
        wire.send(
            self._control,
            {
                "binds": wear.binds,
                "links": wear.links,
                "masked": wear.masked,
                "command": wear.command,
                "path": wear.path,
                "code": here,
            },
        )
        self._base = int(self._hear("ready")["pages"])

    def _hear(self, step: str) -> dict[str, Any]:
        message, _ = wire.receive(self._control)
        if message.get("step") != step:
            raise IsolationError(f"a sandbox cannot be started: {message.get('fault', message)}", help=HELP)
        return message

    def _map_ids(self, process: int) -> None:
        """Say who the container's users are outside. Root can give programs a user that nobody else is."""
        user, group = os.geteuid(), os.getegid()
        folder = Path(f"/proc/{process}")
        self._own_user = False
        if user == 0 and (apart := _free_id()) is not None:
            try:
                (folder / "uid_map").write_text(f"0 0 1\n1000 {apart} 1\n")
                (folder / "gid_map").write_text(f"0 0 1\n1000 {apart} 1\n")
            except PermissionError:
                pass  # root by name alone, without the capability: a user like any other
            else:
                self._own_user = True
                return
        (folder / "uid_map").write_text(f"1000 {user} 1\n")
        (folder / "setgroups").write_text("deny")
        (folder / "gid_map").write_text(f"1000 {group} 1\n")

    @property
    def _counts_by_namespace(self) -> bool:
        """Whether RLIMIT_NPROC counts this container's processes alone: for a user of its own, or since Linux 5.14.

        It is void for root.
        """
        return self._own_user or (os.geteuid() != 0 and _kernel() >= (5, 14))

    # ---- one program

    def run(self, payload: dict[str, Any], stdin: bytes, limits: Limits) -> Run:
        """Run a program; the payload is what `program` reads.

        Raises:
            IsolationError: nothing can be said of it. The container must not be used again.
        """
        if self.broken or self._process is None:
            raise IsolationError("this sandbox is closed")
        try:
            return self._run(payload, stdin, limits)
        except (OSError, EOFError) as error:
            self.broken = True
            raise IsolationError(
                f"the sandbox broke while a program ran: {str(error) or 'its process died'}",
                help="this is no verdict on the program: run it again",
            ) from error
        except BaseException:
            self.broken = True
            raise

    def _run(self, payload: dict[str, Any], stdin: bytes, limits: Limits) -> Run:
        self._groups.bound(limits.memory_bytes + _OWN_MEMORY, limits.processes + _OWN_PROCESSES)
        kills = self._groups.killed()
        used_s = self._clock()
        began = time.monotonic()
        flow = Flow(stdin, limits)
        try:
            with memory_file(json.dumps(payload).encode()) as body:
                wire.send(self._control, self._request(limits), [body, *flow.theirs])
            flow.hand_over()
            over = flow.watch(
                self._control.fileno(), lambda: wire.send(self._control, {"kill": True}), used_s
            )
            answer, _ = wire.receive(self._control)
        finally:
            flow.close()
        if "fault" in answer:
            raise IsolationError(f"a program could not be confined: {answer['fault']}", help=HELP)
        wall = time.monotonic() - began
        # What the kernel says of children that were waited for, and what was seen from here without the zygote's own share.
        used = max(float(answer["cpu"]), used_s() - float(answer["own"]))
        code = os.waitstatus_to_exitcode(answer["status"])
        starved = self._groups.killed() > kills
        return flow.verdict(payload, code, over, starved, used, wall)

    def _clock(self) -> Callable[[], float]:
        """Measures what all processes of the container use from now on."""
        if not self._groups.has("cpu"):
            assert self._process is not None
            return Tally(self._process.pid).cpu_s
        before = self._groups.cpu_s()
        return lambda: self._groups.cpu_s() - before

    def _request(self, limits: Limits) -> dict[str, Any]:
        bounded = self._groups.has("memory")
        processes = 0
        if self._counts_by_namespace:
            processes = limits.processes + (0 if self._own_user else _OWN_PROCESSES)
        # Where the group bounds memory exactly, these only stop what asks for far more at once.
        spare = 2048 * MIB if bounded else 128 * MIB
        return {
            "cpu": limits.cpu_s,
            "disk": limits.disk_bytes,
            "files": limits.files,
            "open_files": limits.open_files,
            "processes": processes,
            "address_space": self._base + limits.memory_bytes + spare,
            "data": self._base + limits.memory_bytes + (limits.processes * 8 * MIB if bounded else 0),
        }

    def close(self) -> None:
        """End it and all that runs in it."""
        self.broken = True
        self._control.close()
        self._theirs.close()
        if self._process is not None:
            # Without its socket the zygote ends, and the process outside takes note of that. Killed before, it would leave a
            # zombie to whoever takes in orphans, which may be this process.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_S)
            self._process.kill()
            self._process.wait()
            self._process = None
        self._groups.close()

    def abandon(self) -> None:
        """Let go of it without ending it: it is another process's, of which this one is a fork."""
        self.broken = True
        self._control.close()
        self._theirs.close()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
            self._process = None

    @property
    def alive(self) -> bool:
        """Whether it can be used."""
        return not self.broken and self._process is not None and self._process.poll() is None


@contextlib.contextmanager
def memory_file(body: bytes) -> Iterator[int]:
    """An open file without a name."""
    with (
        tempfile.TemporaryFile()
        if not hasattr(os, "memfd_create")
        else os.fdopen(os.memfd_create("payload"), "w+b") as file
    ):
        file.write(body)
        file.flush()
        yield file.fileno()


def _free_id() -> int | None:
    """A user and group that is nobody's, another one for each container; None where this namespace has few."""
    number = USERS + os.getpid() % 100_000 * 1000 + next(_serial) % 1000
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= number < first + count:
            return number
        if count >= 2000:
            return first + count - 1000 + number % 1000
    return None


@functools.cache
def _kernel() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)
