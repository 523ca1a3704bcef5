"""An analysis with a memory says what one without says, whatever was typed before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.lang.diagnostics import Report, in_order
from dataforge.project import load_project
from dataforge.server.analysis import Analyser, Analysis, Stale
from tests.server.test_editor import MAIN, PROMPT, SHARED

GRAPHS = Path(__file__).parents[2] / "graphs"
PIECES = [
    "",
    "node",
    " from ",
    "{",
    "}",
    '"""',
    '"',
    "#",
    "\n",
    ".",
    ",",
    "Passage",
    "Doc",
    "Note",
    "writer",
    "pen",
    "🦊",
]
PIECES += [
    "\nnode a { takes Doc  gives Note }\n",
    "\nstruct S { a: str }\n",
    " retry 3 ",
    "\nnode shorten {",
    "-1",
    "≥",
    "\r\n",
]
PIECES += [
    '\nlist more = ["a"]\n',
    "\njudge critic\n",
    '\npredicate p(Doc) = "x:y"\n',
    "\n# a comment\n",
    "has ",
    "not ",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project").resolve()
    (root / "dataforge.toml").write_text("")
    shutil.copytree(GRAPHS, root / "graphs")
    (root / "main.forge").write_text(MAIN, encoding="utf-8")
    (root / "shared.forge").write_text(SHARED, encoding="utf-8")
    (root / "moods.jsonl").write_text('{"name": "glad", "why": "spring"}\n')
    (root / "prompts").mkdir()
    (root / "prompts/improve.j2").write_text(PROMPT, encoding="utf-8")
    return root


def said(analysis: Analysis) -> object:
    return (
        [(d.sort_key, d.help, d.severity) for d in in_order(analysis.diagnostics)],
        {name: (list(s.entities), s.declared_at, s.broken, s.used) for name, s in analysis.scopes.items()},
    )


@st.composite
def sessions(draw: st.DrawFn, most: int = 5) -> tuple[str, list[str]]:
    """A file and what became of its text, edit by edit."""
    name = draw(st.sampled_from(["main.forge", "graphs/quickstart.forge", "graphs/grounded_qa.forge"]))
    text = MAIN if name == "main.forge" else (GRAPHS.parent / name).read_text(encoding="utf-8")
    texts = [text]
    for _ in range(draw(st.integers(1, most))):
        if len(texts) > 1 and draw(st.booleans()):
            texts.append(texts[-2])  # undone
            continue
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 3, 12])))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
        texts.append(text)
    return name, texts


@settings(max_examples=25)
@given(session=sessions())
def test_an_analysis_with_a_memory_says_what_a_fresh_one_says(
    files: Path, session: tuple[str, list[str]]
) -> None:
    name, texts = session
    path = files / name
    with_memory = Analyser(path)
    for text in texts:
        again, fresh = with_memory.analyse({path: text}), Analyser(path).analyse({path: text})
        assert said(again) == said(fresh)
        assert again.files >= fresh.files
        for graph in fresh.graphs:
            one, other = fresh.graphs[graph].linked, again.graphs[graph].linked
            assert list(one.edges()) == list(other.edges())
            assert [one.known(v.state) for v in one.vertices] == [
                other.known(v.state) for v in other.vertices
            ]


@settings(max_examples=20)
@given(session=sessions())
def test_an_analysis_says_what_the_compiler_says(files: Path, session: tuple[str, list[str]]) -> None:
    from dataforge.domain.resolve import load_program
    from dataforge.plan.link import link

    name, texts = session
    path = files / name
    analyser = Analyser(path)
    for text in texts:
        found = analyser.analyse({path: text})
        report = Report()
        program = load_program(path, load_project(path), report, overlay={name: text})
        if program is not None:
            link(program.graph, program.terms, program.structs, report)
        if any(d.code == "F060" for d in report.diagnostics):
            continue  # no graph, or several: wrong for `compile`, and no fault of a file
        told = {(d.sort_key, d.help, d.severity) for d in in_order(report.diagnostics)}
        assert {(d.sort_key, d.help, d.severity) for d in found.diagnostics} == told


def test_only_the_node_that_changed_is_resolved_again(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataforge.server import resolving

    resolved: list[str] = []
    real = resolving._resolved
    monkeypatch.setattr(
        resolving, "_resolved", lambda item, *rest: (resolved.append(item.name.text), real(item, *rest))[1]
    )
    path = files / "main.forge"
    analyser = Analyser(path)
    analyser.analyse({path: MAIN})
    assert resolved == ["shorten", "improve"]
    resolved.clear()
    analyser.analyse({path: MAIN.replace("words(Note.text) in 1..20", "words(Note.text) in 1..25")})
    assert resolved == ["shorten"]
    resolved.clear()
    analyser.analyse({path: MAIN, files / "prompts/improve.j2": "Changed: {{ Note.text }}"})
    assert resolved == ["shorten", "improve"]


def test_a_broken_text_keeps_what_its_names_last_meant(files: Path) -> None:
    path = files / "main.forge"
    analyser = Analyser(path)
    whole = analyser.analyse({path: MAIN})
    broken = analyser.analyse(
        {path: MAIN.replace("struct Note {", "struct Note").replace("takes Note", "takes Note {{")}
    )
    assert any(d.severity == "error" for d in broken.diagnostics)
    assert set(broken.entities["main.forge"]) == set(whole.entities["main.forge"])
    assert broken.graphs["main"].after("shorten") == ["improve"]


def test_work_on_an_old_text_is_given_up(files: Path) -> None:
    path = files / "main.forge"
    with pytest.raises(Stale):
        Analyser(path).analyse({path: MAIN}, is_stale=lambda: True)
