"""Rejection sampling: run a node once for each sample, side by side, and go on with those that pass.

Each sample is a whole attempt at the node, on a fork of the row, with calls that are numbered by the sample and so
journalled like any other: what was drawn before a kill is not drawn again. Checks run as each answer arrives. A sample
passes where every `verify` (and `judge`) of the node accepts it and the node's contract holds; what does not pass, or is not kept, stays
on record with the verdict. What is no fault of the model is kept apart: a verifier that failed counts for no sample, and
where code cannot be isolated the run stops.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import BaseModel

from dataforge.actions import judge, verify
from dataforge.actions.attempt import finished, perform, states
from dataforge.actions.context import Broken, Draft, Lost, Rejected, RowContext
from dataforge.actions.settled import broken_already
from dataforge.domain import actions as a
from dataforge.errors import RunError
from schemas.corpus import VerdictLine

UNVERIFIED, UNJUDGED, OFF_RATE, SPARED = "R111", "R112", "R113", "R115"
UNREADABLE = "R106"
PASS_RATE = "pass_rate"  # noqa: S105 - no password
"""The criterion of the verdict line that has the share of a task's samples that pass."""
TURNED_AWAY = "the row is rejected"
NO_ISOLATION = "R114"

AHEAD = 4
"""`keep first` has a quarter of its samples under way: what is when one passes is given up, and was begun for nothing."""

SHINGLE = 5
NEAR = 0.8
"""Two samples of which so large a share of the runs of five words is common (Jaccard) count as one. Punctuation and case count for nothing."""


@dataclass(eq=False)
class _Sample:
    """One sample when it has come to its end: `code` and `reason` say why it is lost, where it is."""

    number: int
    draft: Draft
    scores: list[float] = field(default_factory=list)
    states: list[dict[str, BaseModel]] = field(default_factory=list)
    code: str = ""
    reason: str = ""

    @property
    def passed(self) -> bool:
        return not self.code

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)

    @property
    def trajectory(self) -> str:
        """All that the model wrote, thinking included."""
        asked = [exchange for _, exchange in sorted(self.draft.asked.items())]
        return "\n".join(f"{exchange.reply.reasoning or ''}\n{exchange.text}" for exchange in asked)


async def sampled(node: a.Node, rollouts: a.Rollouts, name: str, context: RowContext) -> list[RowContext]:
    """Draw the node's samples; the row after the one that is kept, or after each of them.

    Raises:
        Rejected: R111 where no sample passes, R112 where the verifier could say nothing, R113 where the share that passes
            is not one that is wanted.
        RunError: R114 where code cannot be isolated on this machine.
        ModelError, StorageError, Interrupted: where asking a model failed.
    """
    for step in node.steps:
        if isinstance(step, a.Verify) and (why := verify.flaw(step, context)):
            raise Rejected(name, UNJUDGED, why)
    drawn = await _draw(node, rollouts, name, context)
    judged = [sample for sample in drawn if sample.code not in (UNJUDGED, UNREADABLE)]
    if rollouts.rate is not None:
        _settle(rollouts.rate, judged)
    right = sum(sample.passed for sample in judged)
    rate = right / len(judged) if judged else 0.0
    told = f"{right} of {len(judged)} samples pass"
    lines = []
    if judged and rollouts.keep != "first":  # else the share that passes is not known
        lines.append(VerdictLine(node=name, criterion=PASS_RATE, score=rate, reason=told, round=0))
    winners = _kept(node, rollouts, [sample for sample in drawn if sample.passed])
    low, high = rollouts.pass_rate or (0.0, 1.0)
    rejection: Rejected | None = None
    if not winners:
        rejection = _none(name, node, drawn, told)
    elif not low <= rate <= high:
        rejection = Rejected(name, OFF_RATE, f"{told}, and `pass_rate` wants {low:g}..{high:g} of them")
    for sample in drawn:
        if sample.passed and (rejection or sample not in winners):
            sample.code = SPARED
            sample.reason = f"it passes, and {TURNED_AWAY if rejection else 'another sample is kept'}"
    lost = [_lost(name, sample, context) for sample in drawn if not sample.passed]
    if rejection is not None:
        earlier = len(context.exchanges)
        for sample in drawn:
            context.exchanges.extend(sample.draft.context.exchanges[earlier:])
        context.lost.extend(lost)
        context.verdicts.extend(lines)
        raise rejection
    after = []
    for place, sample in enumerate(winners):
        (state,) = sample.states
        row = finished(sample.draft, state)
        row.verdicts.extend(lines)
        row.lost.extend(lost if place == 0 else ())
        won = _lost(name, sample, context)
        row.won.append(replace(won, code=SPARED, reason=f"it passes, and {TURNED_AWAY}"))
        after.append(row)
    return after


