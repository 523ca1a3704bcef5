"""`dataforge export` in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import dataforge
from tests.interop.rejection_corpus import call, corpus, final


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    winner = call("1+1", "It is two.")
    rows = [final(winner), winner, call("1+1", "Three, I say.", 0.0, lost="R111")]
    return corpus(tmp_path_factory.mktemp("export") / "corpus", [rows, [call("2+2", "Four.")]])


def test_pairs_are_written_and_counted(directory: Path, tmp_path: Path):
    done = dataforge("export", directory, "--to", "preference", "-o", "pairs.jsonl", cwd=tmp_path)
    assert (done.code, done.out) == (0, "1 pairs of 1 prompts written to pairs.jsonl\n")
    (line,) = (tmp_path / "pairs.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"prompt", "chosen", "rejected"}


def test_the_summary_is_json_where_asked(directory: Path, tmp_path: Path):
    done = dataforge(
        "export", directory, "--to", "sharegpt", "--kind", "all", "-o", "x.jsonl", "--json", cwd=tmp_path
    )
    assert done.code == 0
    assert done.json() == {
        "to": "sharegpt", "out": "x.jsonl", "written": 3, "prompts": 0, "read": 3, "left_out": {}, "notes": {},
    }  # fmt: skip


def test_groups_have_tokens_where_a_tokenizer_is_named(directory: Path, tmp_path: Path):
    done = dataforge(
        "export", directory, "--to", "groups", "--tokenizer", "tiny", "-o", "g.jsonl", cwd=tmp_path
    )
    assert done.code == 0, done.err
    first = json.loads((tmp_path / "g.jsonl").read_text().splitlines()[0])
    assert first["scores"] == [1.0, 0.0]
    assert all(len(t) == len(m) > 0 for t, m in zip(first["tokens"], first["masks"], strict=True))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "parquet", "-o", "x.jsonl"], "`parquet` is none of preference, groups, jsonl, trl"),
        (["--to", "jsonl", "--kind", "row", "-o", "x.jsonl"], "`row` is none of final, call, all"),
        (
            ["--to", "groups", "--thinking", "drop", "-o", "x.jsonl"],
            "it would change nothing with --to groups",
        ),
        (["--to", "preference", "--max-pairs", "3", "-o", "x.jsonl"], "it would change nothing"),
        (["--to", "trl", "--tokenizer", "tiny", "-o", "x.jsonl"], "it would change nothing with --to trl"),
        (["--to", "jsonl", "-o", "no/such/x.jsonl"], "error[R021]"),
        (["--to", "jsonl", "-o", "."], "error[R021]"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(
    directory: Path, tmp_path: Path, arguments: list[str], says: str
):
    done = dataforge("export", directory, *arguments, cwd=tmp_path)
    assert done.code == 2
    assert says in " ".join(done.err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_is_not_overwritten_by_what_is_made_of_it(directory: Path, tmp_path: Path):
    manifest = (directory / "manifest.json").read_bytes()
    done = dataforge("export", directory, "--to", "jsonl", "-o", directory / "manifest.json", cwd=tmp_path)
    assert (done.code, "part of the corpus itself" in done.err) == (2, True)
    assert (directory / "manifest.json").read_bytes() == manifest


def test_nothing_to_export_is_an_error_with_a_code(tmp_path: Path):
    made = corpus(tmp_path / "corpus", [[call("s", "x")]])
    done = dataforge("export", made, "--to", "preference", "-o", "x.jsonl", "--json", cwd=tmp_path)
    assert (done.code, done.json()["error"]["code"]) == (2, "V034")
    done = dataforge("export", tmp_path, "--to", "jsonl", "-o", "x.jsonl", cwd=tmp_path)
    assert (done.code, "error[R023]" in done.err) == (2, True)
