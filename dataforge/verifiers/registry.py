"""Name → verifier: those of `library/`, one file each, and those of installed packages.

A package brings its own by an entry point of the group `dataforge.verifiers` whose name is the verifier's and which
names its class. Looking for names imports no verifier; finding one imports that one alone.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from importlib import metadata
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers import library
from dataforge.verifiers.protocol import Verifier

ENTRY_POINTS = "dataforge.verifiers"
LACKS = "V002"
"""Code of the error for a verifier that needs a package which is not installed."""


def names() -> tuple[str, ...]:
    """Every verifier's name, sorted."""
    return tuple(sorted({*_own(), *_entry_points()}))


@functools.cache
def find(name: str) -> Verifier[Any]:
    """The verifier of a name; one instance each.

    Raises:
        InputError: V001 where there is none, V002 where a package that it needs is not installed, V003 where an
            installed package's entry point gives no verifier.
    """
    if name in _own():
        try:
            module = importlib.import_module(f"{library.__name__}.{name}")
        except ModuleNotFoundError as error:
            raise lacks(name, error) from error
        found = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Verifier) and vars(kind).get("name") == name
        ]
        assert len(found) == 1, f"{module.__name__} holds {len(found)} verifiers called {name}"
        return found[0]()
    entry = _entry_points().get(name)
    if entry is None:
        close = difflib.get_close_matches(name, names(), n=1)
        raise InputError(
            f"there is no verifier `{name}`",
            code="V001",
            help=f"did you mean `{close[0]}`?" if close else f"there are {', '.join(names())}",
        )
    try:
        kind = entry.load()
    except ModuleNotFoundError as error:
        raise lacks(name, error) from error
    except Exception as error:  # the package's own fault, whatever it is
        raise InputError(
            f"the entry point `{name}`, {entry.value}, cannot be loaded: {type(error).__name__}: {error}",
            code="V003",
            help="mend the package, or uninstall it",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Verifier)):
        raise InputError(
            f"the entry point `{name}` of {entry.value} is no verifier",
            code="V003",
            help="an entry point of the group `dataforge.verifiers` names a subclass of `dataforge.verifiers.Verifier`",
        )
    return kind()


def lacks(name: str, error: ModuleNotFoundError) -> InputError:
    """The error for a package that is not installed."""
    return InputError(
        f"the verifier `{name}` needs the package `{(error.name or '').partition('.')[0]}`, which is not installed",
        code=LACKS,
        help="pip install 'dataforge-compiler[verify]'",
    )


@functools.cache
def _own() -> frozenset[str]:
    return frozenset(
        module.name for module in pkgutil.iter_modules(library.__path__) if not module.name.startswith("_")
    )


@functools.cache
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}
