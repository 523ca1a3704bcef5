"""Why not, in one line: the facts that a cut node or a target out of reach lacks, for the diagnostics of linking.

Quick enough for thousands of cut nodes; the whole answer is `dataforge.plan.explain`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from dataforge.plan.facts import Action, Facts, Knowledge, Literal, Requirement, bits_of, common
from dataforge.plan.linked import SOURCE

COMPARISONS = 100_000
"""Where a large graph cuts thousands of nodes, so many comparisons with states name what they lack."""


def why_cut(
    facts: Facts, action: Action, known: Sequence[Knowledge], ever: Knowledge, ran: bool, impossible: bool
) -> str:
    """The reason for which no walk uses an action, in one line.

    Args:
        facts: the atoms of the graph.
        action: the action.
        known: what is known in the states to compare with, by `common`.
        ever: what is known in any state, by `ever_known`.
        ran: whether any state allowed it.
        impossible: whether states allowed it in which its `post` contradicts what it keeps.
    """
    if ran:
        return "the target cannot be reached after it"
    if impossible:
        return "what it keeps contradicts what it guarantees"
    never = _never(action.requirement, ever)
    if never:
        return "nothing guarantees " + ", nor ".join(_texts(facts, never))
    missing = _nearest(action.requirement, known)
    return "what it needs never holds at once; nearest, this is missing: " + ", ".join(_texts(facts, missing))


def why_no_target(facts: Facts, knowledge: Sequence[tuple[Knowledge, ...]]) -> tuple[str, str]:
    """Why no walk reaches the target: a message and a help line."""
    name = facts.graph.name
    known = [common(alternatives) for alternatives in knowledge]
    ever = ever_known(known)
    never = _never(facts.goal, ever)
    if never:
        message = f"the target of `{name}` cannot be reached: nothing guarantees " + ", nor ".join(
            _texts(facts, never)
        )
    else:
        missing = _nearest(facts.goal, known)
        if not missing:
            message = f"the target of `{name}` cannot be reached by a walk of as many nodes as `steps` allows"
            return message, "allow other lengths in `steps`"
        message = f"the target of `{name}` cannot be reached: nearest, this is missing: " + ", ".join(
            _texts(facts, missing)
        )
    stuck = [
        action
        for action in facts.actions
        if not any(action.requirement.satisfied(alternatives) for alternatives in knowledge)
    ]
    givers = [
        action
        for action in stuck
        if any((1 << facts.struct_number[t]) & (action.fresh | action.updated) for t in facts.graph.targets)
    ]
    for action in givers or stuck:
        lacking = _never(action.requirement, ever) or _nearest(action.requirement, known)
        near = _near(facts, lacking[0]) if lacking else ""
        return message, f"`{action.name}` never runs, for want of {', '.join(_texts(facts, lacking))}{near}"
    return message, "add a node whose `post` gives it, or ask for less in `to`"


def _near(facts: Facts, clause: Knowledge) -> str:
    """The promise that comes closest to a clause's first literal, in brackets."""
    from dataforge.plan.explain.promises import nearest_promise

    true, false = clause
    literal = Literal(bits_of(true)[0], True) if true else Literal(bits_of(false)[0], False)
    near = nearest_promise(facts, literal)
    if near is None:
        return ""
    by = "the source" if near.by == SOURCE else f"`{near.by}`"
    return f" (nearest: {by} guarantees {near.text})"


def clauses_of(requirement: Requirement) -> list[Knowledge]:
    """The clauses of a requirement, each as a mask of literals of which one must be known."""
    single = [(1 << bit, 0) for bit in bits_of(requirement.true)]
    single += [(0, 1 << bit) for bit in bits_of(requirement.false)]
    return [*single, *requirement.choices]


def _texts(facts: Facts, clauses: Sequence[Knowledge]) -> list[str]:
    return [_text(facts, clause) for clause in clauses]


def _text(facts: Facts, clause: Knowledge) -> str:
    said = [facts.literal_text(bit, True) for bit in bits_of(clause[0])]
    return " or ".join(said + [facts.literal_text(bit, False) for bit in bits_of(clause[1])])


def ever_known(known: Sequence[Knowledge]) -> Knowledge:
    """What is known true, and known false, in at least one state."""
    true = false = 0
    for t, f in known:
        true |= t
        false |= f
    return true, false


def _never(requirement: Requirement, ever: Knowledge) -> list[Knowledge]:
    """The clauses of which no state at all knows a literal."""
    true, false = ever
    return [c for c in clauses_of(requirement) if not (c[0] & true or c[1] & false)]


def _nearest(requirement: Requirement, known: Sequence[Knowledge]) -> list[Knowledge]:
    """The clauses that are missing in the state that lacks fewest."""
    best, least = 0, -1
    for state, (true, false) in enumerate(known):
        count = (requirement.true & ~true).bit_count() + (requirement.false & ~false).bit_count()
        for t, f in requirement.choices:
            count += not (t & true or f & false)
        if least < 0 or count < least:
            best, least = state, count
    true, false = known[best]
    return [c for c in clauses_of(requirement) if not (c[0] & true or c[1] & false)]
