"""What a server tells of itself: engine, version, models. A score is a property of these too.

vLLM answers at `/version`, SGLang at `/get_server_info`, llama.cpp at `/props`; all list their models at `/v1/models`. A server
that tells nothing is no error: then nothing is on record.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

_TIMEOUT_S = 2.0
_MOST_BYTES = 1_000_000
_PLACES = (("vllm", "/version", ("version",)), ("sglang", "/get_server_info", ("version", "model_path")),
           ("llama.cpp", "/props", ("build_info",)))  # fmt: skip


def told_by(base_url: str) -> dict[str, Any]:
    """Engine, version and models of the server behind a base URL such as `http://host:8000/v1`."""
    root = base_url.rstrip("/").removesuffix("/v1")
    found: dict[str, Any] = {}
    listed = _get(f"{base_url.rstrip('/')}/models")
    if isinstance(listed, dict) and isinstance(listed.get("data"), list):
        found["models"] = [
            {key: model[key] for key in ("id", "root", "owned_by", "max_model_len") if key in model}
            for model in listed["data"][:8]
            if isinstance(model, dict)
        ]
    if listed is None:
        return {}  # not there, or wants a key
    for engine, path, names in _PLACES:
        told = _get(root + path)
        if isinstance(told, dict) and any(name in told for name in names):
            found |= {"engine": engine, **{name: told[name] for name in names if name in told}}
            break
    return found


def _get(url: str) -> Any:
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the scheme is seen to
            return json.loads(answer.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None
