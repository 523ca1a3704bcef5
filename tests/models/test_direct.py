"""Connections of our own: whatever way a server frames and cuts its answer, it arrives whole, or the error says why not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.errors import PermanentError
from dataforge.models import direct, wire
from dataforge.models.direct import DirectTransport
from dataforge.models.transport import MAX_ERROR_BYTES, Answer, Timeouts

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUTS = Timeouts(connect_s=2.0, read_s=None, total_s=5.0)
CAP = 1024 * 1024


@contextlib.asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[wire.Endpoint]:
    """A server on loopback; `talk` has each connection."""

    tasks = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await talk(reader, writer)
            finally:
                writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield wire.Endpoint(f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1", "m")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Head and body of what a client sends."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
    return head, await reader.readexactly(length)


async def ask(
    endpoint: wire.Endpoint, timeouts: Timeouts = TIMEOUTS, times: int = 1, key: str = ""
) -> list[Answer]:
    transport = DirectTransport(key)
    try:
        return [await transport.post(endpoint, b'{"n": 1}', timeouts, CAP) for _ in range(times)]
    finally:
        await transport.close()


def said(*pieces: bytes, close: bool = False) -> Talk:
    """Answer every request with these pieces, each a packet of its own."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if close:
                return

    return talk


def answered(talk: Talk, **options: object) -> Answer:
    async def work() -> Answer:
        async with serving(talk) as endpoint:
            [answer] = await ask(endpoint, **options)  # type: ignore[arg-type]
            return answer

    return asyncio.run(work())


def framed(body: bytes, how: str, cuts: list[int]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Odd: \xe9\r\n"
    if how == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if how == "close":
        return head + b"Connection: close\r\n\r\n" + body
    bounds = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    parts = [body[a:b] for a, b in itertools.pairwise(bounds)]
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: 1\r\n\r\n"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=300),
    st.sampled_from(["length", "chunked", "close"]),
    st.lists(st.integers(0, 500), max_size=4),
    st.lists(st.integers(0, 700), max_size=6),
    st.booleans(),
)
def test_an_answer_arrives_whole_however_it_is_framed_and_cut(
    body: bytes, how: str, chunks: list[int], cuts: list[int], interim: bool
) -> None:
    whole = (b"HTTP/1.1 100 Continue\r\n\r\n" if interim else b"") + framed(body, how, chunks)
    bounds = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    answer = answered(said(*pieces, close=how == "close"))
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-type"] == "application/json"


def test_a_request_is_what_the_protocol_asks_for() -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request(reader))
        writer.write(framed(b"{}", "length", []))

    answered(talk, key="sk-secret")
    [(head, body)] = seen
    lines = head.split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {
        "Authorization: Bearer sk-secret",
        "Content-Type: application/json",
        "Accept-Encoding: identity",
    } <= {*lines}
    assert any(line.startswith("Host: 127.0.0.1:") for line in lines)
    assert body == b'{"n": 1}'


def test_a_connection_is_used_again_and_one_that_the_server_ends_is_not() -> None:
    connections = []

    def talking(keep: bool) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            while True:
                await request(reader)
                word = b"" if keep else b"Connection: close\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\n{}" % word)
                await writer.drain()

        return talk

    async def work(keep: bool) -> int:
        connections.clear()
        async with serving(talking(keep)) as endpoint:
            await ask(endpoint, times=5)
        return len(connections)

    assert asyncio.run(work(keep=True)) == 1
    assert asyncio.run(work(keep=False)) == 5


def test_an_idle_connection_that_the_server_closed_is_not_used() -> None:
    async def work() -> None:
        async with serving(said(framed(b"{}", "length", []), close=True)) as endpoint:
            transport = DirectTransport("")
            for _ in range(3):
                assert (await transport.post(endpoint, b"{}", TIMEOUTS, CAP)).body == b"{}"
                await asyncio.sleep(0.05)  # the end of the connection comes after the answer
            await transport.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "no HTTP"),
    ],
)
def test_what_is_no_whole_answer_is_told(sent: bytes, words: str) -> None:
    with pytest.raises(wire.Unreachable, match=words):
        answered(said(sent, close=True))


