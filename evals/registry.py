"""Name → evaluation: those of `tasks/`, one file each, and those of installed packages.

A package brings its own by an entry point of the group `dataforge.evals` whose name is the evaluation's and which names
its class.
"""

from __future__ import annotations

from dataforge.plugins import Plugins
from evals import tasks
from evals.task import EvalTask

EVALUATIONS: Plugins[EvalTask] = Plugins(
    EvalTask,  # type: ignore[type-abstract]
    "evals.task.EvalTask",
    tasks,
    "dataforge.evals",
    "evaluation",
    unknown="E001",
    broken="E002",
    others=lambda: "`dataforge eval tasks` lists them",
)


def names() -> tuple[str, ...]:
    """Every evaluation's name, sorted."""
    return EVALUATIONS.names()


def find(name: str) -> EvalTask:
    """The evaluation of a name; one instance each.

    Raises:
        InputError: E001 where there is none, E002 where an installed package's entry point gives none.
    """
    return EVALUATIONS.find(name)
