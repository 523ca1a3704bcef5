"""Inlay hints: what is known after each node, shortened, behind its closing brace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataforge.server.workspace import Workspace

MOST_FACTS = 3
MOST_CHARS = 90


@dataclass(frozen=True)
class Hint:
    """A label behind an offset, and the whole of what it shortens."""

    offset: int
    label: str
    tooltip: str


def hints(workspace: Workspace, path: Path, start: int, end: int) -> list[Hint]:
    """The hints of the nodes that end in a stretch of a file."""
    outline = workspace.outline(path)
    found: list[Hint] = []
    for item in outline.items if outline is not None else ():
        if item.keyword not in ("node", "graph") or not start <= item.span[1] <= end:
            continue
        for graph, linked in workspace.graphs_with(path, item.name):
            known = sorted(linked.known(item.name), key=lambda fact: fact.startswith("has "))
            if known:
                tooltip = f"Known after `{item.name}` in `{graph}`, on every walk:\n" + "".join(
                    f"\n- `{fact}`" for fact in known
                )
                found.append(Hint(item.span[1], f"⊢ {shortened(known)}", tooltip))
    return found


def shortened(facts: list[str]) -> str:
    """The first facts of a list, as many as one reads at a glance."""
    shown = facts[:MOST_FACTS]
    while len(shown) > 1 and len(", ".join(shown)) > MOST_CHARS:
        shown.pop()
    text = ", ".join(shown)
    if len(text) > MOST_CHARS:
        return text[: MOST_CHARS - 1] + "…"
    return text + (", …" if len(shown) < len(facts) else "")
