"""LiveCodeBench (Jain et al. 2024), release 6: contest problems of 1 August 2024 to 1 May 2025, run on all their tests.

Programs run behind the imports that the benchmark's own harness gives them: answers to problems of LeetCode seldom write any.
Private tests are a pickle of JSON, zipped, in base64; the pickle is read by a reader that takes a text and nothing else.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from typing import Any

from evals.data import Hub, Row
from evals.prompts import PROGRAM
from evals.task import EvalTask, Item
from schemas.task import Task

FROM, TO = "2024-08-01", "2025-05-01"
"""Of the contest's date, the last day left out."""
FILES = ("test3.jsonl", "test4.jsonl", "test5.jsonl", "test6.jsonl")
"""What releases 3 to 6 added, gigabytes; older problems are in the two before. The repository's loading script is not run."""

_MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools", "functools",
    "operator", "io", "sys", "json",
)  # fmt: skip
PREAMBLE = "\n".join(
    [
        *(f"from {name} import *" for name in (*_MODULES, "builtins", "typing")),
        f"import {', '.join(_MODULES)}",
        "sys.setrecursionlimit(50_000)\n",
    ]
)


class LiveCodeBench(EvalTask):
    """Contest problems newer than most models, run on all their tests."""

    name = "livecodebench"
    family = "code"
    sources = (Hub("livecodebench/code_generation_lite", files=FILES),)
    verifier = "code"
    samples = 16
    paper = "arXiv:2403.07974"

    def item(self, row: Row, number: int) -> Item | None:
        if not FROM <= str(row["contest_date"])[:10] < TO:
            return None
        tests = [*json.loads(row["public_test_cases"]), *_private(row["private_test_cases"])]
        name = json.loads(row["metadata"] or "{}").get("func_name", "")
        starter = (
            f"\n\nBegin with this:\n\n```python\n{row['starter_code']}\n```" if row["starter_code"] else ""
        )
        reads = "" if name else "\n\nThe program reads from standard input and prints to standard output."
        facts: dict[str, Any] = {"kind": "call" if name else "stdin", "fn_name": name, "preamble": PREAMBLE}
        facts["stop_at_first"] = True
        facts["tests"] = [
            _call(test) if name else {"input": test["input"], "output": test["output"]} for test in tests
        ]
        facts["limits"] = {"cpu_s": 15.0, "memory_mb": 1024.0}
        prompt = f"{row['question_content']}{starter}{reads}\n\n{PROGRAM}"
        return Item(str(row["question_id"]), Task(prompt=prompt, facts=facts, topic=row["difficulty"]))


def _call(test: dict[str, str]) -> dict[str, Any]:
    return {
        "args": [json.loads(line) for line in test["input"].split("\n")],
        "output": json.loads(test["output"]),
    }


class _TextAlone(pickle.Unpickler):
    """Reads a pickled text; a pickle that wants anything of Python is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"the private tests name {module}.{name}, and should be a text")


def _private(packed: str) -> list[dict[str, str]]:
    try:
        found: list[dict[str, str]] = json.loads(packed)
    except ValueError:
        text = _TextAlone(io.BytesIO(zlib.decompress(base64.b64decode(packed)))).load()
        found = json.loads(text)
    return found
