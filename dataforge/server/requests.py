"""What the client asks: each handler turns a position into an offset, asks one feature, and turns offsets back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from dataforge.server import actions, completion, definitions, hints, hover, symbols
from dataforge.server.actions import Complaint
from dataforge.server.protocol import ForgeServer, answered, lsp_range
from dataforge.server.publishing import json_range
from dataforge.server.text import Text

MOST_COLOURED = 60_000
"""A longer text gets the colours of what is on the screen only."""
_REQUEST_FAILED = -32803


@answered
def on_hover(server: ForgeServer, params: types.HoverParams) -> types.Hover | None:
    at = server.located(params)
    found = hover.hover(server.state, at[0], at[1]) if at is not None else None
    if at is None or found is None:
        return None
    content = types.MarkupContent(types.MarkupKind.Markdown, found.markdown)
    return types.Hover(content, lsp_range(at[2], found.start, found.end))


_COMPLETION_KINDS: dict[str, int] = {
    "keyword": types.CompletionItemKind.Keyword.value,
    "struct": types.CompletionItemKind.Struct.value,
    "field": types.CompletionItemKind.Field.value,
    "value": types.CompletionItemKind.EnumMember.value,
    "model": types.CompletionItemKind.Class.value,
    "list": types.CompletionItemKind.Variable.value,
    "rubric": types.CompletionItemKind.Class.value,
    "node": types.CompletionItemKind.Method.value,
    "graph": types.CompletionItemKind.Module.value,
    "predicate": types.CompletionItemKind.Function.value,
    "measure": types.CompletionItemKind.Function.value,
    "setting": types.CompletionItemKind.Property.value,
    "variable": types.CompletionItemKind.Variable.value,
    "filter": types.CompletionItemKind.Function.value,
    "file": types.CompletionItemKind.File.value,
    "type": types.CompletionItemKind.TypeParameter.value,
}
_SNIPPET = types.InsertTextFormat.Snippet.value


@answered
def on_completion(server: ForgeServer, params: types.CompletionParams) -> list[dict[str, Any]]:
    at = server.located(params)
    found = completion.complete(server.state, at[0], at[1]) if at is not None else []
    document = server.client_capabilities.text_document
    item = document.completion.completion_item if document is not None and document.completion else None
    snippets = item is not None and bool(item.snippet_support)
    return [_completion_json(c, snippets) for c in found]


def _completion_json(found: completion.Completion, snippets: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "label": found.label,
        "kind": _COMPLETION_KINDS[found.kind],
        "sortText": f"{found.rank}{found.label}",
    }
    if found.detail:
        answer["detail"] = found.detail
    if found.doc:
        answer["documentation"] = {"kind": "markdown", "value": found.doc}
    if found.insert and (snippets or not found.is_snippet):
        answer["insertText"] = found.insert
        if found.is_snippet:
            answer["insertTextFormat"] = _SNIPPET
    if found.kind == "value" and found.label.startswith('"'):
        answer["filterText"] = found.insert or found.label
    return answer


@answered
def on_definition(server: ForgeServer, params: types.DefinitionParams) -> types.Location | None:
    at = server.located(params)
    found = definitions.definition(server.state, at[0], at[1]) if at is not None else None
    return server.location(found) if found is not None else None


@answered
def on_references(server: ForgeServer, params: types.ReferenceParams) -> list[types.Location]:
    at = server.located(params)
    if at is None:
        return []
    declaration = params.context.include_declaration
    found = definitions.references(server.state, at[0], at[1], declaration=declaration)
    return [place for place in map(server.location, found) if place is not None]


@answered
def on_prepare_rename(
    server: ForgeServer, params: types.PrepareRenameParams
) -> types.PrepareRenamePlaceholder:
    at = server.located(params)
    if at is None:
        raise JsonRpcException("there is no such file", _REQUEST_FAILED)
    try:
        found = definitions.renamed_word(server.state, at[0], at[1])
    except definitions.Refused as refused:
        raise JsonRpcException(str(refused), _REQUEST_FAILED) from refused
    return types.PrepareRenamePlaceholder(lsp_range(at[2], found.start, found.end), found.text)


@answered
def on_rename(server: ForgeServer, params: types.RenameParams) -> types.WorkspaceEdit:
    at = server.located(params)
    if at is None:
        raise JsonRpcException("there is no such file", _REQUEST_FAILED)
    try:
        edits = definitions.rename(server.state, at[0], at[1], params.new_name)
    except definitions.Refused as refused:
        raise JsonRpcException(str(refused), _REQUEST_FAILED) from refused
    return server.workspace_edit(edits)


async def on_format(
    server: ForgeServer, params: types.DocumentFormattingParams
) -> list[types.TextEdit] | None:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if path is None or text is None or path.suffix != ".forge":
        return None
    new = await asyncio.get_running_loop().run_in_executor(
        server.schedule.worker, _formatted, text.text, path.name
    )
    if new is None or new == text.text:
        return None
    start, end, inserted = smallest_change(text.text, new)
    return [types.TextEdit(lsp_range(text, start, end), inserted)]


def _formatted(text: str, name: str) -> str | None:
    """The canonical form of a text, made where nothing else parses; None where it does not parse."""
    from dataforge.lang.diagnostics import CompileError
    from dataforge.lang.format import format_text

    try:
        return format_text(text, name)
    except CompileError:
        return None


def smallest_change(old: str, new: str) -> tuple[int, int, str]:
    """Start and end of the lines of the old text that differ, and what stands there in the new one."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    least = min(len(before), len(after))
    head = next((n for n in range(least) if before[n] != after[n]), least)
    tail = next((n for n in range(least - head) if before[-1 - n] != after[-1 - n]), least - head)
    start = sum(map(len, before[:head]))
    return (
        start,
        len(old) - sum(map(len, before[len(before) - tail :])),
        "".join(after[head : len(after) - tail]),
    )


