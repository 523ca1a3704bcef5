"""One attempt at a node: its steps up to the end, and the states that come of them."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.actions import ask, call
from dataforge.actions.context import Broken, Draft, RowContext
from dataforge.domain import actions as a
from dataforge.domain.conditions import broken
from dataforge.domain.structs import first_problem


async def perform(step: a.Draw | a.Ask | a.Call | a.Assign, draft: Draft) -> None:
    """Do a step that judges nothing.

    Raises:
        Broken: where its outcome breaks the contract.
        Rejected: where the row cannot go on.
    """
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


def states(draft: Draft) -> list[dict[str, BaseModel]]:
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


def finished(draft: Draft, state: dict[str, BaseModel]) -> RowContext:
    """The row after the node."""
    after = draft.context.fork(state)
    after.standing.extend(draft.standing)
    return after
