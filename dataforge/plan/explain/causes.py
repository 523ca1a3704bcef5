"""Why nothing gives a missing atom: from the member that would give it to what that one lacks, down to the root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as Choice

from dataforge.plan.explain.core import Core, literals_of, smallest_core
from dataforge.plan.explain.gap import Nearest, nearest_place, texts
from dataforge.plan.explain.missing import runs
from dataforge.plan.explain.places import Place, Places
from dataforge.plan.explain.promises import Promise, Where, condition, giving, nearest_promise, where_declared
from dataforge.plan.facts import Literal, common

DEEPEST = 6
"""So many givers deep a chain of causes goes."""

MOST_GIVERS = 3
"""Of the members that could give an atom, so many are followed."""

Reason = Choice[
    "nobody", "never", "not here", "loses", "above", "deeper", "steps", "contradiction", "requirement"
]
"""Why an atom is not given: none would give it; the member that would never runs (and so again, at the end of the chain);
it runs, and not at the place that needs it; it could run there, and then something else is lost; it is explained further
up; the chain is cut here; all that it needs holds, and `steps` allows no more nodes; its promise contradicts what it
keeps; what it requires can never hold."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One link of a chain: an atom, and why a member that would give it does not.

    Attributes:
        by: the member, and `where` it is declared; None where none would.
        why: the reason.
        missing: what the member lacks, or what is lost after it.
        nearest: where none would give it: the promise that comes closest.
        causes: why those are missing.
    """

    atom: str
    by: str | None
    why: Reason
    missing: tuple[str, ...]
    nearest: Promise | None
    where: Where | None
    causes: tuple[Cause, ...]


def causes(places: Places, nearest: Nearest) -> tuple[Cause, ...]:
    """For each atom that is missing at a place, who would give it, and why that does not happen."""
    return _Chain(places).of(nearest, DEEPEST)


class _Chain:
    """A chain in the making: a member is explained once, and a cycle ends where it closes."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.told: set[int] = set()

    def of(self, nearest: Nearest, left: int) -> tuple[Cause, ...]:
        places = self.places
        found: list[Cause] = []
        for literal in nearest.core.literals:
            text = condition(places.facts, literal)
            givers = givers_of(places, literal)
            if not givers:
                near = nearest_promise(places.facts, literal)
                found.append(Cause(text, None, "nobody", (), near, None, ()))
                # Where even the struct is not there, why that is so is worth as much.
                lacking = Core(absent_structs(places, nearest.place, literal))
                found += self.of(Nearest(nearest.place, nearest.requirement, lacking), left)
            found += [self._link(nearest, text, giver, left) for giver in givers[:MOST_GIVERS]]
        return tuple(found)

    def _link(self, nearest: Nearest, text: str, giver: int, left: int) -> Cause:
        places = self.places
        action = places.explored.actions[giver]

        def cause(why: Reason, missing: tuple[str, ...] = (), further: tuple[Cause, ...] = ()) -> Cause:
            return Cause(text, action.name, why, missing, None, where_declared(action), further)

        if places.runs(giver):
            core = smallest_core(places.supposing, nearest.place.known, action.requirement)
            assert core is not None
            if core.literals:
                return cause("not here", texts(places, core))
            if not places.allows(nearest.place, giver):
                return cause("steps")
            return cause("loses", _lost(places, nearest, giver))
        if giver in self.told:
            return cause("above")
        before = nearest_place(places, places.everywhere(), action.requirement)
        assert before is not None, "there is always the source"
        if not before.core.possible:
            return cause("requirement")
        if not before.core.literals:
            return cause("contradiction" if giver in places.explored.impossible else "steps")
        if left <= 1:
            return cause("deeper", texts(places, before.core))
        self.told.add(giver)
        return cause("never", texts(places, before.core), self.of(before, left - 1))


def absent_structs(places: Places, place: Place, literal: Literal) -> tuple[Literal, ...]:
    """The presence of each struct of a literal's term that is not there."""
    facts = places.facts
    if literal.bit not in facts.atom_text:
        return ()
    structs = facts.atom_text[literal.bit][0].structs
    lacking = [s for s in structs if not all(t & facts.present_bit(s) for t, _ in place.known)]
    return tuple(Literal(2 * facts.struct_number[s], True) for s in lacking)


def givers_of(places: Places, literal: Literal) -> list[int]:
    """Members that could give an atom; those that run come first. Freshness cannot be given."""
    if literal.bit < 2 * len(places.facts.struct_number) and (literal.bit % 2 or not literal.sign):
        return []
    order = {"on walks": 0, "off walks": 1, "never": 2}
    return sorted(giving(places.explored, literal), key=lambda number: order[runs(places, number)])


def _lost(places: Places, nearest: Nearest, giver: int) -> tuple[str, ...]:
    """What is not known any more after a member, of what was known before it and is asked for."""
    after = [p for p in places.after(giver) if p.moves[:-1] == nearest.place.moves]
    known = common([common(p.known) for p in after])
    before = common(nearest.place.known)
    wanted = nearest.requirement.mentioned
    gone = (before[0] & ~known[0] & wanted[0], before[1] & ~known[1] & wanted[1])
    return tuple(condition(places.facts, x) for x in literals_of(gone))
