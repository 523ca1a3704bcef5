"""The formats of a drawing: each whole, escaped, and fit for what reads it."""

from __future__ import annotations

import base64
import hashlib
import html as html_
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dataforge.errors import InputError, RunError
from dataforge.plan.artifact import Plan, compile_program
from dataforge.plan.draw.drawing import common_name, drawing_of, shared_start
from dataforge.plan.draw.formats import Sheet, format_of, formats, html, svg
from tests.plan.draw_programs import program

REPOSITORY = Path(__file__).parents[2]
GRAPHVIZ = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
NASTY = '</script><img src=x onerror=alert(1)>\\"]; click n0 \\\\ & -->'
HOSTILE = f'''
struct Doc {{ text: str  kind: str = "" }}
struct Note {{ text: str }}
generator writer
node note {{
  """{NASTY.replace(chr(92) * 2, chr(92))}"""
  takes Doc  gives Note
  ask writer {{ prompt "{NASTY} {{{{ Doc.text }}}}"  into Note.text }}
}}
node never {{ takes Doc  gives Note  pre Doc.kind == "{NASTY}"  ask writer {{ prompt "x"  into Note.text }} }}
graph g {{ """{NASTY.replace(chr(92) * 2, chr(92))}"""  from Doc  to Note  nodes *
           emit {{ user "{NASTY}"  assistant "{{{{ Note.text }}}}" }} }}
'''
CHAIN = """
struct Doc { text: str  step: int = 0 }
generator writer
NODES
graph main { from Doc where Doc.step == 0  to Doc where Doc.step == 300  nodes *
             emit { user "?"  assistant "{{ Doc.text }}" } }
""".replace(
    "NODES",
    "\n".join(
        f'node n{i} {{ takes Doc gives Doc pre Doc.step == {i} ask writer {{ prompt "{{{{ Doc.text }}}}" into Doc.text }} '
        f"set Doc.step = {i + 1} }}"
        for i in range(300)
    ),
)


def sheet_of(project: Path, text: str) -> Sheet:
    (project / "main.forge").write_text(text)
    return sheet(compile_program(project / "main.forge"))


def sheet(plan: Plan) -> Sheet:
    return Sheet(plan, drawing_of(plan))


@pytest.fixture(scope="module")
def quickstart() -> Sheet:
    return sheet(compile_program(REPOSITORY / "graphs/quickstart.forge"))


@pytest.fixture(scope="module", params=[60, 300])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sheet:
    folder = tmp_path_factory.mktemp("large")
    (folder / "dataforge.toml").write_text("")
    return sheet_of(folder, program(request.param))


def test_formats_are_found_by_name_and_by_the_ending_of_a_file() -> None:
    assert set(formats()) == {"text", "mermaid", "dot", "svg", "html"}
    endings = {
        "a.HTML": "html",
        "a.svg": "svg",
        "a.gv": "dot",
        "a.mmd": "mermaid",
        "a.txt": "text",
        "a.png": None,
    }
    assert {name: format_of(name) for name in endings} == endings


# ---- names of groups


def test_a_group_is_named_by_what_its_names_share() -> None:
    assert common_name(["ask_cause", "ask_motive", "ask_opinion"]) == "ask_…"
    assert common_name(["ask_cause_school", "ask_motive_school"]) == "ask_…_school"
    assert common_name(["cut", "paste"]) == "cut, …"
    assert common_name(["a_b", "a_b_b"]) == "a_…"
    assert shared_start(["ask_a", "ask_b"]) == "ask_"
    assert shared_start(["asking", "asks"]) == ""


# ---- text


def test_the_tree_of_quickstart(quickstart: Sheet) -> None:
    assert formats()["text"].draw(quickstart) == (
        "quickstart  5 nodes, 4 walks\n"
        "Questions and answers about real passages, as they are or summarised.\n"
        'source  Passage, Passage.kind == "article", words(Passage.text) >= 80\n'
        "├─ summarise                                                                 50%\n"
        "│  ├─ ask_about_passage                                                      50%\n"
        "│  │  ↓ answer_from_passage                                                  50%\n"
        "│  │  ↓ target\n"
        "│  └─ ask_standalone                                                         50%\n"
        "│     ↓ answer_standalone                                                    50%\n"
        "│     ↓ target\n"
        "└─ ↑ ask_about_passage, ask_standalone\n"
        "target  Answer, Answer.score >= 3\n"
    )


def test_a_tree_fits_80_columns_and_draws_every_unit_once(large: Sheet) -> None:
    text = formats()["text"].draw(large)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    drawn = [line for line in lines if re.search(r"(%|nodes\))$", line) and "↑" not in line]
    assert len(lines) < 500
    assert len(drawn) == len(set(drawn))
    for name in large.drawing.boxes:
        alike = next((group for group in large.drawing.alike if name in group), (name,))
        assert any(alike[0] in line for line in lines), name
    assert "translate_to_latin: nothing guarantees" in text


