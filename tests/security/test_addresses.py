"""Addresses where clouds keep credentials are refused in every spelling that something down the line would dial."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import ProjectError
from dataforge.models import connect
from dataforge.models.addresses import check_host, is_refused
from dataforge.models.client import ModelSpec

LINK_LOCAL = st.integers(0, 0xFFFF).map(lambda low: ipaddress.IPv4Address(0xA9FE0000 | low))


def is_checked_out(host: str) -> bool:
    """Whether the host is refused as it is written; where it is allowed, it must pass."""
    check_host(host, True, "test")
    try:
        check_host(host, False, "test")
    except ProjectError as error:
        assert error.code == "R035"
        assert "allow_link_local" in str(error.help)
        return True
    return False


def number(value: int, base: int) -> str:
    return {8: f"0{value:o}", 10: str(value), 16: f"0x{value:X}"}[base]


@st.composite
def spellings(draw: st.DrawFn, address: ipaddress.IPv4Address) -> str:
    """An IPv4 address in one to four parts, the last of which holds the rest, each in a base of its own."""
    data = address.packed
    count = draw(st.integers(1, 4))
    parts = [*data[: count - 1], int.from_bytes(data[count - 1 :], "big")]
    written = ".".join(number(part, draw(st.sampled_from([8, 10, 16]))) for part in parts)
    return written + draw(st.sampled_from(["", ".", ".."]))


@given(LINK_LOCAL.flatmap(spellings))
def test_every_spelling_of_a_link_local_address_is_refused(host: str) -> None:
    assert is_checked_out(host)


@given(st.ip_addresses(v=4).flatmap(lambda ip: st.tuples(st.just(ip), spellings(ip))))
def test_a_spelling_means_what_its_address_means(found: tuple[ipaddress.IPv4Address, str]) -> None:
    address, written = found
    assert is_checked_out(written) == is_refused(str(address))


@given(st.ip_addresses(v=4))
def test_the_law_for_ipv4(address: ipaddress.IPv4Address) -> None:
    metadata = {"100.100.100.200", "192.0.0.192", "168.63.129.16"}
    assert is_refused(str(address)) == (address.is_link_local or str(address) in metadata)


@given(st.integers(0, (1 << 118) - 1), st.sampled_from(["", "%eth0", "%25eth0", "%1"]))
def test_ipv6_link_local_addresses_are_refused_with_and_without_a_zone(low: int, zone: str) -> None:
    address = ipaddress.IPv6Address((0xFE80 << 112) | low)
    for form in (str(address), address.exploded, str(address).upper()):
        assert is_checked_out(form + zone)
        assert is_checked_out(f"[{form}{zone}]")
    assert is_refused(str(address) + zone.replace("25", ""))


@given(LINK_LOCAL)
def test_ipv6_addresses_that_carry_a_link_local_one_are_refused(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    carriers = [
        f"::ffff:{address}",
        f"::{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]
    for host in carriers:
        assert is_checked_out(host)
        assert is_checked_out(f"[{ipaddress.IPv6Address(host).exploded}]")
        assert is_refused(host)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "[fd00:ec2::254]",
        "fd00:ec2::23",
        "fd20:ce::254",
        "100.100.100.200",
        "1684301000",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "metadata.goog",
        "metadata",
        "instance-data",
        "%31%36%39.254.169.254",
        "metadata%2Egoog",
        "169。254。169。254",  # an ideographic full stop
        "１６９.254.169.254",  # wide digits
        "①⑥⑨.254.169.254",
        "169.254\u00ad.169.254",  # a soft hyphen, which IDNA drops
        "ⓜⓔⓣⓐⓓⓐⓣⓐ.goog",
    ],
)
def test_well_known_ones(host: str) -> None:
    assert is_checked_out(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.7",
        "192.168.1.1",
        "0.0.0.0",
        "::1",
        "[fd00::1]",
        "::ffff:127.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "fec0::1",
        "api.openai.com",
        "169.254.169.254.example.com",
        "metadata.google.internal.example.com",
        "metadata-service",
        "gpu-7",
        "",
    ],
)
def test_all_else_is_left_alone(host: str) -> None:
    assert not is_checked_out(host)


@given(st.text(max_size=40))
def test_whatever_is_written_is_refused_or_passes(host: str) -> None:
    is_checked_out(host)


@given(st.text(st.sampled_from("0123456789abcdefxX.:%[]"), max_size=24))
def test_no_spelling_that_the_resolver_takes_slips_through(host: str) -> None:
    """The resolver of this machine is the judge: what it makes a refused address of, is refused as written."""
    try:
        found = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    for *_, address in found:
        assert is_checked_out(host) == is_refused(str(address[0]))


@pytest.mark.parametrize("host", ["gpu-7", "", "1.2.3.4.5", "::1::"])
def test_what_is_no_address_is_not_dialled(host: str) -> None:
    assert is_refused(host)


@pytest.mark.parametrize("backend", ["openai", "openai_sdk", "openai_batch"])
@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "metadata.google.internal"]
)
def test_no_backend_connects_to_one(backend: str, host: str, tmp_path: Path) -> None:
    options = {"base_url": (f"http://{host}/v1",), "state_folder": tmp_path}
    spec = ModelSpec("writer", "generator", backend, "m", "m", options=options)
    with pytest.raises(ProjectError) as error:
        connect(spec)
    assert error.value.code == "R035"
    allowed = replace(spec, options={**options, "allow_link_local": True})

    async def open_and_close() -> None:
        await connect(allowed).close()

    asyncio.run(open_and_close())
