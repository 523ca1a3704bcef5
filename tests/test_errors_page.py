"""docs/errors.md: every code has a section, every example fails and mends as it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dataforge.lang.diagnostics import CompileError, Diagnostic
from dataforge.plan import link
from dataforge.plan.artifact import compile_program

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
FENCE = re.compile(r"<!-- ([^>]*?) -->\n```\w*\n(.*?)\n```", re.DOTALL)
WITHOUT_EXAMPLE = {"F005", "F066"}
"""Provoked below: one needs bytes that a page cannot show, the other a bound that is too high for a page."""


@dataclass
class Section:
    code: str
    files: dict[str, str] = field(default_factory=dict)
    fails: str = ""
    mends: str = ""


def sections() -> dict[str, Section]:
    prelude = FENCE.search(PAGE)
    assert prelude is not None
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        section = Section(part[:4])
        for mark, body in FENCE.findall(part):
            word, _, rest = mark.partition(" ")
            text = body if rest == "alone" else f"{prelude.group(2)}\n{body}"
            if word == "file:":
                section.files[rest] = body + "\n"
            elif word == "fails":
                section.fails = text
            elif word == "mends":
                section.mends = text
        found[section.code] = section
    return found


SECTIONS = sections()


def diagnose(project: Path, section: Section, text: str) -> tuple[Diagnostic, ...]:
    for name, body in section.files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(body, encoding="utf-8")
    # `forge N` comes first in a file, wherever an example shows it.
    versions = re.findall(r"^forge \d+$", text, flags=re.MULTILINE)
    text = "\n".join([*versions, re.sub(r"^forge \d+$", "", text, flags=re.MULTILINE)])
    (project / "main.forge").write_text(text, encoding="utf-8")
    try:
        return compile_program(project / "main.forge").warnings
    except CompileError as error:
        return error.diagnostics


def codes_in_sources(letter: str) -> set[str]:
    text = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "dataforge").rglob("*.py"))
    return set(re.findall(rf'"({letter}\d{{3}})"', text)) - {"F000", "R000"}


@pytest.mark.parametrize("letter", ["F", "R"])
def test_every_code_has_a_section_and_every_section_a_code(letter: str) -> None:
    assert codes_in_sources(letter) == {code for code in SECTIONS if code[0] == letter}


@pytest.mark.parametrize("code", sorted(c for c in SECTIONS if c[0] == "F" and c not in WITHOUT_EXAMPLE))
def test_example_fails_with_its_code_and_mends(project: Path, code: str) -> None:
    section = SECTIONS[code]
    assert section.fails, f"{code} has no example"
    found = diagnose(project, section, section.fails)
    assert code in {d.code for d in found}, [d.render() for d in found]
    warning = code in {"F068", "F080", "F081", "F082"}
    assert warning == (next(d for d in found if d.code == code).severity == "warning")
    for diagnostic in found:
        assert diagnostic.message
        if diagnostic.severity == "error":
            assert {d.code for d in found if d.severity == "error"} == {code}, "one mistake, one code"
        line, column = diagnostic.source.line_column(diagnostic.span.start)
        assert 1 <= line <= diagnostic.source.text.count("\n") + 1
        assert column >= 1
        assert diagnostic.code in diagnostic.render()
    mended = diagnose(project, section, section.mends)
    assert not [d.render() for d in mended if d.severity == "error" or d.code == code]


def test_f005_a_file_that_is_no_text(project: Path) -> None:
    (project / "main.forge").write_bytes(b"node \xff {}")
    with pytest.raises(CompileError) as error:
        compile_program(project / "main.forge")
    assert [d.code for d in error.value.diagnostics] == ["F005"]


def test_f066_too_many_states(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MAX_STATES", 40)
    structs = "\n".join(f"struct S{i} {{ x: int = 0 }}" for i in range(8))
    nodes = "\n".join(f"node n{i} {{ takes S0  gives S{i}  set S{i}.x = 1 }}" for i in range(1, 8))
    ends = ", ".join(f"S{i}" for i in range(1, 8))
    text = f'{structs}\n{nodes}\ngraph g {{ from S0  to {ends}  nodes *  emit {{ user "?"  assistant "{{{{ S1.x }}}}" }} }}'
    (project / "main.forge").write_text(text)
    with pytest.raises(CompileError) as error:
        compile_program(project / "main.forge")
    assert [d.code for d in error.value.diagnostics] == ["F066"]
