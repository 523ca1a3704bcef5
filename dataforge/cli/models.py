"""`dataforge models`: what each logical model is bound to, and whether it answers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataforge.cli._terminal import print_json, say

if TYPE_CHECKING:
    from dataforge.models.client import ModelSpec


def register(app: typer.Typer) -> None:
    app.command("models")(models)


def models(
    file: Path | None = typer.Argument(
        None, help="A `.forge` file or a plan; without one, the defaults of this folder's project."
    ),
    bindings: Path | None = typer.Option(None, "--models", help="A file of [models.NAME] tables."),
    graph: str | None = typer.Option(None, help="Which graph, where the file has several."),
    ping: bool = typer.Option(False, "--ping", help="Ask each whether it answers."),
    as_json: bool = typer.Option(False, "--json", help="Print as JSON."),
) -> None:
    """Show what models are bound to; exit code 1 where a pinged one does not answer.

    Example: `dataforge models graphs/quickstart.forge --ping`
    """
    from dataforge.models.binding import bind
    from dataforge.project import load_project

    if file is not None:
        from dataforge.plan.artifact import open_plan
        from dataforge.run.models import bind_models

        specs, _ = bind_models(open_plan(file, graph=graph), bindings, os.environ)
    else:
        defaults: list[tuple[str, Any, dict[str, Any]]] = [
            (kind, kind, {}) for kind in ("generator", "judge")
        ]
        specs = bind(defaults, load_project(Path.cwd()), bindings, os.environ)
    found = {name: _described(spec) for name, spec in sorted(specs.items())}
    if ping:
        for name, (good, word) in asyncio.run(_ping(specs)).items():
            found[name] |= {"answers": good, "says": word}
    if as_json:
        print_json(found)
    else:
        for name, told in found.items():
            _show(name, told)
    if ping and not all(told["answers"] for told in found.values()):
        raise typer.Exit(1)


def _described(spec: ModelSpec) -> dict[str, Any]:
    """A binding as people and machines may see it. Keys are never read, only the name of their variable is told."""
    described = {
        "kind": spec.kind,
        "model": spec.model,
        "weights": spec.weights,
        "backend": spec.backend,
        "origin": spec.origin,
    }
    places = {key: str(spec.options[key]) for key in ("api_key_env", "path") if key in spec.options}
    addresses = {"base_url": ", ".join(spec.options["base_url"])} if "base_url" in spec.options else {}
    return described | addresses | places


def _show(name: str, told: Mapping[str, Any]) -> None:
    say(f"{name} ({told['kind']}): {told['model']} by {told['backend']}, from {told['origin']}")
    if "base_url" in told or "path" in told:
        say(f"  at {told.get('base_url') or told['path']}")
    if "api_key_env" in told:
        say(f"  with the key in {told['api_key_env']}")
    if told["weights"] != told["model"]:
        say(f"  weights: {told['weights']}")
    if "answers" in told:
        say(f"  {'answers' if told['answers'] else 'does not answer'}: {told['says']}")


async def _ping(specs: Mapping[str, ModelSpec]) -> dict[str, tuple[bool, str]]:
    from dataforge.errors import DataForgeError
    from dataforge.models import connect

    async def one(spec: ModelSpec) -> tuple[bool, str]:
        try:
            backend = connect(spec)
            try:
                return True, await backend.ping()
            finally:
                await backend.close()
        except DataForgeError as error:
            return False, f"{error.message}{f' ({error.help})' if error.help else ''}"

    return dict(zip(specs, await asyncio.gather(*(one(s) for s in specs.values())), strict=True))
