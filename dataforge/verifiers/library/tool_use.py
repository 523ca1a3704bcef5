"""Verifier `tool_use`: an episode with tools that really run, judged by running its calls again and by where it ends.

    facts: {"tools": ["calculator"], "answer": 391, "required": [{"name": "calculator"}]}

The response brings all its turns. Its calls are executed anew: a tool's turn that says anything else than that call gives
is forged, and the response fails. Then the last reply's `Answer: …`, the calls that had to be made and the state that the
tools are left in are judged. How an episode is driven is in `calling/episode.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from dataforge.errors import InputError
from dataforge.verifiers.calling.answers import Judged, judge, number
from dataforge.verifiers.calling.episode import Episode, Executed, Required, ToolUseFacts, replay
from dataforge.verifiers.calling.equality import unlike_objects
from dataforge.verifiers.calling.tools import TOOLS
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
from dataforge.verifiers.spoken import spoken
from schemas.task import Task


class ToolUse(Verifier[ToolUseFacts]):
    """Whether a conversation with tools that really run ends in the right answer, and nothing in it is made up."""

    name: ClassVar[str] = "tool_use"
    family: ClassVar[str] = "tool use"
    facts: ClassVar[type[Facts]] = ToolUseFacts
    isolation: ClassVar[Literal["inline", "process", "sandbox"]] = "sandbox"
    limit_s: ClassVar[float] = 60.0

    def check(self, facts: ToolUseFacts, response: Response) -> Verdict:
        """Run the calls again, then judge the end."""
        from dataforge.verifiers.sandbox import IsolationError

        try:
            episode, untrue = replay(Task(prompt=""), response, facts)
        except IsolationError as lacking:
            return error("isolation", lacking.message)
        except InputError as senseless:
            return error("task", senseless.message)
        hidden = _fitting(episode.heard.rejected if episode.heard is not None else (), response)
        if untrue:
            return failed(untrue, candidates=hidden)
        if episode.fault:
            mute = episode.heard is not None and (episode.heard.mute or not episode.heard.prose.strip())
            if mute and not episode.executed:
                return unparsed(episode.fault, candidates=hidden)
            return failed(episode.fault, candidates=hidden)
        return _judged(facts, episode, response, hidden)

    def converse(self, task: Task) -> Episode:
        return Episode(task)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Problems that take a calculator, programs, a store, a calendar, tables and units, in one turn or several."""
        from dataforge.verifiers.calling.use_tasks import tasks

        return tasks(seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """Solved episodes, and the same with one thing wrong."""
        from dataforge.verifiers.calling.use_cases import cases

        return cases(rng)


def _judged(
    facts: ToolUseFacts, episode: Episode, response: Response, hidden: tuple[Candidate, ...]
) -> Verdict:
    parts: dict[str, float] = {}
    reasons: list[str] = []
    answer: Judged | None = None
    if facts.answer is not None:
        last = episode.turns[-1]
        offset = spoken(Response(last.content, last.reasoning_content)).offset
        answer = judge(
            response.text, offset, [facts.answer, *facts.accepted], tolerance=facts.tolerance, unit=facts.unit
        )
        parts["answer"] = float(answer.right)
        reasons += [answer.reason] if answer.reason else []
    if facts.required:
        missing = _missing(facts.required, episode.executed)
        parts["calls"] = 1 - len(missing) / len(facts.required)
        reasons += [f"a call of `{one.name}` is missing" for one in missing]
    if facts.final_state is not None:
        astray = [
            kit
            for kit, due in facts.final_state.model_dump(exclude_unset=True).items()
            if not _same(_in_order(due), _in_order(episode.state[kit]))
        ]
        parts["state"] = float(not astray)
        reasons += [f"what is left in the {kit} is not what should be" for kit in astray]
    candidates = (*hidden, *(answer.candidates if answer is not None else ()))
    extracted, span = (answer.found, answer.span) if answer is not None else (None, None)
    if not reasons:
        return passed(extracted, span, candidates=candidates, parts=parts)
    if answer is not None and answer.found is None and not answer.candidates and len(reasons) == 1:
        return unparsed(answer.reason, candidates=candidates)
    return failed("; ".join(reasons), extracted, span, candidates=candidates, parts=parts)


def _missing(required: list[Required], executed: list[Executed]) -> list[Required]:
    """The required calls that were not made. One call stands for one; those with arguments choose first."""
    left = [one.call for one in executed if not one.failed]
    missing: list[Required] = []
    for due in sorted(required, key=lambda one: one.arguments is None):
        root = TOOLS[due.name].schema["function"]["parameters"]
        for at, call in enumerate(left):
            if call.name == due.name and (
                due.arguments is None or not unlike_objects(due.arguments, call.arguments, root, root)
            ):
                del left[at]
                break
        else:
            missing.append(due)
    return missing


def _in_order(kit: Any) -> Any:
    """Events in their order of time: in which order they were added is no matter."""
    if isinstance(kit, list):
        return sorted(kit, key=lambda event: (event["date"], event["start"], event["title"]))
    return kit


def _same(due: Any, found: Any) -> bool:
    """Equal as data. Texts that are both numbers are equal where their values are: a sum may be stored as 12.5 or 12.50."""
    if isinstance(due, dict) and isinstance(found, dict):
        return due.keys() == found.keys() and all(_same(due[key], found[key]) for key in due)
    if isinstance(due, list) and isinstance(found, list):
        return len(due) == len(found) and all(map(_same, due, found))
    if isinstance(due, str) and isinstance(found, str) and due != found:
        one, two = number(due), number(found)
        return one is not None and one == two
    return type(due) is type(found) and bool(due == found)


def _fitting(candidates: tuple[Candidate, ...], response: Response) -> tuple[Candidate, ...]:
    """Candidates whose place is in the last turn; those of earlier turns have none in the response's text."""
    return tuple(
        one
        if one.span is None or response.text[one.span[0] : one.span[1]] == one.text
        else Candidate(one.text, None, one.rejected)
        for one in candidates
    )
