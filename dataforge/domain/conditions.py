"""Conditions: terms, sets of values they may have, and what follows from what.

A resolved condition is a tree of `Atom`, `All`, `AnyOf` and `Negation`. An atom says that one term's value lies in one
set (`dataforge.domain.values`). For the planner a condition takes one of two forms:

- as a guarantee, `boxes`: alternatives, each a mapping term → set, whose terms are independent;
- as a requirement, `clauses`: each a mapping term → set, of which at least one must hold.

In both, everything said about one term is merged into one set first. A box then entails a clause exactly when, for
some term of the clause, the box's set lies within the clause's: if none does, picking a violating value for each term
gives a state in the box that breaks the clause, since a box is a product. So entailment of clauses by boxes, term by
term, is exact, and no solver is needed. Relations between terms that the sets cannot see (a comparison of two terms, a
predicate, `matches`) are *opaque* terms with the values true and false: sound, and entailed only by themselves.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from dataforge.domain.measures import MEASURES, TokenCounter
from dataforge.domain.structs import FieldType, StructType
from dataforge.domain.values import (
    PRESENT,
    Values,
    disjoint,
    intersection,
    interval,
    symbols,
    within,
)

MAX_ALTERNATIVES = 64

_SORTS = {"int": "number", "float": "number", "str": "text", "enum": "text", "bool": "bool"}

State = Mapping[str, BaseModel]
"""A row's state: struct name → instance."""


# ---- terms


@dataclass(frozen=True, slots=True)
class Matches:
    """A text matches a pattern somewhere."""

    term: Term
    pattern: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two terms compared: `==`, `!=`, `<` or `<=`."""

    left: Term
    op: str
    right: Term


Relation = Matches | Compared


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """Something whose value conditions speak of; the same term is the same object within a `Terms` table.

    Attributes:
        text: how the language writes it: `Passage.kind`, `words(Passage.text)`, `Passage`, `longer(A, B)`.
        structs: names of the structs that it depends on.
        path: field path below the struct, empty for a whole struct and for opaque terms.
        func: the measure taken of the field, or None.
        universe: values it can have when it is present.
        optional: whether it can be absent though its struct is there.
        opaque: for opaque terms, how to find the value on a real state.
        relation: for opaque terms, what is related: what generates states needs it, the planner does not.
    """

    text: str
    structs: tuple[str, ...]
    path: tuple[str, ...] = ()
    func: str | None = None
    type: FieldType | None = None
    universe: Values = PRESENT
    optional: bool = False
    opaque: Callable[[State, TokenCounter], bool] | None = field(default=None, repr=False)
    relation: Relation | None = field(default=None, repr=False)

    @property
    def is_struct(self) -> bool:
        return not self.path and self.opaque is None and self.func is None

    @property
    def sort(self) -> str:
        """`number`, `text`, `bool` or `other`: what it can be compared with."""
        if self.func is not None:
            return "number"
        if self.opaque is not None:
            return "bool"
        base = self.type.base if self.type is not None else "any"
        return _SORTS.get(base, "other")

    @property
    def integer(self) -> bool:
        return self.func is not None or (self.type is not None and self.type.base == "int")

    def value(self, state: State, tokens: TokenCounter) -> object:
        """The term's value on a real state; None where it is absent."""
        if self.opaque is not None:
            return self.opaque(state, tokens) if all(name in state for name in self.structs) else None
        found: Any = state.get(self.structs[0])
        for part in self.path:
            if found is None:
                return None
            found = getattr(found, part)
        if isinstance(found, enum.Enum):
            found = found.value
        if found is None or (isinstance(found, float) and math.isnan(found)):
            return None
        if self.is_struct:
            return True
        if self.func is not None:
            return tokens(found) if self.func == "tokens" else MEASURES[self.func](found)
        return found


class Terms:
    """The terms of a program, each once."""

    def __init__(self) -> None:
        self.by_text: dict[str, Term] = {}

    def struct(self, struct: StructType) -> Term:
        return self._intern(struct.name, lambda: Term(struct.name, (struct.name,)))

    def field(self, struct: StructType, path: tuple[str, ...], type: FieldType, optional: bool) -> Term:
        text = ".".join((struct.name, *path))
        return self._intern(
            text,
            lambda: Term(text, (struct.name,), path, None, type, type.values, optional),
        )

    def measure(self, func: str, of: Term) -> Term:
        if func == "len" and of.sort == "text":
            func = "chars"
        text = f"{func}({of.text})"
        assert of.type is not None
        universe = of.type.lengths if func in ("chars", "len") else interval(0, integer=True)
        return self._intern(
            text, lambda: Term(text, of.structs, of.path, func, of.type, universe, of.optional)
        )

    def opaque(
        self,
        text: str,
        structs: tuple[str, ...],
        test: Callable[[State, TokenCounter], bool],
        relation: Relation | None = None,
    ) -> Term:
        either = symbols([True, False])
        return self._intern(
            text, lambda: Term(text, structs, universe=either, opaque=test, relation=relation)
        )

    def _intern(self, text: str, make: Callable[[], Term]) -> Term:
        term = self.by_text.get(text)
        if term is None:
            term = self.by_text[text] = make()
        return term


# ---- resolved conditions


@dataclass(frozen=True, slots=True)
class Atom:
    """`term` has one of `values`."""

    term: Term
    values: Values

    def __str__(self) -> str:
        return self.values.describe(self.term.text)


