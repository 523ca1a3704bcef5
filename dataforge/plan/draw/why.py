"""The facts that explain edges: what each name requires, and what is known after it.

In: a linked graph. Out: clauses of numbered literals, and masks of the literals known, small enough to go into a page
that answers "why is there (no) edge from A to B" by itself. The linker forgets what nothing later can need, which is
right for linking and wrong for explaining: a node that cannot run any more still has requirements that hold. So what is
known is worked out here once more along the linked steps, without forgetting; where several ways lead to one state, all
that they leave possible is kept as alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dataforge.plan.explain.core import literals_of
from dataforge.plan.facts import Facts, Knowledge, Requirement, common
from dataforge.plan.link import progress
from dataforge.plan.linked import SOURCE, TARGET, Linked
from dataforge.plan.why import clauses_of

MAX_ALTERNATIVES = 12
"""More than so many alternatives in one state are told as what they have in common."""
MAX_STATES = 4_000
"""In graphs of more states, what is known after a node is told once for all states that it leads to."""

Clause = tuple[int, ...]
"""Numbers of literals of which one must hold."""


@dataclass(frozen=True, slots=True)
class Told:
    """A literal for people.

    Attributes:
        text: a condition of the language, or a freshness rule in words.
        term: what it speaks of, such as `words(Passage.text)`; empty for the presence of a struct.
        struct: the struct that a freshness rule is about, else None.
        used: whether that rule is that nothing was made from the struct yet; else that it is not there yet.
    """

    text: str
    term: str = ""
    struct: str | None = None
    used: bool = False


@dataclass(frozen=True, eq=False)
class Why:
    """What explains the edges of one graph.

    Attributes:
        literals: by number.
        needs: name (`target` included) → its clauses.
        gains: name (`source` included) → mask of the literals that it makes known, in at least one outcome.
        states: for each state the alternatives, each a mask of the literals known.
        after: name (`source` included) → numbers of the states that it can lead to.
    """

    literals: tuple[Told, ...]
    needs: dict[str, tuple[Clause, ...]]
    gains: dict[str, int]
    states: tuple[tuple[int, ...], ...]
    after: dict[str, tuple[int, ...]]

    def missing(self, state: int, name: str) -> list[Clause]:
        """The clauses of a name's requirement that a state does not entail."""
        known = self.states[state]
        return [
            clause
            for clause in self.needs[name]
            if not all(any(alternative >> literal & 1 for literal in clause) for alternative in known)
        ]


def why_of(linked: Linked) -> Why:
    """The facts that explain the edges of a linked graph, those of graphs inside left out."""
    facts = linked.facts
    needs = {action.name: _clauses(action.requirement) for action in linked.actions}
    needs[TARGET] = _clauses(facts.goal)
    numbers: dict[tuple[int, bool], int] = {}
    for clauses in needs.values():
        for clause in clauses:
            for literal in clause:
                numbers.setdefault(literal, len(numbers))

    def mask(known: Knowledge) -> int:
        true, false = known
        return sum(1 << n for (bit, sign), n in numbers.items() if (true if sign else false) >> bit & 1)

    gains = {SOURCE: mask(common(facts.initial))}
    for action in linked.actions:
        gained = [mask(common(outcome)) for outcome in action.effect.outcomes]
        gains[action.name] = _any(gained)
    leads: dict[str, dict[int, None]] = {SOURCE: {linked.source: None}}
    for state in linked.order:
        for step in linked.steps[state]:
            found = leads.setdefault(linked.actions[step.action].name, {})
            found.update((x, None) for x in step.after if x is not None)
    told = {
        state: tuple(sorted({mask(known) for known in alternatives}))
        for state, alternatives in _known(linked).items()
    }
    if len(told) > MAX_STATES:
        told, leads = _merged(told, leads)
    places: dict[tuple[int, ...], int] = {}
    after = {
        name: tuple(sorted({places.setdefault(told[state], len(places)) for state in states}))
        for name, states in leads.items()
    }
    return Why(
        tuple(_told(facts, bit, sign) for bit, sign in numbers),
        {
            name: tuple(tuple(numbers[literal] for literal in clause) for clause in clauses)
            for name, clauses in needs.items()
        },
        gains,
        tuple(places),
        after,
    )


def _clauses(requirement: Requirement) -> list[list[tuple[int, bool]]]:
    return [[(x.bit, x.sign) for x in literals_of(clause)] for clause in clauses_of(requirement)]


def _told(facts: Facts, bit: int, sign: bool) -> Told:
    text = facts.literal_text(bit, sign)
    if bit >= 2 * len(facts.struct_number):
        return Told(text, facts.atom_text[bit][0].text)
    if sign:
        return Told(text)
    return Told(text, struct=sorted(facts.struct_number)[bit // 2], used=bool(bit % 2))


def _any(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _known(linked: Linked) -> dict[int, tuple[Knowledge, ...]]:
    """For each state on a walk everything that is known, in order of the linked steps."""
    known: dict[int, tuple[Knowledge, ...]] = {linked.source: linked.facts.initial}
    for state in linked.order:
        for step in linked.steps[state]:
            outcomes = progress(known[state], linked.actions[step.action].effect)
            for new, after in zip(outcomes, step.after, strict=True):
                if after is not None:
                    known[after] = _weakest({*known.get(after, ()), *new})
    return known


def _weakest(alternatives: set[Knowledge]) -> tuple[Knowledge, ...]:
    """The alternatives without those that say more than another, since they cannot change what all entail."""
    if len(alternatives) > 8 * MAX_ALTERNATIVES:
        return (common(list(alternatives)),)
    found = sorted(
        x
        for x in alternatives
        if not any(y != x and not (y[0] & ~x[0] or y[1] & ~x[1]) for y in alternatives)
    )
    return tuple(found) if len(found) <= MAX_ALTERNATIVES else (common(found),)


def _merged(
    told: dict[int, tuple[int, ...]], leads: dict[str, dict[int, None]]
) -> tuple[dict[int, tuple[int, ...]], dict[str, dict[int, None]]]:
    """One state a name: what is known whichever of its states it leads to."""
    states: dict[int, tuple[int, ...]] = {}
    after: dict[str, dict[int, None]] = {}
    for number, (name, found) in enumerate(leads.items()):
        every = -1
        for state in found:
            for alternative in told[state]:
                every &= alternative
        states[number] = (every,)
        after[name] = {number: None}
    return states, after
