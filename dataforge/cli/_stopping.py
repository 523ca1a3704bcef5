"""Ctrl-C and SIGTERM during long work: the first lets what is under way end, the second leaves it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataforge.run.stop import Stop

T = TypeVar("T")


async def heeding(
    work: Coroutine[Any, Any, T], stop: Stop, note: Callable[[str], None], kept: str, command: str
) -> T:
    """The result of the work.

    Args:
        stop: set at the first signal; the work asks it before it begins anything.
        note: told that it is stopping.
        kept: what is kept of it, for the error.
        command: what goes on with it.

    Raises:
        Interrupted: by a signal.
    """
    from dataforge.errors import Interrupted

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def interrupt() -> None:
        if stop.is_set():
            task.cancel()
        else:
            stop.set()
            note("stopping: waiting for the calls in flight (once more to leave them)")

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except (asyncio.CancelledError, Interrupted):
        raise Interrupted(f"stopped; {kept}", help=f"to go on: {command}") from None
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
