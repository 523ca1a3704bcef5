"""Worker processes for verifiers that may hang or crash: warm, one verdict at a time, killed by the kernel when out of time.

A worker is a fresh interpreter that runs `serve`; requests and verdicts pass over its pipes as pickles, which is safe since
both ends are ours. The limit is a profiling timer with its default action, so it also ends code that never comes back
to Python. A worker is used again until it dies; there are as many as verdicts are asked for at once, up to the cores.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dataforge.verifiers.protocol import Response, Verdict, Verifier, error
from schemas.task import Task

WALL_FACTOR, WALL_SPARE_S = 20.0, 60.0
"""A worker that sleeps uses no CPU: it may take so many times its limit, and so much more, of wall time."""

ORPHAN_S = 0.5
"""How often a worker looks whether its parent is still there."""

MEMORY_BYTES = 4 * 1024**3
"""The most data that a worker may hold."""


def judge_in_worker(verifier: Verifier[Any], task: Task, response: Response) -> Verdict:
    """Judge in a worker process; blocks. Any thread may call it."""
    return _pool().judge(verifier, task, response)


class _Worker:
    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, *sys.path, os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
            # `-P`: a file of the working folder is no module of ours.
            [
                sys.executable,
                "-P",
                "-c",
                f"from dataforge.verifiers import workers; workers.serve({os.getpid()})",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the run, which ends its workers itself
        )

    def judge(self, verifier: Verifier[Any], task: Task, response: Response) -> Verdict | None:
        """The verdict; None where the worker has died.

        Raises:
            TimeoutError: it is silent.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = pickle.dumps((type(verifier), task.model_dump(), response))
        try:
            _send(self.process.stdin, request)
            answer = _receive(
                self.process.stdout, time.monotonic() + verifier.limit_s * WALL_FACTOR + WALL_SPARE_S
            )
        except (BrokenPipeError, EOFError):
            return None
        found = pickle.loads(answer)  # noqa: S301 - from our own child
        assert isinstance(found, Verdict)
        return found

    def end(self) -> int:
        """Kill it, and say how it ended: a signal's number below zero."""
        # What is dead already keeps its own exit status.
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        return self.process.wait()


class _Pool:
    def __init__(self, size: int) -> None:
        self.owner = os.getpid()
        self._places = threading.Semaphore(size)
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        atexit.register(self.close)

    def judge(self, verifier: Verifier[Any], task: Task, response: Response) -> Verdict:
        with self._places:
            try:
                worker, is_new = self._idle.get_nowait(), False
            except queue.Empty:
                worker, is_new = _Worker(), True
            while True:
                try:
                    verdict = worker.judge(verifier, task, response)
                except TimeoutError:
                    worker.end()
                    return error("timeout", f"`{verifier.name}` did not answer")
                except BaseException:
                    worker.end()
                    raise
                if verdict is not None:
                    self._idle.put(worker)
                    return verdict
                status = worker.end()
                if status == -signal.SIGPROF:
                    return error(
                        "timeout", f"`{verifier.name}` took more than {verifier.limit_s:g} CPU seconds"
                    )
                if is_new:
                    return error("verifier", f"`{verifier.name}` ended its worker process (status {status})")
                # It may have died while it was idle, which is nobody's verdict.
                worker, is_new = _Worker(), True

    def close(self) -> None:
        if os.getpid() != self.owner:
            return  # a forked child has no business with its parent's workers
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return


_lock = threading.Lock()
_made: _Pool | None = None


def _pool() -> _Pool:
    global _made
    with _lock:
        if _made is None or _made.owner != os.getpid():
            _made = _Pool(max(1, len(os.sched_getaffinity(0))))
        return _made


def _send(pipe: Any, body: bytes) -> None:
    pipe.write(len(body).to_bytes(8, "little") + body)
    pipe.flush()


def _receive(pipe: Any, deadline: float) -> bytes:
    descriptor = pipe.fileno()
    body = b""
    length: int | None = None
    while length is None or len(body) < length:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            raise EOFError
        body += piece
        if length is None and len(body) >= 8:
            length, body = int.from_bytes(body[:8], "little"), body[8:]
    return body


# ---- the worker's side


def serve(parent: int) -> None:
    """Answer requests until there are no more: what a worker process does.

    Args:
        parent: the process that it works for, and dies with.
    """
    from dataforge.verifiers.checking import judge_here

    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    # What a library prints must not get between the verdicts.
    verdicts = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    while head := requests.read(8):
        kind, task, response = pickle.loads(requests.read(int.from_bytes(head, "little")))  # noqa: S301
        signal.setitimer(signal.ITIMER_PROF, kind.limit_s)
        verdict = judge_here(kind(), Task.model_validate(task), response)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(verdicts, pickle.dumps(verdict))


def _die_with(parent: int) -> None:
    """End this process when its parent has ended, however that was: its pipe may stay open in a fork, or not be looked at.

    Linux could send a signal then, but sends it at the end of the thread that started the worker, which others use as well.
    """
    while os.getppid() == parent:
        time.sleep(ORPHAN_S)
    os.kill(os.getpid(), signal.SIGKILL)
