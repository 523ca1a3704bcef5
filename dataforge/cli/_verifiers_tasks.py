"""`dataforge verifiers tasks`: tasks that a verifier makes, to look at, to edit, or to ask models."""

from __future__ import annotations

import typer

from dataforge.cli._terminal import print_json


def tasks(
    name: str = typer.Argument(..., help="A verifier that makes tasks.", show_default=False),
    n: int = typer.Option(5, "-n", min=1, help="How many."),
    seed: int = typer.Option(0, help="What they are drawn by: the same seed, the same tasks."),
    topic: list[str] | None = typer.Option(None, help="Only of this topic; may be given several times."),
) -> None:
    """Print tasks as JSON Lines: prompt, hidden facts, topic.

    Example: `dataforge verifiers tasks multiple_choice -n 100 --seed 7 > tasks.jsonl`
    """
    from dataforge.errors import InputError
    from dataforge.verifiers.registry import find, names

    verifier = find(name)
    if not verifier.makes_tasks:
        raise InputError(
            f"the verifier `{name}` makes no tasks",
            code="V013",
            help="these do: " + ", ".join(n for n in names() if _makes_tasks(n)),
        )
    for task in verifier.tasks_of(topic, seed, n) if topic else verifier.tasks(seed, n):
        print_json(task.model_dump(exclude_defaults=True), indent=None)


def _makes_tasks(name: str) -> bool:
    from dataforge.errors import InputError
    from dataforge.verifiers.registry import find

    try:
        return find(name).makes_tasks
    except InputError:  # its packages are not installed
        return False
