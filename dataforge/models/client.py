"""The one protocol that every model backend speaks: a chat request in, a reply out.

`ChatRequest` says everything that can change the answer; its `key` is what the journal stores replies under, so two
requests with the same key may share an answer. Endpoint addresses, keys and time-outs are not part of it. Backends that
can go on from any text, whatever a chat template would make of it, speak `Completes` too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import orjson

from dataforge.errors import ModelError
from schemas.chat import Message, Thinking

Kind = Literal["generator", "judge"]

NO_ENDPOINT = ModelError.default_code
"""Code of the error of a call that waited in vain for any endpoint of its model to be up: the call itself is as it was."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; None leaves the endpoint's own default in force.

    Attributes:
        temperature, top_p, max_tokens, stop, seed: as in OpenAI's API.
        thinking_budget: tokens of thinking after which it is closed from outside, see `dataforge.models.forcing`; None
            for no bound. A raw completion knows no thinking and takes no notice.
        at_most: a bound on `max_tokens`, wherever that is said; `seed_shift`: what is added to a seed, wherever that is said.
            Both are settled by `binding.with_defaults`, before the call has its key.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    thinking_budget: int | None = None
    at_most: int | None = None
    seed_shift: int = 0

    def listed(self) -> list[Any]:
        """The parameters as JSON values, in a fixed order: for keys and for comparing.

        The budget is left out where there is none, so that calls have the keys that they had before it was known.
        """
        listed = [self.temperature, self.top_p, self.max_tokens, list(self.stop), self.seed]
        return listed if self.thinking_budget is None else [*listed, self.thinking_budget]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion to be made.

    Attributes:
        messages: the conversation so far, oldest first.
        sampling: temperature and friends.
        thinking: whether a reasoning model should think; `auto` leaves it to the model.
        schema: a JSON Schema that the answer should follow, or None for free text. The messages describe the shape
            too, so a backend whose server cannot constrain its output may ignore it.
        attempt: number of this sample; the same prompt asked anew has another number and so another key.
        continues: whether the last message is the beginning of the answer that is asked for.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    thinking: Thinking = "auto"
    schema: Mapping[str, Any] | None = None
    attempt: int = 0
    continues: bool = False

    def key(self, weights: str) -> str:
        """Content address of the call: 32 hex digits over everything that can change the answer."""
        payload = {
            "weights": weights,
            "messages": [m.wire() for m in self.messages],
            "sampling": self.sampling.listed(),
            "thinking": self.thinking,
            "schema": self.schema,
            "attempt": self.attempt,
        }
        if self.continues:
            payload["continues"] = True
        return _address(payload)

    def sampled(self, sampling: Sampling) -> ChatRequest:
        """The same request with other sampling: what `dataclasses.replace` does, in a quarter of its time, for every call."""
        return ChatRequest(self.messages, sampling, self.thinking, self.schema, self.attempt, self.continues)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One raw completion to be made: the model goes on where the prompt ends, and no chat template comes between.

    Attributes:
        prompt: token ids under the model's own tokenizer, special tokens and the beginning of the text included, to
            which nothing is added; or a text, which the server tokenizes as it does by default.
        sampling: temperature and friends.
        attempt: number of this sample, as in `ChatRequest`.
    """

    prompt: tuple[int, ...] | str
    sampling: Sampling = Sampling()
    attempt: int = 0

    def key(self, weights: str) -> str:
        """Content address of the call, as `ChatRequest.key`; no chat request has the same."""
        return _address(
            {
                "weights": weights,
                "prompt": self.prompt,
                "sampling": self.sampling.listed(),
                "attempt": self.attempt,
            }
        )

    def sampled(self, sampling: Sampling) -> CompletionRequest:
        """The same request with other sampling."""
        return CompletionRequest(self.prompt, sampling, self.attempt)


def _address(payload: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_canonical(payload), digest_size=16).hexdigest()


def _canonical(payload: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and nothing between them. Which of the two ways writes it depends on the payload alone."""
    try:
        return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half a surrogate pair, or a number beyond 64 bits
        text = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back.

    Attributes:
        text: the answer, without any thinking; of a raw completion all that came, to the last space.
        reasoning: the thinking, split off from `reasoning_content` or from `<think>…</think>`; None where there was none.
        finish_reason: `stop`, `length`, `content_filter` or whatever the server said.
        constrained: whether the server was made to follow the request's schema.
        prompt_tokens, completion_tokens: as the server counted them; 0 where it did not say.
        latency_s: wall seconds from request to whole reply, retries included.
        model: the model name that the server reported.
        attempts: requests that it took, the last one included.
        forced: whether the thinking was closed from outside, because it had used up its budget.
    """

    text: str
    reasoning: str | None = None
    finish_reason: str = "stop"
    constrained: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    model: str = ""
    attempts: int = 1
    forced: bool = False


class Backend(Protocol):
    """A way to reach a model. Add one by adding a file to this folder that defines `connect(spec) -> Backend`."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Make the call. A backend that cannot keep to a `thinking_budget` refuses a request that has one.

        Raises:
            RateLimitError, TransientError: where retrying inside the backend did not help.
            PermanentError: where it could not.
        """
        ...

    async def ping(self) -> str:
        """Check that the model answers, cheaply; returns a word for people such as the model's name.

        Raises:
            ModelError: where it does not, saying why.
        """
        ...

    async def close(self) -> None:
        """Let go of connections, threads and memory."""
        ...


@runtime_checkable
class Completes(Protocol):
    """What a backend can do beyond chat, if it can: go on from any prompt. Ask with `isinstance(backend, Completes)`."""

    async def go_on(self, request: CompletionRequest) -> ChatReply:
        """Make the call. `text` is all that the model wrote, unstripped; thinking stays in it, `reasoning` is None.

        The token that ended the text is not part of it; it shows in `finish_reason` (`stop`) alone. `completion_tokens`
        counts it on most servers.

        Raises:
            RateLimitError, TransientError: where retrying inside the backend did not help.
            PermanentError: where it could not; with code L004 where the server offers no raw completions, or takes no
                token ids.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How one logical model of a `.forge` file is bound, before anything is connected.

    Attributes:
        name: the logical name in the `.forge` file (`writer`).
        kind: `generator` or `judge`.
        backend: name of the file in `dataforge/models/` that connects it.
        model: the model's name at the endpoint.
        weights: identity of the weights; two bindings with equal `weights` are the same model for the rule that
            judges do not grade their own homework. Defaults to `model`.
        sampling: defaults for requests that say nothing themselves.
        concurrency: how many requests may be in flight at once.
        options: whatever else the backend takes (`base_url`, always a tuple, `api_key_env`, time-outs, `path`). The run
            adds `state_folder`, a folder of its own for backends that must remember something across starts.
        origin: where the binding comes from, for messages: `dataforge.toml`, `--models x.toml`, `environment`, `default`.
    """

    name: str
    kind: Kind
    backend: str
    model: str
    weights: str
    sampling: Sampling = Sampling()
    concurrency: int = 16
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "default"

    def cost(self, reply: ChatReply) -> float:
        """What a reply cost by the binding's prices; 0 where it has none."""
        prompt, completion = self.options.get("prompt_price", 0.0), self.options.get("completion_price", 0.0)
        return float(prompt * reply.prompt_tokens + completion * reply.completion_tokens) / 1e6
