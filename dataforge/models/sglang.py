"""The backend `sglang`: launches an SGLang server of its own at the first call, asks it, and stops it at the end.

Equal launches share one server in a process, whatever logical names they go by. Launching is `launch`'s work; asking is
left to the backend `openai`, bound to the server's address on the loopback device. That backend would wait long for an
endpoint that has gone, since most come back; a server of ours does not, so its end is watched for.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from dataforge import models
from dataforge.errors import ModelError, ProjectError, QuotaError, TransientError
from dataforge.models.client import (
    Backend,
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    ModelSpec,
)
from dataforge.models.launch import START_TIMEOUT_S, Launch, Server, check_machine, log_file

_FLAGS = ("tensor_parallel", "context_length", "reasoning_parser", "tool_call_parser", "attention_backend")
_WATCH_S = 0.25
_HEARS_S = 3.0
"""How much later than its clients we may know that a server has ended: its keeper sees to its processes first."""
_log = logging.getLogger("dataforge.models")


def connect(spec: ModelSpec) -> Backend:
    """Prepare a server for a binding. It is launched at the first call.

    Raises:
        ProjectError: there is no GPU or no SGLang here (R036), or the binding contradicts itself.
    """
    if "base_url" in spec.options:
        raise ProjectError(
            f"{spec.origin} binds `{spec.name}` to an engine that is to be launched and to an address too",
            help="leave out `base_url` to launch one, or `engine` to use the one that is there",
        )
    options = spec.options
    launch = Launch(
        spec.model,
        **{key: options[key] for key in _FLAGS if key in options},
        engine_args=tuple(options.get("engine_args", ())),
        api_key_env=options.get("api_key_env"),
        start_timeout_s=float(options.get("start_timeout_s", START_TIMEOUT_S)),
    )
    check_machine(launch)
    return SGLangBackend(spec, _shared(launch, options.get("state_folder")))


class SGLangBackend:
    """One logical name's way to a launched server."""

    def __init__(self, spec: ModelSpec, shared: _SharedServer) -> None:
        self._spec = spec
        self._shared = shared
        self._opening: asyncio.Task[Backend] | None = None
        self._inner: Backend | None = None
        self._watching: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._lost: ModelError | None = None
        self._closed = False

    @property
    def pool(self) -> Any:
        """The endpoints of the client behind it; None before the first call."""
        return getattr(self._inner, "pool", None)

    async def complete(self, request: ChatRequest) -> ChatReply:
        return await self._watched((await self._opened()).complete(request))

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        inner = await self._opened()
        assert isinstance(inner, Completes)  # it is the backend `openai`
        return await self._watched(inner.go_on(request))

    async def _watched(self, call: Coroutine[Any, Any, ChatReply]) -> ChatReply:
        """A call of the client behind it, which ends when the server does."""
        try:
            # A time-out without a time: it is called when the server has gone, whatever the call then waits for.
            async with asyncio.timeout(None) as until_lost:
                self._under_way.add(until_lost)
                try:
                    return await call
                finally:
                    self._under_way.discard(until_lost)
        except (TimeoutError, TransientError):
            if self._watching is not None:  # the call may know of the end before the watch does
                await asyncio.wait([self._watching], timeout=_HEARS_S)
            if self._lost is not None:
                raise self._lost from None
            raise

    async def ping(self) -> str:
        try:
            return await (await self._opened()).ping()
        except asyncio.CancelledError:
            # Whoever gives up waiting for a first answer has nothing yet that it could close.
            await self.close()
            raise

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for task in (self._opening, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._inner is not None:
            await self._inner.close()
        await asyncio.to_thread(self._shared.release)

    async def _opened(self) -> Backend:
        if self._inner is None:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            await asyncio.shield(self._opening)
        if self._lost is not None:
            raise self._lost
        assert self._inner is not None
        return self._inner

    async def _open(self) -> Backend:
        url = await asyncio.to_thread(self._shared.url)
        kept = {k: v for k, v in self._spec.options.items() if k not in (*_FLAGS, "engine_args")}
        spec = dataclasses.replace(self._spec, backend="openai", options={**kept, "base_url": (url,)})
        self._inner = models.connect(spec)
        self._watching = asyncio.create_task(self._watch(url))
        return self._inner

    async def _watch(self, url: str) -> None:
        """Wait for the server's untimely end. Where others were added beside it, go on with them; else end all calls."""
        while (lost := self._shared.lost()) is None:  # noqa: ASYNC110 - a process is watched, which no event tells of
            await asyncio.sleep(_WATCH_S)
        if self.pool is not None and any(status["url"] != url for status in self.pool.status()):
            self.pool.drain(url)
            return
        self._lost = lost
        for call in self._under_way:
            call.reschedule(asyncio.get_running_loop().time())


class _SharedServer:
    """A server that several bindings use: launched when the first of them asks, stopped when the last has closed."""

    def __init__(self, launch: Launch, folder: Path | None) -> None:
        self.launch = launch
        self.users = 0
        self._folder = folder
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: Server | None = None
        self._failure: Exception | None = None
        self._owned_up = False

    def url(self) -> str:
        """Its address, after launching it where need be. A launch that failed is not tried again.

        Raises:
            ModelError: with code R037.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._server is None:
                try:
                    self._server = self._launched()
                except Exception as error:
                    self._failure = error
                    raise
            return self._server.local_url

    def lost(self) -> ModelError | None:
        """The error of a server that ended while it was in use; None where it did not."""
        server = self._server
        if server is None or server.exit_code is None or self._stopping.is_set():
            return None
        error = server.ended("while it was in use")
        if not self._owned_up:
            self._owned_up = True
            _note("server_lost", f"{error.message} ({error.help})", self.launch)
        # What no further call can mend, and a person has to see to: a run ends in order, its rows are not lost.
        return QuotaError(error.message, code=error.code, help=error.help)

    def release(self) -> None:
        with _registry_lock:
            self.users -= 1
            if self.users:
                return
            if _registry.get(self.launch) is self:
                del _registry[self.launch]
        self._stopping.set()
        with self._lock:  # whoever waits for it to become healthy gives up first
            if self._server is not None:
                self._server.stop()

    def _launched(self) -> Server:
        started = time.monotonic()
        server = Server(self.launch, log_file(self.launch.model, self._folder))
        _note(
            "server_launched",
            f"launching SGLang for {self.launch.model}; its log is {server.log}",
            self.launch,
        )
        server.wait_healthy(stopping=self._stopping)
        waited_s = time.monotonic() - started
        _note("server_healthy", f"{self.launch.model} answers, after {waited_s:.0f} s", self.launch)
        return server


_registry: dict[Launch, _SharedServer] = {}
_registry_lock = threading.Lock()


def _shared(launch: Launch, folder: Path | None) -> _SharedServer:
    with _registry_lock:
        shared = _registry.setdefault(launch, _SharedServer(launch, folder))
        shared.users += 1
        return shared


def _note(event: str, message: str, launch: Launch) -> None:
    # A warning is what reaches people while a run goes on; minutes of silence would be worse than a strong word.
    _log.warning("%s", message, extra={"event": event, "served_model": launch.model})
