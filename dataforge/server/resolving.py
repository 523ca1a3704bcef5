"""Syntax → domain again, after an edit: only the nodes that changed are resolved.

A node's meaning depends on its own text and on what stands around it: structs, models, lists, rubrics, predicates and
imports, but on no other node. So a `Resolver` keeps the surroundings of one main file as long as nothing of them
changes, and of each node what its text meant in them: the node, what was complained of, and which names it used. An item
that an edit moved gets its positions moved. Graphs and examples are made anew each time; they cost little.

What comes out is what `load_files` gives for the same files, and a property test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataforge.domain import actions as a
from dataforge.domain.files import Files, UnreadableFile
from dataforge.domain.nodes import NodeResolver
from dataforge.domain.resolve import Loader, load_files
from dataforge.domain.scope import Entity, FileScope
from dataforge.domain.settings import Surroundings
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Diagnostic, Report, Source, Span
from dataforge.project import Project

Parse = Callable[[Source, Report], s.File]

_WORD = re.compile(r"[^\W\d]\w*")
_DISK_CODES = frozenset(["F005", "F013", "F017"])
"""What is wrong with these may be mended outside the text."""


@dataclass(frozen=True)
class _Meaning:
    """What a node's text meant, and where it stood then."""

    node: a.Node | None
    diagnostics: tuple[Diagnostic, ...]
    used: frozenset[str]
    start: int
    source: Source
    broken: frozenset[str]

    def holds(self, text: str, broken: frozenset[str]) -> bool:
        """Whether the text means the same where these names are broken: of them, nothing is complained of."""
        if any(d.code in _DISK_CODES for d in self.diagnostics):
            return False
        if self.broken == broken:
            return True
        words = set(_WORD.findall(text))
        return "file" not in words and not words & (self.broken ^ broken)


@dataclass
class _Around:
    """The surroundings of the nodes of one file: what was loaded without them."""

    loader: Loader
    items: tuple[s.Item, ...]
    project: Project
    entities: dict[str, Entity]
    used: frozenset[str]
    texts: dict[str, str]
    stamps: dict[Path, tuple[int, int]]
    meanings: dict[str, _Meaning] = field(default_factory=dict)


