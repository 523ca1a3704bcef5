"""`dataforge eval …`: measure a model, and look at what was measured."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

_COMMANDS = ("run", "tasks", "rescore", "compare", "audit", "view")


class _Group(TyperGroup):
    """`dataforge eval gsm8k` is `dataforge eval run gsm8k`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=_Group,
        rich_markup_mode="markdown",
        no_args_is_help=True,
        help="Measure a model: every benchmark through one endpoint, every sample on record.",
        epilog="Start with: `dataforge eval maths --limit 20`, then `dataforge eval view out/evals/maths`",
    )
    for name in _COMMANDS:
        module = importlib.import_module(f"dataforge.cli._eval_{name}")
        group.command(name)(getattr(module, name))
    app.add_typer(group, name="eval")
