"""One chat message, in the form that OpenAI's API and the corpus share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

Role = Literal["system", "user", "assistant", "tool"]
Thinking = Literal["on", "off", "auto"]


class Message(BaseModel):
    """A turn of a conversation; `train` says whether the loss sees it."""

    role: Role
    content: str
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    train: bool = False

    def wire(self) -> dict[str, Any]:
        """The message as an OpenAI-compatible endpoint takes it: no `train`, nothing that is null."""
        return self.model_dump(exclude={"train", "reasoning_content"}, exclude_none=True)
