"""docs/language.md: every example compiles, and those that should not give the code that the page says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataforge.lang.diagnostics import CompileError
from dataforge.plan.artifact import compile_program

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- ([^>]*?) -->\n)?^```(\w+)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
GRAPH = """
graph page {
  from Passage where Passage.kind == "article", words(Passage.text) >= 120, Passage.lang == "en", has Passage.title
  to Passage
  nodes *
  emit { user "?"  assistant "{{ Passage.text }}" }
}
"""


@dataclass(frozen=True)
class Example:
    line: int
    mark: str
    text: str


def examples() -> tuple[dict[str, str], str, list[Example]]:
    """The files that the page writes, its prelude, and its other examples."""
    files: dict[str, str] = {}
    prelude = ""
    found = []
    for block in BLOCK.finditer(PAGE):
        mark, language, text = block.group(1) or "", block.group(2), block.group(3)
        if mark.startswith("file: "):
            files[mark.removeprefix("file: ")] = text + "\n"
        elif mark == "prelude":
            prelude = text
        elif language == "forge":
            found.append(Example(PAGE.count("\n", 0, block.start()) + 1, mark, text))
    return files, prelude, found


FILES, PRELUDE, EXAMPLES = examples()


@pytest.fixture(scope="module")
def page_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def whole(example: Example) -> str:
    alone = example.mark in ("", "fails: F062")
    return example.text if alone else PRELUDE + "\n" + example.text + GRAPH


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"line{e.line}")
def test_example_compiles_or_fails_as_the_page_says(page_project: Path, example: Example) -> None:
    path = page_project / f"line{example.line}.forge"
    path.write_text(whole(example), encoding="utf-8")
    wanted = example.mark.removeprefix("fails: ") if example.mark.startswith("fails: ") else None
    try:
        warnings = compile_program(path).warnings
    except CompileError as error:
        assert wanted is not None, str(error)
        assert {d.code for d in error.diagnostics if d.severity == "error"} == {wanted}
    else:
        assert wanted is None, f"compiled without {wanted}"
        if example.mark == "":
            assert not [d.render() for d in warnings], "a whole example gives no warning"


def test_page_covers_every_item_and_clause_of_the_grammar() -> None:
    grammar = (ROOT / "dataforge" / "lang" / "grammar.lark").read_text(encoding="utf-8")
    keywords = set(re.findall(r'"([a-z]+)"', re.sub(r"//.*", "", grammar)))
    written = "\n".join(e.text for e in EXAMPLES) + PRELUDE + "".join(FILES.values())
    missing = {k for k in keywords if not re.search(rf"\b{k}\b", written)}
    # In tables and prose only, since an example would have nothing to show.
    assert missing <= {
        "verify",
        "all",
        "none",
        "weighted",
        "train",
        "weight",
        "retry",
        "tool",
        "uniform",
        "system",
    }
    for keyword in missing:
        assert f"`{keyword}" in PAGE, f"the page does not mention `{keyword}`"


def test_page_lists_the_filters_and_tests_that_templates_may_use() -> None:
    from dataforge.domain.templates import FILTERS, TESTS

    for name in FILTERS | TESTS:
        assert f"`{name}`" in PAGE


def test_links_inside_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings
    for name in re.findall(r"\]\((\w+\.md)\)", PAGE):
        assert (ROOT / "docs" / name).is_file()


def test_the_first_file_is_what_the_page_says(page_project: Path) -> None:
    first = page_project / "first.forge"
    first.write_text(EXAMPLES[0].text, encoding="utf-8")
    plan = compile_program(first)
    assert plan.linked.name_edges == (("source", "tidy"), ("tidy", "target"))
