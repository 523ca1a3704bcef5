"""`verify`: check the latest answer of a sample against facts that the model was not shown."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel

from dataforge.actions.context import Draft, RowContext
from dataforge.domain import actions as a
from dataforge.domain.conditions import Term
from dataforge.verifiers import Response, Verdict
from schemas.corpus import VerdictLine
from schemas.task import Task


async def perform(step: a.Verify, draft: Draft, sample: int) -> tuple[str, Verdict]:
    """Ask the verifier, and put its verdict on record; its name comes with the verdict."""
    exchange = draft.asked[max(draft.asked)]
    task = _task(step, draft, exchange.prompt[-1].content)
    name = step.verifier.name if step.verifier is not None else task.verifier
    reply = exchange.reply
    response = Response(reply.text, reply.reasoning, finish_reason=reply.finish_reason)
    verdict = await draft.context.check.verdict(step.verifier, task, response)
    if verdict.score is not None:
        draft.context.verdicts.append(
            VerdictLine(
                node=draft.name,
                criterion=name,
                score=verdict.score,
                reason=verdict.reason or verdict.outcome,
                round=sample,
            )
        )
    return name, verdict


def flaw(step: a.Verify, context: RowContext) -> str:
    """What is wrong with the task that a row brings, before a sample of it is paid for; empty where nothing is."""
    if step.task is None:
        return ""
    found = context.state[step.task]
    assert isinstance(found, Task)
    return context.check.flaw(step.verifier, found)


def _task(step: a.Verify, draft: Draft, prompt: str) -> Task:
    view = draft.view()
    if step.task is not None:
        found = view[step.task]
        assert isinstance(found, Task)
        return found
    facts: dict[str, Any] = {}
    for name, value in step.facts.items():
        if isinstance(value, Term):
            value = value.value(view, draft.context.tokens)
            if isinstance(value, Enum):
                value = value.value
            elif isinstance(value, BaseModel):
                value = value.model_dump(mode="json")
        if value is not None:
            facts[name] = value
    return Task(prompt=prompt, facts=facts)
