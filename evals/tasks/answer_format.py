"""Tasks that the verifier `answer_format` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class AnswerFormat(MadeTasks):
    """Answers in one of 361 forms, exactly."""

    name = "answer_format"
    family = "instructions"
    sources = (Made("answer_format"),)
    verifier = "answer_format"
