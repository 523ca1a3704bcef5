"""A real client: pygls' own, speaking JSON-RPC over stdio to a real `dataforge lsp`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import BaseLanguageClient

WAIT_S = 30


class Editor(BaseLanguageClient):
    """An editor with some files open. Positions are found by the text around a mark."""

    def __init__(self) -> None:
        super().__init__("test-editor", "1")
        self.shown: dict[str, types.PublishDiagnosticsParams] = {}
        self.log: list[str] = []
        self._news = asyncio.Event()
        self.versions: dict[Path, int] = {}
        self.texts: dict[Path, str] = {}

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            self.shown[params.uri] = params
            self._news.set()

        @self.feature(types.WINDOW_LOG_MESSAGE)
        def _(params: types.LogMessageParams) -> None:
            self.log.append(params.message)

    # ---- texts

    def open(self, path: Path, text: str | None = None) -> None:
        text = path.read_text(encoding="utf-8") if text is None else text
        self.texts[path], self.versions[path] = text, 1
        language = "forge" if path.suffix == ".forge" else "jinja"
        item = types.TextDocumentItem(path.as_uri(), language, 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def replace(self, path: Path, old: str, new: str) -> None:
        """Change the first place of a text, as typing does: by a range."""
        text = self.texts[path]
        start = text.index(old)
        first, last = position(text, start), position(text, start + len(old))
        self.texts[path] = text[:start] + new + text[start + len(old) :]
        self.versions[path] += 1
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.versions[path], path.as_uri()),
                [types.TextDocumentContentChangePartial(types.Range(first, last), new)],
            )
        )

    def apply(self, edit: types.WorkspaceEdit) -> dict[Path, str]:
        """What the files become by an edit."""
        found: dict[Path, str] = {}
        for uri, changes in (edit.changes or {}).items():
            path = path_of(uri)
            text = self.texts.get(path) or path.read_text(encoding="utf-8")
            for change in sorted(
                changes, key=lambda c: (c.range.start.line, c.range.start.character), reverse=True
            ):
                start, end = offset(text, change.range.start), offset(text, change.range.end)
                text = text[:start] + change.new_text + text[end:]
            found[path] = text
        return found

    # ---- questions

    def at(self, path: Path, mark: str, nth: int = 0) -> dict[str, Any]:
        """A place: `|` in the mark is the cursor, the rest is the text around it."""
        before, _, after = mark.partition("|")
        start = -1
        for _ in range(nth + 1):
            start = self.texts[path].index(before + after, start + 1)
        return {
            "text_document": types.TextDocumentIdentifier(path.as_uri()),
            "position": position(self.texts[path], start + len(before)),
        }

    async def diagnostics(self, path: Path) -> list[types.Diagnostic]:
        """Those of the version that is open now."""
        uri, version = path.as_uri(), self.versions.get(path)
        await self.until(lambda: uri in self.shown and self.shown[uri].version == version)
        return list(self.shown[uri].diagnostics)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for diagnostics that make something true."""
        async with asyncio.timeout(WAIT_S):
            while not happened():
                self._news.clear()
                await self._news.wait()

    async def labels(self, path: Path, mark: str, nth: int = 0) -> list[str]:
        found = await self.text_document_completion_async(types.CompletionParams(**self.at(path, mark, nth)))
        assert isinstance(found, list)
        return [item.label for item in found]

    async def hover(self, path: Path, mark: str, nth: int = 0) -> str:
        found = await self.text_document_hover_async(types.HoverParams(**self.at(path, mark, nth)))
        return "" if found is None else found.contents.value  # type: ignore[union-attr]

    async def actions(self, path: Path) -> list[types.CodeAction]:
        """The mends of all that is wrong with a file."""
        diagnostics = await self.diagnostics(path)
        found = await self.text_document_code_action_async(
            types.CodeActionParams(
                types.TextDocumentIdentifier(path.as_uri()),
                types.Range(types.Position(0, 0), types.Position(10_000, 0)),
                types.CodeActionContext(diagnostics),
            )
        )
        return [action for action in found or [] if isinstance(action, types.CodeAction)]


@contextlib.asynccontextmanager
async def editor(folder: Path, *, options: Any = None, snippets: bool = True) -> AsyncIterator[Editor]:
    """An editor on a folder; at the end the server has stopped by itself, and has said nothing on stderr."""
    client = Editor()
    await client.start_io(sys.executable, "-m", "dataforge", "lsp", "--stdio")
    capabilities = types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(
            completion=types.CompletionClientCapabilities(
                completion_item=types.ClientCompletionItemOptions(snippet_support=snippets)
            ),
        )
    )
    await client.initialize_async(
        types.InitializeParams(capabilities, root_uri=folder.as_uri(), initialization_options=options)
    )
    client.initialized(types.InitializedParams())
    try:
        yield client
        await client.shutdown_async(None)
        server = client._server
        client.exit(None)
        assert server is not None
        assert await asyncio.wait_for(server.wait(), WAIT_S) == 0
        assert server.stderr is not None
        assert (await server.stderr.read()).decode() == ""
        assert client.log == []
    finally:
        if client._server is not None and client._server.returncode is None:
            client._server.kill()
        await client.stop()


def position(text: str, at: int) -> types.Position:
    """An offset as an editor counts it: UTF-16 units in a line."""
    line = text.count("\n", 0, at)
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return types.Position(line, len(before.encode("utf-16-le")) // 2)


def offset(text: str, place: types.Position) -> int:
    lines = text.split("\n")
    before = sum(len(line) + 1 for line in lines[: place.line])
    line = lines[place.line] if place.line < len(lines) else ""
    inside = line.encode("utf-16-le")[: 2 * place.character].decode("utf-16-le", "ignore")
    return min(before + len(inside), len(text))


def path_of(uri: str) -> Path:
    from pygls.uris import to_fs_path

    return Path(to_fs_path(uri) or "")
