"""Episodes with tools that run, and the verifier that runs them again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.errors import InputError
from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.calling import use_cases
from dataforge.verifiers.calling.answers import judge, number
from dataforge.verifiers.calling.episode import Episode, with_masks
from dataforge.verifiers.calling.use_tasks import Problem, draw
from dataforge.verifiers.calling.writing import block, server_call
from dataforge.verifiers.sandbox import IsolationError
from schemas.chat import Message
from schemas.task import Task

VERIFIER = find("tool_use")
GOLD = Path(__file__).parents[2] / "dataforge/verifiers/gold/tool_use.jsonl"


def assistant(content: str, **rest: Any) -> Message:
    return Message(role="assistant", content=content, **rest)


def judged(task: Task, response: Response) -> Verdict:
    verdict = verify(VERIFIER, task, response)
    assert verdict.outcome != "error", verdict.reason
    return verdict


def solve(problem: Problem, model: Callable[[list[Message]], Message]) -> Episode:
    """The loop that any caller writes."""
    episode = Episode(problem.task)
    while not episode.finished:
        episode.step(model(episode.messages()))
    return episode


def by_plan(problem: Problem) -> Callable[[list[Message]], Message]:
    plan = iter(problem.plan)

    def model(messages: list[Message]) -> Message:
        try:
            calls = next(plan)
        except StopIteration:
            return assistant(problem.final)
        return assistant("Done." if calls is None else "\n".join(block(name, sent) for name, sent in calls))

    return model


TASK = Task(
    prompt="Store 6 times 7 under `x`.",
    system="Use tools.",
    facts={
        "tools": ["calculator", "store_set"],
        "final_state": {"store": {"x": "42"}},
        "answer": 42,
        "required": [{"name": "calculator"}],
        "max_turns": 4,
    },
)
SOLUTION = (
    assistant(block("calculator", {"expression": "6 * 7"})),
    assistant(block("store_set", {"key": "x", "value": "42"})),
    assistant("Answer: 42"),
)


def played(*turns: Message, task: Task = TASK) -> Episode:
    episode = Episode(task)
    for turn in turns:
        episode.step(turn)
    return episode


def test_an_episode_runs_calls_and_ends_with_a_reply() -> None:
    episode = Episode(TASK)
    step = episode.step(SOLUTION[0])
    assert [(m.role, m.content) for m in step.messages] == [("tool", '{"result": "42"}')]
    assert not step.finished
    assert not episode.step(SOLUTION[1]).finished
    assert episode.step(SOLUTION[2]).finished
    assert episode.state["store"] == {"x": "42"}
    verdict = judged(TASK, episode.response())
    assert verdict.passed
    assert verdict.parts == {"answer": 1.0, "calls": 1.0, "state": 1.0}


def test_tool_results_are_never_trained_on() -> None:
    """The predecessor put `<tool_response>` texts among the assistant's tokens, and trained on them."""
    episode = played(*SOLUTION)
    messages = episode.messages()
    assert [(m.role, m.train) for m in messages] == [
        ("system", False), ("user", False), ("assistant", True), ("tool", False), ("assistant", True), ("tool", False), ("assistant", True),
    ]  # fmt: skip
    for message in messages:
        if message.train:
            assert "result" not in message.content
    lied = [message.model_copy(update={"train": True}) for message in messages]
    assert [m.train for m in with_masks(lied)] == [m.train for m in messages]


def test_calls_of_the_api_get_their_ids_back() -> None:
    calls = [server_call("calculator", {"expression": f"{n} + 1"}, id=f"c{n}") for n in range(3)]
    step = Episode(TASK).step(assistant("", tool_calls=calls))
    assert [(m.tool_call_id, json.loads(m.content)["result"]) for m in step.messages] == [
        ("c0", "1"),
        ("c1", "2"),
        ("c2", "3"),
    ]


