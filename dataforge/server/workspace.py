"""What is open in the editor, what lies around it on the disk, and what is known of it all.

Reads files, and never writes one. A path is always resolved, links followed, so that it names a file as the compiler
does. What a file's names mean is asked of the analyses that have read it; where its items stand, of its outline.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.domain.files import MAX_FILE_BYTES
from dataforge.domain.scope import Entity
from dataforge.domain.structs import StructType
from dataforge.project import find_root
from dataforge.server.analysis import Analyser, Analysis, Neighbours
from dataforge.server.outline import Outline, outline
from dataforge.server.text import Encoding, Text, normalised

MOST_FILES = 2_000
"""A project of more `.forge` files is searched in its first so many."""
_SKIPPED = frozenset(["node_modules", "__pycache__", "venv", "out", "dist", "build"])


@dataclass
class Document:
    """A text that is open in the editor."""

    path: Path
    text: Text
    version: int


@dataclass(frozen=True)
class _OnDisk:
    stamp: tuple[int, int]
    text: Text


@dataclass
class Workspace:
    """The open documents and the analyses.

    Attributes:
        encoding: what the client counts positions in.
        python: whether programs may import Python modules.
    """

    encoding: Encoding = "utf-16"
    python: bool = True
    documents: dict[Path, Document] = field(default_factory=dict)
    analyses: dict[Path, Analysis] = field(default_factory=dict)
    _analysers: dict[Path, Analyser] = field(default_factory=dict)
    _disk: dict[Path, _OnDisk] = field(default_factory=dict)
    _outlines: dict[Path, Outline] = field(default_factory=dict)

    # ---- open texts

    def open(self, path: Path, text: str, version: int) -> None:
        self.documents[path] = Document(path, Text(normalised(text), self.encoding), version)

    def close(self, path: Path) -> None:
        self.documents.pop(path, None)

    @property
    def overlay(self) -> dict[Path, str]:
        """The open texts, as they stand in for the disk."""
        return {path: document.text.text for path, document in self.documents.items()}

    # ---- any text

    def text(self, path: Path) -> Text | None:
        """A file's text: as it is open, else as it lies on the disk; None where it cannot be read."""
        document = self.documents.get(path)
        if document is not None:
            return document.text
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._disk.get(path)
            if known is None or known.stamp != stamp:
                if status.st_size > MAX_FILE_BYTES:
                    return None
                text = path.read_bytes().decode("utf-8-sig")
                known = self._disk[path] = _OnDisk(stamp, Text(normalised(text), self.encoding))
        except (OSError, UnicodeDecodeError):
            return None
        return known.text

    def outline(self, path: Path) -> Outline | None:
        """The items of a `.forge` file as it is now."""
        text = self.text(path)
        if text is None:
            return None
        known = self._outlines.get(path)
        if known is None or known.text is not text.text:
            known = self._outlines[path] = outline(text.text)
        return known

    def forge_files(self, near: Path) -> list[Path]:
        """The `.forge` files of the project around a path, those that are open first."""
        root = find_root(near)
        found = {p: None for p in self.documents if p.suffix == ".forge" and p.is_relative_to(root)}
        for path in _walk(root):
            found[path] = None
            if len(found) >= MOST_FILES:
                break
        return list(found)

    def users_of(self, path: Path) -> list[tuple[Path, str]]:
        """The items that name a prompt file, as (`.forge` file, item's name)."""
        found: list[tuple[Path, str]] = []
        for forge in self.forge_files(path):
            items = self.outline(forge)
            for item in items.items if items is not None else ():
                found += [
                    (forge, item.name) for named in item.paths if (forge.parent / named).resolve() == path
                ]
        return found

    # ---- meaning

    def analyser(self, path: Path) -> Analyser:
        known = self._analysers.get(path)
        if known is None:
            known = self._analysers[path] = Analyser(path, python=self.python)
        return known

    def drop(self, path: Path) -> None:
        """Forget what was known of a main file."""
        self._analysers.pop(path, None)
        self.analyses.pop(path, None)

    def mains_of(self, path: Path) -> list[Path]:
        """The main files whose analysis has read a file."""
        return [
            main
            for main, analysis in self.analyses.items()
            if main == path or _name(path, analysis.root) in analysis.files
        ]

    def knowing(self, path: Path) -> Iterator[tuple[Analysis, str]]:
        """The analyses that know a `.forge` file, with the name under which they do; its own first."""
        own = self.analyses.get(path)
        for analysis in [*([own] if own is not None else []), *self.analyses.values()]:
            name = _name(path, analysis.root)
            if name in analysis.entities:
                yield analysis, name

    def entities(self, path: Path) -> Mapping[str, Entity]:
        """What the names of a `.forge` file mean, or last meant."""
        return next((analysis.entities[name] for analysis, name in self.knowing(path)), {})

    def structs(self, path: Path) -> dict[str, StructType]:
        """The structs among them, by local name."""
        return {n: e for n, e in self.entities(path).items() if isinstance(e, StructType)}

    def graphs_with(self, path: Path, name: str) -> list[tuple[str, Neighbours]]:
        """The linked graphs in which a node or graph of a file is a member, under its name there."""
        entity = self.entities(path).get(name)
        found: dict[str, Neighbours] = {}
        for analysis, _ in self.knowing(path):
            for graph in analysis.graphs.values():
                member = graph.linked.graph.members.get(name)
                if member is not None and (member is entity or member.name == getattr(entity, "name", None)):
                    found.setdefault(graph.linked.graph.name, graph)
        return list(found.items())


def resolved(path: str | Path) -> Path:
    """The path as the compiler knows it."""
    return Path(path).resolve()


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        for name in sorted(files):
            if name.endswith(".forge"):
                yield (Path(folder) / name).resolve()
