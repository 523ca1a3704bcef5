"""One node on one state, with written answers in the place of models: what contract tests and examples run."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from dataforge.actions.ask import answer_schema
from dataforge.actions.context import ModelCaller, Purpose, Rejected, RowContext
from dataforge.actions.judge import criteria_of, weigh
from dataforge.actions.node import run_node
from dataforge.domain import actions as a
from dataforge.domain.measures import simple_tokens
from dataforge.models import grading
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.run.row import Router
from dataforge.testing.strategies import State
from dataforge.verifiers import CHECKS, Checks, Response, Verdict, Verifier
from schemas.task import Task

MOST_CORNERS = 729
Answer = Callable[[a.Model, ChatRequest, Purpose], ChatReply]


@dataclass
class Outcome:
    """What came of a node: states, or a rejection, or an exception that should not have been.

    `said` are the answers that the models gave, in order, as (model, text).
    """

    states: list[State] = field(default_factory=list)
    rejected: Rejected | None = None
    error: Exception | None = None
    said: list[tuple[str, str]] = field(default_factory=list)


class Bench:
    """Runs nodes; a context manager, since `call` functions run in threads of an event loop."""

    def __enter__(self) -> Bench:
        self._runner = asyncio.Runner()
        self._runner.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._runner.close()

    def run(
        self,
        node: a.Node,
        name: str,
        state: Mapping[str, BaseModel],
        answer: Answer,
        check: Checks = CHECKS,
    ) -> Outcome:
        """Run a node on a state.

        Args:
            node: the node.
            name: its name, for messages.
            state: the state, which is not copied: whatever the node does to it is the caller's to see.
            answer: what models say.
            check: what verifiers say; as they do in a run by default.
        """
        outcome = Outcome()
        context = row_context(state, answer, outcome)
        context.check = check
        try:
            after = self._runner.run(run_node(node, name, context))
        except Rejected as rejected:
            outcome.rejected = rejected
        except Exception as error:  # noqa: BLE001 - finding those is what the bench is for
            outcome.error = error
        else:
            outcome.states = [dict(c.state) for c in after]
        return outcome

    def travel(self, router: Router, state: Mapping[str, BaseModel], answer: Answer) -> Outcome:
        """Take a row through a whole graph; `router` chooses its walk."""
        outcome = Outcome()
        try:
            arrived, rejected = self._runner.run(router.travel(row_context(state, answer, outcome)))
        except Exception as error:  # noqa: BLE001 - as above
            outcome.error = error
        else:
            outcome.states = [dict(traveller.context.state) for traveller in arrived]
            outcome.rejected = next((why for _, why in rejected), None)
        return outcome


def row_context(state: Mapping[str, BaseModel], answer: Answer, outcome: Outcome) -> RowContext:
    """A row whose models say what `answer` says."""

    async def call_model(model: a.Model, request: ChatRequest, node: str, purpose: Purpose) -> ChatReply:
        reply = answer(model, request, purpose)
        outcome.said.append((model.name, reply.text))
        return reply

    caller: ModelCaller = call_model
    return RowContext(0, 0, caller, simple_tokens, random.Random, dict(state))


class Agreeing(Checks):
    """Verifiers that any answer passes: what a contract promises must hold whichever answers are right."""

    def flaw(self, verifier: Verifier[Any] | None, task: Task) -> str:
        return ""

    async def verdict(self, verifier: Verifier[Any] | None, task: Task, response: Response) -> Verdict:
        return Verdict("passed", 1.0)


def cooperative(node: a.Node, after: Mapping[str, BaseModel], low_marks: bool = False) -> Answer:
    """Models that say just what leads to a wanted state.

    Args:
        node: the node that asks.
        after: the wanted state; its given structs' fields are what generators say.
        low_marks: whether judges give the lowest scores instead of the highest.
    """
    asks = [step for step in node.steps if isinstance(step, a.Ask)]
    judges = [step for step in node.steps if isinstance(step, a.Judge)]

    def answer(model: a.Model, request: ChatRequest, purpose: Purpose) -> ChatReply:
        if purpose == "judge":
            own_judges = [
                j
                for j in judges
                if j.model is model and grading.verdict_schema(criteria_of(j.rubric)) == request.schema
            ]
            return ChatReply(text=_verdict((own_judges or judges)[0], after, low_marks), model=model.name)
        own = [s for s in asks if s.model is model and answer_schema(s, node) == request.schema]
        step = _asking(own or asks, request)
        return ChatReply(text=_saying(step, node, after), model=model.name)

    return answer


def _asking(asks: list[a.Ask], request: ChatRequest) -> a.Ask:
    """The step that a request comes from, which requests do not say: the one whose prompt it looks most like."""
    if len(asks) == 1:
        return asks[0]
    first = next((m.content for m in request.messages if m.role == "user"), "")

    def likeness(step: a.Ask) -> int:
        return sum(word in first for word in step.prompt.text.split() if "{" not in word and "}" not in word)

    return max(asks, key=likeness)


def _saying(step: a.Ask, node: a.Node, after: Mapping[str, BaseModel]) -> str:
    count = node.asks_for_many[0] if node.asks_for_many is not None else 0
    if step.json is not None:
        data = after[step.json.name].model_dump(mode="json")
        return json.dumps({"items": [data] * count} if count else data)
    assert step.into is not None
    value = getattr(after[step.into[0]], step.into[1])
    value = getattr(value, "value", value)
    if count:
        return json.dumps({"items": [value] * count})
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verdict(step: a.Judge, after: Mapping[str, BaseModel], low_marks: bool) -> str:
    criteria = step.rubric.criteria
    marks = [c.low for c in criteria] if low_marks else _good_marks(step, after)
    entries = [
        {"criterion": c.name, "reason": "as it is", "score": mark}
        for c, mark in zip(criteria, marks, strict=True)
    ]
    return json.dumps({"criteria": entries})


def _good_marks(step: a.Judge, after: Mapping[str, BaseModel]) -> list[float]:
    """Marks that the rubric accepts: those that make the wanted score, else high ones, else low ones."""
    criteria = step.rubric.criteria
    choices: list[list[float]] = []
    wanted = getattr(after[step.score[0]], step.score[1]) if step.score is not None else None
    if wanted is not None and all(c.low <= wanted <= c.high for c in criteria):
        choices.append([float(wanted)] * len(criteria))
    corners = itertools.product(*((c.high, (c.low + c.high) / 2, c.low) for c in criteria))
    choices.extend(list(marks) for marks in itertools.islice(corners, MOST_CORNERS))
    names = [c.name for c in criteria]

    def accepted(marks: list[float]) -> bool:
        return weigh(step.rubric, dict(zip(names, marks, strict=True)), simple_tokens)[1]

    return next((marks for marks in choices if accepted(marks)), choices[-1])