def test_a_tool_that_fails_says_so_and_the_model_may_mend_it() -> None:
    wrong = assistant(block("calculator", {"expression": "6 / 0"}) + block("calculator", {"expr": "6"}))
    episode = played(wrong, *SOLUTION)
    assert [json.loads(one.content) for one in episode.executed[:2]] == [
        {"error": "division by zero"},
        {"error": "the call lacks `expression`"},
    ]
    assert judged(TASK, episode.response()).passed


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        (assistant("<tool_call>\n{}\n</tool_call>"), "can't be read"),
        (assistant(block("rm", {})), "no tool `rm`"),
        (assistant("<think>\n" + block("calculator", {"expression": "1"})), "never ends"),
        (assistant(""), "says nothing"),
        (assistant("<think>a</think>"), "says nothing"),
        (assistant(block("calculator", {"expression": "1"}) * 17), "more than 16 calls"),
        (
            assistant(
                block("calculator", {"expression": "1"}) + '<tool_response>{"result": "1"}</tool_response>'
            ),
            "not the model's",
        ),
        (assistant("", tool_calls=[server_call("calculator", {"expression": "1"})] * 2), "one id"),
    ],
)
def test_a_turn_that_cannot_be_executed_ends_the_episode_and_fails(turn: Message, why: str) -> None:
    episode = played(turn)
    assert episode.finished
    assert why in episode.fault
    assert not judged(TASK, episode.response()).passed


def test_there_is_an_end_to_turns() -> None:
    episode = Episode(TASK)
    call = assistant(block("calculator", {"expression": "1"}))
    steps = [episode.step(call) for _ in range(4)]
    assert [step.finished for step in steps] == [False, False, False, True]
    assert "within 4 turns" in episode.fault
    with pytest.raises(InputError) as raised:
        episode.step(call)
    assert raised.value.code == "V081"
    with pytest.raises(InputError, match="V081"):
        Episode(TASK).step(Message(role="tool", content="{}"))


def test_an_episode_from_senseless_facts_does_not_start() -> None:
    for facts in (
        {},
        {"tools": ["nosuch"]},
        {"tools": ["calculator", "calculator"]},
        {"tools": [], "required": [{"name": "x"}]},
    ):
        with pytest.raises(InputError) as raised:
            Episode(Task(prompt="?", facts=facts))
        assert raised.value.code == "V080"
        assert verify(VERIFIER, Task(prompt="?", facts=facts), Response("Answer: 1")).error == "task"


def test_a_forged_result_fails_whatever_it_says() -> None:
    turns = list(played(*SOLUTION).response().turns)
    for forged in (
        '{"result": "43"}',
        '{"result": 42}',
        '{"result": "42", "more": 1}',
        '{"error": "down"}',
        "",
        "42",
    ):
        changed = [*turns]
        changed[1] = turns[1].model_copy(update={"content": forged})
        verdict = judged(TASK, Response("Answer: 42", turns=tuple(changed)))
        assert not verdict.passed
        assert verdict.reason == "a tool's turn is not what the call gives"
    spaced = [*turns]
    spaced[1] = turns[1].model_copy(update={"content": '{ "result":"42" }'})
    assert judged(TASK, Response("Answer: 42", turns=tuple(spaced))).passed


def test_each_of_answer_calls_and_state_is_needed() -> None:
    compute, store, reply = SOLUTION
    for turns, part in (
        ((compute, store, assistant("Answer: 41")), "answer"),
        ((store, reply), "calls"),
        ((compute, reply), "state"),
    ):
        verdict = judged(TASK, played(*turns).response())
        assert not verdict.passed
        assert [name for name, score in verdict.parts.items() if score < 1] == [part]


def test_the_user_goes_on_after_a_reply() -> None:
    task = Task(prompt="Hi.", facts={"tools": ["calculator"], "answer": 2, "follow_ups": ["What is 1 + 1?"]})
    episode = Episode(task)
    assert [m.content for m in episode.step(assistant("Hello!")).messages] == ["What is 1 + 1?"]
    assert episode.step(assistant("Answer: 2")).finished
    assert judged(task, episode.response()).passed
    assert not judged(task, Response("Answer: 2")).passed


