"""Explanations as text for a terminal: short lines, aligned, most important first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataforge.plan.explain.causes import Cause
from dataforge.plan.explain.edge import EdgeExplanation, Fact
from dataforge.plan.explain.gap import Gap
from dataforge.plan.explain.missing import Giver, Missing
from dataforge.plan.explain.node import NodeExplanation
from dataforge.plan.explain.target import TargetExplanation
from dataforge.plan.linked import SOURCE, TARGET

MOST_GIVERS_SHOWN = 4
MOST_NAMES = 12
LONG_WALK = 8
LINE = 90

_RUNS = {"on walks": "", "off walks": " (runs, but no walk to the target does)", "never": " (never runs)"}


def edge_lines(found: EdgeExplanation) -> list[str]:
    """An explained edge."""
    one, other = _called(found.one), _called(found.other)
    if found.exists:
        return [*_edge_head(found, one, other), "", *_proof(found)]
    lines = [f"no edge from {one} to {other} in {found.graph}"]
    if found.gap is None:
        return [*lines, "", f"{one} requires what can never hold, so nothing follows it"]
    if not found.first_runs:
        want = f", for want of {', '.join(found.supposed)}" if found.supposed else ""
        lines += ["", f"{one} never runs{want}; supposing it did:"]
    note = f"  (the nearest of {found.states} states after {one})" if found.states > 1 else ""
    lines += ["", *gap_lines(found.gap, other, note)]
    return lines


def _edge_head(found: EdgeExplanation, one: str, other: str) -> list[str]:
    head = f"{one} → {other} is an edge of {found.graph}"
    if not found.on_walks:
        head = f"{other} can follow {one} in {found.graph}, but the target cannot be reached from there: the edge is cut"
    lines = [head]
    if found.allowing < found.states:
        lines.append(f"in {found.allowing} of the {found.states} states after {one}; one of them:")
    return [*lines, "", f"  after {_walk(found.walk)}"]


def _proof(found: EdgeExplanation) -> list[str]:
    rows = [(fact.required, _because(fact)) for fact in found.proof]
    return [f"  {_called(found.other)} requires", *_table(rows, indent=4)]


def _because(fact: Fact) -> str:
    if fact.required.endswith("not yet there"):
        return "nothing has given it"
    if fact.required.startswith("`"):
        return "nothing was made from it"
    if not fact.by:
        return f"known: {fact.known}"
    where = f" ({fact.where})" if fact.where is not None else ""
    by = " and ".join(_called(name) for name in fact.by.split(", "))
    if fact.required.startswith("has ") and "." not in fact.required:
        return f"from {by}{where}"
    if fact.known == fact.required:
        return f"promised by {by}{where}"
    return f"{by} leaves {fact.known}{where}"


def gap_lines(gap: Gap, name: str, note: str = "") -> list[str]:
    """What stands between the nearest state and a member or the target; a note goes behind the walk."""
    lines = [f"  after {_walk(gap.walk)}{note}"]
    if gap.obstacle == "requirement":
        return [*lines, f"  {name} requires what can never hold: its conditions contradict each other"]
    if gap.obstacle == "supposed":
        return [*lines, f"  {name} would find all that it requires"]
    if gap.obstacle == "steps":
        return [*lines, f"  all that {name} requires holds, but `steps` does not allow a walk of that length"]
    if gap.obstacle == "contradiction":
        return [*lines, f"  all that {name} requires holds, but what it promises contradicts what it keeps"]
    word = "this is" if len(gap.missing) == 1 else f"these {len(gap.missing)} are"
    lines.append(f"  {word} missing for {name}{'' if gap.smallest else ' (a smaller set may do)'}:")
    for missing in gap.missing:
        lines += ["", *missing_lines(missing)]
    return lines


def missing_lines(missing: Missing) -> list[str]:
    """All about one missing atom."""
    rows: list[tuple[str, str]] = [("known there", missing.known or "nothing")]
    touch = missing.touched_by
    if touch is not None:
        since = "; it held until then" if touch.held_before else ""
        who = "given at the source" if touch.by == SOURCE else f"`{touch.by}`"
        rows.append(("last touched", f"{who} ({touch.where}){since}"))
    givers = _givers(missing.givers)
    if missing.at_source == "promised":
        givers.append("the source, but it does not last to here")
    elif missing.at_source == "possible":
        givers.append("seeds, if `where` asks for it")
    elif missing.at_source == "excluded":
        givers.append("only other seeds: `where` rules it out")
    if not missing.atom.startswith("`") or givers:
        rows.append(("could give it", "; ".join(givers) or "nothing"))
    if missing.struct_givers:
        rows.append(("its struct", "comes from " + "; ".join(_givers(missing.struct_givers))))
    if missing.nearest is not None and not any(giver.runs == "on walks" for giver in missing.givers):
        near = missing.nearest
        rows.append(("nearest", f"{_called(near.by)} guarantees {near.text} ({near.where})"))
    if not missing.decidable:
        rows.append(("note", "DataForge cannot decide this; only the same condition promised gives it"))
    if missing.instead:
        rows.append(("or instead", " or ".join(missing.instead)))
    if missing.mend:
        rows.append(("help", missing.mend))
    return [f"  ✗ {missing.atom}", *_table(rows, indent=6)]


def _givers(givers: Sequence[Giver]) -> list[str]:
    order = ["on walks", "off walks", "never"]
    listed = sorted(givers, key=lambda giver: order.index(giver.runs))
    shown = [f"`{g.name}`{_RUNS[g.runs]} ({g.where})" for g in listed[:MOST_GIVERS_SHOWN]]
    more = len(listed) - len(shown)
    return [*shown, f"{more} more"] if more > 0 else shown


def node_lines(found: NodeExplanation) -> list[str]:
    """An explained node."""
    name = _called(found.node)
    if found.status == "never":
        lines = [f"{name} never runs in {found.graph}", ""]
        if found.gap is not None:
            lines += ["nearest to it:", "", *gap_lines(found.gap, name)]
        return lines + _why(found.causes)
    if found.status == "off walks":
        lines = [f"{name} can run in {found.graph}, but the target cannot be reached after it: it is cut", ""]
        rows = [("first runs", _walk(found.walk)), *_several("known after it", found.known)]
        lines += _table(rows, indent=2)
        if found.gap is not None:
            lines += ["", "nearest to the target from there:", "", *gap_lines(found.gap, "the target")]
        return lines + _why(found.causes)
    share = ""
    if found.walks is not None and found.of:
        share = f": {found.walks:,} of {found.of:,} walks, {_percent(found.walks, found.of)}"
    rows = [
        ("a walk there", _walk(found.walk)),
        ("runs after", _some(found.before)),
        *_several("known after it", found.known),
        ("then", _some(found.after)),
    ]
    return [f"{name} runs in {found.graph}{share}", "", *_table(rows, indent=2)]


def target_lines(found: TargetExplanation) -> list[str]:
    """An explained target."""
    if found.reached:
        rows = []
        if found.walks is not None:
            rows.append(("walks", f"{found.walks:,}"))
        if found.shortest is not None:
            least, most = found.shortest, found.longest
            span = f"{least} to {most}" if most is not None and most != least else f"{least}"
            rows.append(("nodes a walk", span if most is not None else f"{span} at least"))
        rows.append(("a shortest", _walk(found.example)))
        return [f"the target of {found.graph} is reached", "", *_table(rows, indent=2)]
    lines = [f"the target of {found.graph} cannot be reached", ""]
    if found.gap is not None:
        lines += ["as far as it goes:", "", *gap_lines(found.gap, "the target")]
    if found.furthest:
        lines += ["", "as far, by other walks:", *(f"  {_walk(walk)}" for walk in found.furthest)]
    return lines + _why(found.causes)


# ---- causes


def _why(causes: Sequence[Cause]) -> list[str]:
    if not any(cause.by is not None for cause in causes):
        return []
    return [
        "",
        "why nothing gives it:" if len(causes) == 1 else "why nothing gives them:",
        *_tree(causes, "  "),
    ]


def _tree(causes: Sequence[Cause], indent: str) -> list[str]:
    lines = []
    atoms = dict.fromkeys(cause.atom for cause in causes)
    for atom in atoms:
        lines.append(f"{indent}{atom}")
        for cause in (c for c in causes if c.atom == atom):
            lines.append(f"{indent}└ {_reason(cause)}")
            lines += _tree(cause.causes, indent + "    ")
    return lines


def _reason(cause: Cause) -> str:
    if cause.why == "nobody":
        near = cause.nearest
        if near is None:
            return "nothing gives it"
        return f"nothing gives it; nearest: {_called(near.by)} guarantees {near.text} ({near.where})"
    missing = ", ".join(cause.missing)
    why = {
        "never": "never runs, for want of",
        "deeper": f"never runs, for want of {missing}",
        "not here": f"cannot run there, for want of {missing}",
        "loses": f"then this is lost: {missing or 'what was known'}",
        "above": "never runs: see above",
        "steps": "`steps` allows no more nodes",
        "contradiction": "what it promises contradicts what it keeps",
        "requirement": "what it requires can never hold",
    }[cause.why]
    return f"`{cause.by}` ({cause.where}) would, but {why}"


# ---- words


def _called(name: str) -> str:
    return {SOURCE: "the source", TARGET: "the target"}.get(name, f"`{name}`")


def _walk(names: Sequence[str]) -> str:
    if len(names) > LONG_WALK:
        names = [*names[: LONG_WALK - 3], f"… {len(names) - LONG_WALK + 1} more …", *names[-2:]]
    return " → ".join(names)


def _all(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:MOST_NAMES]) or "nothing"
    return shown + (f" and {len(texts) - MOST_NAMES} more" if len(texts) > MOST_NAMES else "")


def _several(label: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """A labelled list over as many lines as it takes."""
    lines: list[str] = []
    for text in texts or ("nothing",):
        if lines and len(lines[-1]) + len(text) < LINE:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
    return [(label if i == 0 else "", line) for i, line in enumerate(lines)]


def _percent(part: int, whole: int) -> str:
    """A share in whole percent; walks are counted exactly and may be too many for a float."""
    hundredths = part * 100 // whole
    if part and not hundredths:
        return "under 1%"
    return f"{hundredths}%"


def _table(rows: Sequence[Sequence[str]], indent: int) -> list[str]:
    """Rows in columns, each as wide as its widest cell; the last column is as wide as it is."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return [
        " " * indent
        + "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    ]
