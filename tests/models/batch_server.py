"""A real HTTP server on the loopback device with OpenAI's Files and Batches API, whose batches end as a test says.

A batch moves on by one status each time it is asked for, and rests in `in_progress` while `hold` is set. What each line
comes to is for `outcome` to say; what a whole batch comes to, for `endings`. `faults` breaks single requests.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Outcome = str | tuple[int, dict[str, Any]] | None
"""An answer's text; a status and a body; or None for a call that is never made."""

PAGE = 3
"""Batches a page of the list, so that a few of them are many."""


def text_of(order: dict[str, Any]) -> Outcome:
    return f"Answer to {order['body']['messages'][-1]['content']}"


class BatchServer:
    """Attributes:
    uploads: the keys of each file that came in.
    outcome: what a line comes to, given the line and how often its key has been run before.
    endings: `completed`, `expired`, `cancelled`, or the errors of a failed validation, for the first batches; then completed.
    faults: for a route such as `POST /batches`, what happens to the next requests: a status; `lost`, done but never
        answered; `hang`, not even done; `cut`, an answer that breaks off in the middle; `stall`, one that rests there until
        `go_on`; a body in place of the answer's; or None.
    """

    def __init__(self, outcome: Callable[..., Outcome] = lambda order, ran: text_of(order)) -> None:
        self.outcome = outcome
        self.endings: list[Any] = []
        self.faults: dict[str, list[Any]] = {}
        self.hold = threading.Event()
        self.held = threading.Event()
        self.go_on = threading.Event()
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.uploads: list[list[str]] = []
        self.orders: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.ran: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server.serve(self, "GET", b"")

            def do_POST(self) -> None:
                server.serve(self, "POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    @property
    def keys(self) -> Counter[str]:
        """How often each key was uploaded."""
        return Counter(key for keys in self.uploads for key in keys)

    def __enter__(self) -> BatchServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    # ---- requests

    def serve(self, handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        path, _, query = handler.path.removeprefix("/v1").partition("?")
        route = f"{method} " + re.sub(r"/(batch|file)-\d+", "/ID", path)
        with self.lock:
            self.asked[route] += 1
            self.headers.append(dict(handler.headers))
            fault = self.faults[route].pop(0) if self.faults.get(route) else None
            if isinstance(fault, int):
                status, answer = fault, json.dumps({"error": {"message": f"fault {fault}"}}).encode()
            elif isinstance(fault, bytes):
                status, answer = 200, fault
            elif fault == "hang":
                status, answer = 0, b""
            else:
                status, answer = self.act(route, path, query, handler.headers.get("Content-Type", ""), body)
        if fault in {"hang", "lost"}:
            self.held.set()
            self.closing.wait(20)
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
        handler.end_headers()
        if fault in {"cut", "stall"}:
            handler.wfile.write(answer[: len(answer) // 2])
            answer = answer[len(answer) // 2 :]
        if fault == "cut":
            handler.close_connection = True
            return
        if fault == "stall":
            self.held.set()
            self.go_on.wait(20)
        handler.wfile.write(answer)

    def act(self, route: str, path: str, query: str, kind: str, body: bytes) -> tuple[int, bytes]:
        identity = path.split("/")[2] if path.count("/") > 1 else ""
        match route:
            case "POST /files":
                found: Any = self.upload(kind, body)
            case "GET /files/ID/content" if identity in self.files:
                return 200, self.files[identity]
            case "POST /batches":
                found = self.create(json.loads(body))
            case "GET /batches":
                found = self.listed(query)
            case "GET /batches/ID" if identity in self.batches:
                found = self.move_on(self.batches[identity])
            case "POST /batches/ID/cancel" if identity in self.batches:
                found = self.batches[identity] | {"status": "cancelling"}
                self.batches[identity]["status"] = "cancelling"
            case _:
                return 404, json.dumps({"error": {"message": f"no {path}"}}).encode()
        return 200, json.dumps(found).encode()

    def upload(self, kind: str, body: bytes) -> dict[str, Any]:
        form = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        assert parts["purpose"].get_payload(decode=True) == b"batch"
        assert str(parts["file"].get_filename()).endswith(".jsonl")
        lines = parts["file"].get_payload(decode=True)
        orders = [json.loads(line) for line in lines.splitlines()]
        keys = [order["custom_id"] for order in orders]
        assert len(set(keys)) == len(keys)
        assert all((o["method"], o["url"]) == ("POST", "/v1/chat/completions") for o in orders)
        self.uploads.append(keys)
        self.orders += orders
        return {"object": "file", "id": self.keep(lines), "purpose": "batch", "bytes": len(lines)}

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def create(self, order: dict[str, Any]) -> dict[str, Any]:
        assert order["completion_window"] == "24h"
        assert order["endpoint"] == "/v1/chat/completions"
        assert order["input_file_id"] in self.files
        batch = {
            "id": f"batch-{len(self.batches)}",
            "object": "batch",
            "status": "validating",
            "created_at": int(time.time()),
            "input_file_id": order["input_file_id"],
            "metadata": order.get("metadata"),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "errors": None,
        }
        self.batches[batch["id"]] = batch
        return batch

    def listed(self, query: str) -> dict[str, Any]:
        newest = list(reversed(self.batches.values()))
        ids = [batch["id"] for batch in newest]
        if after := re.search(r"after=([^&]+)", query):
            newest = newest[ids.index(after[1]) + 1 :]
        return {"object": "list", "data": newest[:PAGE], "has_more": len(newest) > PAGE}

    # ---- the life of a batch

    def move_on(self, batch: dict[str, Any]) -> dict[str, Any]:
        status = batch["status"]
        if status == "validating":
            ending = self.endings.pop(0) if self.endings else "completed"
            batch["ending"] = ending if isinstance(ending, str) else "failed"
            batch["status"] = "in_progress"
            if batch["ending"] == "failed":
                batch |= {"status": "failed", "errors": {"object": "list", "data": ending}}
        elif status == "in_progress" and self.hold.is_set():
            self.held.set()
        elif status == "in_progress":
            batch["status"] = "finalizing" if batch["ending"] == "completed" else batch["ending"]
            self.run(batch)
        elif status == "finalizing":
            batch["status"] = "completed"
        elif status == "cancelling":
            batch["status"] = "cancelled"
            self.run(batch)
        return {key: value for key, value in batch.items() if key != "ending"}

    def run(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            order = json.loads(line)
            key = order["custom_id"]
            outcome = self.outcome(order, self.ran[key])
            self.ran[key] += 1
            entry: dict[str, Any] = {"id": f"req-{key}", "custom_id": key, "response": None, "error": None}
            if outcome is None:
                entry["error"] = {
                    "code": "batch_expired",
                    "message": "not executed within the completion window",
                }
            elif isinstance(outcome, str):
                entry["response"] = {
                    "status_code": 200,
                    "request_id": "r",
                    "body": completion(order, outcome),
                }
            else:
                entry["response"] = {"status_code": outcome[0], "request_id": "r", "body": outcome[1]}
            (good if isinstance(outcome, str) else bad).append(json.dumps(entry).encode() + b"\n")
        good.reverse()  # the order of lines is not promised
        batch["output_file_id"] = self.keep(b"".join(good)) if good else None
        batch["error_file_id"] = self.keep(b"".join(bad)) if bad else None
        total = len(good) + len(bad)
        batch["request_counts"] = {"total": total, "completed": len(good), "failed": len(bad)}


def completion(order: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "x",
        "object": "chat.completion",
        "model": f"served-{order['body']['model']}",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
