"""Whatever samples come to, what a node keeps of them follows from its rule, and all of them are on record once."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.actions.context import Purpose, Rejected, RowContext
from dataforge.actions.node import run_node
from dataforge.actions.rollouts import near
from dataforge.domain import actions as a
from dataforge.domain.measures import simple_tokens
from dataforge.models.client import ChatReply, ChatRequest
from dataforge.plan.artifact import compile_program
from dataforge.verifiers import Checks, Response, Verdict, Verifier
from dataforge.verifiers.protocol import error, failed, passed
from schemas.task import Task

FILE = """
from schemas.task import Task
struct Note {{ text: str  score: float = 0  rate: float = 0 }}
generator writer
node solve {{
  takes Task
  gives {many} Note
  ask writer {{ prompt "{{{{ Task.prompt }}}}"  into Note.text }}
  verify Task {{ samples {samples}  keep {keep}  score Note.score {more} }}
}}
graph main {{ from Task  to Note  nodes solve  emit {{ user "{{{{ Task.prompt }}}}"  assistant "{{{{ Note.text }}}}" }} }}
"""
WORDS = tuple(" ".join(f"{theme}{n}" for n in range(40)) for theme in ("sea", "hill", "town"))


samples = st.lists(
    st.tuples(
        st.sampled_from(["passed", "failed", "error"]),
        st.sampled_from([0.25, 0.5, 1.0]),
        st.sampled_from(WORDS),
    ),
    min_size=1,
    max_size=7,
)


def node_of(folder: Path, keep: str, count: int) -> a.Node:
    many = "many 1..2" if keep == "all" else ""
    more = "" if keep == "first" else "rate Note.rate"
    path = folder / f"{keep}{count}.forge"
    path.write_text(FILE.format(keep=keep, samples=count, many=many, more=more))
    node = compile_program(path).graph.members["solve"]
    assert isinstance(node, a.Node)
    return node


class Nodes(dict[tuple[str, int], a.Node]):
    """By rule and count; short to print."""

    def __repr__(self) -> str:
        return "nodes"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Nodes:
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "dataforge.toml").write_text('[project]\nname = "test"\n')
    kinds = itertools.product(["best", "first", "all"], range(1, 8))
    return Nodes({(keep, count): node_of(folder, keep, count) for keep, count in kinds})


def sampled(
    node: a.Node, drawn: list[tuple[str, float, str]]
) -> tuple[RowContext, list[RowContext] | Rejected]:
    """Run the node with samples that come out as drawn, in an order that the event loop decides."""
    texts = [f"{words} {number}" for number, (_, _, words) in enumerate(drawn)]

    async def call(model: a.Model, request: ChatRequest, node: str, purpose: Purpose) -> ChatReply:
        for _ in range(random.Random(str(drawn) + str(request.attempt)).randrange(5)):
            await asyncio.sleep(0)
        return ChatReply(text=texts[request.attempt], model=model.name, completion_tokens=7)

    class Scripted(Checks):
        def flaw(self, verifier: Verifier[Any] | None, task: Task) -> str:
            return ""

        async def verdict(self, verifier: Verifier[Any] | None, task: Task, response: Response) -> Verdict:
            outcome, score, _ = drawn[texts.index(response.text)]
            await asyncio.sleep(0)
            if outcome == "error":
                return error("timeout", "too slow")
            return passed(score=score) if outcome == "passed" else failed("no", score=score / 2)

    context = RowContext(
        0, 0, call, simple_tokens, random.Random, {"Task": Task(prompt="What?", verifier="any")}
    )
    context.check = Scripted()
    try:
        return context, asyncio.run(run_node(node, "solve", context))
    except Rejected as rejected:
        return context, rejected


@settings(max_examples=150, deadline=None)
@given(drawn=samples, keep=st.sampled_from(["best", "first", "all"]))
def test_what_is_kept_follows_from_the_rule(
    nodes: Nodes, drawn: list[tuple[str, float, str]], keep: str
) -> None:
    context, after = sampled(nodes[keep, len(drawn)], drawn)
    right = [n for n, (outcome, _, _) in enumerate(drawn) if outcome == "passed"]
    judged = [n for n, (outcome, _, _) in enumerate(drawn) if outcome != "error"]
    if isinstance(after, Rejected):
        assert not right
        assert after.code == ("R111" if judged else "R112")
        assert [lost.sample for lost in context.lost] == list(range(len(drawn)))
        assert len(context.exchanges) == len(drawn)
        return
    notes: list[Any] = [row.state["Note"] for row in after]
    numbers = [int(note.text.split()[-1]) for note in notes]
    assert set(numbers) <= set(right)
    assert [note.score for note in notes] == [drawn[n][1] for n in numbers]
    if keep == "first":
        assert len(notes) == 1
        return
    assert {note.rate for note in notes} == {len(right) / len(judged)}
    lost = [lost for row in after for lost in row.lost]
    assert [entry.sample for entry in lost] == [n for n in range(len(drawn)) if n not in numbers]
    codes = {"passed": "R115", "failed": "R111", "error": "R112"}
    assert [entry.code for entry in lost] == [codes[drawn[entry.sample][0]] for entry in lost]
    highest = max(drawn[n][1] for n in right)
    if keep == "best":
        assert numbers == [min(n for n in right if drawn[n][1] == highest)]
        return
    assert highest in [note.score for note in notes]
    assert numbers == sorted(numbers)
    assert len(numbers) == min(
        2, len({drawn[n][2] for n in right})
    )  # texts of the same words are near-duplicates
    assert not any(near(x.text, y.text) for x, y in itertools.combinations(notes, 2))
    for row in after:
        assert len(row.standing) == 1


@given(st.text(), st.text())
def test_nearness_is_symmetric_and_holds_of_a_text_itself(left: str, right: str) -> None:
    assert near(left, left)
    assert near(left, right) == near(right, left)
    assert near(left, f" {left}\n".replace(" ", "  "))
