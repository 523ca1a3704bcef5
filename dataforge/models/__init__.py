"""The models layer: from a logical name in a `.forge` file to something that answers.

A backend is a module of this folder that defines `connect(spec) -> Backend`, or an entry point of the group
`dataforge.models` that loads such a module. Adding a file adds a backend; nothing is listed anywhere. Modules are
imported when a binding names them and not before, so importing this package loads no client and no engine.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from importlib import metadata
from types import ModuleType
from typing import cast

from dataforge.errors import ProjectError
from dataforge.models.client import (
    Backend,
    ChatReply,
    ChatRequest,
    Completes,
    CompletionRequest,
    ModelSpec,
    Sampling,
)
from dataforge.project import nearest

__all__ = [
    "Backend",
    "ChatReply",
    "ChatRequest",
    "Completes",
    "CompletionRequest",
    "ModelSpec",
    "Sampling",
    "backend_names",
    "connect",
    "find_backend",
]

_GROUP = "dataforge.models"


def connect(spec: ModelSpec) -> Backend:
    """Open the backend that a binding names. Nothing is asked of the model yet.

    Raises:
        ProjectError: there is no such backend, or the binding lacks something that it needs.
    """
    return cast("Backend", find_backend(spec.backend, origin=spec.origin).connect(spec))


def find_backend(name: str, *, origin: str = "the binding") -> ModuleType:
    """The module behind a backend's name.

    Raises:
        ProjectError: with code R002 and the nearest name, where there is none.
    """
    if name in _folder():
        module = importlib.import_module(f"{__name__}.{name}")
        if _is_backend(module):
            return module
    elif (entry := _entry_points().get(name)) is not None:
        return cast("ModuleType", entry.load())
    known = backend_names()
    meant = nearest(name, known)
    raise ProjectError(
        f"{origin} names the backend `{name}`, which does not exist",
        code="R002",
        help=(f"did you mean `{meant}`? " if meant else "") + f"backends: {', '.join(known)}",
    )


def backend_names() -> tuple[str, ...]:
    """Every backend that could be named. Imports the modules of the folder, so it is for messages, not for start-up."""
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in _folder()}
    return tuple(
        sorted({name for name, module in modules.items() if _is_backend(module)} | set(_entry_points()))
    )


def _is_backend(module: ModuleType) -> bool:
    """Whether the module defines `connect` itself; one that only imports it is a user of backends."""
    return getattr(getattr(module, "connect", None), "__module__", None) == module.__name__


def _folder() -> tuple[str, ...]:
    return tuple(found.name for found in pkgutil.iter_modules(__path__) if not found.ispkg)


def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=_GROUP)}
