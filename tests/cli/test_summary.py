"""A run's summary and its progress: what people read of it, and how wide it gets."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dataforge.cli import _progress as progress_module
from dataforge.cli._progress import LiveProgress, PlainProgress
from dataforge.cli._summary import WIDTH, count, lines, money, seconds
from dataforge.run.progress import Gauges
from dataforge.run.statistics import Statistics
from tests.run.test_statistics import EVENT


def test_the_summary_says_nodes_then_reasons():
    statistics = Statistics()
    for _ in range(3):
        statistics.add_call(replace(EVENT, latency_s=0.812, prompt_tokens=400_000))
    statistics.add_call(replace(EVENT, purpose="judge", latency_s=3.3, cost=0.0, attempts=1))
    statistics.add_call(replace(EVENT, purpose="judge", reused=True))
    for status, code in (
        ("kept", None),
        ("rejected", "R101"),
        ("rejected", "R107"),
        ("rejected", "R107"),
        ("failed", "R007"),
    ):
        statistics.add_row(status, code)
    assert lines(statistics) == [
        "node            calls  reused  retries     p50     p95     p99  tokens in  out    cost",
        "answer              3       0        3  816 ms  816 ms  816 ms      1.20M  120  0.0006",
        "answer · judge      1       1        0   3.4 s   3.4 s   3.4 s        100   40       0",
        "       2 rejected: R107 the judge did not accept the work",
        "       1 rejected: R101 the postcondition did not hold after all retries",
        "       1 lost: R007 the endpoint kept failing",
    ]  # fmt: skip


def test_columns_of_nothing_are_left_out():
    statistics = Statistics()
    statistics.add_call(replace(EVENT, cost=0.0))
    heading, _ = lines(statistics)
    assert "cost" not in heading
    assert "reused" not in heading
    assert lines(Statistics()) == []


@given(st.text(min_size=1), st.integers(1, 10**15), st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_summary_fits_its_width(name, number, latency_s, cost):
    statistics = Statistics()
    for purpose in ("ask", "judge"):
        statistics.add(
            name, purpose, "m", calls=1, latency_s=latency_s, cost=cost,
            reused=number, attempts=number, prompt_tokens=number, completion_tokens=number,
        )  # fmt: skip
    table = lines(statistics)
    assert all(len(line) <= WIDTH for line in table)
    assert len(set(map(len, table))) == 1, "the columns stand under each other"
    assert " · judge" in table[2]


def test_numbers_for_people():
    assert [count(n) for n in (0, 999_999, 1_000_000, 12_345_678, 19_000_000_000, 10**13)] == [
        "0", "999,999", "1.00M", "12.3M", "19.0G", "10.0T",
    ]  # fmt: skip
    assert [seconds(s) for s in (0, 0.0001, 0.25, 1, 12.34, 345, 86_400)] == [
        "–", "< 1 ms", "250 ms", "1.0 s", "12.3 s", "345 s", "24.0 h",
    ]  # fmt: skip
    assert [money(m) for m in (0, 0.00123, 1.5, 12_345.6)] == ["0", "0.0012", "1.50", "12,346"]


def hear(progress: PlainProgress) -> None:
    progress.begin(1_000, 0, {})
    for _ in range(40):
        progress.call(EVENT)
    progress.call(replace(EVENT, reused=True))
    for status in ("kept", "kept", "rejected", "failed"):
        progress.row(status, None)


def test_progress_says_what_is_in_flight_and_what_it_cost(capsys, monkeypatch):
    progress = PlainProgress()
    hear(progress)
    assert capsys.readouterr().err == "", "not a line for every event"
    monkeypatch.setattr(progress_module, "PLAIN_EVERY_S", 0.0)
    progress.gauge(Gauges(in_flight=7, shards=20, shards_whole=3))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "4/1,000 rows · 2 kept, 1 rejected, 1 failed · 3/20 shards"
        " · 41 calls (1 reused), 7 in flight · cost 0.0080 · "
    )


def test_a_live_bar_is_drawn_by_the_clock_and_not_by_events(monkeypatch):
    progress = LiveProgress()
    drawn = []
    monkeypatch.setattr(progress.bar, "refresh", lambda: drawn.append(1))
    monkeypatch.setattr(progress.bar, "start", lambda: None)
    hear(progress)
    drawn.clear()
    for _ in range(1_000):
        progress.call(EVENT)
    assert drawn == []
    rows, calls = progress.draw()
    assert rows == "2 kept, 1 rejected, 1 failed"
    assert calls.startswith("1,041 calls (1 reused) · cost 0.2080 · ")
    assert calls.endswith(" tokens/s")
    assert progress.bar.tasks[0].completed == 4
