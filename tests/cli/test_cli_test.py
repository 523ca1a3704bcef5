"""`dataforge test` as people run it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import GRAPHS, REPOSITORY, Done, dataforge
from tests.testing.shipped import copy_of
from tests.testing.test_seeded_faults import FAULTS


def run(*arguments: str | Path) -> Done:
    return dataforge(*arguments, cwd=REPOSITORY)


def test_shipped_graphs_pass() -> None:
    done = run("test", GRAPHS, "--examples", "20")
    assert done.code == 0
    assert " 0 failed" in done.out
    assert "warning" not in done.out.lower()


def test_a_broken_contract_fails_with_what_to_run_again(project: Path) -> None:
    changes, module, *_ = FAULTS["a call that breaks its post"]
    path = copy_of("quickstart.forge", project, *changes, module=module)
    done = run("test", path, "--examples", "20")
    assert done.code == 1
    assert "FAILED summarise: calls: `faults:summarise` breaks the contract" in done.out
    replay = next(line for line in done.out.splitlines() if "replay" in line).split("dataforge ")[1].split()
    again = run(*replay, "--examples", "20", "--json")
    assert again.code == 1
    report = again.json()
    assert report["failed"] == 1
    (finding,) = [f for entry in report["files"] for f in entry["findings"] if f["verdict"] == "failed"]
    assert finding["check"] == "calls"
    assert len(finding["state"]["Passage"]["text"].split()) == 80


def test_a_wrong_file_hides_no_other(project: Path) -> None:
    copy_of("quickstart.forge", project)
    (project / "a_broken.forge").write_text("node x { takes Nothing }")
    done = run("test", project, "--examples", "10")
    assert done.code == 2
    assert "there is no struct named `Nothing`" in done.err
    assert "ok    summarise" in done.out


def test_a_name_that_nothing_bears_is_wrong_input(project: Path) -> None:
    path = copy_of("quickstart.forge", project)
    done = run("test", path, "--only", "sumarise")
    assert done.code == 2
    assert "there is nothing named `sumarise` to test" in done.err
    (project / "empty").mkdir()
    assert run("test", project / "empty").code == 2
