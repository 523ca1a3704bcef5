"""The journal's promises: what was acknowledged is there, exactly once, as it was, for one run at a time."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.errors import OutputError, StorageError
from dataforge.models.client import ChatReply
from dataforge.run import journal as journal_module
from dataforge.run.journal import JOURNAL_NAME, CallRecord, Journal, Outcome
from dataforge.run.output import whole
from dataforge.run.statistics import Statistics
from schemas.chat import Message
from schemas.corpus import ModelUse, Row, VerdictLine

HEADER = {"plan": "abc", "random seed": "0"}

# Everything that Python calls text, halves of surrogate pairs included: a model's JSON can hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
COUNTS = st.integers(0, 2**40)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=ANY_TEXT,
    reasoning_content=st.none() | ANY_TEXT,
    tool_calls=st.none() | st.lists(st.dictionaries(ANY_TEXT, JSON, max_size=2), max_size=2),
    tool_call_id=st.none() | ANY_TEXT,
    train=st.booleans(),
)
ROWS = st.builds(
    Row,
    id=ANY_TEXT,
    messages=st.lists(MESSAGES, max_size=3),
    tools=st.none() | st.lists(ANY_TEXT, max_size=2),
    kind=st.sampled_from(["final", "call"]),
    graph=ANY_TEXT,
    node=ANY_TEXT,
    path=st.lists(ANY_TEXT, max_size=2),
    seed_id=ANY_TEXT,
    seed_source=ANY_TEXT,
    models=st.lists(st.builds(ModelUse, role=ANY_TEXT, name=ANY_TEXT, weights=ANY_TEXT), max_size=2),
    verdicts=st.lists(
        st.builds(
            VerdictLine,
            node=ANY_TEXT,
            criterion=ANY_TEXT,
            score=st.floats(allow_nan=False, allow_infinity=False),
            reason=ANY_TEXT,
            round=COUNTS,
        ),
        max_size=2,
    ),
    thinking=st.sampled_from(["on", "off", None]),
    tokens=COUNTS,
    state=ANY_TEXT,
    reason=ANY_TEXT,
)
REPLIES = st.builds(
    ChatReply,
    text=ANY_TEXT,
    reasoning=st.none() | ANY_TEXT,
    finish_reason=ANY_TEXT,
    constrained=st.booleans(),
    prompt_tokens=COUNTS,
    completion_tokens=COUNTS,
    latency_s=st.floats(0, 1e6),
    model=ANY_TEXT,
    forced=st.booleans(),
)
CALLS = st.builds(
    CallRecord,
    key=st.binary(min_size=16, max_size=16).map(bytes.hex),
    row=COUNTS,
    node=st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
    model=st.sampled_from(["writer", "critic"]),
    purpose=st.sampled_from(["ask", "judge"]),
    reply=REPLIES,
    started_at=st.floats(0, 1e10),
    cost=st.floats(0, 1e6),
    reused=st.booleans(),
)
OUTCOMES = st.builds(
    Outcome,
    row=COUNTS,
    status=st.sampled_from(["kept", "rejected", "failed"]),
    rows=st.lists(ROWS, max_size=3).map(tuple),
    code=st.none() | st.sampled_from(["R101", "R107"]),
)


def read(line: bytes) -> Row:
    """A line of the corpus as a row again; tool calls are JSON in it."""
    data = json.loads(line)
    for message in data["messages"]:
        if message["tool_calls"] is not None:
            message["tool_calls"] = [json.loads(call) for call in message["tool_calls"]]
    return Row.model_validate(data)


def as_kept(row: Row) -> Row:
    """The row as a corpus can hold it: without halves of surrogate pairs."""
    return Row.model_validate(whole(row.model_dump()))


def call(number: int, text: str = "an answer", **changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "key": f"{number:032x}",
        "row": number,
        "node": "Write",
        "model": "writer",
        "purpose": "ask",
        "reply": ChatReply(text, prompt_tokens=3, completion_tokens=2),
        "started_at": 1.0,
    }
    return CallRecord(**{**fields, **changes})


async def store(journal: Journal, *records: CallRecord | Outcome) -> None:
    await asyncio.gather(
        *(journal.put_call(r) if isinstance(r, CallRecord) else journal.put_outcome(r) for r in records)
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(CALLS, max_size=4, unique_by=lambda c: c.key),
    st.lists(OUTCOMES, max_size=4, unique_by=lambda o: o.row),
)
def test_what_goes_in_comes_out_of_the_reopened_journal(
    calls: list[CallRecord], outcomes: list[Outcome]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Journal.open(Path(folder), HEADER) as journal:
            run(store(journal, *calls, *outcomes))
        with Journal.open(Path(folder), HEADER) as journal:
            assert list(journal.calls()) == calls
            stored = list(journal.outcomes())
            assert [(o.row, o.status, o.code) for o in stored] == [
                (o.row, o.status, o.code) for o in sorted(outcomes, key=lambda o: o.row)
            ]
            rows = {o.row: o.rows for o in outcomes}
            for outcome in stored:
                assert [read(line) for line in outcome.lines] == [as_kept(row) for row in rows[outcome.row]]
            assert journal.finished() == {o.row: o.status for o in outcomes}
            assert [journal.reply(c.key) for c in calls] == [c.reply for c in calls]


def test_a_reply_is_stored_as_before_it_could_be_forced() -> None:
    """So a journal that an earlier version began is gone on with."""
    assert journal_module._said(ChatReply("a", "b", attempts=2)) == {
        "text": "a",
        "reasoning": "b",
        "attempts": 2,
    }
    assert journal_module._said(ChatReply("a", forced=True)) == {"text": "a", "forced": True}


def test_a_call_never_made_has_no_reply(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        assert journal.reply("0" * 32) is None


def test_outcomes_come_in_row_order_over_many_pages(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, *(Outcome(row, "kept") for row in reversed(range(700)))))
        assert [o.row for o in journal.outcomes()] == list(range(700))


def test_the_first_reply_to_a_key_stays(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, call(1, "first")))
        run(store(journal, call(1, "second")))
        found = journal.reply(call(1).key)
        assert found is not None
        assert found.text == "first"
        assert journal.statistics().total().calls == 1


def test_only_a_failed_row_may_end_anew(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, Outcome(0, "failed"), Outcome(1, "kept")))
        run(store(journal, Outcome(0, "kept"), Outcome(1, "failed")))
        assert journal.finished() == {0: "kept", 1: "kept"}


def test_statistics_are_those_of_the_calls_and_rows(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, call(1, cost=0.5), call(2, node="Judge", model="critic"), call(3, reused=True)))
        run(
            store(
                journal,
                Outcome(0, "kept"),
                Outcome(1, "rejected", code="R101"),
                Outcome(2, "rejected", code="R101"),
            )
        )
        found = journal.statistics()
    expected = Statistics()
    expected.add(
        "Write", "ask", "writer", reused=1, prompt_tokens=3, completion_tokens=2, cost=0.5, latency_s=0.0
    )
    expected.add("Judge", "ask", "critic", prompt_tokens=3, completion_tokens=2, latency_s=0.0)
    expected.rows.update({("kept", None): 1, ("rejected", "R101"): 2})
    assert found == expected


def test_an_unkept_outcome_without_a_reason_is_refused() -> None:
    row = Row(
        id="a",
        messages=[],
        kind="final",
        graph="g",
        node="n",
        path=[],
        seed_id="s",
        seed_source="f",
        models=[],
        verdicts=[],
        tokens=0,
        state="{}",
    )
    with pytest.raises(ValueError, match="no reason"):
        Outcome(0, "rejected", (row,))


def test_puts_that_wait_together_share_a_transaction(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, *(call(n) for n in range(1000))))
        assert journal.statistics().total().calls == 1000
        assert journal.commits <= 250


def test_a_cancelled_put_troubles_nobody_else(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        tasks = [asyncio.create_task(journal.put_call(call(n))) for n in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(result is None for result in done) == 19

    with Journal.open(tmp_path, HEADER) as journal:
        run(work(journal))


def test_a_closed_journal_takes_nothing_more(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, HEADER)
    journal.close()
    journal.close()
    with pytest.raises(RuntimeError, match="closed"):
        run(journal.put_call(call(1)))


@pytest.mark.parametrize("now", [{**HEADER, "plan": "xyz"}, {"random seed": "0"}, {**HEADER, "walks": "2"}])
def test_another_run_is_told_which_entry_differs(tmp_path: Path, now: dict[str, str]) -> None:
    Journal.open(tmp_path, HEADER).close()
    with pytest.raises(OutputError, match=r"its (plan|walks) is") as caught:
        Journal.open(tmp_path, now)
    assert caught.value.code == "R020"
    assert "another --out" in (caught.value.help or "")
    Journal.open(tmp_path, HEADER).close()


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HEADER):
        with pytest.raises(OutputError, match=f"in use by another run.*{os.getpid()}") as caught:
            Journal.open(tmp_path, HEADER)
        assert caught.value.code == "R022"
    Journal.open(tmp_path, HEADER).close()


def test_an_empty_file_is_a_journal_that_was_killed_at_birth(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).touch()
    Journal.open(tmp_path, HEADER).close()


def test_a_file_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(b"not a database at all, but long enough to be taken for one" * 40)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="no journal") as caught:
        Journal.open(tmp_path, HEADER)
    assert caught.value.code == "R020"
    assert path.read_bytes() == before


def test_a_strangers_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    stranger = sqlite3.connect(path)
    stranger.execute("CREATE TABLE mine(x)")
    stranger.commit()
    stranger.close()
    before = path.read_bytes()
    with pytest.raises(OutputError, match="no journal"):
        Journal.open(tmp_path, HEADER)
    assert path.read_bytes() == before


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    Journal.open(tmp_path, HEADER).close()
    later = sqlite3.connect(tmp_path / JOURNAL_NAME)
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(OutputError, match="newer DataForge") as caught:
        Journal.open(tmp_path, HEADER)
    assert caught.value.code == "R020"


def test_an_older_format_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Journal.open(tmp_path, HEADER).close()
    older = sqlite3.connect(tmp_path / JOURNAL_NAME)
    older.execute("PRAGMA user_version = 1")
    older.close()
    with pytest.raises(OutputError, match="before runs had shards") as caught:
        Journal.open(tmp_path, HEADER)
    assert caught.value.code == "R046"


def test_out_that_is_a_file_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="cannot be a folder") as caught:
        Journal.open(tmp_path / "out", HEADER)
    assert caught.value.code == "R020"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_that_may_not_be_written_is_wrong_input(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        Journal.open(tmp_path / "out", HEADER)
    assert caught.value.code == "R021"


def test_prompts_and_replies_are_for_the_owner_only(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "new" / "out", HEADER) as journal:
        run(store(journal, call(1)))
        folder = tmp_path / "new" / "out"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE calls SET payload = CAST(substr(payload, 1, 40) || x'ff' || substr(payload, 42) AS BLOB)",
        "UPDATE calls SET payload = 7",
        "UPDATE calls SET payload = x''",
        "UPDATE calls SET completion_tokens = completion_tokens + 1",
    ],
)
def test_a_damaged_record_is_named_and_not_believed(tmp_path: Path, damage: str) -> None:
    with Journal.open(tmp_path, HEADER) as journal:
        run(store(journal, call(7, "an answer of some length, so that byte 41 is a part of it")))
    hand = sqlite3.connect(tmp_path / JOURNAL_NAME)
    hand.execute(damage)
    hand.commit()
    hand.close()
    with Journal.open(tmp_path, HEADER) as journal, pytest.raises(StorageError, match=call(7).key):
        journal.reply(call(7).key)


CHILD = """
import asyncio, resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_journal import HEADER, call
from dataforge.errors import StorageError
from dataforge.run.journal import Journal

