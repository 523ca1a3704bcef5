"""`dataforge verifiers …` and `dataforge verify` as people run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataforge.verifiers import names
from tests.cli.commands import REPOSITORY, Done, dataforge


def run(*arguments: str | Path, stdin: str = "") -> Done:
    return dataforge(*arguments, cwd=REPOSITORY, stdin=stdin)


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def row(answer: str, response: Any, **more: Any) -> dict[str, Any]:
    task = {"prompt": "?", "facts": {"answer": answer, "options": ["x", "y", "z"]}, "topic": "letters"}
    return {"task": task, "response": response} | more


def test_the_list_has_every_verifier_with_its_family() -> None:
    told = run("verifiers", "--json").json()
    assert [one["name"] for one in told] == list(names())
    done = run("verifiers")
    assert done.code == 0
    assert "multiple choice and matching\n" in done.out
    for one in told:
        assert f"  {one['name']} " in done.out
        if "error" not in one:
            assert one["checks"] in done.out


def test_help_shows_examples() -> None:
    for arguments in (("verify",), ("verifiers",), *((("verifiers", c)) for c in ("show", "tasks", "audit"))):
        done = run(*arguments, "--help")
        assert done.code == 0
        assert "Example: " in done.out


def test_one_is_shown_with_its_facts_a_task_and_verdicts() -> None:
    done = run("verifiers", "show", "multiple_choice")
    assert done.code == 0
    assert "  options (list of string; needed)\n      the texts of the options" in done.out
    assert "verdict: passed, score 1" in done.out
    assert "verdict: failed, score 0" in done.out
    told = run("verifiers", "show", "multiple_choice", "--json").json()
    assert told["facts"]["required"] == ["answer", "options"]
    assert [example["verdict"]["passed"] for example in told["examples"]] == [True, False]


def test_what_facts_choose_from_is_listed() -> None:
    formats = run("verifiers", "show", "answer_format", "--kinds", "--json").json()
    assert len(formats) >= 150
    assert "\\boxed" in formats["latex_boxed"]
    listed = run("verifiers", "show", "instructions", "--kinds").out
    assert "punctuation:no_comma\n" in listed
    assert "361 kinds; --kinds lists them" in run("verifiers", "show", "answer_format").out
    assert "choose from nothing" in run("verifiers", "show", "maths", "--kinds").out


def test_made_tasks_can_be_answered_and_verified(tmp_path: Path) -> None:
    made = run("verifiers", "tasks", "multiple_choice", "-n", "6", "--seed", "3")
    assert made.code == 0
    tasks = [json.loads(line) for line in made.out.splitlines()]
    assert len(tasks) == 6
    assert (
        run("verifiers", "tasks", "multiple_choice", "-n", "2", "--seed", "3").out.splitlines()
        == made.out.splitlines()[:2]
    )
    right = [{"task": task, "response": f"Answer: {task['facts']['answer']}"} for task in tasks]
    done = run("verify", "multiple_choice", write(tmp_path / "answers.jsonl", *right), "--json")
    assert done.code == 0
    assert (done.json()["passed"], done.json()["score"]) == (6, 1.0)


def test_a_file_is_scored_a_verdict_a_line(tmp_path: Path) -> None:
    file = write(
        tmp_path / "answers.jsonl",
        row("A", "Answer: A", id="one"),
        row("A", {"text": "Answer: B", "reasoning": "A"}),
        row("A", "no idea"),
        row("A", {"text": "The answer is A", "finish_reason": "length"}),
    )
    out = tmp_path / "verdicts.jsonl"
    done = run("verify", "multiple_choice", file, "--out", out)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["outcome"] for line in lines] == ["passed", "failed", "unparsed", "unparsed"]
    assert [line["row"] for line in lines] == [1, 2, 3, 4]
    assert (lines[0]["id"], lines[0]["topic"], lines[0]["extracted"]) == ("one", "letters", "A")
    assert done.out.splitlines()[-2].split() == ["all", "4", "1", "1", "2", "0", "0.250", "0.500"]
    assert list(tmp_path.glob("*.part")) == []


def test_each_task_by_its_own_verifier_and_from_a_pipe(tmp_path: Path) -> None:
    mixed = [
        {"task": {**row("A", "")["task"], "verifier": "multiple_choice"}, "response": "Answer: A"},
        {"task": {"prompt": "?", "facts": {"answers": ["x"]}, "verifier": "exact"}, "response": "y"},
    ]
    file = write(tmp_path / "mixed.jsonl", *mixed)
    told = run("verify", file, "--json").json()
    assert told["verifiers"].keys() == {"exact", "multiple_choice"}
    assert {topic: counts["passed"] for topic, counts in told["topics"].items()} == {
        "exact": 0,
        "multiple_choice: letters": 1,
    }
    piped = run("verify", "-", "--json", stdin=file.read_text(encoding="utf-8"))
    assert piped.json() == told
    nameless = write(tmp_path / "nameless.jsonl", mixed[0], row("A", "A"))
    done = run("verify", nameless)
    assert (done.code, "error[V016]" in done.err, "nameless.jsonl:2" in done.err) == (2, True, True)
    assert "`exact` is a verifier: dataforge verifiers show exact" in run("verifiers", "exact").err
    assert "no file is named for `exact`" in run("verify", "exact").err


def test_what_cannot_be_judged_is_no_wrong_answer(tmp_path: Path) -> None:
    bad = {"task": {"prompt": "?", "facts": {"answer": "Q"}}, "response": "A"}
    done = run("verify", "multiple_choice", write(tmp_path / "a.jsonl", row("A", "A"), bad), "--json")
    assert done.code == 1
    told = done.json()
    assert (told["score"], told["errors_by_kind"]) == (1.0, {"task": 1})
    assert told["first_errors"]["task"].startswith("row 2: ")


def test_parquet_and_flat_rows_and_facts_as_text(tmp_path: Path) -> None:
    facts = json.dumps({"answers": ["x"]})
    table = pa.table({"prompt": ["?", "?"], "facts": [facts, facts], "response": ["x", "y"]})
    pq.write_table(table, tmp_path / "a.parquet")
    told = run("verify", "exact", tmp_path / "a.parquet", "--json").json()
    assert (told["passed"], told["failed"]) == (1, 1)


def test_rows_of_a_corpus(tmp_path: Path) -> None:
    state = json.dumps({"Task": {"prompt": "?", "facts": {"answers": ["x"]}, "verifier": "exact"}})
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "x", "reasoning_content": "y?", "train": True},
    ]
    file = write(tmp_path / "rows.jsonl", {"id": "r1", "messages": messages, "state": state})
    told = run("verify", "exact", file, "--json").json()
    assert told["passed"] == 1


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ('{"task": {"prompt": "?"}}', "V015", "a.jsonl:2: there is no `response`"),
        ('{"task": {}, "response": "x"}', "V015", "a.jsonl:2: prompt: field required"),
        ('{"task": {"prompt": "?"}, "response": 5}', "V015", "neither a text nor an object"),
        ('{"task": {"prompt": "?"}, "response": {"txt": 5}}', "V015", "has no `text`"),
        (
            '{"task": {"prompt": "?", "verifier": "exact"}, "response": ""}',
            "V016",
            "is for the verifier `exact`",
        ),
        ("{", "R013", "a.jsonl:2:"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, code: str, said: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(row("A", "A")) + "\n" + line + "\n")
    out = tmp_path / "out.jsonl"
    done = run("verify", "multiple_choice", file, "--out", out)
    assert done.code == 2
    assert f"error[{code}]" in done.err
    assert said in done.err
    assert not out.exists()
    assert list(tmp_path.glob("*.part")) == []


def test_wrong_input_is_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", row("A", "A"))
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    for arguments, code in (
        (("verify", "exac", file), "V001"),
        (("verify", "exact", tmp_path / "none.jsonl"), "V014"),
        (("verify", "multiple_choice", empty), "V014"),
        (("verify", "multiple_choice", file, "--out", file), "R021"),
        (("verify", "multiple_choice", file, "--out", tmp_path / "no" / "out.jsonl"), "R021"),
        (("verifiers", "show", "nothing"), "V001"),
        (("verifiers", "audit", "nothing"), "V001"),
    ):
        done = run(*arguments)
        assert done.code == 2, arguments
        assert f"error[{code}]" in done.err


def test_the_audit_says_what_it_found() -> None:
    done = run("verifiers", "audit", "exact", "fuzzy", "--generated", "100")
    assert done.code == 0, done.out
    assert done.out.count("ok    ") == 2
    told = run("verifiers", "audit", "exact", "--generated", "100", "--hash-seeds", "2", "--json").json()
    (one,) = told["audits"]
    assert one["generated"]["positives"] + one["generated"]["negatives"] == 100
    assert one["misjudged"] == []
    assert one["false_positive_rate"]["rate"] == 0.0
    assert told["differ_by_hash_seed"] == {"exact": []}


def test_a_page_must_have_a_place_for_the_table(tmp_path: Path) -> None:
    """And nothing is put on record where it has none."""
    before = (REPOSITORY / "dataforge" / "verifiers" / "audited.json").read_bytes()
    page = tmp_path / "page.md"
    page.write_text("# No marks\n")
    done = run("verifiers", "audit", "exact", "--generated", "1", "--page", page)
    assert done.code == 2
    assert "error[V011]" in done.err
    assert (REPOSITORY / "dataforge" / "verifiers" / "audited.json").read_bytes() == before
