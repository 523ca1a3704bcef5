"""Run a verifier: validate the facts, keep time, and tell whatever goes wrong apart from a wrong answer.

Time is CPU time, since a wall clock misfires on a loaded machine. A verifier that runs `inline` is interrupted by a
timer of this process; that needs the main thread, so elsewhere it runs in a worker process like those that ask for one.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pydantic import ValidationError

from dataforge.errors import InputError
from dataforge.verifiers.protocol import Facts, Response, Verdict, Verifier, error
from dataforge.verifiers.registry import LACKS, find
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


class Checks:
    """How verifiers are asked on an event loop. The first argument is None where each task names its verifier."""

    def flaw(self, verifier: Verifier[Any] | None, task: Task) -> str:
        """Why a task cannot be answered and judged, before anybody is asked for one answer; empty where it can.

        Raises:
            InputError: V002 where the verifier needs a package that is not installed.
        """
        meant = _meant(verifier, task)
        if isinstance(meant, str):
            return meant
        if meant.converses:
            return (
                f"its verifier `{meant.name}` judges conversations with tools, and a node asks for one answer"
            )
        facts = _facts(meant, task)
        return facts if isinstance(facts, str) else ""

    async def verdict(self, verifier: Verifier[Any] | None, task: Task, response: Response) -> Verdict:
        """`verify`: at once where that is quick, else in a thread that waits for the verifier's process.

        Raises:
            InputError: as `flaw`.
        """
        meant = _meant(verifier, task)
        if isinstance(meant, str):
            return error("task", meant)
        if meant.isolation == "inline" and threading.current_thread() is threading.main_thread():
            return verify(meant, task, response)
        return await asyncio.get_running_loop().run_in_executor(_threads(), verify, meant, task, response)


CHECKS = Checks()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Threads that wait for worker processes. Their own, since asyncio's resolve names and write files as well."""
    return ThreadPoolExecutor(2 * max(2, len(os.sched_getaffinity(0))), thread_name_prefix="verify")


def judge_here(verifier: Verifier[Any], task: Task, response: Response) -> Verdict:
    """Judge in this process and thread, without a limit of time."""
    facts = _facts(verifier, task)
    if isinstance(facts, str):
        return error("task", facts)
    try:
        verdict: Any = verifier.check(facts, response)
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a bug of a verifier must not pass for a wrong answer, nor end a run
        return error("verifier", f"`{verifier.name}` raised {type(failure).__name__}: {failure}")
    if not isinstance(verdict, Verdict) or not isinstance(verdict.reason, str):
        return error("verifier", f"`{verifier.name}` gave {type(verdict).__name__} for a verdict")
    return verdict


def _meant(verifier: Verifier[Any] | None, task: Task) -> Verifier[Any] | str:
    """The verifier that a task is to be checked by, or why it can be by none."""
    if verifier is None:
        try:
            return find(task.verifier)
        except InputError as failure:
            if failure.code == LACKS:
                raise
            return f"{failure.message}, and the task names it"
    if task.verifier not in ("", verifier.name):
        return f"it is a task for `{task.verifier}`, and `{verifier.name}` got it"
    return verifier


def _facts(verifier: Verifier[Any], task: Task) -> Facts | str:
    """A task's facts, or how they are not what the verifier needs."""
    try:
        return verifier.facts.model_validate(task.facts)
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(map(str, first["loc"])) or "facts"
        what = str(first["msg"]).removeprefix("Value error, ")
        if extra := [str(each["loc"][0]) for each in failure.errors() if each["type"] == "extra_forbidden"]:
            what = (
                f"{what}; it knows no {', '.join(extra)}"
                if first["type"] != "extra_forbidden"
                else "there is no such fact"
            )
        return f"the facts of the task are not what `{verifier.name}` needs: {place}: {what}"


class _OutOfTime(BaseException):
    """Not an `Exception`, so that no library's `except Exception` swallows it."""


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """Raise `_OutOfTime` in this thread once it has used so many CPU seconds, and again where that was swallowed.

    The timer counts the time of all threads, so each ring looks at this one's.
    """
    over = False
    began = time.thread_time()

    def ring(number: int, frame: FrameType | None) -> None:
        if not over and time.thread_time() - began >= seconds:
            raise _OutOfTime

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, max(0.05, seconds / 8))
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
