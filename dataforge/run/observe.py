"""All that watches a run beside those who asked for it: `live.json`, `log.jsonl`, and telemetry where it is wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from dataforge.errors import DataForgeError
from dataforge.models.client import ModelSpec
from dataforge.run.live import Live, keep_telling
from dataforge.run.log import Blot, RunLog
from dataforge.run.progress import Gauges, Progress, Several
from dataforge.run.telemetry import open_telemetry

logger = logging.getLogger("dataforge.run")


@asynccontextmanager
async def observed(
    out: Path,
    specs: Mapping[str, ModelSpec],
    listeners: Sequence[Progress],
    look: Callable[[], Gauges],
    environ: Mapping[str, str],
) -> AsyncIterator[Progress]:
    """Watch a run for as long as the block lasts; gives whom to tell its events. Its end is told at the block's.

    Args:
        out: the run's directory, which exists.
        specs: the bindings. The values of the variables that hold their keys are written nowhere.
        listeners: who asked to be told.
        look: says how the run stands; asked about each second, and at the end.
        environ: where the keys are.

    Raises:
        OutputError, StorageError: where the log cannot be written.
    """
    keys = [environ.get(str(spec.options.get("api_key_env")), "") for spec in specs.values()]
    told = Several([*listeners, Live.in_folder(out, Blot(keys))])
    with RunLog(out, told.note, keys):
        telemetry = open_telemetry(specs, told.note)
        if telemetry is not None:
            told.listeners = [*told.listeners, telemetry]
        telling = asyncio.create_task(keep_telling(told, look))
        why: BaseException | None = None
        try:
            yield told
        except BaseException as error:
            why = error
            raise
        finally:
            telling.cancel()
            (ended,) = await asyncio.gather(telling, return_exceptions=True)
            if isinstance(ended, Exception):  # a bug in `look`, which is worth no run
                logger.error(
                    "the run's state was not told to its end", exc_info=ended, extra={"event": "bug"}
                )
                look = Gauges
            told.gauge(_at_the_end(look(), why))
            told.end()


def _at_the_end(now: Gauges, error: BaseException | None) -> Gauges:
    if error is None:
        return now
    if isinstance(error, DataForgeError):
        why = error.message
    else:
        # Its type, not its words, which may quote an answer.
        why = "interrupted" if isinstance(error, asyncio.CancelledError) else type(error).__name__
    return replace(now, state="stopped", why=why)
