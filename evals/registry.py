"""Name → evaluation: those of `tasks/`, one file each, and those of installed packages.

A package brings its own by an entry point of the group `dataforge.evals` whose name is the evaluation's and which names
its class. Looking for names imports none; finding one imports that one alone.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from importlib import metadata

from dataforge.errors import InputError
from evals import tasks
from evals.task import EvalTask

ENTRY_POINTS = "dataforge.evals"


def names() -> tuple[str, ...]:
    """Every evaluation's name, sorted."""
    return tuple(sorted({*_own(), *_entry_points()}))


@functools.cache
def find(name: str) -> EvalTask:
    """The evaluation of a name; one instance each.

    Raises:
        InputError: E001 where there is none, E002 where an installed package's entry point gives none.
    """
    if name in _own():
        module = importlib.import_module(f"{tasks.__name__}.{name}")
        found = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, EvalTask) and vars(kind).get("name") == name
        ]
        assert len(found) == 1, f"{module.__name__} holds {len(found)} evaluations called {name}"
        return found[0]()
    entry = _entry_points().get(name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), n=1)
        raise InputError(
            f"there is no evaluation `{name}`",
            code="E001",
            help=f"did you mean `{close[0]}`?" if close else "`dataforge eval tasks` lists them",
        )
    try:
        kind = entry.load()
    except Exception as error:  # the package's own fault, whatever it is
        raise InputError(
            f"the entry point `{name}`, {entry.value}, cannot be loaded: {type(error).__name__}: {error}",
            code="E002",
            help="mend the package, or uninstall it",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, EvalTask)):
        raise InputError(
            f"the entry point `{name}` of {entry.value} is no evaluation",
            code="E002",
            help="an entry point of the group `dataforge.evals` names a subclass of `evals.task.EvalTask`",
        )
    return kind()


@functools.cache
def _own() -> frozenset[str]:
    return frozenset(
        module.name for module in pkgutil.iter_modules(tasks.__path__) if not module.name.startswith("_")
    )


@functools.cache
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}
