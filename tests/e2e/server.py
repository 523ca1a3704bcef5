"""A real OpenAI-compatible server over loopback whose answers are a function of the request, and that counts."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from dataforge.models import grading
from schemas.chat import Message


class ModelServer:
    """`answer` overrides: a function of the last user message that returns text, or None to let the default speak."""

    def __init__(self, *, score: float = 5.0, delay_s: float = 0.0) -> None:
        self.score = score
        self.delay_s = delay_s
        self.prompts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.answers: dict[str, str] = {}
        self.verdict: str | None = None
        self.finish_reason = "stop"
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.count(body["messages"])  # as it arrives: what waits below is in flight
                time.sleep(server.delay_s)
                data = json.dumps(server.reply(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                data = json.dumps(
                    {"object": "list", "data": [{"id": "writer-model"}, {"id": "judge-model"}]}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    @property
    def calls(self) -> int:
        return sum(self.prompts.values())

    def count(self, messages: list[dict[str, Any]]) -> None:
        """Note a call of the run; a ping is none."""
        if not _is_ping(messages):
            with self.lock:
                self.prompts[json.dumps(messages, sort_keys=True)] += 1

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = [Message(role=m["role"], content=m["content"]) for m in body["messages"]]
        if _is_ping(body["messages"]):
            return self.completion(body, "yes")
        return self.completion(body, self.text(messages))

    def completion(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": self.finish_reason,
                }
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 20},
        }

    def text(self, messages: list[Message]) -> str:
        task = grading.read(messages)
        if task is not None:
            if self.verdict is not None:
                return self.verdict
            entries = [{"criterion": c.name, "reason": "as told", "score": self.score} for c in task.criteria]
            return json.dumps({"criteria": entries})
        prompt = messages[-1].content
        for pattern, answer in self.answers.items():
            if re.search(pattern, prompt):
                return answer
        return f"An answer of some words to: {prompt[:60]}"

    def models_file(self) -> str:
        return (
            f'[models.generator]\nbackend = "openai"\nbase_url = "{self.url}"\nmodel = "writer-model"\nretry_base_s = 0.01\n'
            f'[models.judge]\nbackend = "openai"\nbase_url = "{self.url}"\nmodel = "judge-model"\nretry_base_s = 0.01\n'
        )

    def __enter__(self) -> ModelServer:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def _is_ping(messages: list[dict[str, Any]]) -> bool:
    return str(messages[-1]["content"]).startswith("Answer with the word")
