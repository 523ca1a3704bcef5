"""Many responses to one verifier: verdicts come in the order of the responses, a few at a time are under way.

Where other processes do the work there are as many at once as there are cores; what runs here runs one by one, since
threads of one interpreter would only wait for each other. Only a handful is held, however long the stream.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from dataforge.verifiers.checking import verify
from dataforge.verifiers.protocol import Response, Verdict, Verifier
from schemas.task import Task

Key = TypeVar("Key")


def verify_all(
    verifier: Verifier[Any], items: Iterable[tuple[Key, Task, Response]]
) -> Iterator[tuple[Key, Verdict]]:
    """Judge each item; its key comes back beside its verdict."""
    if verifier.isolation == "inline":
        for key, task, response in items:
            yield key, verify(verifier, task, response)
        return
    cores = max(1, len(os.sched_getaffinity(0)))
    waiting: deque[tuple[Key, Future[Verdict]]] = deque()
    with ThreadPoolExecutor(cores) as threads:
        for key, task, response in items:
            waiting.append((key, threads.submit(verify, verifier, task, response)))
            if len(waiting) >= 2 * cores:
                first, verdict = waiting.popleft()
                yield first, verdict.result()
        for first, verdict in waiting:
            yield first, verdict.result()
