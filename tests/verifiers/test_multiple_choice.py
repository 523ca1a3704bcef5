"""Multiple choice: what counts as a choice, and what only looks like one."""

from __future__ import annotations

import random
import time
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Response, Verdict, find, verify
from dataforge.verifiers.audit import fault
from dataforge.verifiers.matching.choices import choose
from dataforge.verifiers.matching.options import LETTERS, options
from schemas.task import Task

VERIFIER = find("multiple_choice")
CITIES = ("London", "Paris", "Rome", "Madrid")


def said(text: str, answer: str = "B", texts: tuple[str, ...] = CITIES, **more: str) -> Verdict:
    task = Task(prompt="?", facts={"answer": answer, "options": list(texts)})
    return verify(VERIFIER, task, Response(text, **more))  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_no_drawn_case_is_misjudged(rng: random.Random) -> None:
    for case in islice(VERIFIER.cases(rng), 4):
        verdict = verify(VERIFIER, case.task, case.response)
        assert fault(case, verdict) is None, (case, verdict)


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "(b)",
        "**B) Paris**",
        "Paris.",
        "It's Paris.",
        "So, B.",
        "I would say B.",
        "The correct answer would be B.",
        "We are left with B.",
        "The answer is Paris (B).",
        "\\boxed{B) Paris}",
        '{"answer": "B"}',
        "Die Antwort ist B.",
        "答案是B。",
        "Answer: B\nBut note that A is for England.",
        # What is said of a list is said of each in it.
        "A, C and D are wrong, so B.",
        "(A), (C) and (D) are not right. Hence (B).",
        "Neither A nor C; B.",
        "London is wrong, the answer is B.",
        # A letter with its text, or alone, behind a verb.
        "The capital of France is **B) Paris**.",
        "The capital of France is B) Paris.",
        "The capital of France is B.",
        "Paris is the correct answer.",
        "B. Paris is correct.",
        "The capital is Paris (option B).",
        "This corresponds to option B.",
        # Lead-ins.
        "B!",
        "__Answer__: B",
        '{"final_answer": "B"}',
        "The correct letter is B",
        "The right one is B",
        "the answer's B",
        "Ans: B",
        "Reply: B",
        "=> B",
        "$\\boxed{\\text{(B)}}$",
        "At first I thought A, but the answer is B",
        "La respuesta correcta es B.",
        "La bonne réponse est la B.",
        "A resposta correta é B.",
        "正确答案是B",
        "故选B。",
        "答えは「B」です。",
        "정답은 B입니다.",
        # More behind the choice that adds nothing to it and takes nothing back.
        "Answer: B\n\nExplanation: A is in England, and C or D are elsewhere.",
        "Answer: B. A and C are also wrong.",
        "Answer: B\n\nActually, A is in England. Also, C and D are wrong.",
        "Answer: B. Perhaps you would like to know more?",
        "<answer>B. Paris is the capital; A is wrong.</answer>",
        "A\n\nWait, B.",
    ],
)
def test_ways_of_choosing(text: str) -> None:
    verdict = said(text)
    assert verdict.passed, verdict
    assert verdict.extracted == "B"
    assert verdict.span is not None
    start, end = verdict.span
    assert text[start:end].rstrip(".") in ("B", "b", "Ｂ", "Paris")


@pytest.mark.parametrize(
    "text",
    [
        "A cat sat there.",
        "I think so.",
        "The answer is a city.",
        "C++ is a language.",
        "B-vitamins",
        "The answer is A-frame.",
        "I cannot determine the answer.",
        "None of these.",
        "A bird is the best answer.",
        "A → B is an implication.",
        "The answer's a bit unclear.",
        "The correct response is a matter of taste.",
        "Letter: dear friend",
        "La respuesta es a veces difícil.",
        "答案是C语言",
        "I pick a card.",
        'Please reply in the form "Answer: A".',
    ],
)
def test_a_letter_of_prose_is_no_choice(text: str) -> None:
    assert said(text, "A", tuple("qrstuvwxy")).outcome == "unparsed"


def test_two_choices_are_none_unless_one_is_taken_back() -> None:
    assert said("Answer: B\nAnswer: C").outcome == "failed"
    assert said("Answer: C\nAnswer: B").outcome == "failed"
    assert said("Answer: C. Wait, no. Answer: B").passed
    assert said("Answer: B. Wait, no. Answer: C").outcome == "failed"
    assert said("Answer: B\n\nThe answer is B.").passed


