"""The files of a program: read from inside the project only, or from the texts that a plan carries.

A path is followed to where it really leads before it is compared with the project's root. It is then opened from the root
down, folder by folder and without following any link, so that what is read is what was looked at, even where somebody
puts a link in its place in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.lang.diagnostics import Source, did_you_mean

MAX_FILE_BYTES = 64 * 1024 * 1024
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


class UnreadableFile(Exception):
    """A file that a program names cannot be read; `code` and `help` are for the diagnostic."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.help = help


@dataclass
class Files:
    """Reads the files of a program, none outside `root`; notes what was read, so that a plan can carry it.

    `overlay` holds texts that stand in for the disk, by path relative to the root: how a plan document is compiled again.
    """

    root: Path
    overlay: Mapping[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    """Every file that was asked for, whether it could be read or not: what `compile --watch` looks at."""

    def relative(self, path: Path) -> str:
        """The path as messages and plans show it.

        Raises:
            UnreadableFile: where it lies outside the root.
        """
        try:
            resolved = path.resolve()
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # links in a circle; a name with a null character
            raise UnreadableFile("F017", f"`{path}` leads to no file", "check the path") from error
        if not resolved.is_relative_to(self.root):
            raise UnreadableFile("F013", f"`{path}` is outside the project", f"the project is {self.root}")
        return resolved.relative_to(self.root).as_posix()

    def text(self, path: Path, *, keep: bool = True) -> Source:
        """The text of a file.

        Args:
            path: where it is.
            keep: whether a plan should carry the text.

        Raises:
            UnreadableFile: where it is outside the root, missing, not UTF-8, or too large.
        """
        name = self.relative(path)
        if not name.isprintable():
            raise UnreadableFile("F005", f"the file name {name!a} is no text", "rename the file")
        self.asked.add(name)
        text = self.overlay.get(name)
        if text is None:
            try:
                data = _read_below(self.root, name)
            except OSError as error:
                raise UnreadableFile(
                    "F017", f"`{name}` cannot be read: {error.strerror}", _nearby(path)
                ) from error
            if len(data) > MAX_FILE_BYTES:
                raise UnreadableFile(
                    "F005", f"`{name}` is larger than {MAX_FILE_BYTES >> 20} MiB", "split it"
                )
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise UnreadableFile(
                    "F005", f"`{name}` is not UTF-8 (byte {error.start})", "save it as UTF-8"
                ) from error
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if keep:
            self.read[name] = text
        return Source(name, text)


def _read_below(root: Path, name: str) -> bytes:
    """The beginning of an ordinary file, up to one byte more than is allowed.

    Args:
        root: the project's root.
        name: the file's path below it, in which nothing is a link.

    Raises:
        OSError: where there is no such file, or one of its parts is a link by now.
    """
    if os.open not in os.supports_dir_fd:  # Windows
        with (root / name).open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    opened = [os.open(root, os.O_RDONLY)]
    try:
        *folders, file = name.split("/")
        for folder in folders:
            opened.append(os.open(folder, os.O_RDONLY | _NO_LINK, dir_fd=opened[-1]))
        opened.append(os.open(file, os.O_RDONLY | _NO_LINK | _NO_WAIT, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):  # a pipe would keep us waiting for ever
            raise OSError(errno.EINVAL, "not an ordinary file")
        with os.fdopen(opened.pop(), "rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _nearby(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent.name}"
    return did_you_mean(
        path.name, names, otherwise="check the path: it is relative to the file that names it"
    )
