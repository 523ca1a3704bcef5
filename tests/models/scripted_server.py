"""A real HTTP server on the loopback device that does what a test's script says, answer by answer.

A script is a list of acts; each request takes the next one, and the last repeats. What came in is kept for the test.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: str | bytes, **headers: str) -> Act:
    def act(handler: BaseHTTPRequestHandler) -> None:
        raw = body.encode() if isinstance(body, str) else body
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    return act


def says(text: str | None = "Hello.", **message: Any) -> Act:
    finish = message.pop("finish_reason", "stop")
    return answer(
        200,
        json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "model": "served-name",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": finish,
                        "message": {"role": "assistant", "content": text, **message},
                    }
                ],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            }
        ),
    )


def error(status: int, message: str, code: str | None = None, **headers: str) -> Act:
    return answer(status, json.dumps({"error": {"message": message, "type": code, "code": code}}), **headers)


def html(status: int = 200) -> Act:
    page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>\x1b[31mHi</body></html>"
    return answer(status, page, Content_Type="text/html")


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def hang(handler: BaseHTTPRequestHandler, seconds: float = 1.5) -> None:
    time.sleep(seconds)
    handler.close_connection = True


def dribble(handler: BaseHTTPRequestHandler) -> None:
    """Keep every read time-out happy and never finish."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(30):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:  # the client gave up, which is what it should do
        pass


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(20):
            handler.wfile.write(b" " * 1024 * 1024)
    except OSError:
        pass


def streams(*events: dict[str, Any] | str) -> Act:
    """Server-sent events, each with a little time before it."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        handler.close_connection = True
        for event in events:
            time.sleep(0.01)
            data = event if isinstance(event, str) else json.dumps(event)
            handler.wfile.write(f"data: {data}\n\n".encode())
            handler.wfile.flush()

    return act


def delta(text: str, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    """One piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": "served-name", "choices": [choice]}


def slowly(act: Act, seconds: float) -> Act:
    def later(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        act(handler)

    return later


def storm(seed: int) -> Act:
    """Of a hundred requests, eighteen go wrong in one way or another."""
    draw, lock = random.Random(seed), threading.Lock()
    weather: list[tuple[int, Act]] = [
        (5, error(500, "oops")),
        (5, error(429, "slow down", Retry_After="0.05")),
        (2, reset),
        (2, partial(hang, seconds=2.5)),
        (2, cut_short),
        (2, answer(200, '{"choices": []}')),
        (82, slowly(says(), 0.01)),
    ]

    def act(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            chosen = draw.choices([a for _, a in weather], [w for w, _ in weather])[0]
        chosen(handler)

    return act


@dataclass
class ScriptedServer:
    script: list[Act]
    requests: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    first_came: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ScriptedServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with outer._lock:
                    act = outer.script[min(len(outer.requests), len(outer.script) - 1)]
                    outer.requests.append(json.loads(body))
                    outer.arrivals.append(time.monotonic())
                    outer.paths.append(self.path)
                    outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                outer.first_came.set()
                act(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: Any) -> None:  # resets are the point of some scripts
                pass

        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"
