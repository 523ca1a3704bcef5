"""From a file to what can be explained of it, also where it does not link.

A target out of reach, a cycle or an outcome that leads nowhere are errors of linking; exploration is over by then, and
its states are what explanations need. Errors before that (syntax, names, types) are raised as `compile` raises them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dataforge.domain import actions as a
from dataforge.domain.resolve import Program, load_program
from dataforge.errors import InputError
from dataforge.lang.collection import held_collection
from dataforge.lang.diagnostics import Diagnostic, Report, did_you_mean, in_order
from dataforge.plan.artifact import open_plan
from dataforge.plan.link import explore, link
from dataforge.plan.linked import SOURCE, TARGET, Explored, Linked
from dataforge.project import load_project


@dataclass(frozen=True, eq=False)
class Explainable:
    """A program, and of its graphs those that link.

    Attributes:
        errors: what linking complained of.
    """

    program: Program
    linked: dict[a.Graph, Linked | None]
    errors: tuple[Diagnostic, ...]
    _explored: dict[a.Graph, Explored] = field(default_factory=dict)

    def graph(self, prefix: str) -> a.Graph:
        """The main graph, or one inside it by its qualified name.

        Raises:
            InputError: where there is none.
        """
        if not prefix:
            return self.program.graph
        graphs = self.program.graph.graphs()
        if prefix not in graphs:
            raise InputError(
                f"`{self.program.graph.name}` has no graph named `{prefix}` inside it",
                code="R034",
                help=did_you_mean(prefix, graphs, otherwise="" if graphs else "it has only nodes"),
            )
        return graphs[prefix]

    def explored(self, graph: a.Graph) -> Explored:
        """Every state of a graph.

        Raises:
            CompileError: where it has too many of them.
        """
        if graph not in self._explored:
            report = Report()
            found = explore(graph, self.program.terms, self.program.structs, report)
            report.raise_if_errors()
            assert found is not None
            self._explored[graph] = found
        return self._explored[graph]

    def check(self, name: str) -> None:
        """Raise where a qualified name means nothing here.

        Raises:
            InputError: with the nearest name.
        """
        prefix, member = split(name)
        graph = self.graph(prefix)
        if member in graph.members or member in (SOURCE, TARGET):
            return
        inside = [n for n in self.program.graph.nodes() if n.endswith(f"/{member}")]
        where = f"{prefix}/" if prefix else ""
        known = [where + n for n in graph.members]
        raise InputError(
            f"`{graph.name}` has no node named `{member}`",
            code="R034",
            help=f"it is in a graph inside: write `{inside[0]}`"
            if inside
            else did_you_mean(name, [*known, SOURCE, TARGET]),
        )


def split(name: str) -> tuple[str, str]:
    """A qualified name as the graph that it is in, and the name there: `inner/question`."""
    prefix, _, member = name.rpartition("/")
    return prefix, member


def open_explainable(path: Path, *, graph: str | None = None, python: bool = True) -> Explainable:
    """Load a `.forge` file or a plan document, and link what can be linked.

    Raises:
        CompileError: where the file is wrong before anything is linked.
        ProjectError, PlanError: as compiling it does.
    """
    if path.suffix == ".json":
        plan = open_plan(path, graph=graph, python=python)
        found: dict[a.Graph, Linked | None] = {plan.graph: plan.linked}
        _add_inner(plan.linked, found)
        return Explainable(plan.program, found, ())
    report = Report()
    with held_collection():
        program = load_program(path, load_project(path), report, graph=graph, python=python)
        report.raise_if_errors()
        assert program is not None
        return link_explainable(program, report)


def link_explainable(program: Program, report: Report) -> Explainable:
    """A resolved program with the graphs of it that link; complaints go to the report as well."""
    done: dict[a.Graph, Linked | None] = {}
    link(program.graph, program.terms, program.structs, report, done)
    errors = in_order(d for d in report.diagnostics if d.severity == "error")
    return Explainable(program, done, errors)


def _add_inner(linked: Linked, found: dict[a.Graph, Linked | None]) -> None:
    for inner in linked.inner.values():
        found[inner.graph] = inner
        _add_inner(inner, found)
