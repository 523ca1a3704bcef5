"""Conversations → samples on all cores, in their order, whatever the number of processes.

One conversation has too few pieces of text to keep the threads of a tokenizer busy, and its template is rendered by
Python; so conversations are shared out, a chunk at a time. A small set isn't worth the start of a process.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dataforge.errors import RunError
from trainer.config import DataConfig
from trainer.masks import Renderer
from trainer.samples import Conversation, Notes, Sample

CHUNK = 64
ROWS_A_PROCESS = 1000
"""Some ten seconds of work, against two or three for the start."""

Rendered = tuple[int, list[Sample], Notes]
"""How many conversations, their samples, and what was left out or changed."""


def rendered(
    conversations: Iterable[Conversation], renderer: Renderer, template: str, data: DataConfig, rows: int
) -> Iterator[Rendered]:
    """The samples of conversations, chunk by chunk. Only the last chunk has fewer than `CHUNK`, maybe none.

    Args:
        conversations: read as far as they are needed, no further than two chunks a process.
        renderer: of this process.
        template, data: what it was made with, for renderers of other processes.
        rows: about how many conversations there are.
    """
    chunks = _chunks(iter(conversations))
    processes = min(len(os.sched_getaffinity(0)), rows // ROWS_A_PROCESS)
    if processes < 2:
        yield from (_render(renderer, chunk) for chunk in chunks)
        return
    start = (renderer.tokenizer, template, data)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start, start)
    waiting: deque[Future[Rendered]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_render_there, chunk))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "a process that was tokenising ended unexpectedly; the system may have run out of memory",
            help="start the same command again: it goes on after the last part that was sealed",
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _chunks(conversations: Iterator[Conversation]) -> Iterator[list[Conversation]]:
    while True:
        chunk = list(itertools.islice(conversations, CHUNK))
        yield chunk
        if len(chunk) < CHUNK:
            return


def _render(renderer: Renderer, chunk: list[Conversation]) -> Rendered:
    notes = Notes()
    samples = [sample for conversation in chunk for sample in renderer.samples(conversation, notes)]
    return len(chunk), samples, notes


_there: Renderer
"""The renderer of a process of the pool."""


def _start(tokenizer: Any, template: str, data: DataConfig) -> None:
    global _there
    # Ctrl-C reaches all processes of a terminal: the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    # Processes are as many as cores: threads of the tokenizer would only stand in each other's way.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _there = Renderer(tokenizer, template, data)


def _end_with_the_first() -> None:
    """A process whose pool was killed would wait for work for ever."""
    if (first := multiprocessing.parent_process()) is not None:
        first.join()
        os._exit(1)


def _render_there(chunk: list[Conversation]) -> Rendered:
    return _render(_there, chunk)
