"""Many responses, each to its verifier: verdicts come in the order of the responses, a few at a time are under way.

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
    items: Iterable[tuple[Key, Verifier[Any], Task, Response]],
) -> Iterator[tuple[Key, Verdict]]:
    """Judge each item by its verifier; its key comes back beside its verdict."""
    cores = max(1, len(os.sched_getaffinity(0)))
    waiting: deque[tuple[Key, Future[Verdict] | Verdict]] = deque()
    with ThreadPoolExecutor(cores) as threads:
        for key, verifier, task, response in items:
            if verifier.isolation == "inline":
                verdict = verify(verifier, task, response)
                if not waiting:
                    yield key, verdict
                    continue
                waiting.append((key, verdict))
            else:
                waiting.append((key, threads.submit(verify, verifier, task, response)))
            if len(waiting) >= 2 * cores:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


def _done(key: Key, verdict: Future[Verdict] | Verdict) -> tuple[Key, Verdict]:
    return key, verdict if isinstance(verdict, Verdict) else verdict.result()
