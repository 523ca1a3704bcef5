"""What every way to send a request has in common: its time-outs, its answer, and where a request may go at all."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from dataforge.errors import PermanentError
from dataforge.models import wire
from dataforge.models.addresses import is_refused

MAX_ERROR_BYTES = 64 * 1024
CHAT, RAW = "/chat/completions", "/completions"
"""What is asked of an API, as the end of the address."""


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

    async def post(
        self, endpoint: wire.Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        """Send one request, once, and read its answer.

        Args:
            path: `CHAT` or `RAW`.

        Raises:
            TimedOut, Unreachable: there was none, or not all of it.
            PermanentError: it is longer than `cap_bytes`, or the address is one that must not be dialled (R035).
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


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
    from urllib.request import getproxies, proxy_bypass  # slow to import, and asked once for each endpoint

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
