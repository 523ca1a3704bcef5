"""Laws of `tool_calls`, and one test for each fault that its public predecessor has (see `docs/verifiers.md`)."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.calling import writing
from dataforge.verifiers.calling.catalogue import DOMAINS, OFFERS, request
from dataforge.verifiers.calling.forms import FORMS
from dataforge.verifiers.calling.signatures import misfit
from schemas.task import Task

VERIFIER = find("tool_calls")
GOLD = Path(__file__).parents[2] / "dataforge/verifiers/gold/tool_calls.jsonl"

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "price": {"type": "number"},
                    "on": {"type": "boolean"},
                    "unit": {"type": "string", "default": "C"},
                    "mode": {"type": "string", "default": "a"},
                },
                "required": ["mode"],
            },
        },
    },
    {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
]


def task(*calls: dict[str, Any], **facts: Any) -> Task:
    return Task(prompt="?", facts={"calls": list(calls), "tools": TOOLS, **facts})


def call(name: str = "f", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": {"mode": "a", **arguments} if name == "f" else arguments}


def block(value: Any) -> str:
    return f"<tool_call>\n{json.dumps(value)}\n</tool_call>"


def judged(wanted: Task, text: str, **rest: Any) -> Verdict:
    verdict = verify(VERIFIER, wanted, Response(text, **rest))
    assert verdict.outcome != "error", verdict.reason
    return verdict


# ---- the predecessor's faults


def test_a_call_with_more_arguments_than_expected_fails() -> None:
    wanted = task(call(city="Oslo"))
    assert judged(wanted, block(call(city="Oslo"))).passed
    assert not judged(wanted, block(call(city="Oslo", days=1))).passed


def test_a_call_with_more_keys_than_name_and_arguments_fails() -> None:
    wanted = task(call(city="Oslo"))
    assert not judged(wanted, block({**call(city="Oslo"), "comment": "x"})).passed


def test_a_call_in_thinking_that_never_ends_does_not_count() -> None:
    verdict = judged(task(call(city="Oslo")), "<think>\nso " + block(call(city="Oslo")))
    assert verdict.outcome == "unparsed"
    assert [c.rejected for c in verdict.candidates] == ["the thinking never ends"]


def test_a_call_in_finished_thinking_does_not_count() -> None:
    verdict = judged(task(call(city="Oslo")), f"<think>{block(call(city='Oslo'))}</think>Done.")
    assert verdict.outcome == "unparsed"
    assert [c.rejected for c in verdict.candidates] == ["it stands in the thinking"]


def test_a_malformed_block_beside_the_right_call_fails_the_response() -> None:
    right = block(call(city="Oslo"))
    for broken in (
        "<tool_call>\n{\n</tool_call>",
        "<tool_call>",
        "</tool_call>",
        block([call()]),
        block({"name": "f"}),
    ):
        for text in (f"{right}\n{broken}", f"{broken}\n{right}"):
            assert not judged(task(call(city="Oslo")), text).passed, text


def test_true_is_not_one() -> None:
    assert not judged(task(call(days=1)), block(call(days=True))).passed
    assert not judged(task(call(on=True)), block(call(on=1))).passed
    assert not judged(task(call(price=1)), block(call(price=True))).passed


def test_a_whole_float_is_the_integer_only_where_the_schema_says_number() -> None:
    assert judged(task(call(price=1)), block(call(price=1.0))).passed
    assert judged(task(call(price=1.0)), block(call(price=1))).passed
    assert not judged(task(call(days=1)), block(call(days=1.0))).passed


def test_arguments_in_a_json_text_pass_where_the_form_sends_texts_and_only_there() -> None:
    wanted = task(call(city="Oslo"))
    arguments = json.dumps(call(city="Oslo")["arguments"])
    sent = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert judged(wanted, "", tool_calls=(sent,)).passed
    assert not judged(wanted, block({"name": "f", "arguments": arguments})).passed


def test_a_task_without_an_expected_call_is_judged_and_not_dropped() -> None:
    wanted = task(question="What's up?")
    assert judged(wanted, "Not much.").passed
    assert not judged(wanted, block(call("g"))).passed
    assert judged(wanted, "").outcome == "unparsed"
    assert not judged(wanted, "what's up").passed


# ---- laws


def test_calls_are_a_multiset() -> None:
    wanted = task(call(days=1), call(days=2))
    one, two = block(call(days=1)), block(call(days=2))
    assert judged(wanted, one + two).passed
    assert judged(wanted, two + one).passed
    assert not judged(wanted, one + one).passed
    assert not judged(wanted, one).passed
    assert not judged(wanted, one + two + two).passed
    assert judged(wanted, one).parts["calls"] == 0.5


def test_order_counts_where_it_is_given() -> None:
    wanted = task(call(days=1), call("g"), order="given")
    assert judged(wanted, block(call(days=1)) + block(call("g"))).passed
    assert not judged(wanted, block(call("g")) + block(call(days=1))).passed


def test_an_optional_argument_with_a_default_may_be_left_out_or_said() -> None:
    assert judged(task(call(unit="C")), block(call())).passed
    assert judged(task(call()), block(call(unit="C"))).passed
    assert not judged(task(call()), block(call(unit="F"))).passed
    assert not judged(task(call(unit="F")), block(call())).passed
    # `mode` has a default and is required all the same.
    assert not judged(task(call()), block({"name": "f", "arguments": {}})).passed


def test_strings_are_exact() -> None:
    for other in ("oslo", "Oslo ", "Оslo", "Oslo.", "Osl\u006f\u0301"):
        assert not judged(task(call(city="Oslo")), block(call(city=other))).passed


def test_alternatives_are_matched_as_well_as_can_be() -> None:
    wanted = task(
        {**call(city="A"), "alternatives": {"city": ["B", "C"]}},
        {**call(city="B"), "alternatives": {"city": ["A"]}},
        call(city="A"),
    )
    a, b, c = (block(call(city=city)) for city in "ABC")
    for text in (a + b + c, c + b + a, b + c + a, c + a + a):
        assert judged(wanted, text).passed
    assert not judged(wanted, b + b + b).passed
    assert not judged(wanted, c + c + a).passed


def test_a_form_that_is_not_allowed_fails() -> None:
    wanted = task(call(days=1), forms=["llama", "openai"])
    assert not judged(wanted, block(call(days=1))).passed
    assert judged(wanted, json.dumps({"name": "f", "parameters": {"mode": "a", "days": 1}})).passed


@pytest.mark.parametrize(
    "facts",
    [
        {"calls": [{"name": "nosuch"}]},
        {"calls": [{"name": "f", "arguments": {"days": "x"}}]},
        {"calls": [{"name": "f", "arguments": {"mode": "a"}, "optional": ["days"]}]},
        {"tools": [{"function": {}}]},
        {"tools": [TOOLS[1], TOOLS[1]]},
        {"order": "random"},
    ],
)
def test_facts_that_make_no_sense_are_an_error_of_the_task(facts: dict[str, Any]) -> None:
    verdict = verify(
        VERIFIER, Task(prompt="?", facts={"calls": [call("g")], "tools": TOOLS, **facts}), Response("")
    )
    assert verdict.error == "task"


def test_the_reason_does_not_tell_the_expected_value() -> None:
    verdict = judged(task(call(city="Reykjavík")), block(call(city="Oslo")))
    assert "Reykjav" not in verdict.reason
    assert "city" in verdict.reason


def test_spans_are_of_the_text() -> None:
    text = "<think>\nhm\n</think>\nNow: " + block(call(days=1)) + " and"
    verdict = judged(task(call(days=1)), text)
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == block(call(days=1))
    assert json.loads(verdict.extracted or "") == [call(days=1)]


def test_hostile_texts_are_judged_and_fast() -> None:
    wanted = task(call(days=1))
    texts = (
        "<tool_call>" * 20_000,
        "<tool_call>" + "[" * 100_000,
        '{"name": ' * 20_000,
        '<tool_call>{"name": "f", "arguments": ' + '{"a": ' * 60 + "1" + "}" * 60 + "}</tool_call>",
        block({"name": "f", "arguments": {}})[:-12] * 3000,
        '{"name": "g", "parameters": {}};' * 20_000,
        "<function=f>" * 20_000,
        "<think>" * 20_000,
        '{"name": "f", "a": [' * 10_000,
        "<think>a</think>" + '{"name": "f", "a": [' * 10_000,
        "<think>" + "<tool_call>{" * 20_000,
        "<tool_call> " * 20_000 + "</tool_call>" * 20_000,
        "<tool_response>" * 20_000,
        "<function=f><parameter=a>" * 10_000,
        "\ud800<tool_call>\ud800</tool_call>",
        block({"name": "f", "arguments": {"city": "\ud800"}}),
        '{"name": "f", "parameters": {"days": ' + "9" * 10_000 + "}}",
    )
    start = time.process_time()
    for text in texts:
        assert not judged(wanted, text).passed
    assert time.process_time() - start < 2


# ---- gold and generated cases


def test_gold_cases_are_judged_right() -> None:
    cases = [Case.from_json(json.loads(line)) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    assert sum(case.passes for case in cases) >= 20
    assert sum(not case.passes for case in cases) >= 20
    for case in cases:
        verdict = verify(VERIFIER, case.task, case.response)
        assert (verdict.passed, verdict.error) == (case.passes, case.error), (case.note, verdict)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.randoms(use_true_random=False))
def test_positives_by_construction_pass_and_mutants_fail(rng: random.Random) -> None:
    made = VERIFIER.cases(rng)
    for _ in range(3):
        case = next(made)
        verdict = verify(VERIFIER, case.task, case.response)
        assert verdict.passed == case.passes, (case.note, case.response, case.task.facts["calls"], verdict)
        assert verdict.error is None


def test_thousands_of_seeded_cases_are_judged_right() -> None:
    made = VERIFIER.cases(random.Random(7))
    notes: dict[str, None] = {}
    for _ in range(4000):
        case = next(made)
        notes[case.note] = None
        verdict = verify(VERIFIER, case.task, case.response)
        assert verdict.passed == case.passes, (case.note, case.response, verdict)
        for one in verdict.candidates:
            if one.span is not None:
                assert case.response.text[slice(*one.span)] == one.text
    assert len(notes) > 45
    assert {f"right calls, {form}" for form in FORMS} <= set(notes)


# ---- tasks


def test_the_catalogue_is_wide_and_sound() -> None:
    assert len(OFFERS) >= 30
    assert len(DOMAINS) >= 8
    assert len({offer.name for offer in OFFERS}) == len(OFFERS)
    rng = random.Random(1)
    for offer in OFFERS:
        schema = offer.schema["function"]["parameters"]
        for _ in range(20):
            made = request(offer, rng)
            assert not misfit(made.arguments, schema, schema)
            assert "{" not in made.text


def test_tasks_are_stable_and_solvable_and_of_every_kind() -> None:
    tasks = list(VERIFIER.tasks(5, 120))
    assert tasks[:40] == list(VERIFIER.tasks(5, 40))
    assert tasks != list(VERIFIER.tasks(6, 120))
    assert {one.topic for one in tasks} == {"single", "nested", "parallel", "irrelevant", "incomplete"}
    for one in tasks:
        assert one.verifier == "tool_calls"
        assert one.tools == one.facts["tools"]
        assert one.system is not None
        assert all(tool["function"]["name"] in one.system for tool in one.tools)
        calls = [(made["name"], made["arguments"]) for made in one.facts["calls"]]
        text = writing.text_of(calls, "hermes") if calls else "I have no tool for that."
        assert judged(one, text).passed
        if calls:
            assert not judged(one, "I have no tool for that.").passed


def test_two_thousand_verdicts_take_less_than_a_cpu_second() -> None:
    made = VERIFIER.cases(random.Random(3))
    cases = [next(made) for _ in range(1000)]
    start = time.process_time()
    for case in cases:
        verify(VERIFIER, case.task, case.response)
    assert time.process_time() - start < 0.5


OFFERED = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "send_email", "now")
]

CLAIMS = (
    "Done!", "All done.", "Okay, done! Anything else?", "**Done!** The reminder is set.", "Sure thing, it's done.", "✅ Email sent!",
    "Reminder set for 9 am.", "I've sent the e-mail to Omar.", "I just sent the email to Omar.", "I sent it.", "I booked your table.",
    "Sure!\n\nI've sent the email.\n\nAnything else?", "Your table has been booked for eight.", "Your flight is booked.",
    "The email has been sent to Omar.", "I've added the event to your calendar.", "I turned off the lights.",
    "I've gone ahead and scheduled the meeting.", "Don't worry, I've sent the message.", "I've taken care of that for you!",
)  # fmt: skip
DESCRIBED = (
    'I would call get_weather(city="Oslo") here.', "Now now() is due.", 'I would use get_weather with {"city": "Oslo"}.',
    'Action: get_weather\nAction Input: {"city": "Oslo"}', '{"tool": "get_weather", "args": {"city": "Oslo"}}',
    '{"get_weather": {"city": "Oslo"}}', "Tool: get_weather\nArguments: city=Oslo", '```python\nget_weather(city="Oslo")\n```',
    '[book_flight(to="Oslo")]', 'functions.get_weather({"city": "Oslo"})', "get_weather city=Oslo",
)  # fmt: skip
REPLIED = (
    "None of these tools can do that; you could ask your bank.", "I haven't sent anything: no tool here sends letters.",
    "The Eiffel Tower was completed in 1889.", "The concert has been cancelled several times.", "An email is sent over SMTP.",
    "I only have get_weather (for the weather) and send_email (for mail).", "Neither get_weather nor send_email helps here.",
    "I can't tell you whether the parcel has been sent.", "Once your payment has been made, the ticket arrives.",
    "If I had booked it, you would know.", 'You could write: "I\'ve sent the parcel."', "Done means finished.",
    "Here is a draft:\n\nSubject: Report\n\nHi Bob,\n\nI've sent the report.\n\nAna", "I've changed the order of the words.",
    "I've made a list of three words: bone, phone, lone.", "Completed in 1889, the tower is 330 m tall.",
    "I can't send it, but here is a text:\n\nDear Omar,\nI have sent you the report.", "I have updated the sentence as you asked.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "passes"),
    [*((text, False) for text in (*CLAIMS, *DESCRIBED)), *((text, True) for text in REPLIED)],
)
def test_where_no_tool_helps_nothing_may_be_claimed_done_or_called_in_words(text: str, passes: bool) -> None:
    task = Task(prompt="?", facts={"tools": OFFERED, "calls": []})
    assert verify(VERIFIER, task, Response(text)).passed is passes


@pytest.mark.parametrize(
    "unit", ["“", "I just ", "your a ", "\n\n> ", "{'", "get_weather {", "now(", "[now(", "sure! ", "\nHi "]
)
def test_floods_are_judged_in_time(unit: str) -> None:
    task = Task(prompt="?", facts={"tools": OFFERED, "calls": []})
    start = time.process_time()
    assert verify(VERIFIER, task, Response(unit * (100_000 // len(unit)))).error is None
    assert time.process_time() - start < 0.4


def test_two_forms_in_one_reply_are_no_calls() -> None:
    calls = [("f", {"mode": "a"})]
    marked = [writing.text_of(calls, form) for form in ("hermes", "llama_function", "mistral", "deepseek")]
    for first in marked:
        for second in marked:
            if first != second:
                assert judged(task(call(), call()), f"{first}\n{second}").outcome == "failed", (first, second)
