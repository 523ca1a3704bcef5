"""`dataforge lsp`: the language server, on stdin and stdout."""

from __future__ import annotations

import importlib.util

import typer


def register(app: typer.Typer) -> None:
    app.command("lsp")(lsp)


def lsp(
    stdio: bool = typer.Option(True, "--stdio", help="Talk on stdin and stdout, which is the only way."),
) -> None:
    """Serve editors: diagnostics, hover, completion, definitions, rename, format and mends for `.forge` files.

    Example: `dataforge lsp`, which an editor starts by itself; docs/editors.md shows how to tell it to.

    It needs `pip install 'dataforge-compiler[lsp]'`. Python modules that a program names are imported, as `compile`
    does, unless the editor's option `python` is false.
    """
    if importlib.util.find_spec("pygls") is None:
        from dataforge.errors import ProjectError

        raise ProjectError(
            "the language server is not installed",
            code="R043",
            help="pip install 'dataforge-compiler[lsp]'",
        )
    from dataforge.server.serve import serve

    serve()
