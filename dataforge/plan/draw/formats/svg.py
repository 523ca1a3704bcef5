"""A picture, laid out by Graphviz where it is installed.

The one format that needs a program of its own: the `dot` format's text goes in, SVG comes out.
"""

from __future__ import annotations

import shutil
import subprocess

from dataforge.errors import InputError, RunError
from dataforge.plan.draw.formats import Sheet, dot

SUFFIXES = (".svg",)
LAYOUT_S = 120
"""Graphviz lays out 300 nodes in seconds; what takes so long is better looked at as a page."""


def draw(sheet: Sheet) -> str:
    """The picture.

    Raises:
        InputError: R026, where Graphviz is not installed.
        RunError: R027, where it fails or takes too long.
    """
    program = shutil.which("dot")
    if program is None:
        raise InputError(
            "an svg is laid out by Graphviz, and there is no `dot` on the PATH",
            code="R026",
            help="install Graphviz (`apt install graphviz`, `brew install graphviz`), or use `--format html`",
        )
    help = "use `--format html`, which lays out by itself"
    try:
        done = subprocess.run(  # noqa: S603 -- the program is Graphviz, and the drawing goes in by stdin
            [program, "-Tsvg"],
            input=dot.draw(sheet).encode(),
            capture_output=True,
            timeout=LAYOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"Graphviz took more than {LAYOUT_S} s to lay out the graph", code="R027", help=help
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunError(f"Graphviz failed: {said[-1] if said else done.returncode}", code="R027", help=help)
    return done.stdout.decode()
