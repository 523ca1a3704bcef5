"""Tasks that the verifier `multiple_choice` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class MultipleChoice(MadeTasks):
    """Elementary questions made from a seed."""

    name = "multiple_choice"
    family = "knowledge"
    sources = (Made("multiple_choice"),)
    verifier = "multiple_choice"
