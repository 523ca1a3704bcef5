"""Tasks that the verifier `code` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class Code(MadeTasks):
    """Small programs of 35 topics made from a seed, run in the sandbox."""

    name = "code"
    family = "code"
    sources = (Made("code"),)
    verifier = "code"
