"""MuSR (Sprague et al. 2023): whodunits, plans and positions of objects in long stories."""

from __future__ import annotations

import ast

from evals.data import Hub, Row, digest
from evals.prompts import choice
from evals.task import EvalTask, Item


class MuSR(EvalTask):
    """Whodunits, team plans and whereabouts of objects, to be reasoned out of long stories."""

    name = "musr"
    family = "reasoning"
    sources = (Hub("TAUR-Lab/MuSR", split=("murder_mysteries", "object_placements", "team_allocation")),)
    verifier = "multiple_choice"
    paper = "arXiv:2310.16049"

    def item(self, row: Row, number: int) -> Item:
        options = row["choices"]
        options = ast.literal_eval(options) if isinstance(options, str) else options
        topic = str(row.get("split", "")).replace("_", " ")
        asked = choice(
            row["question"], options, int(row["answer_index"]), passage=row["narrative"], topic=topic
        )
        return Item(str(number), asked, cluster=f"{topic} {digest([{'story': row['narrative']}])[:8]}")
