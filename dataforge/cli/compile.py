"""`dataforge compile`: check, link, and print the plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dataforge.cli._output import check_output
from dataforge.cli._terminal import few, print_bytes, say

if TYPE_CHECKING:
    from dataforge.plan.artifact import Plan

MOST_NODES_SHOWN = 60


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
    watch: bool = typer.Option(
        False, "--watch", help="Compile again whenever a file that the program reads changes."
    ),
) -> None:
    """Check a program, link its graph, and show the plan.

    Example: `dataforge compile graphs/quickstart.forge -o plan.json`

    With `--no-python` the file can name no Python module, so that a stranger's file can be read safely.
    """
    if output is not None:
        check_output(output, file, such_as="plan.json")
    if watch:
        from dataforge.cli._watch import compile_on_change

        compile_on_change(file, python=python)
    from dataforge.plan.artifact import open_plan

    plan = open_plan(file, graph=graph, python=python)
    show_warnings(plan)
    if output is not None:
        from dataforge.run.storage import write_durably

        write_durably(output, plan.json().encode())
    if as_json:
        print_bytes(plan.json())
        return
    _show(plan)
    if output is not None:
        say(f"\nplan written to {output}")


def show_warnings(plan: Plan) -> None:
    """The compiler's warnings, on stderr."""
    for warning in plan.warnings:
        say(warning.render() + "\n", err=True)


def _show(plan: Plan) -> None:
    from rich.console import Console
    from rich.text import Text

    from dataforge.cli._terminal import printable
    from dataforge.domain.actions import Node
    from dataforge.plan.artifact import conjuncts
    from dataforge.plan.linked import SOURCE, TARGET

    console = Console(highlight=False, markup=False, emoji=False)
    linked, graph = plan.linked, plan.graph

    def line(*parts: tuple[str, str]) -> None:
        console.print(Text.assemble(*((printable(text), style) for text, style in parts)), soft_wrap=True)

    line((graph.name, "bold"), ("  " + " ".join(graph.doc.split()), "dim"))
    counts = f"{_count(linked.paths, 'path')}, {_count(len(linked.vertices), 'vertex', 'vertices')}"
    line((f"{counts}, {_count(linked.edge_count, 'edge')}; walk {graph.law}", ""))
    line((f"plan {plan.hash}\n", ""))
    after: dict[str, list[str]] = {}
    for one, other in linked.name_edges:
        after.setdefault(one, []).append(other)

    def block(name: str, lines: list[tuple[str, list[str]]]) -> None:
        line((name, "bold"))
        for word, parts in lines:
            said = [part for part in parts if part and part != "true"]
            if said:
                line((f"  {word:<6} ", "dim"), (few(said), ""))

    block(SOURCE, [("gives", [*graph.sources, *conjuncts(graph.where)]), ("then", after.get(SOURCE, []))])
    names = list(dict.fromkeys(linked.actions[v.action].name for v in linked.vertices))
    for name in names[:MOST_NODES_SHOWN]:
        member = graph.members[name]
        if isinstance(member, Node):
            needs = [*member.takes, *conjuncts(member.pre)]
            gives = [*member.gives, *conjuncts(member.post)]
        else:
            needs = [*member.sources, *conjuncts(member.where)]
            gives = [*member.targets, *conjuncts(member.goal)]
        block(name, [("needs", needs), ("gives", gives), ("then", after.get(name, []))])
    if len(names) > MOST_NODES_SHOWN:
        line((f"… and {len(names) - MOST_NODES_SHOWN:,} more nodes; --json has them all", "dim"))
    block(TARGET, [("needs", [*graph.targets, *conjuncts(graph.goal)])])
    for name, reason in sorted(linked.cut.items())[:MOST_NODES_SHOWN]:
        line((f"cut: {name}: {reason}", "yellow"))
    models = few(f"{name} ({model.kind})" for name, model in plan.program.models.items())
    line((f"\nmodels: {models or 'none'}", ""))


def _count(number: int, one: str, many: str = "") -> str:
    from dataforge.plan.draw.counts import short_count

    return f"{short_count(number)} {one if number == 1 else many or one + 's'}"
