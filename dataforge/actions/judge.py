"""`judge`: have what the node made graded by a rubric, and say whether it passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from dataforge.actions.ask import ATTEMPTS_A_WALK, sampling, thinking_mode
from dataforge.actions.context import Broken, Draft, Exchange, Rejected
from dataforge.domain import actions as a
from dataforge.domain.conditions import holds
from dataforge.domain.measures import TokenCounter
from dataforge.domain.templates import Unrenderable, render
from dataforge.models import grading
from dataforge.models.client import ChatRequest
from dataforge.models.structured import UnreadableError
from schemas.chat import Message
from schemas.corpus import VerdictLine
from schemas.verdict import Verdict

_PLAIN = frozenset({str, int, bool, type(None)})
"""Types whose values are JSON as they are."""

UNREADABLE_ATTEMPTS = 3
"""How often a judge is asked for a verdict that can be read."""


async def perform(step: a.Judge, draft: Draft, round: int) -> Verdict:
    """Ask for a verdict, write the score, and return the verdict.

    Raises:
        Rejected: where the judge gives no verdict that can be read.
    """
    criteria = criteria_of(step.rubric)
    view = draft.view()
    try:
        extra = render(step.instructions, view, draft.variables) if step.instructions is not None else ""
    except Unrenderable as error:
        raise Broken("R105", str(error)) from error
    context = {name: _shown(view[name]) for name in draft.node.takes if name not in draft.node.gives}
    work = {name: _shown(view[name], _judged(step, name)) for name in draft.node.gives if name in view}
    instructions = "\n\n".join(part for part in (step.rubric.doc, extra) if part)
    prompt = grading.render(criteria, context, work, instructions)
    request = ChatRequest(
        messages=prompt,
        sampling=sampling(step.settings),
        thinking=thinking_mode(step.thinking, step.model),
        schema=grading.verdict_schema(criteria),
        attempt=draft.context.walk * ATTEMPTS_A_WALK,
    )
    complaint = ""
    for _ in range(UNREADABLE_ATTEMPTS):
        reply = await draft.context.call_model(step.model, request, draft.name, "judge")
        exchange = Exchange(
            draft.name, step.model, "judge", prompt, request.messages, reply, reply.text.strip()
        )
        draft.context.exchanges.append(exchange)
        try:
            scores, how = grading.read_verdict(reply.text, criteria)
        except UnreadableError as error:
            complaint = str(error)
            request = replace(
                request,
                messages=(
                    *prompt,
                    Message(role="assistant", content=reply.text or "(nothing)"),
                    Message(
                        role="user",
                        content=f"That cannot be read: {complaint}. Answer again, with the JSON alone.",
                    ),
                ),
                attempt=request.attempt + 1,
            )
            continue
        draft.standing.append(exchange)
        mean, accepted = weigh(step.rubric, {c.criterion: c.score for c in scores}, draft.context.tokens)
        verdict = Verdict(
            node=draft.name,
            round=round,
            accepted=accepted,
            score=round_score(mean),
            criteria=list(scores),
            parsed_by="schema" if reply.constrained and how == "json" else how,
        )
        if step.score is not None:
            type = draft.node.gives[step.score[0]].fields[step.score[1]].type
            # A whole-number field takes the mean rounded down: a 4 there means at least 4.
            draft.write(step.score, math.floor(mean) if type.base == "int" else verdict.score)
        draft.context.verdicts.extend(
            VerdictLine(node=draft.name, criterion=c.criterion, score=c.score, reason=c.reason, round=round)
            for c in scores
        )
        return verdict
    raise Rejected(draft.name, "R106", f"the judge gave no verdict that can be read: {complaint}")


def criteria_of(rubric: a.Rubric) -> tuple[grading.Criterion, ...]:
    """The rubric's criteria as the grading prompt takes them."""
    return tuple(grading.Criterion(c.name, c.text, c.low, c.high) for c in rubric.criteria)


def weigh(rubric: a.Rubric, marks: Mapping[str, float], tokens: TokenCounter) -> tuple[float, bool]:
    """The mean of the marks, by criterion, and whether the rubric accepts them."""
    mean = math.fsum(marks.values()) / len(marks)
    verdict = rubric.verdict.model(**marks, score=mean)
    return mean, rubric.accept is None or holds(rubric.accept, {"verdict": verdict}, tokens)


def round_score(value: float) -> float:
    """Four decimals: enough to order means, few enough to print."""
    return round(value, 4)


def reasons(verdict: Verdict) -> tuple[str, ...]:
    """The verdict as the generator is shown it: criterion, score and reason, worst first."""
    return tuple(
        f"{c.criterion} ({c.score:g}): {c.reason}"
        for c in sorted(verdict.criteria, key=lambda c: (c.score, c.criterion))
    )


def _judged(step: a.Judge, struct: str) -> frozenset[str]:
    """Fields that the judge must not see: its own score, and the model's private thinking."""
    hidden = {"reasoning"}
    if step.score is not None and step.score[0] == struct:
        hidden.add(step.score[1])
    return frozenset(hidden)


def _shown(instance: BaseModel, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields that say something: what is null or empty is left out."""
    # Drafts are made without validation, so only what was really written is there.
    written = instance.__dict__
    fields = {
        name: written[name] for name in type(instance).model_fields if name in written and name not in hidden
    }
    if not all(type(value) in _PLAIN for value in fields.values()):
        data = type(instance).model_construct(None, **fields).model_dump(mode="json", warnings=False)
        fields = {name: data[name] for name in fields}
    return {name: v for name, v in fields.items() if v not in (None, "", [])}
