"""`dataforge graph`, from outside: every format, where it goes, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import GRAPHS, REPOSITORY, dataforge, project

QUICKSTART = GRAPHS / "quickstart.forge"


def test_a_tree_is_printed_by_default(tmp_path):
    done = dataforge("graph", QUICKSTART, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("quickstart  5 nodes, 4 walks\n")
    assert "↓ answer_from_passage" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "begins"),
    [("g.html", "<!doctype html>"), ("g.mmd", "flowchart"), ("g.gv", "digraph"), ("g.txt", "quickstart")],
)
def test_the_ending_of_the_output_says_the_format(tmp_path, name, begins):
    done = dataforge("graph", QUICKSTART, "-o", name, cwd=tmp_path)
    assert done.code == 0
    assert f"written to {name}" in done.out
    assert (tmp_path / name).read_text().startswith(begins)


def test_a_format_asked_for_goes_before_the_ending(tmp_path):
    assert dataforge("graph", QUICKSTART, "--format", "dot", "-o", "g.txt", cwd=tmp_path).code == 0
    assert (tmp_path / "g.txt").read_text().startswith("digraph")


def test_the_same_file_gives_the_same_bytes(tmp_path):
    one = dataforge("graph", QUICKSTART, "-f", "html", cwd=tmp_path, PYTHONHASHSEED="1")
    other = dataforge("graph", QUICKSTART, "-f", "html", cwd=tmp_path, PYTHONHASHSEED="2")
    assert one.out == other.out


def test_json_is_what_there_is_to_draw(tmp_path):
    told = dataforge("graph", QUICKSTART, "--json", cwd=tmp_path).json()
    level = told["levels"][0]
    names = [box["name"] for box in level["boxes"]]
    assert names[0] == "source"
    assert {(names[a[0]], names[a[1]]) for a in level["arrows"]} >= {
        ("source", "summarise"),
        ("summarise", "ask_standalone"),
    }
    assert told["run"] is None


def test_an_unknown_format_is_refused_with_the_nearest(tmp_path):
    done = dataforge("graph", QUICKSTART, "--format", "mermade", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "error[R029]" in done.err
    assert "`mermaid`" in done.err


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    done = dataforge("graph", "missing.forge", "-o", "no/where.html", cwd=tmp_path)
    assert done.code == 2
    assert "error[R021]" in done.err


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_an_svg_where_graphviz_is_installed(tmp_path):
    assert dataforge("graph", QUICKSTART, "-o", "g.svg", cwd=tmp_path).code == 0
    assert "<svg" in (tmp_path / "g.svg").read_text()


def test_an_svg_without_graphviz(tmp_path):
    done = dataforge("graph", QUICKSTART, "-o", "g.svg", cwd=tmp_path, PATH=str(tmp_path))
    assert done.code == 2
    assert "error[R026]" in done.err
    assert "--format html" in done.err


def test_rows_of_a_corpus_are_shown_beside_the_names(tmp_path):
    """A project with recorded models is run; its corpus is drawn, and refused for a program that has changed since."""
    folder = project(tmp_path / "p")
    assert dataforge("run", "hello.forge", "--models", "models.toml", "--out", "out", cwd=folder).code == 0
    done = dataforge("graph", "hello.forge", "--run", "out", cwd=folder)
    assert done.code == 0
    kept = json.loads((folder / "out/manifest.json").read_text())["counts"]["kept"]
    assert f"rows of out: {kept} kept, 0 rejected" in done.out
    assert f"{kept} rows" in done.out
    page = dataforge("graph", "hello.forge", "--run", "out", "-o", "g.html", cwd=folder)
    assert page.code == 0

    text = (folder / "hello.forge").read_text()
    (folder / "hello.forge").write_text(
        text.replace("retry 2", "retry 1") if "retry 2" in text else text + "\n# changed\n"
    )
    refused = dataforge("graph", "hello.forge", "--run", "out", cwd=folder)
    assert refused.code == 2
    assert "error[R028]" in refused.err
    again = dataforge("graph", "out/plan.json", "--run", "out", cwd=folder)
    assert again.code == 0
    assert f"{kept} kept" in again.out


def test_a_directory_that_is_no_corpus_is_refused(tmp_path):
    done = dataforge("graph", QUICKSTART, "--run", tmp_path, cwd=tmp_path)
    assert done.code == 2
    assert "error[R023]" in done.err


def test_the_page_of_the_documentation_shows_what_is_printed(tmp_path):
    """docs/graph.md: its tree is today's, and each of its commands has the options that there are."""
    page = (REPOSITORY / "docs/graph.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert blocks[0] == "dataforge graph graphs/quickstart.forge\n"
    assert dataforge("graph", "graphs/quickstart.forge", cwd=REPOSITORY).out == blocks[1]
    told = dataforge("graph", "--help", cwd=tmp_path).out
    options = set(
        re.findall(
            r"(?<=[ `])--?[a-z]+", " ".join(re.findall(r"`[^`\n]*`|^dataforge .*$", page, re.MULTILINE))
        )
    )
    assert options
    assert [option for option in options if option not in told] == []


def test_help_shows_an_example(tmp_path):
    done = dataforge("graph", "--help", cwd=tmp_path)
    assert done.code == 0
    assert "dataforge graph graphs/quickstart.forge" in done.out


def test_the_program_itself_and_devices_are_not_overwritten(tmp_path: Path) -> None:
    program = tmp_path / "main.forge"
    program.write_text((GRAPHS / "rubrics.forge").read_text())
    before = program.read_text()
    for command in ("graph", "compile"):
        for output in (program, Path("/dev/null")):
            done = dataforge(command, GRAPHS / "quickstart.forge", "-o", output, cwd=tmp_path)
            assert (done.code, "R021" in done.err) == (2, True), done
    assert program.read_text() == before
    assert Path("/dev/null").is_char_device()
