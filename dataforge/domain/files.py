"""The files of a program: read from inside the project only, or from the texts that a plan carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.lang.diagnostics import Source, did_you_mean

MAX_FILE_BYTES = 64 * 1024 * 1024


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
        resolved = path.resolve()
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
                with path.open("rb") as stream:
                    data = stream.read(MAX_FILE_BYTES + 1)
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


def _nearby(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent.name}"
    return did_you_mean(
        path.name, names, otherwise="check the path: it is relative to the file that names it"
    )
