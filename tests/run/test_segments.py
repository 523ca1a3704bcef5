"""A journal that went from machine to machine in segments is the journal: every record, once, as it was."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.errors import StorageError
from dataforge.models.client import ChatReply
from dataforge.run import segments
from dataforge.run.journal import JOURNAL_NAME, CallRecord, Journal, Outcome, Status
from dataforge.run.segments import Mark
from schemas.corpus import Row

HEADER = {"run": "r", "shard": "0"}
STATUS: st.SearchStrategy[Status] = st.sampled_from(["kept", "rejected", "failed"])
STEPS = st.lists(
    st.tuples(st.just("call"), st.integers(0, 9)) | st.tuples(st.just("row"), st.integers(0, 4), STATUS)
)


async def write(journal: Journal, steps: list[tuple[object, ...]]) -> None:
    for kind, number, *status in steps:
        assert isinstance(number, int)
        if kind == "call":
            reply = ChatReply(text=f"answer {number}", model="m", latency_s=1.5)
            await journal.put_call(
                CallRecord(f"{number:032x}", number, "node", "writer", "ask", reply, 1.0, 0.5)
            )
        else:
            reason = None if status == ["kept"] else '{"stage": "x", "code": "R100", "message": ""}'
            row = Row.model_construct(
                id=str(number), messages=[], tools=None, kind="final", graph="g", node="n", path=[], seed_id="s",
                seed_source="f", models=[], verdicts=[], thinking=None, tokens=0, state="{}", reason=reason,
            )  # fmt: skip
            await journal.put_outcome(Outcome(number, status[0], (row,), reason and "R100"))  # type: ignore[arg-type]


def good(journal: Journal) -> dict[int, object]:
    return {outcome.row: outcome for outcome in journal.outcomes() if outcome.status != "failed"}


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_segments_in_any_order_make_the_journal_again(
    parts: list[list[tuple[object, ...]]], draw: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as place:
        here, there = Path(place) / "here", Path(place) / "there"
        exported = []
        mark = Mark()
        with Journal.open(here, HEADER) as journal:
            for number, part in enumerate(parts):
                asyncio.run(write(journal, part))
                segment = Path(place) / f"{number}.sqlite"
                found = segments.export(here / JOURNAL_NAME, segment, mark)
                if found is not None:
                    mark = found
                    exported.append(segment)
            assert segments.export(here / JOURNAL_NAME, Path(place) / "nothing", mark) is None
            calls, rows = list(journal.calls()), good(journal)
        exported *= 2  # loaded twice is loaded once
        draw.shuffle(exported)
        for segment in exported:
            segments.load(segment, there, HEADER)
        with Journal.open(there, HEADER) as journal:
            assert sorted(journal.calls(), key=lambda c: c.key) == sorted(calls, key=lambda c: c.key)
            assert good(journal) == rows


def test_of_a_store_only_the_calls_of_some_rows_go_out(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a", HEADER) as journal:
        asyncio.run(write(journal, [("call", number) for number in range(6)]))
    segments.export(tmp_path / "a" / JOURNAL_NAME, tmp_path / "s", rows=range(2, 4))
    segments.load(tmp_path / "s", tmp_path / "b", HEADER)
    with Journal.open(tmp_path / "b", HEADER) as journal:
        assert [call.row for call in journal.calls()] == [2, 3]


def test_a_torn_segment_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a", HEADER) as journal:
        asyncio.run(write(journal, [("call", 1)]))
    segments.export(tmp_path / "a" / JOURNAL_NAME, tmp_path / "s")
    torn = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(torn[: len(torn) // 2])
    with pytest.raises(StorageError):
        segments.load(tmp_path / "s", tmp_path / "b", HEADER)
    with Journal.open(tmp_path / "b", HEADER) as journal:
        assert list(journal.calls()) == []
