"""The tools `store_…`: a key-value store, which the state keeps under `store`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.verifiers.calling.tools.tool import State, Tool, ToolError

MOST = 200
"""The most keys."""

_KEY = {"type": "string", "description": "the key"}


def _get(state: State, arguments: Mapping[str, Any]) -> Any:
    return _held(state, arguments["key"])


def _set(state: State, arguments: Mapping[str, Any]) -> Any:
    store = state.setdefault("store", {})
    if arguments["key"] not in store and len(store) >= MOST:
        raise ToolError("the store is full")
    store[arguments["key"]] = arguments["value"]
    return "stored"


def _delete(state: State, arguments: Mapping[str, Any]) -> Any:
    _held(state, arguments["key"])
    del state["store"][arguments["key"]]
    return "deleted"


def _list(state: State, arguments: Mapping[str, Any]) -> Any:
    return sorted(key for key in state.get("store", {}) if key.startswith(arguments.get("prefix", "")))


def _held(state: State, key: str) -> Any:
    store: dict[str, Any] = state.get("store", {})
    if key not in store:
        raise ToolError(f"there is no key `{key}`")
    return store[key]


TOOLS = (
    Tool("store_get", "Reads the value of a key.", {"key": _KEY}, ("key",), _get),
    Tool(
        "store_set",
        "Writes the value of a key; one that is there already is replaced.",
        {"key": _KEY, "value": {"type": "string", "description": "the value, as text"}},
        ("key", "value"),
        _set,
    ),
    Tool("store_delete", "Deletes a key.", {"key": _KEY}, ("key",), _delete),
    Tool(
        "store_list",
        "Lists the keys, sorted.",
        {"prefix": {"type": "string", "default": "", "description": "only keys that begin so"}},
        (),
        _list,
    ),
)
"""All of them."""
