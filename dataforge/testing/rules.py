"""From a condition's alternative (a box) to one rule a field: what its value must be, whether it may be null.

Relations between terms are settled here, with the chooser's help: of `words(A.text) < words(B.text)` both counts are
chosen, of `A.kind == B.kind` one common value; what is left says of each field by itself what it must be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx

from dataforge.domain.conditions import Compared, Matches, Term
from dataforge.domain.measures import MEASURES
from dataforge.domain.structs import FieldType
from dataforge.domain.values import (
    PRESENT,
    Numbers,
    Symbols,
    Values,
    intersection,
    interval,
    points,
    symbols,
)
from dataforge.testing.choices import Chooser, perhaps, pick
from dataforge.testing.numbers import number
from dataforge.testing.texts import TextRule, without, writer

Path = tuple[str, ...]
"""A struct's name, then field names."""

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">"}
_MANY = 1_000


class Impossible(Exception):
    """These choices lead nowhere: others may."""


@dataclass
class Rule:
    """What is asked of one field.

    Attributes:
        present: whether it must be there (True), must not (False), or may be either (None).
        values: what it may be, of its type's form.
        counts: measures of it, by name.
        found, missing: patterns that must and must not match.
        exact: the value chosen for it already, in a tuple.
    """

    present: bool | None = None
    values: Values | None = None
    counts: dict[str, Numbers] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    never: frozenset[str] = frozenset()
    exact: tuple[Any, ...] = ()


def text_rule(rule: Rule, type: FieldType, pattern: str | None = None) -> TextRule:
    """All that is asked of a text: by the conditions, by its type's lengths, by a pattern of its type."""
    assert isinstance(type.lengths, Numbers)
    chars = type.lengths if type.lengths != interval(0, integer=True) else None
    for name in ("chars", "len"):
        if name in rule.counts:
            chars = rule.counts[name] if chars is None else chars & rule.counts[name]
    only, never = None, rule.never
    if isinstance(rule.values, Symbols):
        only, excluded = without(rule.values)
        never = never | excluded
    if type.base == "enum":
        allowed = frozenset(str(v) for v in type.values.listed(_MANY) or ())
        only = allowed if only is None else only & allowed
    found = (*rule.found, pattern) if pattern is not None else rule.found
    counts = rule.counts
    return TextRule(
        counts.get("words"),
        counts.get("lines"),
        chars,
        counts.get("tokens"),
        only,
        never,
        found,
        rule.missing,
    )


