"""`dataforge endpoints`: add, drain and list the endpoints of a run that is under way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import few, print_json, say

if TYPE_CHECKING:
    from dataforge.run.endpoints import Word
    from dataforge.run.live import Snapshot

_DIRECTORY = typer.Argument(..., help="The --out directory of a run that is under way.")
_MODEL = typer.Argument(..., help="The model's name in the `.forge` file.")
_URL = typer.Argument(..., help="The endpoint's address, as `base_url` in dataforge.toml has it.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Add, drain and list the endpoints of a run under way.")
    group.command("add")(add)
    group.command("drain")(drain)
    group.command("list")(list_)
    app.add_typer(group, name="endpoints")


def add(directory: Path = _DIRECTORY, model: str = _MODEL, url: str = _URL) -> None:
    """Have a run under way use another endpoint that serves the same weights.

    Example: `dataforge endpoints add out/corpus writer http://node7:30000/v1`

    The run takes it up within about a second, and again when it is started anew. The binding's key is sent to it.
    """
    _command(directory, "add", model, url)
    say(f"asked the run in {directory} to use {url.rstrip('/')} for {model}")


def drain(directory: Path = _DIRECTORY, model: str = _MODEL, url: str = _URL) -> None:
    """Have a run send an endpoint nothing more; what is under way there ends as usual.

    Example: `dataforge endpoints drain out/corpus writer http://node7:30000/v1`

    `dataforge endpoints list` shows when nothing is in flight there any more and the server can be stopped.
    """
    _command(directory, "drain", model, url)
    say(f"asked the run in {directory} to send {url.rstrip('/')} nothing more for {model}")


def list_(
    directory: Path = _DIRECTORY,
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """List the endpoints of each model, with what is in flight at each.

    Example: `dataforge endpoints list out/corpus`
    """
    from dataforge.run.endpoints import read, under_way
    from dataforge.run.live import read_live

    found = read_live(directory).endpoints
    if as_json:
        print_json(found)
        return
    if not under_way(directory):
        say(f"no run is under way in {directory}; this is how the last one left it", err=True)
    for model, statuses in found.items():
        say(model)
        for status in statuses:
            say(f"  {_line(status)}")
        there = {_address(status) for status in statuses}
        for command in read(directory):
            if command.model == model and command.do == "add" and command.url not in there:
                say(f"  {command.url}  asked for, not taken up")


def _command(directory: Path, do: Word, model: str, url: str) -> None:
    """Check a command and write it down.

    Raises:
        InputError: with code R044, where no such run is under way, or it has no such model or endpoint.
    """
    from dataforge.errors import InputError
    from dataforge.run.endpoints import checked_url, under_way, write
    from dataforge.run.live import read_live

    url = checked_url(url)
    if not under_way(directory):
        raise InputError(
            f"no run is under way in {directory}",
            code="R044",
            help="name the --out directory of one that is; for the next start, `base_url` in dataforge.toml takes a list",
        )
    _check_names(read_live(directory), directory, do, model, url)
    write(directory, do, model, url)


def _check_names(run: Snapshot, directory: Path, do: Word, model: str, url: str) -> None:
    from dataforge.errors import InputError
    from dataforge.project import nearest
    from dataforge.run.endpoints import read

    if model not in run.models:
        meant = nearest(model, run.models)
        raise InputError(
            f"the run in {directory} has no model `{model}`",
            code="R044",
            help=(f"did you mean `{meant}`? " if meant else "") + f"its models: {few(run.models)}",
        )
    if do == "add":
        return
    used = [_address(status) for status in run.endpoints.get(model, ())]
    asked = [command.url for command in read(directory) if command.model == model]
    if url not in (*used, *asked):
        raise InputError(
            f"`{model}` has no endpoint {url}", code="R044", help=f"its endpoints: {few(used) or 'none yet'}"
        )


def _address(status: Mapping[str, Any]) -> str:
    return str(status["url"]).rstrip("/")


def _line(status: Mapping[str, Any]) -> str:
    """One endpoint for people; what a backend does not tell is left out."""
    counts = [
        f"{status[key]:,} {word}"
        for key, word in (
            ("requests", "requests"), ("failures", "failed"), ("rate_limited", "refused for their rate"),
        )
        if status.get(key)
    ]  # fmt: skip
    flight = f"{status.get('in_flight', 0)} of {status.get('limit', '?')} in flight"
    return ", ".join([f"{status['url']}  {status.get('state', '')}", flight, *counts])
