"""Responses in the making: the right calls of a task, written in one of the forms with every freedom that it leaves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from dataforge.verifiers.calling import writing
from dataforge.verifiers.calling.catalogue import OFFERS, request
from dataforge.verifiers.calling.forms import BARE, FORMS, Form
from dataforge.verifiers.protocol import Response
from schemas.task import Task

Sent = list[tuple[str, dict[str, Any]]]

_THOUGHTS = (
    "The user wants this done; one of the tools fits.", "Let me see which arguments are needed.\n\nAll of them are given.",
    "Hmm, first the names, then the values.", "1. read 2. think 3. call", "", "用户想要什么？ 调用工具。",
)  # fmt: skip
_LEADS = (
    "",
    "",
    "",
    "Sure.",
    "I'll look that up for you.",
    "Let me do that:\n",
    "Einen Moment, bitte …",
    "🔧 On it!",
    "Here is `code`: {x}.",
)
_TAILS = ("", "", "", "\n", "\n\nOne moment.", " I'll tell you what I find.")


@dataclass(slots=True)
class Draft:
    """A response in the making: `lead`, `body` and `tail` are its text."""

    task: Task
    sent: Sent
    form: Form
    body: str
    server: list[dict[str, Any]]
    lead: str = ""
    tail: str = ""


def drafted(task: Task, rng: random.Random, form: Form | None = None, sent: Sent | None = None) -> Draft:
    """The right calls (or those given), written in a form."""
    sent = sent if sent is not None else freely(task, rng)
    allowed: Sequence[Form] = task.facts.get("forms") or FORMS
    chosen: Form = form if form is not None else rng.choice(allowed)
    draft = Draft(task, sent, chosen, "", [])
    if chosen == "openai":
        draft.server = [
            writing.server_call(name, arguments, rng, id=f"call_{at}")
            for at, (name, arguments) in enumerate(sent)
        ]
        draft.body = rng.choice(("", "", "Let me check that."))
        return draft
    try:
        draft.body = writing.text_of(sent, chosen, rng)
    except writing.CannotCarry:
        draft.form = "hermes"
        draft.task = task.model_copy(update={"facts": {**task.facts, "forms": []}})
        draft.body = writing.text_of(sent, "hermes", rng)
    if draft.form not in BARE or draft.body.startswith("<|python_tag|>"):
        draft.lead = rng.choice(_LEADS)
    if draft.form not in (*BARE, "mistral"):
        draft.tail = rng.choice(_TAILS)
    elif draft.form == "llama" and rng.random() < 0.2:
        draft.tail = rng.choice(("\n", "<|eom_id|>", "<|eot_id|>"))
    return draft


def freely(task: Task, rng: random.Random) -> Sent:
    """The expected calls, with what a task leaves free drawn: order, alternatives, defaults, 2 for 2.0."""
    sent: Sent = []
    for call in task.facts["calls"]:
        properties = properties_of(task, call["name"])
        arguments = deepcopy(call["arguments"])
        for key in list(arguments):
            schema = properties[key]
            if key in call.get("optional", ()) and rng.random() < 0.5:
                del arguments[key]
                continue
            others = call.get("alternatives", {}).get(key)
            if others and rng.random() < 0.5:
                arguments[key] = deepcopy(rng.choice(others))
            elif "default" in schema and schema["default"] == arguments[key] and rng.random() < 0.5:
                del arguments[key]
            elif schema.get("type") == "number" and rng.random() < 0.5:
                arguments[key] = _other_number(arguments[key])
            elif (
                schema.get("type") == "array"
                and schema["items"].get("type") == "number"
                and rng.random() < 0.5
            ):
                arguments[key] = [_other_number(part) for part in arguments[key]]
        for key, schema in properties.items():
            if key not in call["arguments"] and "default" in schema and rng.random() < 0.3:
                arguments[key] = schema["default"]
        sent.append((call["name"], arguments))
    if task.facts.get("order", "any") == "any":
        rng.shuffle(sent)
    return sent


def _other_number(value: int | float) -> int | float:
    if isinstance(value, int):
        return float(value)
    return int(value) if value.is_integer() else value


def finished(draft: Draft) -> Response:
    lead = draft.lead + "\n" if draft.lead and draft.body and not draft.lead.endswith("\n") else draft.lead
    return Response(lead + draft.body + draft.tail, tool_calls=tuple(draft.server), finish_reason="stop")


def with_thinking(response: Response, rng: random.Random, decoy: str = "") -> Response:
    """The response with some thinking, which may hold calls: they do not count."""
    kind = rng.choice(("none", "none", "tags", "template", "field")) if not decoy else "tags"
    if kind == "none":
        return response
    thought = rng.choice(_THOUGHTS)
    if decoy or rng.random() < 0.2:
        made = request(rng.choice(OFFERS), rng)
        thought += "\n" + (decoy or writing.block(made.offer.name, made.arguments, rng))
    if kind == "field":
        return replace(response, reasoning=thought)
    opened = "<think>\n" if kind == "tags" else ""
    return replace(response, text=f"{opened}{thought}\n</think>\n\n{response.text}")


def properties_of(task: Task, name: str) -> dict[str, Any]:
    for tool in task.facts["tools"]:
        if tool["function"]["name"] == name:
            found: dict[str, Any] = tool["function"]["parameters"]["properties"]
            return found
    raise KeyError(name)
