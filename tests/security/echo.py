"""A server that knows no discretion: whatever it answers, good or bad, it gives back the key that it was sent."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import quote

from dataforge.models import grading
from schemas.chat import Message

KEY = "sk-planted+7Qz/93fKx=Lm04vTbR8wYd"


def forms(key: str) -> list[str]:
    """The key as it is, and as it travels in addresses, in headers of the Basic kind, in JSON and in logs."""
    plain = [key, f"Bearer {key}", f"user:{key}", f":{key}"]
    encoded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in plain]
    return [key, quote(key), quote(key, safe=""), key.replace("/", "\\/"), *encoded]


class EchoServer:
    """The word after `case:` in the last message says how it misbehaves; without one it answers as it should."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.answer(self, body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        sent = handler.headers.get("Authorization", "")
        key = sent.removeprefix("Bearer ")
        messages = [Message(role=m["role"], content=m["content"]) for m in body["messages"]]
        prompt = messages[-1].content
        case = prompt.partition("case:")[2].partition(" ")[0] if "case:" in prompt else "good"
        task = grading.read(messages)
        if task is not None:
            case = "good"
        self.seen[f"{case} {'with' if key == KEY else 'without'} key"] += 1
        said = f"{sent} {key} {quote(key, safe='')} {base64.b64encode(key.encode()).decode()}"
        match case:
            case "good":
                self.completion(handler, body, self.text(task), key)
            case "answers":
                self.completion(handler, body, f"Your key is {key}, I think.", key)
            case "denied":
                self.send(handler, 401, {"error": {"message": f"wrong key: {said}", "type": "auth"}}, key)
            case "forbidden":
                self.send(handler, 403, said, key)
            case "missing":
                self.send(handler, 404, {"detail": said}, key)
            case "bad":
                self.send(handler, 400, {"message": f"response_format is unknown to {said}"}, key)
            case "long":
                self.send(handler, 400, {"error": {"message": f"maximum context length of {said}"}}, key)
            case "oops":
                self.send(handler, 500, f"Traceback: headers={{'Authorization': '{sent}'}} {said}", key)
            case "slow":
                status = 429 if self.seen[f"{case} with key"] == 1 else 200
                if status == 200:
                    self.completion(handler, body, "at last an answer", key)
                else:
                    self.send(handler, 429, {"error": said}, key, {"Retry-After": "0"})
            case "quota":
                self.send(handler, 429, {"error": {"code": "insufficient_quota", "message": said}}, key)
            case "page":
                self.send(handler, 200, f"<!doctype html><title>{said}</title>{said}", key)
            case "garbled":
                self.send(handler, 200, said, key)
            case "shapeless":
                self.send(handler, 200, {"choices": [], "echo": said}, key)
            case "disguised":
                self.send(handler, 200, {"error": {"message": said, "code": 400}}, key)
            case "moved":
                target = f"http://127.0.0.1:9/{quote(key, safe='')}?key={key}&auth={sent}"
                self.send(handler, 307, said, key, {"Location": target})
            case "reason":
                handler.send_response(503, said.replace("\n", " "))
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            case "nonsense":
                handler.wfile.write(f"HTTP/1.1 {said}\r\n\r\n".encode())
                handler.close_connection = True
            case "header":
                handler.wfile.write(f"HTTP/1.1 200 OK\r\n{said} no colon\r\n\r\n".encode())
                handler.close_connection = True
            case "cut":
                handler.wfile.write(
                    f"HTTP/1.1 200 OK\r\nX-Echo: {said}\r\nContent-Length: 900\r\n\r\n{said}".encode()
                )
                handler.close_connection = True
            case _:
                raise AssertionError(case)

    def text(self, task: grading.Task | None) -> str:
        if task is None:
            return "a plain answer"
        return json.dumps(
            {"criteria": [{"criterion": c.name, "reason": "fine", "score": 5} for c in task.criteria]}
        )

    def completion(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], text: str, key: str) -> None:
        document = {
            "id": key,
            "object": "chat.completion",
            "created": 0,
            "model": f"served for {key}",
            "system_fingerprint": key,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
        }
        self.send(handler, 200, document, key)

    def send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: Any,
        key: str,
        more: dict[str, str] | None = None,
    ) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        handler.send_response(status)
        for name, value in {
            "X-Echo": key,
            "X-Request-Id": key,
            "Set-Cookie": f"key={key}",
            **(more or {}),
        }.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def __enter__(self) -> EchoServer:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
