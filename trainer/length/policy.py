"""The policy whose traces are sampled: anything that thinks about a conversation, and goes on from given tokens.

`EndpointPolicy` is a model behind an OpenAI-compatible endpoint or the embedded engine; `trainer.length.sampler` has one
that runs a transformers model in this process, for the experiment.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

from dataforge.errors import PermanentError
from dataforge.models.binding import with_defaults
from dataforge.models.client import (
    Backend,
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    ModelSpec,
    Sampling,
)
from schemas.chat import Message
from trainer.turn import CLOSE, OPEN

_STOPPED = ("stop", "eos", "eos_token")
"""What servers call an output that ended by itself. All else (`length`, `abort`) is one that was cut."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_HALF_CHARACTER = re.compile("\ufffd{1,3}$")
"""What the bytes of a character become that was cut in the middle."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What came back of one call.

    Attributes:
        thinking: the thinking as text, without its tags; None where the output shows none.
        closed: whether the thinking was closed.
        answer: what stands behind the thinking; for `go_on` all of the text.
        stopped: whether the output ended by a stop token, rather than at the limit.
        prompt_tokens, tokens: of prompt and output, as the server counted; 0 where it did not say.
    """

    thinking: str | None
    closed: bool
    answer: str
    stopped: bool
    prompt_tokens: int = 0
    tokens: int = 0


class Policy(Protocol):
    """A model as the sampler sees it.

    Attributes:
        name: for people.
        weights: identity of the weights.
    """

    name: str
    weights: str

    async def think(self, messages: Sequence[Message], *, tokens: int, sample: int) -> Draft:
        """The first pass: a chat request with thinking on, of at most `tokens` tokens of output."""
        ...

    async def go_on(self, prompt: Sequence[int], *, tokens: int, sample: int) -> Draft:
        """Go on from these tokens (a raw completion), for at most `tokens` tokens."""
        ...


class Book(Protocol):
    """Where replies are kept, so that a call that was answered once is never made again."""

    def reply(self, key: str) -> ChatReply | None:
        """The reply to a call that was made before."""
        ...

    async def keep(self, key: str, reply: ChatReply, started_at: float) -> None:
        """Keep a reply; returns once it is durable. `started_at` is in Unix seconds."""
        ...


class Memory:
    """A book that is forgotten with the process."""

    def __init__(self) -> None:
        self._replies: dict[str, ChatReply] = {}

    def reply(self, key: str) -> ChatReply | None:
        return self._replies.get(key)

    async def keep(self, key: str, reply: ChatReply, started_at: float) -> None:
        self._replies[key] = reply


class EndpointPolicy:
    """A bound model. What it is asked is keyed by content (`ChatRequest.key`), and equal calls share a reply.

    A `seed` in the binding counts up with the number of the sample; without one the endpoint draws as it likes.
    """

    def __init__(self, spec: ModelSpec, backend: Backend, book: Book | None = None) -> None:
        self.name = spec.name
        self.weights = spec.weights
        self._spec = spec
        self._backend = backend
        self._book = book or Memory()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def think(self, messages: Sequence[Message], *, tokens: int, sample: int) -> Draft:
        """
        Raises:
            ModelError: where it cannot be asked.
            StorageError: where the reply cannot be kept.
        """
        request = ChatRequest(tuple(messages), self._sampling(tokens, sample), thinking="on", attempt=sample)
        request = with_defaults(request, self._spec)
        return heard(await self._reply(request.key(self.weights), lambda: self._backend.complete(request)))

    async def go_on(self, prompt: Sequence[int], *, tokens: int, sample: int) -> Draft:
        """
        Raises:
            ModelError: where it cannot be asked; with code L004 where it cannot go on from tokens.
            StorageError: where the reply cannot be kept.
        """
        backend = self._backend
        if not isinstance(backend, Completes):
            raise PermanentError(
                f"the model `{self.name}` is reached by `{self._spec.backend}`, which offers chat alone",
                code="L004",
                help="a cut trace is answered by raw completions: bind the model to a server with /v1/completions",
            )
        request = CompletionRequest(tuple(prompt), self._sampling(tokens, sample), attempt=sample)
        request = with_defaults(request, self._spec)
        reply = await self._reply(request.key(self.weights), lambda: backend.go_on(request))
        stopped = reply.finish_reason in _STOPPED
        return Draft(
            None, False, _whole(reply.text, stopped), stopped, reply.prompt_tokens, reply.completion_tokens
        )

    def _sampling(self, tokens: int, sample: int) -> Sampling:
        seed = self._spec.sampling.seed
        return Sampling(max_tokens=tokens, seed=None if seed is None else seed + sample)

    async def _reply(self, key: str, call: Callable[[], Awaitable[ChatReply]]) -> ChatReply:
        """The reply to a call: the one in the book, or a new one, once that is in the book."""
        async with self._turns.setdefault(key, asyncio.Lock()):
            if (known := self._book.reply(key)) is not None:
                return known
            started = time.time()
            reply = await call()
            await self._book.keep(key, reply, started)
            return reply


def heard(reply: ChatReply) -> Draft:
    """A reply to a chat request as thinking and answer.

    Clients and servers take both apart, or neither does, or the template has opened the thinking in the prompt and only
    its end shows. Where no tag shows and none was taken out, the text counts as the answer; the sampler knows better where
    the prompt ends inside the thinking.
    """
    stopped = reply.finish_reason in _STOPPED
    said = Draft(
        None, False, _whole(reply.text, stopped), stopped, reply.prompt_tokens, reply.completion_tokens
    )
    if reply.reasoning is not None:
        # Who takes them apart does not say whether a tag was there: an answer shows it, unless the client has closed it.
        answered = bool(said.answer)
        thinking = _whole(reply.reasoning, stopped or answered)
        return replace(said, thinking=thinking, closed=answered and not reply.forced)
    before, tag, after = said.answer.partition(CLOSE)
    opens = before.lstrip().startswith(OPEN)
    if opens or (tag and OPEN not in before):
        thinking = before.lstrip().removeprefix(OPEN)
        return replace(said, thinking=thinking, closed=bool(tag), answer=after)
    return said


def _whole(text: str, ended: bool) -> str:
    """A text without halves of characters: of those that were cut at its end nothing stays."""
    text = _HALF_PAIR.sub("\ufffd", text)
    return text if ended else _HALF_CHARACTER.sub("", text)
