"""A corpus on disk: read back as it was, whole or not taken for one, and open to `datasets`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.corpus import write
from dataforge.corpus.read import read_manifest, read_rows
from dataforge.corpus.write import CorpusInfo
from dataforge.errors import OutputError
from dataforge.run import output
from dataforge.run.journal import Outcome
from dataforge.run.local import RUN_NAME
from dataforge.run.output import line, write_rows
from dataforge.run.shard import Seal, shard_folder
from dataforge.run.statistics import Statistics
from dataforge.run.storage import LocalStorage
from schemas.chat import Message
from schemas.corpus import ModelUse, Reason, Row, VerdictLine

PLAN = {
    "hash": "0123abcd",
    "graph": "quick",
    "paths": 4,
    "ends": {"doc": "A graph | with a pipe\nand two lines.", "walk": "uniform"},
    "nodes": {"Write": {"pre": ["Passage.text"], "post": ["Answer.text"]}},
}
INFO = CorpusInfo(
    plan=PLAN,
    project="demo",
    command="dataforge run quick.forge",
    models={
        "writer": {
            "role": "generator",
            "model": "smol",
            "weights": "w",
            "backend": "local",
            "smoke_grade": True,
        },
        "critic": {
            "role": "judge",
            "model": "big",
            "weights": "v",
            "backend": "openai",
            "smoke_grade": False,
        },
    },
    counts={
        "planned": 7,
        "attempted": 6,
        "kept": 3,
        "rejected": 2,
        "failed": 1,
        "parked": 1,
        "filtered": 5,
        "calls": 9,
        "prompt_tokens": 90,
        "completion_tokens": 45,
    },
    rejected_by={"R107": 2},
    failed_by={"R007": 1},
    settings={"seed": 0, "walks": 1, "tokenizer": "words"},
    seeds=("a.jsonl",),
    versions={"python": "3.11"},
)
REASON = Reason(stage="Judge", code="R107", message="not accepted").model_dump_json()


def row(number: int, *, reason: str | None = None, text: str = "text", kind: Any = "final") -> Row:
    return Row(
        id=f"row-{number}",
        messages=[
            Message(role="user", content=text),
            Message(
                role="assistant", content=text, train=True, tool_calls=[{"name": "f", "n": [1, {"a": text}]}]
            ),
        ],
        tools=['{"name": "f"}'],
        kind=kind,
        graph="quick",
        node="Write",
        path=["Write", "Judge"],
        seed_id="s",
        seed_source="a.jsonl",
        models=[ModelUse(role="writer", name="smol", weights="w")],
        verdicts=[VerdictLine(node="Judge", criterion="grounded", score=3.5, reason="fine", round=1)],
        thinking="off",
        tokens=7,
        state=json.dumps({"Answer": {"text": text}}),
        reason=reason,
    )


KEPT = [Outcome(n, "kept", (row(n), row(n + 100, kind="call"))) for n in range(3)]
REJECTED = [Outcome(n, "rejected", (row(n, reason=REASON),)) for n in (3, 4)]


def write_corpus(
    out: Path, outcomes: Sequence[Outcome], info: CorpusInfo, shard_rows: int = 1_000
) -> dict[str, Any]:
    """Seal the outcomes as a run does, and publish the shards."""
    seals = []
    for number, first in enumerate(range(0, max(1, len(outcomes)), shard_rows)):
        part = outcomes[first : first + shard_rows]
        folder = shard_folder(out, number)
        folder.mkdir(parents=True, exist_ok=True)
        written = write_rows(([line(row) for row in outcome.rows] for outcome in part), folder)
        seals.append(
            Seal("run", number, first, len(part), written.rows, written.tokens, written.files, Statistics())
        )
    return write.write_corpus(LocalStorage(out), seals[::-1], info)


def rows_of(outcomes: Sequence[Outcome], *, rejected: bool) -> list[Row]:
    return [r for o in outcomes for r in o.rows if (r.reason is not None) == rejected]


def everything(out: Path) -> list[Path]:
    """The files of the corpus; those of the shards are the same files under other names."""
    found = (p.relative_to(out) for p in out.rglob("*") if p.is_file())
    return sorted(p for p in found if p.parts[0] != "shards")


def load(out: Path, split: str, cache: Path, *, streaming: bool = False) -> Any:
    folder = {"train": "data", "rejected": "rejected"}[split]
    return datasets.load_dataset(
        "parquet",
        data_files={split: str(out / folder / f"{split}-*.parquet")},
        split=split,
        cache_dir=str(cache),
        streaming=streaming,
    )


def test_rows_come_back_in_order_kept_and_rejected_apart(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path, [*KEPT, *REJECTED], INFO)
    assert list(read_rows(tmp_path)) == rows_of(KEPT, rejected=False)
    assert list(read_rows(tmp_path, rejected=True)) == rows_of(REJECTED, rejected=True)
    assert read_manifest(tmp_path) == manifest
    assert manifest["counts"]["rows"] == {"train": 6, "final": 3, "call": 3, "rejected": 2, "lost": 0}


def test_datasets_opens_both_parts(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_corpus(out, [*KEPT, *REJECTED], INFO)
    train = load(out, "train", tmp_path / "cache")
    assert train["id"][:] == [r.id for r in read_rows(out)]
    assert set(train.column_names) == set(Row.model_fields)
    assert [m["train"] for m in train[0]["messages"]] == [False, True]
    assert json.loads(train[0]["messages"][1]["tool_calls"][0])["name"] == "f"
    assert json.loads(load(out, "rejected", tmp_path / "cache")[0]["reason"])["code"] == "R107"


def test_the_cards_configs_open_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_corpus(out, [*KEPT, *REJECTED], INFO)
    assert len(datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "c"))) == 6
    rejected = datasets.load_dataset(str(out), "rejected", split="rejected", cache_dir=str(tmp_path / "c"))
    assert len(rejected) == 2


def test_the_cards_config_opens_a_corpus_that_rejected_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_corpus(out, KEPT, INFO)
    assert len(datasets.load_dataset(str(out), cache_dir=str(tmp_path / "c"))["train"]) == 6


@pytest.mark.parametrize("outcomes", [[], KEPT, REJECTED])
def test_datasets_streams_a_part_without_rows(tmp_path: Path, outcomes: list[Outcome]) -> None:
    out = tmp_path / "out"
    write_corpus(out, outcomes, INFO)
    for split in ("train", "rejected"):
        wanted = rows_of(outcomes, rejected=split == "rejected")
        # Streamed: whoever wrote it, `datasets` builds no split of no rows ("corresponds to no data").
        streamed = load(out, split, tmp_path / "cache", streaming=True)
        assert [r["id"] for r in streamed] == [r.id for r in wanted]
        assert list(read_rows(out, rejected=split == "rejected")) == wanted


HOSTILE = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HOSTILE)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = Outcome(0, "kept", (row(0, text=text),))
        write_corpus(Path(folder), [outcome], INFO)
        assert list(read_rows(Path(folder))) == [row(0, text=text)]


def test_half_a_surrogate_pair_does_not_cost_the_corpus(tmp_path: Path) -> None:
    write_corpus(tmp_path, [Outcome(0, "kept", (row(0, text="a\ud83db"),))], INFO)
    [found] = read_rows(tmp_path)
    assert found.messages[0].content == "a\ufffdb"


def test_many_rows_make_shards_that_know_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "ROWS_A_GROUP", 10)
    many = [Outcome(n, "kept", (row(n),)) for n in range(50)]
    write_corpus(tmp_path, many, INFO, shard_rows=20)
    names = [p.name for p in sorted((tmp_path / "data").iterdir())]
    assert names == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    assert [r.id for r in read_rows(tmp_path)] == [f"row-{n}" for n in range(50)]


def test_the_manifest_holds_the_hash_of_every_data_file(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path, [*KEPT, *REJECTED], INFO)
    found = {
        str(p): hashlib.blake2b((tmp_path / p).read_bytes(), digest_size=16).hexdigest()
        for p in everything(tmp_path)
        if p.suffix == ".parquet"
    }
    assert manifest["files"] == found


def test_the_same_outcomes_give_the_same_data_files(tmp_path: Path) -> None:
    one = write_corpus(tmp_path / "a", [*KEPT, *REJECTED], INFO)
    two = write_corpus(tmp_path / "b", [*KEPT, *REJECTED], INFO)
    assert one["files"] == two["files"]


def test_a_second_write_replaces_the_first(tmp_path: Path) -> None:
    write_corpus(tmp_path, [*KEPT, *REJECTED], INFO, shard_rows=1)
    manifest = write_corpus(tmp_path, KEPT[:1], INFO)
    on_disk = {str(p) for p in everything(tmp_path)}
    assert on_disk == {*manifest["files"], "README.md", "manifest.json", "plan.json"}
    assert list(read_rows(tmp_path)) == rows_of(KEPT[:1], rejected=False)


def test_an_interrupted_write_leaves_nothing_that_counts_as_a_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path, KEPT, INFO)

    def interrupt(*_: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(write, "card", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_corpus(tmp_path, KEPT[:1], INFO)
    assert not (tmp_path / "manifest.json").exists()
    with pytest.raises(OutputError):
        next(read_rows(tmp_path))
    write_corpus(tmp_path, KEPT, INFO)
    assert not [p for p in everything(tmp_path) if p.name.startswith(".")]


def test_a_row_longer_than_a_block_of_the_reader(tmp_path: Path) -> None:
    long = row(0, text="x" * 3_000_000)
    write_corpus(tmp_path, [Outcome(0, "kept", (long,)), *KEPT[1:]], INFO)
    assert next(read_rows(tmp_path)) == long


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
import test_corpus_files as t
from dataforge.errors import StorageError
import random
many = [t.Outcome(n, "kept", (t.row(n, text=random.randbytes(900).hex()),)) for n in range(2500)]
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000,) * 2)
try:
    t.write_corpus(Path(sys.argv[1]), many, t.INFO)
except StorageError as error:
    print(error.code)
"""


