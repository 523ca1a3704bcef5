"""An OpenAI-compatible server that fails in every way a real one does, each item in its own, and remembers what it was asked.

An item's prompt says what becomes of it: `<wrong>` is answered wrongly, `<refused>` meets a content filter. The right answer is
in the prompt too, behind `the key is`, as no real benchmark has it.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

KINDS = (
    "right",
    "wrong",
    "prose",
    "several",
    "empty",
    "thinking",
    "cut",
    "content",
    "filter",
    "long",
    "dead",
    "slow",
    "storm",
    "senseless",
)
STATUS = {
    "right": "right",
    "wrong": "wrong",
    "prose": "unparsed",
    "several": "wrong",
    "empty": "empty",
    "thinking": "overlong",
    "cut": "overlong",
    "content": "unparsed",
    "filter": "refused",
    "long": "refused",
    "dead": "unserved",
    "slow": "timeout",
    "storm": "right",
    "senseless": "fault",
}
"""The status that a sample of each kind must have."""


def rows(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Multiple-choice items, so many of each kind."""
    found = []
    for kind, count in counts.items():
        for number in range(count):
            key = "ABCD"[number % 4]
            facts = {
                "answer": "Q" if kind == "senseless" else key,
                "options": ["north", "east", "south", "west"],
            }
            found.append(
                {
                    "id": f"{kind}-{number}",
                    "prompt": f"<{kind}> Which way, {number}? the key is {key}",
                    "facts": facts,
                    "verifier": "multiple_choice",
                    "topic": kind,
                }
            )
    return found


def write(path: Path, counts: dict[str, int]) -> Path:
    """Those items as a file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(counts)))
    return path


@dataclass
class Faulty:
    """The server. Use it as a context manager; it runs in a thread of its own.

    Attributes:
        latency_s: of every answer.
        asked: how often each prompt was asked.
    """

    latency_s: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""

    def __enter__(self) -> Faulty:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        def serve() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._start())
            ready.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def models(self, folder: Path, **more: Any) -> Path:
        """A models file that binds `generator` to it."""
        told = {
            "backend": "openai",
            "model": "faulty",
            "base_url": self.url,
            "concurrency": 16,
            "total_timeout_s": 1.0,
            "retry_base_s": 0.01,
            **more,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
        path = folder / "models.toml"
        path.write_text("[models.generator]\n" + "\n".join(lines) + "\n")
        return path

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._answer), web.get("/v1/models", self._models)])
        # A client that gave up is no longer waited for.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "faulty", "owned_by": "tests", "max_model_len": 4096}]})

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        self.asked[prompt] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency_s)
            return await self._said(prompt)
        finally:
            self.in_flight -= 1

    async def _said(self, prompt: str) -> web.Response:
        kind, key = re.findall(r"<(\w+)>", prompt)[0], prompt[-1]
        other = "BCDA"["ABCD".index(key)]
        if kind == "dead":
            return _error(500, "out of memory")
        if kind == "long":
            return _error(400, "the prompt is longer than the context of this model")
        if kind == "slow":
            await asyncio.sleep(3)
        if kind == "storm" and self.asked[prompt] < 3:
            return _error(429, "slow down", **{"Retry-After": "0.01"})
        message: dict[str, Any] = {"content": f"Answer: {key}"}
        finish = "stop"
        if kind == "wrong":
            message["content"] = f"Answer: {other}"
        elif kind == "prose":
            message["content"] = "All four ways have something to be said for them."
        elif kind == "several":
            message["content"] = f"Answer: {key}\n\nAnswer: {other}"
        elif kind == "content":
            message["content"] = "I'm sorry, but I can't help with that."
        elif kind == "empty":
            message["content"] = ""
        elif kind == "thinking":
            message, finish = {"content": None, "reasoning_content": f"It is {key}. Answer: {key}"}, "length"
        elif kind == "cut":
            message, finish = {"content": f"<think>Answer: {key}. But wait, is it"}, "length"
        elif kind == "filter":
            message, finish = {"content": f"Answer: {key}"}, "content_filter"
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "model": "faulty",
                "choices": [
                    {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
                ],
                "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25},
            }
        )


def _error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)
