"""From rows to items: each checked, each with an id of its own, and a digest over all that is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import orjson

from dataforge.errors import InputError
from evals.data import Rows
from evals.task import EvalTask, Item
from schemas.chat import Message


def items_of(task: EvalTask, rows: Rows) -> list[Item]:
    """The items of an evaluation.

    Raises:
        InputError: E012, a row is not of the form that it reads, two items have one id, or there is none.
    """
    found: list[Item] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows.rows):
        try:
            made = task.item(row, number)
        except (KeyError, TypeError, ValueError) as error:
            what = (
                f"it has no `{error.args[0]}`" if isinstance(error, KeyError) else str(error).splitlines()[0]
            )
            raise InputError(
                f"row {number + 1} of {rows.source} is not of the form that `{task.name}` reads: {what}",
                code="E012",
                help=f"it reads {task.summary[:1].lower()}{task.summary[1:]} See its file in evals/tasks/",
            ) from error
        for item in () if made is None else (made,) if isinstance(made, Item) else made:
            if item.id in seen:
                raise InputError(
                    f"rows {seen[item.id] + 1} and {number + 1} of {rows.source} have the id `{item.id}`",
                    code="E012",
                    help="ids tell items apart: mend the data, or leave out its column of ids",
                )
            seen[item.id] = number
            found.append(item)
    if not found:
        raise InputError(
            f"{rows.source} holds no item of `{task.name}`", code="E012", help="is it the right file?"
        )
    return found


def with_system(item: Item, text: str) -> Item:
    """An item with a system prompt before its own.

    A raw text, which the model goes on from, has no place for one and stays as it is.
    """
    if item.raw:
        return item
    if not item.messages:
        own = item.task.system
        system = text if own is None else f"{text}\n\n{own}"
        return replace(item, task=item.task.model_copy(update={"system": system}))
    first, *others = item.messages
    if first.role != "system":
        return replace(item, messages=(Message(role="system", content=text), *item.messages))
    return replace(
        item, messages=(first.model_copy(update={"content": f"{text}\n\n{first.content}"}), *others)
    )


def items_digest(items: Sequence[Item]) -> str:
    """32 hex digits over all that is asked and judged by: two logs with the same measured the same thing."""
    found = hashlib.blake2b(digest_size=16)
    for item in items:
        said = [message.wire() for message in item.said()]
        found.update(orjson.dumps([item.id, said, item.task.tools, item.task.verifier]))
        found.update(item.task.model_dump_json(include={"facts"}).encode())
    return found.hexdigest()
