"""Syntax → domain for a whole program: files loaded and imported, declarations resolved, the main graph chosen.

Files are loaded depth first, each once; imports between `.forge` files form a DAG, so a file is resolved after those
that it imports from. Nothing outside the project's root is read, symbolic links included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from dataforge.domain import actions as a
from dataforge.domain.conditions import Terms
from dataforge.domain.declarations import StructDeclarer, resolve_list, resolve_rubric
from dataforge.domain.examples import ExampleResolver
from dataforge.domain.expressions import Predicate
from dataforge.domain.files import Files, UnreadableFile
from dataforge.domain.graphs import GraphResolver
from dataforge.domain.nodes import NodeResolver
from dataforge.domain.python import PythonImports, PythonRefused
from dataforge.domain.scope import KINDS, FileScope
from dataforge.domain.settings import Surroundings, sampling_settings, thinking_mode
from dataforge.domain.structs import StructType
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source, Span, did_you_mean, listing, nearest
from dataforge.lang.store import parse_stored
from dataforge.project import Project


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that a main file declares or imports, resolved.

    Attributes:
        graph: the graph to run.
        structs: every struct, by canonical name.
        models, lists: those that its nodes use, by name.
        terms: the table of terms.
        files: texts of the files that were read, by path relative to the project's root.
        examples: the cases that the main file writes down.
        modules: content hashes of the project's Python modules that it uses, by path likewise.
        folder: the folder of the file that declares the graph, for seeds.
    """

    main: str
    graph: a.Graph
    structs: Mapping[str, StructType]
    models: Mapping[str, a.Model]
    lists: Mapping[str, a.EntryList]
    terms: Terms
    files: Mapping[str, str]
    examples: tuple[a.Example, ...]
    modules: Mapping[str, str]
    folder: Path


