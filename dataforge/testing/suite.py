"""Everything that `dataforge test` checks of a file: its nodes, its graphs' samples and its examples, each as an item.

The command line and the pytest plugin both run these items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataforge.domain import actions as a
from dataforge.domain.resolve import Loader, load_files
from dataforge.lang.diagnostics import Diagnostic, Report, in_order
from dataforge.plan.link import link
from dataforge.plan.linked import Linked
from dataforge.project import load_project
from dataforge.testing.cases import run_example
from dataforge.testing.contracts import DEFAULT_EXAMPLES, NodeTest
from dataforge.testing.findings import Finding

DEFAULT_SEED = 0


@dataclass(frozen=True)
class Item:
    """One thing to test; `run` gives its findings."""

    name: str
    line: int
    run: Callable[[], Iterable[Finding]] = field(repr=False)


@dataclass(frozen=True)
class Suite:
    """The items of one file, and what the compiler warned of."""

    path: Path
    items: tuple[Item, ...]
    warnings: tuple[Diagnostic, ...]


def suite_of(
    path: Path, *, seed: int = DEFAULT_SEED, examples: int = DEFAULT_EXAMPLES, only: Iterable[str] = ()
) -> Suite:
    """Compile a file and list what can be tested in it: the nodes and examples that it declares, in order.

    Args:
        path: the `.forge` file; it need not have a graph.
        seed: what examples are drawn by: the same seed, the same examples.
        examples: how many a law.
        only: names of nodes, graphs or `example NAME`; everything where none is given.

    Raises:
        CompileError: where the file is wrong, or one of its graphs does not link.
    """
    report = Report()
    loader = load_files(path, load_project(path), report)
    report.raise_if_errors()
    assert loader is not None
    scope = loader.scope_of(path)
    linked = _linked(loader, path, report)
    report.raise_if_errors()
    found: list[tuple[int, Item]] = []
    for name, entity in scope.entities.items():
        if isinstance(entity, a.Node) and entity.source.path == scope.source.path:
            test = NodeTest(entity, loader.structs, seed=seed, examples=examples)
            found.append((entity.span.start, Item(name, _line(entity), test.findings)))
    for example in scope.examples:
        graph = linked.get(example.subject) if isinstance(example.subject, a.Graph) else None
        found.append(
            (example.span.start, Item(f"example {example.name}", _line(example), _case(example, graph)))
        )
    wanted = set(only)
    items = tuple(
        item for _, item in sorted(found, key=lambda pair: pair[0]) if not wanted or item.name in wanted
    )
    return Suite(path, items, in_order(report.diagnostics))


def _linked(loader: Loader, path: Path, report: Report) -> dict[a.Graph, Linked | None]:
    """Every graph of the file, linked: an edge that is missing is a failing test as well."""
    done: dict[a.Graph, Linked | None] = {}
    for entity in loader.scope_of(path).entities.values():
        if isinstance(entity, a.Graph):
            link(entity, loader.terms, loader.structs, report, done)
    return done


def _line(thing: a.Node | a.Example) -> int:
    return thing.source.line_column(thing.span.start)[0]


def _case(example: a.Example, linked: Linked | None) -> Callable[[], Iterator[Finding]]:
    def run() -> Iterator[Finding]:
        yield run_example(example, linked)

    return run
