"""`dataforge test`: property-based tests of every node's contract, and the examples that files write down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.testing.findings import Finding
    from dataforge.testing.suite import Item, Suite


def register(app: typer.Typer) -> None:
    app.command("test")(test)


def test(
    paths: list[Path] = typer.Argument(
        ..., metavar="FILE…", help="`.forge` files, or folders with some.", show_default=False
    ),
    only: list[str] = typer.Option(
        [], "--only", metavar="NAME", help="Test this node, or `example NAME`, alone; may be repeated."
    ),
    seed: int = typer.Option(0, help="What examples are drawn by: the same seed, the same examples."),
    examples: int = typer.Option(100, min=1, max=100_000, help="Examples a law."),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
) -> None:
    """Test the contract of every node, without any model, and run the examples that files write down.

    Example: `dataforge test graphs/quickstart.forge --examples 500`

    A node is run on states that satisfy its precondition, with answers that models give at their worst: it must satisfy its
    postcondition or reject the row with a reason. `call` functions are run for real. Exit code 1 where a law is broken.
    """
    from dataforge.lang.diagnostics import CompileError
    from dataforge.testing._needs import need_hypothesis

    need_hypothesis()
    from dataforge.testing.suite import suite_of

    report: list[dict[str, Any]] = []
    counts = {"passed": 0, "failed": 0, "warning": 0}
    wrong = False
    files = _files(paths)
    for path in files:
        if not as_json and len(files) > 1:
            say(str(path))
        try:
            suite = suite_of(path, seed=seed, examples=examples, only=only)
        except CompileError as error:
            wrong = True
            report.append({"path": str(path), "diagnostics": [d.to_json() for d in error.diagnostics]})
            if not as_json:
                say(str(error) + "\n", err=True)
            continue
        found = [f for item in suite.items for f in _run(item, path, as_json=as_json)]
        for finding in found:
            counts[finding.verdict] += 1
        report.append(_entry(suite, found))
    _check_names(only, report, wrong)
    if as_json:
        print_json({"files": report, **counts})
    elif not wrong or counts["passed"]:
        say(_summary(counts, seed))
    if wrong:
        raise typer.Exit(2)
    if counts["failed"]:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[Path]:
    from dataforge.errors import InputError

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.forge"))
            if not inside:
                raise InputError(
                    f"{path} holds no `.forge` file", code="R041", help="name a file, or another folder"
                )
            found.extend(inside)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _run(item: Item, path: Path, *, as_json: bool) -> list[Finding]:
    found = list(item.run())
    if as_json:
        return found
    bad = [f for f in found if f.verdict != "passed"]
    if not any(f.verdict == "failed" for f in bad):
        laws = ", ".join(f.check for f in found if f.verdict == "passed")
        tried = sum(f.examples for f in found)
        say(f"  ok    {item.name}  ({laws}{f'; {tried} examples' if tried > 1 else ''})")
    for finding in bad:
        say("\n" + finding.render(str(path)) + "\n")
    return found


def _entry(suite: Suite, found: list[Finding]) -> dict[str, Any]:
    return {
        "path": str(suite.path),
        "findings": [f.to_json() for f in found],
        "diagnostics": [d.to_json() for d in suite.warnings],
    }


def _summary(counts: dict[str, int], seed: int) -> str:
    parts = [f"{counts['passed']} passed", f"{counts['failed']} failed"]
    if counts["warning"]:
        parts.append(f"{counts['warning']} warnings")
    return f"{', '.join(parts)} (seed {seed})"


def _check_names(only: list[str], report: list[dict[str, Any]], wrong: bool) -> None:
    """A name that nothing bears must not pass for a test that passed."""
    from dataforge.errors import InputError

    known = {f["subject"] for entry in report for f in entry.get("findings", ())}
    missing = [name for name in only if name not in known]
    if missing and not wrong:
        raise InputError(
            f"there is nothing named `{missing[0]}` to test",
            code="R041",
            help="name a node, or `example NODE`",
        )