@dataclass
class Loader:
    """Loads files, each once, and keeps what their names mean.

    Attributes:
        scopes: for each file, by path relative to the project's root, the names in it.
        structs: every struct, by canonical name.
        used_graphs: graphs that another graph uses.
        parse: makes the tree of a text; an editor's knows the text before the last edit.
    """

    project: Project
    files: Files
    python: PythonImports
    report: Report
    terms: Terms = field(default_factory=Terms)
    scopes: dict[str, FileScope] = field(default_factory=dict)
    structs: dict[str, StructType] = field(default_factory=dict)
    models: dict[type[BaseModel], StructType] = field(default_factory=dict)
    used_graphs: set[a.Graph] = field(default_factory=set)
    parse: Callable[[Source, Report], s.File] = parse_stored

    def scope_of(self, path: Path) -> FileScope:
        """The names of a file that was loaded."""
        return self.scopes[self.files.relative(path)]

    def load(self, path: Path, chain: tuple[str, ...]) -> FileScope:
        """Load and resolve one file and what it imports.

        Raises:
            UnreadableFile: where the file itself cannot be read.
        """
        name = self.files.relative(path)
        if name in self.scopes:
            return self.scopes[name]
        source = self.files.text(path)
        scope = FileScope(source, self.report)
        file = self.parse(source, self.report)
        scope.broken.update(file.broken)
        around = Surroundings(
            scope, self.terms, self.python, lambda text, span: self.read(path, text, span, scope)
        )
        for item in file.items:
            if isinstance(item, s.Import):
                (self._import_file if item.is_file else self._import_python)(
                    item, scope, path, (*chain, name)
                )
        self.declare(file, around, path)
        self.scopes[name] = scope
        return scope

    def read(
        self, origin: Path, text: str, span: Span, scope: FileScope, *, keep: bool = True
    ) -> Source | None:
        """A text file that the file at `origin` names; None after a report."""
        try:
            return self.files.text(origin.parent / text, keep=keep)
        except UnreadableFile as error:
            help = _nearest_file(origin.parent, text) if error.code == "F017" else ""
            self.report.error(error.code, str(error), scope.source, span, help or error.help)
            return None

    # ---- imports

    def _import_file(self, item: s.Import, scope: FileScope, path: Path, chain: tuple[str, ...]) -> None:
        target = path.parent / item.origin
        found: FileScope | None = None
        try:
            name = self.files.relative(target)
            if name in chain:
                cycle = " → ".join((*chain[chain.index(name) :], name))
                self.report.error(
                    "F014",
                    f"these files import one another: {cycle}",
                    scope.source,
                    item.span,
                    "move what both need to a third",
                )
            else:
                found = self.load(target, chain)
        except UnreadableFile as error:
            help = _nearest_file(path.parent, item.origin) if error.code == "F017" else ""
            self.report.error(error.code, str(error), scope.source, item.span, help or error.help)
        for imported in item.names:
            entity = found.entities.get(imported.name.text) if found is not None else None
            if entity is not None and found is not None:
                found.used.add(imported.name.text)
                scope.add(imported.alias.text, entity, imported.alias.span)
                continue
            if found is not None and imported.name.text not in found.broken:
                self.report.error(
                    "F012",
                    f"`{item.origin}` declares no `{imported.name.text}`",
                    scope.source,
                    imported.name.span,
                    did_you_mean(imported.name.text, found.entities),
                )
            scope.lost(imported.alias.text, imported.alias.span)

    def _import_python(self, item: s.Import, scope: FileScope, path: Path, chain: tuple[str, ...]) -> None:
        for imported in item.names:
            name, alias = imported.name, imported.alias
            try:
                found = self.python.attribute(f"{item.origin}:{name.text}")
            except PythonRefused as refused:
                at = name.span if f"no `{name.text}`" in str(refused) else item.span
                self.report.error(refused.code, str(refused), scope.source, at, refused.help)
                scope.lost(alias.text, alias.span)
                continue
            if not (isinstance(found, type) and issubclass(found, BaseModel)):
                self.report.error(
                    "F016",
                    f"`{name.text}` is no pydantic model, and only those can be imported as structs",
                    scope.source,
                    name.span,
                    "functions are named by `call` and `predicate`",
                )
                scope.lost(alias.text, alias.span)
                continue
            struct = self.models.get(found)
            if struct is None:
                struct = self.models[found] = StructType(found.__name__, found, item.origin)
            if self._unique(struct, scope, name.span):
                scope.add(alias.text, struct, alias.span)
            else:
                scope.lost(alias.text, alias.span)

    def _unique(self, struct: StructType, scope: FileScope, span: Span) -> bool:
        other = self.structs.setdefault(struct.name, struct)
        if other is not struct:
            self.report.error(
                "F018",
                f"two structs of this program are named `{struct.name}`: of {other.origin} and of {struct.origin}",
                scope.source,
                span,
                "a row holds one instance a name: rename one, or import both files' from one place",
            )
        return other is struct

    # ---- declarations

    def declare(self, file: s.File, around: Surroundings, path: Path) -> None:
        """Resolve everything that a file declares, each kind after those that it may use."""
        scope = around.scope
        StructDeclarer(scope, self._unique).declare(_of(file, s.StructDecl))
        for model in _of(file, s.ModelDecl):
            settings, rest = sampling_settings(model.settings, around, ("thinking",))
            if "thinking" in rest:
                settings["thinking"] = thinking_mode(rest["thinking"], around)
            scope.add(
                model.name.text,
                a.Model(model.name.text, model.kind, settings, scope.source, model.name.span),
                model.name.span,
            )
        for listed in _of(file, s.ListDecl):
            entries = resolve_list(
                listed, around, lambda text, span: self.read(path, text, span, scope, keep=False)
            )
            if entries is not None:
                scope.add(listed.name.text, entries, listed.name.span)
            else:
                scope.lost(listed.name.text, listed.name.span)
        for graded in _of(file, s.RubricDecl):
            rubric = resolve_rubric(graded, around)
            if rubric is not None:
                scope.add(graded.name.text, rubric, graded.name.span)
            else:
                scope.lost(graded.name.text, graded.name.span)
        for tested in _of(file, s.PredicateDecl):
            function = around.function(tested.target)
            if function is not None:
                params = tuple(scope.struct(p.text) for p in tested.params)
                scope.add(tested.name.text, Predicate(tested.name.text, params, function), tested.name.span)
            else:
                scope.lost(tested.name.text, tested.name.span)
        for action in _of(file, s.NodeDecl):
            node = NodeResolver(action, around).resolve()
            if node is not None:
                scope.add(action.name.text, node, action.name.span)
            else:
                scope.lost(action.name.text, action.name.span)
        self._declare_graphs(_of(file, s.GraphDecl), around)
        found = [ExampleResolver(case, around).resolve() for case in _of(file, s.ExampleDecl)]
        scope.examples = tuple(example for example in found if example is not None)

    def _declare_graphs(self, declared: list[s.GraphDecl], around: Surroundings) -> None:
        scope = around.scope
        waiting = {d.name.text: d for d in declared}
        state: dict[str, str] = {}

        def make(decl: s.GraphDecl, chain: tuple[str, ...]) -> None:
            name = decl.name.text
            state[name] = "open"
            for clause in decl.clauses:
                if not isinstance(clause, s.Nodes):
                    continue
                for member in clause.names or ():
                    inner = waiting.get(member.text)
                    if inner is None or member.text in scope.entities:
                        continue
                    if state.get(member.text) == "open":
                        cycle = " → ".join(
                            (
                                *chain[chain.index(member.text) if member.text in chain else 0 :],
                                name,
                                member.text,
                            )
                        )
                        self.report.error(
                            "F065",
                            f"a graph cannot be inside itself: {cycle}",
                            scope.source,
                            member.span,
                            "remove one use",
                        )
                        scope.lost(member.text, inner.name.span)
                    elif member.text not in state:
                        make(inner, (*chain, name))
            graph = GraphResolver(decl, around).resolve()
            state[name] = "done"
            if graph is not None and name not in scope.broken:
                scope.add(name, graph, decl.name.span)
                self.used_graphs.update(m for m in graph.members.values() if isinstance(m, a.Graph))
            else:
                scope.lost(name, decl.name.span)

        for decl in declared:
            if waiting[decl.name.text] is not decl:
                self.report.error(
                    "F011",
                    f"`{decl.name.text}` is declared twice",
                    scope.source,
                    decl.name.span,
                    "rename one",
                )
            elif decl.name.text not in state:
                make(decl, ())


