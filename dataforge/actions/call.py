"""`call`: a pure Python function, structs in by name, structs out."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.actions.context import Broken, Draft, Rejected
from dataforge.domain import actions as a
from dataforge.domain.structs import StructType, fields_of
from dataforge.errors import FunctionFailed, Reject


async def perform(step: a.Call, draft: Draft) -> None:
    """Call the function, and write what it returned.

    Raises:
        Rejected: where the function raised `Reject`.
        FunctionFailed: where it raised anything else.
        Broken: where it returned something other than what the node gives.
    """
    arguments = {parameter: draft.context.state[struct] for parameter, struct in step.parameters.items()}
    try:
        # In a thread, so that a slow function does not hold up the other rows.
        result = await asyncio.to_thread(lambda: step.function(**arguments))
    except Reject as rejection:
        raise Rejected(draft.name, "R104", rejection.reason) from rejection
    except (Exception, SystemExit) as error:
        # Foreign code: whatever it raises is reported with its name, and the row counts as failed.
        raise FunctionFailed(
            f"`{step.target}` raised {type(error).__name__}: {error}",
            help="mend the function and choose another --out, or have it raise Reject(reason)",
        ) from error
    if draft.node.many is None:
        draft.items = [_structs(result, step, draft.node.gives)]
        return
    low, high = draft.node.many
    if not isinstance(result, list | tuple):
        raise Broken("R103", f"`{step.target}` must return a list, since the node gives many")
    if not low <= len(result) <= high:
        raise Broken(
            "R103", f"`{step.target}` returned {len(result)} items, and the node gives {low} to {high}"
        )
    draft.items = [_structs(item, step, draft.node.gives) for item in result]


def _structs(result: Any, step: a.Call, gives: dict[str, StructType] | Any) -> dict[str, dict[str, Any]]:
    names = list(gives)
    if len(names) == 1:
        parts = {names[0]: result}
    elif isinstance(result, dict) and set(result) == set(names):
        parts = result
    elif isinstance(result, tuple) and len(result) == len(names):
        parts = dict(zip(names, result, strict=True))
    else:
        raise Broken(
            "R103",
            f"`{step.target}` must return {', '.join(names)}, as a tuple in that order or a dict by name",
        )
    found: dict[str, dict[str, Any]] = {}
    for name, value in parts.items():
        model = gives[name].model
        try:
            instance = value if isinstance(value, model) else model.model_validate(_data(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise Broken("R103", f"`{step.target}` returned no `{name}`: {where}: {first['msg']}") from error
        found[name] = fields_of(instance)
    return found


def _data(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value