def test_a_late_answer_to_one_call_is_never_taken_for_another() -> None:
    async def work() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(framed(b"first", "length", []) + framed(b"stray", "length", []))
            await writer.drain()
            await request(reader)
            writer.write(framed(b"second", "length", []))

        async with serving(talk) as endpoint:
            answers = await ask(endpoint, times=2)
            assert [a.body for a in answers] == [b"first", b"first"], "the stray bytes end the connection"

    asyncio.run(work())


def test_a_cancelled_call_ends_its_connection() -> None:
    ended = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        ended.append(await reader.read())

    async def work() -> None:
        async with serving(talk) as endpoint:
            task = asyncio.create_task(ask(endpoint))
            await asyncio.sleep(0.1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.1)

    asyncio.run(work())
    assert ended == [b""]


def test_time_outs_say_which_one_it_was() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def dribbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    with pytest.raises(wire.TimedOut, match=r"within 0\.2 s"):
        answered(silent, timeouts=Timeouts(2.0, 0.2, 5.0))
    with pytest.raises(wire.TimedOut, match=r"within 0\.5 s"):
        answered(dribbling, timeouts=Timeouts(2.0, 0.3, 0.5))


def test_a_large_answer_is_cut_off_and_a_large_refusal_read_in_part() -> None:
    with pytest.raises(PermanentError, match="more than 1 MiB"):
        answered(said(framed(b"x" * (CAP + 1), "length", [])))
    refused = framed(b"x" * 3 * MAX_ERROR_BYTES, "length", []).replace(b"200 OK", b"500 Oh no")
    answer = answered(said(refused))
    assert (answer.status, len(answer.body)) == (500, MAX_ERROR_BYTES)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def work(trusted: bool) -> bytes:
        async with serving(said(framed(b"{}", "length", [])), tls) as endpoint:
            transport = DirectTransport("")
            if trusted:
                transport._tls = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            try:
                return (await transport.post(endpoint, b"{}", TIMEOUTS, CAP)).body
            finally:
                await transport.close()

    assert asyncio.run(work(trusted=True)) == b"{}"
    with pytest.raises(wire.Unreachable, match="certificate"):
        asyncio.run(work(trusted=False))


def test_an_endpoint_behind_a_proxy_is_asked_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await request(reader)
        seen.append(head.splitlines()[0])
        writer.write(framed(b"{}", "length", []))

    async def work() -> None:
        async with serving(talk) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
            [answer] = await ask(wire.Endpoint("http://models.example/v1", "m"))
            assert answer.body == b"{}"

    asyncio.run(work())
    assert seen == ["POST http://models.example/v1/chat/completions HTTP/1.1"]


@pytest.mark.parametrize("part", ["head", "header", "interim", "trailer"])
def test_a_head_without_end_is_cut_off(part: str) -> None:
    begins, goes_on = {
        "head": (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n" * 4096),
        "header": (b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 65536),
        "interim": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 2048),
        "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: 1\r\n" * 4096),
    }[part]
    written = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request(reader)
        writer.write(begins)
        while written < 64 * CAP:
            writer.write(goes_on)
            written += len(goes_on)
            await writer.drain()

    with pytest.raises(wire.Unreachable, match="no HTTP"):
        answered(talk)
    assert written < 16 * CAP


def test_small_chunks_are_no_fault() -> None:
    body = b"x" * (CAP // 2)
    whole = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * len(body) + b"0\r\n\r\n"
    )
    assert answered(said(whole)).body == body


def test_a_switch_of_protocols_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    with pytest.raises(wire.Unreachable, match="no HTTP"):
        answered(said(switch))
    assert "data_received" not in caplog.text  # the event loop has nothing to complain of


def test_a_connection_that_the_server_gives_up_at_that_moment_costs_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server's patience may end just as the next request is on its way; that request was never read."""
    served = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await request(reader))
        writer.write(framed(b"{}", "length", []))
        await writer.drain()
        await reader.read(1)

    async def work() -> None:
        async with serving(talk) as endpoint:
            transport = DirectTransport("")
            assert (await transport.post(endpoint, b"1", TIMEOUTS, CAP)).body == b"{}"
            assert (await transport.post(endpoint, b"2", TIMEOUTS, CAP)).body == b"{}"
            await transport.close()
        assert [body for _, body in served] == [b"1", b"2"]

    monkeypatch.setattr(direct, "FRESH_S", 0.0)
    asyncio.run(work())


