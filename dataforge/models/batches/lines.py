"""The lines of a batch: a chat request as one of its input, one of its output as the reply or the error that it holds.

Pure functions of values. An input line is

    {"custom_id": "<content key>", "method": "POST", "url": "/v1/chat/completions", "body": {…}}

and an output line has either the `response` to that (`status_code` and `body`) or an `error` (`code` and `message`) saying
why the call was never made: the batch expired or was cancelled before its turn, or the model took too long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataforge.errors import TransientError
from dataforge.models import asking, wire
from dataforge.models.client import ChatReply, ChatRequest

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is put, which differs between servers.

    Attributes:
        bare: without its schema, for a server that cannot constrain answers to it.
        newer: with the newer name of `max_tokens`, which OpenAI's reasoning models insist on and older servers do not know.
    """

    bare: bool
    newer: bool


def write(key: str, model: str, request: ChatRequest, form: Form) -> bytes:
    """The line of a batch's input that asks for a request."""
    order = {"custom_id": key, "method": "POST", "url": CHAT, "body": _body(model, request, form)}
    # Pure ASCII: some servers take U+2028 within a string for the end of a line.
    return json.dumps(order, separators=(",", ":")).encode("ascii") + b"\n"


def read(endpoint: wire.Endpoint, line: bytes) -> dict[str, Any]:
    """A line of a batch's output; empty where it holds nothing.

    Raises:
        TransientError: it is no JSON, so what was read was not the whole file, or not the file.
    """
    if not line.strip():
        return {}
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TransientError(
            f"{endpoint} sent a batch's output with a line that is no JSON: {endpoint.quote(line[:4096])}",
            help="start the same command again: the batch is kept, and fetched anew",
        ) from error
    return entry if isinstance(entry, dict) else {}


def reply(
    endpoint: wire.Endpoint, entry: Mapping[str, Any], *, constrained: bool, latency_s: float
) -> ChatReply:
    """The reply in a line of output. One without anything in it stands for a line that never came.

    Raises:
        ModelError: the line holds an error, or no completion.
    """
    response = entry.get("response")
    if not isinstance(response, dict):
        error = entry.get("error")
        said = (error.get("message") or error.get("code")) if isinstance(error, dict) else None
        raise TransientError(
            f"{endpoint} did not make a call of a batch: {endpoint.quote(str(said or 'no reason given'))}",
            help="start the same command again: what is missing is sent in a new batch",
        )
    status = response.get("status_code")
    if status != 200:
        raise wire.refusal(endpoint, status if isinstance(status, int) else 500, {}, body(entry))
    return wire.reply(endpoint, body(entry), constrained=constrained, latency_s=latency_s)


def body(entry: Mapping[str, Any]) -> bytes:
    """What the chat API answered, as it would have come by itself."""
    response = entry.get("response")
    return as_body(response.get("body") if isinstance(response, dict) else None)


def as_body(document: Any) -> bytes:
    """A document as the body that it would have come in."""
    return json.dumps(document).encode("ascii")


def other_form(entry: Mapping[str, Any], request: ChatRequest, form: Form) -> Form | None:
    """The form in which a refused request may pass, or None where its form is not what was wrong."""
    response = entry.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    said = body(entry)
    if status not in {400, 422} or wire.too_long(said):
        return None
    if not form.newer and asking.NEWER_TOKENS_FIELD.encode() in said:
        return Form(form.bare, newer=True)
    if not form.bare and request.schema is not None:
        return Form(bare=True, newer=form.newer)
    return None


def _body(model: str, request: ChatRequest, form: Form) -> dict[str, Any]:
    format = asking.response_format(request.schema) if request.schema is not None and not form.bare else None
    field = asking.NEWER_TOKENS_FIELD if form.newer else asking.TOKENS_FIELD
    return asking.body(model, request, tokens_field=field, format=format)
