"""`pytest graphs/` as a user's CI runs it: real pytest processes with the installed plugin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.cli.commands import environment
from tests.testing.shipped import copy_of
from tests.testing.test_seeded_faults import FAULTS


def pytest_in(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_folder_of_graphs_is_a_test_suite(project: Path) -> None:
    copy_of("quickstart.forge", project)
    done = pytest_in(project, ".", "--forge-examples", "20")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE), done.stdout


def test_a_broken_contract_is_a_failed_test_with_its_smallest_state(project: Path) -> None:
    changes, module, *_ = FAULTS["a call that breaks its post"]
    copy_of("quickstart.forge", project, *changes, module=module)
    done = pytest_in(project, "quickstart.forge", "--forge-seed", "3", "--forge-examples", "20")
    assert done.returncode == 1
    assert "FAILED quickstart.forge::summarise" in done.stdout
    assert "words(Passage.text) is 12" in done.stdout
    assert "--only summarise --seed 3" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_file_that_does_not_compile_is_a_collection_error_with_its_diagnostics(project: Path) -> None:
    (project / "x.forge").write_text("node broken { takes Nothing }")
    done = pytest_in(project, ".")
    assert done.returncode == 2
    assert "error[F010]: there is no struct named `Nothing`" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_contract_that_promises_nothing_is_a_warning(project: Path) -> None:
    changes, module, *_ = FAULTS["a post that promises nothing"]
    copy_of("quickstart.forge", project, *changes, module=module)
    done = pytest_in(project, "quickstart.forge", "--forge-examples", "20")
    assert done.returncode == 0
    assert "ContractWarning" in done.stdout
    strict = pytest_in(project, "quickstart.forge", "--forge-examples", "20", "-W", "error")
    assert strict.returncode == 1
