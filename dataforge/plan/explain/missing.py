"""A missing atom, and all that an author asks about it.

What is known instead, who wrote the field last, who could give the atom and whether that ever runs, which promise comes
closest, and what to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal as Choice

from dataforge.domain import actions as a
from dataforge.domain.conditions import Term, terms_of, type_values
from dataforge.domain.values import Values, disjoint, intersection, union, within
from dataforge.plan.explain.places import Place, Places
from dataforge.plan.explain.promises import (
    Promise,
    Where,
    condition,
    giving,
    nearest_promise,
    source_where,
    terms_promised,
    values_after,
    values_at_source,
    wanted_values,
    where_declared,
    where_said,
    writes,
)
from dataforge.plan.facts import Effect, Literal
from dataforge.plan.link import progress
from dataforge.plan.linked import SOURCE

Runs = Choice["on walks", "off walks", "never"]
AtSource = Choice["promised", "possible", "excluded", "no"]


@dataclass(frozen=True, slots=True)
class Touch:
    """Who wrote the field last, or gave the struct, on the walk, and whether the atom held until then."""

    by: str
    where: Where
    held_before: bool


@dataclass(frozen=True, slots=True)
class Giver:
    """A member whose outcome makes the atom known, and whether it runs: on walks to the target, elsewhere, or never."""

    name: str
    runs: Runs
    where: Where


@dataclass(frozen=True, slots=True)
class Missing:
    """One atom of a core.

    Attributes:
        atom: the condition, or a freshness rule in words.
        known: what is known of its term there, as a condition; empty where nothing is.
        touched_by: who made it so.
        givers: members that could give it.
        at_source: where the source already promises it, or could, since nothing on the walk writes the field anew.
        nearest: the promise that comes closest.
        decidable: False for predicates, `matches` and comparisons of two terms: only the same condition entails them.
        mend: what an author could do, or empty.
        instead: atoms that would do in its place: the other literals of a choice.
        struct_givers: where nothing gives it and its struct is not there: members that give the struct.
    """

    atom: str
    known: str
    touched_by: Touch | None
    givers: tuple[Giver, ...]
    at_source: AtSource
    nearest: Promise | None
    decidable: bool
    mend: str
    instead: tuple[str, ...] = ()
    struct_givers: tuple[Giver, ...] = ()


def about(places: Places, place: Place, literal: Literal, instead: Iterable[Literal] = ()) -> Missing:
    """All that an author may want to know of an atom that is missing at a place.

    Args:
        instead: literals that would do in its place.
    """
    facts = places.facts
    givers = _givers(places, literal)
    wanted = wanted_values(facts, literal)
    if wanted is None:
        return _about_struct(places, place, literal, givers)
    term, values = wanted
    known, touch, keeper = _trace(places, place, literal, term)
    missing_structs = [s for s in term.structs if not all(t & facts.present_bit(s) for t, _ in place.known)]
    if missing_structs:
        shown = " and ".join(f"no {s}" for s in missing_structs) + " is there"
    elif within(type_values(term), known):
        shown = ""
    else:
        shown = known.describe(term.text)
    at_source = _at_source(places, touch, literal, disjoint(known, values))
    return Missing(
        condition(facts, literal),
        shown,
        touch,
        givers,
        at_source,
        nearest_promise(facts, literal),
        term.opaque is None,
        _mend(places, touch, keeper, term, literal, disjoint(known, values) or bool(missing_structs)),
        tuple(condition(facts, x) for x in instead),
        tuple(
            giver
            for struct in missing_structs
            for giver in _givers(places, Literal(2 * facts.struct_number[struct], True))
        )
        if not givers
        else (),
    )


def _givers(places: Places, literal: Literal) -> tuple[Giver, ...]:
    actions = places.explored.actions
    return tuple(
        Giver(actions[n].name, runs(places, n), where_declared(actions[n]))
        for n in giving(places.explored, literal)
    )


def known_at(places: Places, place: Place) -> list[str]:
    """What is known at a place, as conditions: the structs there, and of each term what is more than its type says."""
    facts = places.facts
    there = [s for s in sorted(facts.structs) if all(t & facts.present_bit(s) for t, _ in place.known)]
    found = [f"has {s}" for s in there]
    promised = (t for m in place.moves for t in terms_promised(places.explored.actions[m.action]))
    asked = (t for t in terms_of(facts.graph.where) if not t.is_struct)
    for term in sorted({*facts.terms, *promised, *asked}, key=lambda t: t.text):
        if not all(s in there for s in term.structs):
            continue
        values, _ = _values_at(places, place, term)
        if not within(type_values(term), values):
            found.append(values.describe(term.text))
    return found


def runs(places: Places, number: int) -> Runs:
    """Whether a member runs on walks to the target, only elsewhere, or never."""
    if number in places.live:
        return "on walks"
    return "off walks" if places.runs(number) else "never"


# ---- facts about structs: presence and freshness


def _about_struct(places: Places, place: Place, literal: Literal, givers: tuple[Giver, ...]) -> Missing:
    facts = places.facts
    name = sorted(facts.struct_number)[literal.bit // 2]
    text = condition(facts, literal)
    if literal.bit % 2:
        number = literal.bit // 2
        by, touch = _last(places, place, lambda effect: effect.derived >> number & 1)
        made = ""
        if by is not None:
            action = places.explored.actions[by]
            gives = action.member.gives if isinstance(action.member, a.Node) else action.member.targets
            made = " and ".join(s for s in gives if s != name)
        known = f"{made or 'something'} was made from {name}"
        mend = "a struct cannot be given anew once another was made from it: let this run earlier"
        return Missing(text, known, touch, (), "no", None, True, mend)
    number = literal.bit // 2
    by, touch = _last(places, place, lambda effect: effect.given >> number & 1)
    if touch is None and name in places.explored.graph.sources:
        touch = Touch(SOURCE, source_where(facts), False)
    if literal.sign:
        mend = "" if givers else f"add a node that gives {name}, or name it in `from`"
        return Missing(text, f"no {name} is there", touch, givers, "no", None, True, mend)
    mend = f"let it take {name} as well, if it is meant to change it"
    return Missing(text, f"{name} is there", touch, (), "no", None, True, mend)


def _last(places: Places, place: Place, does: Callable[[Effect], object]) -> tuple[int | None, Touch | None]:
    """The last action on a walk whose effect does something."""
    for move in reversed(place.moves):
        action = places.explored.actions[move.action]
        if does(action.effect):
            return move.action, Touch(action.name, where_declared(action), False)
    return None, None


# ---- facts about fields


def _trace(
    places: Places, place: Place, literal: Literal, term: Term
) -> tuple[Values, Touch | None, int | None]:
    """What is known of a term at a place, who wrote it last, and that action's number."""
    facts = places.facts
    values, last = _values_at(places, place, term)
    if last is None:
        at_source = all(struct in places.explored.graph.sources for struct in term.structs)
        return values, Touch(SOURCE, source_where(facts, term), False) if at_source else None, None
    known = facts.initial
    for move in place.moves[:last]:
        known = tuple(progress(known, places.explored.actions[move.action].effect)[move.outcome]) or known
    held = all(
        k[0 if literal.sign else 1] >> literal.bit & 1
        and all(k[0] & facts.present_bit(s) for s in term.structs)
        for k in known
    )
    move = place.moves[last]
    action = places.explored.actions[move.action]
    said = values_after(action, move.outcome, term)
    where = where_said(action, term) if said is not None else where_declared(action)
    return values, Touch(action.name, where, held), move.action


