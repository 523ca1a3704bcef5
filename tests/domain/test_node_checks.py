"""What is checked of a node: its contract against its steps. Each line is a node's body and the codes it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataforge.domain.resolve import Program, load_program
from dataforge.lang.diagnostics import Diagnostic, Report
from dataforge.project import load_project

PRELUDE = """
struct Person { name: str  nick: str? = null }
struct Doc {
  text: str
  kind: "raw" | "clean" = "raw"
  title: str? = null
  stars: int = 0
  tags: list[str] = []
  author: Person? = null
}
struct Note { text: str  reasoning: str? = null  flag: bool = false  score: float? = null  points: int = 0 }
struct Bare { a: str  b: str? }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5 }
list moods = ["glad", "sad"]
list tones from "tones.jsonl"
predicate same(a, b) = "checks:same"
"""
GRAPH = """
graph main { from Doc  to Doc  nodes *  emit { user "?"  assistant "{{ Doc.text }}" } }
"""
CHECKS = """
def same(a, b): return True
def note(doc): return {"text": doc.text}
def nothing(): return {"text": "x"}
BARE = 3
"""
ASK = 'ask writer { prompt "p"  into Note.text }'


def load(root: Path, body: str, graph: str = GRAPH) -> tuple[Program | None, list[Diagnostic]]:
    (root / "checks.py").write_text(CHECKS)
    (root / "tones.jsonl").write_text('{"word": "warm"}\n')
    (root / "main.forge").write_text(f"{PRELUDE}\nnode n {{ {body} }}\n{graph}")
    report = Report()
    program = load_program(root / "main.forge", load_project(root), report)
    for found in report.diagnostics:
        assert 0 <= found.span.start <= found.span.end <= len(found.source.text)
    return program, report.diagnostics


@pytest.mark.parametrize(
    "body",
    [
        'takes Doc  gives Doc  pre has Doc.title, Doc.kind == "raw"  keeps Doc.title  ask writer { prompt "{{ Doc.title }}"  into Doc.text }',
        f"takes Doc  gives Note  {ASK}",
        f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  score Note.score }}",
        f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  score Note.points  rounds 0 }}",
        f"takes Doc  gives Note  {ASK}  set Note.flag = true  set Note.points = words(Doc.text)",
        "takes Doc  gives Note  set Note.text = Doc.text  set Note.score = Doc.stars",
        "takes Doc  gives Note  set Note.text = Doc.kind",
        "takes Doc  gives Note  pre has Doc.author  set Note.text = Doc.author.name",
        "takes Doc  gives Note  pre has Doc.title  set Note.text = Doc.title",
        'takes Doc  gives Note  call "checks:note"',
        'takes Doc  gives Note  call "checks:note"  set Note.flag = true',
        "takes Doc  gives Doc  pre Doc.kind == \"raw\"  keeps Doc.text, Doc.tags  set Doc.kind = \"clean\"",
        "takes Doc  gives Note  ask writer { prompt \"p\"  json Note }",
        "takes Doc  gives Note  ask writer { prompt \"p\"  json Note }  set Note.flag = true",
        "takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  reasoning Note.reasoning }",
        "takes Doc  gives Note  ask writer { prompt \"p\"  into Note.flag }  set Note.text = \"x\"",
        f"takes Doc  gives Note  post Note.flag or Note.text != Doc.text, same(Note, Doc)  {ASK}",
        f"takes Doc  gives many 2..3 Note  {ASK}",
        f"gives Note  pre has Doc  {ASK}",
        "takes Doc  gives Note  draw mood from moods  draw tone from tones  "
        'ask writer { prompt "{{ mood }} {{ tone.word }}"  into Note.text }',
        'takes Doc  gives Note  ask writer { prompt "p"  into Note.text }  set Note.flag = false  retry 0  weight 0.001  train none',
        'takes Doc  gives Note  ask writer { prompt "p"  into Note.text  thinking on  stop "x"  temperature 0  top_p 1  max_tokens 1  seed -3 }',
        'takes Doc  gives Note  ask writer { prompt "p"  thinking "off"  into Note.text }',
        "takes Doc  gives Note, Bare  set Note.text = \"x\"  set Bare.a = \"y\"  set Bare.b = null",
        'takes Doc  gives Note  pre has Doc.author  ask writer { prompt "{{ Doc.author.name }}"  into Note.text }',
        'takes Doc  gives Note  pre Doc.author.nick == "x"  ask writer { prompt "{{ Doc.author.nick }}"  into Note.text }',
        'takes Doc  gives Note  pre words(Doc.title) > 2  ask writer { prompt "{{ Doc.title }}"  into Note.text }',
        'takes Doc  gives Note  set Note.text = "x"  ask writer { prompt "{{ Note.text }}"  into Note.points }',
    ],
)  # fmt: skip
def test_good_node(project: Path, body: str) -> None:
    _, found = load(project, body)
    assert not [d.render() for d in found if d.severity == "error"]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("takes Doc", "F049"),
        ("takes Doc  gives Note", "F040"),
        (f"takes Doc  gives Bare  {ASK}", "F040 F041"),
        ("takes Doc  gives Bare  set Bare.a = \"x\"", "F040"),
        ("takes Doc  gives Doc  set Doc.kind = \"clean\"", "F040"),
        ("takes Doc  gives many Note  set Note.text = \"x\"", "F040"),
        (f"takes Doc  gives Note  {ASK}  set Doc.kind = \"clean\"", "F041"),
        (f"takes Doc  gives Note  {ASK}  set Note = 1", "F041"),
        (f"takes Doc  gives Note  {ASK}  {ASK}", "F042"),
        (f"takes Doc  gives Note  {ASK}  set Note.text = \"x\"", "F042"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  json Note }  ask writer { prompt \"p\"  into Note.text }", "F042"),
        ('takes Doc  gives Note  call "checks:note"  call "checks:note"', "F042"),
        (f"takes Doc  gives Note  {ASK}  retry 1  retry 2", "F042"),
        (f"takes Doc  gives Note  {ASK}  branch Note.flag  branch Note.flag", "F042"),
        (f"takes Doc  gives many Note  {ASK}  judge critic {{ rubric good }}", "F042"),
        ("takes Doc  gives Note  draw mood from moods  draw mood from moods  set Note.text = \"x\"", "F042"),
        (f"takes Doc  gives Note  keeps Note.text  {ASK}", "F042 F046"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ score Note.score }}", "F043"),
        (f"takes Doc  gives Note  {ASK}  branch Note.text", "F044"),
        (f"takes Doc  gives Note  {ASK}  branch Doc.kind", "F044"),
        (f"takes Doc  gives Note  {ASK}  branch Note.score", "F044"),
        (f"takes Doc  gives Note  post Note.points in 1..3  {ASK.replace('text', 'points')}  set Note.text = \"x\"  branch Note.points", ""),
        (f"takes Doc  gives Note  {ASK}  verify matths", "F070"),
        ("takes Doc  gives Note  ask critic { prompt \"p\"  into Note.text }", "F047"),
        (f"takes Doc  gives Note  {ASK}  judge writer {{ rubric good }}", "F047"),
        (f"takes Doc  gives Note  post Doc.kind == \"raw\"  {ASK}", "F048"),
        (f"takes Doc  gives many 0..3 Note  {ASK}", "F032"),
        (f"takes Doc  gives many 3..2 Note  {ASK}", "F032"),
        (f"takes Doc  gives many 1..101 Note  {ASK}", "F032"),
        (f"takes Doc  gives Note  {ASK}  retry 1.5", "F003"),
        (f"takes Doc  gives Note  {ASK}  retry 101", "F003"),
        (f"takes Doc  gives Note  {ASK}  weight 0", "F003"),
        ("takes Doc  gives Note  ask writer { into Note.text }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\" }  set Note.text = \"x\"", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  json Note }", "F024 F042"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  temperature \"hot\" }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  temperature 6 }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  max_tokens 0 }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  temperatur 1 }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  into Note.text  thinking maybe }", "F024"),
        ("takes Doc  gives Note  ask writer { prompt \"p\"  prompt \"q\"  into Note.text }", "F024"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  rounds 21 }}", "F024"),
        ("takes Doc  gives Doc  ask writer { prompt \"p\"  into Doc.tags }  keeps Doc.text", "F021"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  score Note.flag }}", "F021"),
        (f"takes Doc  gives Note  {ASK}  set Note.flag = \"yes\"", "F021"),
        (f"takes Doc  gives Note  {ASK}  set Note.flag = 1", "F021"),
        (f"takes Doc  gives Note  {ASK}  set Note.points = 1.5", "F021"),
        ("takes Doc  gives Note  set Note.text = Doc.title", "F021"),
        ("takes Doc  gives Note  set Note.text = Doc.stars", "F021"),
        (f"takes Doc  gives Note  {ASK}  set Note.points = words(Doc.title)", "F021"),
        ("takes Doc  gives Note  set Note.text = Doc.author.name", "F021"),
        ("takes Doc  gives Note  pre has Doc.author  set Note.text = Doc.author.nick", "F021"),
        ("takes Doc  gives Note  set Note.text = []", "F021"),
        ("gives Note  set Note.text = Doc.text", "F051"),
        ("gives Note  ask writer { prompt \"{{ Doc.text }}\"  into Note.text }", "F051"),
        ("takes Doc  gives Note  ask writer { prompt \"{{ Doc.title }}\"  into Note.text }", "F051"),
        ("takes Doc  gives Note  ask writer { prompt \"{{ Doc.author.name }}\"  into Note.text }", "F051"),
        ("takes Doc  gives Note  ask writer { prompt \"{{ Note.text }}\"  into Note.text }", "F051"),
        ("takes Doc  gives Note  ask writer { prompt \"{{ mood }}\"  into Note.text }  draw mood from moods", "F053"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  prompt \"{{{{ Note.reasoning }}}}\" }}", "F051"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  prompt \"{{{{ Note.score }}}}\" }}", "F051"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric good  prompt \"{{% if Note.score %}}{{{{ Note.score }}}}{{% endif %}}{{{{ Note.points }}}}\" }}", ""),
        ('takes Doc  gives Doc  pre Doc.kind == "raw"  keeps Doc.title  ask writer { prompt "{{ Doc.title }}"  into Doc.text }', "F051"),
        ("takes Dok  gives Note  set Note.text = \"x\"", "F010"),
        ("takes Doc  gives Note  ask writer2 { prompt \"p\"  into Note.text }", "F010"),
        (f"takes Doc  gives Note  {ASK}  judge critic {{ rubric bad }}", "F010"),
        ("takes Doc  gives Note  draw mood from good  set Note.text = \"x\"", "F010"),
        ('takes Doc  gives Note  call "checks:missing"', "F012"),
        ('takes Doc  gives Note  call "checks:nothing"', "F023"),
        ('takes Doc  gives Note  call "checks:BARE"', "F023"),
        ('takes Doc  gives Note  call "os:system"', "F015"),
        (f"takes Doc  gives Note  pre Doc.stars > 3 and Doc.stars < 2  {ASK}", "F031"),
        (f"takes Doc  gives Note  post not has Note  {ASK}", "F031"),
        (f"takes Doc  gives Note  post Note.points in 5..2  {ASK}", "F032"),
        (f"takes Doc  gives Note  pre Doc.kind == \"other\"  {ASK}", "F021"),
        (f"takes Doc  gives Note  pre Doc.text < \"b\"  {ASK}", "F021"),
        (f"takes Doc  gives Note  pre Doc.text == Doc.stars  {ASK}", "F021"),
        (f"takes Doc  gives Note  pre Doc.text  {ASK}", "F022"),
        (f"takes Doc  gives Note  pre words(Doc)  > 1  {ASK}", "F022"),
        (f"takes Doc  gives Note  pre words(Doc.text)  {ASK}", "F022"),
        (f"takes Doc  gives Note  pre same(Doc)  {ASK}", "F023"),
        (f"takes Doc  gives Note  pre same(Doc.text, Doc)  {ASK}", "F023"),
        (f"takes Doc  gives Note  pre matches(Doc.text, \"(\")  {ASK}", "F021"),
        (f"takes Doc  gives Note  pre wrds(Doc.text) > 1  {ASK}", "F010"),
        (f"takes Doc  gives Note  pre Doc.text.x == 1  {ASK}", "F020"),
    ],
)  # fmt: skip
def test_wrong_node(project: Path, body: str, codes: str) -> None:
    _, found = load(project, body)
    errors = sorted({d.code for d in found if d.severity == "error"})
    assert errors == codes.split(), [d.render() for d in found]


def test_defaults_and_constants_are_known_and_steps_keep_their_order(project: Path) -> None:
    body = f"takes Doc  gives Note  draw mood from moods  {ASK}  set Note.flag = true  retry 3  weight 2  train all"
    program, _ = load(project, body)
    assert program is not None
    node = program.graph.nodes()["n"]
    assert node.constants == {("Note", "flag"): True, ("Note", "score"): None, ("Note", "points"): 0}
    assert [type(step).__name__ for step in node.steps] == ["Draw", "Ask", "Assign"]
    assert (node.retry, node.weight, node.train) == (3, 2.0, "all")
    ask = node.steps[1]
    assert ask.reasoning == ("Note", "reasoning"), "thinking goes to the optional text field of that name"  # type: ignore[union-attr]


def test_defaults_of_a_node(project: Path) -> None:
    program, _ = load(project, f"takes Doc  gives Note  {ASK}")
    assert program is not None
    node = program.graph.nodes()["n"]
    assert (node.retry, node.weight, node.train, node.many, node.branch) == (2, 1.0, "final", None, None)


def test_one_mistake_is_said_once_wherever_it_is_used(project: Path) -> None:
    """A struct that is wrong makes no noise where nodes use it."""
    (project / "main.forge").write_text(
        "struct A { x: strr }\ngenerator w\n"
        + "\n".join(
            f'node n{i} {{ takes A  gives A  ask w {{ prompt "{{{{ A.x }}}}"  into A.x }} }}'
            for i in range(5)
        )
        + "\ngraph g { from A  to A  nodes * }"
    )
    report = Report()
    load_program(project / "main.forge", load_project(project), report)
    assert [d.code for d in report.diagnostics] == ["F025"]
