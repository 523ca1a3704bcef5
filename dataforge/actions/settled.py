"""What of a node's postcondition is settled before its judge is asked: no judge is paid for work that is broken already.

A conjunct of `post` is settled at a step where all that it speaks of is: fields that an earlier step has written and no
step from here on writes, fields that are kept, and structs that the node does not give. What the end would say of it can
then be said now. Whatever one cannot be sure of is left for the end: predicates over drafts, nested fields, and structs
whose model has validators of its own, which may change one field by another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)

from dataforge.actions.context import Draft
from dataforge.domain import actions as a
from dataforge.domain.conditions import All, Compared, Expr, Matches, Term, broken, terms_of
from dataforge.domain.structs import StructType

_PLAIN = frozenset(["str", "int", "float", "bool", "enum"])
_FUNCTIONS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)


@dataclass(frozen=True, slots=True)
class _Settled:
    """Conjuncts that can be checked at a step, and how each field that they speak of gets its final value."""

    conjuncts: tuple[Expr, ...]
    fields: Mapping[a.FieldRef, TypeAdapter[Any]]


def broken_already(draft: Draft) -> list[str]:
    """The settled conjuncts that the draft breaks at its present step, in the words that the end would use."""
    settled = _settled(draft.node, draft.step)
    if not settled.conjuncts:
        return []
    (item,) = draft.items  # a node that gives many has no judge
    state: dict[str, BaseModel] = dict(draft.context.state)
    values: dict[str, dict[str, Any]] = {}
    for (struct, field), adapter in settled.fields.items():
        if (struct, field) in draft.node.keeps:
            value = getattr(draft.context.state[struct], field)
        else:
            value = item[struct][field]
        try:
            value = adapter.validate_python(value)
        except ValidationError:
            return []  # of the wrong form, which the end says in its own words
        if isinstance(value, float) and not math.isfinite(value):
            return []  # so is this
        values.setdefault(struct, {})[field] = value
    for struct, fields in values.items():
        state[struct] = draft.node.gives[struct].model.model_construct(None, **fields)
    return [line for conjunct in settled.conjuncts for line in broken(conjunct, state, draft.context.tokens)]


@functools.lru_cache(maxsize=1_024)
def _settled(node: a.Node, number: int) -> _Settled:
    written = {ref for step in node.steps[:number] for ref in _writes(step, node)}
    pending = {ref for step in node.steps[number:] for ref in _writes(step, node)}
    known = {ref for ref in written - pending if _is_plain(node.gives[ref[0]], ref[1])}
    known |= {ref for ref in node.keeps if _is_plain(node.gives[ref[0]], ref[1])}
    conjuncts = []
    fields: dict[a.FieldRef, TypeAdapter[Any]] = {}
    for conjunct in _conjuncts(node.post):
        refs = [ref for term in terms_of(conjunct) for ref in _speaks_of(term, node)]
        if all(ref in known for ref in refs):
            conjuncts.append(conjunct)
            fields |= {ref: _adapter(node.gives[ref[0]], ref[1]) for ref in refs}
    return _Settled(tuple(conjuncts) if fields else (), fields)


def _writes(step: a.Step, node: a.Node) -> Iterator[a.FieldRef]:
    match step:
        case a.Ask():
            if step.into is not None:
                yield step.into
            if step.json is not None:
                yield from ((step.json.name, field) for field in step.json.fields)
            if step.reasoning is not None:
                yield step.reasoning
        case a.Call():
            yield from ((name, field) for name, struct in node.gives.items() for field in struct.fields)
        case a.Judge() if step.score is not None:
            yield step.score
        case a.Assign():
            yield step.target


def _conjuncts(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, All):
        for item in expr.items:
            yield from _conjuncts(item)
    else:
        yield expr


def _speaks_of(term: Term, node: a.Node) -> Iterator[a.FieldRef]:
    """The fields of given structs that a term's value depends on; of a whole struct, one that is never settled."""
    match term.relation:
        case Matches(inner):
            yield from _speaks_of(inner, node)
        case Compared(left, _, right):
            yield from _speaks_of(left, node)
            yield from _speaks_of(right, node)
        case None:
            for struct in term.structs:
                if struct in node.gives:
                    yield (struct, term.path[0] if len(term.path) == 1 else "")


def _is_plain(struct: StructType, field: str) -> bool:
    """Whether the field's final value depends on what was written into it alone."""
    found = struct.model.__pydantic_decorators__
    if found.field_validators or found.model_validators or found.validators or found.root_validators:
        return False
    metadata = struct.model.model_fields[field].metadata
    return struct.fields[field].type.base in _PLAIN and not any(isinstance(m, _FUNCTIONS) for m in metadata)


def _adapter(struct: StructType, field: str) -> TypeAdapter[Any]:
    """What makes the field's final value of a written one, as the struct's model would."""
    info = struct.model.model_fields[field]
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return TypeAdapter(annotation, config=struct.model.model_config)
