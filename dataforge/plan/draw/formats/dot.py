"""Graphviz's language: `dot -Tpdf graph.dot`, or any tool that reads it.

Graphs inside are clusters; arrows end at a cluster's border, which Graphviz has through `compound` and an invisible node
inside. Beyond `MAX_ARROWS` alike nodes are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dataforge.plan.draw.drawing import Drawing, Flow
from dataforge.plan.draw.formats import Sheet
from dataforge.plan.draw.formats._labels import Grouping, added, cut_everywhere, grouped, rows
from dataforge.plan.linked import SOURCE, TARGET

SUFFIXES = (".dot", ".gv")
WIDEST = 12.0
HEAD = """\
digraph {name} {{
  graph [rankdir=LR, compound=true, nodesep=0.18, ranksep=0.7, fontname="Helvetica", tooltip=" "]
  node  [shape=box, style="rounded,filled", fillcolor="#ffffff", color="#5f6b7a", fontname="Helvetica", fontsize=11, margin="0.12,0.06"]
  edge  [color="#8a94a3", arrowsize=0.7, fontname="Helvetica", fontsize=9, fontcolor="#5f6b7a"]"""
END_STYLE = 'shape=box, style="rounded,filled", fillcolor="#e8eefc", color="#3b5bdb"'
CUT_STYLE = 'style="rounded,dashed", color="#999999", fontcolor="#777777"'


def draw(sheet: Sheet) -> str:
    """The whole file."""
    drawing = sheet.drawing
    picture = _Picture(drawing, group=grouped(drawing))
    lines = [HEAD.format(name=quoted(drawing.name)), *picture.level(drawing, "  ")]
    cut = cut_everywhere(drawing)
    if cut:
        lines += [
            "  subgraph cluster_cut {",
            '    label="on no walk"  style=dashed  color="#bbbbbb"  fontcolor="#777777"',
        ]
        for number, (name, reason) in enumerate(cut.items()):
            lines.append(f"    cut{number} [label={quoted(name)}, tooltip={quoted(reason)}, {CUT_STYLE}]")
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    """A quoted string of the DOT language, on one line. A backslash would begin one of its escapes, so it is doubled."""
    plain = " ".join(text.split())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Picture:
    def __init__(self, drawing: Drawing, *, group: bool) -> None:
        self.group = group
        self.count = 0
        flows = [
            arrow.flow.rows for level in drawing.levels() for arrow in level.arrows.values() if arrow.flow
        ]
        self.most = max(flows, default=0)

    def level(self, drawing: Drawing, margin: str) -> Iterator[str]:
        units = Grouping(drawing, group=self.group)
        ids = {unit: f"n{self.count + number}" for number, unit in enumerate(units.members)}
        self.count += len(ids)
        clusters = {unit for unit in units.members if units.box(unit).inner is not None}
        for unit, id in ids.items():
            box = units.box(unit)
            if box.inner is not None:
                yield f"{margin}subgraph cluster_{id} {{"
                yield f'{margin}  label={quoted(unit)}  style=rounded  color="#5f6b7a"'
                yield f'{margin}  {id} [shape=point, style=invis, width=0, label=""]'
                yield from self.level(box.inner, margin + "  ")
                yield f"{margin}}}"
            elif unit in (SOURCE, TARGET):
                yield f"{margin}{id} [label={quoted(unit)}, {END_STYLE}]"
            else:
                tooltip = (
                    quoted(box.doc or unit)
                    if len(units.members[unit]) == 1
                    else quoted(", ".join(units.members[unit]))
                )
                more = ", peripheries=2" if len(units.members[unit]) > 1 else ""
                yield f"{margin}{id} [label={quoted(units.title(unit))}, tooltip={tooltip}{more}]"
        for (tail, head), arrows in units.arrows.items():
            flow = added([arrow.flow for arrow in arrows])
            attributes = [*_ends(ids, clusters, tail, head), *self._measured(flow)]
            yield f"{margin}{ids[tail]} -> {ids[head]}" + (
                f" [{', '.join(attributes)}]" if attributes else ""
            )

    def _measured(self, flow: Flow | None) -> list[str]:
        """Width by rows, colour by the share rejected at the head, from grey to red."""
        if flow is None:
            return []
        if not flow.rows:
            return ["style=dotted"]
        share = flow.rejected / flow.rows
        width = 1 + (WIDEST - 1) * flow.rows / self.most
        return [
            f"penwidth={width:.1f}",
            f"label={quoted(rows(flow))}",
            f'color="{0.0:.2f} {share:.2f} {0.62 + 0.18 * share:.2f}"',
        ]


def _ends(ids: Mapping[str, str], clusters: set[str], tail: str, head: str) -> list[str]:
    found = []
    if tail in clusters:
        found.append(f"ltail=cluster_{ids[tail]}")
    if head in clusters:
        found.append(f"lhead=cluster_{ids[head]}")
    return found
