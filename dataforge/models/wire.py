"""What OpenAI-compatible servers answer, good or bad, as replies and errors of ours. Pure functions of what came back.

Servers of this kind agree on little beyond the happy case: errors come as JSON in three shapes, as HTML from a proxy, as
plain text, or inside a body with status 200. Whatever it is, the message says which endpoint and model it was, shows
the beginning of what came back with nothing in it that a terminal would act on, and says what to do.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import orjson

from dataforge.errors import ModelError, PermanentError, QuotaError, RateLimitError, TransientError
from dataforge.models.client import ChatReply
from dataforge.models.thinking import split_thinking

DEFAULT_URL = "https://api.openai.com/v1"
"""OpenAI's own address."""
MAX_BODY_BYTES = 16 * 1024 * 1024
"""No answer is longer; a streamed one, in which each token comes in a wrapping of its own, may be four times that."""
MIN_KEY_CHARS = 8
"""Shorter keys are blotted from nothing: they would be found in every second word."""
_SHOWN_CHARS = 200
_RETRIED = frozenset({408, 409, 425})
_NO_SUCH_PATH = frozenset({404, 405, 501})
_SPENT = re.compile(
    r"insufficient_quota|billing[ _](?:(?:hard|soft)[ _])?limit|credit balance|payment required|(?:insufficient|out of|no) (?:credit|balance|funds)",
    re.IGNORECASE,
)
_SPENT_OR_SLOW = re.compile(r"exceeded your current quota|billing", re.IGNORECASE)
"""What providers say of a spent account, and some of them of a minute's quota too."""
_SLOW = re.compile(r"rate_limit_exceeded|rate limit reached|retrydelay|per minute", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size)|maximum.{0,20}tokens|too (?:long|many tokens)", re.IGNORECASE
)
_USER = re.compile(r"://[^\s/@]*@")
"""Name and password in an address, such as a proxy's."""
_HTML = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)


class TimedOut(TransientError):
    """No answer came in time, which is how a server that queues says that it is asked too much."""


class Unreachable(TransientError):
    """There was no connection, or it broke off before the answer was whole."""


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

    def blot(self, text: str) -> str:
        """The text without the key, be it plain or as it travels in addresses, headers and JSON."""
        for form in _forms(self.key):
            text = text.replace(form, "…")
        return text

    def quote(self, body: bytes | str) -> str:
        """The beginning of what the server said, fit for a message."""
        text = self.blot(body.decode("utf-8", "replace") if isinstance(body, bytes) else body)
        if _HTML.match(text):
            title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
            about = f" titled {_escaped(title[1].strip())!r}" if title else ""
            return f"an HTML page{about}, not JSON"
        return f"“{_escaped(text.strip())}”" if text.strip() else "an empty body"


