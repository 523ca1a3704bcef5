"""MMLU-Pro (Wang et al. 2024): harder questions of 14 subjects, with up to ten options."""

from __future__ import annotations

from evals.data import Hub, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class MMLUPro(EvalTask):
    """Reasoning-heavy questions of 14 subjects, with up to ten options."""

    name = "mmlu_pro"
    family = "knowledge"
    sources = (Hub("TIGER-Lab/MMLU-Pro", split="test"),)
    verifier = "multiple_choice"
    paper = "arXiv:2406.01574"

    def item(self, row: Row, number: int) -> Item:
        options = [text for text in row["options"] if text != "N/A"]
        right = int(row["answer_index"])
        return Item(str(row["question_id"]), choice(row["question"], options, right, topic=row["category"]))
