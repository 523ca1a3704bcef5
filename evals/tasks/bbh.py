"""BIG-Bench Hard (Suzgun et al. 2022): 27 tasks; those with options are judged by letter, the others by their text."""

from __future__ import annotations

import re

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
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)


class BBH(EvalTask):
    """Twenty-seven tasks of BIG-Bench on which language models once fell short of people."""

    name = "bbh"
    family = "reasoning"
    sources = (Hub("lukaemon/bbh", CONFIGS),)
    paper = "arXiv:2210.09261"

    def item(self, row: Row, number: int) -> Item:
        topic = row.get("config", "")
        lettered = _OPTION.findall(row["input"])
        letter = re.fullmatch(r"\(([A-Z])\)", row["target"].strip())
        identity = f"{topic}-{number}"
        if letter is not None and [name for name, _ in lettered] == list(LETTERS[: len(lettered)]):
            facts = {"answer": letter[1], "options": [text for _, text in lettered]}
            prompt = f"{row['input']}\n\n{LETTER}"
            return Item(identity, Task(prompt=prompt, facts=facts, verifier="multiple_choice", topic=topic))
        task = Task(
            prompt=f"{row['input']}\n\n{TEXT}",
            facts={"answers": [row["target"]]},
            verifier="exact",
            topic=topic,
        )
        return Item(identity, task)
