"""`dataforge verifiers audit`: judge cases whose verdicts are known, and print every one that comes out otherwise."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.verifiers.audit import Audit, Misjudged

_TELL_EVERY_S = 5.0
_MOST_SHOWN = 20
_MOST_TEXT = 300


def audit(
    names: list[str] = typer.Argument(
        None, metavar="[NAME]…", help="Which verifiers; without a name, all of them.", show_default=False
    ),
    generated: int = typer.Option(10_000, min=0, help="Cases to draw for each, besides its gold set."),
    seed: int = typer.Option(0, help="What cases are drawn by: the same seed, the same cases."),
    hash_seeds: int = typer.Option(
        0, min=0, max=1000, help="Also compare all verdicts between so many hash seeds of Python."
    ),
    record: bool = typer.Option(False, "--record", help="Put the figures on record in `audited.json`."),
    page: Path | None = typer.Option(
        None, help="Put them on record, and make the table of this page anew.", show_default=False
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Measure how often verifiers are wrong; exit code 1 where one is, or where its gold set is too small.

    Example: `dataforge verifiers audit multiple_choice --generated 500`

    Each is asked for its verdict on its gold set, which was written by hand, and on cases drawn from its generator: right
    answers by construction, and mutants that break one thing. Every case that is misjudged is printed whole.
    """
    from dataforge.verifiers.audit import audit as measure
    from dataforge.verifiers.audited import check_page, write_page
    from dataforge.verifiers.audited import record as put_on_record
    from dataforge.verifiers.hash_seeds import differences
    from dataforge.verifiers.registry import find
    from dataforge.verifiers.registry import names as all_names

    if page is not None:
        check_page(page)
    verifiers = [find(name) for name in dict.fromkeys(names or all_names())]
    audits = []
    for verifier in verifiers:
        began = time.monotonic()
        found = measure(verifier, generated=generated, seed=seed, progress=_Progress())
        audits.append(found)
        if not as_json:
            _show(found, time.monotonic() - began)
    differing: dict[str, list[str]] = {}
    if hash_seeds > 1:
        differing = differences([v.name for v in verifiers], hash_seeds=range(hash_seeds), seed=seed)
    if not as_json and differing:
        _show_differing(differing, hash_seeds)
    same = [a.name for a in audits if not differing.get(a.name)]
    if record or page is not None:
        for one in audits:
            compared = hash_seeds if hash_seeds > 1 and one.name in same else 0
            put_on_record([one], seed=seed, hash_seeds=compared)
        if page is not None:
            write_page(page)
    if as_json:
        print_json({"audits": [a.to_json() for a in audits], "differ_by_hash_seed": differing})
    if len(same) < len(audits) or not all(a.good for a in audits):
        raise typer.Exit(1)


class _Progress:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, name: str, done: int, of: int) -> None:
        if time.monotonic() - self.told >= _TELL_EVERY_S:
            self.told = time.monotonic()
            say(f"{name}: {done:,}/{of:,} cases", err=True)


def _show(found: Audit, took_s: float) -> None:
    from dataforge.verifiers.audited import errors, share

    both = found.gold + found.generated
    say(
        f"{'ok    ' if found.good else 'WRONG '}{found.name} v{found.version} ({found.family}): "
        f"gold {found.gold.positives:,}+{found.gold.negatives:,}, "
        f"generated {found.generated.positives:,}+{found.generated.negatives:,}, "
        f"false negatives {share(both.false_negatives, both.positives)}, "
        f"false positives {share(both.false_positives, both.negatives)}, errors {errors(both)}  [{took_s:.1f} s]"
    )
    for what in found.lacks:
        say(f"  {what}")
    for one in found.misjudged[:_MOST_SHOWN]:
        _show_case(one)
    if len(found.misjudged) > _MOST_SHOWN:
        say(f"  and {len(found.misjudged) - _MOST_SHOWN:,} more; --json prints them all")


def _show_case(one: Misjudged) -> None:
    import json

    verdict = one.verdict
    due = "an error" if one.case.error else "to pass" if one.case.passes else "not to pass"
    said = f"{verdict.outcome}{f' ({verdict.error})' if verdict.error else ''}"
    told: list[tuple[str, Any]] = [
        ("prompt", one.case.task.prompt),
        ("facts", one.case.task.facts),
        ("response", one.case.response.text),
        ("reasoning", one.case.response.reasoning),
        ("verdict", f"{said}: {verdict.reason}"),
        ("read", verdict.extracted),
    ]
    say(f"\n  {one.mistake}: {one.source} {one.number}: {one.case.note} (was {due})")
    for label, value in told:
        if value is not None and value != "":
            say(f"    {label:9} {_cut(json.dumps(value, ensure_ascii=False))}")
    for candidate in verdict.candidates[:6]:
        text = json.dumps(candidate.text, ensure_ascii=False)
        say(f"    candidate {_cut(text)} {candidate.rejected or 'taken'}")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}… ({len(text):,} characters)"


def _show_differing(differing: dict[str, list[str]], hash_seeds: int) -> None:
    wrong = {name: labels for name, labels in differing.items() if labels}
    if not wrong:
        say(f"the same verdicts and tasks under {hash_seeds} hash seeds")
    for name, labels in wrong.items():
        more = f" and {len(labels) - 5:,} more" if len(labels) > 5 else ""
        say(f"WRONG {name} depends on the hash seed: {', '.join(labels[:5])}{more}")
