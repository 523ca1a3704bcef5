"""The domain: nodes as actions on a state of structs, graphs, and what they are made of.

All of it is resolved and type-checked: names are objects, conditions are sets of values, templates are checked. What a
node `takes`, `gives`, requires (`pre`) and guarantees (`post`, constants, defaults) is what the planner links by; its
`steps` are what a run does, in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from dataforge.domain.conditions import Box, Expr, Term
from dataforge.domain.structs import StructType
from dataforge.domain.templates import Template
from dataforge.lang.diagnostics import Source, Span
from schemas.chat import Thinking

if TYPE_CHECKING:  # a file without `verify` compiles without them
    from dataforge.verifiers import Verifier

FieldRef = tuple[str, str]
"""A struct's canonical name and one of its fields."""


@dataclass(frozen=True, eq=False)
class Model:
    """A logical model: what a `generator` or `judge` declaration names."""

    name: str
    kind: Literal["generator", "judge"]
    settings: Mapping[str, Any]
    source: Source = field(repr=False)
    span: Span


@dataclass(frozen=True, eq=False)
class EntryList:
    """Entries to draw from. `keys` are the keys that every entry has, or None where entries are plain values."""

    name: str
    entries: tuple[Any, ...] = field(repr=False)
    keys: frozenset[str] | None
    path: str | None
    digest: str


@dataclass(frozen=True)
class RubricCriterion:
    """One criterion: its name, what it asks, and its scale."""

    name: str
    text: str
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Rubric:
    """What a judge judges by. `accept` is over a struct `verdict` with a field a criterion and `score`, their mean."""

    name: str
    doc: str
    criteria: tuple[RubricCriterion, ...]
    accept: Expr | None
    verdict: StructType


# ---- steps of a node


@dataclass(frozen=True, eq=False)
class Draw:
    """Draw one entry of a list, by the row's own seed, for the node's templates."""

    name: str
    source: EntryList


@dataclass(frozen=True, eq=False)
class Ask:
    """Ask a generator; its answer becomes one field (`into`) or a whole struct (`json`)."""

    model: Model
    prompt: Template
    system: Template | None
    into: FieldRef | None
    json: StructType | None
    reasoning: FieldRef | None
    thinking: Thinking
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Call:
    """Call a Python function: structs in by name, structs out. `parameters`: its parameter → the struct it gets."""

    target: str
    function: Callable[..., Any] = field(repr=False)
    parameters: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Judge:
    """Have the work judged by a rubric; below `accept`, back to the generator with the verdict, `rounds` times."""

    model: Model
    rubric: Rubric
    score: FieldRef | None
    rounds: int
    instructions: Template | None
    thinking: Thinking
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Verify:
    """Check the answer of the latest `ask` against facts that the model was not shown.

    Attributes:
        verifier: what checks; None where each task says by which verifier it is to be checked.
        facts: its fact → a constant, or the term that holds it.
        task: the taken struct whose `facts` are meant, where the clause gives no arguments.
    """

    verifier: Verifier[Any] | None
    facts: Mapping[str, Any]
    task: str | None


@dataclass(frozen=True, eq=False)
class Assign:
    """Set a field to a constant or to another term's value."""

    target: FieldRef
    value: Any = None
    term: Term | None = None


Step = Draw | Ask | Call | Judge | Verify | Assign


@dataclass(frozen=True, eq=False)
class Rollouts:
    """How a node that verifies samples: it runs as a whole for each sample, and its checks say which may go on.

    Attributes:
        samples: how many are drawn.
        keep: `best` of those that pass, the `first` that passes, or `all` that differ, as rows of their own.
        budget: tokens that the answers of a sample may have in all; None for no bound.
        pass_rate: the share of samples that must pass, least and most; None for any.
        score: where a sample's score goes.
        rate: where the share of samples that passed goes.
    """

    samples: int = 1
    keep: Literal["best", "first", "all"] = "first"
    budget: int | None = None
    pass_rate: tuple[float, float] | None = None
    score: FieldRef | None = None
    rate: FieldRef | None = None


@dataclass(frozen=True, eq=False)
class Branch:
    """After the node, go on by the value that this term turned out to have."""

    term: Term
    else_reject: bool
    span: Span


