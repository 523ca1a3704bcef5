"""An OpenAI-compatible server in a process of its own: quick, faulty on request, and with a memory.

`StormServer` starts it and asks it what happened; run as a script, this file is it. It speaks just enough HTTP/1.1, by
hand, to cost little beside the client that is being watched. What it says is a function of the request alone: every
answer carries a token made from the model and the messages, so that an answer found anywhere later on (in a journal, in
a corpus) names the request that it belongs to. It counts how often each token was asked for and answered, keeps a log of
arrivals, and integrates how many requests were in flight.

Faults are drawn by a seeded generator, one draw an arrival, by the rates of `configure`. A dead server closes its port and
drops its connections. The controls have a port of their own, and go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, cast

import orjson

TOKEN = re.compile(r"tok-[0-9a-f]{16}")
_CRITERION = re.compile(r'<criterion-[0-9a-f]{12} name="([^"]+)" low=')
_PING = "Answer with the word"


@dataclass(frozen=True)
class Weather:
    """How the server behaves.

    Attributes:
        latency_s: from a request's arrival to its answer.
        rates: the share of arrivals that meet a fault: `500`, `429`, `reset`, `hang` (no answer at all), `truncated`
            (half of them end early, the others are JSON that breaks off) or `empty` (no choices).
        retry_after_s: what a 429 asks for.
        dead_after: arrivals after which the server dies, once; None for never.
        dead_s: how long it then stays dead.
        seed: of the draws.
    """

    latency_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    retry_after_s: float = 0.2
    dead_after: int | None = None
    dead_s: float = 0.0
    seed: int = 0


class Arrival(NamedTuple):
    """One request.

    Attributes:
        when: on this machine's monotonic clock.
        met: `200`, a fault, or `ping`.
        builds_on: tokens of earlier answers in what was asked.
    """

    when: float
    met: str
    token: str
    model: str
    builds_on: list[str]


@dataclass
class Ledger:
    """What has happened since the last reset."""

    connections: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    request_bytes: int = 0
    in_flight: int = 0
    peak: int = 0
    area: float = 0.0
    """The integral of `in_flight` over time, up to `changed`."""
    changed: float = field(default_factory=time.monotonic)
    areas: array[float] = field(default_factory=lambda: array("d"))
    """`area` as each arrival found it."""

    def moves(self, by: int) -> float:
        """Note that more or fewer requests are in flight."""
        now = time.monotonic()
        self.area += self.in_flight * (now - self.changed)
        self.changed = now
        self.in_flight += by
        self.peak = max(self.peak, self.in_flight)
        return now

    def mean_in_flight(self, start: float, end: float) -> float:
        """The mean over time between two places in the order of arrivals, given as fractions."""
        last = len(self.arrivals) - 1
        a, b = int(last * start), int(last * end)
        took = self.arrivals[b].when - self.arrivals[a].when if b > a else 0.0
        return (self.areas[b] - self.areas[a]) / took if took > 0 else 0.0

    def summary(self) -> dict[str, Any]:
        met = Counter(arrival.met for arrival in self.arrivals)
        return {
            "requests": len(self.arrivals) - met["ping"],
            "distinct": len(self.asked),
            "answered": self.answers,
            "met": dict(met),
            "connections": self.connections,
            "request_bytes": self.request_bytes,
            "in_flight": self.in_flight,
            "peak": self.peak,
            "mean": self.mean_in_flight(0, 1),
            "steady_mean": self.mean_in_flight(0.25, 0.85),
            "first_at": self.arrivals[0].when if self.arrivals else None,
            "last_at": self.arrivals[-1].when if self.arrivals else None,
            "cpu_s": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
        }


class Endpoint:
    """The server's state, and the two ports."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.ledger = Ledger()
        self.random = random.Random(0)
        self.open: set[Connection] = set()
        self.port = 0
        self.listener: asyncio.Server | None = None
        self.first = asyncio.Event()
        self.awaited: dict[asyncio.Event, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.died = False

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.listener = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = self.listener.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Close the port, drop all connections, and come back after `dead_s`."""
        assert self.listener is not None
        self.died = True
        self.listener.close()
        for connection in list(self.open):
            connection.reset()
        await asyncio.sleep(self.weather.dead_s)
        await self.listen()

    def meets(self) -> str:
        """What the next arrival meets."""
        weather = self.weather
        if (
            weather.dead_after is not None
            and len(self.ledger.arrivals) >= weather.dead_after
            and not self.died
        ):
            self.died = True
            task = asyncio.ensure_future(self.die())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            return "reset"
        if not weather.rates:
            return "200"
        drawn = self.random.random()
        for fault, rate in weather.rates.items():
            drawn -= rate
            if drawn < 0:
                return fault
        return "200"

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request to the controls: a path, and JSON in its body."""
        # Cancelled where the server ends while somebody still waits for a first request.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            told = await self.answer_control(head.split(b" ", 2)[1].decode(), body)
            data = json.dumps(told).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)
            )
            await writer.drain()
        writer.close()

    async def answer_control(self, path: str, body: bytes) -> Any:
        ledger = self.ledger
        match path:
            case "/_stats":
                return ledger.summary()
            case "/_config":
                self.weather = replace(self.weather, **json.loads(body))
                self.random = random.Random(self.weather.seed)
                self.died = False
                return None
            case "/_reset":
                self.ledger = Ledger(in_flight=ledger.in_flight)
                self.first = asyncio.Event()
                return None
            case "/_log":
                return ledger.arrivals
            case "/_asked":
                return ledger.asked
            case "/_answered":
                return ledger.answered
            case "/_first":
                await self.first.wait()
                return self.ledger.arrivals[0].when
            case "/_wait":
                asked = json.loads(body)
                return await self.has_answered(asked["answers"], asked["timeout_s"])
            case _:
                return {"error": f"no such control: {path}"}

    async def has_answered(self, answers: int, timeout_s: float) -> bool:
        reached = asyncio.Event()
        self.awaited[reached] = answers
        self.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await reached.wait()
        del self.awaited[reached]
        return reached.is_set()

    def look(self) -> None:
        """Wake who waits for so many answers."""
        for reached, answers in self.awaited.items():
            if self.ledger.answers >= answers:
                reached.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection of a client."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.buffer = b""
        self.transport: asyncio.Transport
        self.waiting = 0
        self.timer: asyncio.TimerHandle | None = None  # one is enough: clients do not pipeline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.endpoint.open.add(self)
        self.endpoint.ledger.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.endpoint.open.discard(self)
        if self.timer is not None:
            self.timer.cancel()
        self.endpoint.ledger.moves(-self.waiting)
        self.waiting = 0

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get "):
                names = [{"id": "writer-model"}, {"id": "judge-model"}]
                self.transport.write(_response("200 OK", {"object": "list", "data": names}))
            else:
                self.arrived(body)

    def arrived(self, body: bytes) -> None:
        ledger, weather = self.endpoint.ledger, self.endpoint.weather
        request = orjson.loads(body)
        token = _token(request)
        prompt = request["messages"][-1]["content"]
        ping = prompt.startswith(_PING)
        met = self.endpoint.meets()
        now = ledger.moves(+1)
        self.waiting += 1
        seen = "ping" if ping and met == "200" else met
        ledger.arrivals.append(Arrival(now, seen, token, request["model"], TOKEN.findall(prompt)))
        ledger.areas.append(ledger.area)
        self.endpoint.first.set()
        if not ping:
            ledger.asked[token] += 1
            ledger.request_bytes += len(body)
        if met == "hang":
            return
        if met == "reset":
            self.reset()
            return
        if met == "truncated" and int(token[-1], 16) % 2:
            self.transport.write(_answer(request, token, "200")[:-40])
            self.transport.close()
            return
        if met in {"429", "500"}:  # a limiter and a broken proxy do not think it over
            self.leaves(None, _refusal(met, weather.retry_after_s))
            return
        answer = _answer(request, token, met)
        counted = token if met == "200" and not ping else None
        if weather.latency_s:
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(weather.latency_s, self.leaves, counted, answer)
        else:
            self.leaves(counted, answer)

    def leaves(self, token: str | None, answer: bytes) -> None:
        self.waiting -= 1
        self.endpoint.ledger.moves(-1)
        if token is not None:
            self.endpoint.ledger.answered[token] += 1
            self.endpoint.ledger.answers += 1
            self.endpoint.look()
        self.transport.write(answer)

    def reset(self) -> None:
        """Break the connection off so that the other side sees a reset, not an end."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _token(request: dict[str, Any]) -> str:
    content = orjson.dumps([request["model"], [sorted(message.items()) for message in request["messages"]]])
    return f"tok-{hashlib.blake2b(content, digest_size=8).hexdigest()}"


def _answer(request: dict[str, Any], token: str, met: str) -> bytes:
    text = _text(request, token)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    document = {
        "id": token,
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [] if met == "empty" else [choice],
        "usage": {"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260},
    }
    return _response("200 OK", document, cut=met == "truncated")


def _text(request: dict[str, Any], token: str) -> str:
    """A verdict for a judge's prompt, an answer of some sentences for any other."""
    prompt = request["messages"][-1]["content"]
    if prompt.startswith(_PING):
        return "yes"
    if names := _CRITERION.findall(prompt):
        score = 1 if token.startswith("tok-0") else 5  # one in sixteen is turned down
        entries = [{"criterion": name, "reason": f"As {token} says.", "score": score} for name in names]
        return orjson.dumps({"criteria": entries}).decode()
    return f"What {token} stands for is said here in full." + 4 * " It takes a few more words than one needs."