class Rules:
    """The rules of one box, settled by one chooser.

    Raises:
        Impossible: where what was chosen excludes itself.
    """

    def __init__(self, box: Mapping[Term, Values], chooser: Chooser) -> None:
        self.chooser = chooser
        self.structs: dict[str, bool] = {}
        """Structs that must, or must not, be there."""
        self.of: dict[Path, Rule] = {}
        self._numbers: dict[Term, Numbers] = {}
        self._types: dict[Path, FieldType] = {}
        relations: list[Compared] = []
        for term, values in box.items():
            if term.is_struct:
                if not (values.absent and not values.present().empty):
                    self.structs[term.structs[0]] = not values.absent
            elif term.opaque is None:
                self._narrow(term, values)
        for (
            term,
            values,
        ) in box.items():  # after what is said of single terms: a relation with null does not hold
            if term.opaque is not None:
                relations.extend(self._opaque(term, values))
        if relations:
            self._settle(relations)

    def at(self, path: Path) -> Rule:
        """The rule of a field; an empty one where nothing is asked."""
        return self.of.get(path) or Rule()

    def below(self, path: Path) -> bool:
        """Whether a field inside this one must be there."""
        return any(
            p[: len(path)] == path and len(p) > len(path) and rule.present for p, rule in self.of.items()
        )

    def _rule(self, term: Term) -> Rule:
        path = (term.structs[0], *term.path)
        if term.type is not None:
            self._types[path] = term.type
        return self.of.setdefault(path, Rule())

    def _narrow(self, term: Term, values: Values) -> None:
        rule = self._rule(term)
        here = values.present()
        if here.empty:
            self._require(rule, present=False)
            return
        if not values.absent:
            self._require(rule, present=True)
        elif rule.present is None and perhaps(self.chooser):
            return  # it may be missing, and then nothing else is asked of it
        if term.func is not None:
            assert isinstance(here, Numbers)
            known = rule.counts.get(term.func, interval(0, integer=True))
            rule.counts[term.func] = known & here
        elif here not in (PRESENT, interval(integer=term.integer)):
            rule.values = here if rule.values is None else intersection(rule.values, here)
        if values.absent:
            rule.present = True

    def _require(self, rule: Rule, *, present: bool) -> None:
        if rule.present is (not present):
            raise Impossible
        rule.present = present

    # ---- relations

    def _opaque(self, term: Term, values: Values) -> Iterator[Compared]:
        holds = [v for v in (True, False) if v in values]
        if len(holds) == 2 or not holds:
            return
        relation = term.relation
        if isinstance(relation, Matches):
            rule = self._rule(relation.term)
            if holds == [True]:
                self._require(rule, present=True)
                rule.found = (*rule.found, relation.pattern)
            else:
                rule.missing = (*rule.missing, relation.pattern)
        elif isinstance(relation, Compared):
            if holds == [True]:
                yield relation
            else:
                yield from self._unrelated(relation)

    def _unrelated(self, relation: Compared) -> Iterator[Compared]:
        """A comparison that must not hold: its contrary does, or one of its terms is null."""
        sides = [t for t in (relation.left, relation.right) if t.optional]
        if any(self._rule(t).present is False for t in sides):
            return
        free = [t for t in sides if self._rule(t).present is None]
        if free and perhaps(self.chooser):
            self._rule(pick(self.chooser, free)).present = False
            return
        contrary = _NEGATED[relation.op]
        if contrary in (">", ">="):
            yield Compared(relation.right, {">": "<", ">=": "<="}[contrary], relation.left)
        else:
            yield Compared(relation.left, contrary, relation.right)

    def _settle(self, relations: list[Compared]) -> None:
        for relation in relations:
            for term in (relation.left, relation.right):
                self._require(self._rule(term), present=True)
        numeric = [r for r in relations if r.left.sort == "number"]
        if numeric:
            self._settle_numbers(numeric)
        others = [r for r in relations if r.left.sort != "number"]
        if others:
            self._settle_constants(others)

    def _settle_numbers(self, relations: list[Compared]) -> None:
        order: nx.DiGraph = nx.DiGraph()
        for r in relations:
            order.add_nodes_from((r.left, r.right))
            if r.op in ("<", "<="):
                order.add_edge(r.left, r.right)
            elif r.op == "==":
                order.add_edge(r.left, r.right)
                order.add_edge(r.right, r.left)
        # Terms that are each at most the other are equal: one class, one value.
        condensed = nx.condensation(order)
        class_of = condensed.graph["mapping"]
        strict = {(class_of[r.left], class_of[r.right]) for r in relations if r.op == "<"}
        unequal = {(class_of[r.left], class_of[r.right]) for r in relations if r.op == "!="}
        if any(a == b for a, b in strict | unequal):
            raise Impossible
        domains: dict[int, Numbers] = {}
        for number_of_class, members in condensed.nodes(data="members"):
            domain = interval()
            for term in sorted(members, key=lambda t: t.text):
                domain = _over(domain, self._domain(term))
            domains[number_of_class] = domain
        ordered = list(nx.topological_sort(condensed))
        for a in ordered:  # what is above something is at least that
            for b in condensed.successors(a):
                domains[b] = _beyond(domains[b], _least(domains[a]), strict=(a, b) in strict)
        for b in reversed(ordered):
            for a in condensed.predecessors(b):
                domains[a] = _below(domains[a], _most(domains[b]), strict=(a, b) in strict)
        chosen: dict[int, int | float] = {}
        for a in ordered:
            domain = domains[a]
            for b in condensed.predecessors(a):
                domain = _beyond(domain, chosen[b], strict=(b, a) in strict)
            for pair in unequal:
                other = pair[0] if pair[1] == a else pair[1] if pair[0] == a else None
                if other in chosen:
                    domain = domain & ~points([chosen[other]], integer=domain.integer)
            if not domain.cuts:
                raise Impossible
            chosen[a] = number(domain, self.chooser)
            for term in condensed.nodes[a]["members"]:
                self._choose_number(term, chosen[a])

    def _domain(self, term: Term) -> Numbers:
        rule = self._rule(term)
        universe = term.universe.present()
        assert isinstance(universe, Numbers)
        if term.func is None:
            values = rule.values
            return universe & values if isinstance(values, Numbers) else universe
        domain = universe & rule.counts.get(term.func, universe)
        path = (term.structs[0], *term.path)
        listed = text_rule(rule, self._types[path]).only if self._types[path].base != "list" else None
        if listed is not None:
            domain = domain & points([MEASURES[term.func](text) for text in listed], integer=True)
        return domain

    def _choose_number(self, term: Term, value: int | float) -> None:
        rule = self._rule(term)
        if term.func is not None:
            rule.counts[term.func] = points([int(value)], integer=True)
        else:
            rule.exact = (int(value) if term.integer else float(value),)

    def _settle_constants(self, relations: list[Compared]) -> None:
        equal: nx.Graph = nx.Graph()
        for r in relations:
            equal.add_nodes_from((r.left, r.right))
            if r.op == "==":
                equal.add_edge(r.left, r.right)
        chosen: dict[Term, Any] = {}
        classes = sorted(
            (sorted(c, key=lambda t: t.text) for c in nx.connected_components(equal)), key=lambda c: c[0].text
        )
        for members in classes:
            never = {
                chosen[other]
                for r in relations
                if r.op == "!="
                for mine, other in ((r.left, r.right), (r.right, r.left))
                if mine in members and other in chosen
            }
            if any(r.op == "!=" and r.left in members and r.right in members for r in relations):
                raise Impossible
            value = self._common(members, never)
            for term in members:
                chosen[term] = value
                self._rule(term).exact = (value,)

    def _common(self, members: list[Term], never: set[Any]) -> Any:
        """One value that all these terms may have."""
        if members[0].sort == "bool":
            allowed = symbols([True, False])
            for term in members:
                values = self._rule(term).values
                if isinstance(values, Symbols):
                    allowed = allowed & values
            left = [v for v in (False, True) if v in allowed and v not in never]
            if not left:
                raise Impossible
            return pick(self.chooser, left)
        merged = TextRule(never=frozenset(never))
        for term in members:
            rule = self._rule(term)
            merged = _both(merged, text_rule(rule, self._types[(term.structs[0], *term.path)]))
        write = writer(merged)
        if write is None:
            raise Impossible
        return write(self.chooser)


