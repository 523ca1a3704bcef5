"""SimpleQA (Wei et al. 2024): short factual questions, judged by a model as right, wrong or not attempted.

The score counts right answers. `attempted` is the share that was attempted, and `rule` what a comparison of texts says, beside
the judge: where the two differ is worth a look.
"""

from __future__ import annotations

from dataforge.verifiers import Response
from dataforge.verifiers.matching.normal import normal
from dataforge.verifiers.protocol import error, failed, passed, unparsed
from dataforge.verifiers.spoken import spoken
from evals.data import Hub, Row
from evals.judging import Grades, graded
from evals.task import Ask, EvalTask, Item, Judged
from schemas.task import Task

GRADES: Grades = {
    "RIGHT": "the answer says what the reference says, whatever else it says that is not against it",
    "WRONG": "the answer says something that is against the reference, hedged or not",
    "NOT_ATTEMPTED": "the answer leaves out what the reference says, or says that it does not know",
}


class SimpleQA(EvalTask):
    """Short factual questions with one answer."""

    name = "simpleqa"
    family = "judged"
    sources = (Hub("basicv8vc/SimpleQA"),)
    needs_judge = True
    paper = "arXiv:2411.04368"

    def item(self, row: Row, number: int) -> Item:
        return Item(str(row.get("id", number)), Task(prompt=row["problem"], facts={"answer": row["answer"]}))

    async def judged(self, item: Item, response: Response, judge: Ask | None) -> Judged:
        said, answer = spoken(response).answer.strip(), str(item.task.facts["answer"])
        rule = float(f" {_key(answer)} " in f" {_key(said)} ")
        grade, told = await graded(judge, item.task.prompt, said, GRADES, reference=answer)
        notes = {"judge": told, "grade": grade}
        if grade is None:
            return Judged(error("verifier", "the judge gave no grade"), notes)
        verdicts = {
            "RIGHT": passed(said),
            "WRONG": failed("another answer", said),
            "NOT_ATTEMPTED": unparsed("not attempted"),
        }
        return Judged(verdicts[grade], notes, {"attempted": float(grade != "NOT_ATTEMPTED"), "rule": rule})


def _key(text: str) -> str:
    return normal(text, ignore_case=True, ignore_punctuation=True, ignore_articles=True)