@dataclass(frozen=True, slots=True)
class All:
    """Every item holds; none at all is true."""

    items: tuple[Expr, ...]

    def __str__(self) -> str:
        return " and ".join(_bracketed(i, " or ") for i in self.items) or "true"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one item holds."""

    items: tuple[Expr, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.items))


@dataclass(frozen=True, slots=True)
class Negation:
    """The item does not hold."""

    item: Expr

    def __str__(self) -> str:
        return f"not {_bracketed(self.item, ' or ', ' and ')}"


Expr = Atom | All | AnyOf | Negation


def _bracketed(expr: Expr, *looser: str) -> str:
    """The condition's text, in brackets where one of these words may join it less tightly than what stands around it."""
    text = str(expr)
    return f"({text})" if any(word in text for word in looser) else text


Box = Mapping[Term, Values]
TRUE = All(())


class TooManyAlternatives(Exception):
    """A condition has more than `MAX_ALTERNATIVES` alternatives."""


def boxes(expr: Expr, *, negated: bool = False) -> list[dict[Term, Values]]:
    """The condition as alternatives (disjunctive normal form), each term merged to one set.

    An empty list: it can never hold. A list with an empty box: it always holds.

    Raises:
        TooManyAlternatives: where there are more than `MAX_ALTERNATIVES`.
    """
    if isinstance(expr, Atom):
        values = intersection(expr.values, expr.term.universe)
        if negated:
            values = ~values
            if values.full:
                return [{}]
        elif values.empty:
            return []
        return [{expr.term: values}]
    if isinstance(expr, Negation):
        return boxes(expr.item, negated=not negated)
    if isinstance(expr, All) != negated:
        product: list[dict[Term, Values]] = [{}]
        for item in expr.items:
            options = boxes(item, negated=negated)
            if len(product) == 1 and len(options) == 1:  # a plain conjunction: the usual case
                joined = _meet(product[0], options[0])
                product = [joined] if joined is not None else []
            else:
                product = [m for a in product for b in options if (m := _meet(a, b)) is not None]
                product = _distinct(product)
            if not product:
                return []
        return product
    return _distinct([box for item in expr.items for box in boxes(item, negated=negated)])


def clauses(expr: Expr) -> list[dict[Term, Values]]:
    """The condition as requirements (conjunctive normal form), each term merged to one set.

    An empty list: it always holds. A list with an empty clause: it can never hold.

    Raises:
        TooManyAlternatives: where more than `MAX_ALTERNATIVES` clauses are real choices.
    """
    # The clauses of a condition are the complements of the alternatives of its negation.
    if isinstance(expr, All):
        found = [clause for item in expr.items for clause in clauses(item)]
        return found if len(found) <= 1 else list({_key(c): c for c in found}.values())
    if isinstance(expr, Atom):
        values = intersection(expr.values, expr.term.universe)
        return [{} if values.empty else {expr.term: values}]
    return [{term: ~values for term, values in box.items()} for box in boxes(expr, negated=True)]


def type_values(term: Term) -> Values:
    """What a term can be, by its type alone, where its struct is there."""
    if term.optional:
        return ~(~term.universe.present()).present()  # the universe, or absent
    return term.universe.present()


def possible(options: list[dict[Term, Values]], present: Container[str]) -> list[dict[Term, Values]]:
    """The alternatives that can be, given that these structs are there: a field that is not optional is not absent."""
    return [
        box
        for box in options
        if not any(
            disjoint(values, type_values(term)) and all(struct in present for struct in term.structs)
            for term, values in box.items()
        )
    ]


def entails(box: Box, clause: Box) -> bool:
    """Whether every state in the box satisfies the clause."""
    return any(term in box and within(box[term], values) for term, values in clause.items())


def _meet(a: dict[Term, Values], b: dict[Term, Values]) -> dict[Term, Values] | None:
    if not a:
        return b
    out = dict(a)
    for term, values in b.items():
        if term in out:
            values = intersection(out[term], values)
            if values.empty:
                return None
        out[term] = values
    return out


def _key(box: Box) -> tuple[tuple[str, Values], ...]:
    if len(box) == 1:
        return tuple((t.text, v) for t, v in box.items())
    return tuple(sorted(((t.text, v) for t, v in box.items()), key=lambda pair: pair[0]))


def _distinct(options: list[dict[Term, Values]]) -> list[dict[Term, Values]]:
    if len(options) > 1:
        options = list({_key(box): box for box in options}.values())
        if any(not box for box in options):
            return [{}]
    if len(options) > MAX_ALTERNATIVES:
        raise TooManyAlternatives
    return options


def terms_of(expr: Expr) -> list[Term]:
    """The terms of a condition, in order of first appearance."""
    found: dict[Term, None] = {}
    stack: list[Expr] = [expr]
    while stack:
        item = stack.pop()
        if isinstance(item, Atom):
            found.setdefault(item.term)
        elif isinstance(item, Negation):
            stack.append(item.item)
        else:
            stack.extend(reversed(item.items))
    return list(found)


# ---- on real values


def holds(expr: Expr, state: State, tokens: TokenCounter) -> bool:
    """Whether the condition holds on a real state."""
    if isinstance(expr, Atom):
        return expr.term.value(state, tokens) in expr.values
    if isinstance(expr, All):
        return all(holds(item, state, tokens) for item in expr.items)
    if isinstance(expr, AnyOf):
        return any(holds(item, state, tokens) for item in expr.items)
    return not holds(expr.item, state, tokens)


def broken(expr: Expr, state: State, tokens: TokenCounter) -> list[str]:
    """For each conjunct that fails on a real state, what it wants and what was found: fit for people and models."""
    if isinstance(expr, All):
        return [line for item in expr.items for line in broken(item, state, tokens)]
    if holds(expr, state, tokens):
        return []
    found = []
    for term in terms_of(expr):
        value = term.value(state, tokens)
        shown = (
            "missing" if value is None else repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "…"
        )
        found.append(f"{term.text} is {shown}")
    return [f"{expr} does not hold: {', '.join(found)}"]
