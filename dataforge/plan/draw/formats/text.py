"""A tree for terminals, 80 columns wide.

A node is drawn once, under the first that leads to it; everywhere else `↑` refers to it. Alike nodes are one line, a
chain (`↓`) does not indent, and what lies too deep is drawn further down, at the margin, so that a graph of 300 nodes
still reads from top to bottom.
"""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dataforge.plan.artifact import conjuncts
from dataforge.plan.draw.drawing import Drawing
from dataforge.plan.draw.formats import Sheet
from dataforge.plan.draw.formats._labels import Grouping, cut_everywhere, percent, rows, walks
from dataforge.plan.linked import SOURCE, TARGET

SUFFIXES = (".txt",)
WIDTH = 80
DEEPEST = 8
NAMED = 3
"""So many of a group are named."""


def draw(sheet: Sheet) -> str:
    """The tree of the main graph, those of the graphs inside it, and what no walk uses."""
    lines: list[str] = []
    for level in sheet.drawing.levels():
        lines += [*_level(level), ""]
    cut = cut_everywhere(sheet.drawing)
    if cut:
        lines.append(f"on no walk ({len(cut):,}):")
        for name, reason in cut.items():
            lines += textwrap.wrap(f"  ✗ {name}: {reason}", WIDTH, subsequent_indent="      ")
        lines.append("")
    if sheet.run is not None:
        kept, rejected = sheet.run["kept"], sheet.run["rejected"]
        lines += [f"rows of {sheet.run['name']}: {kept:,} kept, {rejected:,} rejected", ""]
    return "\n".join(line.rstrip() for line in lines[:-1]) + "\n"


def _level(drawing: Drawing) -> list[str]:
    graph = drawing.graph
    nodes = len(drawing.boxes) - 2
    title = f"{drawing.path or graph.name}  {nodes:,} node{'' if nodes == 1 else 's'}, {walks(drawing.counts.total)}"
    lines = [title]
    if graph.doc:
        lines += textwrap.wrap(" ".join(graph.doc.split()), WIDTH)
    lines += _end(SOURCE, [*graph.sources, *conjuncts(graph.where)])
    tree = _Tree(drawing)
    lines += tree.lines()
    return lines + _end(TARGET, [*graph.targets, *conjuncts(graph.goal)])


def _end(name: str, conditions: Sequence[str]) -> list[str]:
    said = ", ".join(c for c in conditions if c != "true")
    return textwrap.wrap(f"{name}  {said}", WIDTH, subsequent_indent="        ")


@dataclass
class _Branch:
    """Units that follow one another with nothing beside them, and what may follow the last of them."""

    chain: list[str] = field(default_factory=list)
    fork: list[_Branch] = field(default_factory=list)
    further_down: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)
    ends: bool = False
    """Whether the target may follow the last."""


class _Tree:
    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.units = Grouping(drawing, group=True)
        self.drawn = {SOURCE}
        self.waiting: deque[str] = deque()
        self.out: list[str] = []

    def lines(self) -> list[str]:
        root = _Branch([SOURCE])
        self._grow(root, 0)
        for unit in root.chain[1:]:
            self._say(unit, "↓ ")
        self._print_rest(root, "")
        while self.waiting:
            unit = self.waiting.popleft()
            if unit not in self.drawn:
                self.out.append("")
                self._print(self._branch(unit, 0), "", "")
        return self.out

    # ---- the tree

    def _branch(self, unit: str, depth: int) -> _Branch:
        branch = _Branch([unit])
        self.drawn.add(unit)
        self._grow(branch, depth)
        return branch

    def _grow(self, branch: _Branch, depth: int) -> None:
        """Follow the last of a branch. Chains are a loop and forks recurse, `DEEPEST` times at most."""
        after = self.units.after[branch.chain[-1]]
        while len(after) == 1 and after[0] not in self.drawn and after[0] != TARGET:
            branch.chain.append(after[0])
            self.drawn.add(after[0])
            after = self.units.after[after[0]]
        branch.ends = TARGET in after
        for unit in after:
            if unit == TARGET:
                continue
            if unit in self.drawn:
                branch.above.append(unit)
            elif depth >= DEEPEST:
                branch.further_down.append(unit)
                self.waiting.append(unit)
            else:
                branch.fork.append(self._branch(unit, depth + 1))

    # ---- its lines

    def _print(self, branch: _Branch, margin: str, below: str) -> None:
        for number, unit in enumerate(branch.chain):
            self._say(unit, f"{below}↓ " if number else margin)
        self._print_rest(branch, below)

    def _print_rest(self, branch: _Branch, margin: str) -> None:
        notes = []
        if branch.further_down:
            notes.append("further down: " + ", ".join(map(self.units.title, branch.further_down)))
        if branch.above:
            notes.append("↑ " + ", ".join(map(self.units.title, branch.above)))
        if branch.ends and not branch.fork and not notes:
            self.out.append(f"{margin}↓ {TARGET}")
            return
        if branch.ends:
            notes.append(TARGET)
        for number, fork in enumerate(branch.fork):
            last = number == len(branch.fork) - 1 and not notes
            self._print(fork, margin + ("└─ " if last else "├─ "), margin + ("   " if last else "│  "))
        for number, note in enumerate(notes):
            last = number == len(notes) - 1
            self.out += textwrap.wrap(
                note,
                WIDTH,
                initial_indent=margin + ("└─ " if last else "├─ "),
                subsequent_indent=margin + ("     " if last else "│    "),
                break_on_hyphens=False,
            )

    def _say(self, unit: str, margin: str) -> None:
        numbers = self._numbers(unit)
        room = WIDTH - len(margin) - len(numbers) - 2
        said = self._named(unit, room)
        if len(said) > room:
            said = said[: max(8, room - 1)] + "…"
        line = margin + said
        self.out.append(f"{line}{numbers:>{max(len(numbers) + 2, WIDTH - len(line))}}")

    def _named(self, unit: str, room: int) -> str:
        """A unit's name; of a group the first few, as many as there is room for."""
        names = self.units.members[unit]
        inner = self.units.box(unit).inner
        if inner is not None:
            return f"{unit} (a graph of {len(inner.boxes) - 2} nodes)"
        for named in range(min(NAMED, len(names)), 0, -1):
            more = f" and {len(names) - named:,} more" if len(names) > named else ""
            said = ", ".join(names[:named]) + more
            if len(said) <= room:
                return said
        return said

    def _numbers(self, unit: str) -> str:
        """Rows where there is a corpus, else the share of walks (none where members can follow one another)."""
        flow = self.units.flow_into(unit)
        if flow is not None:
            return rows(flow)
        used, total = self.units.walks(unit), self.drawing.counts.total
        return percent(used, total) if used <= total else ""
