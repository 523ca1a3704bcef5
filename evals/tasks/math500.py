"""MATH-500 (Hendrycks et al. 2021, the split of Lightman et al. 2023): competition problems with answers in LaTeX."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import boxed
from evals.task import EvalTask, Item


class Math500(EvalTask):
    """Five hundred competition problems, answered in LaTeX."""

    name = "math500"
    family = "mathematics"
    sources = (Hub("HuggingFaceH4/MATH-500"),)
    verifier = "maths"
    samples = 4
    paper = "arXiv:2305.20050"

    def item(self, row: Row, number: int) -> Item:
        return Item(str(row["unique_id"]), boxed(row["problem"], row["answer"], topic=row["subject"]))
