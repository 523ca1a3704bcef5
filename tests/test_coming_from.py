"""docs/coming-from: our side of each page compiles, runs, and keeps and rejects what the page says; theirs is whole.

The other tools are not installed here. That their programs run was tried by hand, against a mock endpoint, with the
versions that the pages name; here it is only checked that they are Python.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from dataforge.lang.format import format_text
from dataforge.plan.artifact import Plan, compile_program
from tests.cli.commands import dataforge, record
from tests.test_tutorial import edited

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted((DOCS / "coming-from").glob("*.md"))
BLOCK = re.compile(r"^<!-- (\w+)(?:: (.*?))? -->\n```\w+\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
SEEDS = (
    {"text": "Bread rises because of yeast, which eats the sugar in the dough and gives off gas."},
    {"text": "The tides come from the pull of the moon on the water of the sea."},
)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, kind: str) -> dict[str, str]:
    return {mark: text for found, mark, text in BLOCK.findall(page.read_text("utf-8")) if found == kind}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")


def compiled(path: Path) -> Plan:
    """The plan of a file that gives no warning."""
    plan = compile_program(path)
    assert not [warning.render() for warning in plan.warnings]
    return plan


@pages
def test_our_side_compiles_to_the_one_path(page: Path, tmp_path: Path) -> None:
    put(tmp_path, blocks(page, "ours") | blocks(page, "file"))
    text = (tmp_path / "qa.forge").read_text()
    assert format_text(text, "qa.forge") == text
    plan = compiled(tmp_path / "qa.forge")
    assert set(plan.linked.name_edges) == {
        ("source", "question"),
        ("question", "answer"),
        ("answer", "target"),
    }


@pages
def test_what_the_page_adds_compiles_too(page: Path, tmp_path: Path) -> None:
    put(tmp_path, blocks(page, "ours") | blocks(page, "file"))
    (more,) = blocks(page, "more").values()
    path = tmp_path / "qa.forge"
    path.write_text(edited(path.read_text(), more))
    compiled(path)


def test_the_pages_show_one_pipeline() -> None:
    assert len(PAGES) == 3
    assert len({blocks(page, "ours")["qa.forge"] for page in PAGES}) == 1


def test_it_keeps_what_the_judge_gives_four_and_rejects_the_rest(tmp_path: Path) -> None:
    put(tmp_path, blocks(PAGES[0], "ours"))
    record(tmp_path / "passages.jsonl", *SEEDS)
    record(
        tmp_path / "writer.jsonl",
        {"contains": "Write one question", "text": "What does it come from?"},
        {"contains": "Bread", "text": "It comes from yeast."},
        {"contains": "tides", "text": "It comes from the wind."},
    )
    scores = {"yeast": 5, "wind": 3}
    record(
        tmp_path / "critic.jsonl",
        *(
            {
                "contains": f"It comes from {'the ' if word == 'wind' else ''}{word}",
                "text": json.dumps({"criteria": [{"criterion": "grounding", "score": n, "reason": "read"}]}),
            }
            for word, n in scores.items()
        ),
    )
    (tmp_path / "dataforge.toml").write_text(
        '[models.writer]\npath = "writer.jsonl"\n[models.critic]\npath = "critic.jsonl"\n'
    )
    done = dataforge("run", "qa.forge", "--out", "out", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    summary = done.json()
    assert (summary["attempted"], summary["kept"], summary["rejected_by"]) == (2, 1, {"R107": 1})


@pages
def test_their_side_is_python_that_names_its_version(page: Path) -> None:
    theirs = blocks(page, "theirs")
    ast.parse(theirs["qa.py"])
    assert re.search(r"\(\d+\.\d+\.\d+\)", page.read_text("utf-8"))


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", page.read_text("utf-8")):
        target = page.parent / name
        assert target.is_file(), name
        headings = {
            re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-")
            for h in re.findall(r"^#+ (.*)$", target.read_text("utf-8"), flags=re.MULTILINE)
        }
        assert not anchor or anchor in headings, f"{name}#{anchor}"
