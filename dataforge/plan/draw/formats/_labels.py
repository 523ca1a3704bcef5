"""What several formats say in the same words: units, shares, rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dataforge.plan.draw.counts import NameEdge, share_of, short_count
from dataforge.plan.draw.drawing import Arrow, Box, Drawing, Flow, common_name

MAX_ARROWS = 400
"""More arrows than this are drawn between groups of alike nodes. (Mermaid refuses more than 500.)"""


def percent(part: int, whole: int) -> str:
    """A share for people; what is there but rounds to nothing says so."""
    share = 100 * share_of(part, whole)
    if not part or not whole:
        return "0%"
    if share < 0.5:
        return "<1%"
    return ">99%" if 99.5 <= share < 100 else f"{share:.0f}%"


def walks(number: int) -> str:
    return f"{short_count(number)} walk{'' if number == 1 else 's'}"


def rows(flow: Flow) -> str:
    """The rows of an edge in a few words."""
    said = f"{flow.rows:,} row{'' if flow.rows == 1 else 's'}"
    return f"{said}, {flow.rejected:,} rejected" if flow.rejected else said


def added(flows: Sequence[Flow | None]) -> Flow | None:
    """Several flows as one; None where nothing is measured."""
    total: Flow | None = None
    for flow in flows:
        if flow is not None:
            total = total if total is not None else Flow()
            total += flow
    return total


class Grouping:
    """A drawing as units, each a box or a group of alike boxes, with the arrows between the units.

    Args:
        drawing: one graph.
        group: whether alike nodes are one unit.
    """

    def __init__(self, drawing: Drawing, *, group: bool) -> None:
        self.drawing = drawing
        first = {name: names[0] for names in drawing.alike for name in names} if group else {}
        self.unit_of: dict[str, str] = {name: first.get(name, name) for name in drawing.boxes}
        self.members: dict[str, tuple[str, ...]] = {}
        for name, unit in self.unit_of.items():
            self.members[unit] = (*self.members.get(unit, ()), name)
        found: dict[NameEdge, list[Arrow]] = {}
        for (tail, head), arrow in drawing.arrows.items():
            found.setdefault((self.unit_of[tail], self.unit_of[head]), []).append(arrow)
        self.arrows: Mapping[NameEdge, list[Arrow]] = found
        order = {name: number for number, name in enumerate(drawing.boxes)}
        after: dict[str, list[str]] = {unit: [] for unit in self.members}
        for tail, head in found:
            after[tail].append(head)
        self.after = {
            unit: sorted(heads, key=lambda u: (drawing.boxes[u].layer, order[u]))
            for unit, heads in after.items()
        }

    def box(self, unit: str) -> Box:
        return self.drawing.boxes[unit]

    def title(self, unit: str) -> str:
        names = self.members[unit]
        return unit if len(names) == 1 else f"{common_name(names)} ({len(names)} alike)"

    def walks(self, unit: str) -> int:
        return sum(self.drawing.boxes[name].walks for name in self.members[unit])

    def flow_into(self, unit: str) -> Flow | None:
        return added([x.flow for (_, head), found in self.arrows.items() if head == unit for x in found])


def grouped(drawing: Drawing) -> bool:
    """Whether a drawing has too many arrows to be drawn one by one."""
    return sum(len(level.arrows) for level in drawing.levels()) > MAX_ARROWS


def cut_everywhere(drawing: Drawing) -> dict[str, str]:
    """Every name that no walk uses, by qualified name, with the reason."""
    return {
        (f"{level.path}/{name}" if level.path else name): reason
        for level in drawing.levels()
        for name, reason in level.cut.items()
    }
