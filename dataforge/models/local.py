"""The backend `local`: models in this process, with no network, no key and no GPU.

`smollm2-135m-instruct` generates (see `embedded_generator`), and so does a GGUF file of one's own, whose `path` the
binding found; `minilm-judge` grades (see `embedded_judge`). Nothing is loaded before the first call. Blocking work runs
in threads, so the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataforge.errors import PermanentError, ProjectError
from dataforge.models import asking, embedded_generator, embedded_judge, forcing, grading
from dataforge.models.binding import EMBEDDED_GENERATOR, EMBEDDED_JUDGE, with_defaults
from dataforge.models.client import Backend, ChatReply, ChatRequest, CompletionRequest, ModelSpec
from dataforge.models.minilm import Encoder
from dataforge.models.thinking import CLOSE, OPEN, split_thinking
from dataforge.models.weights import encoder_folder, engine, generator_file

_ENGINE = ("repeat_penalty", "top_k", "min_p")
"""What the engine can be told beyond OpenAI's parameters, in `options` of the binding."""

_LARGEST_ID = 2**31 - 1
"""The engine takes the lowest 32 bits of an id, and so would take one beyond for another token."""

_Make = Callable[[dict[str, Any], Callable[[], bool]], embedded_generator.Completion]

_encoder_lock = threading.Lock()
_encoder: Encoder | None = None


def connect(spec: ModelSpec) -> Backend:
    """Open one of the embedded models, or a GGUF file.

    Raises:
        ProjectError: the model is not embedded (R002), or cannot do what it is bound to.
        ModelError: its engine or weights are not installed (R030).
    """
    if spec.model == EMBEDDED_GENERATOR:
        engine("xllamacpp")
        return LocalGenerator(spec, generator_file())
    if spec.model != EMBEDDED_JUDGE and "path" in spec.options:
        engine("xllamacpp")
        return LocalGenerator(spec, Path(spec.options["path"]))
    if spec.model != EMBEDDED_JUDGE:
        raise ProjectError(
            f"{spec.origin} binds `{spec.name}` to the embedded model `{spec.model}`, which does not exist",
            code="R002",
            help=f"embedded are `{EMBEDDED_GENERATOR}`, which writes, and `{EMBEDDED_JUDGE}`, which judges; a model of "
            "your own is named by its GGUF file",
        )
    if spec.kind != "judge":
        raise ProjectError(
            f"{spec.origin} binds the generator `{spec.name}` to `{EMBEDDED_JUDGE}`, which can only judge",
            code="R002",
            help=f'write model = "{EMBEDDED_GENERATOR}", or leave the line out',
        )
    engine("tokenizers")
    encoder_folder()
    return LocalJudge()


