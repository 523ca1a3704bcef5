"""Promises: what a member of a graph, or its source, says of one term, and where it is written.

From them come the answers to three questions about a missing atom: who could give it, who comes closest, and what is
known of the term after a walk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import Box, Term, boxes, possible, type_values
from dataforge.domain.values import Numbers, Symbols, Values, disjoint, intersection, union, within
from dataforge.lang.diagnostics import Source, Span
from dataforge.plan.facts import Action, Facts, Literal, exactly, with_constant
from dataforge.plan.linked import SOURCE, Explored


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a file."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Promise:
    """What somebody guarantees of a term, as a condition, and where that is written."""

    by: str
    text: str
    where: Where


def wanted_values(facts: Facts, literal: Literal) -> tuple[Term, Values] | None:
    """The term of a literal and the values that it asks for; None for presence and freshness."""
    if literal.bit not in facts.atom_text:
        return None
    term, values = facts.atom_text[literal.bit]
    return term, values if literal.sign else ~values


def condition(facts: Facts, literal: Literal) -> str:
    """A literal as an author would write it; the freshness rules in words."""
    if literal.sign or literal.bit not in facts.atom_text:
        return facts.literal_text(literal.bit, literal.sign)
    term, values = facts.atom_text[literal.bit]
    text = values.describe(term.text)
    if text == term.text:
        return f"not {text}"
    return f"not ({text})" if term.optional else (~values).present().describe(term.text)


def writes(action: Action, term: Term) -> bool:
    """Whether an action writes the field of a term anew: gives its struct, and does not keep the field."""
    member = action.member
    gives = member.gives if isinstance(member, a.Node) else member.targets
    given = [s for s in term.structs if s in gives]
    if not given:
        return False
    keeps = member.keeps if isinstance(member, a.Node) else ()
    return not (term.path and (term.structs[0], term.path[0]) in keeps)


def terms_promised(action: Action) -> list[Term]:
    """The terms that a member's promise speaks of, structs left out."""
    member = action.member
    options = member.guarantees if isinstance(member, a.Node) else boxes(member.goal)
    return [term for term in dict.fromkeys(t for box in options for t in box) if not term.is_struct]


def values_after(action: Action, outcome: int, term: Term) -> Values | None:
    """What an action guarantees of a term in an outcome; None where it says no more than the type does."""
    member = action.member
    if isinstance(member, a.Node):
        options: Sequence[Box] = member.guarantees
        constants: Mapping[a.FieldRef, Any] = member.constants
    else:
        options, constants = possible(boxes(member.goal), member.targets), {}
    kind = type_values(term)
    found: Values | None = None
    for box in options:
        here = intersection(box[term], kind) if term in box else kind
        found = here if found is None else union(found, here)
    values = found if found is not None else kind
    key = (term.structs[0], term.path[0]) if term.path else None
    if key is not None and key in constants:
        values = with_constant(term, constants[key], values)
    label = action.labels[outcome]
    if isinstance(member, a.Node) and member.branch is not None and member.branch.term is term:
        values = intersection(values, exactly(term, label))
    return None if within(kind, values) else values


def values_at_source(facts: Facts, term: Term) -> Values | None:
    """What the source guarantees of a term; None where it says no more than the type does."""
    graph = facts.graph
    if any(struct not in graph.sources for struct in term.structs):
        return None
    kind = type_values(term)
    found: Values | None = None
    for box in possible(boxes(graph.where), graph.sources):
        here = intersection(box[term], kind) if term in box else kind
        found = here if found is None else union(found, here)
    return None if found is None or within(kind, found) else found


def giving(explored: Explored, literal: Literal) -> list[int]:
    """The actions of which an outcome makes the literal known, by number."""
    bit = 1 << literal.bit
    return [
        number
        for number, action in enumerate(explored.actions)
        if any(
            outcome and all((known[0] if literal.sign else known[1]) & bit for known in outcome)
            for outcome in action.effect.outcomes
        )
    ]


def nearest_promise(facts: Facts, literal: Literal) -> Promise | None:
    """The promise about a literal's term that comes closest to it without entailing it; None where none comes near.

    Among numbers every promise is near by some distance; among other values only one that shares some of them.
    """
    wanted = wanted_values(facts, literal)
    if wanted is None or wanted[0].opaque is not None:
        return None
    term, values = wanted
    best: tuple[tuple[float, float], Promise] | None = None
    for action in facts.actions:
        for outcome in range(len(action.labels)):
            said = values_after(action, outcome, term)
            far = shortfall(said, values) if said is not None else None
            if said is not None and far is not None and (best is None or far < best[0]):
                best = far, Promise(action.name, said.describe(term.text), where_said(action, term))
    said = values_at_source(facts, term)
    far = shortfall(said, values) if said is not None else None
    if said is not None and far is not None and (best is None or far < best[0]):
        best = far, Promise(SOURCE, said.describe(term.text), source_where(facts, term))
    return best[1] if best is not None else None


def shortfall(said: Values, wanted: Values) -> tuple[float, float] | None:
    """How far a promise is from what is wanted: for numbers the distance of its worst value, else how many do not fit.

    Returns:
        What orders promises, the nearest first; None where it is wanted already, or shares nothing that could be near.
    """
    if within(said, wanted):
        return None
    rest = intersection(said, ~wanted)
    apart = disjoint(said, wanted)
    if isinstance(rest, Symbols):
        return None if apart else (0.0, math.inf if rest.cofinite else len(rest.items))
    assert isinstance(wanted, Numbers)
    return max((_distance(end, wanted) for end, _ in rest.cuts), default=math.inf), float(apart)


def _distance(value: float, wanted: Numbers) -> float:
    if math.isinf(value) or not wanted.cuts:
        return math.inf
    return min(abs(value - end) for end, _ in wanted.cuts)


# ---- where it is written


def where_declared(action: Action) -> Where:
    """Where a member is declared."""
    return _line(action.member.source, action.member.span)


def where_said(action: Action, term: Term) -> Where:
    """Where a member speaks of a term in its `post`; where it is declared, if it does not."""
    member = action.member
    word = "post" if isinstance(member, a.Node) else "to"
    return _line_of(member.source, member.spans.get(word), term.text) or where_declared(action)


def source_where(facts: Facts, term: Term | None = None) -> Where:
    """Where the source's condition speaks of a term."""
    graph = facts.graph
    span = graph.spans["from"]
    found = _line_of(graph.source, span, term.text) if term is not None else None
    return found or _line(graph.source, span)


def _line_of(source: Source, span: Span | None, text: str) -> Where | None:
    if span is None:
        return None
    at = source.text.find(text, span.start, span.end)
    return _line(source, Span(at if at >= 0 else span.start, span.end))


def _line(source: Source, span: Span) -> Where:
    return Where(source.path, source.line_column(span.start)[0])