def _values_at(places: Places, place: Place, term: Term) -> tuple[Values, int | None]:
    """The values that a term may have at a place, and which of the moves there wrote it last."""
    kind = type_values(term)
    values = values_at_source(places.facts, term) or kind
    last = None
    for i, move in enumerate(place.moves):
        action = places.explored.actions[move.action]
        said = values_after(action, move.outcome, term)
        if writes(action, term):
            values, last = (kind if said is None else said), i
        elif said is not None:
            values = intersection(values, said)
    if term not in places.facts.terms:
        return values, last
    sure = places.supposing.values_in(place.known[0], term)
    for known in place.known[1:]:
        sure = union(sure, places.supposing.values_in(known, term))
    both = intersection(values, sure)
    return (sure if both.empty else both), last


def _at_source(places: Places, touch: Touch | None, literal: Literal, contradicts: bool) -> AtSource:
    if all(k[0 if literal.sign else 1] >> literal.bit & 1 for k in places.facts.initial):
        term, _ = places.facts.atom_text[literal.bit]
        return "promised" if all(s in places.explored.graph.sources for s in term.structs) else "no"
    if touch is None or touch.by != SOURCE:
        return "no"
    return "excluded" if contradicts else "possible"


def _mend(
    places: Places, touch: Touch | None, last: int | None, term: Term, literal: Literal, contradicts: bool
) -> str:
    """What an author could change so that the atom is known there."""
    text = condition(places.facts, literal)
    if touch is None:
        return ""
    if last is None:
        return "" if contradicts else f"ask it of the seeds: `where {text}`"
    member = places.explored.actions[last].member
    if touch.held_before and term.path and isinstance(member, a.Node) and term.structs[0] in member.takes:
        field = (term.structs[0], term.path[0])
        if not _written(member, field):
            return f"let `{touch.by}` keep it: `keeps {'.'.join(field)}`"
    if contradicts:
        return ""
    return f"let `{touch.by}` promise it in its `{'post' if isinstance(member, a.Node) else 'to … where'}`"


def _written(node: a.Node, field: a.FieldRef) -> bool:
    """Whether a step of a node writes a field; what none writes has its default, and could be kept instead."""
    for step in node.steps:
        match step:
            case a.Ask():
                if step.into == field or (step.json is not None and step.json.name == field[0]):
                    return True
                if step.reasoning == field:
                    return True
            case a.Judge():
                if step.score == field:
                    return True
            case a.Assign():
                if step.target == field:
                    return True
            case a.Call():
                return True
            case _:
                pass
    return False