@dataclass(frozen=True, eq=False)
class Node:
    """An action.

    Attributes:
        takes: structs that must be there; `gives`: structs it writes anew, by canonical name.
        many: whether it fans one row out into several, and how many are allowed.
        pre, post: its contract.
        keeps: fields of given structs that stay as they were.
        constants: fields of given structs whose value is known: constant `set`s and used defaults.
        steps: what a run does, in order.
        rollouts: how it samples, where it verifies.
        retry: further attempts where the outcome breaks the contract.
        weight: for `walk weighted`.
        train: which of its model calls become training rows.
    """

    name: str
    doc: str
    takes: Mapping[str, StructType]
    gives: Mapping[str, StructType]
    many: tuple[int, int] | None
    pre: Expr
    post: Expr
    keeps: tuple[FieldRef, ...]
    constants: Mapping[FieldRef, Any]
    steps: tuple[Step, ...]
    rollouts: Rollouts | None
    branch: Branch | None
    retry: int
    weight: float
    train: Literal["all", "final", "none"]
    requires: tuple[Box, ...] = field(repr=False)
    guarantees: tuple[Box, ...] = field(repr=False)
    """`pre` as clauses and `post` as boxes, for the planner."""
    source: Source = field(repr=False)
    span: Span
    spans: Mapping[str, Span] = field(repr=False, default_factory=dict)
    """Where `pre`, `post`, `gives` stand, for messages."""

    @property
    def asks_for_many(self) -> tuple[int, int] | None:
        """How many items its `ask` is to answer with; None for one, as where each sample is one."""
        return self.many if self.rollouts is None else None


@dataclass(frozen=True, eq=False)
class EmitTurn:
    """One turn of the final sample."""

    role: Literal["system", "user", "assistant", "tool"]
    text: Template
    reasoning: Term | None


@dataclass(frozen=True, eq=False)
class Emit:
    """How a finished state becomes messages: turns, or a field that is a list of messages."""

    turns: tuple[EmitTurn, ...]
    messages: Term | None
    span: Span


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes (and graphs) between one source and one target.

    Attributes:
        sources, targets: structs at the ends, by canonical name.
        where, goal: conditions at the source and at the target.
        members: local name → node or graph, in the order written.
        law: how walks are drawn.
        steps: least and most nodes in a walk, None where it is not bounded.
        seeds: patterns of seed files, relative to the folder of the file that declares the graph.
    """

    name: str
    doc: str
    sources: Mapping[str, StructType]
    targets: Mapping[str, StructType]
    where: Expr
    goal: Expr
    members: Mapping[str, Node | Graph]
    law: Literal["uniform", "weighted", "cover"]
    steps: tuple[int, int | None] | None
    seeds: tuple[str, ...]
    emit: Emit | None
    source: Source = field(repr=False)
    span: Span
    spans: Mapping[str, Span] = field(repr=False, default_factory=dict)

    def nodes(self) -> dict[str, Node]:
        """Every node in it and in the graphs inside, by qualified name (`inner/question`)."""
        found: dict[str, Node] = {}
        for name, member in self.members.items():
            if isinstance(member, Node):
                found[name] = member
            else:
                found.update({f"{name}/{inner}": node for inner, node in member.nodes().items()})
        return found

    def graphs(self) -> dict[str, Graph]:
        """Every graph inside it, by qualified name."""
        found: dict[str, Graph] = {}
        for name, member in self.members.items():
            if isinstance(member, Graph):
                found[name] = member
                found.update({f"{name}/{inner}": graph for inner, graph in member.graphs().items()})
        return found


# ---- examples


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer as an example writes it down."""

    text: str
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedRejection:
    """That the row is rejected, for a reason whose code or message contains this text."""

    reason: str


@dataclass(frozen=True, eq=False)
class Example:
    """One case of a node or graph.

    Attributes:
        name: name of the node or graph in its file.
        given: the structs at the beginning, by canonical name.
        replies: what each model answers, in the order in which it is asked.
        walk: names of the nodes of the walk that it takes, where a graph has several.
        expect: what must hold at the end.
        reject: where the row is to be rejected instead.
    """

    name: str
    doc: str
    subject: Node | Graph
    given: Mapping[str, BaseModel]
    replies: Mapping[str, tuple[Reply, ...]]
    walk: tuple[str, ...] | None
    expect: Expr
    reject: ExpectedRejection | None
    source: Source = field(repr=False)
    span: Span
    spans: Mapping[str, Span] = field(repr=False, default_factory=dict)
