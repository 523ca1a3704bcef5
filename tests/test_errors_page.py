"""docs/errors.md: every code has a section, every example fails and mends as it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dataforge.errors import DataForgeError
from dataforge.lang.diagnostics import CompileError, Diagnostic
from dataforge.models.binding import bind, check_independence
from dataforge.plan import link
from dataforge.plan.artifact import compile_program
from dataforge.project import load_models_file, load_project
from dataforge.seeds import expand, read_seeds
from trainer.config import load as load_training
from trainer.conversations import Conversations

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
    sources = [path for part in ("dataforge", "trainer", "evals") for path in (ROOT / part).rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    return set(re.findall(rf'"({letter}\d{{3}})"', text)) - {"F000", "R000"}


@pytest.mark.parametrize("letter", ["E", "F", "L", "R", "T", "V"])
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
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(diagnostic.source.text)
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


# ---- R codes of the project file, the bindings and the seeds: each provoked by a real file, and mended

TOML = "dataforge.toml"
HALF = b'{"text": "\\ud800"}\n'
REAL_FILES: list[tuple[str, str, bytes, bytes]] = [
    ("R001", TOML, b"[project]\nallow_pyhton = []\n", b"[project]\nallow_python = []\n"),
    ("R001", TOML, b"[project\n", b"[project]\n"),
    ("R001", TOML, b"[project]\nname = 3\n", b'[project]\nname = "x"\n'),
    ("R001", TOML, b'[project]\nname = "\xff"\n', "[project]\nname = \"é\"\n".encode()),
    ("R001", TOML, b'[models.w]\nbase_url = "localhost"\n', b'[models.w]\nbase_url = "http://localhost"\nmodel = "m"\n'),
    ("R001", "models.toml", b"[project]\n", b'[models.w]\nmodel = "m"\nbase_url = "http://h"\n'),
    ("R001", TOML, b'[models.w]\nbackend = "openai"\n', b'[models.w]\nbackend = "openai"\nmodel = "m"\nbase_url = "http://h"\n'),
    ("R002", TOML, b'[models.w]\nbackend = "opnai"\n', b'[models.w]\nbackend = "local"\n'),
    ("R003", TOML, b'[models.w]\nmodel = "m"\nbase_url = "http://h"\n[models.c]\nmodel = "M"\nbase_url = "http://h"\n',
     b'[models.w]\nmodel = "m"\nbase_url = "http://h"\n[models.c]\nmodel = "n"\nbase_url = "http://h"\n'),
    ("R003", TOML, b'[models.generator]\nmodel = "m"\nbase_url = "http://h"\n[models.judge]\nmodel = "m"\nbase_url = "http://h"\n',
     b'[project]\nallow_self_judging = true\n[models.generator]\nmodel = "m"\nbase_url = "http://h"\n[models.judge]\nmodel = "m"\nbase_url = "http://h"\n'),
    ("R004", TOML, b'[models.w]\nmodel = "m"\nbase_url = "http://h"\napi_key_env = "NOT_SET"\n', b'[models.w]\nmodel = "m"\nbase_url = "http://h"\napi_key_env = "IS_SET"\n'),
    ("R010", "seeds/x.pdf", b"text", b""),
    ("R011", "seeds/x.txt", b"caf\xe9\n", "café\n".encode()),
    ("R011", "seeds/x.jsonl", HALF, b'{"text": "whole"}\n'),
    ("R012", "seeds/x.txt", b"x" * (16 * 2**20 + 1), b"x" * 100),
    ("R013", "seeds/x.jsonl", b'["text"]\n', b'{"text": "x"}\n'),
    ("R013", "seeds/x.jsonl", b'{"a": NaN}\n', b'{"a": null}\n'),
    ("R013", "seeds/x.jsonl", b'{"a": 1, "a": 2}\n', b'{"a": 1, "b": 2}\n'),
    ("R014", "seeds/x.txt", b"\n\n", b"x\n"),
    ("R015", "seeds/x.parquet", b"PAR1 not really", b""),
    ("R015", "seeds/x.jsonl.gz", b"\x1f\x8b\x08 not really", b""),
    ("T001", "train.toml", b"[optimiser]\n", b"[optimizer]\n"),
    ("T001", "train.toml", b"[optimizer]\nlr = \"1e-5\"\n", b"[optimizer]\nlr = 1e-5\n"),
    ("T001", "train.toml", b"[train]\nrows = 0\n", b"[train]\nrows = 1\n"),
    ("T002", "chat.jsonl", b'{"text": "?"}\n', b'{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}\n'),
    ("R016", "seeds/x.csv", b"text,kind\na\n", b"text,kind\na,b\n"),
]  # fmt: skip


def use(project: Path, name: str) -> None:
    """What a run, or training, does with the file before any model is asked or loaded."""
    if name == "train.toml":
        load_training(file=project / name)
        return
    if name == "chat.jsonl":
        list(Conversations([str(project / name)], ["final"]))
        return
    if name.startswith("seeds/"):
        list(read_seeds(expand([name], project), base=project))
        return
    loaded = load_project(project)
    models_file = project / name if name != TOML else None
    if models_file is not None:
        load_models_file(models_file)
    specs = bind([("w", "generator", {}), ("c", "judge", {})], loaded, models_file, {"IS_SET": "k"})
    check_independence(specs, [("c", "w", "node")], loaded.allow_self_judging)


@pytest.mark.parametrize(
    ("code", "name", "wrong", "right"),
    REAL_FILES,
    ids=[f"{c}-{n}-{i}" for i, (c, n, *_) in enumerate(REAL_FILES)],
)
def test_real_file_fails_with_its_code_and_mends(
    project: Path, code: str, name: str, wrong: bytes, right: bytes
) -> None:
    path = project / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(wrong)
    with pytest.raises(DataForgeError) as error:
        use(project, name)
    assert error.value.code == code
    assert error.value.help
    assert "\n" not in error.value.message
    if right:
        path.write_bytes(right)
        use(project, name)
