"""One completion, of a chat or a raw one, over any transport: the body, the attempts, what each outcome means for the endpoint.

There is one layer of retries and it is here; transports make one attempt. What ends an attempt is one of four kinds:

    rate        the endpoint asks to be asked less; it is left alone for a while by everyone, and no attempt is used up
    transient   may pass: up to four attempts with full jitter, by tenacity, within the endpoint's budget of retries
    quota       the account is spent: the endpoint is parked, and the call goes elsewhere or ends
    permanent   would only repeat itself, so it ends the call

A call that succeeds at once, as almost all do, meets nothing of this.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import tenacity

from dataforge.errors import ModelError, ProjectError, QuotaError, RateLimitError, TransientError
from dataforge.models import asking, forcing, streamed, wire
from dataforge.models.binding import with_defaults
from dataforge.models.client import (
    NO_ENDPOINT,
    ChatReply,
    ChatRequest,
    CompletionRequest,
    ModelSpec,
    Sampling,
)
from dataforge.models.limits import jitter_s
from dataforge.models.pool import Ask, Endpoint, Pool
from dataforge.models.transport import CHAT, RAW, Answer, Timeouts, Transport
from schemas.chat import Message

log = logging.getLogger("dataforge.models")

MAX_ATTEMPTS = 4
_UNSAID_TOKENS = 1024  # taken for the length of an answer that has no bound
_BYTES_A_TOKEN = 4
_FORMATS_KEPT = 256


@dataclass(slots=True)
class _Call:
    """A call under way: what its attempts have in common, and what became of them."""

    request: ChatRequest | CompletionRequest
    requests: int = 0
    started_at: float | None = None
    avoid: Endpoint | None = None


class ChatBackend:
    """One logical name's way to its model, at one endpoint or several.

    Attributes:
        pool: the endpoints, shared with every other name that is bound to them in the same way.
    """

    def __init__(self, spec: ModelSpec, pool: Pool, transport: Transport) -> None:
        self.pool = pool
        self._spec = spec
        self._transport = transport
        self._connect_s = float(spec.options.get("connect_timeout_s", 5.0))
        self._read_s = spec.options.get("read_timeout_s")
        self._total_s = spec.options.get("total_timeout_s")
        self._stream = bool(spec.options.get("stream", False))
        # What the model's servers turned out not to take; found out once, then left out.
        self._refuses_schema = False
        self._tokens_field = asking.TOKENS_FIELD
        self._timeouts: dict[int | None, Timeouts] = {}
        self._formats: dict[int, tuple[Mapping[str, Any], orjson.Fragment]] = {}

    async def complete(self, request: ChatRequest) -> ChatReply:
        request = with_defaults(request, self._spec)
        if request.sampling.thinking_budget is not None:
            return await forcing.complete(self._made, request)
        return await self._made(request)

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        return await self._made(with_defaults(request, self._spec))

    async def _made(self, request: ChatRequest | CompletionRequest) -> ChatReply:
        call = _Call(request)
        try:
            return await self._attempt(call)
        except (RateLimitError, TransientError, QuotaError) as error:
            return await self._again(call, error)

    async def ping(self) -> str:
        """As `Backend.ping`. A server that answers, but badly, is tried as in a run; one that is not there is not."""
        message = Message(role="user", content="Answer with the word: yes")
        call = _Call(with_defaults(ChatRequest((message,), Sampling(max_tokens=16)), self._spec))
        for left in range(len(self.pool), 0, -1):
            try:
                return (await self._attempt(call)).model
            except (wire.TimedOut, wire.Unreachable):
                if left == 1:
                    raise
            except (RateLimitError, TransientError, QuotaError) as error:
                return (await self._again(call, error)).model
        raise AssertionError("a pool without endpoints makes calls wait")

    async def close(self) -> None:
        await self._transport.close()

    async def _again(self, call: _Call, first: ModelError) -> ChatReply:
        """Go on with a call whose first attempt ended with an error that may pass."""
        patience = _Patience(self.pool, call)
        failed: ModelError | None = first

        async def attempt() -> ChatReply:
            nonlocal failed
            if failed is not None:
                error, failed = failed, None
                raise error
            return await self._attempt(call)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((RateLimitError, TransientError, QuotaError)),
            wait=patience.wait_s,
            stop=patience.is_spent,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(attempt)

    async def _attempt(self, call: _Call) -> ChatReply:
        """One attempt, made anew at once without what the endpoint turns out not to know."""
        request = call.request
        if isinstance(request, CompletionRequest):
            return await self._send(call, self._raw_body(request), RAW, False)
        constrain = request.schema is not None and not self._refuses_schema
        while True:
            body = self._body(request, constrain)
            try:
                reply = await self._send(call, body, CHAT, constrain)
            except _RefusedError as refused:
                about_params = refused.status in {400, 422} and not wire.too_long(refused.body)
                if (
                    about_params
                    and self._tokens_field != asking.NEWER_TOKENS_FIELD
                    and asking.NEWER_TOKENS_FIELD.encode() in refused.body
                ):
                    self._tokens_field = asking.NEWER_TOKENS_FIELD
                elif about_params and constrain:
                    constrain = False
                else:
                    raise refused.error from None
            else:
                self._refuses_schema |= request.schema is not None and not constrain
                return reply

    async def _send(self, call: _Call, body: bytes, path: str, constrain: bool) -> ChatReply:
        """One HTTP request, and its outcome told to the endpoint.

        Raises:
            _RefusedError: the endpoint refused the chat request as such, so that another one may do better.
            ModelError: it did not answer, or not with a completion.
        """
        pool = self.pool
        sampling = call.request.sampling
        ask = Ask(body, len(body) // _BYTES_A_TOKEN + (sampling.max_tokens or _UNSAID_TOKENS), call.avoid)
        endpoint = await pool.enter(ask)
        started = pool.clock()
        call.requests += 1
        if call.started_at is None:
            call.started_at = started
        if call.requests == 1:
            endpoint.budget.sent()
        used_tokens = None
        try:
            answer = await self._transport.post(
                endpoint.address,
                body,
                self._timeouts.get(sampling.max_tokens) or self._timeouts_for(sampling.max_tokens),
                4 * wire.MAX_BODY_BYTES if self._stream else wire.MAX_BODY_BYTES,
                path,
            )
            now = pool.clock()
            reply = self._read(endpoint, answer, call, constrain, now - call.started_at)
            used_tokens = reply.prompt_tokens + reply.completion_tokens or None
            if self._stream:
                endpoint.succeeded(now, answer.first_byte_s, 0, at_once=call.requests == 1)
            else:
                endpoint.succeeded(now, now - started, reply.completion_tokens, at_once=call.requests == 1)
            return reply
        except RateLimitError as error:
            used_tokens = 0
            endpoint.refused(pool.clock(), error, error.retry_after_s)
            call.avoid = endpoint
            raise
        except TransientError as error:
            endpoint.failed(pool.clock(), error)
            call.avoid = endpoint
            raise
        except QuotaError as error:
            used_tokens = 0
            endpoint.park(error)
            raise
        except (ModelError, _RefusedError):
            endpoint.answered()
            raise
        except BaseException:
            endpoint.breaker.abandoned()
            raise
        finally:
            pool.leave(endpoint, ask, used_tokens)

    def _read(
        self, endpoint: Endpoint, answer: Answer, call: _Call, constrain: bool, latency_s: float
    ) -> ChatReply:
        request = call.request
        if isinstance(request, CompletionRequest):
            return self._read_raw(endpoint, answer, request, call.requests, latency_s)
        if not 200 <= answer.status < 300:
            error = wire.refusal(endpoint.address, answer.status, answer.headers, answer.body)
            if answer.status in {400, 422} and not isinstance(error, QuotaError):
                raise _RefusedError(answer.status, answer.body, error)
            raise error
        return wire.reply(
            endpoint.address,
            self._whole(endpoint, answer.body),
            constrained=constrain,
            latency_s=latency_s,
            attempts=call.requests,
            continued=request.continues,
        )

    def _read_raw(
        self, endpoint: Endpoint, answer: Answer, request: CompletionRequest, requests: int, latency_s: float
    ) -> ChatReply:
        if not 200 <= answer.status < 300:
            by_ids = not isinstance(request.prompt, str)
            raise wire.raw_refusal(
                endpoint.address, answer.status, answer.headers, answer.body, by_ids=by_ids
            )
        body = self._whole(endpoint, answer.body)
        return wire.raw_reply(endpoint.address, body, latency_s=latency_s, attempts=requests)

    def _whole(self, endpoint: Endpoint, body: bytes) -> bytes:
        """The body of an answer in one piece, however it came."""
        if self._stream and streamed.is_streamed(body):
            return streamed.assembled(endpoint.address, body)
        return body

    def _timeouts_for(self, max_tokens: int | None) -> Timeouts:
        total_s = self._total_s or 60.0 + 0.1 * (max_tokens or _UNSAID_TOKENS)
        made = Timeouts(self._connect_s, self._read_s, total_s)
        self._timeouts[max_tokens] = made
        return made

    def _body(self, request: ChatRequest, constrain: bool) -> bytes:
        format = self._response_format(request.schema) if constrain and request.schema is not None else None
        return self._written(
            asking.body(self._spec.model, request, tokens_field=self._tokens_field, format=format)
        )

    def _raw_body(self, request: CompletionRequest) -> bytes:
        return self._written(asking.raw_body(self._spec.model, request))

    def _written(self, body: dict[str, Any]) -> bytes:
        if self._stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return _as_json(body)

    def _response_format(self, schema: Mapping[str, Any]) -> orjson.Fragment:
        """A schema's part of the body. A graph has few and asks with each many times, so they are written once."""
        known = self._formats.get(id(schema))
        if known is None or known[0] is not schema:
            if len(self._formats) >= _FORMATS_KEPT:
                self._formats.clear()
            written = orjson.Fragment(_as_json(asking.response_format(schema)))
            known = self._formats[id(schema)] = (schema, written)
        return known[1]


