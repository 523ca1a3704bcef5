"""The embedded generator: SmolLM2-135M-Instruct, or a GGUF file of one's own, run by llama.cpp inside this process.

One engine a core, each with a single thread and a few slots over which llama.cpp batches whatever is in flight. That is
as fast as one engine with all the threads while the machine is quiet, and several times faster while it is not, since the
threads of one engine wait for each other by spinning (figures in `docs/decisions/002-embedded-models.md`). The engines of
a file serve the whole process, however many logical names are bound to it: the first lease loads them, the last one
frees them. Their calls block; `dataforge.models.local` keeps them off the event loop.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataforge.errors import ModelError, PermanentError, TransientError
from dataforge.models.vocabulary import special_tokens
from dataforge.models.weights import WEIGHTS, engine

SLOTS = 4
"""Calls that one engine answers at once; eight are no faster on one core."""
MOST_ENGINES = 4
"""Each takes about 350 MB, most of it for keys and values. In eight bits those would take half, and prompts a third longer."""
CONTEXT_TOKENS = 3072
"""Prompt and answer of one call together."""
DEFAULTS: Mapping[str, Any] = {"max_tokens": 512, "temperature": 0.6, "top_p": 0.9, "repeat_penalty": 1.1}
"""What the endpoint does where a request does not say: a model this small falls into loops without a penalty."""


@dataclass(slots=True)
class Completion:
    """What one call produced."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _parts: list[str] = field(default_factory=list)
    _thought: list[str] = field(default_factory=list)

    def hear(self, chunk: Mapping[str, Any]) -> None:
        """Take in one piece of a chat or of a raw completion."""
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta", choice)
            self._parts.append(delta.get("content") or delta.get("text") or "")
            self._thought.append(delta.get("reasoning_content") or "")
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if (usage := chunk.get("usage")) is not None:
            self.prompt_tokens = usage.get("prompt_tokens", 0)
            self.completion_tokens = usage.get("completion_tokens", 0)

    def end(self) -> None:
        """Put the pieces together."""
        self.text, self.reasoning = "".join(self._parts), "".join(self._thought)


