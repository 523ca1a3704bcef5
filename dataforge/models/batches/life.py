"""One batch, from its upload to its last line, over any number of starts.

    lines ──upload──▶ a file ──create──▶ a batch ──poll──▶ ended ──read──▶ what each call came to
           costs nothing     stored before and after

A batch belongs to the endpoint once it is made: it goes on, and costs, whether anybody asks for it or not. So it is stored
before it is asked for, and one whose asking had no answer is looked for before it is asked for again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from dataforge.errors import PermanentError, RateLimitError, TransientError
from dataforge.models import wire
from dataforge.models.batches import lines
from dataforge.models.batches.api import BatchApi, GoneError
from dataforge.models.batches.store import Sent, Store

POLL_GROWTH = 1.25
MOST_POLL_GROWTH = 10.0
_WINDOW_S = 24 * 3600.0
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})

Tell = Callable[[int, str, str, Sent | None], None]
"""Says something to the log: level, event, words, and the batch that it is about."""


class Batch:
    """A batch of this start or an earlier one.

    Args:
        sent: what is on disk about it, or will be.
        resumed: whether it was sent before this start, or before this start gave it up.

    Attributes:
        sent, resumed: as above, as they stand.
        silent: its keys that no line has come for yet.
        fetched: whether all lines that there are have been read.
    """

    def __init__(
        self, sent: Sent, *, resumed: bool, api: BatchApi, store: Store, poll_s: float, tell: Tell
    ) -> None:
        self.sent = sent
        self.resumed = resumed
        self.silent = set(sent.keys)
        self.fetched = False
        self._api = api
        self._store = store
        self._poll_s = poll_s
        self._tell = tell

    async def go_out(self, content: bytes) -> None:
        """Upload and create, as far as that has not been done.

        Raises:
            GoneError: what an earlier start uploaded is of no use any more, so nothing has come of it.
            ModelError: the endpoint does not take it.
            StorageError: the disk does not.
        """
        if self.sent.batch_id:
            return
        if not self.sent.file_id:
            await self._store_with(file_id=await self._api.upload(self.sent.marker, content))
        try:
            batch_id = await self._api.create(
                self.sent.file_id, self.sent.marker, self.sent.began_at, perhaps_made=self.resumed
            )
        except PermanentError as error:
            if self.resumed:
                raise GoneError(error.message, help=error.help) from error
            raise
        await self._store_with(batch_id=batch_id)
        self._tell(logging.INFO, "batch_made", f"{len(self.sent.keys)} calls sent", self.sent)

    async def end(self) -> Mapping[str, Any]:
        """The batch as it stands once it has ended.

        A poll that fails is one that was not made, since the batch does not depend on it; not so past the day that the
        endpoint has for it.

        Raises:
            GoneError: the endpoint does not know it any more.
            ModelError: the endpoint does not let us ask.
        """
        wait_s = self._poll_s
        told = ""
        missed = False
        if not self.resumed:
            await asyncio.sleep(wait_s)
        while True:
            try:
                state = await self._api.batch(self.sent.batch_id)
            except GoneError:
                # To believe it costs the price of a batch, so it is asked again.
                if missed:
                    raise
                missed = True
            except (TransientError, RateLimitError) as error:
                if time.time() - self.sent.began_at > _WINDOW_S:
                    raise
                words = f"{error.message}; asked again later"
                self._tell(logging.WARNING, "batch_poll_failed", words, self.sent)
            else:
                missed = False
                if (words := self._progress(state)) != told:
                    told = words
                    self._tell(logging.INFO, "batch_polled", words, self.sent)
                if state.get("status") in _ENDED:
                    return state
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * POLL_GROWTH, self._poll_s * MOST_POLL_GROWTH)

    async def read(self, state: Mapping[str, Any], take: Callable[[str, dict[str, Any]], None]) -> None:
        """Give what each call came to, good or bad, to `take`: by its key, once, in any order.

        Raises:
            GoneError: the endpoint has thrown its output away.
            ModelError: the output cannot be had.
        """

        def one(line: bytes) -> None:
            entry = lines.read(self._api.endpoint, line)
            # Of calls that it was cancelled before, a batch says so in as many lines.
            if state["status"] == "cancelled" and not entry.get("response"):
                return
            if (key := entry.get("custom_id")) in self.silent:
                self.silent.discard(key)
                take(key, entry)

        for name in ("output_file_id", "error_file_id"):
            if isinstance(file_id := state.get(name), str) and file_id:
                await self._api.each_line(file_id, one)
        self.fetched = True
        if state["status"] == "cancelled":
            # The next start shall not take the calls that are missing for ones that were sent.
            await self._store_with(keys=tuple(key for key in self.sent.keys if key not in self.silent))

    async def _store_with(self, **changes: Any) -> None:
        self.sent = dataclasses.replace(self.sent, **changes)
        await asyncio.to_thread(self._store.save, self.sent)

    def _progress(self, state: Mapping[str, Any]) -> str:
        counts = state.get("request_counts")
        done = counts.get("completed") if isinstance(counts, dict) else None
        done = done if isinstance(done, int) else 0
        said = self._api.endpoint.quote(str(state.get("status")))
        return f"{said}, {done} of {len(self.sent.keys)} calls made"


def is_too_large(state: Mapping[str, Any]) -> bool:
    """Whether a batch failed because the account may not have so many tokens queued at once."""
    return _complaints(state)[0].get("code") == "token_limit_exceeded"


def reason(endpoint: wire.Endpoint, state: Mapping[str, Any]) -> str:
    """Why a batch failed as a whole, fit for a message."""
    told = _complaints(state)
    first = told[0]
    said = endpoint.quote(str(first.get("message") or first.get("code") or "no reason given"))
    line = first.get("line")
    return f"{said} (line {line}, {len(told)} such)" if isinstance(line, int) else said


def as_refusal(endpoint: wire.Endpoint, state: Mapping[str, Any]) -> Exception:
    """What a chat call would have been told that was refused for the same reason and with the status 429."""
    return wire.refusal(endpoint, 429, {}, lines.as_body({"error": _complaints(state)[0]}))


def _complaints(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    errors = state.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else None
    found = listed if isinstance(listed, list) else []
    return [one for one in found if isinstance(one, dict)] or [{}]
