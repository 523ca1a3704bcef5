"""`dataforge init`: a new project that compiles and runs as it is."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(directory: Path = typer.Argument(Path(), help="Where; the current folder by default.")) -> None:
    """Make a new project that compiles and runs as it is.

    Example: `dataforge init my-corpus && dataforge run my-corpus/hello.forge`
    """
    from dataforge.corpus.layout import storing
    from dataforge.errors import OutputError

    starter = dict(_files(importlib.resources.files("dataforge") / "starter"))
    taken = [name for name in starter if (directory / name).exists()]
    if taken:
        raise OutputError(
            f"{directory / taken[0]} exists already",
            code="R025",
            help="choose an empty folder: nothing is overwritten",
        )
    with storing(directory):
        for name, source in starter.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            typer.echo(f"made {target}")
    typer.echo(f"\ntry: dataforge run {directory / 'hello.forge'} --rows 4 --out {directory / 'out'}")


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found = []
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.is_dir():
            if item.name != "__pycache__":
                found.extend(_files(item, f"{prefix}{item.name}/"))
        else:
            found.append((prefix + item.name, item))
    return found
