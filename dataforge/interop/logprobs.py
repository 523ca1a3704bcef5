"""Log-probabilities of what was sampled, from an OpenAI-compatible endpoint, set beside the tokens that a trainer gets.

Importance ratios need to know how likely each token was to the model that wrote it. The models layer has no place for that,
so a transport that wraps its own asks for `logprobs` and keeps what comes back; nothing else of a call changes.

The endpoint counts in its own tokens. They are set beside ours only where the two cut the text alike, token by token; a
response that our tokenizer cuts otherwise than the model wrote it cannot be trained on with these numbers, and is refused
instead of shifted. A token that the endpoint says nothing about (most leave out the one that ends a turn) is masked.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson

from dataforge.errors import InputError, PermanentError
from dataforge.models import Backend, ChatReply, ChatRequest, ModelSpec
from dataforge.models.chat import ChatBackend, api_key
from dataforge.models.direct import DirectTransport
from dataforge.models.pool import Settings, shared_pool
from dataforge.models.transport import CHAT, Answer, Timeouts, Transport
from dataforge.models.wire import Endpoint

NOT_SAMPLED = 1.0
"""What stands where a token was not sampled: no log-probability is above 0."""
IGNORED = -100
_UNKNOWN = "\ufffd"

Logprobs = tuple[tuple[str, float], ...]
"""Each token that was sampled, as text, and its log-probability."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A reply, with its log-probabilities where they were asked for."""

    reply: ChatReply
    logprobs: Logprobs | None = None


Sampler = Callable[[ChatRequest], Awaitable[Sampled]]


@dataclass
class _Heard:
    logprobs: Logprobs | None = None


_heard: ContextVar[_Heard | None] = ContextVar("logprobs", default=None)


def plain(backend: Backend) -> Sampler:
    """Samples without log-probabilities."""

    async def sample(request: ChatRequest) -> Sampled:
        return Sampled(await backend.complete(request))

    return sample


def with_logprobs(spec: ModelSpec) -> tuple[Backend, Sampler]:
    """A model's backend, and samples of it with log-probabilities.

    Raises:
        InputError: V036, where the binding cannot give any.
    """
    if spec.backend != "openai" or spec.options.get("stream") or spec.sampling.thinking_budget is not None:
        raise InputError(
            f"`{spec.name}` gives no log-probabilities: its backend is `{spec.backend}`"
            + (", streamed" if spec.options.get("stream") else "")
            + (", with a thinking budget" if spec.sampling.thinking_budget is not None else ""),
            code="V036",
            help='bind it with backend = "openai", without `stream` and `thinking_budget`, or leave out --logprobs',
        )
    settings, key = Settings.of(spec), api_key(spec)
    transport = _Asking(DirectTransport(key, allow_link_local=settings.allow_link_local))
    backend = ChatBackend(spec, shared_pool(settings, key, spec.origin), transport)

    async def sample(request: ChatRequest) -> Sampled:
        heard = _Heard()
        token = _heard.set(heard)
        try:
            reply = await backend.complete(request)
        finally:
            _heard.reset(token)
        if heard.logprobs is None:
            raise PermanentError(
                f"the endpoint of `{spec.name}` answers without log-probabilities",
                help="start its server so that it gives them, or leave out --logprobs",
            )
        return Sampled(reply, heard.logprobs)

    return backend, sample


class _Asking:
    """A transport that asks for log-probabilities and keeps them for whoever is waiting."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def post(
        self, endpoint: Endpoint, body: bytes, timeouts: Timeouts, cap_bytes: int, path: str = CHAT
    ) -> Answer:
        asked = json.loads(body) | {"logprobs": True}
        answer = await self._inner.post(endpoint, orjson.dumps(asked), timeouts, cap_bytes, path)
        heard = _heard.get()
        if heard is not None:
            heard.logprobs = _read(answer.body) if 200 <= answer.status < 300 else None
        return answer

    async def close(self) -> None:
        await self._inner.close()


def aligned(
    tokens: Sequence[int],
    masks: Sequence[int],
    pieces: Sequence[str],
    sampled: Logprobs,
) -> tuple[list[int], list[float]]:
    """Masks, and a log-probability for each token.

    Args:
        tokens, masks: of a response; what is unmasked stands at its end.
        pieces: the unmasked tokens as text, each by itself; a token that is half a character is U+FFFD.
        sampled: what the endpoint told.

    Raises:
        InputError: V036, where the two cut the text otherwise.
    """
    begin = len(tokens) - len(pieces)
    told = list(sampled)
    # Servers name the token that ended the turn, or have an empty text for it, or leave it out.
    if len(told) == len(pieces) + 1 and not told[-1][0]:
        told.pop()
    silent = len(told) == len(pieces) - 1
    if not silent and len(told) != len(pieces):
        raise _otherwise(f"{len(told)} tokens, and the tokenizer makes {len(pieces)}")
    for number, ((text, _), piece) in enumerate(zip(told, pieces, strict=False)):
        last = number == len(pieces) - 1
        if text != piece and _UNKNOWN not in text + piece and not (last and not text):
            raise _otherwise(f"{text!r} where the tokenizer has {piece!r}")
    made = [*masks]
    if silent:
        made[-1] = IGNORED
    return made, [NOT_SAMPLED] * begin + [value for _, value in told] + [NOT_SAMPLED] * silent


def _read(body: bytes) -> Logprobs | None:
    """The log-probabilities of an answer; None where it has none, or is none."""
    try:
        content = orjson.loads(body)["choices"][0]["logprobs"]["content"]
        return tuple((_text(each), float(each["logprob"])) for each in content)
    except (ValueError, LookupError, TypeError):
        return None


def _text(token: Any) -> str:
    """A token as text. Its bytes are exact where they are there: text alone shows half a character otherwise."""
    raw = token.get("bytes")
    return bytes(raw).decode("utf-8", "replace") if raw else str(token["token"])


def _otherwise(how: str) -> InputError:
    return InputError(
        f"the endpoint cut a response into other tokens: {how}",
        code="V036",
        help="--tokenizer and --template should be the model's own",
    )