class EmbeddedGenerator:
    """The loaded engines. Take them with `lease`; methods may be called from any thread.

    Attributes:
        parts_thinking: whether the engine was heard to give thinking apart from the answer, as it does where the file's
            chat template knows of thinking.
    """

    def __init__(self, file: Path, engines: int | None = None) -> None:
        count = engines or min(_cores(), MOST_ENGINES)
        try:
            self._engines: list[Any] = [_load(file) for _ in range(count)]
        except RuntimeError as error:
            raise ModelError(
                f"llama.cpp cannot load the embedded generator from {file}: {error}",
                code="R030",
                help="the file may be damaged, or memory may be short (1 GB is ample for the embedded model; to install it "
                f"anew: {WEIGHTS})",
            ) from error
        self._busy = [0] * count
        self._choosing = threading.Lock()
        self._closing = threading.Event()
        self._file = file
        self.parts_thinking = False
        self.pool = ThreadPoolExecutor(count * SLOTS, thread_name_prefix="embedded-generator")

    def complete(self, body: Mapping[str, Any], cancelled: Callable[[], bool] = lambda: False) -> Completion:
        """Make one chat completion, with a request body in OpenAI's form. Blocks.

        Args:
            body: `messages` and whatever else the engine takes; unset sampling gets `DEFAULTS`.
            cancelled: asked after each token; the call ends early once it says so.

        Raises:
            PermanentError: the request is wrong or too long.
            TransientError: the engine failed, or is being closed.
        """
        result = self._run("handle_chat_completions", body, cancelled)
        self.parts_thinking |= bool(result.reasoning)
        return result

    def go_on(self, body: Mapping[str, Any], cancelled: Callable[[], bool] = lambda: False) -> Completion:
        """Make one raw completion, with a request body in OpenAI's form. Blocks.

        Token ids in `prompt` are fed as they are; a text gets the model's beginning token where it has one. Special
        tokens in the output are written out, save those that end it.

        Raises:
            PermanentError, TransientError: as `complete`.
        """
        return self._run("handle_completions", {**body, "preserved_tokens": self._special_tokens}, cancelled)

    @functools.cached_property
    def _special_tokens(self) -> tuple[str, ...]:
        return special_tokens(self._file)

    def _run(self, what: str, body: Mapping[str, Any], cancelled: Callable[[], bool]) -> Completion:
        result = Completion()
        refusals: list[Mapping[str, Any]] = []

        def hear(chunk: Mapping[str, Any]) -> bool:
            if "error" in chunk:
                refusals.append(chunk["error"])
                return True
            result.hear(chunk)
            return cancelled() or self._closing.is_set()

        # Streamed, since the callback is the only way to stop a call that nobody waits for any more.
        request = {**DEFAULTS, **body, "stream": True, "stream_options": {"include_usage": True}}
        try:
            with self._least_busy() as running:
                getattr(running, what)(request, hear)
        # Half a surrogate pair in a prompt counts as a wrong type.
        except (ValueError, TypeError) as error:
            raise PermanentError(f"the embedded generator refuses the request: {error}") from error
        if refusals:
            raise _refused(refusals[0])
        if self._closing.is_set():
            raise TransientError("the embedded generator was closed while it answered")
        result.end()
        return result

    def close(self) -> None:
        """End what is in flight and free the memory."""
        self._closing.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._engines.clear()

    @contextlib.contextmanager
    def _least_busy(self) -> Iterator[Any]:
        with self._choosing:
            if not self._engines:
                raise TransientError("the embedded generator is closed")
            chosen = self._busy.index(min(self._busy))
            self._busy[chosen] += 1
            running = self._engines[chosen]
        try:
            yield running
        finally:
            with self._choosing:
                self._busy[chosen] -= 1


def _load(file: Path) -> Any:
    llama = engine("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(file)
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT_TOKENS * SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.fit_params = False  # would probe the machine's memory to choose a context that is chosen already
    params.warmup = False
    params.verbosity = -1
    # The engine opens a port on the loopback device whether one wants it or not: nobody knows this key.
    params.api_keys = [secrets.token_hex(16)]
    params.ui = params.endpoint_slots = False
    params.n_threads_http = 1
    return llama.Server(params)


def _refused(error: Mapping[str, Any]) -> ModelError:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return PermanentError(
            f"the prompt is too long: it has {error.get('n_prompt_tokens', 'more')} tokens, and the embedded generator "
            f"takes {CONTEXT_TOKENS} with the answer",
            help="shorten the seed or the prompt, or bind the model to a larger one",
        )
    if int(error.get("code", 500)) < 500:
        return PermanentError(f"the embedded generator refuses the request: {message[:200]}")
    return TransientError(f"the embedded generator failed: {message[:200]}")


def _cores() -> int:
    """Cores that this process may use: what the scheduler grants, or less where a container's quota says so."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no cgroup of version 2, or no quota (`max`) in it
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        granted = min(granted, max(1, int(quota) // int(period)))
    return granted


@dataclass(slots=True)
class _Held:
    running: EmbeddedGenerator
    leases: int = 0


_lock = threading.Lock()
_shared: dict[Path, _Held] = {}


def lease(file: Path) -> EmbeddedGenerator:
    """The process's engines of a file, loaded if nobody holds them yet. Each lease wants one `release`."""
    with _lock:
        held = _shared.get(file)
        if held is None:
            held = _shared[file] = _Held(EmbeddedGenerator(file))
        held.leases += 1
        return held.running


def release(file: Path) -> None:
    """Give a lease back; the last one frees the engines of the file."""
    with _lock:
        held = _shared[file]
        held.leases -= 1
        if held.leases == 0:
            del _shared[file]
            held.running.close()
