"""Ground atoms as bits: what an action needs, forgets and guarantees, as masks over Python integers.

Every condition that anything requires is a clause of literals, a literal being an atom (one term, one set of values) or
its complement. The atoms get numbers, in the order of their text, after two bits a struct: whether it is present, and
whether something was derived from it. A state of knowledge is then a pair of masks, known true and known false, and an
action's precondition is satisfied where its masks lie within the state's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import Box, Term, Terms, boxes, clauses, possible, terms_of, type_values
from dataforge.domain.measures import MEASURES
from dataforge.domain.structs import StructType
from dataforge.domain.values import PRESENT, Values, disjoint, intersection, points, symbols, within

Knowledge = tuple[int, int]
"""Known true, known false."""

MAX_LISTED = 64
TOKENIZER_DEPENDENT = "tokens"


@dataclass(frozen=True, slots=True)
class Literal:
    """An atom, or its complement where `sign` is False."""

    bit: int
    sign: bool


@dataclass(frozen=True, slots=True)
class Requirement:
    """A conjunction of clauses: literals that must all hold, as masks, and clauses of several literals."""

    true: int = 0
    false: int = 0
    choices: tuple[Knowledge, ...] = ()

    def satisfied(self, alternatives: Sequence[Knowledge]) -> bool:
        """Whether every one of the alternatives entails it."""
        for true, false in alternatives:
            if self.true & ~true or self.false & ~false:
                return False
            for choice_true, choice_false in self.choices:
                if not (choice_true & true or choice_false & false):
                    return False
        return True

    @property
    def key(self) -> tuple[object, ...]:
        """The requirement as a dictionary key."""
        return (
            hashable(self.true),
            hashable(self.false),
            tuple((hashable(true), hashable(false)) for true, false in self.choices),
        )

    @property
    def mentioned(self) -> Knowledge:
        true, false = self.true, self.false
        for choice_true, choice_false in self.choices:
            true |= choice_true
            false |= choice_false
        return true, false


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does to a state.

    Attributes:
        forget: atoms of the structs given, less those kept.
        outcomes: for each outcome (one, without a branch) the alternatives of what is then known.
        given, derived: masks of structs (by number) that it gives, and that it took to give another.
    """

    forget: int
    outcomes: tuple[tuple[Knowledge, ...], ...]
    given: int
    derived: int

    @property
    def key(self) -> tuple[object, ...]:
        """The effect as a dictionary key."""
        gains = tuple(tuple((hashable(t), hashable(f)) for t, f in outcome) for outcome in self.outcomes)
        return (hashable(self.forget), gains, hashable(self.given), hashable(self.derived))


@dataclass(frozen=True, slots=True)
class Action:
    """A member of a graph as the planner sees it; `labels` name its outcomes."""

    name: str
    member: a.Node | a.Graph
    requirement: Requirement
    effect: Effect
    labels: tuple[Any, ...]
    fresh: int
    updated: int


class _TermFacts:
    """The atoms on one term, and which of them a set of values makes true or false."""

    def __init__(self, term: Term) -> None:
        self.term = term
        self.mask = 0
        self.atoms: list[tuple[int, Values]] = []
        self.finite: dict[Any, int] = {}
        self.wide: list[tuple[int, Values]] = []
        self._holding: dict[Any, int] = {}
        self._known: dict[Values, Knowledge] = {}

    def add(self, bit: int, values: Values) -> None:
        self.mask |= 1 << bit
        self.atoms.append((bit, values))
        listed = values.listed(MAX_LISTED)
        if listed is None:
            self.wide.append((bit, values))
        else:
            for value in listed:
                self.finite[value] = self.finite.get(value, 0) | 1 << bit

    def known(self, values: Values) -> Knowledge:
        """What holds of the atoms when the term's value is one of these."""
        found = self._known.get(values)
        if found is None:
            found = self._known[values] = self._compute(values)
        return found

    def _compute(self, values: Values) -> Knowledge:
        listed = values.listed(MAX_LISTED)
        if listed is None:
            true = false = 0
            for bit, atom in self.atoms:
                if within(values, atom):
                    true |= 1 << bit
                elif disjoint(values, atom):
                    false |= 1 << bit
            return true, false
        every, some = (0 if values.absent or not listed else self.mask), 0
        for value in listed:
            holding = self._holding.get(value)
            if holding is None:
                holding = self.finite.get(value, 0)
                for bit, atom in self.wide:
                    if value in atom:
                        holding |= 1 << bit
                self._holding[value] = holding
            every &= holding
            some |= holding
        return every, self.mask & ~some


