"""What the years of AIME have in common; the sources name their columns in three ways."""

from __future__ import annotations

from evals.data import Row
from evals.prompts import boxed
from evals.task import EvalTask, Item


class Aime(EvalTask):
    """Problems of the American Invitational Mathematics Examination."""

    family = "mathematics"
    verifier = "maths"
    samples = 64

    def item(self, row: Row, number: int) -> Item | None:
        if not str(row.get("source", "AIME")).startswith("AIME"):
            return None  # of a package that holds several benchmarks
        question = row.get("Problem") or row.get("problem") or row["question"]
        answer = row.get("Answer", row.get("answer"))
        identity = row.get("ID") or row.get("id") or f"{row.get('config', '')}-{number}"
        return Item(str(identity), boxed(question, str(int(str(answer)))))
