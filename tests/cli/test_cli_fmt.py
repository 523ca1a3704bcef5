"""`dataforge fmt`, from outside."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from dataforge.cli import fmt as command_module
from dataforge.lang.format import format_text
from tests.cli.commands import GRAPHS, Done, command, dataforge, environment

LOOSE = "node  a{takes A # why\n gives B}\n"
NEAT = "node a {\n  takes A  # why\n  gives B\n}\n"
BROKEN = "node a { set A.x = 'no' }\n"


def with_stdin(data: bytes, *arguments: str, cwd: Path) -> Done:
    done = subprocess.run(
        command(*arguments), input=data, cwd=cwd, env=environment(), capture_output=True, timeout=120, check=False
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_file_is_rewritten_and_the_second_time_it_is_left(tmp_path):
    file = tmp_path / "a.forge"
    file.write_text(LOOSE)
    done = dataforge("fmt", "a.forge", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out == "formatted a.forge\n1 file: 1 formatted\n"
    assert file.read_text() == NEAT
    before = file.stat()
    done = dataforge("fmt", "a.forge", cwd=tmp_path)
    assert done.out == "1 file: 1 in canonical form\n"
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [file]


def test_check_lists_what_would_change_writes_nothing_and_fails(tmp_path):
    (tmp_path / "loose.forge").write_text(LOOSE)
    (tmp_path / "neat.forge").write_text(NEAT)
    done = dataforge("fmt", "--check", ".", cwd=tmp_path)
    assert done.code == 1
    assert done.out == "would format loose.forge\n2 files: 1 would change, 1 in canonical form\n"
    assert (tmp_path / "loose.forge").read_text() == LOOSE
    assert dataforge("fmt", "--check", "neat.forge", cwd=tmp_path).code == 0


def test_a_diff_is_one_that_patch_takes(tmp_path):
    file = tmp_path / "a.forge"
    file.write_text(LOOSE.rstrip("\n"))
    done = dataforge("fmt", "--diff", "a.forge", cwd=tmp_path)
    assert done.code == 0
    assert file.read_text() == LOOSE.rstrip("\n")
    assert done.out.startswith("--- a.forge\n+++ a.forge\n@@")
    assert "\\ No newline at end of file" in done.out
    if shutil.which("patch"):
        subprocess.run(["patch", "-s", "a.forge"], input=done.out, text=True, cwd=tmp_path, check=True)
        assert file.read_text() == NEAT
    assert dataforge("fmt", "--diff", "--check", "a.forge", cwd=tmp_path).code == (file.read_text() != NEAT)


def test_a_diff_on_a_terminal_has_colours_and_cannot_steer_it(tmp_path):
    (tmp_path / "a.forge").write_text("node a{}  # \x1b[2J\n")
    done = dataforge("fmt", "--diff", "a.forge", cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="", TERM="xterm")
    assert "\x1b[32m+node a {}  # \\x1b[2J" in done.out
    assert "\x1b[2J" not in done.out


def test_a_broken_file_is_told_of_and_left_and_the_others_are_formatted(tmp_path):
    (tmp_path / "a.forge").write_text(BROKEN)
    (tmp_path / "b.forge").write_text(LOOSE)
    (tmp_path / "c.forge").write_bytes(b"\xff")
    done = dataforge("fmt", "a.forge", "b.forge", "c.forge", "none.forge", cwd=tmp_path)
    assert done.code == 2
    assert "a.forge:1:20: error[F002]: text is written in double quotes here" in done.err
    assert "error[F005]: `c.forge` is not UTF-8" in done.err
    assert "error[F017]: `none.forge` cannot be read" in done.err
    assert (tmp_path / "a.forge").read_text() == BROKEN
    assert (tmp_path / "b.forge").read_text() == NEAT
    assert done.out == "formatted b.forge\n4 files: 1 formatted, 3 with errors, left as they are\n"


def test_a_folder_means_every_file_below_but_hidden_ones_each_once(tmp_path):
    for name in ("x/deep/a.forge", "x/b.forge", "x/.venv/c.forge", "x/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(LOOSE)
    done = dataforge("fmt", "x", "x/b.forge", "--json", cwd=tmp_path)
    assert done.json() == {
        "files": [
            {"path": "x/b.forge", "outcome": "formatted", "diagnostics": []},
            {"path": "x/deep/a.forge", "outcome": "formatted", "diagnostics": []},
        ]
    }
    assert (tmp_path / "x/.venv/c.forge").read_text() == (tmp_path / "x/d.txt").read_text() == LOOSE
    (tmp_path / "empty").mkdir()
    done = dataforge("fmt", "empty", cwd=tmp_path)
    assert (done.code, done.out) == (2, "there is no .forge file\n")


def test_stdin_goes_to_stdout(tmp_path):
    for dash in ("-", "--stdin"):
        done = with_stdin(b"\xef\xbb\xbf" + LOOSE.replace("\n", "\r\n").encode(), "fmt", dash, cwd=tmp_path)
        assert (done.code, done.out, done.err) == (0, NEAT, "")
    done = with_stdin(BROKEN.encode(), "fmt", "-", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "<stdin>:1:20: error[F002]" in done.err
    assert with_stdin(LOOSE.encode(), "fmt", "-", "--check", cwd=tmp_path).code == 1
    assert with_stdin(b"", "fmt", "-", cwd=tmp_path).out == ""


def test_json_tells_of_errors_as_compile_does(tmp_path):
    (tmp_path / "a.forge").write_text(BROKEN)
    done = dataforge("fmt", "a.forge", "--check", "--json", cwd=tmp_path)
    assert done.code == 2
    (file,) = done.json()["files"]
    assert file["outcome"] == "failed"
    assert [(d["code"], d["line"], d["column"]) for d in file["diagnostics"]] == [("F002", 1, 20)]


def test_a_link_leads_to_its_file_and_the_mode_stays(tmp_path):
    file, link = tmp_path / "real" / "a.forge", tmp_path / "link.forge"
    file.parent.mkdir()
    file.write_text(LOOSE)
    file.chmod(0o640)
    link.symlink_to(file)
    assert dataforge("fmt", "link.forge", cwd=tmp_path).code == 0
    assert link.is_symlink()
    assert file.read_text() == NEAT
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [p.name for p in file.parent.iterdir()] == ["a.forge"]


def test_no_file_at_all_is_a_wrong_use(tmp_path):
    done = dataforge("fmt", cwd=tmp_path)
    assert done.code == 2
    assert "name files or folders" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to everything")
def test_a_read_only_file_is_refused(tmp_path):
    file = tmp_path / "a.forge"
    file.write_text(LOOSE)
    file.chmod(0o444)
    done = dataforge("fmt", "a.forge", cwd=tmp_path)
    assert done.code == 2
    assert "is read-only" in done.err
    assert file.read_text() == LOOSE


def test_a_file_that_changes_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    file = tmp_path / "a.forge"
    file.write_text(LOOSE)

    def edit_meanwhile(path: Path, before: str, after: str) -> None:
        file.write_text("node saved_just_now {}\n")

    monkeypatch.setattr(command_module, "_check_same", edit_meanwhile)
    outcome = command_module._format(file, write=True)
    assert [found.message for found in outcome.diagnostics] == [
        f"`{file}` was written to while it was formatted"
    ]
    assert file.read_text() == "node saved_just_now {}\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_formatter_that_changes_the_meaning_overwrites_nothing(tmp_path, monkeypatch):
    file = tmp_path / "a.forge"
    file.write_text(LOOSE)
    monkeypatch.setattr("dataforge.lang.format.format_text", lambda text, name: "node b {}\n")
    with pytest.raises(AssertionError, match="would change what it says"):
        command_module._format(file, write=True)
    assert file.read_text() == LOOSE


def test_formatted_graphs_make_the_same_plan(tmp_path):
    shutil.copytree(GRAPHS, tmp_path / "graphs")
    file = tmp_path / "graphs" / "quickstart.forge"
    text = file.read_text()
    file.write_text(text.replace("\n  ", " \n\n   ").replace(", ", " , "))
    assert dataforge("fmt", "graphs", cwd=tmp_path).code == 0
    assert file.read_text() == format_text(file.read_text())
    done = dataforge("compile", "graphs/quickstart.forge", cwd=tmp_path)
    assert done.code == 0
    assert "4 paths" in done.out
