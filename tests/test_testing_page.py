"""docs/testing.md: its Python is run, and the laws that it names are those that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dataforge.testing.adversaries import ADVERSARIES, HUGE
from tests.cli.commands import environment

PAGE = (Path(__file__).parent.parent / "docs" / "testing.md").read_text(encoding="utf-8")


def test_the_python_on_the_page_passes(tmp_path: Path) -> None:
    code = re.search(r"<!-- test -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    (tmp_path / "test_page.py").write_text(code.group(1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_the_page_names_every_law() -> None:
    from dataforge.testing import contracts

    named = set(re.findall(r"^\| \*([\w ]+)\* \|", PAGE, re.MULTILINE))
    assert named == set(re.findall(r"^- \*([\w ]+)\*:", contracts.__doc__ or "", re.MULTILINE))


def test_the_page_knows_how_large_huge_is() -> None:
    assert f"{HUGE:,} characters" in PAGE
    assert len({a.name for a in ADVERSARIES}) == len(ADVERSARIES) >= 20
