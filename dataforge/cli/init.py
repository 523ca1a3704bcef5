"""`dataforge init`: a new project that compiles and runs as it is."""

from __future__ import annotations

import importlib.resources
import shlex
from importlib.resources.abc import Traversable
from pathlib import Path

import typer

from dataforge.cli._terminal import print_json, say


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    directory: Path = typer.Argument(Path(), help="Where; the current folder by default."),
    as_json: bool = typer.Option(False, "--json", help="Print what was made as JSON."),
) -> None:
    """Make a new project that compiles and runs as it is.

    Example: `dataforge init my-corpus && dataforge run my-corpus/hello.forge`
    """
    from dataforge.run.storage import storing

    starter = dict(_files(importlib.resources.files("dataforge") / "starter"))
    _check_free(directory, starter)
    with storing(directory):
        for name, source in starter.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    if as_json:
        print_json({"directory": str(directory), "files": list(starter)})
        return
    for name in starter:
        say(f"made {directory / name}")
    file, out = (shlex.quote(str(directory / name)) for name in ("hello.forge", "out"))
    say(f"\nsee what it does: dataforge compile {file}\nand run it:       dataforge run {file} --out {out}")


def _check_free(directory: Path, starter: dict[str, Traversable]) -> None:
    """Refuse before the first file is written, where any is in the way."""
    from dataforge.errors import OutputError

    for name in starter:
        target = directory / name
        for above in target.parents:
            if above.exists() and not above.is_dir():
                raise OutputError(
                    f"{above} is in the way: it is a file",
                    code="R025",
                    help="choose another name for the project",
                )
        if target.is_dir() or (target.exists() and target.stat().st_size):
            raise OutputError(
                f"{target} exists already", code="R025", help="choose an empty folder: nothing is overwritten"
            )


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found = []
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.is_dir():
            if item.name != "__pycache__":
                found.extend(_files(item, f"{prefix}{item.name}/"))
        else:
            found.append((prefix + item.name, item))
    return found
