"""`dataforge pack`: what it says, shows and leaves, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import trainer.rendering
from dataforge.cli import main
from tests.cli.commands import REPOSITORY, environment

PAGE = (Path(__file__).parents[2] / "docs" / "packing.md").read_text(encoding="utf-8")
[CHATS] = re.findall(r"<!-- file: chats.jsonl -->\n```json\n(.*?)```", PAGE, re.DOTALL)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Pack = Callable[..., Said]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `dataforge pack` makes of the page's chat file: a picture takes most of its time."""
    from trainer.config import load
    from trainer.data import prepare
    from trainer.show import write_page

    folder = tmp_path_factory.mktemp("made")
    (folder / "chats.jsonl").write_text(CHATS)
    sets = ("model.path=tiny", "data.context=192", f"data.paths=['{folder / 'chats.jsonl'}']")
    write_page(prepare(load(sets=sets), folder / "packed"))
    return folder / "packed"


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pack:
    """Runs the command in a folder of its own with the page's chat file, in this process: torch takes seconds to load."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    Path("chats.jsonl").write_text(CHATS)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["dataforge", "pack", *arguments])
        with pytest.raises(SystemExit) as ended:
            main(["pack", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


MAKE = ("chats.jsonl", "-o", "packed", "--model", "tiny", "--context", "192")


def test_the_page_shows_what_the_command_says(pack: Pack) -> None:
    shown = re.findall(r"^```console\n\$ dataforge pack (.*?)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(shown) == 2
    for typed, output in shown:
        assert pack(*typed.split()).out == output


def test_a_set_is_opened_checked_and_told_as_json(pack: Pack) -> None:
    made = json.loads(pack(*MAKE, "--json").out)
    assert made["counts"]["dropped"] == {"overlong": 1}
    assert "stays part empty" in made["room_left"][0]
    assert {"lengths.png", "report.html"} <= {path.name for path in Path("packed").iterdir()}
    assert "Grey at first" not in Path("packed/report.html").read_text()
    assert json.loads(pack("packed", "--json").out) == made
    row = json.loads(pack("packed", "--show", "0", "--json").out)
    assert [document["id"] for document in row["documents"]] == ["sky", "sum", "day"]
    raw = bytearray(Path("packed/bins.arrow").read_bytes())
    raw[300] ^= 1
    Path("packed/bins.arrow").write_bytes(raw)
    damaged = pack("packed")
    assert damaged.code == 2
    assert "error[T007]: packed/bins.arrow is damaged" in damaged.err


def test_packed_anew_the_page_is_of_the_new_rows(pack: Pack, made: Path) -> None:
    shutil.copytree(made, "packed")
    assert "3 of 192 tokens, one sample each" in pack(*MAKE, "--packing", "none").out
    assert "one sample each" in Path("packed/report.html").read_text()


def test_what_rows_hold_cannot_steer_a_terminal(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    message = {"role": "assistant", "content": "\x1b]0;mine\x07\u202e"}
    Path("evil.jsonl").write_text(json.dumps({"id": "\x1b[2J", "messages": [message, message]}) + "\n")
    shown = pack("evil.jsonl", "-o", "packed", "--model", "tiny", "--context", "128", "--show", "0").out
    assert "\\x1b]0;mine\\x07\\u202e" in shown
    assert not re.search(r"\x1b(?!\[[\d;]*m)|[\x07\u202e]", shown)
    assert "\x1b[92;48;5;234m" in shown  # what is trained, in its colour


def test_stopped_it_goes_on(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"messages": [{"role": "assistant", "content": "x"}]}) + "\n"
    Path("many.jsonl").write_text(line * 200)
    real, left = trainer.rendering._render, 2

    def stopped(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer.rendering, "_render", stopped)
    monkeypatch.setattr("trainer.data.PART_CONVERSATIONS", 64)
    make = ("many.jsonl", "-o", "packed", "--model", "tiny")
    ended = pack(*make)
    assert ended.code == 3
    assert "to go on: dataforge pack many.jsonl -o packed --model tiny" in ended.err
    assert len(list(Path("packed/samples").iterdir())) == 1
    unfinished = pack("packed")
    assert unfinished.code == 2
    assert "not finished" in unfinished.err
    finished = pack(*make)
    assert finished.code == 0
    assert "200 final" in finished.out


def test_wrong_input_ends_with_two_and_says_what_to_do(pack: Pack, made: Path) -> None:
    Path("empty.jsonl").write_text("")
    assert pack("empty.jsonl", "-o", "p", "--model", "tiny").err.startswith(
        "error[T002]: empty.jsonl: no row"
    )
    assert (
        json.loads(pack("empty.jsonl", "-o", "p", "--model", "tiny", "--json").out)["error"]["code"] == "T002"
    )
    shutil.copytree(made, "packed")
    for arguments, words in {
        ("chats.jsonl",): "T001",
        ("packed", "chats.jsonl"): "T001",
        ("packed", "--show", "1"): "rows have the numbers 0 to 0",
        ("packed", "--context", "96"): "no setting changes it",
        ("packed", "-o", "p", "--model", "tiny"): "packed: is a packed set",
        (): "nothing to pack",
        ("chats.jsonl", "-o", "p", "--packing", "tightly"): "T001",
    }.items():
        ended = pack(*arguments)
        assert ended.code == 2
        assert ended.err.startswith("error[T00")
        assert words in ended.err


def test_a_look_at_a_set_loads_nothing_that_takes_long(made: Path) -> None:
    code = """
import sys
import trainer.pack
from dataforge.cli import main
try:
    main(["pack", sys.argv[1], "--show", "0"])
finally:
    print({"torch", "numba", "matplotlib"} & sys.modules.keys())
"""
    looked = subprocess.run(
        [sys.executable, "-c", code, str(made)],
        env=environment(PYTHONPATH=str(REPOSITORY)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "document 3 of 3" in looked.stdout
    assert looked.stdout.endswith("set()\n")


@pytest.mark.parametrize(
    ("command", "package"), [("pack chats.jsonl -o packed", "numpy"), ("train", "torch")]
)
def test_without_the_extra_the_missing_package_is_named(tmp_path: Path, command: str, package: str) -> None:
    (tmp_path / "chats.jsonl").write_text(CHATS, encoding="utf-8")
    script = f"import sys; sys.modules[{package!r}] = None; from dataforge.cli import main; main({command.split()})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"error[T013]: this command needs the package `{package}`, which is not installed" in done.stderr
    assert "help: pip install 'dataforge-compiler[train]'" in done.stderr
