"""The backend `openai`: any server that speaks OpenAI's chat completions, asked through the `openai` package.

The package makes one attempt per call; retrying is done here and nowhere else, by tenacity. A rate limit costs no
attempt: it holds back everyone who asks that endpoint, and only the sum of such waits is bounded. Failures that may pass
get four attempts with full jitter. Everything else is final at once. See `wire` for which is which.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai
import tenacity

from dataforge.errors import PermanentError, ProjectError, RateLimitError, TransientError
from dataforge.models import wire
from dataforge.models.binding import with_defaults
from dataforge.models.client import Backend, ChatReply, ChatRequest, ModelSpec, Sampling
from dataforge.models.limits import Limit, shared_pause
from schemas.chat import Message

DEFAULT_URL = "https://api.openai.com/v1"
MAX_ATTEMPTS = 4
MAX_BODY_BYTES = 16 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_MAX_WAIT_S = 60.0
_NEWER_FIELD = b"max_completion_tokens"

# Whichever HTTP client this version of the package is built on: a body that breaks off raises that client's own errors.
_http: Any = importlib.import_module(
    next(
        base for base in openai.DefaultAsyncHttpxClient.__mro__ if base.__name__ == "AsyncClient"
    ).__module__.partition(".")[0]
)


def connect(spec: ModelSpec) -> Backend:
    """Open an endpoint.

    Raises:
        ProjectError: the environment variable that should hold the key is not set (R004).
    """
    return OpenAIBackend(spec)


class _RefusedError(Exception):
    """A response whose status means failure, read as far as a message needs it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class OpenAIBackend:
    """One logical name's way to one endpoint."""

    def __init__(self, spec: ModelSpec) -> None:
        options = spec.options
        self._spec = spec
        url = str((options.get("base_url") or (DEFAULT_URL,))[0]).rstrip("/")
        variable = options.get("api_key_env")
        self._endpoint = wire.Endpoint(url, spec.model, variable, _key(spec, variable))
        self._limit = Limit(spec.concurrency, shared_pause(url, spec.model, variable or ""))
        self._connect_s = float(options.get("connect_timeout_s", 5.0))
        self._read_s = options.get("read_timeout_s")
        self._total_s = options.get("total_timeout_s")
        self._retry_base_s = float(options.get("retry_base_s", 1.0))
        self._rate_limit_wait_s = float(options.get("rate_limit_wait_s", 600.0))
        # What this endpoint turned out not to take; found out once, then left out.
        self._refuses_schema = False
        self._tokens_field = "max_tokens"
        self._client = _client(self._endpoint)

    async def complete(self, request: ChatRequest) -> ChatReply:
        return await self._retried(with_defaults(request, self._spec))

    async def ping(self) -> str:
        message = Message(role="user", content="Answer with the word: yes")
        request = ChatRequest((message,), Sampling(max_tokens=16))
        return (await self._adapted(with_defaults(request, self._spec), time.perf_counter())).model

    async def close(self) -> None:
        await self._client.close()

    async def _retried(self, request: ChatRequest) -> ChatReply:
        started = time.perf_counter()
        patience = _Patience(self._limit, self._retry_base_s, self._rate_limit_wait_s)
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((RateLimitError, TransientError)),
            wait=patience.wait_s,
            stop=patience.is_spent,
            reraise=True,
        )
        return await retrying(self._adapted, request, started)

    async def _adapted(self, request: ChatRequest, started: float) -> ChatReply:
        """One attempt, made anew at once without what the endpoint turns out not to know."""
        constrain = request.schema is not None and not self._refuses_schema
        while True:
            try:
                reply = await self._ask(request, constrain, started)
            except _RefusedError as refused:
                about_params = refused.status in {400, 422} and not wire.too_long(refused.body)
                if about_params and self._tokens_field == "max_tokens" and _NEWER_FIELD in refused.body:
                    self._tokens_field = _NEWER_FIELD.decode()
                elif about_params and constrain:
                    constrain = False
                else:
                    raise wire.refusal(
                        self._endpoint, refused.status, refused.headers, refused.body
                    ) from None
            else:
                self._refuses_schema |= request.schema is not None and not constrain
                return reply

    async def _ask(self, request: ChatRequest, constrain: bool, started: float) -> ChatReply:
        """One HTTP request.

        Raises:
            _RefusedError: the endpoint answered with a status that means failure.
            ModelError: it did not answer, or not with a completion.
        """
        params = self._params(request, constrain)
        budget_s = self._total_s or 60.0 + 0.1 * (request.sampling.max_tokens or 1024)
        timeouts = openai.Timeout(budget_s, connect=self._connect_s, read=self._read_s or budget_s)
        async with self._limit.slot():
            try:
                # The package's time-outs restart with every byte; only this one ends a body that dribbles in.
                async with asyncio.timeout(budget_s):
                    body = await self._body(params, timeouts)
            except (TimeoutError, openai.APITimeoutError, _http.TimeoutException) as error:
                slow = "took no connection" if "Connect" in type(_root(error)).__name__ else "did not answer"
                waited_s = self._connect_s if slow == "took no connection" else budget_s
                raise TransientError(
                    f"{self._endpoint} {slow} within {waited_s:g} s",
                    help="check that the server is up and not overloaded, or raise `total_timeout_s`",
                ) from error
            except (openai.APIConnectionError, _http.HTTPError) as error:
                cause = _root(error)
                raise TransientError(
                    f"{self._endpoint} cannot be reached, or broke off: {str(cause) or type(cause).__name__}",
                    help="check that the server runs and that `base_url` is its address",
                ) from error
        return wire.reply(
            self._endpoint, body, constrained=constrain, latency_s=time.perf_counter() - started
        )

    async def _body(self, params: dict[str, Any], timeouts: openai.Timeout) -> bytes:
        create: Any = self._client.chat.completions.with_streaming_response.create
        body = bytearray()
        async with create(**params, timeout=timeouts) as response:
            async for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise PermanentError(
                        f"{self._endpoint} answered with more than {MAX_BODY_BYTES // 1024**2} MiB",
                        help="lower `max_tokens`, and check that `base_url` is a chat API",
                    )
        return bytes(body)

    def _params(self, request: ChatRequest, constrain: bool) -> dict[str, Any]:
        sampling = request.sampling
        params: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [message.wire() for message in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._tokens_field: sampling.max_tokens,
            "stop": list(sampling.stop) or None,
            "seed": sampling.seed,
        }
        if constrain and request.schema is not None:
            schema = dict(request.schema)
            answer = {"name": "answer", "schema": schema, "strict": _is_strict(schema)}
            params["response_format"] = {"type": "json_schema", "json_schema": answer}
        if request.thinking != "auto":
            params["extra_body"] = {"chat_template_kwargs": {"enable_thinking": request.thinking == "on"}}
        return {key: value for key, value in params.items() if value is not None}


