"""Evaluations on tasks that our own verifiers make, and on files of such tasks."""

from __future__ import annotations

from evals.data import Row
from evals.task import EvalTask, Item
from schemas.task import Task


class MadeTasks(EvalTask):
    """Tasks as `dataforge verifiers tasks` prints them."""

    def item(self, row: Row, number: int) -> Item:
        return Item(
            str(row.get("id", number)),
            Task.model_validate({k: row[k] for k in Task.model_fields if k in row}),
        )