def test_a_full_disk_is_told_and_leaves_no_manifest(tmp_path: Path) -> None:
    code = FULL.format(tests=str(Path(__file__).parent))
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "R021\n", "")
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_that_is_no_corpus_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is no corpus") as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "R023"


def test_a_run_that_has_not_finished_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / RUN_NAME).touch()
    with pytest.raises(OutputError, match="not finished") as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "R023"
    assert "same `dataforge run` command" in (caught.value.help or "")


def test_a_seed_file_whose_name_is_no_text_does_not_cost_the_corpus(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path, KEPT, replace(INFO, seeds=("caf\udce9.txt",)))
    assert manifest["counts"]["kept"] == 3
    assert read_manifest(tmp_path)["seeds"] == ["caf\ufffd.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"other": 1}', '{"plan": "x"}', "\x00"])
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError) as caught:
        read_manifest(tmp_path)
    assert caught.value.code == "R023"


@pytest.mark.parametrize("damage", ["remove", "overwrite"])
def test_a_damaged_or_missing_shard_is_no_shorter_corpus(tmp_path: Path, damage: str) -> None:
    write_corpus(tmp_path, KEPT, INFO)
    [shard] = (tmp_path / "data").iterdir()
    if damage == "remove":
        shard.unlink()
    else:
        shard.write_bytes(b"no parquet")
    with pytest.raises(OutputError, match="damaged") as caught:
        list(read_rows(tmp_path))
    assert caught.value.code == "R023"


@pytest.mark.parametrize(
    "project",
    ["demo", 'a "quoted" name: # {x} %', "two\nlines", "ctl \x07\x7f\x85\u2028 end", "\U0001f600 é"],
)
def test_the_cards_header_is_yaml_whatever_the_project_is_called(tmp_path: Path, project: str) -> None:
    write_corpus(tmp_path, KEPT, replace(INFO, project=project))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["pretty_name"].endswith(": quick")
    assert header["size_categories"] == ["n<1K"]
    assert {c["config_name"] for c in header["configs"]} == {"default", "rejected"}


def test_the_card_says_what_the_corpus_is_not_good_for(tmp_path: Path) -> None:
    write_corpus(tmp_path, KEPT, replace(INFO, self_judging=("`critic` graded `writer` in `Judge`",)))
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "7 rows = 3 kept + 2 rejected + 1 lost to errors + 1 not finished" in card
    assert "Smoke grade" in card
    assert "Self-judging was allowed" in card
    assert "A graph | with a pipe and two lines." in card
