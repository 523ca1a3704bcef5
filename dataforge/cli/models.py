"""`dataforge models`: what each logical model is bound to, and whether it answers."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import typer


def register(app: typer.Typer) -> None:
    app.command("models")(models)


def models(
    file: Path | None = typer.Argument(
        None, help="A `.forge` file; without one, the defaults of this folder's project."
    ),
    bindings: Path | None = typer.Option(None, "--models", help="A file of [models.NAME] tables."),
    ping: bool = typer.Option(False, "--ping", help="Ask each whether it answers."),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Show the bindings of models; exit code 1 where a pinged one does not answer.

    Example: `dataforge models graphs/quickstart.forge --ping`
    """
    from dataforge.models.binding import bind
    from dataforge.project import load_project

    if file is not None:
        from dataforge.plan.artifact import open_plan
        from dataforge.run.models import bind_models

        specs, _ = bind_models(open_plan(file), bindings, os.environ)
    else:
        specs = bind(
            [("generator", "generator", {}), ("judge", "judge", {})],
            load_project(Path.cwd()),
            bindings,
            os.environ,
        )
    found: dict[str, dict[str, Any]] = {
        name: {
            "kind": s.kind,
            "model": s.model,
            "weights": s.weights,
            "backend": s.backend,
            "origin": s.origin,
        }
        for name, s in sorted(specs.items())
    }
    if ping:
        answers = asyncio.run(_ping(specs))
        for name, (good, word) in answers.items():
            found[name] |= {"answers": good, "says": word}
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        from dataforge.cli import printable

        for name, told in found.items():
            typer.echo(
                printable(
                    f"{name} ({told['kind']}): {told['model']} by {told['backend']}, from {told['origin']}"
                )
            )
            if told["weights"] != told["model"]:
                typer.echo(printable(f"  weights: {told['weights']}"))
            if ping:
                typer.echo(
                    printable(f"  {'answers' if told['answers'] else 'does not answer'}: {told['says']}")
                )
    if ping and not all(told["answers"] for told in found.values()):
        raise typer.Exit(1)


async def _ping(specs: Any) -> dict[str, tuple[bool, str]]:
    from dataforge.errors import DataForgeError
    from dataforge.models import connect

    async def one(spec: Any) -> tuple[bool, str]:
        try:
            backend = connect(spec)
            try:
                return True, await backend.ping()
            finally:
                await backend.close()
        except DataForgeError as error:
            return False, f"{error.message}{f' ({error.help})' if error.help else ''}"

    return dict(zip(specs, await asyncio.gather(*(one(s) for s in specs.values())), strict=True))