@answered
def on_code_action(server: ForgeServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if path is None or text is None:
        return []
    found: list[types.CodeAction] = []
    for diagnostic in params.context.diagnostics:
        mends = actions.mends(server.state, _complaint(path, text, diagnostic))
        for number, mend in enumerate(mends):
            found.append(
                types.CodeAction(
                    mend.title,
                    kind=types.CodeActionKind.QuickFix,
                    diagnostics=[diagnostic],
                    is_preferred=number == 0 and len(mends) == 1,
                    edit=server.workspace_edit(mend.edits),
                )
            )
    return found


def _complaint(path: Path, text: Text, diagnostic: types.Diagnostic) -> Complaint:
    message, _, help = diagnostic.message.partition("\nhelp: ")
    start, end = diagnostic.range.start, diagnostic.range.end
    return Complaint(
        path,
        text.offset((start.line, start.character)),
        text.offset((end.line, end.character)),
        message,
        help,
    )


@answered
def on_inlay_hint(server: ForgeServer, params: types.InlayHintParams) -> list[types.InlayHint]:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if path is None or text is None:
        return []
    start, end = params.range.start, params.range.end
    stretch = text.offset((start.line, start.character)), text.offset((end.line, end.character))
    return [
        types.InlayHint(
            lsp_range(text, hint.offset, hint.offset).start,
            hint.label,
            tooltip=types.MarkupContent(types.MarkupKind.Markdown, hint.tooltip),
            padding_left=True,
        )
        for hint in hints.hints(server.state, path, *stretch)
    ]


_SYMBOL_KINDS: dict[str, int] = {
    "struct": types.SymbolKind.Struct.value,
    "node": types.SymbolKind.Method.value,
    "graph": types.SymbolKind.Module.value,
    "generator": types.SymbolKind.Class.value,
    "judge": types.SymbolKind.Class.value,
    "list": types.SymbolKind.Array.value,
    "rubric": types.SymbolKind.Interface.value,
    "predicate": types.SymbolKind.Function.value,
    "example": types.SymbolKind.Event.value,
    "field": types.SymbolKind.Field.value,
    "criterion": types.SymbolKind.Property.value,
    "variable": types.SymbolKind.Variable.value,
}


@answered
def on_document_symbol(server: ForgeServer, params: types.DocumentSymbolParams) -> list[dict[str, Any]]:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if path is None or text is None or path.suffix != ".forge":
        return []
    return [_symbol_json(text, symbol) for symbol in symbols.symbols(server.state, path)]


def _symbol_json(text: Text, symbol: symbols.DocumentSymbol) -> dict[str, Any]:
    return {
        "name": symbol.name,
        "kind": _SYMBOL_KINDS.get(symbol.kind, types.SymbolKind.Variable.value),
        "detail": symbol.detail,
        "range": json_range(text, symbol.span),
        "selectionRange": json_range(text, symbol.name_span),
        "children": [_symbol_json(text, part) for part in symbol.parts],
    }


@answered
def on_folding_range(server: ForgeServer, params: types.FoldingRangeParams) -> list[dict[str, Any]]:
    path = server.path_of(params.text_document.uri)
    outline = server.state.outline(path) if path is not None and path.suffix == ".forge" else None
    text = server.state.text(path) if path is not None else None
    found: list[dict[str, Any]] = []
    for start, end, is_comment in symbols.folds(outline) if outline is not None else ():
        assert text is not None
        first, last = text.position(start).line, text.position(end).line
        if last > first:
            kind = "comment" if is_comment else "region"
            found.append({"startLine": first, "endLine": last if is_comment else last - 1, "kind": kind})
    return [fold for fold in found if fold["endLine"] > fold["startLine"]]


@answered
def on_semantic_tokens_full(server: ForgeServer, params: types.SemanticTokensParams) -> types.SemanticTokens:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if text is None or len(text.text) > MOST_COLOURED:
        return types.SemanticTokens([])
    return _colours(server, path, text, 0, len(text.text))


@answered
def on_semantic_tokens_range(
    server: ForgeServer, params: types.SemanticTokensRangeParams
) -> types.SemanticTokens:
    path = server.path_of(params.text_document.uri)
    text = server.state.text(path) if path is not None else None
    if text is None:
        return types.SemanticTokens([])
    start, end = params.range.start, params.range.end
    stretch = text.offset((start.line, start.character)), text.offset((end.line, end.character))
    return _colours(server, path, text, *stretch)


def _colours(
    server: ForgeServer, path: Path | None, text: Text, start: int, end: int
) -> types.SemanticTokens:
    """Tokens as the protocol packs them: line and character relative to the one before, length, type, modifiers."""
    outline = server.state.outline(path) if path is not None and path.suffix == ".forge" else None
    data: list[int] = []
    line = character = 0
    for token_start, token_end, kind in (
        symbols.semantic_tokens(outline, start, end) if outline is not None else ()
    ):
        first, last = text.position(token_start), text.position(token_end)
        if first.line != last.line:
            continue
        relative = first.character - (character if first.line == line else 0)
        data += [
            first.line - line,
            relative,
            last.character - first.character,
            symbols.TOKEN_TYPES.index(kind),
            0,
        ]
        line, character = first.line, first.character
    return types.SemanticTokens(data)
