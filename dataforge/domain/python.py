"""Python named by `.forge` files: models, predicates and `call` functions.

A module is imported only where a file names it, and only from the project's own folder, from the shipped `schemas`
package, or from packages that `dataforge.toml` allows; with `--no-python` none is, so a stranger's file can be read
safely. Whether a module may be imported is decided before any of its code, or its parents' code, runs.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.machinery
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from dataforge.lang.diagnostics import did_you_mean

SHIPPED = ("schemas",)

_loaded_from: dict[str, Path] = {}
"""Top-level modules that were imported for a project, and its root: another project may have its own of that name."""


class PythonRefused(Exception):
    """The import is not allowed, or does not work; `code` and `help` are for the diagnostic."""

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code = code
        self.help = help


class PythonImports:
    """Imports modules for one project.

    Args:
        root: the project's root folder.
        allowed: packages outside the project that may be imported.
        enabled: False refuses everything but the shipped `schemas`, which is part of DataForge.
    """

    def __init__(self, root: Path, allowed: tuple[str, ...] = (), *, enabled: bool = True) -> None:
        self.root = root
        self.allowed = allowed
        self.enabled = enabled
        self.named: set[str] = set()

    def attribute(self, target: str) -> object:
        """`package.module:name` → the object.

        Raises:
            PythonRefused: with what is wrong and what to do.
        """
        module_name, colon, name = target.partition(":")
        if not colon or not name.isidentifier() or not all(p.isidentifier() for p in module_name.split(".")):
            raise PythonRefused("F023", f"`{target}` names no function", 'write "package.module:function"')
        module = self.module(module_name)
        if not hasattr(module, name):
            raise PythonRefused(
                "F012",
                f"`{module_name}` has no `{name}`",
                did_you_mean(name, [n for n in vars(module) if not n.startswith("_")], "check the spelling"),
            )
        return getattr(module, name)

    def module(self, name: str) -> ModuleType:
        """Import a module.

        Raises:
            PythonRefused: with what is wrong and what to do.
        """
        top = name.partition(".")[0]
        inside = self._is_inside(top)
        if inside and not self._stays_inside(name):
            raise PythonRefused(
                "F015",
                f"a symbolic link leads `{name}` out of the project",
                "copy the module into the project",
            )
        if not self.enabled and (inside or top not in SHIPPED):
            raise PythonRefused(
                "F015",
                f"this file imports Python (`{name}`), and Python is switched off",
                "read the module, and leave out --no-python if you trust it",
            )
        if (
            not inside
            and top not in SHIPPED
            and not any(name == package or name.startswith(package + ".") for package in self.allowed)
        ):
            if top in sys.stdlib_module_names or importlib.machinery.PathFinder.find_spec(top) is not None:
                raise PythonRefused(
                    "F015",
                    f"`{name}` is outside the project",
                    f'allow it in dataforge.toml: [project] allow_python = ["{top}"]',
                )
            raise PythonRefused("F012", f"there is no Python module `{name}`", f"looked in {self.root}")
        if inside:
            self.named.add(name)
        with self._on_path(top if inside else None):
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                    raise PythonRefused(
                        "F012",
                        f"there is no Python module `{name}`",
                        "check the spelling, and that it has an __init__.py",
                    ) from error
                raise PythonRefused(
                    "F012", f"`{name}` cannot be imported: {error}", "install what it needs"
                ) from error
            except (Exception, SystemExit) as error:
                # The module's own code failed: any exception is possible, and it is the author's to see.
                raise PythonRefused(
                    "F012",
                    f"`{name}` cannot be imported: {type(error).__name__}: {error}",
                    "run `python -c 'import " + name + "'` in the project folder to see where",
                ) from error

    def digests(self) -> dict[str, str]:
        """Content hashes of the project's modules that were named, and of those that they import, by path.

        Imports are read off the source, so the result depends on the files alone. What a module reads or imports at run
        time by other means, and packages outside the project, are not covered.
        """
        found: dict[str, str] = {}
        waiting = sorted(self.named)
        while waiting:
            for path in self._files_of(waiting.pop()):
                place = path.relative_to(self.root).as_posix()
                if place in found:
                    continue
                source = path.read_bytes()
                found[place] = hashlib.blake2b(source, digest_size=16).hexdigest()
                package = path.relative_to(self.root).parent.parts
                waiting.extend(_imported(source, package))
        return dict(sorted(found.items()))

    def _files_of(self, name: str) -> list[Path]:
        """The files of a dotted name inside the project: the module, and the packages above it."""
        parts = name.split(".")
        found = []
        for count in range(1, len(parts) + 1):
            stem = self.root.joinpath(*parts[:count])
            found += [p for p in (stem / "__init__.py", stem.with_name(stem.name + ".py")) if p.is_file()]
        return found

    def _is_inside(self, top: str) -> bool:
        return (self.root / f"{top}.py").is_file() or (
            (self.root / top).is_dir() and self._has_python(self.root / top)
        )

    def _stays_inside(self, name: str) -> bool:
        """Whether each file and folder that the dotted name leads through lies in the project, links followed."""
        place = self.root
        for part in name.split("."):
            place = place / part
            forms = [place.with_name(part + suffix) for suffix in importlib.machinery.all_suffixes()]
            inits = [place / f"__init__{suffix}" for suffix in importlib.machinery.all_suffixes()]
            for path in (place, *forms, *inits):
                if path.exists() and not path.resolve().is_relative_to(self.root):
                    return False
        return True

    @staticmethod
    def _has_python(folder: Path) -> bool:
        return (folder / "__init__.py").is_file() or any(folder.glob("*.py"))

    @contextmanager
    def _on_path(self, top: str | None) -> Iterator[None]:
        """Put the root in front of `sys.path`; forget a module of the same name from another project."""
        if top is None:
            yield
            return
        root = str(self.root)
        loaded = sys.modules.get(top)
        if top in sys.stdlib_module_names or (
            loaded is not None and not _below(loaded, self.root) and _loaded_from.get(top) is None
        ):
            raise PythonRefused(
                "F012", f"the project's `{top}` has the name of another Python package", "rename it"
            )
        if loaded is not None and not _below(loaded, self.root):
            for name in [n for n in sys.modules if n == top or n.startswith(top + ".")]:
                del sys.modules[name]
        _loaded_from[top] = self.root
        importlib.invalidate_caches()
        sys.path.insert(0, root)
        try:
            yield
        finally:
            sys.path.remove(root)


def _imported(source: bytes, package: tuple[str, ...]) -> list[str]:
    """Dotted names that a module may import; `from a import b` may mean the module `a.b`, so both are given."""
    found: list[str] = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []  # only mentioned, by an import that never runs: what runs was parsed before
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            found += [base, *(f"{base}.{alias.name}" if base else alias.name for alias in node.names)]
    return [name for name in found if name]


def parameters_of(function: Callable[..., object], structs: Sequence[str]) -> dict[str, str]:
    """Which parameter of a `call` function gets which struct: by name, as it is or in snake case.

    Raises:
        PythonRefused: where a parameter has no struct, or a struct no parameter.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise PythonRefused(
            "F023", "this cannot be called by parameter names", "write a function of your own around it"
        ) from None
    by_name = {name: struct for struct in structs for name in (struct, _snake(struct))}
    found: dict[str, str] = {}
    spread = False
    wanted = ", ".join(_snake(struct) for struct in structs)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            spread = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            continue
        elif parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise PythonRefused(
                "F023",
                f"the function takes `{name}` by position, and structs come by name",
                f"make it ({wanted})",
            )
        elif name in by_name and parameter.kind is not parameter.POSITIONAL_ONLY:
            found[name] = by_name[name]
        elif parameter.default is parameter.empty:
            raise PythonRefused(
                "F023",
                f"the function wants `{name}`, and the node takes no such struct",
                f"make it ({wanted})",
            )
    missing = [struct for struct in structs if struct not in found.values()]
    if spread:
        found |= {_snake(struct): struct for struct in missing}
    elif missing:
        raise PythonRefused(
            "F023", f"the function does not take `{_snake(missing[0])}`", f"make it ({wanted})"
        )
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _below(module: ModuleType, root: Path) -> bool:
    places = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", []))
    return any(Path(place).resolve().is_relative_to(root) for place in places if place)
