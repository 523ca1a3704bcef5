"""Steering the endpoints of a run under way: `endpoints.json` in its directory, which people write and the run follows.

The file holds commands, each `add` or `drain` of one address for one logical model, with numbers that only grow; of the
commands about one address the last alone is kept. So whoever reads it knows what is new by its number, asking for the
same thing again is a new command, and a run that starts again finds all that still holds. Writers take turns by a lock
file and replace the whole; readers need no lock. What cannot be followed is logged, and never harms the run.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataforge.errors import InputError
from dataforge.models.client import Backend
from dataforge.project import ModelTable
from dataforge.run.storage import write_durably

NAME = "endpoints.json"
RUN_LOCK = "run.lock"
"""What a run holds while it is under way."""
_WRITERS_LOCK = "endpoints.lock"

_log = logging.getLogger("dataforge.run")

Word = Literal["add", "drain"]


class Command(BaseModel):
    """`add` an address to a model's endpoints, or `drain` it: send it nothing more, and let what is under way end."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = Field(ge=1)
    do: Word
    model: str
    url: str


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    commands: tuple[Command, ...] = ()


def read(out: Path) -> tuple[Command, ...]:
    """The commands for the run in a directory, the oldest first.

    Raises:
        InputError: with code R044, where the file is damaged or cannot be read.
    """
    path = out / NAME
    try:
        found = _Document.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", code="R044") from error
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, told["loc"])) or "its form"
        raise InputError(
            f"{path} is damaged at {where}: {told['msg']}",
            code="R044",
            help="delete it and give the commands that should hold anew",
        ) from error
    return tuple(sorted(found.commands, key=lambda command: command.number))


def write(out: Path, do: Word, model: str, url: str) -> Command:
    """Add a command to the file. Several may do so at once.

    Raises:
        InputError: with code R044, where the file is damaged.
        StorageError: the disk refuses.
    """
    with _turn(out):
        earlier = read(out)
        number = max((command.number for command in earlier), default=0) + 1
        command = Command(number=number, do=do, model=model, url=url)
        kept = [other for other in earlier if (other.model, other.url) != (model, url)]
        document = _Document(commands=(*kept, command))
        write_durably(out / NAME, document.model_dump_json(indent=1).encode() + b"\n")
    return command


def under_way(out: Path) -> bool:
    """Whether a run holds the directory now."""
    try:
        lock = os.open(out / RUN_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for the run.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def checked_url(url: str) -> str:
    """The address as `base_url` would take it, without a slash at the end.

    Raises:
        InputError: with code R044, where it is none.
    """
    try:
        ModelTable(base_url=(url,))
    except ValidationError as error:
        raise InputError(
            f"`{url}` is no endpoint: {error.errors()[0]['msg'].removeprefix('Value error, ')}", code="R044"
        ) from error
    return url.rstrip("/")


async def follow(
    out: Path,
    backends: Callable[[], Mapping[str, Backend]],
    every_s: float = 1.0,
    known: Collection[str] | None = None,
) -> None:
    """Apply the commands as they come, until cancelled; those of earlier starts at once.

    Args:
        out: the run's directory.
        backends: the backends that are connected, by logical name. A command for one that is not yet waits for it.
        every_s: seconds between looks.
        known: all logical names of the run, or None where that is not known. Other names are told of, once.
    """
    follower = Follower(known)
    while True:
        try:
            follower.apply(await asyncio.to_thread(read, out), backends())
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is worth more than a command
            follower.complain(str(getattr(error, "message", error)))
        await asyncio.sleep(every_s)


class Follower:
    """Which commands have been applied, and what has been complained about. `known` as for `follow`."""

    def __init__(self, known: Collection[str] | None) -> None:
        self._known = known
        self._done: dict[tuple[str, str], int] = {}
        self._said: set[str] = set()

    def apply(self, commands: Sequence[Command], backends: Mapping[str, Backend]) -> None:
        """Apply what is new."""
        for command in commands:
            place = (command.model, command.url)
            if self._done.get(place) != command.number and self._settle(command, backends.get(command.model)):
                self._done[place] = command.number

    def complain(self, message: str, command: Command | None = None) -> None:
        """Warn, once for each distinct message."""
        if message in self._said:
            return
        self._said.add(message)
        about = {"model": command.model, "endpoint": command.url} if command is not None else {}
        _log.warning("%s", message, extra={"event": "endpoint_command_refused", **about})

    def _settle(self, command: Command, backend: Backend | None) -> bool:
        """Apply or refuse a command; False where it has to wait for its backend to be there."""
        if backend is None:
            if self._known is None or command.model in self._known:
                return False
            self.complain(f"{NAME} names the model `{command.model}`, which this run has not", command)
            return True
        pool = getattr(backend, "pool", None)
        if pool is None:
            if hasattr(backend, "pool"):
                return False  # its server is still being launched
            self.complain(
                f"the endpoints of `{command.model}` cannot be steered: its backend has none", command
            )
            return True
        try:
            self._steer(pool, command)
        except Exception as error:  # noqa: BLE001 - the pool refuses, or is broken; either way the run goes on
            told = getattr(error, "message", error)
            self.complain(f"{command.do} {command.url} for `{command.model}`: {told}", command)
        return True

    def _steer(self, pool: Any, command: Command) -> None:
        url = checked_url(command.url)
        if command.do == "add":
            pool.add(url)
        elif not pool.drain(url):
            return  # added and drained by an earlier start: this one does not know it
        _log.info(
            "%s %s for %s", command.do, url, command.model,
            extra={"event": f"endpoint_{command.do}", "model": command.model, "endpoint": url},
        )  # fmt: skip


@contextmanager
def _turn(out: Path) -> Iterator[None]:
    """Hold the writers' lock, after those who came before."""
    lock = os.open(out / _WRITERS_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
