"""A log judged again: nothing is asked, what was lost stays lost, and another verifier is another judgement."""

from __future__ import annotations

from pathlib import Path

from evals.log import read_items, read_log
from tests.cli.commands import dataforge
from tests.evals.faulty import KINDS, Faulty, write


def test_the_same_judgement_changes_nothing_and_another_changes_what_it_should(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", dict.fromkeys(KINDS, 2))
    with Faulty() as server:
        dataforge(
            "eval", "reasoning", "--data", "rows.jsonl", "--models", server.models(tmp_path), "--out", "out",
            "--on-error", "record", cwd=tmp_path,
        )  # fmt: skip
        asked = server.asked.total()
        same = dataforge("eval", "rescore", "out/reasoning", "--json", cwd=tmp_path)
        assert (same.code, same.json()["changed"]) == (0, [])
        assert same.json()["before"]["status"] == same.json()["after"]["status"]
        other = dataforge(
            "eval", "rescore", "out/reasoning", "--with", "exact", "-o", "again", "--json", cwd=tmp_path
        )
        assert server.asked.total() == asked
    # These facts are none of `exact`: nothing is wrong by that.
    assert other.json()["after"]["status"].get("wrong", 0) == 0
    assert other.json()["after"]["status"]["fault"] > other.json()["before"]["status"]["fault"]
    log = read_log(tmp_path / "again")
    assert log.manifest["rescored"]["with"] == "exact"
    assert len(log.samples) == 2 * len(KINDS)
    assert read_items(tmp_path / "again").keys() == {s.item for s in log.samples}
    again = dataforge("eval", "rescore", "again", "-o", "out", cwd=tmp_path)
    assert (again.code, "error[R021]" in again.err) == (2, True), "nothing is overwritten"


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    done = dataforge("eval", "rescore", "nothing", cwd=tmp_path)
    assert (done.code, "error[E021]" in done.err) == (2, True)
