"""Name → class of a kind of which there is one a file, in a package of ours or brought by an installed package's entry point.

Looking for names imports nothing; finding one imports that one alone.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Generic, TypeVar

from dataforge.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Plugins(Generic[T]):
    """One kind, such as verifiers.

    Attributes:
        kind: what all of them derive from.
        kind_name: where people import that from, for messages.
        package: that of ours, with a file for each.
        group: of the entry points by which others bring theirs.
        noun: what one is called.
        unknown, broken: codes of the errors: there is none of a name; an entry point gives none.
        others: the help line for a name that none is near to.
        lacks: the error for a package that one of a name needs, and that is not installed; None where that is a broken entry point.
    """

    kind: type[T]
    kind_name: str
    package: ModuleType
    group: str
    noun: str
    unknown: str
    broken: str
    others: Callable[[], str]
    lacks: Callable[[str, ModuleNotFoundError], InputError] | None = None
    _made: dict[str, T] = field(default_factory=dict, repr=False)

    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted({*self._own, *self.entry_points}))

    def find(self, name: str) -> T:
        """That of a name; one instance each.

        Raises:
            InputError: there is none, its entry point gives none, or it needs a package that is not installed.
        """
        if name not in self._made:
            return self._made.setdefault(name, self._kind_of(name)())
        return self._made[name]

    def forget(self) -> None:
        """See anew what is installed."""
        self._made.clear()
        self.__dict__.pop("entry_points", None)

    @functools.cached_property
    def entry_points(self) -> Mapping[str, metadata.EntryPoint]:
        """What installed packages bring."""
        return {entry.name: entry for entry in metadata.entry_points(group=self.group)}

    @functools.cached_property
    def _own(self) -> frozenset[str]:
        modules = pkgutil.iter_modules(self.package.__path__)
        return frozenset(module.name for module in modules if not module.name.startswith("_"))

    def _kind_of(self, name: str) -> type[T]:
        if name in self._own:
            try:
                module = importlib.import_module(f"{self.package.__name__}.{name}")
            except ModuleNotFoundError as error:
                if self.lacks is None:
                    raise
                raise self.lacks(name, error) from error
            found = [
                kind
                for kind in vars(module).values()
                if isinstance(kind, type) and issubclass(kind, self.kind) and vars(kind).get("name") == name
            ]
            assert len(found) == 1, f"{module.__name__} holds {len(found)} of the kind called {name}"
            return found[0]
        entry = self.entry_points.get(name)
        if entry is None:
            from dataforge.project import nearest

            near = nearest(name, self.names())
            raise InputError(
                f"there is no {self.noun} `{name}`",
                code=self.unknown,
                help=f"did you mean `{near}`?" if near else self.others(),
            )
        return self._loaded(entry)

    def _loaded(self, entry: metadata.EntryPoint) -> type[T]:
        try:
            kind = entry.load()
        except Exception as error:  # the package's own fault, whatever it is
            if isinstance(error, ModuleNotFoundError) and self.lacks is not None:
                raise self.lacks(entry.name, error) from error
            raise InputError(
                f"the entry point `{entry.name}`, {entry.value}, cannot be loaded: {type(error).__name__}: {error}",
                code=self.broken,
                help="mend the package, or uninstall it",
            ) from error
        if not (isinstance(kind, type) and issubclass(kind, self.kind)):
            raise InputError(
                f"the entry point `{entry.name}` of {entry.value} is no {self.noun}",
                code=self.broken,
                help=f"an entry point of the group `{self.group}` names a subclass of `{self.kind_name}`",
            )
        return kind
