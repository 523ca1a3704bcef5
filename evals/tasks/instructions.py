"""Tasks that the verifier `instructions` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class Instructions(MadeTasks):
    """One to five instructions about form, composed by us."""

    name = "instructions"
    family = "instructions"
    sources = (Made("instructions"),)
    verifier = "instructions"
