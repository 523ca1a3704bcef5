"""Diagnostics as the protocol sends them, file by file.

Several programs may read one file, so what is shown of a file is the union of what they say of it. Positions are those
of the text that was analysed, which the version belongs to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataforge.lang.diagnostics import Diagnostic, Source, Span
from dataforge.server.analysis import Analysis
from dataforge.server.text import Text
from dataforge.server.workspace import Workspace

_SEVERITY = {"error": 1, "warning": 2}
_UNNECESSARY = 1
_UNUSED = "F080"


def by_file(workspace: Workspace) -> dict[Path, list[dict[str, Any]]]:
    """For each file that an analysis speaks of, its diagnostics as JSON."""
    found: dict[Path, dict[object, Diagnostic]] = {}
    for main, analysis in workspace.analyses.items():
        for diagnostic in analysis.diagnostics:
            path = _place(diagnostic, main, analysis)
            found.setdefault(path, {})[diagnostic.sort_key] = diagnostic
    texts: dict[int, Text] = {}
    return {
        path: [_json(d, _text(d.source, workspace, texts)) for d in diagnostics.values()]
        for path, diagnostics in found.items()
    }


def _place(diagnostic: Diagnostic, main: Path, analysis: Analysis) -> Path:
    if not diagnostic.source.text:
        return main  # of the file or the project as a whole
    return (analysis.root / diagnostic.source.path).resolve()


def _text(source: Source, workspace: Workspace, texts: dict[int, Text]) -> Text:
    return texts.setdefault(id(source), Text(source.text, workspace.encoding))


def _json(diagnostic: Diagnostic, text: Text) -> dict[str, Any]:
    help = f"\nhelp: {diagnostic.help}" if diagnostic.help else ""
    found: dict[str, Any] = {
        "range": json_range(text, diagnostic.span),
        "severity": _SEVERITY[diagnostic.severity],
        "code": diagnostic.code,
        "source": "dataforge",
        "message": diagnostic.message + help,
        "data": {"message": diagnostic.message, "help": diagnostic.help},
    }
    if diagnostic.code == _UNUSED:
        found["tags"] = [_UNNECESSARY]
    return found


def json_range(text: Text, span: tuple[int, int] | Span) -> dict[str, Any]:
    """A stretch of a text as the protocol writes it; of at least one character, where there is one."""
    start, end = span
    if end <= start:
        end = min(start + 1, len(text.text)) if text.text[start : start + 1] != "\n" else start
    first, last = text.position(start), text.position(end)
    return {
        "start": {"line": first.line, "character": first.character},
        "end": {"line": last.line, "character": last.character},
    }
