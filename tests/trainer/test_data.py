"""Conversations as they are read, the packed set as it is made, killed, opened and damaged, and the order of its rows."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import DataForgeError, InputError, StorageError
from dataforge.run.output import line, write_rows
from schemas.chat import Message
from schemas.corpus import Row as CorpusRow
from trainer import data, packed, rendering
from trainer.config import Config, DataConfig, ModelConfig
from trainer.conversations import Conversations
from trainer.data import prepare
from trainer.packed import PackedSet, order
from trainer.samples import IGNORED
from trainer.show import documents, room_left, write_page

PAGE = (Path(__file__).parents[2] / "docs" / "packing.md").read_text(encoding="utf-8")
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": null}'}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def says(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chats(path: Path, n: int = 200, *, longest: int = 150) -> Path:
    """Short conversations of all lengths, two of them with a row that the loss sees nothing of in part."""
    drawn = np.random.default_rng(3).integers(1, longest, (n, 2)).tolist()
    rows = [{"messages": [says("user", "q" * a), says("assistant", "a" * b)]} for a, b in drawn]
    return write(path, *rows)


def config(*paths: Path, **changes: Any) -> Config:
    chosen = DataConfig(paths=tuple(map(str, paths)), context=512)
    return Config(model=ModelConfig(path="tiny"), data=replace(chosen, **changes))


def contents(folder: Path) -> dict[str, str]:
    """Every file of a folder by a hash of its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own; returns its exit code, negative for the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            work()
            code = 0
        except DataForgeError as error:
            code = 50 + error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PART_CONVERSATIONS", 64)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chats(tmp_path_factory.mktemp("chats") / "chats.jsonl")


