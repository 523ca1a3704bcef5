"""Nodes that are right and unusual pass; functions that misbehave in unusual ways are found, and nothing is a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.testing.findings import Finding
from dataforge.testing.suite import suite_of

PRELUDE = """
struct Doc { text: str  kind: "a" | "b" = "a"  n: int = 1 }
struct Out { text: str  n: int = 0  score: float? = null }
struct Facts { people: list[str] }
generator writer
generator other
judge critic
rubric safe { toxicity "How toxic is it?" in 1..5  accept toxicity <= 2 }
rubric one { c "Is it so?" in 1..5 }
rubric two { c "Is it so?" in 0..1 }
"""


@pytest.fixture(autouse=True)
def _forget_functions() -> Iterator[None]:
    yield
    sys.modules.pop("odd", None)


def findings(project: Path, node: str, module: str = "") -> list[Finding]:
    (project / "odd.py").write_text(module)
    path = project / "odd.forge"
    path.write_text(PRELUDE + node)
    return [f for item in suite_of(path, examples=40).items for f in item.run()]


@pytest.mark.parametrize(
    "node",
    [
        'node f { takes Doc  gives Out  post words(Out.text) >= 1'
        '  ask writer { prompt "x {{ Doc.text }}"  into Out.text }  judge critic { rubric safe } }',
        'node f { takes Doc  gives Out  post Out.score in 2..3'
        '  ask writer { prompt "x {{ Doc.text }}"  into Out.text }  judge critic { rubric one  score Out.score } }',
        'node f { takes Doc  gives Out  post words(Out.text) >= 1  ask writer { prompt "x"  into Out.text }'
        "  judge critic { rubric one }  judge critic { rubric two } }",
        'node f { takes Doc  gives Out, Facts  post words(Out.text) in 1..9, len(Facts.people) >= 1'
        '  ask writer { prompt "x {{ Doc.text }}"  json Facts }'
        '  ask other { prompt "About {{ Facts.people | first }}"  into Out.text } }',
    ],
    ids=["lower is better", "a score in between", "two judges", "a model's answer breaks the next prompt"],
)  # fmt: skip
def test_a_right_node_passes(node: str, project: Path) -> None:
    assert [(f.check, f.message) for f in findings(project, node) if f.verdict != "passed"] == []


CALL = 'node f { takes Doc  gives Out  post Out.n >= 0  call "odd:f" }'


@pytest.mark.parametrize(
    ("node", "module", "message"),
    [
        (CALL, "from dataforge import Reject\nseen = set()\ndef f(doc):\n    if doc.text in seen:\n"
         "        raise Reject('dup')\n    seen.add(doc.text)\n    return {'text': doc.text}\n", "for one state"),
        (CALL, "import sys\ndef f(doc):\n    sys.exit(0)\n", "raised SystemExit"),
        (CALL, "def f(doc):\n    x = {}\n    x['text'] = x\n    return x\n", "returned no `Out`"),
        (CALL, "def f(doc):\n    return object()\n", "returned no `Out`"),
        (CALL, "def f(doc):\n    return {'text': doc.text, 'score': float('nan')}\n", "not finite"),
        ('predicate ok(Doc) = "odd:ok"\nnode f { takes Doc  gives Out  pre ok(Doc)  ask writer { prompt "x"  into Out.text }'
         "  set Out.n = 1 }", "def ok(doc):\n    return {'a': True}[doc.kind]\n", "KeyError"),
    ],
    ids=["a state of its own", "exit", "contains itself", "no data", "no number", "a predicate that fails for some"],
)  # fmt: skip
def test_an_odd_function_is_found_and_named(node: str, module: str, message: str, project: Path) -> None:
    failed = [f.message for f in findings(project, node, module) if f.verdict == "failed"]
    assert any(message in text for text in failed), failed
