"""The pytest plugin: `.forge` files are collected as tests, one a node and one an example.

Installed with DataForge, so `pytest graphs/` works. It imports nothing until it meets a `.forge` file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dataforge.testing.findings import Finding


class ContractWarning(pytest.PytestWarning):
    """A contract that holds and says nothing."""


class _Broken(Exception):
    """Findings that failed; its text is what pytest shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the plugin."""
    group = parser.getgroup("dataforge", "contracts of .forge files")
    group.addoption("--forge-seed", type=int, default=0, help="what examples of contracts are drawn by")
    group.addoption("--forge-examples", type=int, default=100, help="examples a law")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take `.forge` files."""
    if file_path.suffix != ".forge":
        return None
    collected: pytest.Collector = ForgeFile.from_parent(parent, path=file_path)
    return collected


class ForgeFile(pytest.File):
    """A `.forge` file; collecting it compiles it."""

    def collect(self) -> Iterator[pytest.Item]:
        from dataforge.errors import DataForgeError
        from dataforge.testing._needs import need_hypothesis

        try:
            need_hypothesis()
            from dataforge.testing.suite import suite_of

            suite = suite_of(
                self.path,
                seed=self.config.getoption("--forge-seed"),
                examples=self.config.getoption("--forge-examples"),
            )
        except DataForgeError as error:
            raise self.CollectError(str(error)) from error
        names: dict[str, int] = {}
        for item in suite.items:
            count = names[item.name] = names.get(item.name, 0) + 1
            name = item.name if count == 1 else f"{item.name} #{count}"
            yield ForgeItem.from_parent(self, name=name, run=item.run, line=item.line)


class ForgeItem(pytest.Item):
    """The laws of one node, or one example."""

    def __init__(self, *, run: Callable[[], Iterable[Finding]], line: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._run = run
        self._line = line

    def runtest(self) -> None:
        """Check every law; all that fail are shown."""
        found = list(self._run())
        for finding in found:
            if finding.verdict == "warning":
                warnings.warn(ContractWarning(finding.render(str(self.path))), stacklevel=1)
        failed = [finding.render(str(self.path)) for finding in found if finding.verdict == "failed"]
        if failed:
            raise _Broken("\n\n".join(failed))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings as they are; a traceback for anything else, which is our bug."""
        if isinstance(excinfo.value, _Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the item stands."""
        return self.path, self._line - 1, f"{self.path.name}::{self.name}"