def _settle(rate: a.FieldRef, judged: Sequence[_Sample]) -> None:
    """Write the share that passes, and make the states with it: those that break `post` do not pass, so it is told again."""
    share = -1.0
    while (now := sum(sample.passed for sample in judged) / len(judged) if judged else 0.0) != share:
        share = now
        for sample in judged:
            if not sample.passed:
                continue
            sample.draft.write(rate, share)
            try:
                sample.states = states(sample.draft)
            except Broken as failure:
                sample.code, sample.reason = failure.code, "; ".join(failure.reasons)


def _none(name: str, node: a.Node, drawn: Sequence[_Sample], told: str) -> Rejected:
    """Why nothing is kept of these samples: in their own words where all have one reason."""
    lost = [sample for sample in drawn if not sample.passed]
    if len(lost) < len(drawn):
        least, _ = node.many or (1, 1)
        return Rejected(name, UNVERIFIED, f"{told}, and the node gives at least {least} that differ")
    codes = {sample.code for sample in lost}
    code = codes.pop() if len(codes) == 1 else UNVERIFIED
    reasons = dict.fromkeys(sample.reason for sample in lost)
    first = next(iter(reasons))
    return Rejected(
        name,
        code,
        first
        if len(drawn) == 1 or code in (UNJUDGED, UNREADABLE)
        else f"{told}; {first}" + (" …" if len(reasons) > 1 else ""),
    )


# ---- drawing


