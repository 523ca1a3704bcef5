"""Addresses that no model lives at: the ones where a cloud hands a machine its own credentials.

A project file is easily copied from elsewhere, and its `base_url` is dialled with a key in hand and its answers written
down. So what is link-local is refused unless the binding says `allow_link_local = true`. A host is checked twice: as it is
written, in every spelling that a resolver would take (`check_host`), and once a name has become an address, as that address,
which is the one that must be dialled (`is_refused`): a name says nothing about where it leads.
"""

from __future__ import annotations

import ipaddress
import socket
import stringprep
import unicodedata
from urllib.parse import unquote

from dataforge.errors import ProjectError

_NAMES = frozenset(["metadata", "metadata.goog", "metadata.google.internal", "instance-data"])
_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        [
            "169.254.0.0/16",  # link-local; almost every cloud's metadata, and containers' credentials
            "fe80::/10",  # link-local
            "fd00:ec2::/32",  # the same services of AWS over IPv6
            "fd20:ce::254/128",  # Google's
            "100.100.100.200/32",  # Alibaba's
            "192.0.0.192/32",  # Oracle's older
            "168.63.129.16/32",  # Azure's host
        ],
    )
)
_CARRIERS = tuple(
    map(
        ipaddress.IPv6Network,
        [
            "::/96",  # IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # NAT64 of one's own
        ],
    )
)
"""Networks whose addresses end in the IPv4 address that they stand for."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_host(host: str, allow_link_local: bool, origin: str) -> None:
    """Refuse a host that is written as a link-local or metadata address.

    Args:
        host: as it stands in the URL, with or without brackets.
        allow_link_local: what the binding says.
        origin: where the address comes from, for the message.

    Raises:
        ProjectError: with code R035.
    """
    if allow_link_local:
        return
    name = _folded(host)
    address = _address(name)
    if name in _NAMES or (address is not None and _is_refused(address)):
        raise ProjectError(
            f"{origin} points at `{host}`, where clouds keep a machine's own credentials and no model is",
            code="R035",
            help="correct the address; if a model really is served there, write `allow_link_local = true` beside it",
        )


def is_refused(ip: str) -> bool:
    """Whether an address that a name resolved to is link-local or a metadata service; so is what is no address at all."""
    address = _address(ip)
    return address is None or _is_refused(address)


def _folded(host: str) -> str:
    """A host as resolvers read it: unescaped, letters and dots of other scripts folded, case and the last dots dropped."""
    text = host if ":" in host else unquote(host)
    text = "".join(letter for letter in text if not stringprep.in_table_b1(letter))
    return unicodedata.normalize("NFKC", text).replace("\u3002", ".").strip("[] \t").lower().rstrip(".")


def _address(text: str) -> _Address | None:
    """The address that a host is a spelling of, or None where it is a name."""
    text = text.partition("%")[0]  # a zone says through which interface, not where to
    try:
        if ":" in text:
            return ipaddress.IPv6Address(text)
        # `0xA9FEA9FE`, `169.254.43518` and `0251.0376.0251.0376` are addresses for the C library, so for whoever dials.
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (ValueError, OSError):
        return None


def _is_refused(address: _Address) -> bool:
    return any(a in network for a in (address, *_carried(address)) for network in _NETWORKS)


def _carried(address: _Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 address inside an IPv6 one of a kind that leads there."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.sixtofour is not None:
        return [address.sixtofour]
    carried = any(address in network for network in _CARRIERS)
    return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)] if carried else []