class LocalGenerator:
    """A logical name's hold on the engines of a file."""

    def __init__(self, spec: ModelSpec, file: Path) -> None:
        self._spec = spec
        self._file = file
        self._own = {name: spec.options[name] for name in _ENGINE if name in spec.options}
        self._opening: asyncio.Task[embedded_generator.EmbeddedGenerator] | None = None
        self._engine: embedded_generator.EmbeddedGenerator | None = None

    async def complete(self, request: ChatRequest) -> ChatReply:
        request = with_defaults(request, self._spec)
        if request.sampling.thinking_budget is not None:
            return await forcing.complete(self._complete, request)
        return await self._complete(request)

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        request = with_defaults(request, self._spec)
        if not request.prompt:
            raise PermanentError("the embedded generator goes on from a prompt, and this one is empty")
        if not isinstance(request.prompt, str) and max(request.prompt) > _LARGEST_ID:
            raise PermanentError(
                f"the embedded generator has no token {max(request.prompt)}",
                help="the ids come from another model's tokenizer",
            )
        running = await self._loaded()
        return await self._made(running, running.go_on, _seeded(asking.raw_body("", request), request))

    async def _complete(self, request: ChatRequest) -> ChatReply:
        running = await self._loaded()
        body = _body(request, parted=running.parts_thinking)
        reply = await self._made(running, running.complete, body)
        text, reasoning = (reply.text, None) if request.continues else split_thinking(reply.text)
        return dataclasses.replace(
            reply,
            text=text,
            reasoning=reply.reasoning or reasoning,
            constrained=request.schema is not None,
        )

    async def _made(
        self, running: embedded_generator.EmbeddedGenerator, make: _Make, body: dict[str, Any]
    ) -> ChatReply:
        """A call of the engine in one of its threads, as it came."""
        started = time.perf_counter()
        abandoned = threading.Event()
        try:
            done = await asyncio.get_running_loop().run_in_executor(
                running.pool, make, {**self._own, **body}, abandoned.is_set
            )
        finally:
            abandoned.set()  # where this task was cancelled, the thread ends at its next token
        return ChatReply(
            text=done.text,
            reasoning=done.reasoning.strip() or None,
            finish_reason=done.finish_reason,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
            latency_s=time.perf_counter() - started,
            model=self._spec.model,
        )

    async def ping(self) -> str:
        await self._loaded()
        return self._spec.model

    async def close(self) -> None:
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        held, self._engine = self._engine, None
        if held is not None:
            await asyncio.to_thread(embedded_generator.release, self._file)

    async def _loaded(self) -> embedded_generator.EmbeddedGenerator:
        if self._engine is not None:
            return self._engine
        # Shielded: a lease that is taken for a call which was cancelled meanwhile would be given back by nobody.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> embedded_generator.EmbeddedGenerator:
        self._engine = await asyncio.to_thread(embedded_generator.lease, self._file)
        return self._engine


class LocalJudge:
    """The embedded judge behind the chat protocol: it answers prompts of `grading.render`, and no others."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        started = time.perf_counter()
        task = grading.read(request.messages)
        if task is None:
            raise PermanentError(
                f"`{EMBEDDED_JUDGE}` was asked something that is no grading prompt, and it can do nothing else",
                help="bind this name to a language model",
            )
        entries = await asyncio.to_thread(lambda: embedded_judge.grade(task, shared_encoder()))
        return ChatReply(
            text=json.dumps({"criteria": entries}, ensure_ascii=False),
            constrained=True,
            latency_s=time.perf_counter() - started,
            model=EMBEDDED_JUDGE,
        )

    async def ping(self) -> str:
        await asyncio.to_thread(shared_encoder)
        return EMBEDDED_JUDGE

    async def close(self) -> None:
        """Nothing to do: the weights are a mapped file, which costs next to nothing to keep."""


def shared_encoder() -> Encoder:
    """The process's sentence encoder, loaded at the first call."""
    global _encoder
    with _encoder_lock:
        if _encoder is None:
            _encoder = Encoder()
        return _encoder


def _body(request: ChatRequest, *, parted: bool) -> dict[str, Any]:
    """A chat request in the engine's form.

    Args:
        parted: whether the engine parts thinking from answers. Then it wants the thinking of a message that it is to go on
            with apart too: within the text it would stand behind an empty block of the template's own.
    """
    format = None
    if request.schema is not None:
        answer = {"name": "answer", "schema": dict(request.schema)}
        format = {"type": "json_schema", "json_schema": answer}
    body = asking.body("", request, tokens_field=asking.TOKENS_FIELD, format=format)
    if request.continues and parted and request.messages[-1].content.startswith(OPEN):
        thinking, _, told = request.messages[-1].content.removeprefix(OPEN).partition(CLOSE)
        # With no text at all, the engine would go on with the thinking.
        body["messages"][-1] |= {"reasoning_content": thinking.strip(), "content": told.lstrip() or "\n"}
    return _seeded(body, request)


def _seeded(body: dict[str, Any], request: ChatRequest | CompletionRequest) -> dict[str, Any]:
    """The body with a seed of its own for each request: so embedded runs are repeatable, attempts and walks included."""
    as_lists = {key: list(value) for key, value in body.items() if isinstance(value, tuple)}
    return {"seed": int(request.key("")[:8], 16) >> 1, **body, **as_lists}
