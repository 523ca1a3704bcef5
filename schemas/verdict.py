"""What a judge or a verifier says of a piece of work."""

from __future__ import annotations

from pydantic import BaseModel


class CriterionScore(BaseModel):
    """One criterion of a rubric: the score on that criterion's own scale, and why."""

    criterion: str
    score: float
    reason: str


class Verdict(BaseModel):
    """A judge's whole answer in one round of judging."""

    node: str
    round: int
    accepted: bool
    score: float
    criteria: list[CriterionScore]
    parsed_by: str
    """How the answer was read: `schema` (constrained output), `json` (plain JSON), or the repair that was needed."""
