"""The backend `openai_batch`: chat completions through OpenAI's Batch API, at half the price and within a day.

Calls that come close together go out as one batch, and each is answered as its line comes back. What was sent is remembered
on disk, so a run that is killed and started again asks for the same calls, finds them in a batch under way or finished, and
pays for none twice. How a batch fares is told in `dataforge.models.batches.life`; here is who waits for what.

Where the binding's options hold no `state_folder`, as outside a run, nothing is remembered from one start to the next.
Only the first of several addresses is used: what is queued in one place cannot be fetched in another.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dataforge.errors import (
    Interrupted,
    ModelError,
    PermanentError,
    ProjectError,
    QuotaError,
    RateLimitError,
    TransientError,
)
from dataforge.models import wire
from dataforge.models.addresses import check_host
from dataforge.models.batches import lines
from dataforge.models.batches.api import MAX_ATTEMPTS, BatchApi, GoneError
from dataforge.models.batches.life import Batch, as_refusal, is_too_large, reason
from dataforge.models.batches.lines import Form
from dataforge.models.batches.store import Sent, Store
from dataforge.models.binding import with_defaults
from dataforge.models.chat import api_key
from dataforge.models.client import Backend, ChatReply, ChatRequest, ModelSpec

MAX_LINES = 50_000
MAX_BYTES = 200_000_000
QUIET_S = 1.0
"""A batch is closed once no call has come for so long…"""
LONGEST_GATHERING_S = 60.0
"""…and after so long in any case, so that a trickle does not wait for ever."""
SETTLED_S = 60.0
"""A reply is in the run's journal moments after it is handed over. So much later its batch may be forgotten: either it is
there by then, or the run has ended over it and forgets nothing."""
_POLL_S = 30.0
_RETRY_BASE_S = 5.0

_log = logging.getLogger("dataforge.models")


def connect(spec: ModelSpec) -> Backend:
    """Open an endpoint's Batch API.

    Raises:
        ProjectError: the environment variable that should hold the key is not set (R004), the address is link-local
            (R035), or the binding has a `thinking_budget`.
        StorageError: what an earlier start left on disk cannot be read.
    """
    if spec.sampling.thinking_budget is not None:
        raise ProjectError(
            f"{spec.origin} gives `{spec.name}` a `thinking_budget`, and batches cannot keep to one: it takes two calls",
            help='leave out `thinking_budget`, or bind the model with backend = "openai"',
        )
    return OpenAIBatch(spec)


@dataclass(slots=True, eq=False)
class _Call:
    """A call that somebody waits for."""

    key: str
    request: ChatRequest
    future: asyncio.Future[ChatReply]
    form: Form
    began: float = field(default_factory=time.perf_counter)
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Trip:
    """A batch and those who wait for it.

    Attributes:
        batch: the batch itself.
        waiting: its calls that somebody waits for.
        unclaimed: what came for calls of an earlier start, which nobody has made in this one yet.
        task: what carries it to its end; None while nobody has asked.
        touched: when an answer was last handed over.
    """

    batch: Batch
    waiting: dict[str, _Call] = field(default_factory=dict)
    unclaimed: dict[str, dict[str, Any]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    touched: float = 0.0

    def release(self) -> list[_Call]:
        """Its calls, for whom it has nothing."""
        calls = list(self.waiting.values())
        self.waiting.clear()
        return calls


class OpenAIBatch:
    """One logical name's batches at one endpoint."""

    outlives_us = True
    """A run that is stopped does not wait for the calls of this backend: they go on, and its next start finds them."""

    def __init__(self, spec: ModelSpec) -> None:
        options = spec.options
        self._spec = spec
        url = str((options.get("base_url") or (wire.DEFAULT_URL,))[0]).rstrip("/")
        allow_link_local = bool(options.get("allow_link_local", False))
        check_host(urlsplit(url).hostname or "", allow_link_local, spec.origin)
        self._endpoint = wire.Endpoint(url, spec.model, options.get("api_key_env"), api_key(spec))
        self._poll_s = float(options.get("poll_s", _POLL_S))
        self._quiet_s = min(QUIET_S, self._poll_s)
        self._most_lines = min(spec.concurrency, MAX_LINES)
        self._api = BatchApi(
            self._endpoint,
            connect_s=float(options.get("connect_timeout_s", 5.0)),
            retry_base_s=float(options.get("retry_base_s", _RETRY_BASE_S)),
            allow_link_local=allow_link_local,
        )
        folder = options.get("state_folder")
        self._store = Store(None if folder is None else Path(folder), (spec.name, url, spec.model))
        # What this endpoint turned out not to take; found out once, then left out.
        self._form = Form(bare=False, newer=url == wire.DEFAULT_URL)

        self._calls: dict[str, _Call] = {}
        self._queued: dict[_Call, bytes] = {}
        self._queued_bytes = 0
        self._queued_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._trips: set[_Trip] = set()
        self._home: dict[str, _Trip] = {}
        """Where the calls of earlier starts are. Of two batches that have one, the later was sent since the earlier failed it."""
        for sent in self._store.load():
            self._home.update(dict.fromkeys(sent.keys, self._trip(sent, resumed=True)))
        if self._trips:
            self._tell(logging.INFO, "batches_found", f"{len(self._trips)} batches of earlier starts")

    async def complete(self, request: ChatRequest) -> ChatReply:
        if self._closed:
            raise _stopped()
        request = with_defaults(request, self._spec)
        if request.sampling.thinking_budget is not None:
            raise PermanentError(
                f"`{self._spec.name}` is asked in batches, which cannot keep to a thinking budget: that takes two calls",
                help="leave out `thinking_budget`, or the batches",
            )
        key = request.key(self._spec.weights)
        if (call := self._calls.get(key)) is None:
            call = _Call(key, request, asyncio.get_running_loop().create_future(), self._form)
            self._calls[key] = call
            self._place(call)
        return await asyncio.shield(call.future)

    async def ping(self) -> str:
        await self._api.ping()
        return self._spec.model

    async def close(self) -> None:
        """Let go of the endpoint at once; a second time does nothing.

        Its batches go on there, on purpose: the next start fetches what they gave. Who waits for one is told so by
        `Interrupted`.
        """
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.close()
        left = [b.sent.batch_id for trip in self._trips if (b := trip.batch).sent.batch_id and not b.fetched]
        if left:
            then = "the same command fetches" if self._store.remembers else "nobody will fetch"
            self._tell(
                logging.WARNING, "batches_left", f"batches go on, and {then} them: {', '.join(sorted(left))}"
            )
        for call in list(self._calls.values()):
            self._fail(call, _stopped())
        self._forget_settled()

    # ---- gathering calls into batches

    def _place(self, call: _Call) -> None:
        """Send a new call to the batch of an earlier start that has it, or into the queue."""
        trip = self._home.pop(call.key, None)
        if trip is None:
            self._queue(call)
            return
        call.attempts = 1
        call.form = Form(call.key in trip.batch.sent.bare, self._form.newer)
        # Half of it may have been read by now, and then the call's line has come and will not come again.
        if trip.batch.fetched or call.key in trip.unclaimed:
            self._take(trip, call, trip.unclaimed.pop(call.key, {}))
            return
        trip.waiting[call.key] = call
        self._carry_on(trip)

    def _queue(self, call: _Call) -> None:
        line = lines.write(call.key, self._spec.model, call.request, call.form)
        if self._queued_bytes + len(line) > MAX_BYTES:
            self._send()
        loop = asyncio.get_running_loop()
        if not self._queued:
            self._queued_since = loop.time()
        self._queued[call] = line
        self._queued_bytes += len(line)
        if len(self._queued) >= self._most_lines:
            self._send()
            return
        if self._timer is not None:
            self._timer.cancel()
        until = min(loop.time() + self._quiet_s, self._queued_since + LONGEST_GATHERING_S)
        self._timer = loop.call_at(until, self._send)

    def _send(self) -> None:
        """Make a batch of what is queued."""
        if self._timer is not None:
            self._timer.cancel()
        queued, self._queued, self._queued_bytes = self._queued, {}, 0
        if not queued:
            return
        for call in queued:
            call.attempts += 1
        keys = tuple(call.key for call in queued)
        bare = frozenset(call.key for call in queued if call.form.bare)
        trip = self._trip(Sent(uuid.uuid4().hex, keys, bare, time.time()), resumed=False)
        trip.waiting = {call.key: call for call in queued}
        self._carry_on(trip, b"".join(queued.values()))

    def _trip(self, sent: Sent, *, resumed: bool) -> _Trip:
        trip = _Trip(
            Batch(
                sent,
                resumed=resumed,
                api=self._api,
                store=self._store,
                poll_s=self._poll_s,
                tell=self._tell,
            )
        )
        self._trips.add(trip)
        return trip

    # ---- carrying a batch to its end

    def _carry_on(self, trip: _Trip, content: bytes = b"") -> None:
        if trip.task is None:
            trip.task = asyncio.create_task(self._carry(trip, content))
            self._tasks.add(trip.task)
            trip.task.add_done_callback(self._tasks.discard)

    async def _carry(self, trip: _Trip, content: bytes) -> None:
        batch = trip.batch
        try:
            await batch.go_out(content)
            del content  # it may be 200 MB, and there are hours to come
            state = await batch.end()
            if state["status"] == "failed":
                await self._failed(trip, state)
                return
            await batch.read(state, lambda key, entry: self._came(trip, key, entry))
            self._read(trip, str(state["status"]))
        except GoneError as error:
            if batch.resumed or batch.sent.batch_id:
                self._tell(
                    logging.WARNING, "batch_gone", f"{error.message}; its calls are sent anew", batch.sent
                )
                self._forget(trip)
                self._send_anew(trip)
            else:
                self._give_up(trip, error)  # it was never there: the endpoint has no such API
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._give_up(trip, error)
        self._forget_settled()

    def _came(self, trip: _Trip, key: str, entry: dict[str, Any]) -> None:
        if (call := trip.waiting.pop(key, None)) is not None:
            self._take(trip, call, entry)
        else:
            trip.unclaimed[key] = entry

    def _read(self, trip: _Trip, status: str) -> None:
        """See to the calls that a batch had nothing for.

        Raises:
            PermanentError: somebody wanted it to stop. To send the rest again at once would be against their will.
        """
        if not trip.waiting:
            return
        if status == "cancelled":
            raise PermanentError(
                f"{self._endpoint}: batch {trip.batch.sent.batch_id} was cancelled before it came to this call",
                code="R039",
                help="the same command sends what is missing in a new batch",
            )
        words = f"{status} with {len(trip.waiting)} calls not made; they are sent again"
        self._tell(logging.WARNING, "batch_incomplete", words, trip.batch.sent)
        self._send_anew(trip)

    async def _failed(self, trip: _Trip, state: Mapping[str, Any]) -> None:
        """See to a batch that failed as a whole. Nothing of it was run, and it cost nothing.

        Too many tokens queued at once is the account's limit and no mistake: the batch waits for another of ours to end, or
        goes out in halves where there is none.

        Raises:
            ModelError: it is of no use to send it again.
        """
        sent = trip.batch.sent
        self._forget(trip)
        why = reason(self._endpoint, state)
        others = [o.task for o in self._trips if o.task and not o.task.done() and o.batch.sent.batch_id]
        if is_too_large(state) and (others or len(sent.keys) > 1):
            self._tell(logging.WARNING, "batch_too_large", f"{why}; sent again later, in smaller parts", sent)
            if others:
                await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            else:
                self._most_lines = max(1, len(sent.keys) // 2)
                await asyncio.sleep(self._poll_s)
            for call in trip.release():
                call.attempts -= 1
                self._queue(call)
            return
        if isinstance(spent := as_refusal(self._endpoint, state), QuotaError):
            raise spent
        raise PermanentError(
            f"{self._endpoint} refused the whole batch {sent.batch_id}: {why}",
            code="R039",
            help="mend what it complains of, and start the same command again: nothing of the batch was run",
        )

    def _send_anew(self, trip: _Trip) -> None:
        for call in trip.release():
            self._take(trip, call, {})

    def _give_up(self, trip: _Trip, error: Exception) -> None:
        """Tell all who wait. A batch that may go on all the same is there for whoever makes one of its calls again."""
        batch = trip.batch
        trip.task, batch.resumed = None, True
        made = batch.sent.batch_id or (batch.sent.file_id and not isinstance(error, PermanentError))
        if not made:
            self._forget(trip)
        elif trip in self._trips and not batch.fetched:
            self._home.update(dict.fromkeys(batch.silent, trip))
        for call in trip.release():
            fresh = copy.copy(error)  # a shared one would gather everybody's traceback
            fresh.__cause__ = error
            self._fail(call, fresh)

    # ---- the ends of a call

    def _take(self, trip: _Trip, call: _Call, entry: Mapping[str, Any]) -> None:
        """Answer a call by its line; an empty one stands for a line that never came."""
        trip.touched = time.monotonic()
        bare = call.form.bare and call.request.schema is not None
        try:
            reply = lines.reply(
                self._endpoint,
                entry,
                constrained=call.request.schema is not None and not call.form.bare,
                latency_s=time.perf_counter() - call.began,
            )
        except (TransientError, RateLimitError) as error:
            self._again(call, error)
        except ModelError as error:
            form = lines.other_form(entry, call.request, call.form)
            if form is not None:
                call.form = form
                self._form = Form(self._form.bare, self._form.newer or form.newer)
                self._queue(call)
            elif trip.batch.resumed:
                # Refused in an earlier start, and this one is here to see whether it still is.
                self._again(call, error)
            else:
                self._fail(call, error)
        else:
            self._form = Form(self._form.bare or bare, self._form.newer)
            self._done(call)
            if not call.future.done():
                call.future.set_result(dataclasses.replace(reply, attempts=call.attempts))

    def _again(self, call: _Call, error: ModelError) -> None:
        if call.attempts < MAX_ATTEMPTS:
            self._queue(call)
        else:
            self._fail(call, error)

    def _fail(self, call: _Call, error: Exception) -> None:
        self._done(call)
        if not call.future.done():
            call.future.set_exception(error)
            call.future.exception()  # retrieved: whoever asked may have gone

    def _done(self, call: _Call) -> None:
        self._calls.pop(call.key, None)

    # ---- forgetting

    def _forget(self, trip: _Trip) -> None:
        """Drop a batch that can give nothing more."""
        self._trips.discard(trip)
        for key in trip.batch.sent.keys:
            if self._home.get(key) is trip:
                del self._home[key]
        self._store.forget(trip.batch.sent)

    def _forget_settled(self) -> None:
        """Drop the batches whose answers have all been handed over, long enough ago to be in the run's journal."""
        now = time.monotonic()
        for trip in list(self._trips):
            handed_over = trip.batch.fetched and not trip.waiting and not trip.unclaimed
            if handed_over and now - trip.touched > SETTLED_S:
                self._forget(trip)

    def _tell(self, level: int, event: str, words: str, sent: Sent | None = None) -> None:
        extra = {"event": event, "model": self._spec.name, "endpoint": self._endpoint.url}
        about = ""
        if sent is not None:
            extra["batch"] = sent.batch_id
            about = f"batch {sent.batch_id or 'not made yet'}: "
        _log.log(level, "`%s`: %s%s", self._spec.name, about, words, extra=extra)


def _stopped() -> Interrupted:
    return Interrupted("stopped while waiting for a batch", help="the same command goes on from there")
