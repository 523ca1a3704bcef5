"""Finding verifiers: ours by file, others' by entry point, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest

from dataforge.errors import InputError
from dataforge.verifiers import find, names, registry
from tests.cli.commands import environment


def entry(name: str, value: str) -> metadata.EntryPoint:
    return metadata.EntryPoint(name, value, registry.VERIFIERS.group)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(*entries: metadata.EntryPoint) -> None:
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: entries)
        registry.VERIFIERS.forget()

    yield put
    monkeypatch.undo()
    registry.VERIFIERS.forget()


def test_every_name_leads_to_the_verifier_of_that_name() -> None:
    assert "multiple_choice" in names()
    assert list(names()) == sorted(names())
    for name in ("multiple_choice", "exact", "fuzzy", "code_answer"):
        assert find(name).name == name
        assert find(name) is find(name)


def test_a_wrong_name_brings_the_close_one() -> None:
    with pytest.raises(InputError) as caught:
        find("multiple_choise")
    assert caught.value.code == "V001"
    assert caught.value.help == "did you mean `multiple_choice`?"


def test_an_installed_package_brings_a_verifier(installed: Any) -> None:
    installed(entry("their_exact", "dataforge.verifiers.library.exact:Exact"))
    assert "their_exact" in names()
    assert find("their_exact").name == "exact"


def test_an_entry_point_that_is_no_verifier_is_said_to_be_none(installed: Any) -> None:
    installed(entry("odd", "json:loads"))
    with pytest.raises(InputError) as caught:
        find("odd")
    assert caught.value.code == "V003"


def test_a_package_that_is_missing_is_named(installed: Any) -> None:
    installed(entry("far", "no_such_package_here.sub:Thing"))
    with pytest.raises(InputError, match="needs the package `no_such_package_here`") as caught:
        find("far")
    assert caught.value.code == "V002"


def test_looking_for_names_imports_no_verifier() -> None:
    program = (
        "import sys\nfrom dataforge.verifiers import names\nnames()\n"
        "print([m for m in sys.modules if m.startswith('dataforge.verifiers.library.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
