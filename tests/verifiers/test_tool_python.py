"""The tool `python`: programs of episodes, in the sandbox, and run again by the verifier."""

from __future__ import annotations

import json
import random

import pytest

from dataforge.verifiers import Response, find, verify
from dataforge.verifiers.calling import use_cases
from dataforge.verifiers.calling.episode import Episode
from dataforge.verifiers.calling.tools import TOOLS, Overrun, ToolError
from dataforge.verifiers.calling.writing import block
from dataforge.verifiers.sandbox import IsolationError, run_program
from schemas.chat import Message
from schemas.task import Task


@pytest.fixture(autouse=True, scope="module")
def _sandbox() -> None:
    try:
        run_program("")
    except IsolationError as lacking:
        pytest.skip(f"no sandbox here: {lacking}")


def run(code: str) -> object:
    return TOOLS["python"].run({}, {"code": code})


def test_a_program_gives_what_it_prints() -> None:
    assert run("print(6 * 7)") == {"stdout": "42\n"}
    assert run("x = 1") == {"stdout": ""}
    assert run("print('ü' * 2, end='')") == {"stdout": "üü"}


def test_a_failing_program_gives_the_error_and_no_paths() -> None:
    with pytest.raises(ToolError, match=r"^ZeroDivisionError: division by zero$") as raised:
        run("print(1)\n1 / 0")
    assert raised.value.besides == {"stdout": "1\n"}
    with pytest.raises(ToolError, match="ended with an error"):
        run("import sys; sys.exit(3)")


def test_output_is_cut() -> None:
    result = run("print('a' * 5000, end='')")
    assert result == {"stdout": "a" * 4000, "left_off": 1000}


def test_a_program_without_end_is_ended() -> None:
    from dataforge.verifiers.calling.tools import python

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python, "CPU_S", 0.3)
        with pytest.raises(Overrun, match="too much CPU time"):
            run("print(1)\nwhile True: pass")
        episode = Episode(Task(prompt="?", facts={"tools": ["python"]}))
        calls = block("python", {"code": "while True: pass"}) * 5
        assert episode.step(Message(role="assistant", content=calls)).finished
        assert "used up" in episode.fault
        assert len(episode.executed) == 3


def test_a_program_that_sleeps_is_ended_and_the_model_is_told() -> None:
    from dataforge.verifiers.calling.tools import python

    assert python.WALL_S <= 2 * python.CPU_S + 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python, "WALL_S", 0.5)
        episode = Episode(Task(prompt="?", facts={"tools": ["python"]}))
        code = block("python", {"code": "import time; print(1, flush=True); time.sleep(60)"})
        step = episode.step(Message(role="assistant", content=code))
        assert not step.finished
        assert json.loads(step.messages[0].content) == {"error": "the program did not end in time"}


TASK = Task(prompt="?", facts={"tools": ["python"], "answer": 3})


def response(code: str) -> Response:
    episode = Episode(TASK)
    episode.step(Message(role="assistant", content=block("python", {"code": code})))
    episode.step(Message(role="assistant", content="Answer: 3"))
    return episode.response()


def test_a_program_is_run_again_and_must_print_the_same() -> None:
    made = response("print({'a', 'b', 'c'}, 3)")
    assert verify(find("tool_use"), TASK, made).passed
    turns = [*made.turns]
    turns[1] = turns[1].model_copy(update={"content": json.dumps({"result": {"stdout": "3\n"}})})
    assert not verify(find("tool_use"), TASK, Response(made.text, turns=tuple(turns))).passed


def test_a_program_that_prints_something_else_each_time_fails() -> None:
    made = response("import time; print(time.time_ns())")
    verdict = verify(find("tool_use"), TASK, made)
    assert verdict.outcome == "failed"
    assert verdict.reason == "a tool's turn is not what the call gives"


def test_generated_cases_with_programs_are_judged_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "PROGRAMS", 1.0)
    made = find("tool_use").cases(random.Random(2))
    for _ in range(150):
        case = next(made)
        verdict = verify(find("tool_use"), case.task, case.response)
        assert verdict.passed == case.passes, (case.note, case.response, verdict)
        assert verdict.error is None
