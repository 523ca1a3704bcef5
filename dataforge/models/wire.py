"""What OpenAI-compatible servers answer, good or bad, as replies and errors of ours. Pure functions of what came back.

Servers of this kind agree on little beyond the happy case: errors come as JSON in three shapes, as HTML from a proxy, as
plain text, or inside a body with status 200. Whatever it is, the message says which endpoint and model it was, shows
the beginning of what came back with nothing in it that a terminal would act on, and says what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from dataforge.errors import ModelError, PermanentError, RateLimitError, TransientError
from dataforge.models.client import ChatReply
from dataforge.models.thinking import split_thinking

_SHOWN_CHARS = 200
_RETRIED = frozenset({408, 409, 425})
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|credit balance|payment required", re.IGNORECASE
)
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size)|maximum.{0,20}tokens|too (?:long|many tokens)", re.IGNORECASE
)
_HTML = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked, for messages. The key's value is held only to blot it out of what the server says."""

    url: str
    model: str
    key_variable: str | None = None
    key: str = ""

    def __str__(self) -> str:
        return f"{self.url} (model `{self.model}`)"

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model!r})"

    def quote(self, body: bytes | str) -> str:
        """The beginning of what the server said, fit for a message."""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        if _HTML.match(text):
            title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
            about = f" titled {_escaped(title[1].strip())!r}" if title else ""
            return f"an HTML page{about}, not JSON"
        text = text.replace(self.key, "…") if len(self.key) >= 8 else text
        return f"“{_escaped(text.strip())}”" if text.strip() else "an empty body"


def refusal(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """The error for an answer with a status that means failure."""
    said = endpoint.quote(_told(body))
    message = f"{endpoint} answered {status}: {said}"
    text = body.decode("utf-8", "replace")
    if status in {402, 403, 429} and _QUOTA.search(text):
        return PermanentError(
            message, help="the account's quota is used up: add credit, or bind the model elsewhere"
        )
    if status == 429 or (status == 503 and "retry-after" in headers):
        wait = retry_after_s(headers)
        return RateLimitError(
            message, retry_after_s=wait, help="lower `concurrency` for this model in dataforge.toml"
        )
    if status in _RETRIED or status >= 500:
        return TransientError(message, help="try again later; if it stays so, look at the server's log")
    if 300 <= status < 400:
        target = _escaped(headers.get("location", "an address that it does not name"))
        return PermanentError(
            f"{endpoint} redirects to {target}; prompts are not sent on to another address",
            help="set `base_url` to the address that really serves the model",
        )
    return PermanentError(message, help=_advice(endpoint, status, text))


def reply(endpoint: Endpoint, body: bytes, *, constrained: bool, latency_s: float) -> ChatReply:
    """The reply in an answer with status 200.

    Raises:
        ModelError: the body is no chat completion, or an error in disguise.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _nonsense(endpoint, endpoint.quote(body)) from error
    if not isinstance(document, dict):
        raise _nonsense(endpoint, endpoint.quote(body))
    failure = document.get("error")
    if failure and not document.get("choices"):
        status = failure.get("code") if isinstance(failure, dict) else None
        raise refusal(endpoint, status if isinstance(status, int) and 300 <= status < 600 else 500, {}, body)
    choice = _first(document.get("choices"))
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _nonsense(endpoint, f"a body without an answer in it: {endpoint.quote(body)}")
    text, reasoning = split_thinking(_text(message.get("content")) or _text(message.get("refusal")))
    given = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    usage = document.get("usage") if isinstance(document.get("usage"), dict) else {}
    return ChatReply(
        text=text,
        reasoning=given or reasoning,
        finish_reason=str(choice.get("finish_reason") or "stop"),
        constrained=constrained,
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        latency_s=latency_s,
        model=str(document.get("model") or endpoint.model),
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, whether it gives a number or a date; None where it is absent or garbled."""
    told = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", told):
        return float(told)
    try:
        then = parsedate_to_datetime(told)
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one with a time zone and one without
        return None


def too_long(body: bytes) -> bool:
    """Whether a refusal is about the length of the prompt."""
    return _TOO_LONG.search(body.decode("utf-8", "replace")) is not None


def _nonsense(endpoint: Endpoint, what: str) -> TransientError:
    return TransientError(
        f"{endpoint} answered 200 with {what}",
        help="check that `base_url` is the API's address (it often ends in /v1) and that no proxy answers in its place",
    )


def _advice(endpoint: Endpoint, status: int, text: str) -> str:
    if status in {401, 403}:
        if endpoint.key_variable is None:
            return 'it wants a key: put it in an environment variable and name that with api_key_env = "…"'
        return f"check the key in the environment variable {endpoint.key_variable}, and what it may do"
    if status == 404:
        return "check `model` and `base_url`: the address is wrong, or the server does not serve that model"
    if status == 413 or _TOO_LONG.search(text):
        return "the prompt is too long for the model: shorten the seed or the prompt, or lower `max_tokens`"
    return "check the model's settings in dataforge.toml against what the server says"


def _told(body: bytes) -> bytes | str:
    """The human part of an error body, where it has one of the usual shapes."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    for keys in (("error", "message"), ("message",), ("detail",), ("error",)):
        found: Any = document
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, str) and found.strip():
            return found
    return body


def _escaped(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:_SHOWN_CHARS]
    )
    return shown + ("…" if len(text) > _SHOWN_CHARS else "")


def _first(choices: Any) -> dict[str, Any]:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _text(content: Any) -> str:
    """Content as text; some servers send it in parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(usage: Any, key: str) -> int:
    value = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0
