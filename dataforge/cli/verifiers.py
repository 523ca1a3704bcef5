"""`dataforge verifiers …`: what checks answers there are, how often each is wrong, and the audit that measures it."""

from __future__ import annotations

import importlib
from itertools import groupby
from typing import Any

import typer
from typer.core import TyperGroup

from dataforge.cli._terminal import print_json, say

_COMMANDS = ("show", "tasks", "audit")


class _Group(TyperGroup):
    """Says of a verifier's name in a command's place how it is shown."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        from dataforge.verifiers.registry import names

        if args[0] not in self.commands and args[0] in names():
            ctx.fail(f"`{args[0]}` is a verifier: dataforge verifiers show {args[0]}")
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=_Group, rich_markup_mode="markdown", invoke_without_command=True)
    group.callback(invoke_without_command=True)(verifiers)
    for name in _COMMANDS:
        group.command(name)(getattr(importlib.import_module(f"dataforge.cli._verifiers_{name}"), name))
    app.add_typer(group, name="verifiers")


def verifiers(
    context: typer.Context, as_json: bool = typer.Option(False, "--json", help="Print as JSON.")
) -> None:
    """List the verifiers: what each checks, whether it makes tasks, and how often the audit found it wrong.

    Example: `dataforge verifiers`, then `dataforge verifiers show multiple_choice`
    """
    if context.invoked_subcommand is not None:
        return
    from dataforge.verifiers.registry import names

    found = [_described(name) for name in names()]
    if as_json:
        print_json(found)
        return
    say(
        f"{'':28} {'makes':5} {'gold':>9} {'generated':>15} {'false negatives':>17} {'false positives':>17}\n"
        f"{'':28} {'tasks':5} {'+ / −':>9} {'+ / −':>15}"
    )
    for family, members in groupby(
        sorted(found, key=lambda f: (f["family"], f["name"])), lambda f: f["family"]
    ):
        say(family or "not to be had")
        for told in members:
            _show(told)


def _described(name: str) -> dict[str, Any]:
    """A verifier as people and machines may see it; one whose packages are not installed says which it needs."""
    from dataforge.errors import InputError
    from dataforge.verifiers.audit import rate
    from dataforge.verifiers.audited import recorded
    from dataforge.verifiers.registry import find

    try:
        verifier = find(name)
    except InputError as error:
        return {"name": name, "family": "", "error": error.to_json()}
    told: dict[str, Any] = {
        "name": name,
        "family": verifier.family,
        "version": verifier.version,
        "checks": verifier.summary,
        "makes_tasks": verifier.makes_tasks,
        "audited": None,
    }
    figures = recorded(verifier)
    if figures is not None:
        both = figures.together
        told["audited"] = {
            "gold": figures.gold.to_json(),
            "generated": figures.generated.to_json(),
            "false_negative_rate": rate(both.false_negatives, both.positives),
            "false_positive_rate": rate(both.false_positives, both.negatives),
            "hash_seeds": figures.hash_seeds,
        }
    return told


def _show(told: dict[str, Any]) -> None:
    if "error" in told:
        say(f"  {told['name']}\n      {told['error']['message']} ({told['error']['help']})")
        return
    cells = f"{'yes' if told['makes_tasks'] else '':5}"
    audited = told["audited"]
    if audited is None:
        cells += "  not audited"
    else:
        for source, width in (("gold", 9), ("generated", 15)):
            pair = f"{audited[source]['positives']:,} / {audited[source]['negatives']:,}"
            cells += f" {pair:>{width}}"
        for what in ("false_negative", "false_positive"):
            wrong = sum(audited[source][f"{what}s"] for source in ("gold", "generated"))
            share = audited[f"{what}_rate"]
            bound = f"{wrong:,} (≤ {100 * share['at_most']:.2g}%)" if share else ""
            cells += f" {bound:>17}"
    say(f"  {told['name']:26} {cells.rstrip()}\n      {told['checks']}")
