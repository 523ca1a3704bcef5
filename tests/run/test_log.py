"""The run's log: lines that programs can read, warnings for people, no secrets, and a host that notices nothing."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.errors import OutputError
from dataforge.run import log as log_module
from dataforge.run.log import NAME, Blot, RunLog

KEY = 'sk-pl"anted\\key-0123456789'
models = logging.getLogger("dataforge.models")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / NAME).read_text(encoding="utf-8").splitlines()]


def test_a_record_is_a_line_with_its_fields(tmp_path):
    with RunLog(tmp_path, print):
        models.info(
            "waits %s s", 2.5,
            extra={"event": "paused", "endpoint": "http://h/v1", "wait_s": 2.5, "path": Path("x"), "ids": (1, "a")},
        )  # fmt: skip
    (line,) = lines(tmp_path)
    assert abs(datetime.fromisoformat(line.pop("time")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert line == {
        "level": "info",
        "logger": "dataforge.models",
        "event": "paused",
        "message": "waits 2.5 s",
        "fields": {"endpoint": "http://h/v1", "wait_s": 2.5, "path": "x", "ids": [1, "a"]},
    }
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_second_start_goes_on_in_the_same_file_after_half_a_line(tmp_path):
    with RunLog(tmp_path, print):
        models.info("one")
    with (tmp_path / NAME).open("a") as stream:
        stream.write('{"time": "20')  # what a killed process may leave
    with RunLog(tmp_path, print):
        models.info("two")
    one, half, two = (tmp_path / NAME).read_text().splitlines()
    assert (json.loads(one)["message"], json.loads(two)["message"]) == ("one", "two")
    assert half == '{"time": "20'


def test_a_key_is_in_no_line_and_no_note(tmp_path):
    notes: list[str] = []
    with RunLog(tmp_path, notes.append, secrets=[KEY, "", "\n"]):
        models.warning(
            f"refused: Bearer {KEY}", extra={"event": KEY, "headers": {"Authorization": KEY}, "sent": [KEY]}
        )
        models.warning("said %s", json.dumps({"key": KEY}))
        models.error("x" * log_module.MAX_TEXT + KEY)
        models.error("y" * (log_module.MAX_TEXT - 10) + KEY)  # a cut through the key leaves no part of it
    written = (tmp_path / NAME).read_text() + "".join(notes)
    for part in (KEY, KEY[:8], "anted", json.dumps(KEY)[1:-1]):
        assert part not in written
    assert written.count("[secret]") >= 6


@given(st.lists(st.text(min_size=log_module.MIN_SECRET, max_size=12), max_size=3), st.text(), st.text())
def test_blotting_leaves_no_secret(secrets, before, after):
    blot = Blot(secrets)
    for secret in secrets:
        # What replaces a secret could, with its neighbours, spell another; not one that has none of its letters.
        if not set(secret) & set("[secret]"):
            assert secret not in blot(before + secret + after)
            assert json.dumps(secret)[1:-1] not in blot(json.dumps(before + secret + after))


def test_a_short_value_is_no_secret():
    assert Blot(["EMPTY", "x"])("an EMPTY box") == "an EMPTY box"


def test_an_exception_gives_its_type_and_place_but_not_its_words(tmp_path):
    with RunLog(tmp_path, print):
        try:
            raise ValueError("the model answered: my dear aunt")
        except ValueError:
            models.info("could not read it", exc_info=True)
    (line,) = lines(tmp_path)
    assert line["fields"]["exception"] == "ValueError"
    assert line["fields"]["raised_at"].startswith(__name__)
    assert "aunt" not in (tmp_path / NAME).read_text()


def test_odd_values_still_make_a_line(tmp_path):
    with RunLog(tmp_path, print):
        models.info("half a pair \ud83d and\nmore", extra={"rate": float("nan"), "flag": True})
    (line,) = lines(tmp_path)
    assert line["message"] == "half a pair \ud83d and\nmore"
    assert line["fields"] == {"rate": "nan", "flag": True}


def test_people_hear_the_same_thing_once_and_then_how_often(tmp_path, monkeypatch):
    notes: list[str] = []
    log = RunLog(tmp_path, notes.append)
    with log:
        for number in range(5):
            for endpoint in ("http://a", "http://b"):
                models.warning(
                    "%s slows down (%d)", endpoint, number, extra={"event": "paused", "endpoint": endpoint}
                )
        assert notes == ["http://a slows down (0)", "http://b slows down (0)"]
        monkeypatch.setattr(log_module, "REPEAT_S", 0.0)
        models.warning("a slows down again", extra={"event": "paused", "endpoint": "http://a"})
        assert notes[2:] == ["a slows down again (and 4 more like it since)"]
        models.info("nobody is told this")
    assert notes[3:] == [f"4 more warnings like those above: see {NAME}"]
    assert len(lines(tmp_path)) == 12


def test_the_log_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "MAX_BYTES", 20_000)
    with RunLog(tmp_path, print):
        for number in range(500):
            models.info("line %d", number)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [NAME, f"{NAME}.1"]
    assert all(file.stat().st_size <= 20_000 and stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert lines(tmp_path)[-1]["message"] == "line 499"


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_a_host_hears_what_it_would_hear_without_us(tmp_path):
    ours, root, heard = logging.getLogger("dataforge"), logging.getLogger(), Heard()
    before = (ours.level, ours.propagate, list(ours.handlers), root.level)
    root.addHandler(heard)

    def speak() -> list[str]:
        models.debug("d")
        models.info("i")
        models.warning("w")
        messages = list(heard.messages)
        heard.messages.clear()
        return messages

    try:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            for child in (logging.NOTSET, logging.DEBUG):
                root.setLevel(level)
                models.setLevel(child)
                alone = speak()
                with RunLog(tmp_path, lambda message: None):
                    assert speak() == alone
                assert speak() == alone
    finally:
        root.removeHandler(heard)
        root.setLevel(before[3])
        models.setLevel(logging.NOTSET)
    assert (ours.level, ours.propagate, list(ours.handlers), root.level) == before


def test_a_host_that_keeps_our_records_to_itself_still_does(tmp_path, monkeypatch):
    ours, heard = logging.getLogger("dataforge"), Heard()
    monkeypatch.setattr(ours, "propagate", False)
    logging.getLogger().addHandler(heard)
    try:
        with RunLog(tmp_path, lambda message: None):
            models.error("e")
    finally:
        logging.getLogger().removeHandler(heard)
    assert heard.messages == []
    assert ours.propagate is False


def test_without_a_host_nothing_is_printed_beside_the_notes(tmp_path):
    program = (
        "import logging, pathlib, sys\n"
        "from dataforge.run.log import RunLog\n"
        "with RunLog(pathlib.Path(sys.argv[1]), lambda m: print('note:', m)):\n"
        "    logging.getLogger('dataforge.models').warning('slow')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("note: slow\n", "")


def test_a_folder_that_cannot_be_written_is_said_before_the_run(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), RunLog(tmp_path / "nowhere", print):
        pass
    assert logging.getLogger("dataforge").propagate


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_lines_but_no_run(tmp_path, capsys):
    (tmp_path / NAME).symlink_to("/dev/full")
    notes: list[str] = []
    with RunLog(tmp_path, notes.append):
        models.warning("still heard")
    assert notes == ["still heard"]
    assert capsys.readouterr().err == ""
