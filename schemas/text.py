"""Structs for single-turn text graphs: a passage, an instruction about it, an answer to that.

Shipped graphs use them, and projects may: `from schemas.text import Passage`. A project that needs other fields
declares its own struct; nothing in DataForge treats these three specially.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Kind = Literal[
    "article",
    "essay",
    "story",
    "dialogue",
    "debate",
    "interview",
    "letter",
    "speech",
    "poem",
    "notes",
    "summary",
]


class Passage(BaseModel):
    """A piece of prose, as read from a seed or rewritten by a node."""

    text: str = Field(description="the prose itself")
    kind: Kind = Field(default="article", description="what sort of document it is")
    title: str = ""
    lang: str = Field(default="en", description="BCP 47 language tag")
    source: str = Field(default="", description="where it comes from, for people: author, work, page")
    licence: str = Field(default="", description="the terms under which the source may be used")


class Instruction(BaseModel):
    """What a user asks."""

    text: str
    contextual: bool = Field(description="true where it can only be answered with the passage at hand")


class Answer(BaseModel):
    """What an assistant replies."""

    text: str
    reasoning: str | None = Field(
        default=None, description="the model's thinking, kept apart from the answer"
    )
    score: float | None = Field(default=None, description="what the judge gave, on the rubric's scale")
