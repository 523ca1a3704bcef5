"""The experiment as one resumable run: its jobs on two processes, each begun when what it needs is there.

A job at a time is what a process does; processes start once, since importing costs more than many a job. What they say goes to
`log.txt`. Jobs that are done are told by their folders, so a run that was stopped or killed goes on with the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from dataforge.errors import DataForgeError, Interrupted, RunError
from trainer.disk import claimed, refused
from trainer.length.experiment import Design, Job, do, finished, jobs

LOG = "log.txt"
EVERY_S = 20
"""Seconds between two lines about what is under way."""

Tell = Callable[[str], None]


def demo(design: Design, out: Path, *, processes: int = 2, tell: Tell = lambda line: None) -> dict[str, Any]:
    """Do all jobs that are not done, then write the tables.

    Args:
        processes: jobs at once; each takes one core.
        tell: told what is done and what is under way, in lines.

    Returns:
        What `demo.json` has.

    Raises:
        InputError: the folder holds the experiment with other settings (L007).
        OutputError: another process has the folder (R022), or it cannot be one (R020).
        StorageError: the disk refused (R021).
        Interrupted: stopped; the same call goes on.
    """
    with claimed(out):
        todo = [job for job in jobs(design) if finished(job.name, design, out) is None]
        if todo:
            _work(todo, design, out, processes, tell)
        from trainer.length.results import write

        try:
            return write(design, out)
        except OSError as error:
            raise refused(out, error) from error


def _work(todo: Sequence[Job], design: Design, out: Path, processes: int, tell: Tell) -> None:
    """Do jobs, the first that can be done before the others."""
    waiting = list(todo)
    under_way: dict[Future[Done], tuple[Job, float]] = {}
    pool = ProcessPoolExecutor(
        min(processes, len(todo)), multiprocessing.get_context("spawn"), _start, (out / LOG,)
    )
    with _stopping(pool) as stopped:
        told = time.monotonic()
        while waiting or under_way:
            undone = {job.name for job in (*waiting, *(job for job, _ in under_way.values()))}
            ready = [job for job in waiting if undone.isdisjoint(job.needs)]
            for job in ready[: processes - len(under_way)] if not stopped else ():
                waiting.remove(job)
                under_way[pool.submit(_do, job, design, out)] = job, time.monotonic()
            if not under_way:
                break
            for future in wait(under_way, timeout=1, return_when=FIRST_COMPLETED).done:
                job, began = under_way.pop(future)
                error = _error(future)
                if error is not None and not (stopped and isinstance(error, Interrupted)):
                    raise error
                if error is None:
                    tell(
                        f"{job.name} done in {time.monotonic() - began:.0f} s; {len(waiting) + len(under_way)} to go"
                    )
            if time.monotonic() - told > EVERY_S:
                told = time.monotonic()
                tell("under way: " + ", ".join(_progress(job, out) for job, _ in under_way.values()))
        if stopped:
            raise Interrupted(
                f"stopped; what was done is in {out}", help="the same command goes on from there"
            )


def _progress(job: Job, out: Path) -> str:
    """A job and, where it trains, how many steps it has made."""
    for file in (out / job.name / "metrics.jsonl", out / job.name / "tuned" / "metrics.jsonl"):
        with contextlib.suppress(OSError):
            return f"{job.name} (step {len(file.read_bytes().splitlines()):,})"
    return job.name


@contextlib.contextmanager
def _stopping(pool: ProcessPoolExecutor) -> Iterator[list[int]]:
    """Hand SIGINT and SIGTERM on to the processes, whose jobs end as soon as they can.

    Yields:
        The signals that came.
    """
    came: list[int] = []

    def stop(number: int, frame: Any) -> None:
        came.append(number)
        _end_jobs()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    except BaseException:
        # What one job is to be reported for, the other need not be waited for.
        _end_jobs()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        pool.shutdown(wait=True, cancel_futures=True)


def _end_jobs() -> None:
    for process in multiprocessing.active_children():
        with contextlib.suppress(OSError):
            process.terminate()


Done = DataForgeError | None
"""How a job ended in its process."""


def _error(future: Future[Done]) -> DataForgeError | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return RunError(
            "a process of the experiment ended unexpectedly; the system may have run out of memory",
            help=f"see {LOG} in its folder; the same command goes on",
        )


def _start(log: Path) -> None:
    """Set up a process: what it says goes to the log, and it does not outlive the first one."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(stream, standard)
    # Ctrl-C reaches all processes of a terminal; the first of them decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    import torch

    torch.set_num_threads(1)


_busy = False
"""Whether this process does a job. One that waits for the next must stay: the pool would end the other with it."""


def _leave(number: int, frame: Any) -> None:
    # Of all that can be raised, asyncio hands only this on from wherever it was.
    if _busy:
        raise KeyboardInterrupt


def _end_with_the_first() -> None:
    if (first := multiprocessing.parent_process()) is not None:
        first.join()
        os._exit(1)


def _do(job: Job, design: Design, out: Path) -> Done:
    """Do a job in this process."""
    global _busy
    try:
        _busy = True
        do(job, design, out)
    except DataForgeError as error:
        return error
    except KeyboardInterrupt:
        return Interrupted("stopped")
    finally:
        _busy = False
    return None
