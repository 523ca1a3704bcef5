"""The values that travel through the trainer: a conversation, its tokens, and what was left out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.chat import Message

IGNORED = -100
"""The label of a token that the loss does not see, as everywhere in PyTorch."""

DropReason = Literal["untrained", "overlong"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of a corpus, as far as training is concerned.

    Attributes:
        id: of the row, for every message about it.
        messages: the turns; `train` says which assistant turns the loss sees.
        tools: JSON schemas of the tools offered.
        thinking: the reasoning mode, or None where the row does not say: then a last turn with reasoning means `on`.
        kind: for loss by kind, such as `final` or `call`.
        mask: name of a strategy of `trainer.length.strategies`, or None: all that the assistant says, as `train` has it.
        budget: tokens of thinking that the last turn must have exactly; only beside `mask`.
    """

    id: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()
    thinking: Literal["on", "off"] | None = None
    kind: str = "final"
    mask: str | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A tokenised conversation: one document of a packed row.

    Attributes:
        id: of the conversation; pieces and turns of a split one have `#0`, `#1` … behind it.
        tokens: int32 `[length]`.
        trained: bool `[length]`; `trained[0]` is always False, so that a shift over a packed row crosses no border.
        kind: `final` or `call`, with `-thinking` behind it for reasoning samples, or the name of a mask strategy, as
            `final-tag`.
        cut: tokens that the policy for overlong samples took off its end.
    """

    id: str
    tokens: NDArray[np.int32]
    trained: NDArray[np.bool_]
    kind: str
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sample that is not trained on, and why."""

    id: str
    reason: DropReason
    detail: str


@dataclass(slots=True)
class Notes:
    """What preparing samples left out or changed. Nothing happens to a sample that is not counted here.

    Attributes:
        dropped: whole samples left out.
        counts: how often each change was made: `thinking_removed` (turns), `untrained_turns`, `cut` (samples),
            `cut_tokens`, `split` (samples), …
    """

    dropped: list[Dropped] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + n
