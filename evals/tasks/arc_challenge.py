"""ARC-Challenge (Clark et al. 2018): grade-school science questions, the harder part."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class ARCChallenge(EvalTask):
    """Grade-school science questions, the harder part."""

    name = "arc_challenge"
    family = "knowledge"
    sources = (Hub("allenai/ai2_arc", "ARC-Challenge"),)
    verifier = "multiple_choice"
    paper = "arXiv:1803.05457"

    def item(self, row: Row, number: int) -> Item:
        labels = list(row["choices"]["label"])  # some rows count 1 to 4
        right = labels.index(row["answerKey"])
        return Item(str(row["id"]), choice(row["question"], row["choices"]["text"], right))
