"""A copy of the shipped graphs in a project of its own, to break on purpose."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

GRAPHS = Path(__file__).parents[2] / "graphs"


def copy_of(
    name: str, project: Path, *changes: tuple[str, str], module: str = "", examples: bool = False
) -> Path:
    """A shipped graph, each change made once, with a Python module `faults` beside it.

    Its examples are left out unless asked for: they find most faults too, and what the laws find is to be seen.
    """
    shutil.copytree(GRAPHS, project, dirs_exist_ok=True)
    path = project / name
    text = path.read_text(encoding="utf-8")
    if not examples:
        text = text[: next((m.start() for m in re.finditer(r"^example ", text, re.MULTILINE)), len(text))]
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    if module:
        (project / "faults.py").write_text(module, encoding="utf-8")
    return path