def load_program(
    path: Path,
    project: Project,
    report: Report,
    *,
    graph: str | None = None,
    python: bool = True,
    overlay: Mapping[str, str] | None = None,
) -> Program | None:
    """Load a main file and all that it imports; None after reports.

    Args:
        path: the `.forge` file.
        project: the project that it belongs to.
        report: where complaints go, of every file.
        graph: which graph to take, where the file has several.
        python: whether Python modules may be imported.
        overlay: texts that stand in for files, by path relative to the project's root.
    """
    loader = load_files(path, project, report, python=python, overlay=overlay)
    if loader is None:
        return None
    scope, files = loader.scope_of(path), loader.files
    chosen = _main_graph(scope, loader, graph)
    if report.has_errors or chosen is None:
        return None
    warn_unused(scope, chosen)
    nodes = chosen.nodes()
    models: dict[str, a.Model] = {}
    lists: dict[str, a.EntryList] = {}
    for node in nodes.values():
        for step in node.steps:
            if isinstance(step, a.Ask | a.Judge):
                known = models.setdefault(step.model.name, step.model)
                if known.kind != step.model.kind:
                    report.error(
                        "F047",
                        f"`{known.name}` is a generator in one file and a judge in another",
                        step.model.source,
                        step.model.span,
                        "rename one: a model is bound by its name",
                    )
                    return None
            elif isinstance(step, a.Draw):
                lists[step.source.name] = step.source
    warn_silent(chosen, report)
    return Program(
        main=files.relative(path),
        graph=chosen,
        structs=dict(sorted(loader.structs.items())),
        models=dict(sorted(models.items())),
        lists=dict(sorted(lists.items())),
        terms=loader.terms,
        files=dict(sorted(files.read.items())),
        examples=scope.examples,
        modules=loader.python.digests(),
        folder=(project.root / chosen.source.path).parent,
    )


