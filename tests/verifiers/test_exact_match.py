"""Exact match: what does not count, where the final answer stands, and how many there may be."""

from __future__ import annotations

import random
import time
import unicodedata
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Response, Verdict, find, verify
from dataforge.verifiers.audit import fault
from dataforge.verifiers.matching.finals import final
from dataforge.verifiers.matching.normal import bare, normal
from schemas.task import Task

VERIFIER = find("exact")


def said(text: str, *answers: str, **facts: Any) -> Verdict:
    task = Task(prompt="?", facts={"answers": list(answers or ("Paris",)), **facts})
    return verify(VERIFIER, task, Response(text))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_no_drawn_case_is_misjudged(rng: random.Random) -> None:
    for case in islice(VERIFIER.cases(rng), 4):
        verdict = verify(VERIFIER, case.task, case.response)
        assert fault(case, verdict) is None, (case, verdict)


@given(st.text(max_size=30))
def test_a_normal_form_is_its_own(text: str) -> None:
    for options in ({}, {"ignore_case": True}, {"ignore_case": True, "ignore_punctuation": True}):
        once = normal(text, **options)
        assert normal(once, **options) == once
        assert normal(unicodedata.normalize("NFD", text)) == normal(unicodedata.normalize("NFC", text))


@given(st.text(alphabet="ab.*_`\"'$“”«»() \\{}", max_size=20))
def test_marks_are_taken_off_once_and_for_all(text: str) -> None:
    assert bare(bare(text)) == bare(text)


def test_the_whole_reply_is_the_whole_reply() -> None:
    assert said(" Paris\n", where="whole").passed
    for text in ("Answer: Paris", "**Paris**", "Paris, of course", "\\boxed{Paris}"):
        assert said(text, where="whole").outcome == "failed"


def test_numbers_keep_their_signs_and_points() -> None:
    for right, wrong in (
        ("-5", "5"),
        ("3.5", "35"),
        ("1,000", "1000"),
        ("12:30", "1230"),
        (".5", "5"),
        ("C#", "C"),
        ("50%", "50"),
    ):
        assert said(right, right, ignore_punctuation=True).passed
        assert said(wrong, right, ignore_punctuation=True).outcome == "failed"


def test_a_statement_on_the_way_is_not_the_answer() -> None:
    assert said("The result of step one is 12.\n\nAnswer: 42", "42").passed
    assert said("The answer is 12. Wait, I dropped a sign. The answer is 42.", "42").passed
    assert said("The answer is 12.\n\nThe answer is 42.", "42").outcome == "failed"


def test_how_far_a_lead_in_reaches() -> None:
    for text in ("Answer: Dr. No", "Answer: Dr. No because I saw it", "Answer: Dr. No\nThat is all."):
        assert said(text, "Dr. No").passed
    assert said("Answer: Paris. It is on the Seine.").passed
    assert said("Answer: Paris. Or Rome.").outcome == "failed"
    assert said("Answer: Paris and Rome").outcome == "failed"


@pytest.mark.parametrize(
    "text",
    [
        "Answer: Paris\n\nHmm, no. It is Rome.",
        "Answer: Paris. No, Rome.",
        "Answer: Paris\n\nHold on. It's Rome.",
        "Answer: Paris\n\nSorry, I meant Rome.",
        "Answer: Paris\n(or Rome)",
        "Answer: Paris\n\nAlternatively, Rome.",
        "<answer>Paris</answer>\n\nActually, Rome.",
        "Paris!\n\nAnswer: Rome",
    ],
)
def test_what_is_taken_back_or_hedged_is_not_the_answer(text: str) -> None:
    assert not said(text).passed


@pytest.mark.parametrize(
    "text",
    [
        "Answer: Paris. No doubt about it.",
        "Answer: Paris\n\nWait, let me check. The map agrees. Yes, it is Paris.",
        "Answer: Paris. Actually, it is correct.",
        "The answer is Paris!",
        "Paris is wrong, the answer is Paris.",
        "At first I thought Rome, but the answer is Paris",
        "__Answer__: Paris",
        "final_answer: Paris",
        "The answer's Paris.",
        "La respuesta correcta es Paris.",
        "最终答案：Paris",
        "Answer: The answer is Paris.",
        "The answer is Paris. " * 500,
    ],
)
def test_ways_of_stating(text: str) -> None:
    verdict = said(text)
    assert verdict.passed, verdict


def test_an_exclamation_mark_behind_a_number_may_be_a_factorial() -> None:
    assert said("The answer is 5!", "5").outcome == "failed"
    assert said("The answer is Hello!", "Hello!").passed


@pytest.mark.parametrize(
    "piece",
    [
        "The answer is 5. ",
        "Answer: 5. No. ",
        "answer: A ",
        "Answer: ",
        "the answer to ",
        ". ",
        "~~",
        "<!--",
        " ",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    final(text, str.casefold)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "text", ["", " ", "Answer:", "\\boxed{}", "~~Paris~~", "<!-- Paris -->", "<think>Paris</think>"]
)
def test_nothing_is_unparsed(text: str) -> None:
    assert said(text).outcome == "unparsed"


def test_an_answer_of_which_nothing_counts_is_the_tasks_fault() -> None:
    assert said("The", "The", ignore_articles=True).error == "task"
    assert said("x", "?!", ignore_punctuation=True).error == "task"
