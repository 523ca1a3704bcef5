"""One row of a corpus: what `run` writes, and what the trainer, the evals and `datasets.load_dataset` read.

A row is a conversation with its history: where it comes from, who wrote it, what the judges said. Finished samples and
the single model calls behind them are rows of the same shape, told apart by `kind`. Rejected rows have it too, and say
why in `reason`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from schemas.chat import Message

RowKind = Literal["final", "call"]


class ModelUse(BaseModel):
    """A model that had a hand in the row."""

    role: str = Field(description="the name of the model in the `.forge` file, such as `writer`")
    name: str = Field(description="the name of the model at its endpoint")
    weights: str = Field(description="identity of the weights: the same weights have the same identity")


class VerdictLine(BaseModel):
    """What one judge or verifier said on one criterion in one round."""

    node: str
    criterion: str
    score: float
    reason: str
    round: int


class Reason(BaseModel):
    """Why a row was turned away; a row holds it as JSON."""

    stage: str = Field(description="the node or the step of the run that turned it away")
    code: str = Field(description="stable, for counting")
    message: str = Field(description="for people")


class Row(BaseModel):
    """A sample of the corpus, in the order of the columns of its Parquet files."""

    id: str = Field(description="stable: a hash of plan, seed and row number")
    messages: list[Message]
    tools: list[str] | None = Field(default=None, description="the tool schemas offered, each as JSON")
    kind: RowKind = Field(description="the finished sample, or one model call of its walk")
    graph: str
    node: str
    path: list[str] = Field(description="the nodes walked, first to last")
    seed_id: str
    seed_source: str
    models: list[ModelUse]
    verdicts: list[VerdictLine]
    thinking: Literal["on", "off"] | None = Field(
        default=None, description="the reasoning mode of the sample"
    )
    tokens: int = Field(description="tokens of `messages` under the corpus tokenizer")
    state: str = Field(description="the final structs, as JSON")
    reason: str | None = Field(default=None, description="a `Reason` as JSON where the row was rejected")
