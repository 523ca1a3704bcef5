"""Verifier `tool_calls`: did the model call the tools that the task calls for, with those arguments, and nothing else?

    facts: {"tools": [a tool's schema, …], "calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]}

How calls are read is in `calling/forms.py`, when two are equal in `calling/equality.py`. An empty list of calls is a task of
relevance: no tool helps, and the right response is a reply in words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from dataforge.verifiers.calling.equality import Expected, match, unlike_calls
from dataforge.verifiers.calling.forms import Call, Form
from dataforge.verifiers.calling.heard import hear
from dataforge.verifiers.calling.replies import claims, describes_call
from dataforge.verifiers.calling.signatures import Signature, misfit, signatures
from dataforge.verifiers.calling.strict_json import written
from dataforge.verifiers.protocol import (
    Candidate,
    Case,
    Facts,
    Response,
    Verdict,
    Verifier,
    error,
    failed,
    passed,
    unparsed,
)
from schemas.task import Task

_COMPARED = 64
"""Of how many calls too many or too few it is still told which are right."""


class ToolCallFacts(Facts):
    """What calls a task calls for."""

    calls: list[Expected] = Field(
        default_factory=list,
        description="the calls that are right: `name`, `arguments`, and where there are several right values "
        "`alternatives` (by argument) and `optional` (arguments that may be left out); empty where no tool is to be called",
    )
    tools: list[dict[str, Any]] = Field(
        default_factory=list,
        description="the tools on offer, in the form of OpenAI's API, the same as `Task.tools`",
    )
    order: Literal["any", "given"] = Field(
        default="any", description="whether the calls come in the given order"
    )
    forms: list[Form] = Field(
        default_factory=list, description="the forms that calls may be written in; empty for any"
    )
    question: str = Field(
        default="", description="what the user asked: a reply that only repeats it is no reply"
    )


class ToolCalls(Verifier[ToolCallFacts]):
    """Whether exactly the right tools are called with exactly the right arguments, or none where none helps."""

    name: ClassVar[str] = "tool_calls"
    family: ClassVar[str] = "tool use"
    facts: ClassVar[type[Facts]] = ToolCallFacts

    def check(self, facts: ToolCallFacts, response: Response) -> Verdict:
        """Compare what is called with what should be, as multisets of typed JSON."""
        try:
            known = signatures(facts.tools)
        except ValueError as wrong:
            return error("task", str(wrong))
        if why := _senseless(facts, known):
            return error("task", why)
        heard = hear(response, known)
        if heard.mute:
            return unparsed(heard.fault, candidates=heard.rejected)
        if heard.fault or any(call.name not in known for call in heard.calls):
            return _turned_down(heard.calls, heard.rejected, heard.fault, known)
        if facts.forms and heard.calls and heard.calls[0].form not in facts.forms:
            return _turned_down(
                heard.calls, heard.rejected, "the calls are written in a form that is not asked for", known
            )
        if not heard.calls:
            if facts.calls:
                return unparsed("no tool is called", candidates=heard.rejected)
            return _reply(heard.prose, facts.question, known, heard.rejected)
        return _compared(facts, heard.calls, heard.span, heard.rejected, known)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Requests to a catalogue of described tools: single, parallel, nested, and such that no tool helps."""
        from dataforge.verifiers.calling.call_tasks import tasks

        return tasks(seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """The right calls in every form, and the same with one thing wrong."""
        from dataforge.verifiers.calling.call_cases import cases

        return cases(rng)


def _senseless(facts: ToolCallFacts, known: dict[str, Signature]) -> str:
    for call in facts.calls:
        if call.name not in known:
            return f"`{call.name}` is expected to be called and is none of the tools"
        signature = known[call.name]
        if why := misfit(call.arguments, signature.root, signature.root):
            return f"the call of `{call.name}` that is expected does not fit the tool: {why}"
        for key in (*call.alternatives, *call.optional):
            if key not in call.arguments:
                return f"`{key}` of `{call.name}` has alternatives, or is optional, and has no value"
    return ""


def _turned_down(
    calls: tuple[Call, ...], rejected: tuple[Candidate, ...], fault: str, known: dict[str, Signature]
) -> Verdict:
    """The verdict on calls that are not even compared."""
    strange = next((call.name for call in calls if call.name not in known), None)
    why = fault or f"there is no tool `{strange}`"
    candidates = [
        Candidate(call.text, call.span, why if call.name in known else f"there is no tool `{call.name}`")
        for call in calls
    ]
    return failed(why, candidates=_ordered(candidates, rejected))


def _reply(
    prose: str, question: str, known: Mapping[str, Signature], rejected: tuple[Candidate, ...]
) -> Verdict:
    """The verdict on a reply where no tool was to be called."""
    if claims(prose):
        return failed("the reply claims to have done what no tool was called for", candidates=rejected)
    if describes_call(prose, known):
        return failed("a call is written out in the reply", candidates=rejected)
    if not any(char.isalnum() for char in prose):
        return unparsed("no tool is called, and nothing is said", candidates=rejected)
    if question and _plain(prose) == _plain(question):
        return failed("the reply only repeats the question", candidates=rejected)
    return passed(prose.strip(), candidates=rejected)


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _compared(
    facts: ToolCallFacts,
    calls: tuple[Call, ...],
    span: tuple[int, int] | None,
    rejected: tuple[Candidate, ...],
    known: dict[str, Signature],
) -> Verdict:
    expected = facts.calls
    extracted = written([call.to_json() for call in calls])
    if not expected:
        why = "no tool was to be called"
        turned = [Candidate(call.text, call.span, why) for call in calls]
        return failed(why, extracted, span, candidates=_ordered(turned, rejected))
    if abs(len(calls) - len(expected)) > _COMPARED:
        why = "there are far too many calls"
        turned = [Candidate(call.text, call.span, why) for call in calls[:_COMPARED]]
        return failed(why, extracted, span, candidates=_ordered(turned, rejected))
    taken = match(expected, calls, known, in_order=facts.order == "given")
    free = [one for at, one in enumerate(expected) if at not in taken]
    candidates: list[Candidate] = []
    reasons: list[str] = []
    for at, (call, place) in enumerate(zip(calls, taken, strict=True)):
        why = ""
        if place is None:
            rivals = free
            if facts.order == "given":
                rivals = expected[at : at + 1]
            why = _amiss(call, rivals, known)
            reasons.append(f"call {at + 1} (`{call.name}`): {why}")
        candidates.append(Candidate(call.text, call.span, why))
    if len(calls) < len(expected):
        reasons.append("a call is missing")
    share = sum(place is not None for place in taken) / max(len(calls), len(expected))
    every = _ordered(candidates, rejected)
    if reasons:
        return failed("; ".join(reasons), extracted, span, candidates=every, parts={"calls": share})
    return passed(extracted, span, candidates=every, parts={"calls": 1.0})


def _amiss(call: Call, rivals: list[Expected], known: dict[str, Signature]) -> str:
    """What is wrong with a call that is none of those that are left over."""
    for rival in rivals:
        if rival.name == call.name:
            return unlike_calls(rival, call, known[call.name])
    return "it is not called for here"


def _ordered(candidates: list[Candidate], rejected: tuple[Candidate, ...]) -> list[Candidate]:
    """In the order of the text; what the server parsed stands behind."""
    return sorted((*candidates, *rejected), key=lambda one: (one.span is None, one.span or (0, 0)))