class _Patience:
    """How long one call goes on trying. tenacity asks `wait_s` after each failure, and `is_spent` right after."""

    def __init__(self, limit: Limit, base_s: float, rate_limit_wait_s: float) -> None:
        self._limit = limit
        self._base_s = base_s
        self._rate_left_s = rate_limit_wait_s
        self._rate_limited = 0
        self._failed = 0

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, RateLimitError):
            self._failed += 1
            return self._jitter_s(self._failed)
        self._rate_limited += 1
        # Never less than the jitter: a server that says "after 0 s" to everyone would be asked in a tight loop.
        asked_s = max(error.retry_after_s or 0.0, self._jitter_s(self._rate_limited))
        # Not longer than this call would wait: whoever asks later can find out anew.
        self._limit.pause.extend(min(asked_s, max(0.0, self._rate_left_s)))
        self._rate_left_s -= asked_s
        return 0.0  # the pause is waited for at the gate, by everyone

    def is_spent(self, state: tenacity.RetryCallState) -> bool:
        return self._failed >= MAX_ATTEMPTS or self._rate_left_s < 0

    def _jitter_s(self, failures: int) -> float:
        return random.uniform(0, min(_MAX_WAIT_S, self._base_s * 2 ** min(failures - 1, 16)))


def _key(spec: ModelSpec, variable: str | None) -> str:
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


def _client(endpoint: wire.Endpoint) -> openai.AsyncOpenAI:
    host = urlsplit(endpoint.url).hostname or ""
    unwanted = set() if endpoint.key else {"Authorization"}
    if endpoint.url != DEFAULT_URL:
        unwanted |= {"OpenAI-Organization", "OpenAI-Project"}

    async def withhold(request: Any) -> None:
        # The package puts in what it finds in the environment; another party's server has no business with that.
        for name in unwanted:
            request.headers.pop(name, None)

    return openai.AsyncOpenAI(
        api_key=endpoint.key or "none",
        base_url=endpoint.url,
        max_retries=0,
        # Compressed, a small body could hold a huge one.
        default_headers={"Accept-Encoding": "identity"},
        http_client=openai.DefaultAsyncHttpxClient(
            follow_redirects=False,
            # A proxy that the environment names cannot reach this machine's own loopback device.
            trust_env=host not in {"localhost", "127.0.0.1", "::1"},
            event_hooks={"request": [withhold], "response": [_stop_at_failure]},
        ),
    )


async def _stop_at_failure(response: Any) -> None:
    """Read a failure's body up to a bound, before the package reads it whole."""
    if response.is_success:
        return
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _MAX_ERROR_BYTES:
            break
    raise _RefusedError(response.status_code, response.headers, bytes(body[:_MAX_ERROR_BYTES]))


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, with all its properties required."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", {})):
            return False
    return all(map(_is_strict, schema.values()))


def _root(error: BaseException) -> BaseException:
    """The innermost cause in a chain of wrapped errors, which is the one that says something."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