class _RefusedError(Exception):
    """A request that the endpoint does not take as it is."""

    def __init__(self, status: int, body: bytes, error: ModelError) -> None:
        super().__init__(status)
        self.status, self.body, self.error = status, body, error


class _Patience:
    """How long one call goes on trying. tenacity asks `wait_s` after each failure, and `is_spent` right after."""

    def __init__(self, pool: Pool, call: _Call) -> None:
        self._pool = pool
        self._call = call
        self._rate_left_s = pool.settings.patience_s
        self._rate_limited = 0
        self._moved = 0
        self._failed = 0
        self._hopeless = False

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        wait_s = self._wait_s(error)
        log.debug(
            "a call is made anew in %.2f s after %s",
            wait_s,
            type(error).__name__,
            extra={"event": "retry", "model": self._pool.settings.model, "wait_s": wait_s},
        )
        return wait_s

    def is_spent(self, state: tenacity.RetryCallState) -> bool:
        return self._hopeless or self._failed >= MAX_ATTEMPTS or self._rate_left_s < 0

    def _wait_s(self, error: BaseException | None) -> float:
        failed_at = self._call.avoid
        base_s = self._pool.settings.retry_base_s
        if isinstance(error, QuotaError):
            self._hopeless = self._pool.is_parked
            return 0.0
        if failed_at is None or getattr(error, "code", None) == NO_ENDPOINT:
            self._hopeless = True
            return 0.0
        if isinstance(error, RateLimitError):
            elsewhere = self._pool.has_other(failed_at)
            if elsewhere and self._moved < len(self._pool) - 1:
                self._moved += 1
                return 0.0
            self._rate_limited += 1
            # An endpoint that says how long is waited for at the gate, by everyone; a little beyond that, so that not
            # all come back in the same instant. One that does not say is waited for here, by this call.
            wait_s = jitter_s(base_s, self._rate_limited if error.retry_after_s is None else 1)
            self._rate_left_s -= wait_s if elsewhere else max(error.retry_after_s or 0.0, wait_s)
            return wait_s
        if failed_at.breaker.is_open:
            # It is down, which says nothing about this call: it waits with all others, however often it was the trial.
            return jitter_s(base_s, 1)
        self._failed += 1
        wait_s = jitter_s(base_s, self._failed)
        if self._failed < MAX_ATTEMPTS:
            wait_s = max(wait_s, failed_at.budget.wait_s(self._pool.clock()))
        return wait_s


def api_key(spec: ModelSpec) -> str:
    """The value of the key that a binding names; empty where it names none.

    Raises:
        ProjectError: with code R004, where the variable is not set, or holds what cannot be a key.
    """
    variable = spec.options.get("api_key_env")
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ProjectError(
            f"`{spec.name}` needs a key in the environment variable {variable}, which is not set",
            code="R004",
            help=f"export {variable}=… and start again",
        )
    if not (key.isascii() and key.isprintable()):
        raise ProjectError(
            f"the environment variable {variable} holds characters that no key has",
            code="R004",
            help="set it anew, without quotation marks, line breaks or spaces around the key",
        )
    return key


def _as_json(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # Half a surrogate pair in a prompt, or a number beyond 64 bits in a schema.
        return json.dumps(body, default=lambda made: json.loads(orjson.dumps(made))).encode()
