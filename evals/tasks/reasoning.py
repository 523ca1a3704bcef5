"""Procedural reasoning: reasoning-gym's tasks, made anew from a seed and checked by exact rules."""

from __future__ import annotations

from evals.data import Made, Row
from evals.task import EvalTask, Item
from schemas.task import Task


class Reasoning(EvalTask):
    """Procedural reasoning: puzzles, algorithms, arithmetic and logic, made from a seed, so that nobody has trained on them."""

    name = "reasoning"
    family = "reasoning"
    sources = (Made("reasoning"),)
    verifier = "reasoning"

    def item(self, row: Row, number: int) -> Item:
        return Item(str(row["id"]), Task.model_validate({k: row[k] for k in Task.model_fields if k in row}))
