"""`dataforge serve`: a model as an OpenAI-compatible endpoint: embedded, trained here, or any that SGLang runs on a GPU."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.models.launch import Launch

LOOPBACK = ("127.", "::1", "localhost")


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    model: str = typer.Argument(
        ...,
        help="`embedded`, a GGUF file or a folder with one, or what SGLang can load: a folder, or a name at Hugging Face.",
    ),
    engine_args: list[str] = typer.Argument(None, help="Further arguments for SGLang, after `--`."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; the loopback device by default."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port; 0 takes a free one."),
    api_key_env: str | None = typer.Option(
        None, help="Name of the variable that holds the key which callers must send."
    ),
    tensor_parallel: int | None = typer.Option(None, min=1, help="SGLang: over how many GPUs."),
    context_length: int | None = typer.Option(None, min=1, help="SGLang: the most tokens of a conversation."),
    reasoning_parser: str | None = typer.Option(None, help="SGLang: how thinking is split off, as `qwen3`."),
    tool_call_parser: str | None = typer.Option(None, help="SGLang: how tool calls are read, as `qwen`."),
    attention_backend: str | None = typer.Option(None, help="SGLang: attention kernels, as `fa3`."),
    start_timeout_s: float = typer.Option(1800.0, min=1, help="SGLang: seconds that loading may take."),
    as_json: bool = typer.Option(False, "--json", help="Print the address as a line of JSON."),
) -> None:
    """Serve a model as an OpenAI-compatible endpoint: embedded ones and GGUF files anywhere, others by SGLang on a GPU.

    Example: `dataforge serve embedded --port 8000`

    Example: `dataforge serve out/tuned`

    Example: `dataforge serve Qwen/Qwen3-8B --tensor-parallel 2 --reasoning-parser qwen3 -- --mem-fraction-static 0.85`

    It listens on this machine alone unless --host says otherwise, answers without a key unless --api-key-env names one,
    and stops at Ctrl-C.
    """
    signal.signal(signal.SIGTERM, _stop)
    if api_key_env is None and not host.startswith(LOOPBACK):
        say(
            f"warning: {host} can be reached by others, who need no key; --api-key-env asks for one", err=True
        )
    from dataforge.errors import ProjectError
    from dataforge.models.weights import EXPORT, gguf_file

    try:
        if model == "embedded":
            _serve_here(None, host, port, api_key_env, as_json)
        elif (file := gguf_file(Path(model))) is not None:
            _serve_here(
                (Path(model).resolve().name.removesuffix(".gguf"), file), host, port, api_key_env, as_json
            )
        elif model.endswith(".gguf"):
            raise ProjectError(f"there is no file {model}", code="R002", help=EXPORT)
        else:
            from dataforge.models.launch import Launch

            trained = Path(model) / "model"  # of a folder that `dataforge train` wrote
            launch = Launch(
                str(trained) if (trained / "config.json").is_file() else model,
                tensor_parallel=tensor_parallel,
                context_length=context_length,
                reasoning_parser=reasoning_parser,
                tool_call_parser=tool_call_parser,
                attention_backend=attention_backend,
                engine_args=tuple(engine_args or ()),
                api_key_env=api_key_env,
                start_timeout_s=start_timeout_s,
            )
            _serve_sglang(launch, host, port, as_json)
    except KeyboardInterrupt:
        if not as_json:
            say("stopped")


def _serve_here(
    named: tuple[str, Path] | None, host: str, port: int, api_key_env: str | None, as_json: bool
) -> None:
    """Serve a GGUF file under a name, or the embedded models, in this process."""
    key = caller_key(api_key_env, "--api-key-env") if api_key_env is not None else None
    from dataforge.models.serve import EmbeddedServer, local_model

    models = local_model(*named) if named is not None else None
    server = EmbeddedServer(host, port, api_key=key, models=models)
    if as_json:
        print_json({"base_url": server.url, "models": list(server.models)}, indent=None)
    else:
        say(f"serving {' and '.join(server.models)} at {server.url} (Ctrl-C stops)")
    server.serve_forever()


def _serve_sglang(launch: Launch, host: str, port: int, as_json: bool) -> None:
    """Launch, wait, say how to bind it, and stop it after."""
    from dataforge.models.launch import Server, check_machine, log_file

    check_machine(launch)
    with Server(launch, log_file(launch.model, None), host, port) as server:
        say(f"launching SGLang for {launch.model}; its log is {server.log}", err=True)
        models = server.wait_healthy(tell=lambda line: say(f"  | {line[:200]}", err=True))
        if as_json:
            print_json({"base_url": server.url, "models": models, "log": str(server.log)}, indent=None)
        else:
            say(
                f"serving {' and '.join(models)} at {server.url} (Ctrl-C stops). To bind it, in dataforge.toml:\n"
            )
            say(_table(models[0], server.url, launch.api_key_env))
        server.wait()


def _table(model: str, url: str, api_key_env: str | None) -> str:
    """A `[models.…]` table, ready to be copied. A JSON string is a TOML string too."""
    keys = {"model": model, "base_url": url, "api_key_env": api_key_env}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items() if value]
    return "\n".join(["[models.generator]", *lines])


def caller_key(variable: str, option: str, word: str = "key") -> str:
    """What callers must send, from the environment variable that an option names.

    Raises:
        ProjectError: R004 where the variable is not set.
    """
    from dataforge.errors import ProjectError

    key = os.environ.get(variable, "").strip()
    if not key:
        raise ProjectError(
            f"the {word} for callers should be in the environment variable {variable}, which is not set",
            code="R004",
            help=f"export {variable}=…, or leave out {option}",
        )
    return key


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
