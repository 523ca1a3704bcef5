"""`verify`: check the latest answer of a sample against facts that the model was not shown."""

from __future__ import annotations

from typing import Any

from dataforge.actions.context import Draft
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
    verdict = await draft.context.check(step.verifier, task, response)
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
            value = getattr(value, "value", value)  # an enumeration's member
        if value is not None:
            facts[name] = value
    return Task(prompt=prompt, facts=facts)
