"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
from typer.main import get_command

from dataforge.cli import _commands, app
from tests.cli.commands import GRAPHS, REPOSITORY, dataforge

README = (REPOSITORY / "README.md").read_text()


def marked(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)\n```\n<!-- end -->", README, re.DOTALL)
    assert found is not None
    return found[1]


def commands() -> list[str]:
    """Every `dataforge …` of the README's code blocks, chains taken apart."""
    blocks = re.findall(r"^```(?:\w+)?\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    lines = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    return [line for line in lines if line.startswith("dataforge ")]


def test_the_diagnostic_is_the_one_that_the_compiler_gives(tmp_path):
    shutil.copytree(GRAPHS, tmp_path / "graphs")
    file = tmp_path / "graphs" / "grounded_qa.forge"
    asked = 'ask writer { prompt file "prompts/dialogue.j2"  into'
    assert asked in file.read_text()
    file.write_text(file.read_text().replace(asked, 'ask writer { prompt "Improve {{ Answer.text }}"  into'))
    done = dataforge("compile", "grounded_qa.forge", cwd=tmp_path / "graphs")
    assert done.code == 2
    assert done.err.rstrip() == marked("diagnostic")


def test_there_are_the_two_commands_of_one_line_each():
    assert marked("main command").count("\n") == marked("test command").count("\n") == 0
    assert marked("main command").endswith("--out out/quickstart")
    assert marked("test command").endswith("&& pytest -n 2 --dist loadfile")


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_that_there_is(line):
    _commands()
    arguments = shlex.split(line)[1:]
    group = get_command(app)
    name, command, rest = group.resolve_command(
        group.make_context("dataforge", [], resilient_parsing=True), arguments
    )
    assert command is not None
    command.make_context(name, rest)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path):
    assert (REPOSITORY / path).exists()
