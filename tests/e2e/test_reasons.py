"""Every reason for which a row ends before the target, provoked and mended against a real server."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataforge.actions.context import RowContext
from dataforge.actions.node import run_node
from dataforge.corpus.read import read_rows
from dataforge.domain import templates
from dataforge.domain.measures import simple_tokens
from dataforge.errors import ContractBug
from dataforge.plan.artifact import compile_program
from tests.e2e.server import ModelServer
from tests.e2e.test_run import go, write_project

PROGRAM = """
struct Doc { text: str }
struct Note { text: str  mood: "calm" | "stern" = "calm"  score: float? = null }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5  accept clear >= 3 }
node jot {
  takes Doc
  gives Note
  ask writer { prompt "Jot: {{ Doc.text }}"  into Note.text }
  ask writer { prompt "Mood: {{ Doc.text }}"  into Note.mood }
  judge critic { rubric good  score Note.score }
  retry 1
}
graph main { from Doc  to Note  nodes *  seeds "seeds.jsonl"  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" } }
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.answers = {"^Jot": "a note", "^Mood": "stern"}
        yield running


def reasons(tmp_path: Path, server: ModelServer, out: str, text: str = PROGRAM) -> set[str]:
    plan = compile_program(write_project(tmp_path, text, [{"text": "water is wet, and so is rain"}]))
    go(plan, tmp_path / out, server)
    return {json.loads(r.reason or "{}")["code"] for r in read_rows(tmp_path / out, rejected=True)}


def test_r102_an_answer_that_was_cut_off_or_empty(tmp_path: Path, server: ModelServer) -> None:
    server.finish_reason = "length"
    assert reasons(tmp_path, server, "cut") == {"R102"}
    server.finish_reason = "stop"
    server.answers["^Jot"] = "  "
    assert reasons(tmp_path, server, "empty") == set(), "asked again with the reason, it gave a text"
    server.answers["^Jot"] = "a note"
    assert reasons(tmp_path, server, "mended") == set()


def test_r103_an_answer_of_the_wrong_form(tmp_path: Path, server: ModelServer) -> None:
    server.answers |= {"^Mood": "furious", "^That is not": "furious"}
    assert reasons(tmp_path, server, "wrong") == {"R103"}
    server.answers |= {"^That is not": "Stern."}
    assert reasons(tmp_path, server, "mended") == set()


def test_r106_a_judge_that_gives_no_verdict(tmp_path: Path, server: ModelServer) -> None:
    server.verdict = "It is fine, I think."
    assert reasons(tmp_path, server, "mumbling") == {"R106"}
    server.verdict = None
    assert reasons(tmp_path, server, "mended") == set()


def test_r105_a_prompt_that_grows_too_large(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(templates, "MAX_RENDERED_CHARS", 20)  # as long as the longest template
        assert reasons(tmp_path, server, "large") == {"R105"}
    assert reasons(tmp_path, server, "mended") == set()


def test_r110_an_emitted_list_without_messages(tmp_path: Path, server: ModelServer) -> None:
    text = """
    struct Doc { text: str }
    struct Chat { messages: list[str] }
    node talk { takes Doc  gives Chat  set Chat.messages = ["not a message"] }
    graph main { from Doc  to Chat  nodes *  seeds "seeds.jsonl"  emit Chat.messages }
    """
    assert reasons(tmp_path, server, "none", text) == {"R110"}
    mended = (
        text.replace("list[str]", "list[Turn]")
        .replace('set Chat.messages = ["not a message"]', 'call "functions:talk"')
        .replace("struct Chat", 'struct Turn { role: "user" | "assistant"  content: str }\n    struct Chat')
    )
    functions = 'def talk(doc):\n    return {"messages": [{"role": "assistant", "content": doc.text}]}\n'
    plan = compile_program(write_project(tmp_path, mended, [{"text": "water is wet"}], functions))
    assert go(plan, tmp_path / "some", server).kept == 1


def test_r099_a_precondition_that_fails_on_a_linked_edge_is_our_bug(
    tmp_path: Path, server: ModelServer
) -> None:
    text = PROGRAM.replace("gives Note\n", "gives Note\n  pre words(Doc.text) >= 2\n").replace(
        "from Doc ", "from Doc where words(Doc.text) >= 2 "
    )
    plan = compile_program(write_project(tmp_path, text, [{"text": "water is wet, and so is rain"}]))
    doc = plan.program.structs["Doc"].model(text="one")

    async def nobody(*_: object) -> None:
        raise AssertionError("no model is asked")

    context = RowContext(0, 0, nobody, simple_tokens, lambda _: random.Random(0), {"Doc": doc})  # type: ignore[arg-type]
    with pytest.raises(ContractBug, match="linked where its precondition does not hold") as error:
        asyncio.run(run_node(plan.graph.nodes()["jot"], "jot", context))
    assert error.value.code == "R099"
    assert go(plan, tmp_path / "mended", server).kept == 1
