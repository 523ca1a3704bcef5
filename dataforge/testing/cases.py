"""Examples: the cases that a file writes down, run with the answers that it gives to the models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.domain.measures import simple_tokens
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.plan.linked import Linked
from dataforge.plan.walk import Chance, Position
from dataforge.run.row import Router
from dataforge.testing.findings import Finding, dumped
from dataforge.testing.harness import Answer, Bench, Outcome
from dataforge.testing.strategies import State


class _NoAnswer(Exception):
    """The example has no further answer for a model."""


def run_example(example: a.Example, linked: Linked | None) -> Finding:
    """Run one example.

    Args:
        example: the example.
        linked: the linked graph, where the example is of a graph.
    """
    said = {model: iter(replies) for model, replies in example.replies.items()}

    def answer(model: a.Model, request: ChatRequest, purpose: Any) -> ChatReply:
        reply = next(said.get(model.name, iter(())), None)
        if reply is None:
            raise _NoAnswer(
                f"`{model.name}` is asked once more, and the example has no further answer for it"
            )
        return ChatReply(text=reply.text, reasoning=reply.reasoning, model=model.name)

    def finding(verdict: Any, message: str = "", outcome: Outcome | None = None, part: str = "") -> Finding:
        after = outcome.states[0] if outcome is not None and outcome.states else None
        return Finding(
            f"example {example.name}",
            "example",
            verdict,
            message,
            dumped(after) if after is not None else None,
            tuple(outcome.said) if outcome is not None else (),
            None,
            example.source,
            example.spans.get(part, example.span),
            1,
        )

    given: State = dict(example.given)
    conditions = example.subject.pre if isinstance(example.subject, a.Node) else example.subject.where
    failing = broken(conditions, given, simple_tokens)
    if failing:
        return finding("failed", f"what is given breaks the precondition: {'; '.join(failing)}")
    with Bench() as bench:
        if isinstance(example.subject, a.Node):
            outcome = bench.run(example.subject, example.name, given, answer)
        else:
            assert linked is not None
            ways = walks_by_name(linked, example.walk)
            if len(ways) != 1:
                return finding("failed", _which_walk(example, linked, len(ways)), part="walk")
            names = tuple(name.rpartition("/")[2] for name in ways[0])
            outcome = _travel(bench, linked, names, given, answer)
    if outcome.error is not None:
        return finding("failed", _error(outcome.error), outcome)
    if example.reject is not None:
        if outcome.rejected is None:
            return finding("failed", "it was to be rejected, and was accepted", outcome, "reject")
        reason = f"{outcome.rejected.code}: {outcome.rejected.message}"
        if example.reject.reason not in reason:
            return finding("failed", f"it was rejected for another reason: {reason}", outcome, "reject")
    elif outcome.rejected is not None:
        reason = f"{outcome.rejected.code}: {outcome.rejected.message}"
        return finding("failed", f"`{outcome.rejected.node}` rejected it: {reason}", outcome)
    for after in outcome.states:
        wrong = broken(example.expect, after, simple_tokens)
        if wrong:
            return finding("failed", "; ".join(wrong), outcome, "expect")
    unsaid = [model for model, replies in said.items() if next(replies, None) is not None]
    if unsaid:
        return finding("failed", f"`{unsaid[0]}` was not asked for all of its answers", outcome)
    return finding("passed")


def walks_by_name(linked: Linked, names: tuple[str, ...] | None) -> list[tuple[str, ...]]:
    """Walks by the qualified names of their nodes, at most two: those that visit these names in order, or any."""
    found: dict[tuple[str, ...], None] = {}
    for way in _ways(linked, "", names):
        if names is None or len(way) == len(names):
            found[way] = None
            if len(found) > 1:
                break
    return list(found)


def _ways(linked: Linked, prefix: str, names: tuple[str, ...] | None) -> Iterator[tuple[str, ...]]:
    """Walks through a linked graph that agree with the names as far as they go, inner graphs walked through."""
    stack: list[tuple[int, tuple[str, ...]]] = [(linked.source, ())]
    while stack:
        state, way = stack.pop()
        if state in linked.goals:
            yield way
        for step in reversed(linked.steps[state]):
            action = linked.actions[step.action]
            rest = None if names is None else names[len(way) :]
            longer: list[tuple[str, ...]]
            if isinstance(action.member, a.Node):
                if rest is not None and not (rest and rest[0] in (action.member.name, action.name)):
                    continue
                longer = [(prefix + action.name,)]
            else:
                inner = _ways(linked.inner[action.name], f"{prefix}{action.name}/", rest)
                # Two tell already that there is more than one; a graph may have more walks than could be listed.
                longer = list(itertools.islice(inner, 2 if names is None else None))
            for after in dict.fromkeys(x for x in step.after if x is not None):
                stack.extend((after, way + more) for more in longer)


class _OffTheWalk(Exception):
    """What came out leads elsewhere than the example's walk."""


@dataclass
class _Cursor:
    """How far along its names a row is; shared by the laws of a graph and of those inside it."""

    names: tuple[str, ...]
    done: int = 0
    at: dict[tuple[int, int], int] = field(default_factory=dict)
    """Where it was in each state: several rows, where a node gave many, go on from there one after another."""


class _Named:
    """The walk law of an example: the nodes that it names, in their order."""

    def __init__(self, linked: Linked, cursor: _Cursor) -> None:
        self.linked = linked
        self.cursor = cursor

    def choose(self, position: Position, chance: Chance) -> int | None:
        """As `dataforge.plan.walk.Law` says."""
        cursor = self.cursor
        cursor.done = cursor.at.setdefault((id(self), position.state), cursor.done)
        name = cursor.names[cursor.done] if cursor.done < len(cursor.names) else None
        for step in self.linked.steps[position.state]:
            action = self.linked.actions[step.action]
            if isinstance(action.member, a.Node) and name in (action.member.name, action.name):
                cursor.done += 1
                return step.action
            if isinstance(action.member, a.Graph) and _begins(self.linked.inner[action.name], name):
                return step.action
        if position.state in self.linked.goals:
            return None
        raise _OffTheWalk(
            f"after {' → '.join(cursor.names[: cursor.done]) or 'the source'}, what came out does not lead to "
            f"`{name or 'the target'}`"
        )


def _begins(linked: Linked, name: str | None) -> bool:
    """Whether a walk of the graph may begin with a node of that name."""
    actions = [linked.actions[step.action] for step in linked.steps[linked.source]]
    return any(
        _begins(linked.inner[x.name], name) if x.name in linked.inner else name in (x.member.name, x.name)
        for x in actions
    )


def _travel(
    bench: Bench, linked: Linked, names: tuple[str, ...], given: Mapping[str, BaseModel], answer: Answer
) -> Outcome:
    """Take the row through the graph as a run does, along the named walk."""
    router = Router(linked, 0, "")
    cursor = _Cursor(names)
    for walks in router.walks.values():
        walks.law = _Named(walks.linked, cursor)
    return bench.travel(router, given, answer)


def _which_walk(example: a.Example, linked: Linked, ways: int) -> str:
    if not ways:
        return (
            "no walk of the graph visits just these nodes in this order" if example.walk else "it has no walk"
        )
    if example.walk:
        return "more than one walk visits these nodes in this order"
    return f"`{example.name}` has {linked.paths:,} walks: say which with `walk NODE, NODE`"


def _error(error: Exception) -> str:
    return str(error) if isinstance(error, _NoAnswer | _OffTheWalk) else f"{type(error).__name__}: {error}"
