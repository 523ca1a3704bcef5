"""docs/editors.md and editors/vscode: what they show is so."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dataforge.lang.parse import grammar_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/editors.md").read_text(encoding="utf-8")
VSCODE = ROOT / "editors/vscode"
PACKAGE = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))


def fences(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)


def test_the_configurations_on_the_page_are_whole() -> None:
    (helix,) = map(tomllib.loads, fences("toml"))
    assert helix["language-server"]["dataforge"] == {"command": "dataforge", "args": ["lsp"]}
    (options,) = map(json.loads, fences("json"))
    assert options == {"python": False}
    for lisp in fences("elisp"):
        assert lisp.count("(") == lisp.count(")")
    for lua in fences("lua"):
        assert lua.count("{") == lua.count("}")


def test_links_of_the_page_lead_somewhere() -> None:
    links = re.findall(r"\]\(([\w/.-]+\.md)\)", PAGE)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).is_file()


def test_every_keyword_of_the_grammar_is_coloured() -> None:
    grammar = (VSCODE / "syntaxes/forge.tmLanguage.json").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z]{2,}", grammar))
    assert set(re.findall(r'"([a-z]{2,})"', grammar_text())) <= words


def test_the_extension_contains_what_its_manifest_names() -> None:
    named = [PACKAGE["icon"], "README.md", "LICENSE", "package-lock.json"]
    named += [
        PACKAGE["contributes"]["languages"][0]["configuration"],
        PACKAGE["contributes"]["grammars"][0]["path"],
    ]
    for name in named:
        assert (VSCODE / name).is_file()
    lock = json.loads((VSCODE / "package-lock.json").read_text(encoding="utf-8"))
    assert lock["packages"][""]["dependencies"] == PACKAGE["dependencies"]
    json.loads((VSCODE / "language-configuration.json").read_text(encoding="utf-8"))


def test_the_icon_is_a_square_of_at_least_128_pixels() -> None:
    data = (VSCODE / PACKAGE["icon"]).read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert width == height >= 128


def test_the_extension_reads_the_settings_that_it_declares() -> None:
    code = (VSCODE / "src/extension.js").read_text(encoding="utf-8")
    declared = {
        name.removeprefix("dataforge.") for name in PACKAGE["contributes"]["configuration"]["properties"]
    }
    assert set(re.findall(r'settings\.get\("(\w+)"\)', code)) == declared - {"trace.server"}
    for command in PACKAGE["contributes"]["commands"]:
        assert command["command"] in code


def test_without_pygls_the_command_says_what_to_install(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['pygls'] = None; from dataforge.cli import main; main(['lsp'])"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'dataforge-compiler[lsp]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("word", ["pygls", "lsprotocol"])
def test_the_command_line_loads_no_language_server(word: str) -> None:
    look = f"import sys; from dataforge.cli import _commands; _commands(); sys.exit({word!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], timeout=60).returncode == 0
