"""`ask`: render the prompt, ask the generator, and read its answer into a field or a struct."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dataforge.actions.context import Broken, Draft, Exchange, Feedback
from dataforge.domain import actions as a
from dataforge.domain.structs import FieldType, StructType, fields_of, first_problem
from dataforge.domain.templates import Unrenderable, render
from dataforge.models.client import ChatRequest, Sampling
from dataforge.models.structured import UnreadableError, parse_json, parse_model
from schemas.chat import Message, Thinking

ATTEMPTS_A_WALK = 1_000
"""Walks of one seed number their attempts apart, so that the same prompt gets another sample in another walk."""


async def perform(step: a.Ask, draft: Draft) -> None:
    """Ask, and write what was answered.

    Raises:
        Broken: where the answer is empty, cut off, or not of the form that the step wants.
    """
    schema = answer_schema(step, draft.node)
    prompt = _prompt(step, draft, schema)
    sent = [*prompt, *_again(draft.feedback.get(draft.step), schema)]
    request = ChatRequest(
        messages=tuple(sent),
        sampling=_of_a_sample(sampling(step.settings), draft),
        thinking=thinking_mode(step.thinking, step.model),
        schema=schema,
        attempt=draft.context.walk * ATTEMPTS_A_WALK + draft.attempts.get(draft.step, 0),
    )
    reply = await draft.context.call_model(step.model, request, draft.name, "ask")
    text = reply.text.strip()
    exchange = Exchange(draft.name, step.model, "ask", prompt, request.messages, reply, text)
    draft.context.exchanges.append(exchange)
    draft.asked[draft.step] = exchange
    if reply.finish_reason == "length":
        raise Broken(
            "R102", f"the answer was cut off after {reply.completion_tokens} tokens; it must be shorter"
        )
    if reply.finish_reason == "content_filter":
        raise Broken("R102", "the endpoint's content filter stopped the answer")
    if not text:
        raise Broken("R102", "the answer was empty")
    _read(step, draft, text)
    if step.reasoning is not None:
        draft.write(step.reasoning, reply.reasoning)
    draft.standing.append(exchange)


def sampling(settings: Any) -> Sampling:
    """Sampling parameters as the step sets them; what it leaves out the model's binding fills in."""
    stop = settings.get("stop", ())
    return Sampling(
        temperature=settings.get("temperature"),
        top_p=settings.get("top_p"),
        max_tokens=settings.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=settings.get("seed"),
    )


def _of_a_sample(sampling: Sampling, draft: Draft) -> Sampling:
    """With a seed of the sample's own, and no more tokens than the node's budget leaves: those beyond it would be thrown away."""
    rollouts = draft.node.rollouts
    if rollouts is None:
        return sampling
    left = None if rollouts.budget is None else max(1, rollouts.budget - draft.tokens)
    return replace(sampling, at_most=left, seed_shift=draft.attempts.get(draft.step, 0))


def thinking_mode(own: Thinking, model: a.Model) -> Thinking:
    """What the step says, else what its model's declaration does."""
    return model.settings.get("thinking", "auto") if own == "auto" else own


def _prompt(step: a.Ask, draft: Draft, schema: dict[str, Any] | None) -> tuple[Message, ...]:
    view = draft.view()
    try:
        user = render(step.prompt, view, draft.variables)
        system = render(step.system, view, draft.variables) if step.system is not None else None
    except Unrenderable as error:
        raise Broken("R105", str(error)) from error
    if schema is not None:
        user += "\n\nAnswer with JSON alone, following this schema:\n" + json.dumps(
            schema, ensure_ascii=False
        )
    messages = [Message(role="user", content=user)]
    if system and not system.isspace():
        messages.insert(0, Message(role="system", content=system))
    return tuple(messages)


def _again(feedback: Feedback | None, schema: dict[str, Any] | None) -> list[Message]:
    """The failed attempt and the reason, as two more turns."""
    if feedback is None:
        return []
    reasons = "\n".join(f"- {reason}" for reason in feedback.reasons)
    form = "the whole JSON" if schema is not None else "the whole text, and nothing else"
    return [
        Message(role="assistant", content=feedback.text or "(nothing)"),
        Message(role="user", content=f"That is not good enough:\n{reasons}\n\nAnswer again with {form}."),
    ]


# ---- reading answers


def answer_schema(step: a.Ask, node: a.Node) -> dict[str, Any] | None:
    """JSON Schema that the answer must follow, or None where it is taken as text."""
    if step.json is not None:
        return _schema(step.json, node.asks_for_many)
    if node.asks_for_many is not None and step.into is not None:
        low, high = node.asks_for_many
        items = {"type": "array", "items": {"type": "string"}, "minItems": low, "maxItems": high}
        return {
            "type": "object",
            "properties": {"items": items},
            "required": ["items"],
            "additionalProperties": False,
        }
    return None


@functools.lru_cache(maxsize=1_024)
def _schema(struct: StructType, many: tuple[int, int] | None) -> dict[str, Any]:
    one = struct.json_schema
    if many is None:
        return one
    definitions = {"$defs": one["$defs"]} if "$defs" in one else {}
    item = {k: v for k, v in one.items() if k != "$defs"}
    items = {"type": "array", "items": item, "minItems": many[0], "maxItems": many[1]}
    return {"type": "object", "properties": {"items": items}, "required": ["items"], **definitions}


def _read(step: a.Ask, draft: Draft, text: str) -> None:
    node = draft.node
    try:
        if node.asks_for_many is not None:
            schema = answer_schema(step, node)
            assert schema is not None
            value = parse_json(text, schema).value
            entries = value["items"]
            if step.json is not None:
                name, model = step.json.name, step.json.model
                draft.items = [{name: fields_of(model.model_validate(entry))} for entry in entries]
            else:
                assert step.into is not None
                draft.items = [{step.into[0]: {step.into[1]: str(entry).strip()}} for entry in entries]
        elif step.json is not None:
            instance, _ = parse_model(text, step.json.model)
            for item in draft.items:
                item.setdefault(step.json.name, {}).update(fields_of(instance))
        else:
            assert step.into is not None
            type = node.gives[step.into[0]].fields[step.into[1]].type
            draft.write(step.into, from_text(text, type))
    except UnreadableError as error:
        raise Broken("R103", str(error)) from error
    except ValidationError as error:
        raise Broken("R103", first_problem(error)) from error


def from_text(text: str, type: FieldType) -> Any:
    """A whole answer as the value of a field.

    Raises:
        Broken: where it is none.
    """
    if type.base == "str":
        return text
    word = text.strip().strip("\"'`*.").strip()
    if type.base in ("enum", "bool"):
        allowed = [str(v).lower() if type.base == "bool" else str(v) for v in type.values.listed(64) or ()]
        folded = {v.casefold(): v for v in allowed}
        if type.base == "bool":
            folded |= {"yes": "true", "no": "false"}
        if word.casefold() not in folded:
            raise Broken("R103", f"the answer must be one of {', '.join(allowed)}, alone")
        found = folded[word.casefold()]
        return found == "true" if type.base == "bool" else found
    try:
        return TypeAdapter(int if type.base == "int" else float).validate_python(word)
    except ValidationError as error:
        raise Broken("R103", "the answer must be a number, alone") from error
