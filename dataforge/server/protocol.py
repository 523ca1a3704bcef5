"""The server on the wire: pygls, and the state that its handlers share. Nothing here knows the language.

`events` hears of texts that change, `requests` answers questions, `serve` puts them together. What may be long goes over
as plain dictionaries, since pygls spends a tenth of a millisecond on each object of its own.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls import uris
from pygls.exceptions import FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.language_server import lsp_method

from dataforge import __version__
from dataforge.server.actions import Edit
from dataforge.server.analysis import Analysis
from dataforge.server.names import Use
from dataforge.server.publishing import by_file
from dataforge.server.schedule import Schedule
from dataforge.server.text import Text
from dataforge.server.workspace import Workspace


class ForgeProtocol(LanguageServerProtocol):
    """pygls' protocol, without its own copy of each text: ours counts lines as the protocol does."""

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Any:
        """Leave it to our handler."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_OPEN], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Any:
        """Leave it to our handler."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CHANGE], (params,), None

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Any:
        """Leave it to our handler."""
        yield self.fm.features[types.TEXT_DOCUMENT_DID_CLOSE], (params,), None

    def send(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification that is JSON already."""
        self._send_data({"jsonrpc": self.VERSION, "method": method, "params": params})


class ForgeServer(LanguageServer):
    """The server and its state."""

    def __init__(self) -> None:
        super().__init__("dataforge", __version__, protocol_cls=ForgeProtocol)
        self.state = Workspace()
        self.schedule = Schedule(self.state, self._publish, self.complain)
        self.uris: dict[Path, str] = {}
        self._shown: dict[Path, tuple[int | None, list[dict[str, Any]]]] = {}

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Say what went wrong in the client's log, not in a window in front of the text; a request's answer says it."""
        if source is not FeatureRequestError:
            self.complain(str(error))

    def complain(self, text: str) -> None:
        """Tell the client's log of a mistake of ours."""
        message = f"This is a bug of DataForge, not of your input. Please report it:\n{text}"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, message))

    def path_of(self, uri: str) -> Path | None:
        """The file of a URI, resolved; None for what is no file."""
        name = uris.to_fs_path(uri)
        if not name or "\0" in name:
            return None
        return Path(name).resolve()

    def uri_of(self, path: Path) -> str:
        """The URI of a file, as the client writes it where it is open."""
        return self.uris.get(path) or path.as_uri()

    def changed(self, path: Path) -> None:
        """A text is not what it was: the programs that read it are looked at again."""
        mains = self.state.mains_of(path)
        if path.suffix == ".forge":
            mains = [m for m in mains if m != path]
            if path in self.state.documents:
                mains.append(path)
        elif not mains:
            mains = list(dict.fromkeys(forge for forge, _ in self.state.users_of(path)))
        self.schedule.changed(mains)

    def _publish(self, main: Path, analysis: Analysis) -> None:
        read = (p for p in self.state.documents if main in self.state.mains_of(p))
        self.show(main, *read)
        workspace = self.client_capabilities.workspace
        hint = workspace.inlay_hint if workspace is not None else None
        if hint is not None and hint.refresh_support and analysis.graphs:
            self.workspace_inlay_hint_refresh(None)

    def show(self, *anew: Path) -> None:
        """Send the diagnostics of every file of which something else is to be said, or of whose text it is said anew."""
        found = by_file(self.state)
        for path in {*found, *self._shown, *anew}:
            document = self.state.documents.get(path)
            version = document.version if document is not None else None
            said = (version, found.get(path, []))
            if self._shown.get(path) == said:
                continue
            params: dict[str, Any] = {"uri": self.uri_of(path), "diagnostics": said[1]}
            if version is not None:
                params["version"] = version
            assert isinstance(self.protocol, ForgeProtocol)
            self.protocol.send(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)
            self._shown[path] = said
        for path in self._shown.keys() - found.keys() - self.state.documents.keys():
            del self._shown[path]

    def located(self, params: Any) -> tuple[Path, int, Text] | None:
        """File, offset and text of a request about a position."""
        path = self.path_of(params.text_document.uri)
        text = self.state.text(path) if path is not None else None
        if path is None or text is None:
            return None
        return path, text.offset((params.position.line, params.position.character)), text

    def location(self, use: Use) -> types.Location | None:
        text = self.state.text(use.path)
        return types.Location(self.uri_of(use.path), lsp_range(text, use.start, use.end)) if text else None

    def workspace_edit(self, edits: Sequence[Edit]) -> types.WorkspaceEdit:
        changes: dict[str, list[types.TextEdit]] = {}
        for edit in edits:
            text = self.state.text(edit.path)
            if text is not None:
                changed = types.TextEdit(lsp_range(text, edit.start, edit.end), edit.new)
                changes.setdefault(self.uri_of(edit.path), []).append(changed)
        return types.WorkspaceEdit(changes=changes)


_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def answered(handler: _Handler) -> _Handler:
    """A handler whose failure is ours: it is written to the client's log, and the request gets no answer but null."""

    @functools.wraps(handler)
    def answer(server: ForgeServer, params: Any) -> Any:
        try:
            return handler(server, params)
        except JsonRpcException:
            raise
        except Exception:  # noqa: BLE001 - the boundary of every request
            server.complain(traceback.format_exc())
            return None

    return answer  # type: ignore[return-value]


def lsp_range(text: Text, start: int, end: int) -> types.Range:
    first, last = text.position(start), text.position(end)
    return types.Range(types.Position(first.line, first.character), types.Position(last.line, last.character))
