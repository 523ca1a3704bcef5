"""`dataforge graph`: draw the linked graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._output import check_output
from dataforge.cli._terminal import print_bytes, print_json, printable, say

if TYPE_CHECKING:
    from dataforge.corpus.traffic import Traffic


def register(app: typer.Typer) -> None:
    app.command("graph")(graph_)


def graph_(
    file: Path = typer.Argument(..., help="A `.forge` file, or a plan document."),
    format: str | None = typer.Option(
        None, "--format", "-f", help="text, mermaid, dot, svg or html; by default what -o ends in, else text."
    ),
    output: Path | None = typer.Option(None, "-o", "--output", help="Write the drawing here."),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    run: Path | None = typer.Option(
        None, help="A corpus of this program: rows, rejections and tokens an edge."
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print what there is to draw as JSON, and draw nothing."
    ),
    python: bool = typer.Option(
        True, "--python/--no-python", help="Whether the file may import Python modules."
    ),
) -> None:
    """Draw what may follow what: a tree for the terminal, Mermaid, DOT, SVG, or a page to explore.

    Example: `dataforge graph graphs/quickstart.forge -o quickstart.html`

    The page is one file and needs no network: search, zoom, contracts and prompts, and why there is or is no edge between
    two nodes. With `--run`, the arrows show how many rows of a corpus came their way, and how many were turned away.
    """
    from dataforge.cli.compile import show_warnings
    from dataforge.plan.artifact import open_plan
    from dataforge.plan.draw.drawing import drawing_of
    from dataforge.plan.draw.formats import Sheet, formats

    if output is not None:
        check_output(output, file, such_as="graph.html")
    name = _format(format, output)
    plan = open_plan(file, graph=graph, python=python)
    show_warnings(plan)
    traffic = None
    if run is not None:
        from dataforge.corpus.traffic import read_traffic

        traffic = read_traffic(run, plan)
    drawing = drawing_of(plan, traffic.flows if traffic is not None else None)
    sheet = Sheet(plan, drawing, _run(run, traffic))
    if as_json:
        from dataforge.plan.draw.formats.html import document

        print_json(document(sheet))
        return
    text = formats()[name].draw(sheet)
    if output is not None:
        from dataforge.run.storage import write_durably

        write_durably(output, text.encode("utf-8", "backslashreplace"))
        say(f"{name} written to {output}")
    elif name == "text":
        say(text.rstrip("\n"))
    else:
        print_bytes(text)


def _format(asked: str | None, output: Path | None) -> str:
    """The format asked for, or the one that the output's name means.

    Raises:
        InputError: R029, where it is none.
    """
    from dataforge.errors import InputError
    from dataforge.lang.diagnostics import did_you_mean, listing
    from dataforge.plan.draw.formats import format_of, formats

    if asked is None:
        return (format_of(output.name) if output is not None else None) or "text"
    if asked not in formats():
        raise InputError(
            f"there is no format {printable(asked)}",
            code="R029",
            help=did_you_mean(asked, formats()) or f"choose one of {listing(list(formats()))}",
        )
    return asked


def _run(directory: Path | None, traffic: Traffic | None) -> dict[str, Any] | None:
    from dataforge.run.reasons import MEANINGS

    if directory is None or traffic is None:
        return None
    return {
        "name": directory.resolve().name,
        "kept": traffic.kept,
        "rejected": traffic.rejected,
        "failed": traffic.failed,
        "reasons": dict(sorted(traffic.reasons.items())),
        "meanings": {code: MEANINGS.get(code, "") for code in sorted(traffic.reasons)},
    }