async def _draw(node: a.Node, rollouts: a.Rollouts, name: str, context: RowContext) -> list[_Sample]:
    """The samples that came to an end, in the order of their numbers."""
    numbers = iter(range(rollouts.samples))
    tasks: list[asyncio.Task[_Sample]] = []
    waiting: set[asyncio.Task[_Sample]] = set()

    def begin(many: int) -> None:
        for number in itertools.islice(numbers, many):
            task = asyncio.create_task(_one(node, rollouts, name, context, number))
            tasks.append(task)
            waiting.add(task)

    try:
        begin(max(2, rollouts.samples // AHEAD) if rollouts.keep == "first" else rollouts.samples)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if rollouts.keep == "first" and any(map(_has_passed, done)):
                break
            if not any(map(_has_failed, done)):
                begin(len(done))
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
    samples = [found for found in ended if isinstance(found, _Sample)]
    if rollouts.keep != "first" or not any(sample.passed for sample in samples):
        # What is paid for is in the journal by now, so a failure costs no other sample.
        for found in ended:
            if isinstance(found, BaseException):
                raise found
    return samples


def _has_failed(task: asyncio.Task[_Sample]) -> bool:
    return task.cancelled() or task.exception() is not None


def _has_passed(task: asyncio.Task[_Sample]) -> bool:
    return not _has_failed(task) and task.result().passed


async def _one(node: a.Node, rollouts: a.Rollouts, name: str, context: RowContext, number: int) -> _Sample:
    """One sample, from the first step to its verdict and its state."""
    attempts = dict.fromkeys(range(len(node.steps)), number)
    draft = Draft(node, name, context.fork(context.state), attempts, {})
    sample = _Sample(number, draft)
    try:
        for place, step in enumerate(node.steps):
            draft.step = place
            if isinstance(step, a.Verify):
                await _verify(step, sample)
            elif isinstance(step, a.Judge):
                await _judge(step, sample)
            else:
                await perform(step, draft)
            if sample.code:
                return sample
        if rollouts.budget is not None and draft.tokens > rollouts.budget:
            raise Broken(UNVERIFIED, f"it took {draft.tokens} tokens, and the budget is {rollouts.budget}")
        if rollouts.score is not None:
            draft.write(rollouts.score, sample.score)
        if rollouts.rate is None:
            sample.states = states(draft)
    except Broken as failure:
        sample.code, sample.reason = failure.code, "; ".join(failure.reasons)
    except Rejected as rejected:  # a judge that gives no verdict, a function that turns this answer away
        sample.code, sample.reason = rejected.code, rejected.message
    return sample


async def _verify(step: a.Verify, sample: _Sample) -> None:
    name, verdict = await verify.perform(step, sample.draft, sample.number)
    if verdict.error == "isolation":
        raise RunError(
            f"`{name}` cannot run code safely here: {verdict.reason}",
            code=NO_ISOLATION,
            help="what was finished is kept; enable what is missing and start the same command again",
        )
    if verdict.score is None:
        sample.code, sample.reason = UNJUDGED, verdict.reason
        return
    sample.scores.append(verdict.score)
    if not verdict.passed:
        sample.code, sample.reason = UNVERIFIED, f"{name}: {verdict.reason or verdict.outcome}"


async def _judge(step: a.Judge, sample: _Sample) -> None:
    if failing := broken_already(sample.draft):
        raise Broken("R101", *failing)
    verdict = await judge.perform(step, sample.draft, sample.number)
    low = sum(criterion.low for criterion in step.rubric.criteria) / len(step.rubric.criteria)
    high = sum(criterion.high for criterion in step.rubric.criteria) / len(step.rubric.criteria)
    sample.scores.append(min(1.0, max(0.0, (verdict.score - low) / (high - low))) if high > low else 1.0)
    if not verdict.accepted:
        sample.code, sample.reason = UNVERIFIED, "; ".join(judge.reasons(verdict))


# ---- choosing


def _kept(node: a.Node, rollouts: a.Rollouts, passed: Sequence[_Sample]) -> list[_Sample]:
    """The samples that go on, by `keep`; none where there are fewer than the node must give."""
    if not passed:
        return []
    if rollouts.keep == "first":
        return [passed[0]]
    ranked = sorted(passed, key=lambda sample: (-sample.score, sample.draft.tokens, sample.number))
    if rollouts.keep == "best":
        return [ranked[0]]
    assert node.many is not None
    least, most = node.many
    unique: list[tuple[_Sample, set[tuple[str, ...]]]] = []
    for sample in ranked:
        runs = _shingles(sample.trajectory)
        if len(unique) < most and not any(_near(runs, others) for _, others in unique):
            unique.append((sample, runs))
    return sorted((sample for sample, _ in unique), key=lambda s: s.number) if len(unique) >= least else []


def near(left: str, right: str) -> bool:
    """Whether two texts are the same but for a few words, case and spacing."""
    return _near(_shingles(left), _shingles(right))


def _near(ours: set[tuple[str, ...]], theirs: set[tuple[str, ...]]) -> bool:
    common = len(ours & theirs)
    return common >= NEAR * (len(ours) + len(theirs) - common)


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold()) or text.split()
    return {tuple(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1))}


def _lost(name: str, sample: _Sample, before: RowContext) -> Lost:
    asked = sample.draft.asked
    return Lost(
        node=name,
        sample=sample.number,
        branch=before.branch,
        exchange=asked[max(asked)] if asked else None,
        verdicts=tuple(sample.draft.context.verdicts[len(before.verdicts) :]),
        code=sample.code,
        reason=sample.reason,
        state=sample.states[0] if sample.states else before.state,
    )
