"""MMLU (Hendrycks et al. 2020): questions of 57 subjects with four options."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class MMLU(EvalTask):
    """Questions of 57 school and university subjects, with four options."""

    name = "mmlu"
    family = "knowledge"
    sources = (Hub("cais/mmlu", "all", "test"),)
    verifier = "multiple_choice"
    paper = "arXiv:2009.03300"

    def item(self, row: Row, number: int) -> Item:
        subject = row["subject"].replace("_", " ")
        return Item(str(number), choice(row["question"], row["choices"], int(row["answer"]), topic=subject))
