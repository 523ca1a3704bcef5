"""Run a program without isolation, where the caller has asked for that: a process of this user, with limits a process.

The runner is the sandbox's, so what a program may do in its own process, and how a value comes back, are the same. What
is missing is everything around it: files, network and processes of this user are within reach, children are not counted
together and may outlive it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from dataforge.verifiers.sandbox.container import memory_file
from dataforge.verifiers.sandbox.enclosure import BOOTSTRAP
from dataforge.verifiers.sandbox.flow import Flow
from dataforge.verifiers.sandbox.limits import MIB, IsolationError, Limits, Run
from dataforge.verifiers.sandbox.outfit import environment, interpreter


class Unsafe:
    """Runs each program in a fresh interpreter and a temporary folder."""

    def __init__(self, packages: bool = False) -> None:
        self._path = [sysconfig.get_paths()["purelib"]] if packages else []

    def run(self, payload: dict[str, Any], stdin: bytes, limits: Limits) -> Run:
        """Run a program; the payload is what `program` reads.

        Raises:
            IsolationError: the interpreter cannot be started.
        """
        flow = Flow(stdin, limits)
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder, memory_file(json.dumps(payload).encode()) as body:
                try:
                    process = self._start(flow, body, folder, limits)
                except OSError as error:
                    raise IsolationError(f"the interpreter cannot be started: {error}") from error
                flow.hand_over()
                waiting = _Waiting(process)
                try:
                    over = flow.watch(waiting.done, lambda: _end_group(process), None)
                finally:
                    _end_group(process)
                    used = waiting.join()
        finally:
            flow.close()
        cpu = used.ru_utime + used.ru_stime
        return flow.verdict(payload, process.returncode, over, False, cpu, time.monotonic() - began)

    def _start(self, flow: Flow, body: int, folder: str, limits: Limits) -> subprocess.Popen[bytes]:
        stdin, stdout, stderr, result = flow.theirs
        request = {
            "cpu": limits.cpu_s,
            "disk": limits.disk_bytes,
            "open_files": limits.open_files,
            "processes": 0,
            "address_space": limits.memory_bytes + 512 * MIB,
            "data": limits.memory_bytes + 64 * MIB,
            "path": self._path,
        }
        here = str(Path(__file__).parent)
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [
                *(interpreter(), "-S", "-s", "-P", "-B", "-c", BOOTSTRAP, here, "program"),
                *(json.dumps(request), str(body), str(result)),
            ],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[body, result],
            env={
                **environment(),
                "PYTHONHASHSEED": "0",
                "PYTHONUTF8": "1",
                "LANG": "C.UTF-8",
                "HOME": folder,
            },
            cwd=folder,
            start_new_session=True,
        )


class _Waiting:
    """A thread that waits for a process, and a descriptor that can be read when it is over, on any Unix."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.done, self._over = os.pipe()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        _, status, self._used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._over)

    def join(self) -> resource.struct_rusage:
        """What it used, with children that it waited for."""
        self._thread.join()
        os.close(self.done)
        return self._used


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End it and what is left of its session; what left the session is out of reach here."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
