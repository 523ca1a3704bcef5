"""BIG-Bench Hard (Suzgun et al. 2022): 27 tasks; those with options are judged by letter, the others by their text.

Four of the 6,511 rows are left out, since their options were torn at commas: of three the answer is none of their options, and
one has a single option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from evals.data import Hub, Row
from evals.prompts import LETTER, LETTERS
from evals.task import EvalTask, Item
from schemas.task import Task

CONFIGS = (
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
)
TEXT = "Think it through, then end with a line `Answer: ` and the answer alone."
PLAIN: Mapping[str, str] = {
    "word_sorting": "Think it through, then end with a line `Answer: ` and the words in order, separated by spaces.",
    "dyck_languages": "Think it through, then end with a line `Answer: ` and the closing brackets that are missing, "
    "separated by spaces, and nothing else.",
}
"""Of tasks whose questions do not say how the answer is to be written, which the examples of the paper's prompts show."""
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)


class BBH(EvalTask):
    """Twenty-seven tasks of BIG-Bench on which language models once fell short of people."""

    name = "bbh"
    family = "reasoning"
    sources = (Hub("lukaemon/bbh", CONFIGS),)
    paper = "arXiv:2210.09261"

    def item(self, row: Row, number: int) -> Item | None:
        topic = row.get("config", "")
        lettered = _OPTION.findall(row["input"])
        letter = re.fullmatch(r"\(([A-Z])\)", row["target"].strip())
        identity = f"{topic}-{number}"
        if lettered and (letter is None or len(lettered) == 1):
            return None
        if letter is not None and [name for name, _ in lettered] == list(LETTERS[: len(lettered)]):
            facts = {"answer": letter[1], "options": [text for _, text in lettered]}
            prompt = f"{row['input']}\n\n{LETTER}"
            return Item(identity, Task(prompt=prompt, facts=facts, verifier="multiple_choice", topic=topic))
        task = Task(
            prompt=f"{row['input']}\n\n{PLAIN.get(topic, TEXT)}",
            facts={"answers": [row["target"], *_otherwise(topic, row["target"])]},
            verifier="exact",
            topic=topic,
        )
        return Item(identity, task)


def _otherwise(topic: str, target: str) -> list[str]:
    """The same answer in other dress: sorted words with commas, brackets without spaces."""
    parts = target.split()
    if len(parts) < 2:
        return []
    return {"word_sorting": [", ".join(parts)], "dyck_languages": ["".join(parts)]}.get(topic, [])
