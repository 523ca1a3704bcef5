"""Where `-o` may write: seen before the work, so that no result is lost and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataforge.errors import OutputError


def check_output(path: Path, program: Path, *, such_as: str) -> None:
    """See that a result can be written to a place, and does not take a program's or a device's own.

    Args:
        path: what `-o` names.
        program: the file that is read.
        such_as: a good name, for the help line.

    Raises:
        OutputError: R021, where it cannot.
    """
    if path.exists() and (path.suffix == ".forge" or (program.exists() and path.samefile(program))):
        raise OutputError(
            f"{path} is a program, and would be overwritten",
            code="R021",
            help=f"give -o another name, such as {such_as}",
        )
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no ordinary file"
        raise OutputError(
            f"{path} is {what}", code="R021", help=f"give -o the name of a file, such as {such_as}"
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{path} cannot be written: there is no folder {path.parent}",
            code="R021",
            help=f"make it with `mkdir -p {path.parent}`, or choose another -o",
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a refusal of the disk into an error that names the file.

    Raises:
        OutputError: R021.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}", code="R021", help="choose another --out"
        ) from error
