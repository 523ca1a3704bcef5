"""`dataforge export`: a corpus in the form that another trainer reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from dataforge.cli._terminal import print_json, say, sigterm_as_ctrl_c

if TYPE_CHECKING:
    from dataforge.interop.export import Exported

_TOLD_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    directory: Path = typer.Argument(..., help="A corpus directory: the --out of a run."),
    to: str = typer.Option(..., "--to", help="preference, groups, jsonl, trl, axolotl or sharegpt."),
    out: Path = typer.Option(..., "--out", "-o", help="The file to write, one JSON object a line."),
    kind: str | None = typer.Option(
        None, help="For forms of messages: rows to take, final (the default), call or all."
    ),
    thinking: str | None = typer.Option(
        None, help="Not for groups: where thinking goes, field, inline (as `<think>` in the content) or drop."
    ),
    pairs: str | None = typer.Option(
        None, help="For preference: best (one pair a prompt, the default) or all."
    ),
    max_pairs: int | None = typer.Option(
        None, min=1, help="For preference with --pairs all: at most so many a prompt; 8 by default."
    ),
    tokenizer: str | None = typer.Option(
        None, help="For groups: whose tokens to write, a folder, a name at Hugging Face, or `embedded`."
    ),
    template: str | None = typer.Option(
        None,
        help="For groups with --tokenizer: chat template, `auto` (the default), a shipped one or a .jinja file.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Write a corpus as preference pairs, as scored groups, or as messages for another trainer.

    Example: `dataforge export out/maths --to preference -o pairs.jsonl`

    The file is written whole or not at all; what was left out is counted and said.
    """
    from dataforge.errors import Interrupted
    from dataforge.interop.export import TARGETS, ExportOptions
    from dataforge.interop.export import export as write

    _check("--to", to, *TARGETS)
    messages = to not in ("preference", "groups")
    for option, given, applies in (
        ("--kind", kind, messages),
        ("--thinking", thinking, to != "groups"),
        ("--pairs", pairs, to == "preference"),
        ("--max-pairs", max_pairs, pairs == "all"),
        ("--tokenizer", tokenizer, to == "groups"),
        ("--template", template, tokenizer is not None),
    ):
        if given is not None and not applies:
            raise typer.BadParameter(f"it would change nothing with --to {to}", param_hint=option)
    kind, pairs = kind or "final", pairs or "best"
    _check("--kind", kind, "final", "call", "all")
    _check("--pairs", pairs, "best", "all")
    if thinking is not None:
        _check("--thinking", thinking, "field", "inline", "drop")
    _check_place(directory, out)
    tokenise = None
    if tokenizer is not None:
        from dataforge.cli._tokenising import Tokeniser

        tokenise = Tokeniser(tokenizer, template or "auto")
    options = ExportOptions(
        to=to, kinds=cast("Any", kind), thinking=cast("Any", thinking), pairs=cast("Any", pairs),
        max_pairs=max_pairs or 8, tokenise=tokenise,
    )  # fmt: skip
    try:
        with sigterm_as_ctrl_c():
            done = write(directory, out, options, _Told())
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; {out} is as it was before", help="start the same command again"
        ) from None
    if as_json:
        print_json({"to": to, "out": str(out), **done.to_json()})
    else:
        _show(to, out, done)


class _Told:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, so_far: Exported) -> None:
        now = time.monotonic()
        if now - self._last >= _TOLD_EVERY_S:
            self._last = now
            say(f"{so_far.read:,} rows read, {so_far.written:,} written", err=True)


def _show(to: str, out: Path, done: Exported) -> None:
    what = {"preference": "pairs", "groups": "groups"}.get(to, "rows")
    of = f" of {done.prompts:,} prompts" if to == "preference" else ""
    say(f"{done.written:,} {what}{of} written to {out}")
    for told, counts in (("left out", done.left_out), ("note", done.notes)):
        for reason, count in counts.items():
            say(f"  {told}: {count:,} {reason}")


def _check(option: str, value: str, *known: str) -> None:
    if value not in known:
        raise typer.BadParameter(f"`{value}` is none of {', '.join(known)}", param_hint=option)


def _check_place(directory: Path, out: Path) -> None:
    """See that the file can be written, and is none of the corpus's own."""
    from dataforge.cli._output import check_output
    from dataforge.errors import OutputError

    if out.exists() and directory.resolve() in out.resolve().parents and out.suffix != ".jsonl":
        raise OutputError(
            f"{out} is a part of the corpus itself",
            code="R021",
            help=f"give -o another name, such as {directory.name}.jsonl",
        )
    check_output(out, directory / "manifest.json", such_as=f"{directory.name}.jsonl")
