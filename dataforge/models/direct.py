"""One HTTP request to a model's API over a connection of our own: what the hot path of a run is made of.

A call that waits a second for its answer should not cost a millisecond of the machine's time. So a request is one write, an
answer is read by the parser that Node.js uses (llhttp, by `httptools`), and a connection carries one call at a time and is
kept for the next: nothing is built that nobody looks at. That is a third of what a general client's request costs (see
`docs/decisions/012-own-transport.md`). Addresses behind a proxy are left to such a client.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httptools
from aiohappyeyeballs import start_connection

from dataforge.models import wire
from dataforge.models.addresses import is_refused
from dataforge.models.transport import (
    CHAT,
    MAX_ERROR_BYTES,
    Answer,
    Timeouts,
    checked_socket,
    proxy_for,
)

if TYPE_CHECKING:
    from dataforge.models.http import AiohttpTransport

KEPT_FOR_S = 4.0
"""Seconds that an idle connection is used again. Many servers close theirs after five, and a request that meets that fails."""
FRESH_S = 1.0
"""A connection that lay idle for longer and breaks before a byte has come was given up by the server: nobody read the request."""
_LOOKED_UP_FOR_S = 10.0
_MAX_FRAMING_BYTES = 1024 * 1024
"""More than that of heads and trailers, or of chunks in which there is next to nothing, is no answer."""
_EYEBALLS_S = 0.25


class DirectTransport:
    """The transport of the backend `openai`. For one event loop.

    Args:
        key: sent as a bearer token; empty for none.
        allow_link_local: whether a name may lead to a link-local address.
    """

    def __init__(self, key: str, *, allow_link_local: bool = False) -> None:
        self._key = key
        self._allow_link_local = allow_link_local
        self._targets: dict[tuple[str, str], _Target | None] = {}
        self._idle: defaultdict[_Target, list[_Connection]] = defaultdict(list)
        self._swept_at = 0.0
        self._proxied: AiohttpTransport | None = None
        self._tls: ssl.SSLContext | None = None

    async def post(
        self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        try:
            target = self._targets[endpoint.url, path]
        except KeyError:
            target = self._targets[endpoint.url, path] = self._target(endpoint.url + path)
        if target is None:
            return await self._by_proxy().post(endpoint, body, timeouts, cap_bytes, path)
        started = time.perf_counter()
        kept = self._kept(target)
        while True:
            connection = kept or await self._connect(target, endpoint, timeouts)
            whole = False
            try:
                answer = await connection.ask(
                    b"%b%d\r\n\r\n%b" % (target.head, len(body), body),
                    cap_bytes,
                    timeouts.total_s - (time.perf_counter() - started),
                    timeouts.read_s,
                )
                whole = True
            except TimeoutError as error:
                raise wire.timed_out(
                    endpoint, timeouts.total_s if error.args else timeouts.read_s or 0
                ) from error
            except _TooLarge:
                raise wire.too_large(endpoint, cap_bytes) from None
            except OSError as error:
                if kept is not None and kept.heard_nothing and started - kept.idle_since >= FRESH_S:
                    kept = None
                    continue
                raise wire.broken_off(endpoint, error) from None  # its text may hold what the server said
            finally:
                if whole and connection.can_be_kept:
                    connection.idle_since = time.perf_counter()
                    self._idle[target].append(connection)
                else:
                    connection.abort()
            return Answer(*answer, first_byte_s=connection.first_byte_at - started)

    async def close(self) -> None:
        for target in self._targets.values():
            if target is not None and target.lookup is not None:
                target.lookup.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        if self._proxied is not None:
            await self._proxied.close()

    def _target(self, address: str) -> _Target | None:
        """Where an address leads, or None where it is behind a proxy."""
        if proxy_for(address) is not None:
            return None
        parts = urlsplit(address)
        tls = parts.scheme == "https"
        host = (parts.hostname or "").encode("idna").decode()
        named = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {named}",
            "User-Agent: dataforge",
            "Accept: application/json",
            "Accept-Encoding: identity",  # compressed, a small body could hold a huge one
            "Content-Type: application/json",
            *([f"Authorization: Bearer {self._key}"] if self._key else []),
            "Content-Length: ",
        ]
        return _Target(host, parts.port or (443 if tls else 80), tls, "\r\n".join(lines).encode("ascii"))

    def _by_proxy(self) -> AiohttpTransport:
        if self._proxied is None:
            from dataforge.models.http import AiohttpTransport  # a quarter of a second to import

            self._proxied = AiohttpTransport(self._key, allow_link_local=self._allow_link_local)
        return self._proxied

    def _kept(self, target: _Target) -> _Connection | None:
        """The idle connection that was used last, if any is still good."""
        idle = self._idle[target]
        now = time.perf_counter()
        while idle:
            connection = idle.pop()
            if connection.can_be_kept and now < connection.idle_since + KEPT_FOR_S:
                return connection
            connection.abort()
        return None

    def _sweep(self) -> None:
        """Let go of what lies idle at endpoints that nobody asks any more: servers come and go in a long run."""
        now = time.perf_counter()
        if now < self._swept_at + KEPT_FOR_S:
            return
        self._swept_at = now
        for target, idle in list(self._idle.items()):
            good = [c for c in idle if c.can_be_kept and now < c.idle_since + KEPT_FOR_S]
            for connection in set(idle) - set(good):
                connection.abort()
            if good:
                self._idle[target] = good
            else:
                del self._idle[target]

    async def _connect(self, target: _Target, endpoint: wire.Endpoint, timeouts: Timeouts) -> _Connection:
        """Open a connection, to whichever of the name's addresses answers first.

        Raises:
            TimedOut, Unreachable: where there is none.
            PermanentError: R035, where the name leads to an address that must not be dialled.
        """
        self._sweep()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeouts.connect_s):
                found = await target.addresses()
                if not self._allow_link_local:
                    # Where none is left, the first says why: `checked_socket` refuses it.
                    found = [a for a in found if not is_refused(str(a[4][0]))] or found[:1]
                dialled = await start_connection(
                    found,
                    happy_eyeballs_delay=_EYEBALLS_S,
                    interleave=1,
                    socket_factory=None if self._allow_link_local else checked_socket,
                )
                _, connection = await loop.create_connection(
                    _Connection,
                    sock=dialled,
                    ssl=self._context() if target.tls else None,
                    server_hostname=target.host if target.tls else None,
                )
        except TimeoutError as error:
            target.looked_up_at = -_LOOKED_UP_FOR_S
            raise wire.timed_out(endpoint, timeouts.connect_s, connecting=True) from error
        except OSError as error:
            target.looked_up_at = -_LOOKED_UP_FOR_S
            raise wire.broken_off(endpoint, error) from None
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Target:
    """A place to send requests to, and all that they begin with up to the length of the body."""

    __slots__ = ("head", "host", "looked_up_at", "lookup", "port", "tls")

    def __init__(self, host: str, port: int, tls: bool, head: bytes) -> None:
        self.host, self.port, self.tls, self.head = host, port, tls, head
        self.lookup: asyncio.Future[list[Any]] | None = None
        self.looked_up_at = -_LOOKED_UP_FOR_S

    async def addresses(self) -> list[Any]:
        """Where the name leads. Hundreds of connections may be wanted at once, and the system looks up a few at a time.

        Raises:
            OSError: nowhere.
        """
        now = time.monotonic()
        lookup = self.lookup
        if lookup is None or (lookup.done() and now > self.looked_up_at + _LOOKED_UP_FOR_S):
            loop = asyncio.get_running_loop()
            lookup = asyncio.ensure_future(loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
            self.lookup, self.looked_up_at = lookup, now
        return await asyncio.shield(lookup)  # whoever asked first may be called off


class _TooLarge(Exception):
    """An answer that is longer than any answer should be."""


class _Connection(asyncio.Protocol):
    """A connection, and the parser of what comes back on it. One call at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.first_byte_at = 0.0
        self._received = 0
        self._transport: Any = None
        self._waiter: asyncio.Future[tuple[int, dict[str, str], bytes]] | None = None
        self._parser: Any = None
        self._open = True
        self._forget()

    def _forget(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._left = 0
        self._size = 0
        self._keep = False

    @property
    def can_be_kept(self) -> bool:
        """Whether another call may use the connection."""
        return self._open and self._keep and self._waiter is None and not self._transport.is_closing()

    @property
    def heard_nothing(self) -> bool:
        """Whether not a byte has come since the last request was sent."""
        return not self._received

    async def ask(
        self, request: bytes, cap_bytes: int, total_s: float, read_s: float | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and wait for its whole answer: status, headers with lower-case names, body.

        Raises:
            TimeoutError: with an argument after `total_s`, with none after `read_s` without a byte.
            OSError: the connection ended, or what came was no HTTP.
            _TooLarge: a good answer is longer than `cap_bytes`.
        """
        loop = asyncio.get_running_loop()
        self._forget()
        self._parser = httptools.HttpResponseParser(self)
        self._cap_bytes = cap_bytes
        self._received = 0
        self.first_byte_at = 0.0
        waiter: asyncio.Future[tuple[int, dict[str, str], bytes]] = loop.create_future()
        self._waiter = waiter
        deadline = loop.call_later(max(0.0, total_s), self._fail, TimeoutError("total"))
        self._silence = None if read_s is None else _Silence(loop, read_s, self._fail)
        try:
            if not self._open:
                raise ConnectionResetError("the server closed the connection")
            self._transport.write(request)
            return await waiter
        finally:
            self._waiter = None
            deadline.cancel()
            if self._silence is not None:
                self._silence.end()

    def abort(self) -> None:
        """End the connection at once; a second time does nothing."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    # ---- what asyncio tells

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:  # nobody asked: whatever it is, the next answer would begin with it
            self.abort()
            return
        if self._silence is not None:
            self._silence.broken()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"what came back is no HTTP: {error}"))
        if self._received > _MAX_FRAMING_BYTES + 8 * self._size:
            self._fail(ConnectionError("what came back is no HTTP: there is more around the body than in it"))

    def connection_lost(self, error: Exception | None) -> None:
        self._open = False
        if self._waiter is None or self._waiter.done():
            return
        headers = self._headers
        ended_by_close = self._status and not {"content-length", "transfer-encoding"} & headers.keys()
        if error is None and ended_by_close:
            self._finish()
        elif isinstance(error, OSError):
            self._fail(error)
        else:
            what = "in the middle of its answer" if self._status else "without an answer"
            self._fail(ConnectionResetError(f"the server closed the connection {what}"))

    # ---- what the parser tells

    def on_message_begin(self) -> None:
        self._headers = {}
        if self._waiter is None or self._waiter.done():
            self._open = False  # a second answer to one request: no telling what comes next

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._left = self._cap_bytes if 200 <= self._status < 300 else MAX_ERROR_BYTES

    def on_body(self, piece: bytes) -> None:
        if not self.first_byte_at:
            self.first_byte_at = time.perf_counter()
        self._pieces.append(piece)
        self._size += len(piece)
        self._left -= len(piece)
        if self._left < 0:
            if 200 <= self._status < 300:
                self._fail(_TooLarge())
            else:
                self._finish()  # as much of a failure as a message needs

    def on_message_complete(self) -> None:
        if 100 <= self._status < 200:  # an interim answer; the real one follows
            self._forget()
            return
        self._keep = self._parser.should_keep_alive()
        self._finish()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self.first_byte_at = self.first_byte_at or time.perf_counter()
            body = b"".join(self._pieces)
            self._waiter.set_result(
                (self._status, self._headers, body if self._left >= 0 else body[:MAX_ERROR_BYTES])
            )

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class _Silence:
    """Ends a call when no byte has come for some seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, fail: Any) -> None:
        self._loop, self._seconds, self._fail = loop, seconds, fail
        self._timer = loop.call_later(seconds, fail, TimeoutError())

    def broken(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(self._seconds, self._fail, TimeoutError())

    def end(self) -> None:
        self._timer.cancel()
