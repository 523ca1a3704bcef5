"""`dataforge eval compare`: logs of the same evaluations beside each other, and what a difference is worth."""

from __future__ import annotations

from pathlib import Path

import typer

from dataforge.cli._terminal import print_bytes, print_json, say


def compare(
    logs: list[Path] = typer.Argument(
        ..., help="Logs, or folders with a log an evaluation; the first is the baseline.", show_default=False
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Where to write it: a page by .html, a table by .md.", show_default=False
    ),
    as_json: bool = typer.Option(False, "--json", help="Print it as JSON."),
) -> None:
    """Compare models on the same problems: paired differences with intervals, p and power, and what differs in the set-up.

    Example: `dataforge eval compare out/base out/tuned -o comparison.html`
    """
    from dataforge.cli._output import writing
    from dataforge.errors import InputError
    from evals.compare import compare as compared
    from evals.log import find_logs, read_log
    from evals.tables import markdown, page

    if out is not None and out.suffix not in (".html", ".md"):
        raise typer.BadParameter(f"`{out.suffix}` is none of .html and .md", param_hint="--out")
    found = []
    for path in logs:
        there = find_logs(path)
        if not there:
            raise InputError(
                f"{path} holds no log", code="E021", help="name the --out of an evaluation, or a log in it"
            )
        found += [read_log(each) for each in there]
    comparisons = compared(found)
    if out is not None:
        with writing(out):
            out.write_text(
                page(comparisons) if out.suffix == ".html" else markdown(comparisons), encoding="utf-8"
            )
    if as_json:
        print_json([comparison.to_json() for comparison in comparisons])
    elif out is None:
        print_bytes(markdown(comparisons))
    else:
        say(
            f"{sum(len(c.rows) for c in comparisons):,} logs of {len(comparisons):,} evaluations compared in {out}"
        )
