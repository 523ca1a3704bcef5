"""`dataforge compile`: check, link, and print the plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dataforge.plan.artifact import Plan


def register(app: typer.Typer) -> None:
    app.command("compile")(compile_)


def compile_(
    file: Path = typer.Argument(..., help="A `.forge` file, or a plan document to check again."),
    output: Path | None = typer.Option(None, "-o", "--output", help="Write the plan document here."),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the plan document (or the diagnostics) as JSON."
    ),
    python: bool = typer.Option(
        True, "--python/--no-python", help="Whether the file may import Python modules."
    ),
) -> None:
    """Check a program, link its graph, and show the plan.

    Example: `dataforge compile graphs/quickstart.forge -o plan.json`
    """
    from dataforge.plan.artifact import open_plan

    plan = open_plan(file, graph=graph, python=python)
    if output is not None:
        from dataforge.corpus.layout import write_durably

        write_durably(output, plan.json().encode())
    if as_json:
        typer.echo(plan.json(), nl=False)
        return
    show_warnings(plan)
    _show(plan)
    if output is not None:
        typer.echo(f"\nplan written to {output}")


def show_warnings(plan: Plan) -> None:
    """The compiler's warnings, on stderr."""
    from dataforge.cli import printable

    for warning in plan.warnings:
        typer.echo(printable(warning.render()) + "\n", err=True)


def _show(plan: Plan) -> None:
    from rich.console import Console
    from rich.text import Text

    from dataforge.domain.actions import Node
    from dataforge.plan.artifact import conjuncts
    from dataforge.plan.link import SOURCE, TARGET

    console = Console(highlight=False)
    linked, graph = plan.linked, plan.graph
    console.print(Text(graph.name, style="bold"), Text(graph.doc.split("\n")[0], style="dim"))
    console.print(
        f"{short_count(linked.paths)} paths, walk {graph.law}; {len(linked.vertices)} vertices, {linked.edge_count} edges"
    )
    console.print(f"plan {plan.hash}\n")
    after: dict[str, list[str]] = {}
    for one, other in linked.name_edges:
        after.setdefault(one, []).append(other)

    def block(name: str, lines: list[tuple[str, list[str]]]) -> None:
        console.print(Text(name, style="bold"))
        for word, parts in lines:
            said = [part for part in parts if part and part != "true"]
            if said:
                console.print(
                    Text(f"  {word:<6} ", style="dim").append(", ".join(said), style="not dim"),
                    soft_wrap=True,
                )

    block(SOURCE, [("gives", [*graph.sources, *conjuncts(graph.where)]), ("then", after.get(SOURCE, []))])
    for name in sorted({linked.actions[v.action].name for v in linked.vertices}):
        member = graph.members[name]
        if isinstance(member, Node):
            needs = [*member.takes, *conjuncts(member.pre)]
            gives = [*member.gives, *conjuncts(member.post)]
        else:
            needs = [*member.sources, *conjuncts(member.where)]
            gives = [*member.targets, *conjuncts(member.goal)]
        block(name, [("needs", needs), ("gives", gives), ("then", after.get(name, []))])
    block(TARGET, [("needs", [*graph.targets, *conjuncts(graph.goal)])])
    for name, reason in sorted(linked.cut.items()):
        console.print(Text(f"cut: {name}: {reason}", style="yellow"), soft_wrap=True)
    models = ", ".join(f"{name} ({model.kind})" for name, model in plan.program.models.items())
    console.print(Text(f"\nmodels: {models or 'none'}"), soft_wrap=True)


def short_count(number: int) -> str:
    """A count for people: exact while it is short."""
    return (
        f"{number:,}"
        if number < 10**9
        else f"{number:.3e}"
        if number < 10**300
        else f"1e{len(str(number)) - 1}"
    )
