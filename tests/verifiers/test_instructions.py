"""The verifier of instruction following: its laws, and a test for each fault of the predecessor's checks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.instructing import conflicts, constraints
from dataforge.verifiers.instructing.auditing import IDS, drawn
from dataforge.verifiers.instructing.composing import clashes, written
from dataforge.verifiers.instructing.constraint import Finding
from dataforge.verifiers.instructing.registry import BY_ID, KINDS, BadConstraint, read
from dataforge.verifiers.instructing.rlvr import FUNCTIONS, from_ground_truth
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.registry import VERIFIERS
from schemas.task import Task

GOLD = Path(__file__).parents[2] / "dataforge/verifiers/gold/instructions.jsonl"


def judge(text: str, *asked: tuple[str, dict[str, Any]], **facts: Any) -> Verdict:
    facts = {"constraints": [{"id": id, "kwargs": kwargs} for id, kwargs in asked], **facts}
    return verify(find("instructions"), Task(prompt="", facts=facts), Response(text))


def holds(id: str, text: str, **kwargs: Any) -> bool:
    constraint, params = read(id, kwargs)
    finding: Finding = constraint.check(Text(text), params)
    return finding.holds


# ---- laws


def gold() -> list[Case]:
    return [Case.from_json(json.loads(line)) for line in GOLD.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", gold(), ids=lambda case: case.note)
def test_gold(case: Case) -> None:
    verdict = verify(find("instructions"), case.task, case.response)
    assert (verdict.passed, verdict.error) == (case.passes, case.error), verdict.reason
    for candidate in verdict.candidates:
        if candidate.span is not None:
            assert case.response.text[candidate.span[0] : candidate.span[1]] == candidate.text


def test_gold_has_enough_of_both() -> None:
    passes = [case.passes for case in gold()]
    assert passes.count(True) >= 20
    assert passes.count(False) >= 20


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_what_is_written_passes_and_what_is_broken_fails(rng: random.Random) -> None:
    cases = find("instructions").cases(rng)
    for _ in range(4):
        case = next(cases)
        verdict = verify(find("instructions"), case.task, case.response)
        assert (verdict.passed, verdict.error) == (case.passes, case.error), (case, verdict)


@pytest.mark.parametrize("id", IDS)
def test_every_constraint_passes_its_own_texts_and_fails_its_own_mutants(id: str) -> None:
    rng = random.Random(f"{id} 1")
    for _ in range(25):
        constraint, params = drawn(rng, id)
        text = constraint.satisfy(params, rng)
        assert constraint.check(Text(text), params).holds, (params, text)
        broken, note = constraint.spoil(rng, text, params)
        assert not constraint.check(Text(broken), params).holds, (params, note, broken)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.integers(2, 5))
def test_what_does_not_conflict_can_be_written(rng: random.Random, number: int) -> None:
    asked = [drawn(rng, rng.choice(IDS)) for _ in range(number)]
    if not clashes(asked):
        for _ in range(3):
            text = Text(written(asked, rng))
            for constraint, params in asked:
                assert constraint.check(text, params).holds, (asked, constraint.id, text.content)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_conflicts_do_not_depend_on_the_order(rng: random.Random) -> None:
    asked = [drawn(rng, rng.choice(IDS)) for _ in range(3)]
    backwards = {frozenset(clash.ids) for clash in clashes(asked[::-1])}
    assert {frozenset(clash.ids) for clash in clashes(asked)} == backwards


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=120), st.randoms(use_true_random=False))
def test_no_check_raises_over_any_text(content: str, rng: random.Random) -> None:
    for id in rng.sample(IDS, 12):
        constraint, params = drawn(rng, id)
        finding = constraint.check(Text(content), params)
        for start, end in finding.spans:
            assert 0 <= start <= end <= len(Text(content).content)


# ---- the listing


def test_there_are_ifevals_twenty_five_and_at_least_fifteen_of_our_own() -> None:
    origins = [listing.origin for listing in constraints()]
    assert origins.count("IFEval") == 25
    assert origins.count("ours") >= 15
    assert len({listing.id for listing in constraints()}) == len(constraints()) == len(BY_ID)
    assert all(listing.summary.endswith(".") for listing in constraints())


@pytest.mark.parametrize("constraint", KINDS, ids=lambda constraint: constraint.id)
def test_a_constraint_is_asked_for_in_several_ways_or_by_its_fixed_sentence(constraint: Any) -> None:
    rng = random.Random(3)
    _, params = drawn(rng, constraint.id)
    ways = {constraint.instruct(params, rng) for _ in range(60)}
    fixed = {"combination:repeat_prompt", "detectable_format:constrained_response"}
    assert len(ways) >= (1 if constraint.id in fixed else 2)
    assert all(way == way.strip() and way[0].isupper() for way in ways)


IFEVAL_KWARGS: dict[str, dict[str, Any]] = {
    "keywords:existence": {"keywords": ["mom", "mother"]},
    "keywords:frequency": {"relation": "at least", "keyword": "story", "frequency": 2},
    "keywords:forbidden_words": {"forbidden_words": ["rock"]},
    "keywords:letter_frequency": {"let_relation": "less than", "letter": "t", "let_frequency": 2},
    "language:response_language": {"language": "kn"},
    "length_constraints:number_sentences": {"relation": "less than", "num_sentences": 6},
    "length_constraints:number_paragraphs": {"num_paragraphs": 2},
    "length_constraints:number_words": {"relation": "at least", "num_words": 300},
    "length_constraints:nth_paragraph_first_word": {
        "first_word": "president",
        "num_paragraphs": 6,
        "nth_paragraph": 2,
    },
    "detectable_content:number_placeholders": {"num_placeholders": 12},
    "detectable_content:postscript": {"postscript_marker": "P.P.S"},
    "detectable_format:number_bullet_lists": {"num_bullets": 3},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": 3},
    "detectable_format:multiple_sections": {"section_spliter": "SECTION", "num_sections": 4},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": "Write a joke."},
    "startend:end_checker": {"end_phrase": "Is there anything else I can help with?"},
    "change_case:capital_word_frequency": {"capital_relation": "less than", "capital_frequency": 10},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "punctuation:no_comma": {},
    "startend:quotation": {},
}


def test_the_arguments_of_ifeval_are_taken_with_the_nulls_of_its_copies() -> None:
    assert set(IFEVAL_KWARGS) == {listing.id for listing in constraints() if listing.origin == "IFEval"}
    every = {name: None for kwargs in IFEVAL_KWARGS.values() for name in kwargs}
    for id, kwargs in IFEVAL_KWARGS.items():
        assert read(id, kwargs)[1] == read(id, {**every, **kwargs})[1]


def test_a_row_of_ifeval_is_judged_as_it_is() -> None:
    row = {
        "key": 1040,
        "prompt": "Write me a resume.",
        "instruction_id_list": ["change_case:capital_word_frequency"] * 2 + ["startend:quotation"],
        "kwargs": [
            {"capital_relation": "less than", "capital_frequency": 10},
            {"capital_relation": "at least", "capital_frequency": 1},
            {},
        ],
    }
    verdict = judge('"I can do it: SEWING."', **row)
    assert verdict.passed
    assert dict(verdict.parts) == {
        "change_case:capital_word_frequency": 1.0,
        "change_case:capital_word_frequency#2": 1.0,
        "startend:quotation": 1.0,
    }
    half = judge('"I can do it."', **row)
    assert half.score == pytest.approx(2 / 3)


def test_every_function_of_rlvr_ifeval_means_a_constraint() -> None:
    assert len(FUNCTIONS) == 25
    assert {id for id, _, _ in FUNCTIONS.values()} == set(IFEVAL_KWARGS)
    arguments = {
        "N": 2, "quantifier": "at most", "i": 1, "first_word": "it", "postscript_marker": "P.S.", "letter": "q",
        "options": "('yes', 'no')", "section_splitter": "Section", "original_prompt": "Do it.", "word": "tea",
        "keyword_list": ["tea"], "forbidden_words": ["ale"], "end_phrase": "Bye.", "language": "es",
    }  # fmt: skip
    for name in FUNCTIONS:
        id, kwargs = from_ground_truth(json.dumps({"func_name": name, **arguments}))
        read(id, kwargs)
    assert from_ground_truth({"func_name": "verify_keyword_frequency", "word": "tea", "N": 2, "i": None}) == (
        "keywords:frequency",
        {"relation": "exactly", "keyword": "tea", "frequency": 2},
    )
    assert read(*from_ground_truth({"func_name": "validate_choice", "options": "yes / no"}))[1].model_dump()[
        "options"
    ] == ["yes", "no"]


@pytest.mark.parametrize("truth", ["", "[]", "{}", '{"func_name": "validate_everything"}'])
def test_a_ground_truth_that_means_nothing_is_the_tasks_error(truth: str) -> None:
    with pytest.raises(BadConstraint):
        from_ground_truth(truth)
    assert judge("Rain.", ground_truth=truth).error == "task"


# ---- conflicts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ("length_constraints:number_words", {"num_words": 100, "relation": "at least"}),
            ("length_constraints:number_words", {"num_words": 50, "relation": "at most"}),
        ),
        (("punctuation:no_comma", {}), ("keywords:existence", {"keywords": ["Paris, France"]})),
        (
            ("detectable_format:json_format", {}),
            ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2}),
        ),
        (("change_case:english_capital", {}), ("change_case:english_lowercase", {})),
        (("language:response_language", {"language": "fr"}), ("words:every_nth_language", {"n": 3, "language": "de"})),
        (
            ("words:every_nth_language", {"n": 3, "language": "fr"}),
            ("words:every_nth_language", {"n": 3, "language": "de"}),
        ),
        (("keywords:existence", {"keywords": ["river"]}), ("keywords:forbidden_words", {"forbidden_words": ["River"]})),
        (("keywords:existence", {"keywords": ["queen"]}), ("words:lipogram", {"letters": "q"})),
        (
            ("keywords:frequency", {"keyword": "tea", "frequency": 3, "relation": "at least"}),
            ("keywords:frequency", {"keyword": "Tea", "frequency": 2, "relation": "at most"}),
        ),
        (("words:no_repeats", {}), ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "exactly"})),
        (("words:max_length", {"max_letters": 4}), ("keywords:existence", {"keywords": ["lantern"]})),
        (
            ("sentences:exact_words", {"num_words": 5}),
            ("length_constraints:number_words", {"num_words": 12, "relation": "exactly"}),
        ),
        (("punctuation:forbidden_marks", {"marks": ["?"]}), ("ratio:questions", {"percent": 50})),
        (("lines:count", {"num_lines": 3}), ("detectable_format:title", {})),
        (
            ("detectable_format:number_bullet_lists", {"num_bullets": 3}),
            ("lists:sorted", {"num_items": 4}),
        ),
        (
            ("keywords:letter_frequency", {"letter": "e", "let_frequency": 3, "let_relation": "at most"}),
            ("keywords:existence", {"keywords": ["emerald cheese"]}),
        ),
    ],
)  # fmt: skip
def test_a_conflict_is_found(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    asked = [{"id": id, "kwargs": kwargs} for id, kwargs in (one, other)]
    assert [set(clash.ids) for clash in conflicts(asked)] == [{one[0], other[0]}]
    assert not conflicts(asked[:1])
    assert not conflicts(asked[1:]) or other[1].get("keywords") == ["emerald cheese"]


def test_three_may_conflict_where_no_two_do() -> None:
    asked = [
        {"id": "length_constraints:number_words", "kwargs": {"num_words": 6, "relation": "at most"}},
        {"id": "content:numbers", "kwargs": {"count": 4, "relation": "at least"}},
        {"id": "words:pronouns", "kwargs": {"count": 4, "relation": "at least"}},
    ]
    assert [len(clash.ids) for clash in conflicts(asked)] == [3]


def test_what_goes_together_is_no_conflict() -> None:
    asked = [
        {"id": "length_constraints:number_words", "kwargs": {"num_words": 50, "relation": "at least"}},
        {"id": "length_constraints:number_words", "kwargs": {"num_words": 100, "relation": "at most"}},
        {"id": "punctuation:no_comma", "kwargs": {}},
        {"id": "keywords:existence", "kwargs": {"keywords": ["Paris"]}},
        {"id": "change_case:english_lowercase", "kwargs": {}},
    ]
    assert conflicts(asked) == ()


# ---- the predecessor's six broken checks: a right answer got nothing (issue 7, Done when 3)


def test_predecessor_keyword_frequency_counts_a_right_answer() -> None:
    right = {"keyword": "river", "frequency": 2, "relation": "exactly"}
    assert holds("keywords:frequency", "The river meets another river.", **right)
    assert not holds("keywords:frequency", "The river meets the sea.", **right)
    assert not holds("keywords:frequency", "River, river, river.", **right)


def test_predecessor_first_word_of_a_paragraph_is_found() -> None:
    right = {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "weekend"}
    assert holds("length_constraints:nth_paragraph_first_word", "One.\n\nWeekend plans.\n\nThree.", **right)
    assert not holds(
        "length_constraints:nth_paragraph_first_word", r"One.\n\nWeekend plans.\n\nThree.", **right
    )
    assert not holds("length_constraints:nth_paragraph_first_word", "One.\n\nTwo.\n\nWeekend.", **right)


def test_predecessor_placeholders_are_counted() -> None:
    assert holds("detectable_content:number_placeholders", "Dear [name], of [city].", num_placeholders=2)
    assert not holds("detectable_content:number_placeholders", "Dear [name], of here.", num_placeholders=2)


def test_predecessor_bullets_are_counted() -> None:
    assert holds("detectable_format:number_bullet_lists", "* one\n- two\n* three", num_bullets=3)
    assert not holds("detectable_format:number_bullet_lists", "* one\n- two", num_bullets=3)
    assert not holds("detectable_format:number_bullet_lists", "**one**\n- two\n- three", num_bullets=3)


def test_predecessor_sections_are_counted() -> None:
    right = {"section_spliter": "Section", "num_sections": 2, "relation": "exactly"}
    assert holds("detectable_format:multiple_sections", "Section 1\nRain.\n\nSection 2\nSun.", **right)
    assert not holds("detectable_format:multiple_sections", "Section 1\nRain.", **right)
    assert not holds(
        "detectable_format:multiple_sections", "Section 1\na\nSection 2\nb\nSection 3\nc", **right
    )


def test_predecessor_words_in_capitals_are_counted() -> None:
    right = {"capital_frequency": 2, "capital_relation": "exactly"}
    assert holds("change_case:capital_word_frequency", "A BIG ship and a RED one.", **right)
    assert not holds("change_case:capital_word_frequency", "A BIG ship and a red one.", **right)
    assert not holds("change_case:capital_word_frequency", "A BIG ship, a RED one, NOW.", **right)


# ---- the predecessor's weak checks


def test_predecessor_postscript_is_not_found_inside_a_word() -> None:
    assert not holds("detectable_content:postscript", "The U.P.S. van is here.", postscript_marker="P.S.")
    assert not holds("detectable_content:postscript", "Ships.Postscript", postscript_marker="P.S.")
    assert holds("detectable_content:postscript", "Dear Ann.\n\nP.S. Bring bread.", postscript_marker="P.S.")
    assert not holds("detectable_content:postscript", "Dear Ann.\n\nP.P.S. Bread.", postscript_marker="P.S.")


def test_predecessor_bold_is_one_highlight() -> None:
    assert not holds("detectable_format:number_highlighted_sections", "a **bold** word", num_highlights=2)
    assert holds("detectable_format:number_highlighted_sections", "a **bold** *word*", num_highlights=2)


@pytest.mark.parametrize("text", ['"', '""', '" "', '"a', 'a"'])
def test_predecessor_a_lone_quotation_mark_is_no_quotation(text: str) -> None:
    assert not holds("startend:quotation", text)


def test_predecessor_a_keyword_is_a_whole_word() -> None:
    assert not holds("keywords:existence", "The department is smart.", keywords=["art"])
    assert holds("keywords:forbidden_words", "The department is smart.", forbidden_words=["art"])


def test_predecessor_json_may_stand_in_a_code_fence() -> None:
    assert holds("detectable_format:json_format", '```json\n{"a": "x\\n```y"}\n```')
    assert holds("detectable_format:json_format", '{"a": 42}')
    assert not holds("detectable_format:json_format", '```json\n{"a": 42}\n```\nThat is it.')


@pytest.mark.parametrize("id", ["change_case:english_capital", "change_case:english_lowercase"])
def test_predecessor_text_without_letters_has_no_case(id: str) -> None:
    assert not holds(id, "123 456!")
    assert not judge("123 456!", (id, {})).passed


def test_predecessor_a_choice_is_the_option_but_for_its_point_and_case() -> None:
    options = ["My answer is yes.", "My answer is no."]
    for right in (
        "My answer is yes.",
        "My answer is yes",
        "my answer is YES!",
        '"My answer is yes."',
        "**My answer is no**",
    ):
        assert holds("detectable_format:constrained_response", right, options=options)
    for wrong in ("yes", "My answer is yes. I think.", "My answer is", "My answer is yes. My answer is no."):
        assert not holds("detectable_format:constrained_response", wrong, options=options)


# ---- what is no answer


EASY: list[tuple[str, dict[str, Any]]] = [
    ("length_constraints:number_words", {"num_words": 500, "relation": "less than"}),
    ("length_constraints:number_sentences", {"num_sentences": 9, "relation": "less than"}),
    ("punctuation:no_comma", {}),
    ("keywords:forbidden_words", {"forbidden_words": ["zebra"]}),
    ("keywords:letter_frequency", {"letter": "z", "let_frequency": 3, "let_relation": "less than"}),
    ("change_case:capital_word_frequency", {"capital_frequency": 3, "capital_relation": "less than"}),
]


@pytest.mark.parametrize("asked", EASY, ids=lambda asked: asked[0])
@pytest.mark.parametrize(
    "text",
    ["", "\n \t", "...", "<think>No.</think>", "I'm sorry but I can't help with that.", "As an AI language model I cannot do so."],
)  # fmt: skip
def test_empty_replies_and_refusals_earn_nothing(asked: tuple[str, dict[str, Any]], text: str) -> None:
    assert judge("Rain falls on the roof.", asked).passed
    assert judge(text, asked).score == 0.0


@pytest.mark.parametrize("asked", EASY, ids=lambda asked: asked[0])
def test_an_echo_of_the_prompt_earns_nothing(asked: tuple[str, dict[str, Any]]) -> None:
    prompt = "Write a note to a friend about the rain and the roofs of the town."
    for text in (prompt, prompt.upper(), f'"{prompt}"', prompt[:-12]):
        assert judge(text, asked, prompt=prompt).score == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry that I can't come on Friday, since my train leaves at noon.",
        "Sorry to hear that you are ill!",
        "Unfortunately the shop is closed.",
        "I can help you with that: take an umbrella.",
        "I do not like rain.",
        "I cannot forget that summer by the sea.",
    ],
)
def test_a_text_that_begins_like_a_refusal_is_none(text: str) -> None:
    assert judge(text, ("keywords:forbidden_words", {"forbidden_words": ["zebra"]})).passed


def test_a_reply_cut_off_at_the_limit_is_not_finished() -> None:
    task = Task(prompt="", facts={"constraints": [{"id": "punctuation:no_comma"}]})
    assert not verify(find("instructions"), task, Response("Rain falls on", finish_reason="length")).passed
    assert verify(find("instructions"), task, Response("Rain falls on", finish_reason="stop")).passed


# ---- strict and loose


def test_loose_tries_the_readings_of_ifeval() -> None:
    asked: tuple[str, dict[str, Any]] = ("change_case:english_lowercase", {})
    text = "Sure, here it is:\nrain falls on the roof and the river rises\nHope this helps!"
    assert not judge(text, asked).passed
    assert judge(text, asked, loose=True).passed
    assert judge('**"All of it."**', ("startend:quotation", {}), loose=True).passed
    assert not judge("Only One Line Here", asked, loose=True).passed


def test_the_score_is_the_share_that_holds() -> None:
    verdict = judge(
        "Rain, again.", ("punctuation:no_comma", {}), ("keywords:existence", {"keywords": ["rain"]})
    )
    assert verdict.outcome == "failed"
    assert verdict.score == 0.5
    assert verdict.parts == {"punctuation:no_comma": 0.0, "keywords:existence": 1.0}
    comma = next(candidate for candidate in verdict.candidates if candidate.text == ",")
    assert comma.span == (4, 5)


def test_spans_are_those_of_the_whole_response() -> None:
    text = "<think>Well, so.</think>\n\n  Rain, again."
    verdict = judge(text, ("punctuation:no_comma", {}))
    spans = [candidate.span for candidate in verdict.candidates if candidate.text == ","]
    assert spans == [(text.rindex(","), text.rindex(",") + 1)]


# ---- tasks


def test_tasks_are_stable_varied_and_free_of_conflicts() -> None:
    made = list(find("instructions").tasks(5, 2 * len(IDS)))
    assert [task.model_dump() for task in find("instructions").tasks(5, 7)] == [
        t.model_dump() for t in made[:7]
    ]
    assert {task.topic for task in made} == set(IDS)
    assert {len(task.facts["constraints"]) for task in made} == {1, 2, 3, 4, 5}
    assert [task.prompt for task in find("instructions").tasks(6, 9)] != [task.prompt for task in made[:9]]
    for task in made:
        assert task.verifier == "instructions"
        assert not conflicts(task.facts["constraints"])
        echo = verify(find("instructions"), task, Response(task.prompt))
        assert echo.outcome != "error"
        assert not echo.passed


def test_a_repeated_request_is_the_prompt_without_the_sentence_that_asks() -> None:
    for task in find("instructions").tasks(1, len(IDS)):
        for each in task.facts["constraints"]:
            if each["id"] == "combination:repeat_prompt":
                assert task.prompt.startswith(
                    each["kwargs"]["prompt_to_repeat"] + "\n\nFirst repeat the request"
                )


def test_it_is_found_by_its_name() -> None:
    assert "instructions" in VERIFIERS._own
    assert find("instructions").makes_tasks
    assert find("instructions").summary.startswith("Whether an answer follows")
