"""`dataforge eval tasks`: what evaluations there are, and whether their data is on this machine."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import typer

from dataforge.cli._terminal import print_json, say


def tasks(as_json: bool = typer.Option(False, "--json", help="Print as JSON.")) -> None:
    """List the evaluations: what each measures, and where its items come from.

    Example: `dataforge eval tasks`
    """
    from evals.registry import names

    found = sorted((_described(name) for name in names()), key=lambda told: (told["family"], told["name"]))
    if as_json:
        print_json(found)
        return
    for family, members in groupby(found, key=lambda told: told["family"]):
        say(family)
        for told in members:
            have = told["data"] or f"no data here: {told['advice']}"
            judged = ", judged by a model" if told["needs_judge"] else ""
            say(f"  {told['name']:22} {told['measures']}\n{'':25}{have}{judged}")


def _where(source: Any) -> str:
    from evals.data import Hub, Made, Own

    if source is None:
        return ""
    if isinstance(source, Hub):
        return f"fetched from the hub: {source.name}"
    return "made here" if isinstance(source, Made | Own) else "here, in an installed package"


def _described(name: str) -> dict[str, Any]:
    from evals.registry import find

    task = find(name)
    there = next((source for source in task.sources if source.is_there()), None)
    return {
        "name": name,
        "family": task.family,
        "measures": task.summary,
        "verifier": task.verifier,
        "samples": task.samples,
        "needs_judge": task.needs_judge,
        "paper": task.paper,
        "data": _where(there),
        "advice": "; or ".join(dict.fromkeys(source.advice() for source in task.sources)),
    }
