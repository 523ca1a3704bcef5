"""The command line: one file a command in this folder, thin; this one finds them and is the only error boundary.

A command module defines `register(app)`; the files that start with an underscore are no commands. Commands import what
they need when they run, so that `dataforge --help` and shell completion stay quick. Exit codes: 0 done, 1 done but
something failed, 2 wrong input, 3 interrupted and resumable.
"""

from __future__ import annotations

import errno
import functools
import importlib
import io
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from dataforge.cli._terminal import print_json, printable, say

if TYPE_CHECKING:
    from dataforge.errors import DataForgeError

_TRAINING = frozenset(
    {
        "accelerate",
        "gguf",
        "matplotlib",
        "numba",
        "numpy",
        "safetensors",
        "tokenizers",
        "torch",
        "transformers",
    }
)
"""Packages of the extras `train` and `evals`, which the other commands can do without."""
_DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

app = typer.Typer(
    name="dataforge",
    help="A declarative compiler for synthetic data: typed contracts in, a judged corpus out.",
    epilog="Start with: `dataforge init my-corpus`, or `dataforge compile graphs/quickstart.forge`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from dataforge import __version__

        typer.echo(f"dataforge {__version__}")
        raise typer.Exit


@functools.cache
def _commands() -> None:
    """Find the commands, once."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}").register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every outcome is an exit code."""
    from dataforge.errors import DataForgeError

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal that lacks a glyph is no reason to fail
    _commands()
    try:
        _check_text(arguments)
        app(arguments)
    except DataForgeError as error:
        try:
            _tell(error, as_json="--json" in arguments)
        except BrokenPipeError:
            _drop_stdout()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(1)
    except OSError as error:
        if error.errno not in _DISK_REFUSES:
            _own_up()
        say(f"error[R021]: the output cannot be written: {error.strerror}", err=True)
        say("  help: make room, or send it elsewhere", err=True)
        _drop_stdout()
        sys.exit(1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _TRAINING:
            _own_up()
        extra = "evals" if arguments[:1] == ["eval"] else "train"
        _tell(_lacks(package, extra), as_json="--json" in arguments)
        sys.exit(2)
    except Exception:  # noqa: BLE001 - the boundary: whatever arrives here is ours, and must say so
        _own_up()


def _lacks(package: str, extra: str) -> DataForgeError:
    from dataforge.errors import InputError

    return InputError(
        f"this command needs the package `{package}`, which is not installed",
        code="T013",
        help=f"pip install 'dataforge-compiler[{extra}]'",
    )


def _own_up() -> NoReturn:
    """Say of the exception at hand that it is ours."""
    traceback.print_exc()
    say("\nThis is a bug of DataForge, not of your input. Please report it with the lines above.", err=True)
    sys.exit(1)


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are no text: a plan and a corpus could not record them."""
    from dataforge.errors import InputError

    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise InputError(
                f"the argument `{argument}` is not UTF-8 text",
                code="R033",
                help="rename the file, or its folder",
            )


def _tell(error: DataForgeError, *, as_json: bool) -> None:
    from dataforge.lang.diagnostics import CompileError

    if as_json:
        if isinstance(error, CompileError):
            print_json({"diagnostics": [d.to_json() for d in error.diagnostics]})
        else:
            print_json({"error": error.to_json()})
        return
    say(str(error), err=True)
    if error.help and not isinstance(error, CompileError):
        say(f"  help: {error.help}", err=True)


def _drop_stdout() -> None:
    """Whoever read our output has gone: nothing is left to say, and nobody to say it to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["app", "main", "printable"]
