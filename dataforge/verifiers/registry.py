"""Name → verifier: those of `library/`, one file each, and those of installed packages.

A package brings its own by an entry point of the group `dataforge.verifiers` whose name is the verifier's and which
names its class.
"""

from __future__ import annotations

from typing import Any

from dataforge.errors import InputError
from dataforge.plugins import Plugins
from dataforge.verifiers import library
from dataforge.verifiers.protocol import Verifier

LACKS = "V002"
"""Code of the error for a verifier that needs a package which is not installed."""


def names() -> tuple[str, ...]:
    """Every verifier's name, sorted."""
    return VERIFIERS.names()


def find(name: str) -> Verifier[Any]:
    """The verifier of a name; one instance each.

    Raises:
        InputError: V001 where there is none, V002 where a package that it needs is not installed, V003 where an
            installed package's entry point gives no verifier.
    """
    return VERIFIERS.find(name)


def lacks(name: str, error: ModuleNotFoundError) -> InputError:
    """The error for a package that is not installed."""
    return InputError(
        f"the verifier `{name}` needs the package `{(error.name or '').partition('.')[0]}`, which is not installed",
        code=LACKS,
        help="pip install 'dataforge-compiler[verify]'",
    )


VERIFIERS: Plugins[Verifier[Any]] = Plugins(
    Verifier,  # type: ignore[type-abstract]
    "dataforge.verifiers.Verifier",
    library,
    "dataforge.verifiers",
    "verifier",
    unknown="V001",
    broken="V003",
    others=lambda: f"there are {', '.join(names())}",
    lacks=lacks,
)