@pytest.fixture(scope="module")
def whole(file: Path) -> Iterator[PackedSet]:
    """A set of four parts, which nobody may change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "PART_CONVERSATIONS", 64)
        yield prepare(config(file), file.parent / "packed")


def refused(code: str, work: Callable[[], Any], *words: str) -> InputError:
    with pytest.raises(InputError) as caught:
        work()
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} · {caught.value.help}"
    return caught.value


# What is read


def corpus(folder: Path, *kinds: str) -> Path:
    """A corpus as a run writes it, with a reasoning and a tool-calling message in each row."""
    rows = [
        CorpusRow(
            id=f"r{n}",
            messages=[
                Message(role="user", content="1+null?"),
                Message(
                    role="assistant", content="", reasoning_content="hm", tool_calls=[CALL], train=n == 0
                ),
                Message(role="tool", content="1", tool_call_id="c1"),
                Message(role="assistant", content="one", train=True),
            ],
            tools=[json.dumps(TOOL)],
            kind=kind,  # type: ignore[arg-type]
            graph="g",
            node="n",
            path=["n"],
            seed_id="s",
            seed_source="s",
            models=[],
            verdicts=[],
            thinking="on",
            tokens=1,
            state="{}",
        )
        for n, kind in enumerate(kinds)
    ]
    (folder / "data").mkdir(parents=True)
    written = write_rows([[line(row) for row in rows]], folder / "data")
    name = (folder / "data" / "train.parquet").rename(folder / "data" / "train-00000-of-00001.parquet").name
    (folder / "manifest.json").write_text(
        json.dumps({"corpus": 1, "plan": "p", "files": {f"data/{name}": written.files["train.parquet"]}})
    )
    return folder


def test_a_corpus_comes_back_as_it_was_written(tmp_path: Path) -> None:
    found = list(Conversations([str(corpus(tmp_path / "c", "final", "call", "final"))], ["final"]))
    assert [(c.id, c.kind, c.thinking, c.tools) for c in found] == [
        (id, "final", "on", (TOOL,)) for id in ("r0", "r2")
    ]
    assert found[0].messages[1].tool_calls == [CALL]
    assert found[0].messages[1].reasoning_content == "hm"
    assert [[m.train for m in c.messages] for c in found] == [
        [False, True, False, True],
        [False, False, False, True],
    ]


def test_a_changed_file_of_a_corpus_is_refused(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", "final")
    other = corpus(tmp_path / "d", "final", "final")
    shutil.copy(next((other / "data").glob("*.parquet")), next((folder / "data").glob("train-*.parquet")))
    refused("T002", lambda: prepare(config(folder), tmp_path / "p"), "hash", "train-00000-of-00001")


def test_a_corpus_of_calls_alone_says_so(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", "call", "call")
    read = lambda: list(Conversations([str(folder)], ["final"]))  # noqa: E731
    refused("T002", read, "of 2 rows none is `final`: 2 are `call`", """--set 'data.kinds=["call"]'""")


@pytest.mark.parametrize(
    ("messages", "trained"),
    [
        ([says("user", "a"), says("assistant", "b"), says("assistant", "c")], [False, True, True]),
        ([says("assistant", "b", weight=0), says("assistant", "c", weight=1)], [False, True]),
        ([says("assistant", "b", weight=0), says("assistant", "c")], [False, True]),
        ([says("assistant", "b"), says("assistant", "c", train=True)], [False, True]),
        ([says("assistant", "b", train=False), says("assistant", "c", train=None)], [False, False]),
        ([says("assistant", "b", train=True, weight=0)], [True]),
    ],
)
def test_what_is_trained(tmp_path: Path, messages: list[dict[str, Any]], trained: list[bool]) -> None:
    path = write(tmp_path / "chat.jsonl", {"messages": messages})
    [found] = Conversations([str(path)], ["final"])
    assert [message.train for message in found.messages] == trained
    assert found.id == "chat.jsonl:1"


def test_columns_of_other_makers_are_read(tmp_path: Path) -> None:
    """Arrow gives all calls of a column the same arguments; parts of text and tools in one JSON text occur too."""
    calls = [
        {"type": "function", "function": {"name": "f", "arguments": arguments}}
        for arguments in ({"a": 1}, {"b": 2})
    ]
    rows = [
        {
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": None, "tool_calls": calls},
            ],
            "tools": json.dumps([TOOL]),
        }
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write(
        tmp_path / "b.jsonl", {"messages": [says("assistant", [{"type": "text", "text": t} for t in "xy"])]}
    )  # type: ignore[arg-type]
    first, second = Conversations([str(tmp_path)], ["final"])
    assert first.messages[1].tool_calls == calls
    assert first.messages[1].content == ""
    assert first.tools == (TOOL,)
    assert second.messages[0].content == "xy"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ("{}", "has no `messages`"),
        ('{"messages": "x"}', "no list of messages"),
        ('{"messages": [{"role": "bot", "content": "x"}]}', "message 1: `role`"),
        ('{"messages": [{"role": "user"}]}', "message 1: `content`"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "no text"),
        ('{"messages": [{"role": "user", "content": "x", "train": true}]}', "the assistant does not say it"),
        ('{"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}', "0.5"),
        (
            '{"messages": [{"role": "assistant", "content": "x", "function_call": {"name": "f"}}]}',
            "function_call",
        ),
        (
            '{"messages": [{"role": "assistant", "content": "x", "tool_calls": ["{"]}]}',
            "`tool_calls` is no JSON",
        ),
        ('{"messages": [{"role": "user", "content": "x"}], "tools": [1]}', "`tools` holds"),
        ('{"messages": [{"role": "user", "content": "x"}], "tools": [{"name": ""}]}', "without a name"),
        (
            '{"messages": [{"role": "user", "content": "x"}], "tools": ["{\\"name\\": NaN}"]}',
            "`tools` is no JSON",
        ),
        ('{"messages": [{"role": "assistant", "content": "x", "tool_calls": 1}]}', "`tool_calls` is no list"),
        ('{"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}', "is not the assistant's"),
        ('{"messages": [{"role": "assistant", "content": "x", "reasoning": "hm"}]}', "`reasoning_content`"),
        ('{"messages": [{"role": "assistant", "content": "x", "content": "y"}]}', "twice"),
        ('{"messages": [{"role": "user", "content": "x"}], "thinking": "yes"}', "`thinking` is 'yes'"),
    ],
)
def test_a_row_that_is_no_conversation_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "x"}]}\n\n' + text + "\n")
    refused("T002", lambda: list(Conversations([str(path)], ["final"])), f"{path}, row 3", words)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"messages": "x"}, "no list of messages"),
        ({"messages": ["x"]}, "no list of messages"),
        ({"messages": [None, says("assistant", "x")]}, "no list of messages"),
        ({"messages": [says("assistant", "x")], "tools": [{"name": b"x"}]}, "`tools` holds something"),
    ],
)
def test_columns_that_are_no_conversation_are_named(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    refused("T002", lambda: list(Conversations([str(tmp_path)], ["final"])), "a.parquet, row 1", words)


def test_numbers_and_ids_are_read_as_they_are(tmp_path: Path) -> None:
    """orjson would read a large integer as a float, and 0 is an id like any other."""
    call = {"function": {"name": "f", "arguments": {"n": 2**70}}}
    path = write(tmp_path / "a.jsonl", {"id": 0, "messages": [says("assistant", "", tool_calls=[call])]})
    [found] = Conversations([str(path)], ["final"])
    assert found.id == "0"
    assert found.messages[0].tool_calls == [call]


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 and nothing else")
    (tmp_path / "none.jsonl").write_text("\n")
    (tmp_path / "a.txt").write_text("x")
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "text.parquet")
    for name, words in {
        "absent": "is not there",
        "empty": "no .parquet or .jsonl",
        "run": "has not finished",
        "no.parquet": "cannot be read",
        "none.jsonl": "no row is there",
        "a.txt": "neither .parquet nor .jsonl",
        "text.parquet": "no column `messages`, only text",
    }.items():
        path = tmp_path / name
        refused("T002", lambda path=path: list(Conversations([str(path)], ["final"])), str(path), words)


# What is made


def test_every_sample_is_in_one_row_whole(whole: PackedSet) -> None:
    found: Counter[int] = Counter()
    tokenizer = whole.tokenizer()
    for number in range(len(whole)):
        row = whole.row(number)
        assert len(row.tokens) == len(row.trained) == row.lengths.sum() == whole.row_lengths[number]
        assert len(row.tokens) <= whole.context
        assert (row.lengths == whole.document_lengths[row.samples]).all()
        found.update(row.samples.tolist())
        starts = np.flatnonzero(row.position_ids == 0)
        assert starts.tolist() == (np.cumsum(row.lengths) - row.lengths).tolist()
        assert not row.trained[starts].any()
        for at, (sample, length) in enumerate(zip(row.samples.tolist(), row.lengths.tolist(), strict=True)):
            here = row.document_ids == at
            assert here.sum() == length
            assert tokenizer.decode(row.tokens[here]).endswith("<|im_end|>")
            assert whole.kinds[row.kinds[at]] == "final"
            assert whole.sample_id(sample) == f"chats.jsonl:{sample + 1}"
        assert (row.labels == np.where(row.trained, row.tokens, IGNORED)).all()
        assert set(tokenizer.decode(row.labels[row.labels != IGNORED]).split("<|im_end|>")) <= {
            "a" * n for n in range(150)
        }
    assert found == dict.fromkeys(range(200), 1)


def test_a_finished_set_is_opened_without_work(whole: PackedSet, file: Path) -> None:
    before = contents(whole.folder)
    again = prepare(config(file), whole.folder, progress=lambda done, total: pytest.fail("worked"))
    assert again.digest == whole.digest
    assert contents(whole.folder) == before


def test_the_same_inputs_give_the_same_bytes(whole: PackedSet, file: Path, tmp_path: Path) -> None:
    """Wherever the file and the set are, and however the rows are shared out between processes."""
    copied = shutil.copy(file, tmp_path / file.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "ROWS_A_PROCESS", 1)
        patch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
        prepare(config(copied), tmp_path / "packed")
    assert contents(tmp_path / "packed") == contents(whole.folder)


def test_other_inputs_change_nothing_and_are_named(whole: PackedSet, file: Path, tmp_path: Path) -> None:
    before = contents(whole.folder)
    changed = write(tmp_path / file.name, {"messages": [says("assistant", "x")]})
    refused("T007", lambda: prepare(config(changed), whole.folder), "other data (chats.jsonl)")
    refused(
        "T007", lambda: prepare(config(file, kinds=("final", "call")), whole.folder), 'kinds was ["final"]'
    )
    refused("T007", lambda: prepare(config(file, history="keep"), whole.folder), 'history was "template"')
    refused("T007", lambda: prepare(config(file, context=100), whole.folder), "context = 512")
    assert contents(whole.folder) == before


def test_a_policy_that_had_work_to_do_cannot_be_another_afterwards(file: Path, tmp_path: Path) -> None:
    prepare(config(file, context=200), tmp_path / "long")
    for changes in ({"context": 512}, {"context": 200, "overlong": "cut"}):
        refused(
            "T007",
            lambda changes=changes: prepare(config(file, **changes), tmp_path / "long"),
            "context = 200",
        )
    rows = [{"messages": [says("assistant", "x", train=bool(n))]} for n in range(3)]
    path = write(tmp_path / "some.jsonl", *rows)
    prepare(config(path, untrained="drop"), tmp_path / "some")
    refused("T007", lambda: prepare(config(path), tmp_path / "some"), "without a trained token")


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7},
        {"packing": "none"},
        {"packing": "bfd", "window": 50},
        {"context": 1024, "overlong": "cut", "untrained": "drop"},
    ],
)
def test_another_packing_needs_no_second_tokenisation(
    whole: PackedSet, file: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    shutil.copytree(whole.folder, tmp_path / "again")
    again = prepare(
        config(file, **changes), tmp_path / "again", progress=lambda done, total: pytest.fail("worked")
    )
    fresh = prepare(config(file, **changes), tmp_path / "fresh")
    assert len(again) == len(fresh)
    for number in range(len(fresh)):
        one, other = again.row(number), fresh.row(number)
        assert one.samples.tolist() == other.samples.tolist()
        assert one.tokens.tolist() == other.tokens.tolist()
    assert again.digest != whole.digest
    assert again.manifest["inputs"] == fresh.manifest["inputs"]


def test_killed_at_every_write_it_goes_on(whole: PackedSet, file: Path, tmp_path: Path) -> None:
    """SIGKILL as a file is synced, or after it has its name: the first start at its first such moment, and so on."""
    out, sealed, starts = tmp_path / "packed", {}, 0
    while True:
        starts += 1

        def work(left: int = starts) -> None:
            real = os.fsync

            def fsync(handle: int) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(handle)

            os.fsync = fsync
            prepare(config(file), out)

        code = forked(work)
        parts = {path: path.stat().st_mtime_ns for path in (out / "samples").glob("part-*")}
        assert parts.items() >= sealed.items()  # what was sealed is not made again
        sealed = parts
        if code == 0:
            break
        assert code == -signal.SIGKILL
        if not (out / "manifest.json").exists():
            refused("T007", lambda: PackedSet(out))
    assert starts == 14
    assert contents(out) == contents(whole.folder)


def test_a_full_disk_is_an_error_of_the_disk_and_the_set_goes_on(
    whole: PackedSet, file: Path, tmp_path: Path
) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        prepare(config(file), tmp_path / "packed")

    assert forked(work) == 50 + StorageError.exit_code
    prepare(config(file), tmp_path / "packed")
    assert contents(tmp_path / "packed") == contents(whole.folder)


def test_a_sample_without_a_trained_token_is_named_or_counted(tmp_path: Path) -> None:
    rows = [{"id": f"row-{n}", "messages": [says("assistant", "x", train=n != 2)]} for n in range(4)]
    path = write(tmp_path / "c.jsonl", *rows)
    refused("T003", lambda: prepare(config(path), tmp_path / "p"), "row-2")
    found = prepare(config(path, untrained="drop"), tmp_path / "p")
    assert found.manifest["counts"]["dropped"] == {"untrained": 1}
    [dropped] = [json.loads(text) for text in (tmp_path / "p" / "dropped.jsonl").read_text().splitlines()]
    assert (dropped["id"], dropped["reason"]) == ("row-2", "untrained")
    assert "row-2" in write_page(found).read_text()


def test_a_set_without_samples_says_what_became_of_them(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    refused(
        "T002", lambda: prepare(config(file, context=20), out), "of 200 conversations none", "200 overlong"
    )
    assert len(prepare(config(file), out)) > 0


def test_a_folder_of_something_else_is_left_alone(file: Path, tmp_path: Path) -> None:
    out = corpus(tmp_path / "c", "final")
    before = contents(out)
    refused("T007", lambda: prepare(config(file), out), "not empty")
    assert contents(out) == before
    refused("R021", lambda: prepare(config(file), file / "packed"), "cannot be written")


def test_two_processes_do_not_write_one_set(file: Path, tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    refused("T007", lambda: prepare(config(file), tmp_path), "another process")
    os.close(handle)
    prepare(config(file), tmp_path)


# What is opened


def test_many_processes_read_one_set(whole: PackedSet) -> None:
    rows = [whole.row(n).tokens.tolist() for n in range(len(whole))]

    def read() -> None:
        opened = PackedSet(whole.folder)
        assert [opened.row(n).tokens.tolist() for n in range(len(opened))] == rows

    assert [forked(read), forked(read)] == [0, 0]


def test_damage_is_found(whole: PackedSet, tmp_path: Path) -> None:
    def spoilt(name: str, spoil: Callable[[Path], object]) -> Path:
        folder = tmp_path / "spoilt"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole.folder, folder)
        spoil(folder / name)
        return folder

    def flip(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)

    part = "samples/part-00002.arrow"
    for name in (part, "bins.arrow", "tokenizer/tokenizer.json", "dropped.jsonl"):
        folder = spoilt(name, Path.unlink)
        refused("T007", lambda folder=folder: PackedSet(folder), name, "missing")
    for name in (part, "bins.arrow"):
        folder = spoilt(name, lambda path: os.truncate(path, path.stat().st_size - 8))
        refused("T007", lambda folder=folder: PackedSet(folder), name, "bytes")
        folder = spoilt(name, flip)
        refused("T007", lambda folder=folder: PackedSet(folder).verify(), name, "hash")
    folder = spoilt(part, lambda path: path.write_bytes(bytes(path.stat().st_size)))
    refused("T007", lambda: [PackedSet(folder).row(n) for n in range(len(whole))], part)
    for name, spoil in {"unfinished": Path.unlink, "damaged": lambda path: path.write_text("{")}.items():
        folder = spoilt("manifest.json", spoil)
        error = refused("T007", lambda folder=folder: PackedSet(folder))
        assert ("not finished" if name == "unfinished" else "damaged") in error.message
    refused("T007", lambda: PackedSet(tmp_path), "is no packed set")


def test_parts_are_opened_as_they_are_needed(whole: PackedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    real = packed.Part.open
    monkeypatch.setattr(packed.Part, "open", lambda path: opened.append(path) or real(path))
    found = PackedSet(whole.folder)
    assert not opened
    for number in range(len(found)):
        found.row(number)
    assert len(opened) == 4


# Its order


@given(rows=st.integers(1, 40), batch=st.integers(1, 50), steps=st.integers(1, 12), seed=st.integers(0, 9))
def test_every_epoch_has_every_row_once(rows: int, batch: int, steps: int, seed: int) -> None:
    dealt = np.concatenate([order(rows, step, batch, seed) for step in range(steps)])
    for begin in range(0, len(dealt) - rows + 1, rows):
        assert sorted(dealt[begin : begin + rows].tolist()) == list(range(rows))
    rest = dealt[len(dealt) // rows * rows :].tolist()
    assert len(set(rest)) == len(rest)


@given(
    rows=st.integers(1, 40), step=st.integers(0, 9), seed=st.integers(0, 9), size=st.sampled_from([2, 4, 8])
)
def test_order_does_not_know_of_processes_or_of_the_past(rows: int, step: int, seed: int, size: int) -> None:
    at_once = order(rows, step, 8, seed)
    packed._shuffled.cache_clear()
    assert order(rows, step, 8, seed).tolist() == at_once.tolist()
    # A global batch twice as large is two of them: the order is one sequence, cut where the batch says.
    assert at_once.tolist() == order(rows, step // 2, 16, seed)[step % 2 * 8 :][:8].tolist()


def test_order_stays_the_same_between_versions() -> None:
    assert order(10, 0, 20, seed=1).tolist() == [9, 2, 4, 7, 5, 0, 8, 6, 3, 1, 5, 6, 3, 0, 7, 2, 1, 4, 9, 8]


# For people


def test_a_row_is_shown_as_it_is_trained(whole: PackedSet) -> None:
    row, place = whole.row(0), 0
    for document in documents(whole, 0):
        assert document.start == place
        assert document.trained == row.trained[place : place + document.length].sum()
        assert re.fullmatch(
            r"<\|im_start\|>user\nq+<\|im_end\|><\|im_start\|>assistant\na+<\|im_end\|>",
            "".join(run.text for run in document.runs),
        )
        assert re.fullmatch(r"a+<\|im_end\|>", "".join(run.text for run in document.runs if run.trained))
        assert {run.text for run in document.runs if run.special} == {
            "<|im_start|>",
            "<|im_end|>",
            "<|im_end|><|im_start|>",
        }
        place += document.length
    assert place == len(row.tokens)


def test_room_that_must_be_left_is_explained(tmp_path: Path) -> None:
    few = prepare(config(chats(tmp_path / "few.jsonl", 20)), tmp_path / "few")
    assert "stays part empty" in room_left(few)[0]
    rows = [{"messages": [says("assistant", "x" * 300)]}] * 60 + [{"messages": [says("assistant", "x")]}] * 40
    long = prepare(config(write(tmp_path / "long.jsonl", *rows)), tmp_path / "long")
    assert "60% of the samples are longer than half a row" in room_left(long)[0]
    alone = prepare(config(tmp_path / "few.jsonl", packing="none"), tmp_path / "few")
    assert "a row of its own" in room_left(alone)[0]
    full = [{"messages": [says("assistant", "x" * 10)]}] * 64
    tight = prepare(config(write(tmp_path / "full.jsonl", *full)), tmp_path / "full")
    context = int(tight.document_lengths[0]) * 8
    assert not room_left(prepare(config(tmp_path / "full.jsonl", context=context), tmp_path / "full"))


def test_the_page_reads_a_set_as_it_says(
    whole: PackedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.folder, tmp_path / "packed")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/packing.md", "exec"), {})
