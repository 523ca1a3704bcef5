"""What would be known if some atoms held as well: the question behind every "this is missing".

A state is a tuple of alternatives, each a pair of masks. Supposing literals in it means three things. What their sets of
values entail on the same term is known too: with `words(x) >= 60` comes `words(x) >= 40`, and with any value of a field
come its struct and the optional fields around it. Alternatives that contradict the literals are out. And where all of
them do, the state itself is changed: what contradicts is forgotten, and the literals stand in its place, for then the
question is not what more must be known, but what must be otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dataforge.domain.conditions import Term, type_values
from dataforge.domain.values import Values, intersection
from dataforge.plan.facts import Facts, Knowledge, Literal, bits_of


@dataclass(frozen=True, slots=True)
class _Demand:
    """Literals, closed: the values left to each term, and the bits of structs (present, derived) that are set."""

    values: dict[Term, Values]
    true: int
    false: int


class Supposing:
    """Supposes literals in the states of one graph."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.structural = (1 << (2 * len(facts.struct_number))) - 1
        self._closures: dict[frozenset[Literal], _Demand | None] = {}

    def suppose(
        self, alternatives: Sequence[Knowledge], literals: Iterable[Literal]
    ) -> tuple[Knowledge, ...] | None:
        """The state in which the literals hold as well; None where they contradict each other."""
        demand = self._closed(frozenset(literals))
        if demand is None:
            return None
        added = [x for k in alternatives if (x := self._added(k, demand)) is not None]
        if not added:
            added = [self._changed(k, demand) for k in alternatives]
        return tuple(dict.fromkeys(added))

    def agrees(self, alternatives: Sequence[Knowledge], literal: Literal) -> bool:
        """Whether what is known leaves a literal possible."""
        demand = self._closed(frozenset([literal]))
        return demand is not None and any(self._added(k, demand) is not None for k in alternatives)

    def values_in(self, known: Knowledge, term: Term) -> Values:
        """The values that a term may have where this is known, as far as the atoms tell."""
        true, false = known
        presence = [self.facts.present_bit(s) for s in term.structs]
        if any(false & bit for bit in presence):
            return absent(term)
        values = type_values(term)
        if not all(true & bit for bit in presence):
            values = ~(~values).present()
        atoms = self.facts.terms[term].mask
        for bit in bits_of(true & atoms):
            values = intersection(values, self.facts.atom_text[bit][1])
        for bit in bits_of(false & atoms):
            values = intersection(values, ~self.facts.atom_text[bit][1])
        return values

    def reach(self, literal: Literal, known: Knowledge) -> int:
        """The atoms of which supposing this literal may change, in an alternative, what is known."""
        demand = self._closed(frozenset([literal]))
        if demand is None:
            return 0
        mask = demand.true | demand.false
        for term in demand.values:
            mask |= self.facts.terms[term].mask
        for struct in self._flipped(known, demand):
            mask |= self.facts.atoms_of[struct]
        return mask

    def slots(self, literal: Literal) -> tuple[Term | Literal, ...]:
        """Where a literal may contradict what is known: on its terms, and in the bits of structs that it sets."""
        demand = self._closed(frozenset([literal]))
        if demand is None:
            return ()
        bits = [Literal(bit, True) for bit in bits_of(demand.true)]
        return (*demand.values, *bits, *(Literal(bit, False) for bit in bits_of(demand.false)))

    # ---- closing

    def _closed(self, literals: frozenset[Literal]) -> _Demand | None:
        if literals not in self._closures:
            self._closures[literals] = self._close(literals)
        return self._closures[literals]

    def _close(self, literals: frozenset[Literal]) -> _Demand | None:
        facts = self.facts
        values: dict[Term, Values] = {}
        true = false = 0
        for literal in sorted(literals, key=lambda x: (x.bit, x.sign)):
            bit = 1 << literal.bit
            if bit & self.structural:
                true |= bit if literal.sign else 0
                false |= 0 if literal.sign else bit
                continue
            term, atom = facts.atom_text[literal.bit]
            wanted = atom if literal.sign else ~atom
            values[term] = intersection(values[term], wanted) if term in values else wanted
        for term, wanted in list(values.items()):
            if wanted.absent:
                continue
            for struct in term.structs:
                true |= facts.present_bit(struct)
            for other in () if term.opaque is not None else self._around(term):
                present = type_values(other).present()
                values[other] = intersection(values[other], present) if other in values else present
        for struct in facts.structs:
            if false & facts.present_bit(struct):
                for term in values:
                    if struct in term.structs:
                        values[term] = intersection(values[term], absent(term))
        for term in values:
            if all(true & facts.present_bit(s) for s in term.structs):
                values[term] = intersection(values[term], type_values(term))
        if true & false or any(v.empty for v in values.values()):
            return None
        return _Demand(values, true, false)

    def _around(self, term: Term) -> tuple[Term, ...]:
        """Optional terms that are there where this one has a value: fields around it, and measures of the same field."""
        return tuple(
            other
            for other in self.facts.terms_of[term.structs[0]]
            if other.optional and other is not term and other.path == term.path[: len(other.path)]
        )

    # ---- in one alternative

    def _added(self, known: Knowledge, demand: _Demand) -> Knowledge | None:
        """The alternative with the demand added, or None where it contradicts it."""
        true, false = known
        if true & demand.false or false & demand.true:
            return None
        narrowed = {}
        for term, wanted in demand.values.items():
            narrowed[term] = intersection(self.values_in(known, term), wanted)
            if narrowed[term].empty:
                return None
        true |= demand.true
        false |= demand.false
        for term, values in narrowed.items():
            t, f = self.facts.terms[term].known(values)
            true |= t
            false |= f
        return true, false

    def _changed(self, known: Knowledge, demand: _Demand) -> Knowledge:
        """The alternative with what contradicts the demand put out of its way."""
        facts = self.facts
        true, false = known
        renewed = 0
        for struct in self._flipped(known, demand):
            renewed |= facts.atoms_of[struct]
        true = true & ~demand.false & ~renewed | demand.true
        false = false & ~demand.true & ~renewed | demand.false
        for struct in facts.structs:
            atoms = facts.atoms_of[struct] & renewed
            if true & facts.present_bit(struct):
                t, f = facts.by_type[struct]
                true, false = true | t & atoms, false | f & atoms
        for struct in facts.structs:
            if false & facts.present_bit(struct):
                false |= facts.atoms_of[struct] & renewed
        for term, wanted in demand.values.items():
            mask = facts.terms[term].mask
            values = intersection(self.values_in((true, false), term), wanted)
            if values.empty:
                true, false = true & ~mask, false & ~mask
                values = intersection(self.values_in((true, false), term), wanted)
            t, f = facts.terms[term].known(values)
            true, false = true | t, false | f
        return true, false

    def _flipped(self, known: Knowledge, demand: _Demand) -> list[str]:
        """Structs that are there and must not be, or are not and must."""
        wrong = known[0] & demand.false | known[1] & demand.true
        return [s for s in sorted(self.facts.structs) if wrong & self.facts.present_bit(s)]


def absent(term: Term) -> Values:
    """That the term has no value at all."""
    other = ~term.universe.present()
    return intersection(other, ~other.present())
