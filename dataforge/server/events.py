"""What the client tells the server: that it begins and ends, and that texts and files change."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lsprotocol import types

from dataforge.server import completion
from dataforge.server.analysis import forget_modules
from dataforge.server.protocol import ForgeServer, answered


@answered
def on_initialize(server: ForgeServer, params: types.InitializeParams) -> None:
    options = params.initialization_options
    if isinstance(options, dict):
        server.state.python = options.get("python", True) is not False
    encoding = server.workspace.position_encoding
    server.state.encoding = str(getattr(encoding, "value", encoding) or "utf-16")  # type: ignore[assignment]


async def on_initialized(server: ForgeServer, params: types.InitializedParams) -> None:
    await asyncio.get_running_loop().run_in_executor(server.schedule.worker, completion.warm)


def on_shutdown(server: ForgeServer, params: None) -> None:
    server.schedule.close()


# ---- texts


@answered
def on_did_open(server: ForgeServer, params: types.DidOpenTextDocumentParams) -> None:
    opened = params.text_document
    path = server.path_of(opened.uri)
    if path is not None:
        server.uris[path] = opened.uri
        server.state.open(path, opened.text, opened.version)
        server.changed(path)


@answered
def on_did_change(server: ForgeServer, params: types.DidChangeTextDocumentParams) -> None:
    path = server.path_of(params.text_document.uri)
    document = server.state.documents.get(path) if path is not None else None
    if path is None or document is None:
        return
    for change in params.content_changes:
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = change.range.start, change.range.end
            document.text = document.text.replaced(
                (start.line, start.character), (end.line, end.character), change.text
            )
        else:
            server.state.open(path, change.text, params.text_document.version)
            document = server.state.documents[path]
    document.version = params.text_document.version
    server.changed(path)


@answered
def on_did_close(server: ForgeServer, params: types.DidCloseTextDocumentParams) -> None:
    path = server.path_of(params.text_document.uri)
    if path is None:
        return
    others = [main for main in server.state.mains_of(path) if main != path]
    server.state.close(path)
    server.state.drop(path)
    server.show()
    server.uris.pop(path, None)
    server.schedule.changed(others)


async def on_did_change_watched_files(server: ForgeServer, params: types.DidChangeWatchedFilesParams) -> None:
    paths = [p for p in (server.path_of(change.uri) for change in params.changes) if p is not None]
    again: dict[Path, None] = {}
    for main, analysis in list(server.state.analyses.items()):
        names = {p.relative_to(analysis.root).as_posix() for p in paths if p.is_relative_to(analysis.root)}
        if names & analysis.modules:
            await asyncio.get_running_loop().run_in_executor(
                server.schedule.worker, forget_modules, analysis.root, sorted(analysis.modules)
            )
            server.state.analyser(main).forget_python()
        missing = any(d.code in ("F012", "F013", "F017") for d in analysis.diagnostics)
        if names & (analysis.modules | analysis.files) or missing or "dataforge.toml" in names:
            again[main] = None
    server.schedule.changed(again)
