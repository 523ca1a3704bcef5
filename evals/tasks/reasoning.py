"""Tasks that the verifier `reasoning` makes, and judges: reasoning-gym's, checked by exact rules."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class Reasoning(MadeTasks):
    """Puzzles, algorithms, arithmetic and logic made from a seed, so that nobody has trained on them."""

    name = "reasoning"
    family = "reasoning"
    sources = (Made("reasoning"),)
    verifier = "reasoning"
