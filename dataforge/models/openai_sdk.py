"""The backend `openai_sdk`: the same client, with the `openai` package to carry its requests.

For providers that want what only the package does. It costs some thirty times the processor time of the backend `openai`.
The package makes one attempt a call and follows no redirect; all else is as there.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from dataforge.errors import ProjectError
from dataforge.models import wire
from dataforge.models.addresses import check_host
from dataforge.models.chat import ChatBackend, api_key
from dataforge.models.client import Backend, ModelSpec
from dataforge.models.pool import Settings, shared_pool
from dataforge.models.transport import CHAT, MAX_ERROR_BYTES, RAW, Answer, Timeouts, proxy_for

_WANTED = {CHAT: ("model", "messages"), RAW: ("model", "prompt")}
"""What the package's methods take by name; all else goes along as it is."""


def connect(spec: ModelSpec) -> Backend:
    """Open a model at its endpoints.

    Raises:
        ProjectError: the package is not installed (R038), the key's variable is not set (R004), or an address is one
            that no model is at (R035).
    """
    settings, key = Settings.of(spec), api_key(spec)
    transport = SdkTransport(key, allow_link_local=settings.allow_link_local, origin=spec.origin)
    return ChatBackend(spec, shared_pool(settings, key, spec.origin), transport)


class SdkTransport:
    """The package's client, one for each endpoint. For one event loop."""

    def __init__(self, key: str, *, allow_link_local: bool, origin: str) -> None:
        try:
            self._openai: Any = importlib.import_module("openai")
        except ImportError as error:
            raise ProjectError(
                f"{origin} names the backend `openai_sdk`, which needs the package `openai`",
                code="R038",
                help="pip install 'dataforge-compiler[openai]', or use the backend `openai`",
            ) from error
        # Whichever HTTP client this version is built on: a body that breaks off raises that client's own errors.
        base = next(b for b in self._openai.DefaultAsyncHttpxClient.__mro__ if b.__name__ == "AsyncClient")
        self._http: Any = importlib.import_module(base.__module__.partition(".")[0])
        self._key = key
        self._allow_link_local = allow_link_local
        self._origin = origin
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def post(
        self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        client = self._clients.get(endpoint.url) or await self._client(endpoint.url)
        document = _document(body)
        told = {name: document.pop(name) for name in _WANTED[path]}
        asked = client.chat.completions if path == CHAT else client.completions
        started = time.perf_counter()
        try:
            # The package's time-outs restart with every byte; only this one ends a body that dribbles in.
            async with asyncio.timeout(timeouts.total_s):
                limits = self._openai.Timeout(
                    timeouts.total_s, connect=timeouts.connect_s, read=timeouts.read_s or timeouts.total_s
                )
                create = asked.with_streaming_response.create
                async with create(**told, extra_body=document, timeout=limits) as response:
                    return await _read(endpoint, response, started, cap_bytes)
        except _FailedError as failed:
            return failed.answer
        except (TimeoutError, self._openai.APITimeoutError, self._http.TimeoutException) as error:
            connecting = "Connect" in type(_root(error)).__name__
            waited_s = timeouts.connect_s if connecting else timeouts.total_s
            raise wire.timed_out(endpoint, waited_s, connecting=connecting) from error
        except (self._openai.APIConnectionError, self._http.HTTPError) as error:
            raise wire.broken_off(endpoint, _root(error)) from None  # its text may hold what the server said

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _client(self, url: str) -> Any:
        async with self._opening:
            if url not in self._clients:
                if not self._allow_link_local:
                    await self._check(urlsplit(url).hostname or "")
                self._clients[url] = self._open(url)
        return self._clients[url]

    def _open(self, url: str) -> Any:
        unwanted = {"Cookie"} if self._key else {"Cookie", "Authorization"}
        if url != wire.DEFAULT_URL:
            unwanted |= {"OpenAI-Organization", "OpenAI-Project"}

        async def withhold(request: Any) -> None:
            # The package puts in what it finds in the environment; another party's server has no business with that.
            for name in unwanted:
                request.headers.pop(name, None)

        return self._openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=url,
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},
            http_client=self._openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                trust_env=False,
                proxy=proxy_for(url),
                event_hooks={"request": [withhold], "response": [_stop_at_failure]},
            ),
        )

    async def _check(self, host: str) -> None:
        """Look where a name leads before the first request. The package dials by itself, so a later turn is not seen."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:  # the request itself will say so
            return
        for _, _, _, _, address in found:
            check_host(str(address[0]), False, self._origin)


class _FailedError(Exception):
    """A response whose status means failure, read before the package reads it whole."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


async def _stop_at_failure(response: Any) -> None:
    if response.is_success:
        return
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_ERROR_BYTES:
            break
    raise _FailedError(Answer(response.status_code, response.headers, bytes(body[:MAX_ERROR_BYTES]), 0.0))


async def _read(endpoint: wire.Endpoint, response: Any, started: float, cap_bytes: int) -> Answer:
    body = bytearray()
    first_byte_s = 0.0
    async for piece in response.iter_bytes():
        first_byte_s = first_byte_s or time.perf_counter() - started
        body += piece
        if len(body) > cap_bytes:
            raise wire.too_large(endpoint, cap_bytes)
    return Answer(response.status_code, response.headers, bytes(body), first_byte_s)


def _document(body: bytes) -> Any:
    """The body as the package wants it. Half a surrogate pair, which its client cannot send, becomes a question mark."""
    try:
        return orjson.loads(body)
    except ValueError:
        return json.loads(json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace"))


def _root(error: BaseException) -> BaseException:
    """The innermost cause in a chain of wrapped errors, which is the one that says something."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
