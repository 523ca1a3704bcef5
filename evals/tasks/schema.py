"""Tasks that the verifier `schema` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class Schema(MadeTasks):
    """Documents that satisfy a JSON Schema and say what was asked."""

    name = "schema"
    family = "instructions"
    sources = (Made("schema"),)
    verifier = "schema"
