"""The backend `local`: models in this process, with no network, no key and no GPU.

`smollm2-135m-instruct` generates (see `embedded_generator`), and so does a GGUF file of one's own, whose `path` the
binding found; `minilm-judge` grades (see `embedded_judge`). Nothing is loaded before the first call. Blocking work runs
in threads, so the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

from dataforge.errors import PermanentError, ProjectError
from dataforge.models import embedded_generator, embedded_judge, grading
from dataforge.models.binding import EMBEDDED_GENERATOR, EMBEDDED_JUDGE, with_defaults
from dataforge.models.client import Backend, ChatReply, ChatRequest, ModelSpec
from dataforge.models.minilm import Encoder
from dataforge.models.weights import encoder_folder, engine, generator_file

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
        self._opening = asyncio.Lock()
        self._engine: embedded_generator.EmbeddedGenerator | None = None

    async def complete(self, request: ChatRequest) -> ChatReply:
        started = time.perf_counter()
        body = _body(with_defaults(request, self._spec))
        running = await self._loaded()
        abandoned = threading.Event()
        try:
            done = await asyncio.get_running_loop().run_in_executor(
                running.pool, running.complete, body, abandoned.is_set
            )
        finally:
            abandoned.set()  # where this task was cancelled, the thread ends at its next token
        return ChatReply(
            text=done.text,
            finish_reason=done.finish_reason,
            constrained=request.schema is not None,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
            latency_s=time.perf_counter() - started,
            model=self._spec.model,
        )

    async def ping(self) -> str:
        await self._loaded()
        return self._spec.model

    async def close(self) -> None:
        held, self._engine = self._engine, None
        if held is not None:
            await asyncio.to_thread(embedded_generator.release, self._file)

    async def _loaded(self) -> embedded_generator.EmbeddedGenerator:
        async with self._opening:
            if self._engine is None:
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


def _body(request: ChatRequest) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "messages": [message.wire() for message in request.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        # A seed of its own for each request makes embedded runs repeatable, attempts and walks included.
        "seed": int(request.key("")[:8], 16) >> 1 if sampling.seed is None else sampling.seed,
        "stop": list(sampling.stop) or None,
    }
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.schema)},
        }
    return {key: value for key, value in body.items() if value is not None}
