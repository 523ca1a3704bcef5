"""No judge is asked of work that is broken already; apart from that, nothing comes out otherwise."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.actions import node as running
from dataforge.actions.context import Rejected, RowContext
from dataforge.domain import actions as a
from dataforge.domain.measures import simple_tokens
from dataforge.models import grading
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.plan.artifact import compile_program

PROGRAM = """
struct Doc { text: str  lang: str = "en" }
struct Note { text: str  title: str = ""  score: float? = null  mood: "calm" | "stern" = "calm"  lang: str = "" }
generator writer
judge critic
rubric good { clear "Is it clear?" in 1..5  accept clear >= 2 }
node jot {
  takes Doc
  gives Note
  post  %s
  ask   writer { prompt "Write: {{ Doc.text }}"  into Note.text }
  judge critic { rubric good  score Note.score  rounds 1 }
  ask   writer { prompt "Title: {{ Note.text }}"  into Note.title }
  set   Note.lang = Doc.lang
  retry 3
}
graph main { from Doc  to Note  nodes *  emit { user "{{ Doc.text }}"  assistant "{{ Note.text }}" } }
"""
POSTS = [
    "words(Note.text) >= 3",
    "words(Note.text) in 3..4, Note.score >= 4",
    'matches(Note.text, "^a"), Note.score >= 4',
    "words(Note.text) > words(Doc.text)",
    "words(Note.text) < words(Note.title)",
    "words(Note.text) >= 3 and words(Note.title) >= 2",
    "words(Note.text) >= 3 or words(Note.title) >= 2",
    'not Note.text == "a b"',
    'Note.lang == "en"',
    'Note.mood == "calm", has Note',
]


def node_of(folder: Path, post: str) -> a.Node:
    (folder / "dataforge.toml").write_text("")
    (folder / "main.forge").write_text(PROGRAM % post)
    return compile_program(folder / "main.forge").graph.nodes()["jot"]


class Models:
    """Answers in the order given, the last one for ever; one verdict always. Counts who was asked."""

    def __init__(self, texts: list[str], titles: list[str], score: int) -> None:
        self.left = {"Write": list(texts), "Title": list(titles)}
        self.score = score
        self.asked: Counter[str] = Counter()

    async def __call__(self, model: a.Model, request: ChatRequest, node: str, purpose: str) -> ChatReply:
        task = grading.read(request.messages)
        if task is not None:
            self.asked["judge"] += 1
            marks = [{"criterion": c.name, "reason": "so", "score": self.score} for c in task.criteria]
            return ChatReply(json.dumps({"criteria": marks}))
        kind = next(m.content for m in request.messages if m.role == "user")[:5]
        self.asked[kind] += 1
        queue = self.left[kind]
        return ChatReply(queue.pop(0) if len(queue) > 1 else queue[0])


def outcome(node: a.Node, models: Models, doc: BaseModel) -> tuple[str, object]:
    context = RowContext(0, 0, models, simple_tokens, lambda _: random.Random(0), {"Doc": doc})
    try:
        (after,) = asyncio.run(running.run_node(node, "jot", context))
    except Rejected as rejected:
        return rejected.code, None
    return "kept", after.state["Note"]


def test_a_draft_that_is_too_short_costs_no_verdict(tmp_path: Path) -> None:
    node = node_of(tmp_path, "words(Note.text) in 3..40, Note.score >= 4")
    models = Models(["short", "short still", "a text that is long enough"], ["a title"], 5)
    code, note = outcome(node, models, node.takes["Doc"].model(text="x"))
    assert code == "kept"
    assert note == node.gives["Note"].model(
        text="a text that is long enough", title="a title", score=5, lang="en"
    )
    assert models.asked == {"Write": 3, "judge": 1, "Title": 1}


def test_work_that_never_gets_there_is_rejected_without_a_verdict(tmp_path: Path) -> None:
    node = node_of(tmp_path, "words(Note.text) >= 3")
    models = Models(["short"], ["a title"], 5)
    assert outcome(node, models, node.takes["Doc"].model(text="x")) == ("R101", None)
    assert models.asked == {"Write": 4}


def test_what_a_later_step_writes_waits_for_it(tmp_path: Path) -> None:
    node = node_of(tmp_path, "words(Note.title) >= 2, Note.score >= 4")
    models = Models(["text"], ["one", "two words"], 5)
    assert outcome(node, models, node.takes["Doc"].model(text="x"))[0] == "kept"
    assert models.asked["judge"] == 2


WORDS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5).map(" ".join)


@pytest.mark.parametrize("post", POSTS)
def test_the_outcome_is_that_of_judging_everything(
    post: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_of(tmp_path, post)
    check = running.broken_already

    @given(st.lists(WORDS, min_size=1, max_size=5), WORDS, st.sampled_from([3, 5]))
    def law(texts: list[str], title: str, score: int) -> None:
        doc = node.takes["Doc"].model(text="a b")
        early, late = Models(texts, [title], score), Models(texts, [title], score)
        monkeypatch.setattr(running, "broken_already", check)
        found = outcome(node, early, doc)
        monkeypatch.setattr(running, "broken_already", lambda draft: [])
        assert found == outcome(node, late, doc)
        assert early.asked["judge"] <= late.asked["judge"]
        assert early.asked["Write"] == late.asked["Write"]

    law()


def test_models_with_validators_are_judged_as_they_end(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(
        "from pydantic import BaseModel, field_validator\n"
        "class Padded(BaseModel):\n"
        "    text: str\n    score: float | None = None\n"
        "    @field_validator('text')\n    @classmethod\n"
        "    def pad(cls, value: str) -> str:\n        return value + ' and more words'\n"
        "class Trimmed(BaseModel, str_strip_whitespace=True, str_to_upper=True):\n"
        "    text: str\n    score: float | None = None\n"
    )
    (tmp_path / "dataforge.toml").write_text("")
    for name, post, judged in [
        ("Padded", "words(Made.text) >= 4", 1),
        ("Trimmed", 'Made.text == "ONE"', 1),
        ("Trimmed", 'Made.text == "one"', 0),
    ]:
        (tmp_path / "main.forge").write_text(
            f"""
            from shapes import {name} as Made
            struct Doc {{ text: str }}
            generator writer
            judge critic
            rubric good {{ clear "Is it clear?" in 1..5 }}
            node jot {{
              takes Doc  gives Made  post {post}  retry 0
              ask   writer {{ prompt "Write: {{{{ Doc.text }}}}"  into Made.text }}
              judge critic {{ rubric good  score Made.score }}
            }}
            graph main {{ from Doc  to Made  nodes *  emit {{ user "{{{{ Doc.text }}}}"  assistant "{{{{ Made.text }}}}" }} }}
            """
        )
        node = compile_program(tmp_path / "main.forge").graph.nodes()["jot"]
        models = Models(["one"], ["-"], 5)
        context = RowContext(
            0,
            0,
            models,
            simple_tokens,
            lambda _: random.Random(0),
            {"Doc": node.takes["Doc"].model(text="x")},
        )
        try:
            asyncio.run(running.run_node(node, "jot", context))
        except Rejected as rejected:
            assert rejected.code == "R101"
            assert not judged
        assert models.asked["judge"] == judged
