"""Scored groups: several responses to one task with their tokens, masks and scores, as Atropos and its trainers have them.

A group is one JSON object; a file of groups has one a line. `tokens[i]` is the i-th response with its prompt, `masks[i]`
has the same length and holds the token where the loss sees it and −100 elsewhere, `scores[i]` is what it earned. Where
no tokenizer was at hand, tokens and masks are empty and the `messages` stand for them.

Which tokens a conversation has is the business of a chat template and a tokenizer, so whoever makes groups passes a
`Tokenise` in; this module imports neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dataforge.errors import InputError
from dataforge.interop.logprobs import IGNORED, Logprobs, aligned
from dataforge.run.storage import put_in_place, storing
from schemas.chat import Message

_FORM = 'a line is {"tokens": [[…], …], "masks": [[…], …], "scores": [1.0, …]}'
_PER_RESPONSE = ("masks", "advantages", "ref_logprobs", "messages", "inference_logprobs", "overrides")
_PER_TOKEN = ("masks", "ref_logprobs", "inference_logprobs")


class Tokens(NamedTuple):
    """A conversation under a tokenizer."""

    tokens: list[int]
    masks: list[int]


Pieces = Callable[[Sequence[int]], list[str]]
"""Tokens → what each of them says by itself."""

Tokenise = Callable[[Sequence[Message], Sequence[Mapping[str, Any]], bool], Tokens]
"""Messages, the tools on offer, and whether the last turn ended by itself → tokens and masks.

Only turns marked with `train` are unmasked. Of a turn that was cut off, the token that would end it is left out: the
model did not say it. It raises `InputError` where the conversation cannot be rendered exactly.
"""


class ScoredGroup(BaseModel):
    """Responses to one task, scored. Keys beyond these are carried along untouched.

    Attributes:
        tokens, masks, scores: of each response, as the head of this module has them.
        advantages: of each token of each response, where they are not to be made from the scores.
        ref_logprobs, inference_logprobs: of each token, by a reference model and as it was sampled; 1.0 stands where
            a token was not sampled.
        messages: the conversation of each response, each message with `role` and `content`.
        generation_params: how they were sampled: `temperature` and friends.
        overrides, group_overrides: what a trainer should do otherwise, for each response and for the group.
        images: as the environment and its trainer agree on them.
        env_id: the number of the environment that a server gave it.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    tokens: list[list[int]]
    masks: list[list[int]]
    scores: list[float]
    advantages: list[list[float]] | None = None
    ref_logprobs: list[list[float]] | None = None
    messages: list[list[dict[str, Any]]] | None = None
    generation_params: dict[str, Any] | None = None
    inference_logprobs: list[list[float]] | None = None
    overrides: list[dict[str, Any]] | None = None
    group_overrides: dict[str, Any] | None = None
    images: Any = None
    env_id: int | None = None
    distill_token_ids: list[list[list[int]]] | None = None
    distill_logprobs: list[list[list[float]]] | None = None

    @field_validator("messages")
    @classmethod
    def _said(cls, messages: list[list[dict[str, Any]]] | None) -> list[list[dict[str, Any]]] | None:
        for number, conversation in enumerate(messages or ()):
            for message in conversation:
                if "role" not in message or "content" not in message:
                    raise PydanticCustomError(
                        "message", "conversation {number} has a message without `role` or `content`",
                        {"number": number},
                    )  # fmt: skip
        return messages

    @model_validator(mode="after")
    def _of_one_size(self) -> ScoredGroup:
        size = len(self.scores)
        if len(self.tokens) != size and (self.tokens or self.masks or not self.messages):
            raise PydanticCustomError(
                "size", "there are {tokens} sequences of tokens and {scores} scores",
                {"tokens": len(self.tokens), "scores": size},
            )  # fmt: skip
        for name in _PER_RESPONSE:
            values = getattr(self, name)
            # An empty list says as much as none: that is how some environments leave a field out.
            if values and len(values) != size:
                raise PydanticCustomError(
                    "size", "`{name}` has {there} entries for {scores} scores",
                    {"name": name, "there": len(values), "scores": size},
                )  # fmt: skip
        if len(self.masks) != len(self.tokens):
            raise PydanticCustomError("size", "there are tokens without masks")
        for name in _PER_TOKEN:
            for number, (one, tokens) in enumerate(zip(getattr(self, name) or (), self.tokens, strict=False)):
                if len(one) != len(tokens):
                    raise PydanticCustomError(
                        "size", "`{name}` of response {number} has {there} entries for {tokens} tokens",
                        {"name": name, "number": number, "there": len(one), "tokens": len(tokens)},
                    )  # fmt: skip
        return self

    @property
    def size(self) -> int:
        """How many responses it has."""
        return len(self.scores)

    @property
    def longest(self) -> int:
        """Tokens of its longest response."""
        return max(map(len, self.tokens), default=0)

    def line(self) -> bytes:
        """It as a line of JSON, without the line's end. Fields without a value are null, as trainers expect them.

        Only `inference_logprobs` is left out where there are none: the trainer that reads it asks whether the key is
        there, and not whether it is null.
        """
        gone = {"inference_logprobs"} if self.inference_logprobs is None else None
        return self.model_dump_json(exclude=gone).encode()