@pytest.mark.parametrize(
    "text",
    [
        "Answer: B (or A)",
        "Answer: B. Or perhaps C.",
        "Answer: B (could also be C)",
        "Answer: B; alternatively A.",
        "Answer: B, as well as A.",
        "Answer: B\nA is also correct.",
        "Answer: B. A might work too.",
        "B is correct, and so is A.",
        "B, C are correct.",
        "The answer is A\n\nOption B is correct.",
        "<answer>B\nA</answer>",
        "<answer>Paris\nRome</answer>",
        "\\boxed{B \\text{ or } A}",
        "Answer: B.C",
        "Answer: B...A",
        "B ❌\nA ✅\nC ❌",
        "Answer: B → A",
        "答案：B、C",
        "Answer: B. Actually, wait. It is A.",
        "Answer: B\n\nHmm, no. It is A.",
        "Answer: B\n\nWait, A.",
        "Answer: B. Sorry, A.",
        "B, no, A",
        "Answer: B\nActually, London is the answer.",
        "B is the best known distractor, so C.",
        "B, C and D are wrong, so A.",
        "I don't think Paris is the correct answer.",
        "I doubt B is correct.",
        "According to some, B is correct.",
        "At first I thought B, but the answer is A",
        "student_answer: B",
        "Rejected answer: B",
    ],
)
def test_what_is_hedged_taken_back_or_not_meant_is_not_chosen(text: str) -> None:
    assert not said(text).passed


def test_every_candidate_is_on_record_with_why_it_was_not_taken() -> None:
    verdict = said("Some say the answer is A. ~~Answer: C~~ The answer is B.")
    rejected = {c.text: c.rejected for c in verdict.candidates}
    assert rejected == {"A": "somebody else's", "~~Answer: C~~": "struck out, or in a comment", "B": ""}
    spans = [c.span for c in verdict.candidates]
    assert spans == sorted(spans, key=lambda s: s or (0, 0))


def test_a_look_alike_is_named() -> None:
    verdict = said("Answer: \u0412")
    assert verdict.outcome == "unparsed"
    assert verdict.candidates[0].rejected == "U+0412 CYRILLIC CAPITAL LETTER VE is not the letter B"


def test_the_reason_does_not_give_the_answer_away() -> None:
    for text in ("A", "Answer: E", "", "Answer: B, C", "London"):
        verdict = said(text)
        assert not verdict.passed
        assert "Paris" not in verdict.reason
        assert "B" not in verdict.reason


def test_spans_are_places_of_the_whole_response() -> None:
    text = "<think>The answer is C.</think>\n\nThe answer is (B)."
    verdict = said(text)
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == "B"


def test_options_that_contain_each_other() -> None:
    texts = ("New York", "New York City", "York")
    for letter, text in zip(LETTERS, texts, strict=False):
        assert said(f"The answer is {text}.", letter, texts).passed
    assert said("The answer is 4.5", "A", ("4", "4.5")).outcome == "failed"
    assert said("-5", "A", ("5", "6")).outcome == "unparsed"


def test_tags_that_are_part_of_an_option_stay() -> None:
    texts = ("<i>slanted</i>", "<b>bold</b>", "plain")
    for text in ("B) <b>bold</b>\n", "**B) <b>bold</b>**", "The answer is not A.\n\nB) <b>bold</b>  "):
        assert said(text, texts=texts).passed, text
    assert said("The answer is <b>B</b>.").passed


def test_the_text_of_two_options_stands_for_neither() -> None:
    assert said("The answer is Paris.", "A", ("Paris", "Paris", "Rome")).outcome == "unparsed"


def test_a_reply_that_was_cut_off_right_there_is_not_read() -> None:
    assert said("The answer is B", finish_reason="length").outcome == "unparsed"
    assert said("The answer is B, since", finish_reason="length").passed


@pytest.mark.parametrize(
    "piece",
    [
        *(" ", "\t", "\n", " \n", "*", "**", "(", "~~", "<!--", "<s>", "- ", ". ", "= "),
        *("A\n", "A ", "A) ", "A, ", "(A) ", "so A ", "B is ", "it is ", "A. x\n", "perhaps A ", "Paris is "),
        *("answer is ", "the answer to ", "Answer: B\n", "\\boxed{", "\\boxed{A}", "<answer>"),
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    flood = piece * (100_000 // len(piece))
    for text in (flood, f"The answer is B{flood}", f"{flood}\n\nThe answer is B."):
        began = time.process_time()
        choose(text, options(CITIES))
        assert time.process_time() - began < 1.5, text[:40]


def test_blanks_before_an_answer_do_not_count() -> None:
    for blanks in (" " * 100_000, "\n" * 100_000, " \n" * 50_000):
        assert said(f"{blanks}B").passed
        assert said(f"{blanks}Answer: B{blanks}").passed


@pytest.mark.parametrize(
    "text",
    [
        "If the question were about Italy, the answer would be C. It is about France, so the answer is B.",
        "<b>B</b>",
        "Answer: <strong>B</strong>",
        "Correct: B",
        "I'd rule out C and D. Between A and B, B is the better answer.",
    ],
)
def test_suppositions_emphasis_and_comparisons(text: str) -> None:
    task = Task(prompt="?", facts={"answer": "B", "options": ["London", "Paris", "Rome", "Berlin"]})
    assert verify(find("multiple_choice"), task, Response(text)).passed
