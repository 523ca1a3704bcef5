"""What a step sees while its node runs: the row's state, the draft of what the node will give, and the way to models."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from dataforge.domain import actions as a
from dataforge.domain.measures import TokenCounter
from dataforge.domain.structs import fields_of
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.verifiers import CHECKS, Checks
from schemas.chat import Message
from schemas.corpus import VerdictLine

Purpose = Literal["ask", "judge"]
ModelCaller = Callable[[a.Model, ChatRequest, str, Purpose], Awaitable[ChatReply]]
"""Asks a bound model: (model, request, node, purpose) → reply. Journals, so that the same request is made once."""


class Rejected(Exception):
    """The row cannot go on: an outcome to be recorded, with a code of `docs/errors.md`."""

    def __init__(self, node: str, code: str, message: str) -> None:
        super().__init__(message)
        self.node = node
        self.code = code
        self.message = message


class Broken(Exception):
    """An attempt that does not meet the contract; `reasons` are shown to the model that made it."""

    def __init__(self, code: str, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.code = code
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Exchange:
    """One model call as the corpus keeps it: what was asked, without any feedback on earlier attempts, and the reply."""

    node: str
    model: a.Model
    purpose: Purpose
    prompt: tuple[Message, ...]
    sent: tuple[Message, ...]
    reply: ChatReply
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A sample that did not pass: what it was, what was said of it, and why it is lost.

    Attributes:
        node: the node that drew it.
        sample: its number among the node's samples.
        branch: of the row that it was drawn for.
        exchange: the answer that was turned away; None where there was none.
        verdicts: what judges and verifiers said of it.
        code, reason: as of a rejection.
        state: after the node where the sample passed, else before it.
    """

    node: str
    sample: int
    branch: tuple[int, ...]
    exchange: Exchange | None
    verdicts: tuple[VerdictLine, ...]
    code: str
    reason: str
    state: Mapping[str, BaseModel]


@dataclass(frozen=True, slots=True)
class Feedback:
    """Why an attempt was not good enough, for the next one."""

    text: str
    reasons: tuple[str, ...]


@dataclass
class RowContext:
    """One row on its way through the graph.

    Attributes:
        row, walk: number of the row, and which walk of its seed it is.
        call_model: the way to models.
        check: the way to verifiers.
        tokens: the run's tokenizer.
        rng: a random stream for a named purpose of this row, always the same.
        state: struct name → instance.
        exchanges: every model call made, in order; `standing` those whose outcome stood.
        verdicts: what the judges and verifiers said.
        lost: the samples that were drawn and not kept; `won` those that were kept, as they would be if the row is rejected.
        branch: which of the items of each fan-out the row is.
    """

    row: int
    walk: int
    call_model: ModelCaller
    tokens: TokenCounter
    rng: Callable[[str], random.Random]
    state: dict[str, BaseModel]
    exchanges: list[Exchange] = field(default_factory=list)
    standing: list[Exchange] = field(default_factory=list)
    verdicts: list[VerdictLine] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    won: list[Lost] = field(default_factory=list)
    branch: tuple[int, ...] = ()
    check: Checks = CHECKS

    def fork(self, state: dict[str, BaseModel]) -> RowContext:
        """The same row with another state: what it has done so far is shared history, what follows is its own."""
        return RowContext(
            self.row,
            self.walk,
            self.call_model,
            self.tokens,
            self.rng,
            state,
            list(self.exchanges),
            list(self.standing),
            list(self.verdicts),
            list(self.lost),
            list(self.won),
            self.branch,
            self.check,
        )


@dataclass
class Draft:
    """One attempt at a node: the fields written so far.

    `items` has one entry, or several where the node gives many: struct → field → value.
    """

    node: a.Node
    name: str
    context: RowContext
    attempts: Mapping[int, int]
    feedback: Mapping[int, Feedback]
    items: list[dict[str, dict[str, Any]]] = field(default_factory=lambda: [{}])
    variables: dict[str, Any] = field(default_factory=dict)
    standing: list[Exchange] = field(default_factory=list)
    asked: dict[int, Exchange] = field(default_factory=dict)
    step: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of the answers so far, as the endpoints counted them."""
        return sum(exchange.reply.completion_tokens for exchange in self.asked.values())

    def write(self, target: a.FieldRef, value: Any) -> None:
        """Set a field in every item."""
        for item in self.items:
            item.setdefault(target[0], {})[target[1]] = value

    def view(self, item: dict[str, dict[str, Any]] | None = None) -> dict[str, BaseModel]:
        """The state as a template or a judge sees it now: the old one, with what was written so far put over it."""
        item = self.items[0] if item is None else item
        seen: dict[str, BaseModel] = dict(self.context.state)
        for name, struct in self.node.gives.items():
            fields = dict(item.get(name, {}))
            old = self.context.state.get(name)
            if old is not None:
                fields = fields_of(old) | fields
            if fields or old is not None:
                seen[name] = struct.model.model_construct(None, **fields)
        return seen
