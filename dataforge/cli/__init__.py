"""The command line: one file a command in this folder, thin; this one finds them and is the only error boundary.

A command module defines `register(app)`. Commands import what they need when they run, so that `dataforge --help` and
shell completion stay quick. Exit codes: 0 done, 1 done but something failed, 2 wrong input, 3 interrupted.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from dataforge.errors import DataForgeError

app = typer.Typer(
    name="dataforge",
    help="A declarative compiler for synthetic data: typed contracts in, a judged corpus out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from dataforge import __version__

        typer.echo(f"dataforge {__version__}")
        raise typer.Exit


def _commands() -> None:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}").register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every outcome is an exit code."""
    from dataforge.errors import DataForgeError

    _commands()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments)
    except DataForgeError as error:
        _tell(error, as_json="--json" in arguments)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone: nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _tell(error: DataForgeError, *, as_json: bool) -> None:
    from dataforge.lang.diagnostics import CompileError

    if as_json:
        if isinstance(error, CompileError):
            document: dict[str, Any] = {"diagnostics": [d.to_json() for d in error.diagnostics]}
        else:
            document = {"error": error.to_json()}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    typer.echo(printable(str(error)), err=True)
    if error.help and not isinstance(error, CompileError):
        typer.echo(printable(f"  help: {error.help}"), err=True)


def printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters shown, not sent."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
