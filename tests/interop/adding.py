"""A verifier of sums, and an OpenAI-compatible server that gets some of them right: for the tests of this folder."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import Field

from dataforge.interop.groups import Tokens
from dataforge.models import ModelSpec
from dataforge.verifiers import Facts, Response, Verdict, Verifier
from dataforge.verifiers.protocol import error, failed, passed, unparsed
from dataforge.verifiers.spoken import spoken
from schemas.task import Task


class SumFacts(Facts):
    total: int = Field(description="the right sum")


class Sums(Verifier[SumFacts]):
    """Adds two numbers."""

    name = "sums"
    family = "test"
    facts = SumFacts

    def check(self, facts: SumFacts, response: Response) -> Verdict:
        said = re.findall(r"-?\d+", spoken(response).answer)
        if "unjudgeable" in response.text:
            return error("verifier", "it broke")
        if not said:
            return unparsed("there is no number")
        if int(said[-1]) == facts.total:
            return passed(said[-1])
        return failed("another number", said[-1])

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        rng = random.Random(seed)
        for _ in range(n):
            a, b = rng.randrange(1000), rng.randrange(1000)
            yield Task(prompt=f"What is {a} + {b}?", facts={"total": a + b}, verifier="sums", topic="sums")


def byte_tokens(messages: Any, tools: Any, ended: bool) -> Tokens:
    """A token for each byte; a 0 ends a turn that ended by itself."""
    tokens: list[int] = []
    masks: list[int] = []
    for message in messages:
        part = list(message.content.encode())
        if message.train and ended:
            part.append(0)
        tokens += part
        masks += part if message.train else [-100] * len(part)
    return Tokens(tokens, masks)


def byte_pieces(tokens: Any) -> list[str]:
    return [chr(token) if token else "<end>" for token in tokens]


@dataclass
class Adder:
    """The server: of `right_of` requests one is answered rightly, or as `says` decides.

    Its tokens are `cut` characters long; 0 is a server that knows no log-probabilities.
    """

    right_of: int = 2
    cut: int = 1
    says: Any = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""

    async def _complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append(body)
        number = len(self.requests)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0.002)
        self.in_flight -= 1
        a, b, *_ = (*map(int, re.findall(r"\d+", body["messages"][-1]["content"])), 0, 0)  # a ping has no sum
        if self.says is not None:
            told = self.says(number, a, b)
        else:
            told = f"It is {a + b}." if number % self.right_of == 0 else f"It is {a + b + 1}."
        if isinstance(told, web.Response):
            return told
        text = told.rstrip("…")
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "length" if told.endswith("…") else "stop",
            "message": {"role": "assistant", "content": text},
        }
        if body.get("logprobs") and self.cut:
            pieces = [text[at : at + self.cut] for at in range(0, len(text), self.cut)]
            choice["logprobs"] = {
                "content": [
                    {"token": piece, "logprob": -ord(piece[0]) / 256, "bytes": list(piece.encode())}
                    for piece in pieces
                ]
            }
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "adder",
                "choices": [choice],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            }
        )

    async def __aenter__(self) -> Adder:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._complete)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def spec(self, **options: Any) -> ModelSpec:
        return ModelSpec(
            name="generator",
            kind="generator",
            backend="openai",
            model="adder",
            weights="adder",
            options={"base_url": (self.url,), "retry_base_s": 0.01, **options},
        )
