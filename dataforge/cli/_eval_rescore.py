"""`dataforge eval rescore`: a log's answers under another judgement, with no inference."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import typer

from dataforge.cli._terminal import print_json, say


def rescore(
    log: Path = typer.Argument(..., help="A log: OUT/TASK of an evaluation."),
    by: str = typer.Option(
        "own", "--with", help="`own` for the evaluation as it judges today, or a verifier's name."
    ),
    out: Path | None = typer.Option(
        None,
        "--out",
        "-o",
        help="Folder for the log under the new judgement; without it only the figures are shown.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print both summaries and what changed as JSON."),
) -> None:
    """Judge the answers of a log again; nothing is asked of any model.

    Example: `dataforge eval rescore out/evals/gpqa_diamond --with multiple_choice -o out/rescored`
    """
    from evals.log import read_items, read_log, write_log
    from evals.rescore import rescored
    from evals.summary import summarise

    read = read_log(log)
    items = read_items(read.path)
    samples = list(rescored(read, items, by))
    changed = Counter(
        (a.status, b.status) for a, b in zip(read.samples, samples, strict=True) if a.status != b.status
    )
    before, after = summarise(read.samples), summarise(samples)
    if out is not None:
        manifest = {
            **{key: value for key, value in read.manifest.items() if key != "forge_eval"},
            "rescored": {
                "with": by,
                "from": str(log),
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
            "summary": after.to_json(),
        }
        write_log(out, manifest, samples, items.values())
    if as_json:
        print_json(
            {
                "before": before.to_json(),
                "after": after.to_json(),
                "changed": [{"from": a, "to": b, "samples": n} for (a, b), n in sorted(changed.items())],
            }
        )
        return
    for told, summary in (("as it was", before), (f"with {by}", after)):
        score = "none" if summary.score is None else f"{100 * summary.score.value:.1f}%"
        counts = ", ".join(f"{count:,} {status}" for status, count in summary.status.items())
        say(f"{told:12} {score:>7}   {counts}")
    for (old, new), count in sorted(changed.items()):
        say(f"  {count:,} {old} → {new}")
    if out is not None:
        say(f"the log under the new judgement is in {out}")
