"""`dataforge compile` and `dataforge init`, from outside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import GRAPHS, REPOSITORY, command, dataforge, environment

WRONG = """
struct Doc { text: str }
node shout {
  takes Doc
  gives Doc
  ask writr { prompt "{{ Doc.txt }}"  into Doc.text }
}
graph g { from Doc  to Doc  nodes shout }
"""


def test_a_plan_is_shown_with_what_follows_what(tmp_path):
    done = dataforge("compile", GRAPHS / "quickstart.forge", cwd=tmp_path)
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["then", "answer_from_passage"] in lines
    assert "4 paths" in done.out
    assert "walk uniform" in done.out
    assert "critic (judge)" in done.out


def test_json_is_the_plan_and_the_same_bytes_as_the_file(tmp_path):
    done = dataforge(
        "compile", GRAPHS / "grounded_qa.forge", "--json", "-o", "plan.json", cwd=tmp_path, PYTHONHASHSEED="1"
    )
    again = dataforge(
        "compile",
        GRAPHS / "grounded_qa.forge",
        "--json",
        cwd=tmp_path,
        PYTHONHASHSEED="2",
        PYTHONIOENCODING="latin-1",
    )
    assert done.code == again.code == 0
    assert done.out == again.out == (tmp_path / "plan.json").read_text()
    assert done.json()["graph"] == "grounded_qa"
    assert list(tmp_path.iterdir()) == [tmp_path / "plan.json"]


def test_every_diagnostic_is_told_on_stderr_with_exit_code_2(tmp_path):
    (tmp_path / "wrong.forge").write_text(WRONG)
    done = dataforge("compile", "wrong.forge", cwd=tmp_path)
    assert done.code == 2
    assert done.out == ""
    assert "wrong.forge:6:7: error[F" in done.err
    assert "help:" in done.err
    assert done.err.count("error[F") >= 2


def test_diagnostics_as_json(tmp_path):
    (tmp_path / "wrong.forge").write_text(WRONG)
    done = dataforge("compile", "wrong.forge", "--json", cwd=tmp_path)
    assert done.code == 2
    assert done.err == ""
    assert list(done.json()) == ["diagnostics"]
    first = done.json()["diagnostics"][0]
    assert set(first) == {
        "code", "severity", "path", "line", "column", "end_line", "end_column", "message", "help",
    }  # fmt: skip
    assert (first["path"], first["line"], first["severity"]) == ("wrong.forge", 6, "error")


def test_warnings_are_on_stderr_and_leave_the_exit_code_alone(tmp_path):
    (tmp_path / "warned.forge").write_text(
        "struct Doc { text: str }\nstruct Note { text: str }\ngenerator writer\ngenerator idle\n"
        'node note { takes Doc gives Note ask writer { prompt "{{ Doc.text }}" into Note.text } }\n'
        "graph g { from Doc to Note nodes note }\n"
    )
    done = dataforge("compile", "warned.forge", "--json", cwd=tmp_path)
    assert done.code == 0
    assert "warning[F" in done.err
    assert done.json()["graph"] == "g"


def test_no_python_refuses_the_projects_modules_and_runs_none(tmp_path):
    (tmp_path / "shapes.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    (tmp_path / "stranger.forge").write_text("from shapes import Doc\ngraph g { from Doc to Doc nodes * }\n")
    done = dataforge("compile", "stranger.forge", "--no-python", "--json", cwd=tmp_path)
    assert done.code == 2
    assert "F015" in {d["code"] for d in done.json()["diagnostics"]}
    assert not (tmp_path / "ran").exists()
    shipped = dataforge("compile", GRAPHS / "quickstart.forge", "--no-python", cwd=tmp_path)
    assert shipped.code == 0, "the package's own schemas are no stranger's code"


def test_hostile_text_in_a_program_is_shown_escaped(tmp_path):
    (tmp_path / "hostile.forge").write_text(
        WRONG.replace("takes Doc", 'takes Doc  set Doc.text = "\x1b]0;owned\x07"')
    )
    done = dataforge("compile", "hostile.forge", cwd=tmp_path)
    assert done.code == 2
    assert not {"\x1b", "\x07"} & set(done.err)


@pytest.mark.parametrize(
    "name", ["missing.forge", ".", "binary.forge", "missing.json", "binary.json", "list.json"]
)
def test_what_cannot_be_read_is_wrong_input(name, tmp_path):
    for binary in ("binary.forge", "binary.json"):
        (tmp_path / binary).write_bytes(b"\xff\xfe\x00\x01 graph")
    (tmp_path / "list.json").write_text("[1, 2]")
    done = dataforge("compile", name, cwd=tmp_path)
    assert done.code == 2
    assert "error[" in done.err
    assert "help:" in done.err


@pytest.mark.parametrize(
    ("output", "says"), [("folder", "is a folder"), ("nowhere/plan.json", "there is no folder")]
)
def test_a_plan_that_cannot_be_written_is_wrong_input(output, says, tmp_path):
    (tmp_path / "folder").mkdir()
    done = dataforge("compile", GRAPHS / "quickstart.forge", "-o", output, cwd=tmp_path)
    assert done.code == 2
    assert "R021" in done.err
    assert says in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_changed_plan_is_refused(tmp_path):
    assert dataforge("compile", GRAPHS / "quickstart.forge", "-o", "plan.json", cwd=tmp_path).code == 0
    document = json.loads((tmp_path / "plan.json").read_text())
    document["paths"] = 5
    (tmp_path / "plan.json").write_text(json.dumps(document))
    done = dataforge("compile", "plan.json", "--json", cwd=tmp_path)
    assert done.code == 2
    assert done.json()["error"]["code"] == "R031"


def test_a_reader_that_goes_away_is_no_trouble(tmp_path):
    process = subprocess.Popen(
        command("compile", GRAPHS / "quickstart.forge", "--json"),
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1)


def test_a_full_disk_under_the_output_is_told():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("compile", GRAPHS / "quickstart.forge", "--json"), env=environment(), stdin=subprocess.DEVNULL,
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert "error[R021]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


# ---- init


def test_a_new_project_compiles_as_it_is(tmp_path):
    done = dataforge("init", "corpus", "--json", cwd=tmp_path)
    assert done.code == 0
    made = done.json()["files"]
    assert {"dataforge.toml", "hello.forge", "README.md"} <= set(made)
    assert all((tmp_path / "corpus" / name).stat().st_size for name in made)
    plan = dataforge("compile", "corpus/hello.forge", cwd=tmp_path)
    assert plan.code == 0
    assert plan.err == ""
    ahead = dataforge("run", "corpus/hello.forge", "--dry-run", "--json", cwd=tmp_path)
    assert ahead.code == 0
    assert ahead.json()["rows"] >= 4


def test_the_starters_seeds_say_where_they_come_from():
    seeds = (REPOSITORY / "dataforge/starter/seeds/passages.jsonl").read_text()
    for line in seeds.splitlines():
        seed = json.loads(line)
        assert seed["source"]
        assert seed["licence"].startswith("Public domain")


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "hello.forge").write_text("mine")
    done = dataforge("init", cwd=tmp_path)
    assert done.code == 2
    assert "R025" in done.err
    assert (tmp_path / "hello.forge").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hello.forge", "prompts"]


def test_init_says_so_where_a_file_is_in_the_way(tmp_path):
    (tmp_path / "taken").write_text("mine")
    for name in ("taken", "taken/below"):
        done = dataforge("init", name, cwd=tmp_path)
        assert done.code == 2
        assert "in the way" in done.err