@dataclass(frozen=True, slots=True)
class ScoredResponse:
    """A response on its way into a group.

    Attributes:
        messages: the whole conversation; the turns that the model is to learn from are marked with `train`.
        score: what it earned.
        tools: the tools that were on offer.
        ended: whether the model ended its turn by itself, and was not cut off.
        logprobs: of what the model said, where they were asked for: see `dataforge.interop.logprobs`.
    """

    messages: tuple[Message, ...]
    score: float
    tools: tuple[Mapping[str, Any], ...] = ()
    ended: bool = True
    logprobs: Logprobs | None = None


def group_of(
    responses: Sequence[ScoredResponse],
    tokenise: Tokenise | None = None,
    *,
    pieces: Pieces | None = None,
    generation_params: Mapping[str, Any] | None = None,
) -> ScoredGroup:
    """A group of responses, with log-probabilities where all of them have some and `pieces` is given.

    Raises:
        InputError: a conversation cannot be rendered exactly, or was sampled as other tokens (V036).
    """
    made = [tokenise(r.messages, r.tools, r.ended) for r in responses] if tokenise is not None else []
    masks, logprobs = [one.masks for one in made], []
    if pieces is not None and made:
        for number, (response, one) in enumerate(zip(responses, made, strict=True)):
            if response.logprobs is None:
                break
            said = [mask for mask in one.masks if mask != IGNORED]
            masks[number], known = aligned(one.tokens, one.masks, pieces(said), response.logprobs)
            logprobs.append(known)
    return ScoredGroup(
        tokens=[one.tokens for one in made],
        masks=masks,
        inference_logprobs=logprobs if logprobs and len(logprobs) == len(made) else None,
        scores=[r.score for r in responses],
        messages=[[message_json(m) for m in r.messages] for r in responses],
        generation_params=dict(generation_params) if generation_params else None,
    )


def message_json(message: Message) -> dict[str, Any]:
    """A message as JSON, with its thinking, without what is null."""
    return message.model_dump(exclude={"train"}, exclude_none=True)


def parse_group(text: bytes | str, where: str) -> ScoredGroup:
    """A group from its JSON.

    Raises:
        InputError: V030, with the place, where it is none.
    """
    try:
        return ScoredGroup.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{where}: {first_fault(error)}", code="V030", help=_FORM) from error


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, with its place."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def read_groups(path: Path) -> Iterator[ScoredGroup]:
    """The groups of a file, streamed; empty lines are passed over.

    Raises:
        InputError: V030, where the file cannot be read or a line is no group.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield parse_group(line, f"{path}, line {number}")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", code="V030", help="name a file of scored groups"
        ) from error


def write_groups(path: Path, groups: Iterable[ScoredGroup]) -> int:
    """Write groups to a file, whole or not at all; returns how many.

    Raises:
        OutputError, StorageError: where the disk refuses.
    """
    return write_lines(path, (group.line() for group in groups))


def write_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write lines to a file, whole or not at all: what stood there stays until the new file is on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    written = 0
    with storing(path):
        stream = temporary.open("wb")
    try:
        with stream:
            for line in lines:
                with storing(path):
                    stream.write(line + b"\n")
                written += 1
            with storing(path):
                stream.flush()
                os.fsync(stream.fileno())
        with storing(path):
            put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return written
