"""What one program means, again and again while it is written: the compiler, with a memory.

An `Analyser` belongs to one main file. In go the texts that are open in the editor (they stand in for the disk), out
comes an `Analysis`: names, linked graphs and diagnostics of the file and all that it imports. The memory has three
parts: trees of items that did not change (`dataforge.lang.incremental`), nodes that did not change (`resolving`), and
the last good meaning of each name, so that an editor is still answered while the text is broken.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.domain import actions as a
from dataforge.domain.resolve import Loader, warn_silent, warn_unused
from dataforge.domain.scope import Entity, FileScope
from dataforge.domain.structs import StructType
from dataforge.errors import ProjectError
from dataforge.lang import syntax as s
from dataforge.lang.collection import held_collection
from dataforge.lang.diagnostics import Diagnostic, Report, Source, Span, in_order
from dataforge.lang.incremental import ItemCache, parse_items
from dataforge.plan.link import link
from dataforge.plan.linked import SOURCE, TARGET, Linked
from dataforge.project import load_project
from dataforge.server.resolving import Resolver


class Stale(Exception):
    """A newer text has come: what is being worked out is not wanted any more."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Who comes before and after each member of a linked graph, without a list of every edge."""

    linked: Linked

    @functools.cached_property
    def _into(self) -> dict[int, dict[str, None]]:
        into: dict[int, dict[str, None]] = {self.linked.source: {SOURCE: None}}
        for vertex in self.linked.vertices:
            into.setdefault(vertex.state, {})[self.linked.actions[vertex.action].name] = None
        return into

    @functools.cached_property
    def _states(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """For each member the states in which it runs, and those after it."""
        before: dict[str, list[int]] = {}
        after: dict[str, list[int]] = {}
        for state, steps in enumerate(self.linked.steps):
            for step in steps:
                before.setdefault(self.linked.actions[step.action].name, []).append(state)
        for vertex in self.linked.vertices:
            after.setdefault(self.linked.actions[vertex.action].name, []).append(vertex.state)
        return before, after

    def prepare(self) -> None:
        """Work out what every question needs."""
        assert self._into is not None
        assert self._states is not None

    def before(self, name: str) -> list[str]:
        """Names that lead to a member."""
        states = self._states[0].get(name, ())
        return list(dict.fromkeys(n for state in states for n in self._into.get(state, ())))

    def after(self, name: str) -> list[str]:
        """Names that follow a member."""
        linked, found = self.linked, dict[str, None]()
        for state in self._states[1].get(name, ()):
            found.update(dict.fromkeys(linked.actions[step.action].name for step in linked.steps[state]))
            if state in linked.goals:
                found[TARGET] = None
        return list(found)

    def known(self, name: str) -> tuple[str, ...]:
        """What is known after a member, wherever it runs; empty where no walk uses it."""
        common: dict[str, None] | None = None
        for state in self._states[1].get(name, ()):
            if state not in self._described:
                self._described[state] = dict.fromkeys(self.linked.known(state))
            facts = self._described[state]
            common = facts if common is None else {f: None for f in common if f in facts}
        return tuple(common or ())

    @functools.cached_property
    def _described(self) -> dict[int, dict[str, None]]:
        """What is known in the states that were asked for."""
        return {}


@dataclass(frozen=True, eq=False)
class Analysis:
    """What one main file and its imports mean.

    Attributes:
        main: the main file, by its path relative to the root.
        root: the project's root.
        scopes: for each `.forge` file that was read, what its names mean.
        graphs: the linked graphs, by name, the last that linked.
        diagnostics: in order, each with the text that it speaks of.
        files: all files that it depends on, relative to the root.
        modules: the project's Python files that it depends on, likewise.
    """

    main: str
    root: Path
    scopes: Mapping[str, FileScope] = field(repr=False, default_factory=dict)
    entities: Mapping[str, Mapping[str, Entity]] = field(repr=False, default_factory=dict)
    """For each file, name → what it means, or last meant where it is broken now."""
    structs: Mapping[str, StructType] = field(repr=False, default_factory=dict)
    graphs: Mapping[str, Neighbours] = field(repr=False, default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    files: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()


class Analyser:
    """Analyses one main file, as often as its texts change.

    Args:
        path: the `.forge` file.
        python: whether Python modules that it names may be imported.
    """

    def __init__(self, path: Path, *, python: bool = True) -> None:
        self.path = path
        self.python = python
        self._trees: dict[str, ItemCache] = {}
        self._resolver = Resolver(path, python=python)
        self._last: Analysis | None = None

    def forget_python(self) -> None:
        """A Python module that the program names has changed."""
        self._resolver.forget()

    def analyse(self, overlay: Mapping[Path, str], is_stale: Callable[[], bool] = lambda: False) -> Analysis:
        """Work out what the program means now.

        Args:
            overlay: texts that stand in for files, by resolved path.
            is_stale: asked between two steps.

        Raises:
            Stale: where `is_stale` says so.
        """
        report = Report()
        try:
            project = load_project(self.path)
        except ProjectError as error:
            report.error(error.code, error.message, Source(self.path.name, ""), Span(0, 0), error.help or "")
            return self._keep(
                Analysis(self.path.name, self.path.parent, diagnostics=tuple(report.diagnostics))
            )
        root = project.root
        texts = {
            path.relative_to(root).as_posix(): text
            for path, text in overlay.items()
            if path.is_relative_to(root)
        }

        def parse(source: Source, report: Report) -> s.File:
            if is_stale():
                raise Stale
            return parse_items(source, self._trees.setdefault(source.path, ItemCache()), report)

        with held_collection():
            loader = self._resolver.load(project, texts, report, parse)
            main = self.path.relative_to(root).as_posix() if self.path.is_relative_to(root) else ""
            if loader is None:
                return self._keep(Analysis(main, root, diagnostics=in_order(report.diagnostics)))
            if is_stale():
                raise Stale
            graphs = self._link(loader, loader.scopes[main], report)
        return self._keep(
            Analysis(
                main=main,
                root=root,
                scopes=loader.scopes,
                entities=self._entities(loader.scopes),
                structs=loader.structs,
                graphs=graphs,
                diagnostics=in_order(report.diagnostics),
                files=frozenset([*loader.files.read, *_lists(loader.scopes)]),
                modules=frozenset(loader.python.digests()),
            )
        )

    def _keep(self, analysis: Analysis) -> Analysis:
        """Remember it; where it knows nothing, what was known before goes on."""
        last = self._last
        if last is not None and not analysis.scopes:
            analysis = Analysis(
                analysis.main,
                analysis.root,
                entities=last.entities,
                structs=last.structs,
                graphs=last.graphs,
                diagnostics=analysis.diagnostics,
                files=last.files,
                modules=last.modules,
            )
        self._last = analysis
        return analysis

    def _entities(self, scopes: Mapping[str, FileScope]) -> dict[str, dict[str, Entity]]:
        before = self._last.entities if self._last is not None else {}
        return {
            name: {
                **{n: e for n, e in before.get(name, {}).items() if n in scope.broken},
                **scope.entities,
            }
            for name, scope in scopes.items()
        }

    def _link(self, loader: Loader, scope: FileScope, report: Report) -> dict[str, Neighbours]:
        """Link the graphs of the main file that no other uses; keep the last of those that do not link now."""
        declared = {name: e for name, e in scope.entities.items() if isinstance(e, a.Graph)}
        last = dict(self._last.graphs) if self._last is not None else {}
        kept = {name: found for name, found in last.items() if name in declared or name in scope.broken}
        if report.has_errors:
            return kept
        mains = [g for g in declared.values() if g not in loader.used_graphs and g.source is scope.source]
        done: dict[a.Graph, Linked | None] = {}
        for graph in mains:
            link(graph, loader.terms, loader.structs, report, done)
        if len(mains) == 1 and not report.has_errors:
            warn_unused(scope, mains[0])
            warn_silent(mains[0], report)
        for graph, linked in done.items():
            if linked is not None:
                kept[graph.name] = Neighbours(linked)
        return kept


def _lists(scopes: Mapping[str, FileScope]) -> set[str]:
    return {
        entity.path
        for scope in scopes.values()
        for entity in scope.entities.values()
        if isinstance(entity, a.EntryList) and entity.path is not None
    }


def forget_modules(root: Path, modules: Sequence[str]) -> None:
    """Let Python modules of a project be imported anew, since their files have changed.

    Args:
        root: the project's root.
        modules: their files, relative to it.
    """
    for place in modules:
        path = Path(place)
        parts = path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
        name = ".".join(parts)
        module = sys.modules.get(name)
        if module is not None and Path(getattr(module, "__file__", None) or "/").is_relative_to(root):
            del sys.modules[name]
