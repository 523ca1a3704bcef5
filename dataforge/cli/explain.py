"""`dataforge explain`: why there is an edge, or none; why a node never runs; why the target is out of reach."""

from __future__ import annotations

from pathlib import Path

import typer

from dataforge.cli._terminal import print_json, say


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    file: Path = typer.Argument(..., help="A `.forge` file, or a plan document."),
    one: str | None = typer.Argument(
        None, metavar="A", help="A node or inner graph, or `source`; `inner/node` inside a graph."
    ),
    other: str | None = typer.Argument(None, metavar="B", help="A second one, or `target`."),
    target: bool = typer.Option(False, "--target", help="Why the target can, or cannot, be reached."),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    as_json: bool = typer.Option(False, "--json", help="Print the explanation (or the diagnostics) as JSON."),
    python: bool = typer.Option(
        True, "--python/--no-python", help="Whether the file may import Python modules."
    ),
) -> None:
    """Say why one node can follow another, or what is missing; why a node is cut; why the target is out of reach.

    Example: `dataforge explain graphs/quickstart.forge summarise ask_standalone`

    With one name: where that node runs, or why it does not. With `--target`: the walks, or how far they get. The file
    may have a target that cannot be reached; any error before that is told as `compile` tells it.
    """
    from dataforge.errors import InputError
    from dataforge.plan.explain import (
        edge_lines,
        explain_edge,
        explain_node,
        explain_target,
        node_lines,
        open_explainable,
        split,
        target_lines,
    )
    from dataforge.plan.linked import SOURCE, TARGET

    if other is not None if target else one is None:
        raise InputError(
            "explain takes two names, one name, or `--target`",
            code="R034",
            help="for example: `dataforge explain FILE A B`, `dataforge explain FILE A`, `dataforge explain FILE --target`",
        )
    found = open_explainable(file, graph=graph, python=python)
    if target:
        chosen = found.graph(one or "")
        answer = explain_target(found.explored(chosen), found.linked.get(chosen))
        lines = target_lines(answer)
        document = {"target": answer.to_json()}
    else:
        assert one is not None
        found.check(one)
        prefix, name = split(one)
        chosen = found.graph(prefix)
        if other is not None:
            found.check(other)
            prefix_other, name_other = split(other)
            if found.graph(prefix_other) is not chosen:
                raise InputError(
                    f"`{one}` and `{other}` are in different graphs, and edges are inside one",
                    code="R034",
                    help="name two nodes of one graph",
                )
            edge = explain_edge(found.explored(chosen), name, name_other)
            lines, document = edge_lines(edge), {"edge": edge.to_json()}
        elif name in (SOURCE, TARGET):
            raise InputError(
                f"`{name}` is no node",
                code="R034",
                help="write `--target`, or two names, such as `source A`",
            )
        else:
            node = explain_node(found.explored(chosen), name, found.linked.get(chosen))
            lines, document = node_lines(node), {"node": node.to_json()}
    if as_json:
        others = [error.to_json() for error in found.errors if error.code != "F061"]
        print_json({**document, "diagnostics": others} if others else document)
        return
    for error in found.errors:
        if error.code != "F061":
            say(error.render() + "\n", err=True)
    say("\n".join(lines))