async def producer(journal, first):
    for number in range(first, 10**9, 16):
        await journal.put_call(call(number, "x" * 500))
        print(number, flush=True)

async def main():
    journal = Journal.open(Path(sys.argv[1]), HEADER)
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    results = await asyncio.gather(*(producer(journal, n) for n in range(16)), return_exceptions=True)
    assert all(isinstance(r, StorageError) and r.code == "R021" for r in results), results
    try:
        await journal.put_call(call(10**6))
    except StorageError:
        print("refused", flush=True)
    journal.close()

asyncio.run(main())
"""


def child(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    code = CHILD.format(tests=str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("kill_after", [1, 50, 300])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, kill_after: int) -> None:
    process = child(tmp_path)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(kill_after)]
    process.kill()
    acknowledged += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    numbers = [int(line) for line in acknowledged if line.endswith("\n")]
    assert len(numbers) >= kill_after
    with Journal.open(tmp_path, HEADER) as journal:
        for number in numbers:
            found = journal.reply(call(number).key)
            assert found is not None
            assert found.text == "x" * 500
        assert len(numbers) <= journal.statistics().total().calls <= len(numbers) + 16


def test_a_full_disk_is_told_to_all_and_loses_nothing(tmp_path: Path) -> None:
    process = child(tmp_path, str(300_000))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    *numbers, last = output.split()
    assert last == "refused"
    assert len(numbers) > 50
    with Journal.open(tmp_path, HEADER) as journal:
        assert all(journal.reply(call(int(number)).key) is not None for number in numbers)
        run(store(journal, call(10**7)))
