"""`dataforge serve`: an OpenAI-compatible endpoint over the embedded models."""

from __future__ import annotations

import os

import typer


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    model: str = typer.Argument(..., help="`embedded`."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; the loopback device by default."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port; 0 takes a free one."),
    api_key_env: str | None = typer.Option(
        None, help="Name of the variable that holds the key callers must send."
    ),
) -> None:
    """Serve the embedded models as an OpenAI-compatible endpoint.

    Example: `dataforge serve embedded --port 8000`
    """
    from dataforge.errors import InputError, ProjectError

    if model != "embedded":
        raise InputError(
            f"`{model}` cannot be served by this version, only `embedded` can",
            code="R002",
            help="start the model's own server (SGLang, vLLM, llama.cpp) and bind it in dataforge.toml",
        )
    key = None
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise ProjectError(
                f"the variable {api_key_env} is not set", code="R004", help=f"export {api_key_env}=…"
            )
    from dataforge.models.serve import EmbeddedServer

    server = EmbeddedServer(host, port, api_key=key)
    typer.echo(f"serving on {server.url} (Ctrl-C stops)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("stopped")
