"""An answer that came as server-sent events, put together into the document that it would have been in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from dataforge.models import wire

_DONE = b"[DONE]"


def is_streamed(body: bytes) -> bool:
    """Whether a body is a stream of events; servers that know no streaming answer in one piece all the same."""
    return body.lstrip()[:6].startswith((b"data:", b"event:", b":", b"id:"))


def assembled(endpoint: wire.Endpoint, body: bytes) -> bytes:
    """The completion, of a chat or a raw one, whose pieces are in a stream.

    Raises:
        Unreachable: the stream ends before the answer does.
    """
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "reasoning": [], "refusal": []}
    raw: list[str] = []
    document: dict[str, Any] = {}
    finish_reason = None
    whole = False
    for event in _events(body):
        if event == _DONE:
            whole = True
            break
        piece = _parsed(event)
        if piece.get("error"):
            return event
        for key in ("model", "usage"):
            document[key] = piece.get(key) or document.get(key)
        choice = wire.first_choice(piece)
        finish_reason = choice.get("finish_reason") or finish_reason
        if isinstance(choice.get("text"), str):
            raw.append(choice["text"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        for key, parts in texts.items():
            if isinstance(delta.get(key), str):
                parts.append(delta[key])
    if not (whole or finish_reason):
        raise wire.broken_off(endpoint, EOFError("the stream ended before the answer did"))
    message = {key: "".join(parts) for key, parts in texts.items() if parts}
    if raw:
        document["choices"] = [{"text": "".join(raw), "finish_reason": finish_reason}]
    elif message or finish_reason:
        document["choices"] = [{"message": message, "finish_reason": finish_reason}]
    return orjson.dumps(document)


def _events(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].strip()


def _parsed(event: bytes) -> dict[str, Any]:
    try:
        piece = orjson.loads(event)
    except ValueError:
        return {}
    return piece if isinstance(piece, dict) else {}
