"""ARC-Easy (Clark et al. 2018): grade-school science questions, the easier part."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class ARCEasy(EvalTask):
    """Grade-school science questions, the easier part."""

    name = "arc_easy"
    family = "knowledge"
    sources = (Hub("allenai/ai2_arc", "ARC-Easy"),)
    verifier = "multiple_choice"
    paper = "arXiv:1803.05457"

    def item(self, row: Row, number: int) -> Item:
        labels = list(row["choices"]["label"])  # some rows count 1 to 4
        right = labels.index(row["answerKey"])
        return Item(str(row["id"]), choice(row["question"], row["choices"]["text"], right))