class Facts:
    """The atoms of one graph, and its members as actions over them."""

    def __init__(self, graph: a.Graph, terms: Terms, structs: Mapping[str, StructType]) -> None:
        self.graph = graph
        self.structs = _structs_of(graph)
        self.struct_number = {name: i for i, name in enumerate(sorted(self.structs))}
        self.goal_clauses: list[Box] = list(clauses(graph.goal))
        self.emit_needs = _emit_needs(graph, terms, structs)
        self._pre_clauses = {name: _clauses_of(member) for name, member in graph.members.items()}
        self._number_atoms()
        self._struct_masks()
        self.actions = [self._action(name, member) for name, member in sorted(graph.members.items())]
        self.goal = self._require(self.goal_clauses, self._presence(graph.targets))
        self.initial = self._initial()

    # ---- numbering

    def present_bit(self, struct: str) -> int:
        return 1 << (2 * self.struct_number[struct])

    def derived_bit(self, struct: str) -> int:
        return 1 << (2 * self.struct_number[struct] + 1)

    def _number_atoms(self) -> None:
        wanted: dict[Term, dict[Values, None]] = {}
        for found in (*self._pre_clauses.values(), self.goal_clauses, self.emit_needs):
            for clause in found:
                for term, values in clause.items():
                    if not term.is_struct:
                        positive = ~values if values.absent else values
                        wanted.setdefault(term, {})[positive] = None
        self.terms: dict[Term, _TermFacts] = {}
        self.bits: dict[tuple[Term, Values], int] = {}
        self.atom_text: dict[int, tuple[Term, Values]] = {}
        bit = 2 * len(self.struct_number)
        for term in sorted(wanted, key=lambda t: t.text):
            known = self.terms[term] = _TermFacts(term)
            for values in sorted(wanted[term], key=lambda v: v.describe(term.text)):
                known.add(bit, values)
                self.bits[term, values] = bit
                self.atom_text[bit] = (term, values)
                bit += 1
        self.width = bit

    def _struct_masks(self) -> None:
        """For each struct: all atoms that depend on it, and what its own type makes known of them."""
        self.atoms_of: dict[str, int] = dict.fromkeys(self.structs, 0)
        self.terms_of: dict[str, list[Term]] = {name: [] for name in self.structs}
        for term, known in self.terms.items():
            for struct in term.structs:
                self.atoms_of[struct] |= known.mask
            if term.opaque is None:
                self.terms_of[term.structs[0]].append(term)
        self.by_type: dict[str, Knowledge] = {}
        for struct, terms in self.terms_of.items():
            true = false = 0
            for term in terms:
                t, f = self.terms[term].known(type_values(term))
                true |= t
                false |= f
            self.by_type[struct] = (true, false)

    def _literal(self, term: Term, values: Values) -> Literal:
        if term.is_struct:
            return Literal(2 * self.struct_number[term.structs[0]], not values.absent)
        if values.absent:
            return Literal(self.bits[term, ~values], False)
        return Literal(self.bits[term, values], True)

    # ---- requirements

    def _presence(self, structs: Iterable[str]) -> int:
        mask = 0
        for name in structs:
            mask |= self.present_bit(name)
        return mask

    def _require(self, found: Iterable[Box], true: int = 0, false: int = 0) -> Requirement:
        choices: list[Knowledge] = []
        for clause in found:
            literals = [self._literal(term, values) for term, values in clause.items()]
            clause_true = clause_false = 0
            for literal in literals:
                if literal.sign:
                    clause_true |= 1 << literal.bit
                else:
                    clause_false |= 1 << literal.bit
            if len(literals) == 1:
                true |= clause_true
                false |= clause_false
            else:
                choices.append((clause_true, clause_false))
        return Requirement(true, false, tuple(sorted(choices)))

    def emit_requirements(self) -> list[tuple[Box, Requirement]]:
        """What the emitted sample needs at the target, one by one."""
        return [(need, self._require([need])) for need in self.emit_needs]

    # ---- actions

    def _action(self, name: str, member: a.Node | a.Graph) -> Action:
        if isinstance(member, a.Node):
            takes, gives, guarantees = member.takes, member.gives, member.guarantees
            constants, keeps = member.constants, member.keeps
            branch = member.branch.term if member.branch is not None else None
        else:
            takes, gives, guarantees = (
                member.sources,
                member.targets,
                tuple(possible(boxes(member.goal), member.targets)),
            )
            constants, keeps, branch = {}, (), None
        fresh = updated = given = derived = forget = 0
        true = self._presence(takes)
        false = 0
        for struct in gives:
            number = 1 << self.struct_number[struct]
            given |= number
            if struct in takes:
                updated |= number
                false |= self.derived_bit(struct)
            else:
                fresh |= number
                false |= self.present_bit(struct)
            forget |= self.atoms_of[struct]
        for struct in takes:
            if any(other != struct for other in gives):
                derived |= 1 << self.struct_number[struct]
        kept_mask = self._kept(keeps)
        forget &= ~kept_mask
        outcomes: list[tuple[Knowledge, ...]] = []
        labels: list[Any] = []
        if branch is None:
            outcomes.append(
                tuple(dict.fromkeys(self._gains(box, gives, constants, kept_mask) for box in guarantees))
            )
            labels.append(None)
        else:
            for value in self._branch_values(branch, guarantees, constants):
                alternatives = [
                    self._gains(narrowed, gives, constants, kept_mask)
                    for box in guarantees
                    if (narrowed := _narrow(box, branch, value)) is not None
                ]
                if alternatives:
                    outcomes.append(tuple(dict.fromkeys(alternatives)))
                    labels.append(value)
        requirement = self._require(self._pre_clauses[name], true, false)
        effect = Effect(forget, tuple(outcomes), given, derived)
        return Action(name, member, requirement, effect, tuple(labels), fresh, updated)

    def _kept(self, keeps: Iterable[a.FieldRef]) -> int:
        kept = set(keeps)
        mask = 0
        if kept:
            for struct in {struct for struct, _ in kept}:
                for term in self.terms_of[struct]:
                    if term.path and (struct, term.path[0]) in kept:
                        mask |= self.terms[term].mask
        return mask

    def _branch_values(
        self, term: Term, options: Sequence[Box], constants: Mapping[a.FieldRef, Any]
    ) -> list[Any]:
        values = term.universe
        found: dict[Any, None] = {}
        for box in options:
            here = intersection(values, box[term]) if term in box else values
            if (term.structs[0], term.path[0]) in constants and len(term.path) == 1:
                here = intersection(here, exactly(term, constants[term.structs[0], term.path[0]]))
            found.update(dict.fromkeys(here.listed(MAX_LISTED) or ()))
        return sorted(found, key=lambda v: (type(v).__name__, v))

    def _gains(
        self, box: Box, gives: Mapping[str, StructType], constants: Mapping[a.FieldRef, Any], kept: int
    ) -> Knowledge:
        """What is known of the given structs after the action, in one alternative of its guarantee."""
        true = false = 0
        for struct in gives:
            t, f = self.by_type[struct]
            true |= t & ~kept
            false |= f & ~kept
            true |= self.present_bit(struct)
        sure = {(t.structs[0], t.path) for t, values in box.items() if t.opaque is None and not values.absent}
        for struct in gives:
            for term in self.terms_of[struct]:
                constant = term.path and (struct, term.path[0]) in constants
                in_box = term in box
                lifted = term.optional and any(
                    s == struct and path[: len(term.path)] == term.path for s, path in sure
                )
                if not (constant or in_box or lifted):
                    continue
                values = type_values(term)
                if lifted:
                    values = values.present()
                if in_box:
                    values = intersection(values, box[term])
                if constant:
                    values = with_constant(term, constants[struct, term.path[0]], values)
                known = self.terms[term]
                t, f = known.known(values)
                true = true & ~known.mask | t
                false = false & ~known.mask | f
        for term, values in box.items():
            if term in self.terms and (term.opaque is not None or term.structs[0] not in gives):
                t, f = self.terms[term].known(values)
                true |= t
                false |= f
        return true, false

    def _initial(self) -> tuple[Knowledge, ...]:
        """What is known at the source: its structs as `where` says, nothing derived, everything else absent."""
        everything = (1 << self.width) - 1
        presence = 0
        field_mask = 0
        for struct in self.graph.sources:
            presence |= self.present_bit(struct)
            field_mask |= self.atoms_of[struct]
        for term, known in self.terms.items():
            if any(struct not in self.graph.sources for struct in term.structs):
                field_mask &= ~known.mask  # an opaque atom over a struct that is not there is false
        base_false = everything & ~presence & ~field_mask
        found = []
        for box in possible(boxes(self.graph.where), self.graph.sources):
            true, false = self._gains(box, self.graph.sources, {}, 0)
            found.append((true, (false | base_false) & ~true))
        return tuple(dict.fromkeys(found))

    # ---- for people

    def describe(self, true: int, false: int) -> list[str]:
        """Known facts as conditions of the language, those that say something of structs that are there."""
        found: list[str] = []
        visible = 0
        for struct, number in self.struct_number.items():
            if true >> (2 * number) & 1:
                visible |= self.atoms_of[struct]
                found.append(f"has {struct}")
        for bit in bits_of(true >> (2 * len(self.struct_number)) << (2 * len(self.struct_number))):
            term, values = self.atom_text[bit]
            found.append(values.describe(term.text))
        for bit in bits_of(false & visible):
            term, values = self.atom_text[bit]
            found.append(f"not ({values.describe(term.text)})")
        return found

    def literal_text(self, bit: int, sign: bool) -> str:
        """One literal as a condition of the language, or in words for the freshness rules."""
        structs = 2 * len(self.struct_number)
        if bit < structs:
            name = sorted(self.struct_number)[bit // 2]
            if bit % 2:
                return f"`{name}` not yet used to make something else"
            return f"has {name}" if sign else f"`{name}` not yet there"
        term, values = self.atom_text[bit]
        text = values.describe(term.text)
        return text if sign else f"not ({text})"


def common(alternatives: Sequence[Knowledge]) -> Knowledge:
    """What every alternative knows; nothing, where there is none."""
    if len(alternatives) == 1:
        return alternatives[0]
    true = false = -1
    for t, f in alternatives:
        true &= t
        false &= f
    return (true, false) if alternatives else (0, 0)


def hashable(mask: int) -> bytes:
    """A mask as a dictionary key. Python hashes integers modulo 2^61 - 1, so powers of two, which masks often are, have
    only 61 hashes between them, and a dictionary keyed by them is a list.
    """
    return mask.to_bytes((mask.bit_length() + 7) >> 3, "little")


def bits_of(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def exactly(term: Term, value: Any) -> Values:
    if term.sort == "number":
        return points([value], integer=term.integer)
    return symbols([value])


def with_constant(term: Term, value: Any, values: Values) -> Values:
    """Narrow a term's values by its field being this constant."""
    if value is None:
        return intersection(values, ~values.present())
    if len(term.path) > 1:
        return values
    if term.func == TOKENIZER_DEPENDENT:
        return values.present()  # its count depends on the run's tokenizer, so only its presence is known
    if term.func is not None:
        return (
            intersection(values, points([MEASURES[term.func](value)], integer=True))
            if isinstance(value, str)
            else values
        )
    return intersection(values, exactly(term, value)) if term.sort != "other" else values.present()


def _narrow(box: Box, term: Term, value: Any) -> Box | None:
    here = exactly(term, value)
    if term in box:
        here = intersection(here, box[term])
        if here.empty:
            return None
    return {**box, term: here}


def _clauses_of(member: a.Node | a.Graph) -> list[Box]:
    return list(member.requires if isinstance(member, a.Node) else clauses(member.where))


def _structs_of(graph: a.Graph) -> set[str]:
    """Names of every struct that the graph's ends, members and conditions speak of."""
    names = {*graph.sources, *graph.targets}
    for member in graph.members.values():
        if isinstance(member, a.Node):
            names.update(member.takes, member.gives)
            names.update(n for term in (*terms_of(member.pre), *terms_of(member.post)) for n in term.structs)
        else:
            names.update(member.sources, member.targets)
    if graph.emit is not None:
        names.update(use.struct for turn in graph.emit.turns for use in turn.text.uses)
        names.update(turn.reasoning.structs[0] for turn in graph.emit.turns if turn.reasoning is not None)
        names.update(graph.emit.messages.structs if graph.emit.messages is not None else ())
    return names


def _emit_needs(graph: a.Graph, terms: Terms, structs: Mapping[str, StructType]) -> list[Box]:
    """Clauses that must hold at the target for the emitted sample to render."""
    if graph.emit is None:
        return []
    needs: dict[str, Box] = {}

    def need(struct: str, path: tuple[str, ...] = (), guarded: bool = True) -> None:
        kind = structs[struct]
        needs[struct] = {terms.struct(kind): PRESENT}
        if not guarded and len(path) == 1 and kind.fields[path[0]].type.optional:
            type = kind.fields[path[0]].type
            needs[f"{struct}.{path[0]}"] = {terms.field(kind, path, type, True): type.values.present()}

    for turn in graph.emit.turns:
        for use in turn.text.uses:
            need(use.struct, use.path, use.guarded)
        if turn.reasoning is not None:
            need(turn.reasoning.structs[0])
    if graph.emit.messages is not None:
        need(graph.emit.messages.structs[0], graph.emit.messages.path, guarded=False)
    return list(needs.values())
