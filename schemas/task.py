"""A task whose answer can be checked: what the model is told, and what its verifier knows beyond that.

Verifiers that make tasks write rows of this form, so `dataforge run --seeds verifier:NAME` feeds them to any graph
`from Task`; the evals read the same.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Task(BaseModel):
    """What to say to the model, and the hidden facts by which a verifier tells a right answer from a wrong one."""

    prompt: str = Field(description="what the user says")
    facts: dict[str, Any] = Field(
        default_factory=dict,
        description="what the verifier needs and the model must not see, as JSON values; each verifier has its own",
    )
    system: str | None = Field(default=None, description="the system message, where the task needs one")
    tools: list[dict[str, Any]] = Field(
        default_factory=list, description="the tools on offer, in the form of OpenAI's API"
    )
    verifier: str = Field(default="", description="the verifier that the facts are for")
    topic: str = Field(
        default="", description="the kind of task within its source, for balance and for tables"
    )
    difficulty: float | None = Field(
        default=None, description="from 0 (easy) to 1 (hard), where the source knows"
    )
