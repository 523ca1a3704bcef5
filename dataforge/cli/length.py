"""`dataforge length …`: measure how long a reasoning model thinks, and teach it to stop at a budget."""

from __future__ import annotations

import importlib

import typer

_COMMANDS = ("sample", "mask", "tune", "report", "run", "plan", "demo")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode="markdown", help=(__doc__ or "").partition(": ")[2]
    )
    for name in _COMMANDS:
        module = importlib.import_module(f"dataforge.cli._length_{name}")
        group.command(name, cls=getattr(module, "Command", None))(getattr(module, name))
    app.add_typer(group, name="length")