def _refusal(met: str, retry_after_s: float) -> bytes:
    status, header = {
        "429": ("429 Too Many Requests", f"Retry-After: {retry_after_s:g}\r\n"),
        "500": ("500 Internal Server Error", ""),
    }[met]
    return _response(status, {"error": {"message": "not now", "type": "server_error"}}, header)


def _response(status: str, document: Any, header: str = "", *, cut: bool = False) -> bytes:
    data = orjson.dumps(document)
    data = data[: len(data) // 2] if cut else data
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{header}Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


async def _serve() -> None:
    endpoint = Endpoint()
    await endpoint.listen()
    controls = await asyncio.start_server(endpoint.control, "127.0.0.1", 0)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    sys.stdout.write(f"{endpoint.port} {controls.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stopped.wait()


class StormServer:
    """The server from outside: start it with `with`, then ask."""

    def __init__(self, **weather: Any) -> None:
        self.weather = weather

    def __enter__(self) -> StormServer:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port, self.control_port = map(int, self.process.stdout.readline().split())
        self.configure(**self.weather)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, path: str, body: Any = None, timeout_s: float = 60) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout_s) as response:
            return json.load(response)

    def configure(self, **weather: Any) -> None:
        """Change the weather; the draws begin anew."""
        self.ask("/_config", weather)

    def reset(self) -> None:
        """Forget all that happened."""
        self.ask("/_reset")

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("/_stats")
        return found

    def arrivals(self) -> list[Arrival]:
        """Every request in order, pings left out."""
        return [Arrival(*told) for told in self.ask("/_log") if told[1] != "ping"]

    def asked(self) -> Counter[str]:
        """How often each token arrived."""
        return Counter(self.ask("/_asked"))

    def answered(self) -> Counter[str]:
        """How often each token was answered well."""
        return Counter(self.ask("/_answered"))

    def has_answered(self, answers: int, timeout_s: float) -> bool:
        """Wait until so many calls were answered well in all; whether they were."""
        return bool(self.ask("/_wait", {"answers": answers, "timeout_s": timeout_s}))

    def first_request(self, timeout_s: float = 60) -> float:
        """Wait for the first request; when it came."""
        return float(self.ask("/_first", timeout_s=timeout_s))


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve())
    else:
        uvloop.run(_serve())
