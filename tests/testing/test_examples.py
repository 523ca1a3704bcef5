"""`example` items: compiled with the file, and run with the answers that they write down."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataforge.lang.diagnostics import CompileError
from dataforge.testing.suite import suite_of

FILE = """
struct Note { text: str  kind: "draft" | "clean" = "draft"  author: Author? = null }
struct Author { name: str }
struct Grade { score: float  reasoning: str? = null  comment: str }
generator writer
judge critic
rubric fine { tone "Is it friendly?" in 1..5  accept tone >= 3 }
node tidy {
  takes Note
  gives Note
  pre   Note.kind == "draft"
  post  words(Note.text) >= 2
  keeps Note.author
  ask writer { prompt "Tidy: {{ Note.text }}"  into Note.text }
  set Note.kind = "clean"
  retry 1
}
node shorten {
  takes Note
  gives Note
  pre   Note.kind == "draft", words(Note.text) >= 3
  post  words(Note.text) in 1..2
  keeps Note.author
  ask writer { prompt "Shorten: {{ Note.text }}"  into Note.text }
  set Note.kind = "clean"
}
node grade {
  takes Note
  gives Grade
  pre   Note.kind == "clean"
  ask writer { prompt "Comment on: {{ Note.text }}"  into Grade.comment }
  judge critic { rubric fine  score Grade.score  rounds 0 }
}
graph all {
  from Note where Note.kind == "draft", words(Note.text) >= 3
  to Grade
  nodes *
  emit { user "{{ Note.text }}"  assistant "{{ Grade.comment }}" }
}
"""
GOOD = '"""{"criteria": [{"criterion": "tone", "reason": "kind", "score": 4}]}"""'


def outcome(project: Path, example: str) -> tuple[str, str]:
    """Verdict and message of one example."""
    path = project / "notes.forge"
    path.write_text(FILE + example)
    (item,) = suite_of(path, only=["example " + example.split()[1]]).items
    (finding,) = item.run()
    return finding.verdict, finding.message


@pytest.mark.parametrize(
    "example",
    [
        'example tidy { given Note { text = "helo" }  model writer says "Hello there."'
        '  expect Note.text == "Hello there.", Note.kind == "clean" }',
        'example tidy { given Note { text = "x"  author = { name = "Ann" } }  model writer says "Two words"'
        '  expect Note.author.name == "Ann" }',
        # The first answer breaks `post`, and the second is taken.
        'example tidy { given Note { text = "x" }  model writer says "One"  model writer says "Two words"'
        "  expect words(Note.text) == 2 }",
        'example tidy { given Note { text = "x" }  model writer says "One"  model writer says "One"  expect reject "R101" }',
        'example tidy { given Note { text = "x" }  model writer says ""  model writer says ""  expect reject "empty" }',
        f'example grade {{ given Note {{ text = "x"  kind = "clean" }}  model writer says "Nice." reasoning "Hm."'
        f'  model critic says {GOOD}  expect Grade.score == 4, Grade.reasoning == "Hm." }}',
        f'example all {{ walk tidy, grade  given Note {{ text = "a b c" }}  model writer says "A b c."'
        f'  model writer says "Nice."  model critic says {GOOD}  expect Grade.comment == "Nice.", words(Note.text) == 3 }}',
    ],
)  # fmt: skip
def test_an_example_that_holds_passes(example: str, project: Path) -> None:
    assert outcome(project, example) == ("passed", "")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ('example tidy { given Note { text = "x" }  model writer says "Two words"  expect words(Note.text) == 3 }',
         "words(Note.text) == 3 does not hold: words(Note.text) is 2"),
        ('example tidy { given Note { text = "x" }  model writer says "Two words"  expect reject }',
         "it was to be rejected, and was accepted"),
        ('example tidy { given Note { text = "x" }  model writer says ""  model writer says ""  expect reject "R101" }',
         "it was rejected for another reason: R102: the answer was empty"),
        ('example tidy { given Note { text = "x" }  model writer says ""  model writer says "" }',
         "`tidy` rejected it: R102: the answer was empty"),
        ('example tidy { given Note { text = "x" }  model writer says "" }',
         "`writer` is asked once more, and the example has no further answer for it"),
        ('example tidy { given Note { text = "x" }  model writer says "a b"  model writer says "c d" }',
         "`writer` was not asked for all of its answers"),
        ('example tidy { given Note { text = "x"  kind = "clean" }  model writer says "a b" }',
         'what is given breaks the precondition: Note.kind == "draft" does not hold: Note.kind is \'clean\''),
        ('example all { given Note { text = "a b c" } }', "`all` has 2 walks: say which with `walk NODE, NODE`"),
        ('example all { walk grade, tidy  given Note { text = "a b c" } }', "no walk of the graph visits just these"),
    ],
)  # fmt: skip
def test_an_example_that_fails_says_why(example: str, message: str, project: Path) -> None:
    verdict, found = outcome(project, example)
    assert verdict == "failed"
    assert message in found


@pytest.mark.parametrize(
    ("example", "code", "at"),
    [
        ('example tidi { given Note { text = "x" } }', "F010", "tidi"),
        ("example tidy { expect Note.text == \"x\" }", "F091", "tidy"),
        ('example tidy { given Note { kind = "draft" } }', "F090", "Note"),
        ('example tidy { given Note { text = "x"  kind = "drft" } }', "F090", "kind"),
        ('example tidy { given Note { text = 3 } }', "F090", "text"),
        ('example tidy { given Note { txt = "x"  text = "y" } }', "F020", "txt"),
        ('example tidy { given Note { text = { name = "x" } } }', "F021", "text"),
        ('example tidy { given Note { text = "x"  author = { nme = "A" } } }', "F020", "nme"),
        ('example tidy { given Note { text = "x"  text = "x" } }', "F042", "text"),
        ('example tidy { given Note { text = "x" }  given Note { text = "x" } }', "F042", "Note"),
        ('example tidy { given Note { text = "x" }  model critic says "x" }', "F091", "critic"),
        ('example tidy { given Note { text = "x" }  walk tidy }', "F091", "tidy"),
        ('example all { given Note { text = "a b c" }  walk tdy, grade }', "F010", "tdy"),
        ('example tidy { given Note { text = "x" }  expect Note.txt == "x" }', "F020", "Note.txt"),
        ('example tidy { given Note { text = "x" }  expect reject  expect has Note }', "F091", "has Note"),
    ],
)  # fmt: skip
def test_an_example_that_cannot_be_does_not_compile(example: str, code: str, at: str, project: Path) -> None:
    path = project / "notes.forge"
    path.write_text(FILE + example)
    with pytest.raises(CompileError) as caught:
        suite_of(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.source.text[slice(*found.span)]) == (code, at)
    assert found.help or code == "F091"


def test_examples_of_a_broken_node_add_no_complaint(project: Path) -> None:
    path = project / "notes.forge"
    path.write_text(
        FILE.replace("into Note.text }", "into Note.txt }", 1) + 'example tidy { given Note { text = "x" } }'
    )
    with pytest.raises(CompileError) as caught:
        suite_of(path)
    assert {d.code for d in caught.value.diagnostics} <= {"F020", "F040"}


def test_an_example_of_a_graph_with_inner_graphs_walks_through_them(project: Path) -> None:
    path = project / "nested.forge"
    path.write_text(
        FILE.replace(
            "graph all {",
            'graph clean {\n  from Note where Note.kind == "draft", words(Note.text) >= 3\n'
            '  to Note where Note.kind == "clean"\n  nodes tidy, shorten\n}\ngraph all {',
        ).replace("nodes *", "nodes clean, grade")
        + f'example all {{ walk shorten, grade  given Note {{ text = "a b c" }}  model writer says "A."'
        f'  model writer says "Nice."  model critic says {GOOD}  expect Note.text == "A." }}'
        + 'example all { given Note { text = "a b c" } }'
    )
    first, second = (next(iter(i.run())) for i in suite_of(path).items if i.name == "example all")
    assert (first.verdict, first.message) == ("passed", "")
    assert second.message == "`all` has 2 walks: say which with `walk NODE, NODE`"


BRANCHES = """
struct Doc { text: str  topic: "raw" | "fact" | "fiction" | "other" = "raw" }
struct Sketch { text: str }
struct Note { text: str }
generator writer
node sort {
  takes Doc
  gives Doc
  pre   Doc.topic == "raw"
  post  Doc.topic in {"fact", "fiction", "other"}
  keeps Doc.text
  ask writer { prompt "{{ Doc.text }}"  into Doc.topic }
  branch Doc.topic else reject
}
node sketch { takes Doc  gives Sketch  ask writer { prompt "{{ Doc.text }}"  into Sketch.text } }
node ink { takes Sketch  gives Note  ask writer { prompt "{{ Sketch.text }}"  into Note.text } }
graph draw { from Doc where Doc.topic == "fact"  to Note  nodes sketch, ink }
node tell { takes Doc  gives Note  pre Doc.topic == "fiction"  ask writer { prompt "x"  into Note.text } }
graph main { from Doc where Doc.topic == "raw"  to Note  nodes sort, draw, tell  emit { user "?"  assistant "{{ Note.text }}" } }
"""
SAYS = 'given Doc { text = "x" }  model writer says'


@pytest.mark.parametrize(
    ("example", "verdict", "message"),
    [
        (f'{SAYS} "fact"  model writer says "s"  model writer says "n"  walk sort, sketch, ink  expect Note.text == "n",'
         " not has Sketch", "passed", ""),
        (f'{SAYS} "fiction"  model writer says "n"  walk sort, tell  expect Note.text == "n"', "passed", ""),
        (f'{SAYS} "other"  walk sort, tell  expect reject "R109"', "passed", ""),
        (f'{SAYS} "fact"  walk sort, tell', "failed", "after sort, what came out does not lead to `tell`"),
    ],
    ids=["inner structs stay inside", "a branch", "an outcome that is rejected", "another outcome"],
)  # fmt: skip
def test_an_example_of_a_graph_goes_as_a_run_does(
    example: str, verdict: str, message: str, project: Path
) -> None:
    path = project / "main.forge"
    path.write_text(BRANCHES + "example main { " + example + " }")
    (item,) = suite_of(path, only=["example main"]).items
    (finding,) = item.run()
    assert (finding.verdict, finding.message) == (verdict, message)


def test_a_graph_with_more_walks_than_could_be_listed_is_no_trouble(project: Path) -> None:
    """3 ** 40 walks through the inner graph, and one past it."""
    kinds = " | ".join(f'"k{i}"' for i in range(41))
    steps = "\n".join(
        f'node n{i}_{j} {{ takes D  gives D  pre D.k == "k{i}"  keeps D.t  set D.k = "k{i + 1}" }}'
        for i in range(40)
        for j in range(3)
    )
    path = project / "wide.forge"
    path.write_text(
        f"struct D {{ t: str  k: {kinds} }}\nstruct E {{ t: str }}\n{steps}\n"
        "node last { takes D  gives E  set E.t = D.t }\n"
        'graph inner { from D where D.k == "k0"  to D where D.k == "k40"  nodes * except last }\n'
        'graph outer { from D where D.k == "k0"  to E  nodes inner, last  emit { user "?"  assistant "{{ E.t }}" } }\n'
        'example outer { given D { t = "x"  k = "k0" } }'
    )
    (item,) = suite_of(path, only=["example outer"]).items
    (finding,) = item.run()
    assert f"has {3**40 + 1:,} walks" in finding.message
