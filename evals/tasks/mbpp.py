"""MBPP (Austin et al. 2021): short Python functions from a sentence and three assertions, the sanitised part."""

from __future__ import annotations

import ast

from evals.asserts import Inexpressible, pairs
from evals.data import Hub, Row
from evals.prompts import PROGRAM
from evals.task import EvalTask, Item
from evals.tasks.humaneval import facts
from schemas.task import Task


class MBPP(EvalTask):
    """Short Python functions from a sentence and one example."""

    name = "mbpp"
    family = "code"
    sources = (Hub("google-research-datasets/mbpp", "sanitized"),)
    verifier = "code"
    paper = "arXiv:2108.07732"

    def item(self, row: Row, number: int) -> Item | None:
        tests = "\n".join(row["test_list"])
        name = _called(row["test_list"][0])
        try:
            calls, tolerance = pairs(tests, name)
        except Inexpressible:
            return None
        prompt = f"{row['prompt']}\n\nIt must pass this test:\n\n```python\n{row['test_list'][0]}\n```\n\n{PROGRAM}"
        return Item(str(row["task_id"]), Task(prompt=prompt, facts=facts(name, calls, tolerance)))


def _called(test: str) -> str:
    """The function that an assertion calls: the first that is none of Python's own."""
    names = [
        n.func.id
        for n in ast.walk(ast.parse(test))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    ]
    return next(
        (name for name in names if name not in ("set", "abs", "sorted", "list", "tuple", "len", "math")), ""
    )
