"""Fuzzy match: three measures of closeness, each against a plain reckoning of its own."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Response, Verdict, find, verify
from dataforge.verifiers.audit import fault
from dataforge.verifiers.matching.numbers import number
from dataforge.verifiers.matching.similarity import distance, edit_ratio, token_f1
from schemas.task import Task

VERIFIER = find("fuzzy")


def said(text: str, answer: str, **facts: Any) -> Verdict:
    return verify(VERIFIER, Task(prompt="?", facts={"answers": [answer], **facts}), Response(text))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_no_drawn_case_is_misjudged(rng: random.Random) -> None:
    for case in islice(VERIFIER.cases(rng), 4):
        verdict = verify(VERIFIER, case.task, case.response)
        assert fault(case, verdict) is None, (case, verdict)


def by_table(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last = [i]
        for j, b in enumerate(second, 1):
            last.append(min(row[j] + 1, last[-1] + 1, row[j - 1] + (a != b)))
        row = last
    return row[-1]


@settings(max_examples=300)
@given(st.text("abcд😀", max_size=14), st.text("abcд😀", max_size=14))
def test_the_distance_is_that_of_the_table(first: str, second: str) -> None:
    assert distance(first, second) == by_table(first, second)
    assert edit_ratio(first, second) == edit_ratio(second, first)


def test_the_distance_of_long_texts() -> None:
    assert distance("a" * 700, "a" * 699 + "b") == 1
    assert distance("ab" * 300, "ba" * 300) == 2


def test_f1_counts_words_as_often_as_they_stand() -> None:
    assert token_f1("a b c", "c b a") == 1.0
    assert token_f1("a a a a", "a b c d") == pytest.approx(0.25)
    assert token_f1("a b", "a b c d") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-5", "-5"),
        ("−5", "-5"),
        ("about 3.14 m", "3.14"),
        ("1,234.5", "1234.5"),
        ("1 234 km", "1234"),
        ("45%", "0.45"),
        ("45\\%", "0.45"),
        ("-$5", "-5"),
        ("3/4", "0.75"),
        ("\\frac{3}{4}", "0.75"),
        ("6.02 × 10^{23}", "6.02e23"),
        ("1.5e-3", "0.0015"),
        ("10^5", "1e5"),
        ("x = 7.", "7"),
        ("5 m^2", "5"),
        ("2.3 million", "2.3e6"),
        ("$5 hundred thousand", "5e5"),
        ("2.5亿", "2.5e8"),
        ("5 parts per million", "5"),
        ("5 milliamperes", "5"),
        ("2{,}310", "2310"),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, value: str) -> None:
    assert number(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "5 Millionen",
            "5 millones",
            "5 millionths",
            "5 dozen",
            "5 bn",
            "in millions: 5",
            "two thousand 310",
        ),
        *("5 and 6", "3-4", "2024-01-01", "1.2.3", "B12", "1,2", "12:30", "none", "1/0", "", "1e99999999"),
    ],
)
def test_what_is_not_one_number_is_none(text: str) -> None:
    assert number(text) is None


def test_a_tolerance_is_kept_exactly() -> None:
    assert said("0.3", "0.2", metric="number", absolute=0.1).passed
    assert said("0.3001", "0.2", metric="number", absolute=0.1).outcome == "failed"
    assert said("101", "100", metric="number", relative=0.01).passed
    assert said("101.1", "100", metric="number", relative=0.01).outcome == "failed"


def test_a_scale_word_counts() -> None:
    assert said("2310 million", "2307", metric="number", relative=0.01).outcome == "failed"
    assert said("about 2.31 thousand", "2307", metric="number", relative=0.01).passed


def test_the_score_says_how_close() -> None:
    verdict = said("red light is scattered", "blue light is scattered", threshold=0.9)
    assert verdict.outcome == "failed"
    assert verdict.score == pytest.approx(0.75)
    assert "blue" not in verdict.reason
    assert said("Reykyavik", "Reykjavik", metric="edit_ratio").score == pytest.approx(8 / 9)


def test_saying_everything_earns_little() -> None:
    everything = "blue light is scattered " + " ".join(f"word{i}" for i in range(50))
    assert (said(everything, "blue light is scattered").score or 0) < 0.2
