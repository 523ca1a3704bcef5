"""`dataforge show --live`: a run watched from outside, by its `live.json` alone."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from dataforge.run.live import NAME, Live
from dataforge.run.progress import Gauges
from tests.cli.commands import command, dataforge, environment
from tests.run.test_statistics import EVENT

POOL = {
    "writer": [{"url": "http://127.0.0.1:8000/v1", "state": "open", "in_flight": 3, "limit": 8}],
    "critic": {},
}


def telling(folder: Path) -> Live:
    """A run under way, as its file tells it."""
    live = Live.in_folder(folder)
    live.begin(40, 4, {"writer": "m-1 (openai)"})
    for number in range(8):
        live.call(replace(EVENT, row=number))
        live.row("kept", None)
    live.row("rejected", "R107")
    live.note("[bold]http://127.0.0.1:8000/v1[/bold] slows \x1b[31mdown\u202e\nand waits")
    live.gauge(Gauges(in_flight=3, shards=4, shards_whole=1, endpoints=POOL))
    until = time.monotonic() + 30
    while time.monotonic() < until and (
        not (folder / NAME).exists() or "slows" not in (folder / NAME).read_text()
    ):
        time.sleep(0.02)
        live.gauge(live.last)
    return live


def test_one_look_where_there_is_no_terminal(tmp_path):
    live = telling(tmp_path)
    done = dataforge("show", "--live", tmp_path, cwd=tmp_path)
    live.end()
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"{tmp_path}: running, after ")
    assert f"by process {os.getpid()} on " in lines[0]
    assert lines[1:3] == ["13 of 40 rows (32.5%), 1 of 4 shards", "8 kept, 1 rejected, 4 by earlier starts"]
    assert lines[3] == "8 calls, 8 retries, 3 in flight · cost 0.0016"
    assert "       1 rejected: R107 the judge did not accept the work" in lines
    assert "writer: m-1 (openai)" in lines
    assert "writer: http://127.0.0.1:8000/v1 open  in flight 3, limit 8" in lines


def test_what_the_file_says_steers_no_terminal(tmp_path):
    telling(tmp_path).end()
    done = dataforge("show", "--live", tmp_path, cwd=tmp_path)
    assert "[bold]http://127.0.0.1:8000/v1[/bold] slows \\x1b[31mdown\\u202e and waits" in done.out
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out


def test_nothing_but_the_file_is_needed_and_nothing_is_written(tmp_path):
    telling(tmp_path).end()
    tmp_path.chmod(0o500)
    before = (tmp_path / NAME).stat()
    done = dataforge("show", "--live", tmp_path, "--json", cwd=tmp_path)
    tmp_path.chmod(0o700)
    told = done.json()
    assert (done.code, told["state"], told["stale"], told["rows"]["rejected_by"]) == (
        0,
        "stopped",
        None,
        {"R107": 1},
    )
    assert set(json.loads((tmp_path / NAME).read_text())) == set(told) - {"stale"}
    assert (tmp_path / NAME).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE(before.st_mode) == 0o600


def test_a_terminal_watches_until_the_run_is_over(tmp_path):
    live = telling(tmp_path)
    seen = threading.Event()
    output = []

    def watch() -> None:
        with contextlib.suppress(OSError):  # which is how Linux says that the other side has closed
            while chunk := os.read(ours, 65536):
                output.append(chunk)
                if b"running" in b"".join(output):
                    seen.set()

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("show", "--live", tmp_path),
        env=environment(TERM="xterm", COLUMNS="120", LINES="50"), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    watcher = threading.Thread(target=watch)
    watcher.start()
    assert seen.wait(60), output
    live.row("kept", None)
    live.gauge(replace(live.last, state="done"))
    live.end()
    assert process.wait(timeout=60) == 0
    watcher.join()
    os.close(ours)
    text = b"".join(output).decode()
    assert "14 of 40 rows" in text
    assert f"{tmp_path}: done, after" in text
    assert "[bold]http" in text
    assert "\\x1b[31mdown" in text


def left_behind(folder: Path) -> None:
    """What a run that was killed a minute ago leaves."""
    program = "import os, pathlib, sys; sys.path.insert(0, sys.argv[2]); "
    program += "from tests.cli.test_cli_show import telling; telling(pathlib.Path(sys.argv[1])); os._exit(9)"
    subprocess.run(
        [sys.executable, "-c", program, folder, Path(__file__).parents[2]], check=False, timeout=60
    )
    told = json.loads((folder / NAME).read_text())
    told["updated_at"] = told["updated_at"].replace("20", "19", 1)
    (folder / NAME).write_text(json.dumps(told))


def test_a_killed_run_is_said_to_be_gone(tmp_path):
    left_behind(tmp_path)
    done = dataforge("show", "--live", tmp_path, cwd=tmp_path)
    assert done.code == 0
    assert "nobody writes this any more (its process is gone; not updated for " in done.out.splitlines()[1]
    assert (
        "its process is gone" in dataforge("show", "--live", tmp_path, "--json", cwd=tmp_path).json()["stale"]
    )
    # And who looks for rows is not told to watch it.
    assert "--live" not in dataforge("show", tmp_path, cwd=tmp_path).err


def test_who_looks_for_rows_of_a_run_under_way_is_told_how_to_watch_it(tmp_path):
    folder = tmp_path / "a corpus"
    folder.mkdir()
    live = telling(folder)
    done = dataforge("show", "a corpus", cwd=tmp_path)
    assert done.code == 2
    assert "error[R023]: a corpus holds a run that is under way" in done.err
    assert "help: to watch it: dataforge show --live 'a corpus'" in done.err
    live.end()
    assert "--live" not in dataforge("show", "a corpus", cwd=tmp_path).err


def test_rows_are_not_shown_live(tmp_path):
    done = dataforge("show", "--live", tmp_path, "--rejected", cwd=tmp_path)
    assert done.code == 2
    assert "shows the run, not its rows" in done.err


def test_where_no_run_is_nothing_can_be_watched(tmp_path):
    done = dataforge("show", "--live", tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "error[R023]" in done.err
