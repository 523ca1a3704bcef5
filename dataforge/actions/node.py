"""Run one node on one row: its steps in order, its contract checked on the real values, its retries and rounds.

Two loops share one shape. Where the outcome breaks the contract, the attempt and the reason go back to the generator,
`retry` times. Where a judge does not accept, the verdict goes back, `rounds` times. Either way the node starts again;
steps before the one that must do better find their replies in the journal and cost nothing. A judge is asked only of work
that breaks nothing of the contract that can be told without it.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.actions import ask, call, judge
from dataforge.actions.context import Broken, Draft, Feedback, Rejected, RowContext
from dataforge.actions.settled import broken_already
from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.domain.structs import first_problem
from dataforge.errors import ContractBug


async def run_node(node: a.Node, name: str, context: RowContext) -> list[RowContext]:
    """Run a node; one context, or several where it gives many.

    Args:
        node: the node.
        name: its qualified name, for records.
        context: the row, whose state satisfies the node's precondition.

    Raises:
        Rejected: where the row cannot go on.
        ContractBug: where the precondition does not hold.
        ModelError, StorageError: where asking a model failed.
    """
    failing = broken(node.pre, context.state, context.tokens)
    missing = [struct for struct in node.takes if struct not in context.state]
    if failing or missing:
        raise ContractBug(
            f"`{name}` was linked where its precondition does not hold: {'; '.join([*failing, *missing])}",
            help="this is a bug of DataForge: please report it with the plan",
        )
    attempts: dict[int, int] = {}
    feedback: dict[int, Feedback] = {}
    retries = 0
    rounds: dict[int, int] = {}
    while True:
        draft = Draft(node, name, context, dict(attempts), dict(feedback))
        refused: tuple[int, a.Judge, Any] | None = None
        try:
            for number, step in enumerate(node.steps):
                draft.step = number
                if isinstance(step, a.Judge):
                    if failing := broken_already(draft):
                        raise Broken("R101", *failing)
                    verdict = await judge.perform(step, draft, rounds.get(number, 0))
                    if not verdict.accepted:
                        refused = (number, step, verdict)
                        break
                else:
                    await _perform(step, draft)
            if refused is None:
                return [_finished(draft, state) for state in _states(draft)]
            code, reasons = "R107", judge.reasons(refused[2])
        except Broken as failure:
            code, reasons = failure.code, failure.reasons
        culprit = max(draft.asked, default=None)
        if refused is not None:
            number, step, _ = refused
            used = rounds.get(number, 0)
            again = culprit is not None and used < step.rounds
            rounds[number] = used + 1
        else:
            again = culprit is not None and retries < node.retry and code != "R105"
            retries += 1
        if not again or culprit is None:
            raise Rejected(name, code, "; ".join(reasons))
        attempts[culprit] = attempts.get(culprit, 0) + 1
        feedback[culprit] = Feedback(draft.asked[culprit].text, tuple(reasons))


async def _perform(step: a.Draw | a.Ask | a.Call | a.Assign, draft: Draft) -> None:
    match step:
        case a.Draw():
            draft.variables[step.name] = draft.context.rng(f"{draft.name}/draw {step.name}").choice(
                step.source.entries
            )
        case a.Ask():
            await ask.perform(step, draft)
        case a.Call():
            await call.perform(step, draft)
        case a.Assign():
            for item in draft.items:
                value = step.value
                if step.term is not None:
                    value = step.term.value(draft.view(item), draft.context.tokens)
                item.setdefault(step.target[0], {})[step.target[1]] = value


def _states(draft: Draft) -> list[dict[str, BaseModel]]:
    """The states after the node, validated and checked against its postcondition.

    Raises:
        Broken: where a value does not fit its type, or the postcondition does not hold.
    """
    found = []
    for item in draft.items:
        state = dict(draft.context.state)
        for name, struct in draft.node.gives.items():
            fields = dict(item.get(name, {}))
            fields |= {
                field: getattr(draft.context.state[name], field)
                for owner, field in draft.node.keeps
                if owner == name
            }
            try:
                state[name] = struct.model.model_validate(fields)
            except ValidationError as error:
                raise Broken("R103", first_problem(error, name)) from error
            if not _finite(state[name].model_dump()):
                raise Broken("R103", f"{name} holds a number that is not finite")
        reasons = broken(draft.node.post, state, draft.context.tokens)
        if reasons:
            raise Broken("R101", *reasons)
        found.append(state)
    return found


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else True


def _finished(draft: Draft, state: dict[str, BaseModel]) -> RowContext:
    after = draft.context.fork(state)
    after.standing.extend(draft.standing)
    return after
