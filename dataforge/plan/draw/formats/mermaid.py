"""A Mermaid flowchart, for Markdown pages that render it: README files, issues, wikis.

Graphs inside are subgraphs. Mermaid refuses charts of more than 500 edges unless its page allows it, so beyond
`MAX_ARROWS` alike nodes become one.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataforge.plan.draw.drawing import Drawing
from dataforge.plan.draw.formats import Sheet
from dataforge.plan.draw.formats._labels import Grouping, added, cut_everywhere, grouped, rows
from dataforge.plan.linked import SOURCE, TARGET

SUFFIXES = (".mmd", ".mermaid")
WIDEST, MIN_WIDTH = 12.0, 1.0


def draw(sheet: Sheet) -> str:
    """The whole chart."""
    chart = _Chart(group=grouped(sheet.drawing))
    body = list(chart.level(sheet.drawing, "  "))
    cut = cut_everywhere(sheet.drawing)
    lines = ["flowchart LR", *body]
    if cut:
        lines.append('  subgraph on_no_walk["on no walk"]')
        lines += [
            f'    cut{number}["{escaped(f"{name}: {reason}")}"]:::cut'
            for number, (name, reason) in enumerate(cut.items())
        ]
        lines.append("  end")
    lines += chart.widths()
    lines += [
        "  classDef end_ fill:#e8eefc,stroke:#3b5bdb,color:#1b2a4a",
        "  classDef alike stroke-width:3px",
        "  classDef cut fill:#f1f1f1,stroke:#999,color:#666,stroke-dasharray:4 3",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text for a quoted label: every character with a meaning in Mermaid or HTML as a numbered entity, one line."""
    plain = " ".join(text.split())
    return "".join(
        c if c.isalnum() or c in " _-.,:()…/=+" or ord(c) > 0x2000 else f"#{ord(c)};" for c in plain
    )


class _Chart:
    def __init__(self, *, group: bool) -> None:
        self.group = group
        self.count = 0
        self.rows: list[int] = []

    def level(self, drawing: Drawing, margin: str) -> Iterator[str]:
        units = Grouping(drawing, group=self.group)
        ids = {unit: f"n{self.count + number}" for number, unit in enumerate(units.members)}
        self.count += len(ids)
        for unit, id in ids.items():
            box = units.box(unit)
            if box.inner is not None:
                yield f'{margin}subgraph {id}["{escaped(unit)}"]'
                yield f"{margin}  direction LR"
                yield from self.level(box.inner, margin + "  ")
                yield f"{margin}end"
            elif unit in (SOURCE, TARGET):
                yield f'{margin}{id}(["{unit}"]):::end_'
            elif len(units.members[unit]) > 1:
                yield f'{margin}{id}[["{escaped(units.title(unit))}"]]:::alike'
            else:
                yield f'{margin}{id}["{escaped(unit)}"]'
        for (tail, head), arrows in units.arrows.items():
            flow = added([arrow.flow for arrow in arrows])
            label = f'|"{escaped(rows(flow))}"|' if flow is not None and flow.rows else ""
            self.rows.append(flow.rows if flow is not None else -1)
            yield f"{margin}{ids[tail]} -->{label} {ids[head]}"

    def widths(self) -> list[str]:
        """The arrows' widths by rows, where there is a corpus; Mermaid knows arrows by their number."""
        most = max(self.rows, default=0)
        if most <= 0:
            return []
        return [
            f"  linkStyle {number} stroke-width:{MIN_WIDTH + (WIDEST - MIN_WIDTH) * count / most:.1f}px"
            for number, count in enumerate(self.rows)
            if count > 0
        ]
