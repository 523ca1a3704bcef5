"""What a log amounts to: figures that add up, bounds that hold, and estimators that are what they say."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataforge.models.client import ChatReply
from dataforge.verifiers import Response
from dataforge.verifiers.protocol import error, failed, passed, unparsed
from evals.score import judged_again, sample_of, status_of
from evals.summary import pass_at_k, summarise
from evals.task import Item
from schemas.evallog import GRADED, LOST, OF_THE_MODEL, Sample
from schemas.task import Task

STATUSES = (*OF_THE_MODEL, *LOST)
VERDICTS = st.sampled_from([passed("B", (0, 1)), failed("no"), unparsed("?"), error("timeout", "late"), None])
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])


@st.composite
def logs(draw: Any) -> list[Sample]:
    found = []
    for item in range(draw(st.integers(1, 12))):
        for number in range(draw(st.integers(1, 4))):
            status = draw(st.sampled_from(STATUSES))
            score = None if status in LOST else float(status == "right")
            answered = status in OF_THE_MODEL
            found.append(
                Sample(
                    task="t",
                    item=str(item),
                    sample=number,
                    cluster=str(item % draw(st.sampled_from([3, 100]))),
                    status=status,
                    score=score,
                    extracted=draw(st.sampled_from("ABC")) if status in GRADED else None,
                    finish_reason=("length" if status == "overlong" else "stop") if answered else None,
                    completion_tokens=draw(st.integers(0, 50)),
                )
            )
    return found


@given(logs())
def test_every_sample_is_counted_once_and_the_score_lies_between_its_bounds(samples: list[Sample]) -> None:
    told = summarise(samples)
    assert sum(told.status.values()) == told.samples == len(samples)
    assert told.low is not None
    assert told.high is not None
    assert 0 <= told.low <= told.high <= 1
    if not told.lost:
        assert told.low == told.high
    if told.score is not None:
        for figure in (told.score, *([told.of_parsed] if told.of_parsed else [])):
            assert figure.low is None or (
                figure.high is not None and figure.low <= figure.value <= figure.high
            )
    assert (told.score is None) == (told.lost == told.samples)


@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(samples: list[Sample], rng: Any) -> None:
    before = summarise(samples).to_json()
    rng.shuffle(samples)
    after = summarise(samples).to_json()
    for name in ("status", "low", "high", "pass_at", "majority", "score", "of_parsed"):
        assert _close(before[name], after[name]), name


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    return one == other or (isinstance(one, float) and math.isclose(one, other, abs_tol=1e-12))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(n: int) -> None:
    for right in range(n + 1):
        answers = [True] * right + [False] * (n - right)
        for k in range(1, n + 1):
            draws = list(itertools.combinations(answers, k))
            assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_the_answer_given_most_often_decides_and_equal_votes_share() -> None:
    def log(*answers: str) -> list[Sample]:
        return [
            Sample(task="t", item="1", sample=n, extracted=a or None, score=float(a == "B"),
                   status="unparsed" if not a else "right" if a == "B" else "wrong")
            for n, a in enumerate(answers)
        ]  # fmt: skip

    assert summarise(log("B", "B", "A")).majority == 1.0
    assert summarise(log("A", "A", "B")).majority == 0.0
    assert summarise(log("A", "B", "")).majority == 0.5, "who says nothing does not vote"
    assert summarise(log("", "", "")).majority == 0.0
    assert summarise(log("A", "B")).majority is None


@given(VERDICTS, REASONS)
def test_a_status_is_never_wrong_for_what_is_not_the_models_fault(verdict: Any, finish: str) -> None:
    status = status_of(Response("It is B", finish_reason=finish), verdict)
    if finish == "content_filter":
        assert status == "refused"
    elif verdict is not None and verdict.outcome == "error":
        assert status == "fault"
    elif verdict is not None and verdict.passed:
        assert status == "right"
    elif finish == "length":
        assert status == "overlong"


def test_judged_again_a_record_keeps_what_was_said() -> None:
    item = Item("1", Task(prompt="?"), notes={"category": "x"})
    response = Response("It is B", finish_reason="stop")
    reply = ChatReply("It is B", completion_tokens=4, latency_s=1.5)
    wrong = sample_of("t", item, 0, response, failed("no", "A"), [reply])
    right = judged_again(wrong, passed("B", (6, 7)), notes={"with": "another"})
    assert (wrong.status, right.status, right.score, right.extracted, right.span) == (
        "wrong",
        "right",
        1.0,
        "B",
        (6, 7),
    )
    assert (right.completion, right.completion_tokens, right.latency_s) == ("It is B", 4, 1.5)
    assert right.notes == {"category": "x", "with": "another"}
    assert judged_again(right, error("verifier", "broke")).score is None


def test_a_score_at_a_budget_counts_what_was_said_within_it() -> None:
    told = [
        ("a", 10, "right"),
        ("a", 100, "right"),
        ("b", 40, "right"),
        ("b", 30, "wrong"),
        ("c", 200, "overlong"),
    ]
    samples = [
        Sample(task="t", item=item, sample=k, status=status, score=float(status == "right"), finish_reason="stop",  # type: ignore[arg-type]
               completion_tokens=tokens)
        for k, (item, tokens, status) in enumerate(told)
    ]  # fmt: skip
    summary = summarise(samples)
    assert dict(summary.budgets) == pytest.approx({16: 1 / 6, 32: 1 / 6, 64: 2 / 6, 128: 3 / 6, 256: 3 / 6})
    assert summary.score is not None
    assert summary.budgets[256] == pytest.approx(summary.score.value)
    assert summarise([]).budgets == {}
