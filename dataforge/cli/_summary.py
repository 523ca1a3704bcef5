"""A run's calls and rejections as lines for people: at its end, and while it goes. At most 100 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataforge.run.live import NodeNow
    from dataforge.run.statistics import Statistics

WIDTH = 100


def lines(statistics: Statistics) -> list[str]:
    """Calls by node, then rows that were not kept by their reasons."""
    from dataforge.run.live import nodes_of

    return [
        *calls_table(nodes_of(statistics)),
        *reasons(statistics.rejected_by, "rejected"),
        *reasons(statistics.failed_by, "lost"),
    ]


def calls_table(nodes: Sequence[NodeNow]) -> list[str]:
    """A line a node and purpose, under a line of headings; columns of nothing but zeros are left out."""
    if not nodes:
        return []
    columns = [
        ("calls", [count(n.calls) for n in nodes]),
        ("reused", [count(n.reused) for n in nodes] if any(n.reused for n in nodes) else []),
        ("retries", [count(n.retries) for n in nodes]),
        ("p50", [seconds(n.p50_s) for n in nodes]),
        ("p95", [seconds(n.p95_s) for n in nodes]),
        ("p99", [seconds(n.p99_s) for n in nodes]),
        ("tokens in", [count(n.prompt_tokens) for n in nodes]),
        ("out", [count(n.completion_tokens) for n in nodes]),
        ("cost", [money(n.cost) for n in nodes] if any(n.cost for n in nodes) else []),
    ]
    set_right = [_right(heading, cells) for heading, cells in columns if cells]
    room = WIDTH - sum(len(column[0]) for column in set_right)
    names = [_name(n, room) for n in nodes]
    width = max(map(len, ["node", *names]))
    return [
        "".join([name.ljust(width), *cells])
        for name, *cells in zip(["node", *names], *set_right, strict=True)
    ]


def _right(heading: str, cells: Sequence[str]) -> list[str]:
    width = 2 + max(map(len, [heading, *cells]))
    return [cell.rjust(width) for cell in [heading, *cells]]


def _name(node: NodeNow, room: int) -> str:
    """The node's name, shortened where there is no room; that it is a judge's line is never cut off."""
    suffix = "" if node.purpose == "ask" else f" · {node.purpose}"
    room -= len(suffix)
    return (node.node if len(node.node) <= room else f"{node.node[: room - 1]}…") + suffix


def reasons(found: Mapping[str, int], word: str) -> list[str]:
    """Rows by the code of what ended them, the most frequent first."""
    from dataforge.run.reasons import MEANINGS

    return [
        f"{number:>8,} {word}: {code} {MEANINGS.get(code, '')}".rstrip()
        for code, number in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def count(number: int) -> str:
    """At most seven characters: `999,999`, `1.23M`, `19.0G`."""
    if number < 1_000_000:
        return f"{number:,}"
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= unit:
            return f"{number / unit:.{2 if number < 10 * unit else 1}f}{letter}"
    raise AssertionError


def seconds(duration: float) -> str:
    """At most six characters; a dash where nothing took any time."""
    if duration <= 0:
        return "–"
    if duration < 0.9995:
        return f"{duration * 1000:.0f} ms" if duration >= 0.00095 else "< 1 ms"
    if duration < 9_999.5:
        return f"{duration:.1f} s" if duration < 99.95 else f"{duration:.0f} s"
    return f"{duration / 3600:.1f} h"


def money(cost: float) -> str:
    """In whatever currency the prices are; small sums with the digits that make them one."""
    digits = 0 if cost >= 1_000 or not cost else 2 if cost >= 1 else 4
    return f"{cost:,.{digits}f}"
