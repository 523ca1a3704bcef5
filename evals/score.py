"""What became of a sample: its one status, from what the server, the model and the verifier did.

The rules, in this order: a server's failure is never the model's; an answer that passes is right, even where the model was
cut off behind it; a model that was cut off before that is overlong, whatever could be read in what it wrote; what stands in
thinking that did not end is no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dataforge.errors import ModelError, PermanentError
from dataforge.models.client import ChatReply
from dataforge.models.wire import TimedOut
from dataforge.verifiers import Response, Verdict
from evals.task import Item
from schemas.evallog import OF_THE_MODEL, Considered, Problem, Sample, Status

FILTERED = "content_filter"
"""The finish reason of a reply that the server would not give."""


def status_of(response: Response, verdict: Verdict | None) -> Status:
    """The status of an answer.

    Args:
        verdict: None where none was asked for, since there is nothing to judge.
    """
    if response.finish_reason == FILTERED:
        return "refused"
    cut_off = response.finish_reason == "length"
    if verdict is None:
        return "overlong" if cut_off else "empty"
    if verdict.outcome == "error":
        return "fault"
    if verdict.outcome == "passed":
        return "right"
    if cut_off:
        return "overlong"
    return "unparsed" if verdict.outcome == "unparsed" else "wrong"


def says_nothing(response: Response) -> bool:
    """Whether there is nothing to judge: no word, no call, no turn before."""
    return not (response.text.strip() or response.tool_calls or response.turns)


def whole(verdict: Verdict) -> Verdict:
    """A verdict that gives nothing for parts: a score counts right answers, as the benchmarks' own scores do.

    What a verifier gives for parts stays in a sample's `parts`; a task that reports it does so in a measure.
    """
    return verdict if verdict.outcome != "failed" else replace(verdict, score=0.0)


def sample_of(
    task: str,
    item: Item,
    number: int,
    response: Response,
    verdict: Verdict | None,
    replies: Sequence[ChatReply],
    *,
    notes: Mapping[str, Any] | None = None,
    measures: Mapping[str, float] | None = None,
    verify_s: float = 0.0,
) -> Sample:
    """The record of an answer.

    Args:
        replies: of one turn or several, the last of them the one that `response` is of.
    """
    last = replies[-1]
    return Sample(
        **_asked(task, item, number),
        completion=response.text,
        reasoning=response.reasoning,
        tool_calls=[dict(call) for call in response.tool_calls],
        turns=list(response.turns),
        finish_reason=response.finish_reason,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.completion_tokens for reply in replies),
        reasoning_tokens=_reasoning_tokens(response, last) if len(replies) == 1 else None,
        latency_s=round(sum(reply.latency_s for reply in replies), 6),
        requests=sum(reply.attempts for reply in replies),
        model=last.model,
        forced=any(reply.forced for reply in replies),
        **_judgement(status_of(response, verdict), response, verdict),
        measures=dict(measures or {}),
        notes={**item.notes, **(notes or {})},
        verify_s=round(verify_s, 6),
    )


def lost(
    task: str,
    item: Item,
    number: int,
    error: ModelError,
    *,
    by: str = "server",
    reply: ChatReply | None = None,
) -> Sample:
    """The record of a sample that a server kept from us.

    Args:
        by: `server`, or `judge` where the answer is there and its judge could not be asked.
        reply: that answer.
    """
    status: Status = "fault"
    if by == "server":
        if isinstance(error, TimedOut):
            status = "timeout"
        else:
            status = "refused" if isinstance(error, PermanentError) else "unserved"
    said: dict[str, Any] = {}
    if reply is not None:
        said = {
            "completion": reply.text,
            "reasoning": reply.reasoning,
            "finish_reason": reply.finish_reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "latency_s": reply.latency_s,
            "requests": reply.attempts,
            "model": reply.model,
        }
    return Sample(
        **_asked(task, item, number),
        **said,
        status=status,
        reason=error.message,
        notes=dict(item.notes),
        problem=Problem(kind=by, message=error.message, code=error.code),
    )


def judged_again(
    sample: Sample,
    verdict: Verdict,
    *,
    notes: Mapping[str, Any] | None = None,
    measures: Mapping[str, float] | None = None,
) -> Sample:
    """The record under another verdict: what was asked and answered stays."""
    response = response_of(sample)
    status = status_of(response, None if says_nothing(response) else verdict)
    update = {
        **_judgement(status, response, verdict),
        "measures": dict(measures or {}),
        "notes": {**sample.notes, **(notes or {})},
    }
    return sample.model_copy(update=update)


def response_of(sample: Sample) -> Response:
    """The answer of a record, as a verifier reads it."""
    return Response(
        sample.completion,
        sample.reasoning,
        tuple(sample.tool_calls),
        sample.finish_reason,
        tuple(sample.turns),
    )


def _judgement(status: Status, response: Response, verdict: Verdict | None) -> dict[str, Any]:
    """What a record says of its answer's worth."""
    score: float | None = None
    if status in ("right", "wrong"):
        assert verdict is not None
        score = verdict.score
    elif status in OF_THE_MODEL:
        score = 0.0
    problem = None
    if status == "fault":
        assert verdict is not None
        problem = Problem(kind=str(verdict.error), message=verdict.reason)
    elif status == "refused":
        problem = Problem(kind="server", message="the server's content filter withheld the answer")
    told = Verdict("failed", 0.0, "the model said nothing") if verdict is None else verdict
    return {
        "status": status,
        "score": score,
        "extracted": told.extracted,
        "span": told.span,
        "candidates": [Considered(text=c.text, span=c.span, rejected=c.rejected) for c in told.candidates],
        "reason": "" if status == "right" else told.reason,
        "parts": dict(told.parts),
        "problem": problem,
    }


def _asked(task: str, item: Item, number: int) -> dict[str, Any]:
    return {
        "task": task,
        "item": item.id,
        "sample": number,
        "cluster": item.cluster or item.id,
        "topic": item.task.topic,
        "prompt": [{"role": "raw", "content": item.raw}]
        if item.raw
        else [message.wire() for message in item.said()],
        "tools": list(item.task.tools),
    }


def _reasoning_tokens(response: Response, reply: ChatReply) -> int | None:
    """The thinking's part of the completion's tokens, by its part of the characters: servers seldom say."""
    if response.reasoning is None or not reply.completion_tokens:
        return None
    whole = len(response.reasoning) + len(response.text)
    return round(reply.completion_tokens * len(response.reasoning) / whole) if whole else 0
