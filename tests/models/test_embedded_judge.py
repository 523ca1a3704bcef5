"""The embedded judge tells good work from bad, by figures that it states."""

from __future__ import annotations

import numpy as np
import passages
import pytest

from dataforge.models.embedded_judge import grade
from dataforge.models.grading import Criterion, GradingTask
from dataforge.models.local import shared_encoder

pytestmark = pytest.mark.embedded
RUBRIC = (
    Criterion("relevance", "the answer addresses the question", 1, 5),
    Criterion("grounding", "the passage bears out what it says", 1, 5),
    Criterion("clarity", "readable and complete", 1, 5),
    Criterion("helpful", "a user would be glad of it", 1, 5),
)
ACCEPTED = 4.0


@pytest.fixture(scope="module")
def encoder():
    return shared_encoder()


def scores(encoder, passage, question, answer):
    task = GradingTask(
        RUBRIC,
        {
            "Passage": {"text": passage, "kind": "article"},
            "Instruction": {"text": question, "contextual": False},
        },
        {"Answer": {"text": answer, "score": None}},
    )
    return {entry["criterion"]: entry["score"] for entry in grade(task, encoder)}


@pytest.mark.parametrize(("passage", "question", "answer"), passages.GOOD_ANSWERS)
def test_good_short_answers_pass_every_criterion(encoder, passage, question, answer):
    assert min(scores(encoder, passage, question, answer).values()) >= ACCEPTED


@pytest.mark.parametrize(("fault", "passage", "question", "answer"), passages.BAD_ANSWERS)
def test_bad_answers_fail_a_criterion_and_the_mean(encoder, fault, passage, question, answer):
    found = scores(encoder, passage, question, answer)
    assert min(found["relevance"], found["grounding"], found["clarity"]) < ACCEPTED, fault
    assert found["helpful"] < ACCEPTED, fault


@pytest.mark.parametrize("answer", ["The moon is made of cheese.", "It is made of cheese."])
def test_the_moon_is_not_made_of_cheese(encoder, answer):
    assert scores(encoder, passages.MOON, passages.MADE_OF, answer)["grounding"] < 3


QUESTION_RUBRIC = (
    Criterion("answerable", "the passage answers the question", 0, 1),
    Criterion("standalone", "makes sense without the passage", 0, 1),
    Criterion("clarity", "", 0, 1),
)


def question_scores(encoder, passage, question):
    task = GradingTask(QUESTION_RUBRIC, {"Passage": {"text": passage}}, {"Instruction": {"text": question}})
    return [entry["score"] for entry in grade(task, encoder)]


@pytest.mark.parametrize(("passage", "question"), passages.GOOD_QUESTIONS)
def test_good_questions_pass(encoder, passage, question):
    assert min(question_scores(encoder, passage, question)) >= 0.75


@pytest.mark.parametrize(("passage", "question"), passages.BAD_QUESTIONS)
def test_bad_questions_fail(encoder, passage, question):
    assert min(question_scores(encoder, passage, question)) < 0.75


def test_reasons_state_figures_and_unknown_criteria_say_so(encoder):
    task = GradingTask(
        RUBRIC, {"Passage": {"text": passages.MOON}}, {"Answer": {"text": "The moon is made of cheese."}}
    )
    reasons = {entry["criterion"]: entry["reason"] for entry in grade(task, encoder)}
    assert "cosine 0." in reasons["grounding"]
    assert "cheese" in reasons["grounding"]
    assert reasons["helpful"].startswith("no measure of its own, so the mean of all")


def test_scores_keep_to_each_criterions_scale(encoder):
    rubric = (
        Criterion("clarity", "", 0, 1),
        Criterion("grounding", "", 1, 10),
        Criterion("relevance", "", -1, 0),
    )
    for answer in ("Anorthosite, a rock rich in calcium.", "cheese", ""):
        task = GradingTask(rubric, {"Passage": {"text": passages.MOON}}, {"Answer": {"text": answer}})
        for criterion, entry in zip(rubric, grade(task, encoder), strict=True):
            assert criterion.low <= entry["score"] <= criterion.high


def test_work_without_context_is_still_graded(encoder):
    task = GradingTask(RUBRIC, {}, {"Poem": {"lines": ["The sea is calm to-night.", "The tide is full."]}})
    assert all(entry["score"] >= ACCEPTED for entry in grade(task, encoder))


def test_vectors_stay_what_a_second_implementation_confirmed(encoder):
    """Fixed by their first components; llama.cpp, run on the same weights, gives vectors at a cosine of 0.999998."""
    vectors = encoder.encode(["This is an example sentence", "Each sentence is converted"])
    expected = [
        [0.06765693, 0.06349582, 0.04871312, 0.07930497],
        [0.08643860, 0.10276269, 0.00539454, 0.00204443],
    ]
    assert np.allclose(vectors[:, :4], expected, atol=1e-5)
    assert np.allclose((vectors * vectors).sum(axis=1), 1, atol=1e-5)


def test_padding_changes_nothing(encoder):
    short = "A short sentence about padding."
    alone = encoder.encode([short])[0]
    encoder._known = {}
    beside = encoder.encode([short, "A much longer sentence, " * 20])[0]
    assert np.allclose(alone, beside, atol=1e-5)


def test_nearness_of_meaning(encoder):
    a, b, c = encoder.encode(
        ["A man is eating food.", "A man eats something.", "The stock market fell sharply."]
    )
    assert a @ b > 0.8
    assert a @ c < 0.1
