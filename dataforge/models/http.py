"""One HTTP request to a model's API and the whole of its answer, over pooled connections of aiohttp.

Everything that costs per call and gives nothing is off: cookies, redirects, decompression, looking up proxies anew each
time. An answer has a deadline as a whole, since time-outs between bytes never end one that dribbles in, and a size, since
a server that is not what it seems may send without end.
"""

from __future__ import annotations

import io
import time
from typing import Any

import aiohttp
from yarl import URL

from dataforge.models import wire
from dataforge.models.transport import CHAT, MAX_ERROR_BYTES, Answer, Timeouts, checked_socket, proxy_for

_LARGE_BODY_BYTES = 1024 * 1024  # aiohttp sends more than that in pieces, if it comes as a file


class AiohttpTransport:
    """The transport for what lies behind a proxy. For one event loop.

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
        self._targets: dict[tuple[str, str], dict[str, Any]] = {}
        self._timeouts: dict[Timeouts, aiohttp.ClientTimeout] = {}

    async def post(
        self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        session = self._session or self._open()
        target = self._targets.get((endpoint.url, path)) or self._target(endpoint.url, path)
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
                keepalive_timeout=4.0,  # as of connections of our own
                happy_eyeballs_delay=None,  # racing, a refused address is lost among the others' failures
                socket_factory=None if self._allow_link_local else checked_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
        )
        return self._session

    def _target(self, url: str, path: str) -> dict[str, Any]:
        """What says where a request goes: the address, and the proxy on the way."""
        address = url + path
        made = self._targets[url, path] = {"url": URL(address), "proxy": proxy_for(address)}
        return made

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
