"""DROP (Dua et al. 2019): reading comprehension that takes counting, sorting and sums; judged by the F1 of its words.

The score is exact match; `f1` is the bag-of-words F1 with the best of the accepted answers, after the rules of the
paper's own metric in our words: case, articles and punctuation do not count, and numbers must agree. The hub's copy lists the
spans of an answer and those of its validations as one, so of an answer of several spans each is accepted alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dataforge.verifiers import Response, Verdict
from dataforge.verifiers.matching.normal import normal
from evals.data import Hub, Row
from evals.task import EvalTask, Item
from schemas.task import Task

ASK = "Think it through, then end with a line `Answer: ` and the answer alone, as short as can be."


class DROP(EvalTask):
    """Reading comprehension that takes counting, sorting and sums."""

    name = "drop"
    family = "knowledge"
    sources = (Hub("ucinlp/drop", split="validation"),)
    verifier = "exact"
    paper = "arXiv:1903.00161"

    def item(self, row: Row, number: int) -> Item:
        answers = list(dict.fromkeys(row["answers_spans"]["spans"]))
        prompt = f"{row['passage']}\n\n{row['question']}\n\n{ASK}"
        return Item(
            str(row["query_id"]),
            Task(prompt=prompt, facts={"answers": answers}, topic=str(row["answers_spans"]["types"][0])),
            cluster=str(row["section_id"]),
        )

    def measures(self, item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
        said = verdict.extracted or ""
        return {"f1": max((f1(said, answer) for answer in item.task.facts["answers"]), default=0.0)}


def f1(said: str, answer: str) -> float:
    """The harmonic mean of precision and recall of words, 0 to 1; 0 where the numbers in the two differ."""
    one, other = (
        normal(text, ignore_case=True, ignore_punctuation=True, ignore_articles=True).split()
        for text in (said, answer)
    )
    numbers = [{word for word in words if word.replace(".", "").isdigit()} for words in (one, other)]
    if numbers[1] and not numbers[0] & numbers[1]:
        return 0.0
    shared = (Counter(one) & Counter(other)).total()
    return 2 * shared / (len(one) + len(other)) if shared else 0.0