def test_a_chain_of_300_is_not_indented(project: Path) -> None:
    lines = formats()["text"].draw(sheet_of(project, CHAIN)).splitlines()
    assert max(map(len, lines)) <= 80
    assert max(len(line) - len(line.lstrip(" │├└─")) for line in lines) <= 3
    assert sum("n299" in line for line in lines) == 1


# ---- Mermaid

LABEL = r'"(?:[^"\[\]<>|#;]|#\d+;)*"'
MERMAID = re.compile(
    rf"flowchart LR|direction LR|end|subgraph \w+\[{LABEL}\]|\w+(?:\(\[{LABEL}\]\)|\[\[{LABEL}\]\]|\[{LABEL}\])(?::::\w+)?"
    rf"|\w+ -->(?:\|{LABEL}\|)? \w+|classDef \w+ [\w:#,. -]+|linkStyle \d+ [\w:.-]+"
)


@pytest.mark.parametrize("text", [program(60), program(300), HOSTILE], ids=["60", "300", "hostile"])
def test_mermaid_is_made_of_known_statements_and_under_its_limits(project: Path, text: str) -> None:
    chart = formats()["mermaid"].draw(sheet_of(project, text))
    lines = [line.strip() for line in chart.splitlines()]
    assert [line for line in lines if not MERMAID.fullmatch(line)] == []
    assert sum(line.startswith("subgraph") for line in lines) == lines.count("end")
    assert sum("-->" in line for line in lines) < 500, "Mermaid refuses more edges"
    assert len(chart) < 50_000, "Mermaid refuses longer texts"


# ---- DOT and SVG


@GRAPHVIZ
@pytest.mark.parametrize("text", [program(60), program(300), HOSTILE], ids=["60", "300", "hostile"])
def test_dot_is_read_by_graphviz(project: Path, text: str) -> None:
    drawn = sheet_of(project, text)
    done = subprocess.run(
        ["dot", "-Tjson0"],
        input=formats()["dot"].draw(drawn),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    objects = json.loads(done.stdout)["objects"]
    labels = {o.get("label", "") for o in objects}
    assert {"source", "target"} <= labels
    assert any("alike" in label for label in labels) == (len(drawn.drawing.boxes) > 200)


@GRAPHVIZ
def test_svg_is_a_picture_with_every_name(quickstart: Sheet) -> None:
    picture = formats()["svg"].draw(quickstart)
    assert "<svg" in picture
    assert all(f">{name}</text>" in picture for name in quickstart.drawing.boxes)


def test_svg_without_graphviz_says_what_to_do(
    quickstart: Sheet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as error:
        svg.draw(quickstart)
    assert error.value.code == "R026"
    assert "html" in str(error.value.help)


def test_a_graphviz_that_fails_is_told(
    quickstart: Sheet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "dot").write_text("#!/bin/sh\necho 'no plugin for svg' >&2\nexit 1\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError) as error:
        svg.draw(quickstart)
    assert error.value.code == "R027"
    assert "no plugin for svg" in error.value.message


# ---- the page


def test_the_policy_allows_exactly_what_is_in_the_page(quickstart: Sheet) -> None:
    page = html.draw(quickstart)
    policy = html_.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(scripts) == len(html.SCRIPTS)

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert set(re.findall(r"'sha256-[^']*'", policy)) == {hashed(text) for text in [*scripts, *styles]}
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_no_text_of_a_program_becomes_markup(project: Path) -> None:
    drawn = sheet_of(project, HOSTILE)
    page = html.draw(drawn)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    assert "<img" not in page
    told = json.loads(data[1])
    assert told == json.loads(json.dumps(html.document(drawn)))
    assert "</script><img src=x" in told["levels"][0]["doc"]


def test_the_page_asks_nothing_of_the_network(quickstart: Sheet) -> None:
    page = html.draw(quickstart)
    ours = page.replace("https://github.com/dagrejs/dagre", "")  # named in a comment
    assert not re.search(r"\bsrc=|<link|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(", ours)
    assert set(re.findall(r"https?://[\w./-]+", ours)) == {"http://www.w3.org/2000/svg"}


def test_vendored_files_are_those_of_the_script() -> None:
    folder = REPOSITORY / "dataforge/plan/page"
    listed = [line.split() for line in (folder / "vendored.sha256").read_text().splitlines()]
    assert {name for _, name in listed} == {"dagre.min.js", "dagre.LICENSE"}
    for digest, name in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    version = re.search(r"^version=(\S+)$", (REPOSITORY / "scripts/vendor_page.sh").read_text(), re.MULTILINE)
    assert version is not None
    assert f'"{version[1]}"' in (folder / "dagre.min.js").read_text()
