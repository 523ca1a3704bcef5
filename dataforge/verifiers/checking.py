"""Run a verifier: validate the facts, keep time, and tell whatever goes wrong apart from a wrong answer.

Time is CPU time, since a wall clock misfires on a loaded machine. A verifier that runs `inline` is interrupted by a
timer of this process; that needs the main thread, so elsewhere it runs in a worker process like those that ask for one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pydantic import ValidationError

from dataforge.errors import InputError
from dataforge.verifiers.protocol import Response, Verdict, Verifier, error
from dataforge.verifiers.registry import find
from dataforge.verifiers.workers import judge_in_worker
from schemas.task import Task


def verify(verifier: Verifier[Any], task: Task, response: Response) -> Verdict:
    """Judge a response to a task.

    Never raises over facts or responses: what is wrong with the task, the verifier or the machine is a verdict with the
    outcome `error`, of the kind that says whose fault it is.
    """
    if verifier.isolation == "process" or (
        verifier.isolation == "inline" and threading.current_thread() is not threading.main_thread()
    ):
        return judge_in_worker(verifier, task, response)
    if verifier.isolation == "sandbox":
        return judge_here(verifier, task, response)
    try:
        with _cpu_limit(verifier.limit_s):
            return judge_here(verifier, task, response)
    except _OutOfTime:
        return error("timeout", f"`{verifier.name}` took more than {verifier.limit_s:g} CPU seconds")


async def checked(verifier: Verifier[Any] | None, task: Task, response: Response) -> Verdict:
    """`verify` for an event loop: at once where that is quick, else in a thread that waits for the verifier's process.

    Without a verifier it is the one that the task names. A task that names no verifier, or another one, is a fault of the task.
    """
    if verifier is None:
        try:
            verifier = find(task.verifier)
        except InputError as failure:
            return error("task", f"{failure.message}, and the task names it")
    elif task.verifier not in ("", verifier.name):
        return error("task", f"it is a task for `{task.verifier}`, and `{verifier.name}` got it")
    if verifier.isolation == "inline" and threading.current_thread() is threading.main_thread():
        return verify(verifier, task, response)
    return await asyncio.to_thread(verify, verifier, task, response)


def judge_here(verifier: Verifier[Any], task: Task, response: Response) -> Verdict:
    """Judge in this process and thread, without a limit of time."""
    try:
        facts = verifier.facts.model_validate(task.facts)
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(map(str, first["loc"])) or "facts"
        return error(
            "task", f"the facts of the task are not what `{verifier.name}` needs: {place}: {first['msg']}"
        )
    try:
        return verifier.check(facts, response)
    except Exception as failure:  # noqa: BLE001 - a bug of a verifier must not pass for a wrong answer, nor end a run
        return error("verifier", f"`{verifier.name}` raised {type(failure).__name__}: {failure}")


class _OutOfTime(BaseException):
    """Not an `Exception`, so that no library's `except Exception` swallows it."""


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