def refusal(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """The error for an answer with a status that means failure."""
    said = endpoint.quote(_told(body))
    message = f"{endpoint} answered {status}: {said}"
    text = body.decode("utf-8", "replace")
    if _is_spent(status, headers, body):
        return QuotaError(
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
        target = _escaped(endpoint.blot(headers.get("location", "an address that it does not name")))
        return PermanentError(
            f"{endpoint} redirects to {target}; prompts are not sent on to another address",
            help="set `base_url` to the address that really serves the model",
        )
    return PermanentError(message, help=_advice(endpoint, status, text))


def reply(
    endpoint: Endpoint,
    body: bytes,
    *,
    constrained: bool,
    latency_s: float,
    attempts: int = 1,
    continued: bool = False,
) -> ChatReply:
    """The reply in an answer with status 200.

    Args:
        continued: whether the text goes on with what was sent, and is left whole.

    Raises:
        ModelError: the body is no chat completion, or an error in disguise.
    """
    document = _opened(endpoint, body)
    choice = first_choice(document)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _nonsense(endpoint, f"a body without an answer in it: {endpoint.quote(body)}")
    said = _text(message.get("content")) or _text(message.get("refusal"))
    text, reasoning = (said, None) if continued else split_thinking(said)
    given = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if len(endpoint.key) >= MIN_KEY_CHARS:
        _hold_key(endpoint, text, given, reasoning or "")
    return ChatReply(
        text=text,
        reasoning=given or reasoning,
        constrained=constrained,
        latency_s=latency_s,
        attempts=attempts,
        **_particulars(endpoint, document, choice),
    )


def raw_reply(endpoint: Endpoint, body: bytes, *, latency_s: float, attempts: int = 1) -> ChatReply:
    """The reply in an answer to a raw completion: its text as it came.

    Raises:
        ModelError: the body is no completion, or an error in disguise.
    """
    document = _opened(endpoint, body)
    choice = first_choice(document)
    text = choice.get("text")
    if not isinstance(text, str):
        raise _nonsense(endpoint, f"a body without a completion in it: {endpoint.quote(body)}")
    if len(endpoint.key) >= MIN_KEY_CHARS:
        _hold_key(endpoint, text)
    return ChatReply(
        text=text,
        latency_s=latency_s,
        attempts=attempts,
        **_particulars(endpoint, document, choice),
    )


def raw_refusal(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, *, by_ids: bool
) -> ModelError:
    """The error for a raw completion that failed: with code L004 where the server has none, or takes no token ids."""
    said = endpoint.quote(_told(body))
    if status in _NO_SUCH_PATH:
        return PermanentError(
            f"{endpoint} offers no raw completions: {endpoint.url}/completions answered {status}: {said}",
            code="L004",
            help="serve the model with vLLM, SGLang or llama.cpp, which offer them, or use the embedded engine; where the "
            "server does not know the model, check `model`",
        )
    error = refusal(endpoint, status, headers, body)
    if by_ids and status in {400, 422} and not isinstance(error, QuotaError) and not too_long(body):
        return PermanentError(
            f"{endpoint} takes no raw completion of these token ids; it answered {status}: {said}",
            code="L004",
            help="vLLM, SGLang and llama.cpp take token ids as `prompt`; where the server does, check what it says: ids "
            "beyond its vocabulary come from another model's tokenizer",
        )
    return error


def _opened(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    """The document of a good answer.

    Raises:
        ModelError: it is none, or an error in disguise.
    """
    document = _document(endpoint, body)
    if not isinstance(document, dict):
        raise _nonsense(endpoint, endpoint.quote(body))
    failure = document.get("error")
    if failure and not document.get("choices"):
        status = failure.get("code") if isinstance(failure, dict) else None
        raise refusal(endpoint, status if isinstance(status, int) and 300 <= status < 600 else 500, {}, body)
    return document


def _particulars(
    endpoint: Endpoint, document: Mapping[str, Any], choice: Mapping[str, Any]
) -> dict[str, Any]:
    """What both kinds of completions say of themselves, as fields of a reply."""
    usage = document.get("usage") if isinstance(document.get("usage"), dict) else {}
    return {
        "finish_reason": endpoint.blot(str(choice.get("finish_reason") or "stop")),
        "prompt_tokens": _count(usage, "prompt_tokens"),
        "completion_tokens": _count(usage, "completion_tokens"),
        "model": endpoint.blot(str(document.get("model") or endpoint.model)),
    }


def _hold_key(endpoint: Endpoint, *texts: str) -> None:
    """See that an answer does not hold the key that it was asked with.

    Raises:
        PermanentError: it does.
    """
    if any(endpoint.key in said for said in texts):
        raise PermanentError(
            f"{endpoint} answered with the key that it was sent; nothing of the answer is kept",
            help="whoever reads that server's answers has the key: change the key, and do not use the server",
        )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, whether it gives a number or a date; None where it is absent or garbled."""
    told = headers.get("retry-after-ms", "").strip()
    if told.isascii() and told.isdigit() and len(told) < 10:
        return int(told) / 1000
    told = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", told):
        return float(told)
    try:
        then = parsedate_to_datetime(told)
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one with a time zone and one without
        return None


def timed_out(endpoint: Endpoint, waited_s: float, *, connecting: bool = False) -> TimedOut:
    """The error for an answer, or a connection, that did not come in time."""
    slow = "took no connection" if connecting else "did not answer"
    return TimedOut(
        f"{endpoint} {slow} within {waited_s:g} s",
        help="check that the server is up and not overloaded, or raise `total_timeout_s`",
    )


def broken_off(endpoint: Endpoint, cause: BaseException) -> Unreachable:
    """The error for a connection that was refused, reset or ended early."""
    said = _USER.sub("://…@", endpoint.blot(str(cause)))
    return Unreachable(
        f"{endpoint} cannot be reached, or broke off: {_escaped(said) or type(cause).__name__}",
        help="check that the server runs and that `base_url` is its address",
    )


def too_large(endpoint: Endpoint, cap_bytes: int) -> PermanentError:
    """The error for an answer that is longer than any answer should be."""
    return PermanentError(
        f"{endpoint} answered with more than {cap_bytes // 1024**2} MiB",
        help="lower `max_tokens`, and check that `base_url` is a chat API",
    )


def too_long(body: bytes) -> bool:
    """Whether a refusal is about the length of the prompt."""
    return _TOO_LONG.search(body.decode("utf-8", "replace")) is not None


def _is_spent(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a refusal is about an account that has nothing left, rather than about a minute that is too full."""
    if status == 402:
        return True
    if status not in {400, 403, 429}:
        return False
    text = body.decode("utf-8", "replace")
    reason = _reason(body) or text
    if _SPENT.search(reason):
        return True
    slow = "retry-after" in headers or _SLOW.search(text)
    return status != 400 and not slow and _SPENT_OR_SLOW.search(reason) is not None


def _reason(body: bytes) -> str:
    """What an error says of itself, where it has a usual shape, without what it may quote of the prompt."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    told = error if isinstance(error, dict) else document
    if not isinstance(told, dict):
        return ""
    said = (told.get(key) for key in ("message", "code", "type", "status", "detail", "error"))
    return " ".join(one for one in said if isinstance(one, str))


def _document(endpoint: Endpoint, body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    # What the strict reader refuses may still be an answer: models write half a surrogate pair, servers write NaN.
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _nonsense(endpoint, endpoint.quote(body)) from error


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


@functools.lru_cache(maxsize=64)
def _forms(key: str) -> tuple[str, ...]:
    """A key as servers give it back. In Base64 it is a part that is the same after any other text."""
    if len(key) < MIN_KEY_CHARS:
        return ()
    found = [key, key.replace("/", "\\/"), quote(key), quote(key, safe="")]
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        part = whole[(0, 2, 3)[before] : len(whole) - ((before + len(key.encode())) % 3 != 0)]
        found += [part, part.replace("+", "-").replace("/", "_")]
    return tuple(dict.fromkeys(found))


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


def first_choice(document: Mapping[str, Any]) -> dict[str, Any]:
    """The first of a completion's choices; empty where there is none."""
    choices = document.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _text(content: Any) -> str:
    """Content as text; some servers send it in parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(usage: Any, key: str) -> int:
    value = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0
