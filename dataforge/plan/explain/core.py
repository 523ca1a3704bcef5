"""The smallest core: the fewest atoms of a requirement that, were they known, would entail all of it.

Not every atom that is unknown is in it: `words(x) >= 60` brings `words(x) >= 40` along, a choice wants one of its
literals, and an atom that rules out all alternatives but one brings what that one knows. So this is a minimum hitting
set in which literals entail each other. It is found by trying sizes 1, 2, 3, …: some clause is broken in some
alternative, so one of the literals that could mend it there (or rule the alternative out) must be in the core, and each
is tried in turn. Sizes are small, and the search is exact; where it would take more than `MOST_TRIES`, the core is
minimal by inclusion only, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dataforge.domain.conditions import Term
from dataforge.domain.values import intersection
from dataforge.plan.explain.suppose import Supposing
from dataforge.plan.facts import Facts, Knowledge, Literal, Requirement, bits_of
from dataforge.plan.why import clauses_of

MOST_TRIES = 20_000
"""So many sets are looked at for the smallest core."""

MOST_TRIES_FOR_ANY = 20_000
"""And so many more for any, where that was not enough."""


@dataclass(frozen=True, slots=True)
class Core:
    """Literals that are missing.

    Attributes:
        smallest: whether no smaller set would do; else only none of its literals can be left out.
        possible: False where no set of its atoms makes the requirement hold: it contradicts itself.
        instead: for each literal the others that would do in its place.
    """

    literals: tuple[Literal, ...]
    smallest: bool = True
    possible: bool = True
    instead: tuple[tuple[Literal, ...], ...] = ()


class _OutOfTries(Exception):
    pass


def literals_of(clause: Knowledge) -> list[Literal]:
    """The literals of a clause, in the order of their numbers."""
    return [Literal(bit, True) for bit in bits_of(clause[0])] + [
        Literal(bit, False) for bit in bits_of(clause[1])
    ]


def smallest_core(
    supposing: Supposing,
    alternatives: Sequence[Knowledge],
    requirement: Requirement,
    *,
    below: int | None = None,
) -> Core | None:
    """The smallest core of a requirement in a state; empty where the state entails it.

    Args:
        below: only cores of fewer literals are wanted: None where there is none.
    """
    if requirement.satisfied(alternatives):
        return Core(())
    search = _Search(supposing, tuple(alternatives), requirement)
    most = len(search.candidates) if below is None else min(below - 1, len(search.candidates))
    try:
        for size in range(1, most + 1):
            found = search.within(size)
            if found is not None:
                return Core(found)
    except _OutOfTries:
        return _minimal(search, below)
    return Core((), possible=False) if below is None else None


def with_choices(
    supposing: Supposing, alternatives: Sequence[Knowledge], requirement: Requirement, core: Core
) -> Core:
    """The core with what would do in place of each literal; one that contradicts what is known gives way to one that does not."""
    search = _Search(supposing, tuple(alternatives), requirement)
    chosen = list(core.literals)
    instead: list[tuple[Literal, ...]] = []
    for i, literal in enumerate(core.literals):
        others = [
            x
            for x in search.candidates
            if x not in chosen and search.enough([*chosen[:i], x, *chosen[i + 1 :]])
        ]
        if not supposing.agrees(alternatives, literal):
            better = next((x for x in others if supposing.agrees(alternatives, x)), None)
            if better is not None:
                chosen[i] = better
                others[others.index(better)] = literal
        instead.append(tuple(others))
    return Core(tuple(chosen), core.smallest, core.possible, tuple(instead))


def _minimal(search: _Search, below: int | None) -> Core | None:
    """A core of which no literal can be left out, found without looking for the smallest."""
    search.tries = MOST_TRIES_FOR_ANY
    try:
        found = search.within(len(search.candidates))
    except _OutOfTries:
        found = search.first_of_each()
    if found is None:
        return Core((), possible=False) if below is None else None
    core = list(found)
    spare = True
    while spare:  # ruling out an alternative fewer can make another literal spare
        spare = False
        for literal in tuple(core):
            rest = [x for x in core if x != literal]
            if search.enough(rest):
                core, spare = rest, True
    return Core(tuple(core), smallest=False) if below is None or len(core) < below else None


class _Search:
    def __init__(
        self, supposing: Supposing, alternatives: tuple[Knowledge, ...], requirement: Requirement
    ) -> None:
        self.supposing = supposing
        self.facts: Facts = supposing.facts
        self.alternatives = alternatives
        self.requirement = requirement
        self.clauses = clauses_of(requirement)
        self.candidates = list(dict.fromkeys(x for clause in self.clauses for x in literals_of(clause)))
        self.tries = MOST_TRIES
        self.divided = self._divided()

    def enough(self, literals: Sequence[Literal]) -> bool:
        """Whether the requirement would hold with these."""
        found = self.supposing.suppose(self.alternatives, literals)
        return found is not None and self.requirement.satisfied(found)

    def first_of_each(self) -> tuple[Literal, ...]:
        """The first literal of each broken clause: the plain answer, where the search gives none."""
        broken = [
            c
            for c in self.clauses
            if any(not (c[0] & known[0] or c[1] & known[1]) for known in self.alternatives)
        ]
        return tuple(dict.fromkeys(literals_of(c)[0] for c in broken))

    def within(self, size: int) -> tuple[Literal, ...] | None:
        """A core of at most so many literals."""
        return self._extend((), frozenset(), size)

    def _extend(
        self, chosen: tuple[Literal, ...], excluded: frozenset[Literal], size: int
    ) -> tuple[Literal, ...] | None:
        self.tries -= 1
        if self.tries < 0:
            raise _OutOfTries
        state = self.supposing.suppose(self.alternatives, chosen)
        if state is None:
            return None
        broken = self._broken(state)
        if broken is None:
            return tuple(sorted(chosen, key=lambda x: (x.bit, not x.sign)))
        if len(chosen) == size:
            return None
        for literal in self._mends(*broken):
            if literal in chosen or literal in excluded:
                continue
            found = self._extend((*chosen, literal), excluded, size)
            if found is not None:
                return found
            excluded |= {literal}
        return None

    def _broken(self, state: Sequence[Knowledge]) -> tuple[Knowledge, Knowledge] | None:
        """A clause that does not hold, and an alternative in which it does not: one with few literals first."""
        for clause in self.clauses:
            for known in state:
                if not (clause[0] & known[0] or clause[1] & known[1]):
                    return clause, known
        return None

    def _mends(self, clause: Knowledge, known: Knowledge) -> list[Literal]:
        """Literals of which at least one is in every core of what is chosen: the clause's own first."""
        own = literals_of(clause)
        wanted = clause[0] | clause[1]
        found = [
            x
            for x in self.candidates
            if x not in own and (self.supposing.reach(x, known) & wanted or x in self.divided)
        ]
        return own + found

    def _divided(self) -> frozenset[Literal]:
        """Literals that may, alone or with others, rule out some of several alternatives."""
        if len(self.alternatives) == 1:
            return frozenset()
        slots: dict[Term | Literal, list[Literal]] = {}
        for literal in self.candidates:
            for slot in self.supposing.slots(literal):
                slots.setdefault(slot, []).append(literal)
        found: set[Literal] = set()
        for slot, literals in slots.items():
            if any(self._may_contradict(slot, literals, known) for known in self.alternatives):
                found.update(literals)
        return frozenset(found)

    def _may_contradict(self, slot: Term | Literal, literals: Sequence[Literal], known: Knowledge) -> bool:
        if isinstance(slot, Literal):
            return bool(
                known[slot.sign] >> slot.bit & 1
            )  # known false where it is to be true, or the other way
        values = self.supposing.values_in(known, slot)
        for literal in literals:
            term, atom = self.facts.atom_text.get(literal.bit, (None, None))
            if term is slot and atom is not None:
                values = intersection(values, atom if literal.sign else ~atom)
            else:
                values = values.present()
        return values.empty
