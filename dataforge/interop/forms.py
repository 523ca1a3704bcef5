"""A row of a corpus in the forms that other trainers read: each one a function from the row to a JSON object.

| form | reads it | turns that are not trained |
|---|---|---|
| `jsonl` | `dataforge pack` and `train`, and whatever knows OpenAI's messages | marked, `train: false` |
| `axolotl` | Axolotl's `chat_template`, with `message_field_training: train` | marked |
| `trl` | TRL's `SFTTrainer` | it has no mark for them |
| `sharegpt` | LLaMA-Factory and older trainers; tools as Hermes writes them | it has no mark for them |

`thinking` is kept in a field of its own, written into the content as `<think>…</think>`, or dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from dataforge.interop.groups import message_json
from schemas.chat import Message
from schemas.corpus import Row

Thinking = Literal["field", "inline", "drop"]
Form = Callable[[Row, Thinking | None], dict[str, Any]]

_FROM = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def jsonl(row: Row, thinking: Thinking | None) -> dict[str, Any]:
    """Messages with their `train` marks, and the columns that our own trainer reads."""
    told: dict[str, Any] = {"id": row.id, "messages": [_marked(m, thinking or "field") for m in row.messages]}
    if row.tools:
        told["tools"] = tools(row)
    if row.thinking is not None:
        told["thinking"] = row.thinking
    return told | {"kind": row.kind}


def axolotl(row: Row, thinking: Thinking | None) -> dict[str, Any]:
    """Messages with their `train` marks."""
    told: dict[str, Any] = {"messages": [_marked(m, thinking or "field") for m in row.messages]}
    return told | {"tools": tools(row)} if row.tools else told


def trl(row: Row, thinking: Thinking | None) -> dict[str, Any]:
    """TRL's conversational form of a language-modelling data set."""
    told: dict[str, Any] = {"messages": messages(row.messages, thinking or "field")}
    return told | {"tools": tools(row)} if row.tools else told


def sharegpt(row: Row, thinking: Thinking | None) -> dict[str, Any]:
    """`conversations` of `from` and `value`; calls and results of tools stand in the text, in Hermes' tags."""
    told: dict[str, Any] = {"conversations": [_turn(m, thinking or "inline") for m in row.messages]}
    return told | {"tools": json.dumps(tools(row), ensure_ascii=False)} if row.tools else told


FORMS: Mapping[str, Form] = {"jsonl": jsonl, "trl": trl, "axolotl": axolotl, "sharegpt": sharegpt}
UNMARKED = frozenset({"trl", "sharegpt"})
"""Forms that cannot say which turns of the assistant are not to be trained."""


def messages(told: Sequence[Message], thinking: Thinking) -> list[dict[str, Any]]:
    """Messages without marks."""
    return [message_json(_thought(message, thinking)) for message in told]


def tools(row: Row) -> list[Any]:
    """The tools on offer, as objects."""
    return [json.loads(tool) for tool in row.tools or ()]


def has_untrained_turns(row: Row) -> bool:
    """Whether something that the assistant says is there for context only."""
    return any(message.role == "assistant" and not message.train for message in row.messages)


def _marked(message: Message, thinking: Thinking) -> dict[str, Any]:
    return message_json(_thought(message, thinking)) | {"train": message.train}


def _thought(message: Message, thinking: Thinking) -> Message:
    """A message with its thinking where it is wanted."""
    if message.reasoning_content is None or thinking == "field":
        return message
    content = message.content
    if thinking == "inline":
        content = f"<think>\n{message.reasoning_content.strip()}\n</think>\n\n{content}"
    return message.model_copy(update={"content": content, "reasoning_content": None})


def _turn(message: Message, thinking: Thinking) -> dict[str, Any]:
    shown = _thought(message, thinking)
    said = shown.content
    for call in message.tool_calls or ():
        function = call.get("function", call)
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                pass  # as the model wrote it, which was no JSON
        call_json = json.dumps({"name": function.get("name"), "arguments": arguments}, ensure_ascii=False)
        said += ("\n" if said else "") + f"<tool_call>\n{call_json}\n</tool_call>"
    if message.role == "tool" and not said.lstrip().startswith("<tool_response>"):
        said = f"<tool_response>\n{said}\n</tool_response>"
    told: dict[str, Any] = {"from": _FROM[message.role], "value": said}
    if shown.reasoning_content:
        told["reasoning_content"] = shown.reasoning_content
    return told
