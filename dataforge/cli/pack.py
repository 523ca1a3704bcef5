"""`dataforge pack`: conversations into packed rows of tokens, and a look at such rows."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._documents import show_documents
from dataforge.cli._terminal import print_json, say, sigterm_as_ctrl_c

if TYPE_CHECKING:
    from trainer.config import Config
    from trainer.packed import PackedSet

PLAIN_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    app.command("pack")(pack)


def pack(
    paths: list[str] = typer.Argument(
        None, help="Corpora of `dataforge run`, .jsonl or .parquet files; or one packed set, to look at it."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="Folder of the packed set."),
    preset: str | None = typer.Option(
        None, help="A configuration of `dataforge train` to start from: its [model] and [data] count here."
    ),
    config: Path | None = typer.Option(None, help="A TOML file with what differs from it."),
    sets: list[str] = typer.Option([], "--set", help="One value: table.key=value. May be given again."),
    model: str | None = typer.Option(None, help="The model whose tokenizer it is: --set model.path=…"),
    context: int | None = typer.Option(None, min=2, help="Tokens of a row: --set data.context=…"),
    packing: str | None = typer.Option(None, help="ffd, bfd or none: --set data.packing=…"),
    show: int | None = typer.Option(None, min=0, help="Show this row, with what is trained in it."),
    as_json: bool = typer.Option(False, "--json", help="Print the manifest, or the row, as JSON."),
) -> None:
    """Tokenise, mask and pack conversations for training. Started again on the same -o, it goes on where it stopped.

    Example: `dataforge pack out/quickstart -o packed --preset smollm2-135m`

    Example: `dataforge pack packed --show 3`

    What was left out, cut or split is said and counted; what was there already is not tokenised again.
    """
    from dataforge.errors import InputError
    from trainer.config import load
    from trainer.packed import PackedSet, is_packed_set

    short = (("model.path", model), ("data.context", context), ("data.packing", packing))
    chosen = load(preset, config, [*sets, *(f"{key}={value}" for key, value in short if value is not None)])
    if paths:
        chosen = replace(chosen, data=replace(chosen.data, paths=tuple(paths)))
    named = chosen.data.paths
    if not named:
        raise InputError(
            "there is nothing to pack", code="T001", help="name a corpus, a chat file or a packed set"
        )
    if out is not None:
        data = _make(chosen, out, quiet=as_json)
    elif len(named) > 1 or not is_packed_set(Path(named[0])):
        raise InputError(
            "the packed set has no place to be written to", code="T001", help="name a folder with --out"
        )
    elif sets or any(value is not None for _, value in short):
        raise InputError(
            f"{named[0]} is a packed set, which is only shown: no setting changes it",
            code="T001",
            help=f"to pack anew, name what it was made from, and --out {named[0]}",
        )
    else:
        data = PackedSet(Path(named[0]))
        if show is None:
            data.verify()
    if show is not None and show >= len(data):
        raise InputError(
            f"there is no row {show:,}", code="T001", help=f"rows have the numbers 0 to {len(data) - 1:,}"
        )
    if as_json:
        print_json(_manifest(data) if show is None else _row(data, show))
    elif show is not None:
        _show_row(data, show)
    else:
        _show_summary(data)


def _make(config: Config, out: Path, *, quiet: bool) -> PackedSet:
    from dataforge.errors import Interrupted
    from trainer.data import prepare
    from trainer.show import write_page

    try:
        with sigterm_as_ctrl_c():
            with reading(quiet) as progress:
                data = prepare(config, out, progress=progress)
            if not (out / "report.html").exists():
                write_page(data)
    except KeyboardInterrupt:
        command = shlex.join(["dataforge", *sys.argv[1:]])
        raise Interrupted(f"stopped; what was sealed is in {out}", help=f"to go on: {command}") from None
    return data


@contextmanager
def reading(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Rows read: a bar on a terminal, a line now and then elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=quiet, highlight=False)
    if console.is_terminal:
        columns = (
            TextColumn("rows read"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    told = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PLAIN_EVERY_S:
            told = time.monotonic()
            console.print(f"{done:,} of {total:,} rows read")

    yield line


def _manifest(data: PackedSet) -> dict[str, Any]:
    from trainer.show import room_left

    return {**data.manifest, "room_left": room_left(data), "folder": str(data.folder)}


def _row(data: PackedSet, number: int) -> dict[str, Any]:
    from dataclasses import asdict

    from trainer.show import documents

    shown = [asdict(document) for document in documents(data, number)]
    return {"row": number, "rows": len(data), "context": data.context, "documents": shown}


def _show_summary(data: PackedSet) -> None:
    from trainer.show import facts, room_left

    for name, said in facts(data).items():
        say(f"{name:<14}{said}")
    for why in room_left(data):
        say(f"{'':<14}{why}")
    folder = shlex.quote(str(data.folder))
    say(f"\nlengths, and what was left out: {data.folder / 'report.html'}")
    say(f"look at one:  dataforge pack {folder} --show 0")
    say(f"train on it:  dataforge train --data {folder}")


def _show_row(data: PackedSet, number: int) -> None:
    from trainer.show import documents

    found = list(documents(data, number))
    tokens, trained = sum(d.length for d in found), sum(d.trained for d in found)
    show_documents(
        f"row {number:,} of {len(data):,}: {len(found)} document{'s' if len(found) > 1 else ''},"
        f" {tokens:,} of {data.context:,} tokens, {trained:,} of them trained",
        found,
    )
