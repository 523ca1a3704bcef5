"""Shipped graphs with a broken contract each: `dataforge test` finds every one, and nothing in the unbroken."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.lang.diagnostics import CompileError
from dataforge.testing.findings import Finding
from dataforge.testing.suite import suite_of
from tests.testing.shipped import GRAPHS, copy_of

SUMMARISE = """  ask writer {
    prompt file "prompts/summarise.j2"
    into Passage.text
  }
  set Passage.kind = "summary"
"""
CALL = '  call "faults:summarise"\n'
CONTEXTUAL = "pre   Instruction.contextual\n  post  Answer.score >= 3, words(Answer.text) in 3..80"


@pytest.fixture(autouse=True)
def _forget_faults() -> Iterator[None]:
    yield
    sys.modules.pop("faults", None)


def findings(path: Path, examples: int = 100) -> list[Finding]:
    return [f for item in suite_of(path, examples=examples).items for f in item.run()]


def not_passed(path: Path) -> list[tuple[str, str, str, str]]:
    return [(f.subject, f.check, f.verdict, f.message) for f in findings(path) if f.verdict != "passed"]


@pytest.mark.parametrize("name", sorted(path.name for path in GRAPHS.glob("*.forge")))
def test_unbroken_graphs_pass_without_a_warning(name: str, project: Path) -> None:
    assert not_passed(copy_of(name, project, examples=True)) == []


FAULTS: dict[str, tuple[list[tuple[str, str]], str, str, str, str]] = {
    # fault: (changes, module, check, verdict, part of the message)
    "a call that breaks its post": (
        [(SUMMARISE, CALL)],
        "def summarise(passage):\n"
        "    return {'text': ' '.join(passage.text.split()[:12]), 'kind': 'summary'}\n",
        "calls",
        "failed",
        "words(Passage.text) in 15..100 does not hold: words(Passage.text) is 12",
    ),
    "a call that breaks its post in one case": (
        [(SUMMARISE, CALL)],
        "def summarise(passage):\n"
        "    n = 20 if passage.title.isascii() else 12\n"
        "    return {'text': ' '.join(passage.text.split()[:n]), 'kind': 'summary'}\n",
        "calls",
        "failed",
        "words(Passage.text) is 12",
    ),
    "a call that changes what it was given": (
        [(SUMMARISE, CALL)],
        "def summarise(passage):\n"
        "    passage.text = ' '.join(passage.text.split()[:20])\n"
        "    passage.kind = 'summary'\n"
        "    return passage\n",
        "calls",
        "failed",
        "changed what it was given: Passage",
    ),
    "a call that gives two answers for one state": (
        [(SUMMARISE, CALL)],
        "import itertools\n"
        "count = itertools.count(20)\n"
        "def summarise(passage):\n"
        "    return {'text': ' '.join(passage.text.split()[:next(count) % 40 + 20]), 'kind': 'summary'}\n",
        "calls",
        "failed",
        "returned two things for one state",
    ),
    "a call that fails on some states": (
        [(SUMMARISE, CALL)],
        "def summarise(passage):\n"
        "    first = passage.text.split('water')[1]\n"
        "    return {'text': ' '.join(passage.text.split()[:20]) + first[:0], 'kind': 'summary'}\n",
        "calls",
        "failed",
        "raised IndexError",
    ),
    "a call that rejects everything": (
        [(SUMMARISE, CALL)],
        "from dataforge.errors import Reject\ndef summarise(passage):\n    raise Reject('too long')\n",
        "calls",
        "warning",
        "rejected every state: too long",
    ),
    "a post that promises nothing": (
        [(CONTEXTUAL, "pre   Instruction.contextual\n  post  words(Answer.text) >= 0")],
        "",
        "promises something",
        "warning",
        "guarantees nothing",
    ),
    "a part of a post that promises nothing": (
        [("post  Passage.kind == \"summary\", words(", "post  Passage.kind == \"summary\", chars(Passage.text) >= 0, words(")],
        "",
        "promises something",
        "warning",
        "`chars(Passage.text) >= 0` always holds",
    ),
    "a post that contradicts what is set": (
        [('set Passage.kind = "summary"', 'set Passage.kind = "notes"'), ('post  Passage.kind == "summary"', 'post  Passage.kind != "notes"')],
        "",
        "can succeed",
        "failed",
        "no outcome was accepted, however well the models answered",
    ),
    "a post that no text satisfies": (
        [("words(Passage.text) in 15..100", "words(Passage.text) in 15..100, chars(Passage.text) < 20")],
        "",
        "satisfiable",
        "failed",
        "`post`: no state could be made",
    ),
    "a pre that no text satisfies": (
        [("words(Passage.text) >= 80\n  post", "words(Passage.text) >= 80, chars(Passage.text) < 100\n  post")],
        "",
        "satisfiable",
        "failed",
        "`pre`: no state could be made",
    ),
    "a score that the rubric cannot give": (
        [(CONTEXTUAL, "pre   Instruction.contextual\n  post  Answer.score > 5, words(Answer.text) in 3..80")],
        "",
        "can succeed",
        "failed",
        "Answer.score > 5 does not hold",
    ),
    "a rubric that accepts nothing": (
        [("accept ", "accept score > 5 and ")],
        "",
        "can succeed",
        "failed",
        "R107",
    ),
    "a prompt that some states break": (
        [('file "prompts/answer_from_passage.j2"', '"{{ Answer_length }} {{ Passage.text }}"'),
         ("node answer_from_passage {", "list sizes = [3, 4]\nnode answer_from_passage {"),
         ("pre   Instruction.contextual", "draw  Answer_length from sizes\n  pre   Instruction.contextual"),
         ('"{{ Answer_length }}', '"{{ Answer_length | length }}')],
        "",
        "survives",
        "failed",
        "a prompt cannot be written",
    ),
    "a predicate that fails": (
        [(CONTEXTUAL, "pre   Instruction.contextual, good(Passage)\n  post  Answer.score >= 3, words(Answer.text) in 3..80"),
         ("node summarise {", 'predicate good(Passage) = "faults:good"\nnode summarise {')],
        "def good(passage):\n    return passage.text[1000] == 'a'\n",
        "satisfiable",
        "failed",
        "IndexError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_is_found(fault: str, project: Path) -> None:
    changes, module, check, verdict, part = FAULTS[fault]
    found = not_passed(copy_of("quickstart.forge", project, *changes, module=module))
    assert any(f[1] == check and f[2] == verdict and part in f[3] for f in found), found
    assert {f[0] for f in found} <= {found[0][0], "answer_standalone"}, (
        "a fault of one node is found in others"
    )


def test_a_template_with_an_unguaranteed_field_does_not_compile(project: Path) -> None:
    path = copy_of(
        "quickstart.forge", project, ('file "prompts/answer_from_passage.j2"', '"{{ Answer.reasoning }}"')
    )
    with pytest.raises(CompileError, match="F051"):
        suite_of(path)


def test_a_missing_edge_does_not_compile(project: Path) -> None:
    path = copy_of(
        "quickstart.forge", project, ("Answer where Answer.score >= 3", "Answer where Answer.score >= 4")
    )
    with pytest.raises(CompileError, match="F061"):
        suite_of(path)


def test_a_broken_contract_is_shown_small_and_replays(project: Path) -> None:
    changes, module, *_ = FAULTS["a call that breaks its post in one case"]
    path = copy_of("quickstart.forge", project, *changes, module=module)
    first, again = (next(f for f in findings(path) if f.verdict == "failed") for _ in range(2))
    assert first.state == again.state
    assert first.state is not None
    passage = first.state["Passage"]
    assert not passage["title"].isascii()
    assert len(passage["text"].split()) == 80  # the least that `pre` allows
    assert passage["lang"] == passage["source"] == ""
    assert f"--only summarise --seed {first.seed}" in first.render(str(path))
    json.dumps(first.to_json())


def test_hostile_answers_reach_every_way_to_be_rejected(project: Path) -> None:
    """A law that no example puts to the test would always hold."""
    from dataforge.testing import contracts

    seen: set[str] = set()
    check = contracts.NodeTest._check_outcome

    def watch(self, before, used, outcome):  # type: ignore[no-untyped-def]
        seen.add(outcome.rejected.code if outcome.rejected else "accepted")
        check(self, before, used, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts.NodeTest, "_check_outcome", watch)
        assert all(f.verdict == "passed" for f in findings(copy_of("quickstart.forge", project), 300))
    assert seen >= {"accepted", "R101", "R102", "R106", "R107"}


def test_a_node_that_accepts_what_breaks_its_post_is_found(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run engine checks `post`; were it to forget, this is what would find it."""
    monkeypatch.setattr("dataforge.actions.attempt.broken", lambda *_: [])
    found = not_passed(copy_of("quickstart.forge", project))
    assert any(
        check == "survives" and "it accepted an outcome that breaks `post`" in text
        for _, check, _, text in found
    )