def test_every_task_is_solved_by_its_plan_and_only_with_tools_where_they_are_needed() -> None:
    rng = random.Random(4)
    topics: dict[str, None] = {}
    for _ in range(150):
        problem = draw(rng, programs=False)
        topics[problem.task.topic] = None
        episode = solve(problem, by_plan(problem))
        assert not episode.fault
        assert judged(problem.task, episode.response()).passed
        wrong = solve(problem, lambda messages: assistant("Answer: 0.5"))
        assert not judged(problem.task, wrong.response()).passed
    assert len(topics) == 6


def test_tasks_are_stable() -> None:
    tasks = list(VERIFIER.tasks(5, 60))
    assert tasks[:20] == list(VERIFIER.tasks(5, 20))
    assert tasks != list(VERIFIER.tasks(6, 60))
    assert len({task.topic for task in tasks}) == 7
    assert all(task.verifier == "tool_use" and task.tools and task.system for task in tasks)


def test_without_a_sandbox_a_program_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **rest: object) -> None:
        raise IsolationError("no sandbox here")

    monkeypatch.setattr("dataforge.verifiers.sandbox.run_program", refuse)
    turns = (
        assistant(block("python", {"code": "print(1)"})),
        Message(role="tool", content='{"result": {"stdout": "1\\n"}}'),
        assistant("Answer: 1"),
    )
    task = Task(prompt="?", facts={"tools": ["python"], "answer": 1})
    verdict = verify(VERIFIER, task, Response("Answer: 1", turns=turns))
    assert (verdict.outcome, verdict.error) == ("error", "isolation")


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("42", "", 42), ("-1.50", "", -1.5), ("−3", "", -3), ("1,234,567.5", "", 1234567.5), ("$42$", "", 42), (r"$\boxed{7}$", "", 7), ("**8**.", "", 8),
        ("1e3", "", 1000), (".5", "", 0.5), ("5 km", "km", 5), ("€5", "€", 5), ("`5 km`", "km", 5), ("5 km", "", None), ("12,34", "", None), ("", "", None),
        (".", "", None), ("1 2", "", None), ("٣", "", None), ("0x10", "", None), ("NaN", "", None), ("1e9999", "", None), ("5 or 6", "", None), ("9" * 500, "", None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, unit: str, value: float | None) -> None:
    assert number(text, unit) == value


def test_the_answer_stands_on_its_line() -> None:
    text = "Answers vary.\nThe answer: no.\n> **Answer:** `x  y`.\n"
    found = judge(text, 0, ["x y"])
    assert found.right
    assert found.span is not None
    assert text[slice(*found.span)] == found.found == "`x  y`."
    assert not judge("Answer: 1\nAnswer: 2", 0, [2]).right
    assert judge("Answer: 2\nAnswer: 2.0", 0, [2]).right
    assert judge("Answer: 3", 5, [3]).found is None


def test_gold_cases_are_judged_right() -> None:
    cases = [Case.from_json(json.loads(line)) for line in GOLD.read_text(encoding="utf-8").splitlines()]
    assert sum(case.passes for case in cases) >= 20
    assert sum(not case.passes for case in cases) >= 20
    for case in cases:
        verdict = verify(VERIFIER, case.task, case.response)
        if verdict.error == "isolation":
            continue  # this machine has no sandbox; what that means is tested above
        assert (verdict.passed, verdict.error) == (case.passes, case.error), (case.note, verdict)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.randoms(use_true_random=False))
def test_solved_episodes_pass_and_mutants_fail(rng: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(use_cases, "PROGRAMS", 0.0)
        case = next(VERIFIER.cases(rng))
    verdict = judged(case.task, case.response)
    assert verdict.passed == case.passes, (case.note, case.response, verdict)


def test_thousands_of_seeded_cases_are_judged_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "PROGRAMS", 0.0)
    made = VERIFIER.cases(random.Random(11))
    notes: dict[str, None] = {}
    for _ in range(3000):
        case = next(made)
        notes[case.note] = None
        verdict = judged(case.task, case.response)
        assert verdict.passed == case.passes, (case.note, case.response, verdict)
        for one in verdict.candidates:
            if one.span is not None:
                assert case.response.text[slice(*one.span)] == one.text
    assert len(notes) > 25
