"""What a run tells while it goes: a small set of events, and a silent listener for those who do not want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A model call that has ended, or whose journalled reply was used again.

    Attributes:
        row: number of the row that asked.
        node: the node that asked.
        purpose: `ask` or `judge`.
        model: logical name of the model.
        served_by: the model's name as its server reported it.
        prompt_tokens, completion_tokens: as the server counted them.
        latency_s: wall seconds, retries included; 0 where `reused`.
        attempts: requests that it took.
        cost: by the prices of the binding; 0 where it has none or `reused`.
        reused: whether the reply was there already.
        started_at: Unix seconds.
        finish_reason: as the server said.
    """

    row: int
    node: str
    purpose: str
    model: str
    served_by: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    attempts: int
    cost: float
    reused: bool
    started_at: float
    finish_reason: str


State = Literal["running", "stopping", "done", "stopped"]


@dataclass(frozen=True, slots=True)
class Gauges:
    """How a run stands at one moment: what no event tells.

    Attributes:
        in_flight: calls that are waiting for their answer.
        shards, shards_whole: how many there will be, 0 where that is not known; how many are finished.
        endpoints: logical model → what its backend tells of its endpoints, as JSON values.
        state: `stopped` is before the end, `done` is at it.
        why: what stopped it, or is stopping it; empty otherwise.
    """

    in_flight: int = 0
    shards: int = 0
    shards_whole: int = 0
    endpoints: Mapping[str, Any] = field(default_factory=dict)
    state: State = "running"
    why: str = ""


class Progress:
    """Listens to a run and says nothing. Subclasses show what they hear; none may block."""

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        """A run begins.

        Args:
            rows: rows to be attempted in all; 0 where that is not known.
            done: rows that an earlier start has finished.
            models: logical name → what it is bound to, for people.
        """

    def call(self, event: CallEvent) -> None:
        """A model call has ended, or its journalled reply was used again."""

    def row(self, status: str, code: str | None) -> None:
        """A row has ended: `kept`, `rejected`, `failed` or `filtered`, with the reason's code where it was not kept."""

    def gauge(self, now: Gauges) -> None:
        """How the run stands: told about each second, and once more before the end."""

    def note(self, message: str) -> None:
        """Something that people should know, such as a pause that an endpoint asked for."""

    def end(self) -> None:
        """The run has ended, by itself or by interruption."""


class Several(Progress):
    """Passes every event on to several listeners."""

    def __init__(self, listeners: Sequence[Progress]) -> None:
        self.listeners = listeners

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        for listener in self.listeners:
            listener.begin(rows, done, models)

    def call(self, event: CallEvent) -> None:
        for listener in self.listeners:
            listener.call(event)

    def row(self, status: str, code: str | None) -> None:
        for listener in self.listeners:
            listener.row(status, code)

    def gauge(self, now: Gauges) -> None:
        for listener in self.listeners:
            listener.gauge(now)

    def note(self, message: str) -> None:
        for listener in self.listeners:
            listener.note(message)

    def end(self) -> None:
        for listener in self.listeners:
            listener.end()
