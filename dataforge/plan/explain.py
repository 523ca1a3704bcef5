"""Why not: which facts are missing where a node never runs or the target is never reached."""

from __future__ import annotations

from collections.abc import Sequence

from dataforge.plan.facts import Action, Facts, Knowledge, Requirement, bits_of


def why_cut(facts: Facts, action: Action, knowledge: Sequence[tuple[Knowledge, ...]], ran: bool) -> str:
    """The reason for which no walk uses an action, in one line.

    Args:
        facts: the atoms of the graph.
        action: the action.
        knowledge: what is known in each state that was explored.
        ran: whether any state allowed it.
    """
    if ran:
        return "the target cannot be reached after it"
    never = _never(facts, action.requirement, knowledge)
    if never:
        return "nothing guarantees " + ", nor ".join(never)
    missing, _ = _nearest(facts, action.requirement, knowledge)
    return "what it needs never holds at once; nearest, this is missing: " + ", ".join(missing)


def why_no_target(
    facts: Facts, knowledge: Sequence[tuple[Knowledge, ...]], steps: Sequence[Sequence[object]]
) -> tuple[str, str]:
    """Why no walk reaches the target: a message and a help line."""
    name = facts.graph.name
    never = _never(facts, facts.goal, knowledge)
    if never:
        message = f"the target of `{name}` cannot be reached: nothing guarantees " + ", nor ".join(never)
    else:
        missing, _ = _nearest(facts, facts.goal, knowledge)
        if not missing:
            message = f"the target of `{name}` cannot be reached by a walk of as many nodes as `steps` allows"
            return message, "allow other lengths in `steps`"
        message = f"the target of `{name}` cannot be reached: nearest, this is missing: " + ", ".join(missing)
    stuck = [
        action
        for action in facts.actions
        if not any(action.requirement.satisfied(known) for known in knowledge)
    ]
    givers = [
        action
        for action in stuck
        if any(
            facts.structs and (1 << facts.struct_number[t]) & (action.fresh | action.updated)
            for t in facts.graph.targets
        )
    ]
    for action in givers or stuck:
        lacking = (
            _never(facts, action.requirement, knowledge) or _nearest(facts, action.requirement, knowledge)[0]
        )
        near = nearest_promise(facts, lacking[0]) if lacking else ""
        return message, f"`{action.name}` never runs, for want of {', '.join(lacking)}{near}"
    return message, "add a node whose `post` gives it, or ask for less in `to`"


def nearest_promise(facts: Facts, wanted: str) -> str:
    """The promise that comes closest to a wanted condition: what some node's `post` says of the same term."""
    term = next(
        (t.text for t, _ in facts.atom_text.values() if wanted.startswith((t.text + " ", f"not ({t.text} "))),
        None,
    )
    if term is None:
        return ""
    for action in facts.actions:
        post = str(getattr(action.member, "post", None) or getattr(action.member, "goal", ""))
        said = [part for part in post.split(" and ") if part.startswith(term + " ")]
        if said:
            return f" (nearest: `{action.name}` guarantees {said[0]})"
    return ""


def _literals(requirement: Requirement) -> list[list[tuple[int, bool]]]:
    single = [[(bit, True)] for bit in bits_of(requirement.true)] + [
        [(bit, False)] for bit in bits_of(requirement.false)
    ]
    return single + [
        [(bit, True) for bit in bits_of(true)] + [(bit, False) for bit in bits_of(false)]
        for true, false in requirement.choices
    ]


def _lacks(clause: list[tuple[int, bool]], known: tuple[Knowledge, ...]) -> bool:
    return any(not any((true if sign else false) >> bit & 1 for bit, sign in clause) for true, false in known)


def _text(facts: Facts, clause: list[tuple[int, bool]]) -> str:
    return " or ".join(facts.literal_text(bit, sign) for bit, sign in clause)


def _never(facts: Facts, requirement: Requirement, knowledge: Sequence[tuple[Knowledge, ...]]) -> list[str]:
    """The clauses that hold in no state at all."""
    return [
        _text(facts, clause)
        for clause in _literals(requirement)
        if all(_lacks(clause, known) for known in knowledge)
    ]


def _nearest(
    facts: Facts, requirement: Requirement, knowledge: Sequence[tuple[Knowledge, ...]]
) -> tuple[list[str], int]:
    """What is missing in the state that lacks fewest clauses, and that state."""
    best: tuple[int, int] | None = None
    all_clauses = _literals(requirement)
    for state, known in enumerate(knowledge):
        count = sum(_lacks(clause, known) for clause in all_clauses)
        if best is None or count < best[0]:
            best = (count, state)
    assert best is not None
    return [_text(facts, c) for c in all_clauses if _lacks(c, knowledge[best[1]])], best[1]
