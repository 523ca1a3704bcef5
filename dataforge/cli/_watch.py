"""`compile --watch`: the same command again, in a process of its own, whenever a file that it reads changes.

A process of its own, so that changed Python modules are imported anew. Files are compared by size and time of change a
few times a second: a program reads some dozens of them, and polling works on every disk, shared ones too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from dataforge.cli._terminal import say

INTERVAL_S = 0.25
SETTLED_S = 0.1
"""An editor may write a file in several steps: wait until it has rested so long."""
MOST_MODULES = 2_000
Stamp = tuple[int, int] | None


def compile_on_change(file: Path, *, python: bool) -> NoReturn:
    """Compile for ever; Ctrl-C ends it with exit code 0."""
    arguments = [a for a in sys.argv[1:] if a != "--watch"]
    try:
        while True:
            files = _files(file, python=python)
            before = _stamps(files)  # of before the compilation, so that a change during it counts
            if sys.stdout.isatty():
                Console().clear()
            subprocess.run([sys.executable, "-m", "dataforge", *arguments], check=False)  # noqa: S603 - ourselves
            say(f"\nwatching {len(files)} files; Ctrl-C ends", err=True)
            _wait(files, before)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _files(file: Path, *, python: bool) -> list[Path]:
    """What the program reads or would read, and the project's Python modules where it may import some."""
    from dataforge.domain.resolve import load_files
    from dataforge.errors import DataForgeError
    from dataforge.lang.diagnostics import Report
    from dataforge.project import load_project

    try:
        project = load_project(file)
    except DataForgeError:
        return [file, *file.absolute().parent.glob("dataforge.toml")]
    loader = load_files(file, project, Report(), python=False)  # nothing is run to find out what to look at
    asked = loader.files.asked if loader is not None else ()
    found = {file.absolute(), project.root / "dataforge.toml", *(project.root / name for name in asked)}
    if python:
        modules = (p for p in project.root.rglob("*.py") if not _apart(p.relative_to(project.root)))
        found.update(p for p, _ in zip(modules, range(MOST_MODULES), strict=False))
    return sorted(found)


def _apart(path: Path) -> bool:
    """Whether a path lies in a folder that holds no module of the project."""
    return any(part.startswith(".") or part in ("node_modules", "__pycache__", "venv") for part in path.parts)


def _wait(files: list[Path], before: list[Stamp]) -> None:
    while (now := _stamps(files)) == before:
        time.sleep(INTERVAL_S)
    while True:
        time.sleep(SETTLED_S)
        after = _stamps(files)
        if after == now:
            return
        now = after


def _stamps(files: list[Path]) -> list[Stamp]:
    return [_stamp(path) for path in files]


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