class Resolver:
    """Loads one main file, as often as its texts change.

    Args:
        path: the `.forge` file.
        python: whether Python modules that it names may be imported.
    """

    def __init__(self, path: Path, *, python: bool) -> None:
        self.path = path
        self.python = python
        self._around: _Around | None = None

    def forget(self) -> None:
        """Something changed that cannot be seen here: a Python module."""
        self._around = None

    def load(
        self, project: Project, overlay: Mapping[str, str], report: Report, parse: Parse
    ) -> Loader | None:
        """Load the file and all that it imports, as `load_files` does; None where it cannot be read."""
        files = Files(project.root, overlay)
        try:
            source = files.text(self.path)
        except UnreadableFile:
            return load_files(self.path, project, report, python=self.python, overlay=overlay, parse=parse)
        file = parse(source, report)
        inner = tuple(i for i in file.items if isinstance(i, s.NodeDecl | s.GraphDecl | s.ExampleDecl))
        outer = tuple(i for i in file.items if not isinstance(i, s.NodeDecl | s.GraphDecl | s.ExampleDecl))
        around = self._around
        if around is None or not self._is_still(around, outer, project, files):
            around = self._surroundings(source, outer, file, project, overlay, report, parse)
            if around is None:
                return None
            scope = around.loader.scopes[source.path]
        else:
            scope = FileScope(source, report, dict(around.entities), _declared(outer), used=set(around.used))
        loader = Loader(
            project,
            around.loader.files,
            around.loader.python,
            report,
            terms=around.loader.terms,
            scopes={**around.loader.scopes, source.path: scope},
            structs=around.loader.structs,
            models=around.loader.models,
            parse=parse,
        )
        loader.files.read[source.path] = source.text
        scope.broken.update(file.broken)
        surroundings = Surroundings(
            scope, loader.terms, loader.python, lambda text, span: loader.read(self.path, text, span, scope)
        )
        self._nodes(inner, around, surroundings, len(source.text))
        rest = tuple(i for i in inner if not isinstance(i, s.NodeDecl))
        loader.declare(s.File(rest), surroundings, self.path)
        return loader

    # ---- surroundings

    def _is_still(self, around: _Around, outer: tuple[s.Item, ...], project: Project, files: Files) -> bool:
        """Whether nothing changed but the nodes, graphs and examples of the main file."""
        if around.project != project or around.items != outer:
            return False
        try:
            return all(
                files.text(project.root / name).text == text
                for name, text in around.texts.items()
                if project.root / name != self.path
            ) and all(_stamp(path) == stamp for path, stamp in around.stamps.items())
        except UnreadableFile:
            return False

    def _surroundings(
        self,
        source: Source,
        outer: tuple[s.Item, ...],
        file: s.File,
        project: Project,
        overlay: Mapping[str, str],
        report: Report,
        parse: Parse,
    ) -> _Around | None:
        """Load the file without its nodes, graphs and examples."""
        self._around = None
        rest = s.File(outer, file.version, file.broken)

        def without_nodes(wanted: Source, to: Report) -> s.File:
            return rest if wanted.path == source.path else parse(wanted, to)

        before = len(report.diagnostics)
        loader = load_files(
            self.path, project, report, python=self.python, overlay=overlay, parse=without_nodes
        )
        if loader is None:
            return None
        scope = loader.scopes[source.path]
        lists = [e.path for e in scope.entities.values() if isinstance(e, a.EntryList) and e.path]
        around = _Around(
            loader,
            outer,
            project,
            dict(scope.entities),
            frozenset(scope.used),
            loader.files.read,
            {project.root / name: _stamp(project.root / name) for name in lists if name not in overlay},
        )
        overlaid = any(name in overlay for name in lists)
        if len(report.diagnostics) == before and not overlaid and not scope.broken - set(file.broken):
            self._around = around
        return around

    # ---- nodes

    def _nodes(self, items: tuple[s.Item, ...], around: _Around, here: Surroundings, end: int) -> None:
        text, scope = here.source.text, here.scope
        starts = [*(_start(item) for item in items), end]
        known, around.meanings = around.meanings, {}
        for number, item in enumerate(items):
            if not isinstance(item, s.NodeDecl):
                continue
            start = item.name.span.start
            following = next((n for n in starts[number + 1 :] if n > start), end)
            key = text[start:following]
            meaning = around.meanings.get(key) or known.get(key)
            broken = frozenset(scope.broken)
            if meaning is None or not meaning.holds(key, broken):
                meaning = _resolved(item, here, broken)
                node = meaning.node
            else:
                node = _again(meaning, here, start)
            around.meanings[key] = meaning
            scope.used.update(meaning.used)
            if node is not None:
                scope.add(item.name.text, node, item.name.span)
            else:
                scope.lost(item.name.text, item.name.span)


def _resolved(item: s.NodeDecl, here: Surroundings, broken: frozenset[str]) -> _Meaning:
    """Resolve a node, and note what it used and complained of."""
    scope, report = here.scope, here.report
    used, scope.used = scope.used, set()
    before = len(report.diagnostics)
    node = NodeResolver(item, here).resolve()
    mine, scope.used = frozenset(scope.used), used
    return _Meaning(node, tuple(report.diagnostics[before:]), mine, item.name.span.start, here.source, broken)


def _again(meaning: _Meaning, here: Surroundings, start: int) -> a.Node | None:
    """What was resolved before, at its place in the text of now."""
    by, report = start - meaning.start, here.report
    for d in meaning.diagnostics:
        mine = d.source is meaning.source
        report.diagnostics.append(replace(d, source=here.source, span=_moved(d.span, by)) if mine else d)
        report.errors += d.severity == "error"
    node = meaning.node
    if node is None or (by == 0 and node.source is here.source):
        return node
    return replace(
        node,
        source=here.source,
        span=_moved(node.span, by),
        spans={name: _moved(span, by) for name, span in node.spans.items()},
        branch=replace(node.branch, span=_moved(node.branch.span, by)) if node.branch is not None else None,
    )


def _moved(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by if span.end else 0)


def _start(item: s.Item) -> int:
    return item.name.span.start if isinstance(item, s.NodeDecl | s.GraphDecl | s.ExampleDecl) else 0


def _declared(items: tuple[s.Item, ...]) -> dict[str, Span]:
    """Where the names of some items are declared."""
    found: dict[str, Span] = {}
    for item in items:
        if isinstance(item, s.Import):
            found.update({i.alias.text: i.alias.span for i in item.names})
        else:
            found.setdefault(item.name.text, item.name.span)
    return found


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size
