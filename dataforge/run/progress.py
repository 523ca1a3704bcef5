"""What a run tells while it goes: a small set of events, and a silent listener for those who do not want them."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    """Listens to a run and says nothing. Subclasses show what they hear; none may block."""

    def begin(self, rows: int, done: int, models: Mapping[str, str]) -> None:
        """A run begins.

        Args:
            rows: rows to be attempted in all; 0 where that is not known.
            done: rows that an earlier start has finished.
            models: logical name → what it is bound to, for people.
        """

    def call(self, model: str, tokens: int, latency_s: float, reused: bool) -> None:
        """A model call has ended, or its journalled reply was used again (`reused`)."""

    def row(self, status: str, code: str | None) -> None:
        """A row has ended: `kept`, `rejected`, `failed` or `filtered`, with the reason's code where it was not kept."""

    def note(self, message: str) -> None:
        """Something that people should know, such as a pause that an endpoint asked for."""

    def end(self) -> None:
        """The run has ended, by itself or by interruption."""
