"""What starting costs, help, version, and mistakes in the command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dataforge.cli._terminal import printable
from dataforge.cli.run import spread
from tests.cli.commands import GRAPHS, dataforge, environment

HEAVY = {
    "torch",
    "transformers",
    "openai",
    "xllamacpp",
    "pyarrow",
    "numpy",
    "networkx",
    "pandas",
    "datasets",
    "ray",
}
COMMANDS = ("init", "compile", "run", "show", "models", "serve")


def modules_after(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint('\\n'.join(sys.modules), file=sys.stderr)"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stderr.split())


def test_importing_the_package_loads_nothing_heavy_and_none_of_its_parts():
    loaded = modules_after("import dataforge")
    assert not loaded & (HEAVY | {"pydantic", "lark", "jinja2", "typer", "rich", "asyncio"})
    assert {m for m in loaded if m.startswith("dataforge")} == {"dataforge", "dataforge.errors"}


def test_help_loads_nothing_heavy():
    loaded = modules_after(
        "from dataforge.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert not loaded & (HEAVY | {"pydantic", "lark", "jinja2", "sqlite3"})


def test_compiling_loads_no_client_no_engine_and_no_parquet():
    loaded = modules_after(
        "from pathlib import Path\nimport dataforge\n"
        f"dataforge.compile_program(Path({str(GRAPHS / 'quickstart.forge')!r})).json()"
    )
    assert not loaded & HEAVY


def test_public_names_come_when_they_are_used():
    import dataforge

    assert dataforge.compile_program.__module__ == "dataforge.plan.artifact"
    assert dataforge.open_plan.__module__ == "dataforge.plan.artifact"
    assert issubclass(dataforge.Reject, Exception)
    with pytest.raises(AttributeError, match="no attribute 'compil_program'"):
        _ = dataforge.compil_program


def test_version(tmp_path):
    done = dataforge("--version", cwd=tmp_path)
    assert (done.code, done.out) == (0, "dataforge 0.1.0\n")


def test_help_names_every_command(tmp_path):
    done = dataforge("--help", cwd=tmp_path)
    assert done.code == 0
    assert all(name in done.out for name in COMMANDS)
    assert "--install-completion" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name, tmp_path):
    done = dataforge(name, "--help", cwd=tmp_path)
    assert done.code == 0
    assert f"Example: dataforge {name}" in done.out
    assert "--json" in done.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "No such command"),
        (["compile"], "Missing argument"),
        (["compile", "x.forge", "--frob"], "No such option"),
        (["run", "x.forge", "--rows", "many"], "--rows"),
        (["run", "x.forge", "--rows", "0"], "--rows"),
        (["run", "x.forge", "--on", "mars"], "--on"),
        (["serve"], "Missing argument"),
        (["serve", "embedded", "--port", "70000"], "--port"),
        (["show", "one", "two"], "unexpected extra argument"),
    ],
)
def test_a_mistake_in_the_command_is_wrong_input(arguments, says, tmp_path):
    done = dataforge(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert says in " ".join(done.err.replace("│", " ").split())
    assert done.out == ""


def test_an_argument_that_is_no_text_is_refused(tmp_path):
    done = dataforge("compile", "\udcff.forge", cwd=tmp_path)
    assert done.code == 2
    assert "R033" in done.err
    assert "\\udcff.forge" in done.err


def test_control_characters_of_an_argument_do_not_reach_the_terminal(tmp_path):
    done = dataforge("compile", "\x1b[31mx.forge", cwd=tmp_path)
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\\x1b[31mx.forge" in done.err


def test_a_terminal_that_lacks_a_glyph_is_no_reason_to_fail(tmp_path):
    done = dataforge("run", GRAPHS / "quickstart.forge", "--help", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.code == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[2J\x07\r", "\\x1b[2J\\x07\\x0d"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("全角\u3000空白 and\u00a0this", "全角\u3000空白 and\u00a0this"),
        ("\udcff", "\\udcff"),
        ("[bold]no markup[/bold] é 😀", "[bold]no markup[/bold] é 😀"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_text_cannot_steer_a_terminal(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("x.forge --seeds a b --rows 3", "x.forge --seeds a --seeds b --rows 3"),
        ("x.forge --seeds a --seeds b c", "x.forge --seeds a --seeds b --seeds c"),
        ("--rows 3 x.forge", "--rows 3 x.forge"),
        ("x.forge --seeds", "x.forge --seeds"),
        ("--seeds a -- b", "--seeds a -- b"),
        ("x.forge --seeds=a --out o", "x.forge --seeds=a --out o"),
    ],
)
def test_seeds_takes_all_paths_up_to_the_next_option(given, meant):
    assert spread(given.split(), "--seeds") == meant.split()
