"""`dataforge serve`: an OpenAI-compatible endpoint over the embedded models."""

from __future__ import annotations

import os
import signal
from typing import Any

import typer

from dataforge.cli._terminal import print_json, say

LOOPBACK = ("127.", "::1", "localhost")


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    model: str = typer.Argument(..., help="`embedded`, which is what this version can serve."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; the loopback device by default."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port; 0 takes a free one."),
    api_key_env: str | None = typer.Option(
        None, help="Name of the variable that holds the key which callers must send."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the address as a line of JSON."),
) -> None:
    """Serve the embedded models as an OpenAI-compatible endpoint.

    Example: `dataforge serve embedded --port 8000`

    It listens on this machine alone unless --host says otherwise, answers without a key unless --api-key-env names one,
    and stops at Ctrl-C.
    """
    if model != "embedded":
        raise typer.BadParameter(
            f"serving `{model}` (with SGLang) is not in this version yet, `embedded` is; start the model's own server "
            "(SGLang, vLLM, llama.cpp) and bind its address in dataforge.toml",
            param_hint="MODEL",
        )
    key = _key(api_key_env) if api_key_env is not None else None
    from dataforge.models.serve import EmbeddedServer

    signal.signal(signal.SIGTERM, _stop)
    server = EmbeddedServer(host, port, api_key=key)
    if as_json:
        print_json({"base_url": server.url, "models": list(server.models)}, indent=None)
    else:
        say(f"serving {' and '.join(server.models)} at {server.url} (Ctrl-C stops)")
    if key is None and not host.startswith(LOOPBACK):
        say(
            f"warning: {host} can be reached by others, who need no key; --api-key-env asks for one", err=True
        )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        if not as_json:
            say("stopped")


def _key(variable: str) -> str:
    from dataforge.errors import ProjectError

    key = os.environ.get(variable, "").strip()
    if not key:
        raise ProjectError(
            f"the key for callers should be in the environment variable {variable}, which is not set",
            code="R004",
            help=f"export {variable}=…, or leave out --api-key-env",
        )
    return key


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
