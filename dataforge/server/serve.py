"""The whole server, on stdin and stdout.

The collector of cyclic garbage is held while the server runs: a full collection of a large program's analysis takes
longer than an answer may (`schedule` collects in pauses).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

from lsprotocol import types

from dataforge.server import events, requests, symbols
from dataforge.server.protocol import ForgeServer

SWITCH_INTERVAL_S = 0.0005
"""How long the analysis may hold the interpreter while a request waits; each message is handed over some six times."""


def make_server() -> ForgeServer:
    """A server with every feature."""
    server = ForgeServer()

    def feature(method: str, handler: Callable[..., Any], options: Any = None) -> None:
        server.feature(method, options)(_bound(server, handler))

    feature(types.INITIALIZE, events.on_initialize)
    feature(types.INITIALIZED, events.on_initialized)
    feature(types.SHUTDOWN, events.on_shutdown)
    feature(types.TEXT_DOCUMENT_DID_OPEN, events.on_did_open)
    feature(types.TEXT_DOCUMENT_DID_CHANGE, events.on_did_change)
    feature(types.TEXT_DOCUMENT_DID_CLOSE, events.on_did_close)
    feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES, events.on_did_change_watched_files)
    feature(types.TEXT_DOCUMENT_HOVER, requests.on_hover)
    feature(
        types.TEXT_DOCUMENT_COMPLETION,
        requests.on_completion,
        types.CompletionOptions(trigger_characters=list('."{|')),
    )
    feature(types.TEXT_DOCUMENT_DEFINITION, requests.on_definition)
    feature(types.TEXT_DOCUMENT_REFERENCES, requests.on_references)
    feature(types.TEXT_DOCUMENT_PREPARE_RENAME, requests.on_prepare_rename)
    feature(types.TEXT_DOCUMENT_RENAME, requests.on_rename, types.RenameOptions(prepare_provider=True))
    feature(types.TEXT_DOCUMENT_FORMATTING, requests.on_format)
    kinds = types.CodeActionOptions([types.CodeActionKind.QuickFix])
    feature(types.TEXT_DOCUMENT_CODE_ACTION, requests.on_code_action, kinds)
    feature(types.TEXT_DOCUMENT_INLAY_HINT, requests.on_inlay_hint)
    feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, requests.on_document_symbol)
    feature(types.TEXT_DOCUMENT_FOLDING_RANGE, requests.on_folding_range)
    legend = types.SemanticTokensLegend(list(symbols.TOKEN_TYPES), [])
    feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, requests.on_semantic_tokens_full, legend)
    feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE, requests.on_semantic_tokens_range, legend)
    return server


def _bound(server: ForgeServer, handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler of one argument, as pygls calls it."""
    if asyncio.iscoroutinefunction(handler):

        async def answer_later(params: Any) -> Any:
            return await handler(server, params)

        return answer_later

    def answer(params: Any) -> Any:
        return handler(server, params)

    return answer


def serve() -> None:
    """Talk to a client on stdin and stdout until it says to stop."""
    logging.getLogger("pygls").addHandler(logging.NullHandler())
    logging.getLogger("pygls").propagate = False
    logging.lastResort = None
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.disable()
    make_server().start_io()