def test_connections_to_endpoints_that_nobody_asks_any_more_are_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        async with serving(said(framed(b"{}", "length", []))) as one, serving(said(b"")) as other:
            transport = DirectTransport("")
            await asyncio.gather(*(transport.post(one, b"{}", TIMEOUTS, CAP) for _ in range(5)))
            monkeypatch.setattr(direct, "KEPT_FOR_S", 0.0)
            with pytest.raises(wire.TimedOut):
                await transport.post(other, b"{}", Timeouts(1.0, None, 0.05), CAP)
            assert not any(transport._idle.values())
            await transport.close()

    asyncio.run(work())


def test_a_connection_just_used_that_breaks_is_the_servers_fault() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(framed(b"{}", "length", []))
        await writer.drain()
        await reader.read(1)

    async def work() -> None:
        async with serving(talk) as endpoint:
            await ask(endpoint, times=2)

    with pytest.raises(wire.Unreachable):
        asyncio.run(work())


@pytest.mark.parametrize(
    ("url", "host", "line"),
    [
        ("http://bücher.localhost", "xn--bcher-kva.localhost", "/v1"),
        ("http://models.localhost", "models.localhost", "/v%201%C3%A9"),
    ],
)
def test_names_and_paths_in_other_scripts_are_put_as_the_protocol_has_them(
    url: str, host: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await request(reader))[0].splitlines())
        writer.write(framed(b"{}", "length", []))

    async def work() -> None:
        async with serving(talk) as endpoint:
            port = endpoint.url.removesuffix("/v1").rpartition(":")[2]
            path = "/v1" if line == "/v1" else "/v 1é"
            monkeypatch.setattr(socket, "getaddrinfo", _leads_to("127.0.0.1"))
            [answer] = await ask(wire.Endpoint(f"{url}:{port}{path}", "m"))
            assert answer.body == b"{}"
            assert seen[0][0] == f"POST {line}/chat/completions HTTP/1.1"
            assert f"Host: {host}:{port}" in seen[0]

    asyncio.run(work())


def test_an_ipv6_address_is_dialled_and_named_in_brackets() -> None:
    seen = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await request(reader))[0])
        writer.write(framed(b"{}", "length", []))
        await writer.drain()
        writer.close()

    async def work() -> None:
        try:
            server = await asyncio.start_server(talk, "::1", 0)
        except OSError:
            pytest.skip("there is no IPv6 here")
        async with server:
            port = server.sockets[0].getsockname()[1]
            [answer] = await ask(wire.Endpoint(f"http://[::1]:{port}/v1", "m"))
            assert answer.body == b"{}"
            assert f"Host: [::1]:{port}\r\n" in seen[0]

    asyncio.run(work())


def test_calls_that_begin_together_look_a_name_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    leads = _leads_to("127.0.0.1")

    def slow(host: str, *args: object, **kwargs: object) -> object:
        looked_up.append(host)
        time.sleep(0.1)
        return leads(host, *args, **kwargs)

    async def work() -> None:
        async with serving(said(framed(b"{}", "length", []))) as endpoint:
            monkeypatch.setattr(socket, "getaddrinfo", slow)
            port = endpoint.url.removesuffix("/v1").rpartition(":")[2]
            named = wire.Endpoint(f"http://models.localhost:{port}/v1", "m")
            transport = DirectTransport("")
            first = asyncio.create_task(transport.post(named, b"{}", TIMEOUTS, CAP))
            await asyncio.sleep(0.02)
            others = [asyncio.create_task(transport.post(named, b"{}", TIMEOUTS, CAP)) for _ in range(60)]
            await asyncio.sleep(0.02)
            first.cancel()  # whoever asked first must not take the answer with it
            answers = await asyncio.gather(*others)
            assert {answer.body for answer in answers} == {b"{}"}
            await transport.close()
        assert len(looked_up) == 1

    asyncio.run(work())


def _leads_to(address: str) -> Callable[..., object]:
    original = socket.getaddrinfo
    return lambda host, port, *args, **kwargs: original(address, port, *args, **kwargs)