def _both(a: TextRule, b: TextRule) -> TextRule:
    def meet(x: Numbers | None, y: Numbers | None) -> Numbers | None:
        return y if x is None else x if y is None else x & y

    only = b.only if a.only is None else a.only if b.only is None else a.only & b.only
    return replace(
        a,
        words=meet(a.words, b.words),
        lines=meet(a.lines, b.lines),
        chars=meet(a.chars, b.chars),
        tokens=meet(a.tokens, b.tokens),
        only=only,
        never=a.never | b.never,
        found=(*a.found, *b.found),
        missing=(*a.missing, *b.missing),
    )


def _over(a: Numbers, b: Numbers) -> Numbers:
    """Both at once, whole numbers only where either is."""
    if a.integer == b.integer:
        return a & b
    whole, real = (a, b) if a.integer else (b, a)
    found = Numbers((), True)
    for low, high in zip(real.cuts[::2], real.cuts[1::2], strict=True):
        found = found | interval(low[0], high[0], open_low=bool(low[1]), open_high=not high[1], integer=True)
    return whole & found


def _least(domain: Numbers) -> float:
    return domain.cuts[0][0] if domain.cuts else float("inf")


def _most(domain: Numbers) -> float:
    if not domain.cuts:
        return float("-inf")
    value = domain.cuts[-1][0]
    return value - 1 if domain.integer and value != float("inf") else value


def _beyond(domain: Numbers, low: float, *, strict: bool) -> Numbers:
    return domain & interval(low, open_low=strict, integer=domain.integer)


def _below(domain: Numbers, high: float, *, strict: bool) -> Numbers:
    return domain & interval(high=high, open_high=strict, integer=domain.integer)
