"""The syntax tree of a `.forge` file: what was written, with where, and nothing that has to be looked up.

Every class is frozen; `span` (offsets into the source text) takes no part in equality, so two texts that say the same
have equal trees however they are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf

from dataforge.lang.diagnostics import Span

NOWHERE = Span(0, 0)
LANGUAGE_VERSION = 1
"""Of the `.forge` language: what `forge N` at the head of a file may say."""

Scalar = str | int | float | bool | None


def _span() -> Span:
    return field(default=NOWHERE, compare=False, repr=False)


# ---- leaves


@dataclass(frozen=True, slots=True)
class Name:
    """A single word, where it stands."""

    text: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Ref:
    """`Struct` or `Struct.field.subfield`."""

    parts: tuple[str, ...]
    span: Span = _span()

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text, number, true, false, null, or a list of them."""

    value: Scalar | tuple[Literal, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Text:
    """A template or plain text, written in place or named by file."""

    value: str
    is_file: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Range:
    """`low..high`, inclusive at both ends; None is open."""

    low: int | float | None
    high: int | float | None
    span: Span = _span()


# ---- conditions


@dataclass(frozen=True, slots=True)
class Func:
    """A measure of a field: `words(Passage.text)`; or, standing alone as a condition, a predicate: `longer(A, B)`."""

    name: str
    args: tuple[Ref | Literal, ...]
    span: Span = _span()


Operand = Ref | Func


@dataclass(frozen=True, slots=True)
class Truth:
    """A bare reference or a predicate call, taken as yes or no."""

    operand: Operand
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Has:
    """`has Struct.field`: it is there and not null."""

    ref: Ref
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Compare:
    """`term op term` or `term op literal`."""

    left: Operand
    op: str
    right: Operand | Literal
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class In:
    """`term in low..high` or `term in {a, b}`, perhaps negated."""

    left: Operand
    negated: bool
    right: Range | tuple[Literal, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Not:
    """`not condition`."""

    item: Condition
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class And:
    """`a and b`; a comma between conditions means the same."""

    items: tuple[Condition, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Or:
    """`a or b`."""

    items: tuple[Condition, ...]
    span: Span = _span()


Condition = Truth | Has | Compare | In | Not | And | Or


# ---- declarations


@dataclass(frozen=True, slots=True)
class Imported:
    """One name of an import, with the name it gets here."""

    name: Name
    alias: Name

    @property
    def span(self) -> Span:
        return self.name.span


@dataclass(frozen=True, slots=True)
class Import:
    """`from origin import names`: a dotted Python module, or another `.forge` file."""

    origin: str
    is_file: bool
    names: tuple[Imported, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TypeExpr:
    """A field's type: a named type, an enumeration of texts, or a list."""

    kind: OneOf["name", "enum", "list"]
    name: str = ""
    values: tuple[str, ...] = ()
    item: TypeExpr | None = None
    optional: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class FieldDecl:
    """One field of a struct."""

    name: Name
    type: TypeExpr
    default: Literal | None = None
    doc: str | None = None


@dataclass(frozen=True, slots=True)
class StructDecl:
    """A struct declared in the file."""

    name: Name
    doc: str | None
    fields: tuple[FieldDecl, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """`name value` inside braces; `value` is whatever the setting's form takes."""

    name: Name
    value: Literal | Ref | Text | Range
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ModelDecl:
    """A logical model, bound to a real one by the project file."""

    kind: OneOf["generator", "judge"]
    name: Name
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class ListDecl:
    """A list of entries for `draw`: written in place, or one JSON value a line in a file."""

    name: Name
    path: Literal | None = None
    entries: tuple[Literal, ...] = ()


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion of a rubric: what a judge scores, and on what scale."""

    name: Name
    text: str
    scale: Range


@dataclass(frozen=True, slots=True)
class RubricDecl:
    """What a judge judges by."""

    name: Name
    doc: str | None
    criteria: tuple[Criterion, ...]
    accept: Condition | None = None


@dataclass(frozen=True, slots=True)
class PredicateDecl:
    """A yes-or-no Python function over structs, usable in conditions."""

    name: Name
    params: tuple[Name, ...]
    target: Literal


# ---- nodes


@dataclass(frozen=True, slots=True)
class Takes:
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Gives:
    names: tuple[Name, ...]
    many: bool = False
    count: Range | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Pre:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Post:
    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Keeps:
    refs: tuple[Ref, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    name: Name
    source: Name


@dataclass(frozen=True, slots=True)
class Set:
    ref: Ref
    value: Literal | Operand


@dataclass(frozen=True, slots=True)
class Ask:
    model: Name
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Call:
    target: Literal


@dataclass(frozen=True, slots=True)
class Judge:
    model: Name
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Verify:
    verifier: Name
    args: tuple[Literal | Ref | tuple[Name, Literal | Ref], ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    ref: Ref
    else_reject: bool


@dataclass(frozen=True, slots=True)
class Retry:
    count: Literal


@dataclass(frozen=True, slots=True)
class Weight:
    value: Literal


@dataclass(frozen=True, slots=True)
class Train:
    which: OneOf["all", "final", "none"]
    span: Span = _span()


Clause = (
    Takes
    | Gives
    | Pre
    | Post
    | Keeps
    | Draw
    | Set
    | Ask
    | Call
    | Judge
    | Verify
    | Branch
    | Retry
    | Weight
    | Train
)


@dataclass(frozen=True, slots=True)
class NodeDecl:
    """An action: what it takes and gives, when it may run, what it guarantees, and how it does it."""

    name: Name
    doc: str | None
    clauses: tuple[Clause, ...]


# ---- graphs


@dataclass(frozen=True, slots=True)
class From:
    names: tuple[Name, ...]
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class To:
    names: tuple[Name, ...]
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Nodes:
    """`names` is None for `*`."""

    names: tuple[Name, ...] | None
    excluded: tuple[Name, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Walk:
    law: OneOf["uniform", "weighted", "cover"]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Steps:
    range: Range


@dataclass(frozen=True, slots=True)
class Seeds:
    patterns: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    role: OneOf["system", "user", "assistant", "tool"]
    text: Text
    reasoning: Ref | None = None


@dataclass(frozen=True, slots=True)
class Emit:
    """The final sample: written turns, or a field that is a list of messages."""

    turns: tuple[Turn, ...] = ()
    ref: Ref | None = None


GraphClause = From | To | Nodes | Walk | Steps | Seeds | Emit


@dataclass(frozen=True, slots=True)
class GraphDecl:
    """A set of nodes between a source and a target; the planner finds the edges."""

    name: Name
    doc: str | None
    clauses: tuple[GraphClause, ...]


# ---- examples


@dataclass(frozen=True, slots=True)
class GivenField:
    """One field of a given struct; a tuple is a struct inside it."""

    name: Name
    value: Literal | tuple[GivenField, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A struct that is there when the example begins."""

    struct: Name
    fields: tuple[GivenField, ...]


@dataclass(frozen=True, slots=True)
class Says:
    """What a model answers, the next time that it is asked."""

    model: Name
    text: Text
    reasoning: Text | None = None


@dataclass(frozen=True, slots=True)
class ExampleWalk:
    """Which walk of a graph the example takes, by the names of its nodes."""

    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold at the end."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class ExpectReject:
    """That the row is rejected; `reason` is part of its code or message."""

    reason: Literal | None = None
    span: Span = _span()


ExampleClause = Given | Says | ExampleWalk | Expect | ExpectReject


@dataclass(frozen=True, slots=True)
class ExampleDecl:
    """One case of a node or graph, with the models' answers written down; several may have one name."""

    name: Name
    doc: str | None
    clauses: tuple[ExampleClause, ...]


Item = (
    Import
    | StructDecl
    | ModelDecl
    | ListDecl
    | RubricDecl
    | PredicateDecl
    | NodeDecl
    | GraphDecl
    | ExampleDecl
)


@dataclass(frozen=True, slots=True)
class File:
    """A whole file. `broken` names the items that did not parse, so that uses of them raise no further complaint."""

    items: tuple[Item, ...]
    version: Literal | None = None
    broken: tuple[str, ...] = ()
