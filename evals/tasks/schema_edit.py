"""Tasks that the verifier `schema_edit` makes, and judges."""

from __future__ import annotations

from evals.data import Made
from evals.made import MadeTasks


class SchemaEdit(MadeTasks):
    """Broken documents mended, with nothing changed that was not wrong."""

    name = "schema_edit"
    family = "instructions"
    sources = (Made("schema_edit"),)
    verifier = "schema_edit"
