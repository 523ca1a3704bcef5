"""IFEval (Zhou et al. 2023): 541 prompts with instructions that a program can check.

`strict` and `loose` are the shares of prompts of which all instructions hold, by the two readings of the paper;
`instructions` is the mean over prompts of the share that holds (the paper's is over all instructions together).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.verifiers import Response, Verdict, find, verify
from evals.data import Hub, Row
from evals.task import EvalTask, Item
from schemas.task import Task


class IFEval(EvalTask):
    """Prompts with instructions about form that a program can check."""

    name = "ifeval"
    family = "instructions"
    sources = (Hub("google/IFEval", split="train"),)
    verifier = "instructions"
    paper = "arXiv:2311.07911"

    def item(self, row: Row, number: int) -> Item:
        constraints = [
            {"id": name, "kwargs": {k: v for k, v in (kwargs or {}).items() if v is not None}}
            for name, kwargs in zip(row["instruction_id_list"], row["kwargs"], strict=True)
        ]
        facts: dict[str, Any] = {"constraints": constraints, "prompt": row["prompt"]}
        topic = row["instruction_id_list"][0].partition(":")[0]
        return Item(str(row.get("key", number)), Task(prompt=row["prompt"], facts=facts, topic=topic))

    def measures(self, item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
        return instruction_measures(item, response, verdict)


def instruction_measures(item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
    """Both readings, and the share of instructions that hold."""
    if verdict.score is None:
        return {}
    facts = {**item.task.facts, "loose": True}
    loose = verify(find("instructions"), item.task.model_copy(update={"facts": facts}), response)
    return {"strict": float(verdict.passed), "loose": float(loose.passed), "instructions": verdict.score}
