"""What a server is sent: a request of ours as the JSON object that OpenAI-compatible servers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.models.client import ChatRequest, CompletionRequest, Sampling

TOKENS_FIELD = "max_tokens"
NEWER_TOKENS_FIELD = "max_completion_tokens"
"""What OpenAI's newer models want the bound on an answer to be called; they refuse the older name, and say this one."""
_CONTINUES = {"continue_final_message": True, "add_generation_prompt": False, "separate_reasoning": False}
"""Go on with the last message: so vLLM and SGLang know it, and llama.cpp does so by itself. SGLang is asked, too, not to
take an answer for thinking because nothing in it closes any."""


def body(model: str, request: ChatRequest, *, tokens_field: str, format: Any = None) -> dict[str, Any]:
    """The body of a request.

    Args:
        tokens_field: the name of the bound on the answer's tokens.
        format: the value of `response_format`, or None where the answer is not to be constrained.

    Templates know the mode of thinking as `enable_thinking` (Qwen3) or as `thinking` (Hermes 4), and take no notice of the
    other name.
    """
    asked: dict[str, Any] = {"model": model, "messages": [message.wire() for message in request.messages]}
    _sample(asked, request.sampling, tokens_field)
    if format is not None:
        asked["response_format"] = format
    if request.thinking != "auto":
        thinks = request.thinking == "on"
        asked["chat_template_kwargs"] = {"enable_thinking": thinks, "thinking": thinks}
    if request.continues:
        asked |= _CONTINUES
    return asked


def raw_body(model: str, request: CompletionRequest) -> dict[str, Any]:
    """The body of a raw completion. vLLM, SGLang and llama.cpp take a list of token ids for `prompt` as it is."""
    asked: dict[str, Any] = {"model": model, "prompt": request.prompt}
    _sample(asked, request.sampling, TOKENS_FIELD)
    return asked


def _sample(asked: dict[str, Any], sampling: Sampling, tokens_field: str) -> None:
    if sampling.temperature is not None:
        asked["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        asked["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        asked[tokens_field] = sampling.max_tokens
    if sampling.stop:
        asked["stop"] = sampling.stop
    if sampling.seed is not None:
        asked["seed"] = sampling.seed


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a server keep to a schema."""
    answer = {"name": "answer", "schema": dict(schema), "strict": _is_strict(schema)}
    return {"type": "json_schema", "json_schema": answer}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI's strict mode takes the schema: every object closed, with all its properties required."""
    if isinstance(schema, list | tuple):
        return all(map(_is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", {})):
            return False
    return all(map(_is_strict, schema.values()))
