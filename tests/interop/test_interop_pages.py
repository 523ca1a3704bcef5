"""docs/rl.md and docs/exporting.md: what they show runs, and the options that they name are there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import typer.main

from dataforge.cli import export, serve_env
from dataforge.interop.export import TARGETS

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(?:<!-- needs: (\S+) -->\n)?^```python\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
PAGES = {name: (DOCS / name).read_text(encoding="utf-8") for name in ("rl.md", "exporting.md")}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("needs", "code"), [found.groups() for page in PAGES.values() for found in BLOCK.finditer(page)]
)
def test_every_example_runs(needs: str | None, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if needs is not None:
        if (
            importlib.util.find_spec(needs.partition(".")[0]) is None
            or importlib.util.find_spec(needs) is None
        ):
            pytest.skip(f"{needs} is not installed")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {})


def test_options_and_targets_that_the_pages_name_are_there():
    known = {"--json", "--seeds", "--rows", "--out"}
    for module in (export, serve_env):
        app = typer.Typer()
        module.register(app)
        for parameter in typer.main.get_command(app).params:
            known.update(parameter.opts)
    named = {option for page in PAGES.values() for option in re.findall(r"--[a-z][a-z-]+", page)}
    assert named <= known
    assert all(f"`{target}`" in PAGES["exporting.md"] for target in TARGETS)


def test_links_lead_somewhere():
    for page in PAGES.values():
        for name in re.findall(r"\]\((\w[\w-]*\.md)\)", page):
            assert (DOCS / name).is_file(), name
