"""One HTTP request to a chat API and the whole of its answer, over pooled connections of aiohttp.

Everything that costs per call and gives nothing is off: cookies, redirects, decompression, looking up proxies anew each
time. An answer has a deadline as a whole, since time-outs between bytes never end one that dribbles in, and a size, since
a server that is not what it seems may send without end.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from dataforge.errors import PermanentError
from dataforge.models import wire
from dataforge.models.addresses import is_refused

MAX_ERROR_BYTES = 64 * 1024
_LARGE_BODY_BYTES = 1024 * 1024  # aiohttp sends more than that in pieces, if it comes as a file


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to get a connection, without a byte (None for no bound of its own), and for the whole answer."""

    connect_s: float
    read_s: float | None
    total_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever it says.

    Attributes:
        status, headers, body: as the server sent them; a body that reports a failure is cut off at 64 KiB.
        first_byte_s: seconds until the body began.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_byte_s: float


class Transport(Protocol):
    """A way to send a request's body to an endpoint."""

    async def post(self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int) -> Answer:
        """Send one request, once, and read its answer.

        Raises:
            TimedOut, Unreachable: there was none, or not all of it.
            PermanentError: it is longer than `cap_bytes`, or the address is one that must not be dialled (R035).
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class AiohttpTransport:
    """The transport of the backend `openai`. For one event loop.

    Args:
        key: sent as a bearer token; empty for none.
        allow_link_local: whether a name may lead to a link-local address.
    """

    def __init__(self, key: str, *, allow_link_local: bool = False) -> None:
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._allow_link_local = allow_link_local
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[str, dict[str, Any]] = {}
        self._timeouts: dict[Timeouts, aiohttp.ClientTimeout] = {}

    async def post(self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int) -> Answer:
        session = self._session or self._open()
        target = self._targets.get(endpoint.url) or self._target(endpoint.url)
        timeout = self._timeouts.get(timeouts) or self._timeout(timeouts)
        started = time.perf_counter()
        try:
            response = await session.post(
                **target,
                data=body if len(body) < _LARGE_BODY_BYTES else io.BytesIO(body),
                timeout=timeout,
                allow_redirects=False,
            )
            try:
                content = response.content
                read = await content.readany()
                first_byte_s = time.perf_counter() - started
                cap_bytes = cap_bytes if response.status < 300 else MAX_ERROR_BYTES
                if not content.at_eof():
                    read = await _rest(content, read, cap_bytes)
            finally:
                response.release()  # ends the connection where something is left to read
        except aiohttp.ConnectionTimeoutError as error:
            raise wire.timed_out(endpoint, timeouts.connect_s, connecting=True) from error
        except aiohttp.SocketTimeoutError as error:
            raise wire.timed_out(endpoint, timeouts.read_s or timeouts.total_s) from error
        except TimeoutError as error:
            raise wire.timed_out(endpoint, timeouts.total_s) from error
        except (aiohttp.ClientError, OSError) as error:
            raise wire.broken_off(endpoint, error) from None  # its text may hold what the server said
        if len(read) > cap_bytes and response.status < 300:
            raise wire.too_large(endpoint, cap_bytes)
        return Answer(response.status, response.headers, read[:cap_bytes], first_byte_s)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # the pool's limits come first
                keepalive_timeout=15.0,
                socket_factory=None if self._allow_link_local else checked_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
        )
        return self._session

    def _target(self, url: str) -> dict[str, Any]:
        """What says where a request goes: the address, and the proxy on the way."""
        address = f"{url}/chat/completions"
        self._targets[url] = {"url": URL(address), "proxy": proxy_for(address)}
        return self._targets[url]

    def _timeout(self, told: Timeouts) -> aiohttp.ClientTimeout:
        made = aiohttp.ClientTimeout(
            total=told.total_s, sock_connect=told.connect_s, sock_read=told.read_s or None
        )
        self._timeouts[told] = made
        return made


async def _rest(content: aiohttp.StreamReader, read: bytes, cap_bytes: int) -> bytes:
    """The whole body, or its beginning where it is longer than it may be."""
    pieces, size = [read], len(read)
    while size <= cap_bytes and (piece := await content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def checked_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address that is about to be dialled, which is where a name can no longer turn into another."""
    family, kind, protocol, _, where = address
    if is_refused(str(where[0])):
        raise PermanentError(
            "the endpoint's name leads to an address where clouds keep a machine's own credentials",
            code="R035",
            help="correct `base_url`; if a model really is served there, write `allow_link_local = true` beside it",
        )
    return socket.socket(family, kind, protocol)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address, or None: this machine's own loopback device needs none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme)
    return proxy if proxy and proxy.startswith(("http://", "https://")) else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