def load_files(
    path: Path,
    project: Project,
    report: Report,
    *,
    python: bool = True,
    overlay: Mapping[str, str] | None = None,
    parse: Callable[[Source, Report], s.File] = parse_stored,
) -> Loader | None:
    """Load a file and all that it imports, whether it has a graph or not; None where it cannot be read.

    What is wrong goes to the report, and what could be resolved is in the loader's scopes. The arguments are those of
    `load_program`; `parse` makes the tree of a text, where the caller knows a quicker way.
    """
    files = Files(project.root, overlay or {})
    python_imports = PythonImports(project.root, project.allow_python, enabled=python)
    loader = Loader(project, files, python_imports, report, parse=parse)
    try:
        loader.load(path, ())
    except UnreadableFile as error:
        report.error(error.code, str(error), Source(str(path), ""), Span(0, 0), error.help)
        return None
    return loader


def _nearest_file(folder: Path, name: str) -> str:
    """A help line: the file that was probably meant, as the text would name it; empty where none is near."""
    found: list[str] = []
    for part in name.split("/"):
        place = folder.joinpath(*found)
        if part in (".", ".."):
            near: str | None = part
        else:
            try:
                near = nearest(part, [entry.name for entry in place.iterdir()])
            except OSError:
                near = None
        if near is None:
            return ""
        found.append(near)
    return f"did you mean `{'/'.join(found)}`?"


def _main_graph(scope: FileScope, loader: Loader, name: str | None) -> a.Graph | None:
    graphs = {n: e for n, e in scope.entities.items() if isinstance(e, a.Graph)}
    broken = list(scope.broken)
    if name is not None:
        if name not in graphs and name not in broken:
            loader.report.error(
                "F060",
                f"there is no graph named `{name}`",
                scope.source,
                Span(0, 0),
                did_you_mean(name, graphs),
            )
        return graphs.get(name)
    mains = {n: g for n, g in graphs.items() if g not in loader.used_graphs}
    if len(mains) == 1:
        return next(iter(mains.values()))
    if mains:
        second = sorted(mains.values(), key=lambda g: g.span)[1]
        loader.report.error(
            "F060",
            f"this file has {len(mains)} graphs that no other uses: {listing(sorted(mains))}",
            second.source,
            second.span,
            "choose one with --graph",
        )
    elif not loader.report.has_errors:
        loader.report.error(
            "F060",
            "this file has no graph",
            scope.source,
            Span(0, 0),
            "declare one: `graph NAME { from … to … nodes * }`",
        )
    return None


def warn_silent(graph: a.Graph, report: Report) -> None:
    """Warn of a main graph that emits nothing."""
    if graph.emit is None:
        report.warning(
            "F082",
            f"`{graph.name}` has no `emit`: only its models' calls become training rows",
            graph.source,
            graph.span,
            "add `emit { user … assistant … }`",
        )


def warn_unused(scope: FileScope, graph: a.Graph) -> None:
    """Warn of what the main file declares or imports and its graph does not use."""
    members = set(graph.nodes().values()) | set(graph.graphs().values()) | {graph}
    for name, entity in scope.entities.items():
        if name in scope.used or entity in members:
            continue
        scope.report.warning(
            "F080",
            f"{KINDS[type(entity)]} `{name}` is not used",
            scope.source,
            scope.declared_at[name],
            "remove it, or use it",
        )


_Item = TypeVar("_Item")


def _of(file: s.File, kind: type[_Item]) -> list[_Item]:
    """The items of one kind, in order."""
    return [item for item in file.items if isinstance(item, kind)]
