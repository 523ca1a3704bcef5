"""Tasks that the verifier `maths` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class Maths(MadeTasks):
    """Problems of 23 topics made from a seed."""

    name = "maths"
    family = "mathematics"
    sources = (Made("maths"),)
    verifier = "maths"
