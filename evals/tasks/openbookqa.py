"""OpenBookQA (Mihaylov et al. 2018): elementary science with a step of common sense."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class OpenBookQA(EvalTask):
    """Elementary science questions that take a step of common sense."""

    name = "openbookqa"
    family = "knowledge"
    sources = (Hub("allenai/openbookqa", "main"),)
    verifier = "multiple_choice"
    paper = "arXiv:1809.02789"

    def item(self, row: Row, number: int) -> Item:
        right = list(row["choices"]["label"]).index(row["answerKey"])
        return Item(str(row["id"]), choice(row["question_stem"], row["choices"]["text"], right))
