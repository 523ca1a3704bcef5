"""The verifier `code`: what it finds, runs and compares, its tasks and its generated cases; and that no cheat passes."""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Case, Response, Verdict, find, verify
from dataforge.verifiers.coding import cheats
from dataforge.verifiers.coding.comparing import same_output, same_value
from dataforge.verifiers.coding.exercise import answers
from dataforge.verifiers.coding.finding import fenced, find_program
from dataforge.verifiers.library.code import EXERCISES
from dataforge.verifiers.sandbox import IsolationError, Limits, Run, pool, session
from dataforge.verifiers.sandbox.container import Container
from schemas.task import Task

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux namespaces"),
    pytest.mark.usefixtures("isolation"),
]


CODE = find("code")


def judge(program: str, tests: list[dict[str, Any]], fn_name: str = "", **facts: Any) -> Verdict:
    kind = "call" if fn_name else "stdin"
    facts = {"kind": kind, "fn_name": fn_name, "tests": tests, "limits": {"cpu_s": 1.0}, **facts}
    return verify(
        CODE, Task(prompt="?", facts=facts), Response(f"```python\n{textwrap.dedent(program)}\n```")
    )


def test_a_preamble_stands_before_the_program() -> None:
    """A model that was given imports and helpers need not repeat them; what it does repeat is its own."""
    given = "from typing import List\ndef double(n: int) -> int:\n    return 2 * n\n"
    tests = [{"args": [[1, 2]], "output": [2, 4]}]
    program = "from __future__ import annotations\ndef f(xs: List[int]) -> List[int]:\n    return [double(x) for x in xs]"
    assert judge(program, tests, "f", preamble=given).passed
    assert not judge(program, tests, "f").passed
    assert judge(
        f"def double(n):\n    return n + n\n{program.partition(chr(10))[2]}", tests, "f", preamble=given
    ).passed


# ---- cheats

MANY: list[dict[str, Any]] = [
    {"args": [3], "output": 9}, {"args": [4], "output": 16}, {"args": [0], "output": 0}, {"args": [5], "output": 25},
]  # fmt: skip
OTHER_TYPES = [True, False, "text", 2.5, [1, 2], {"a": 1}]


@pytest.mark.parametrize("name", cheats.CALLS)
def test_no_cheat_passes_by_call(name: str) -> None:
    program = cheats.CALLS[name].replace("NAME", "square")
    for tests in (MANY, *([{"args": [1], "output": value}] for value in OTHER_TYPES)):
        verdict = judge(program, tests, "square", limits={"cpu_s": 0.3})
        assert verdict.outcome == "failed", (tests, verdict)


@pytest.mark.parametrize("name", cheats.SCRIPTS)
def test_no_cheat_passes_by_stdin(name: str) -> None:
    tests = [{"input": f"{n}\n", "output": f"{n * n}\n"} for n in (3, 4, 0, 5)]
    verdict = judge(cheats.SCRIPTS[name], tests, limits={"cpu_s": 0.3})
    assert verdict.outcome == "failed", verdict


def test_expected_values_are_nowhere_in_the_sandbox() -> None:
    """A program that prints and returns all of its memory that it can reach does not find them."""
    program = """
    import ctypes, gc, os, sys
    def f(x):
        frame, seen = sys._getframe(), []
        while frame:
            seen.append(repr(frame.f_locals) + repr(frame.f_globals)); frame = frame.f_back
        seen += [repr(o) for o in gc.get_objects()[-3000:] if type(o) in (dict, list, tuple)]
        seen.append(repr(dict(os.environ)))
        return "".join(seen)[-500000:]
    """
    seen: list[Any] = []
    with session() as box:
        run = box.call(textwrap.dedent(program), "f", ["the-argument"])
    assert run.returned is not None, run
    seen.append(run.returned.value)
    assert "the-argument" in seen[0]
    verdict = judge(program, [{"args": ["the-argument"], "output": "the-hidden-answer"}], "f")
    assert verdict.outcome == "failed"
    assert "the-hidden-answer" not in json.dumps(verdict.to_json())


def test_expected_values_are_in_nothing_that_the_sandbox_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    before = Container.run

    def run(self: Container, payload: dict[str, Any], stdin: bytes, limits: Limits) -> Run:
        given.append(repr((payload, stdin, limits)))
        return before(self, payload, stdin, limits)

    monkeypatch.setattr(Container, "run", run)
    judge("print(input())", [{"input": f"in{n}", "output": f"hidden{n}"} for n in range(3)])
    judge("def f(x): return x", [{"args": [f"in{n}"], "output": f"hidden{n}"} for n in range(3)], "f")
    assert [f"in{n}" in one for n, one in zip([0, 1, 2, 0, 1, 2], given, strict=True)] == [True] * 6
    assert "hidden" not in "".join(given)


# ---- verdicts


def test_score_is_the_share_of_tests_and_each_is_on_record() -> None:
    verdict = judge("def square(x): return x * x if x < 5 else 1 // 0", MANY, "square")
    assert (verdict.outcome, verdict.score) == ("failed", 0.75)
    assert verdict.parts == {"test 1": 1.0, "test 2": 1.0, "test 3": 1.0, "test 4": 0.0}
    assert verdict.reason == "3 of 4 tests passed; test 4: ZeroDivisionError"


def test_it_can_stop_at_the_first_failure() -> None:
    verdict = judge("def square(x): return x + x", MANY, "square", stop_at_first=True)
    assert verdict.reason == "0 of 4 tests passed; test 1: wrong answer; 3 more not run"
    assert verdict.score == 0.0
    assert len(verdict.parts) == 4


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("while True: pass", "out of CPU time"),
        ("x = bytearray(10 ** 9)", "out of memory"),
        ("while True: print(1)", "too much output"),
        ("import os; os.abort()", "ended by signal 6"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("int('secret input 123')", "ValueError"),
        ("raise KeyError('Traceback')", "KeyError"),
        ("class hidden42(Exception): pass\nraise hidden42", "an exception of its own"),
        ("def f(:", "SyntaxError"),
        ("print(2)", "wrong answer"),
    ],
)
def test_the_reason_says_how_a_test_ended_and_tells_no_input(program: str, said: str) -> None:
    verdict = judge(program, [{"input": "", "output": "1"}])
    assert verdict.reason == f"0 of 1 tests passed; test 1: {said}"


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return type(x, (), {})()",
        "def f(x): raise type(x, (Exception,), {})(x)",
        "def f(x): import sys; sys.stderr.write('Traceback \\n' + x); sys.exit(1)",
        "def f(x): import sys; sys.exit(x)",
        "def f(x): raise ValueError(x)",
        "def f(x): import os; os.write(2, ('  File \\n' + x + ': 1').encode()); os._exit(1)",
        "def f(x):\n e = KeyError(x)\n e.add_note(x)\n raise e",
        "def f(x): exec(f'{x} = 1\\nraise {x}')",
        "def f(x): return {x: {x}}",
        "def f(x): print(x); return x",
    ],
)
def test_no_program_can_tell_of_a_hidden_input_by_the_reason(program: str) -> None:
    verdict = judge(program, [{"args": ["secret"], "output": 1}], "f")
    assert verdict.outcome == "failed"
    assert "secret" not in verdict.reason


def test_tests_do_not_see_each_other() -> None:
    """All run in one container, each with files, processes and modules of its own."""
    program = """
    import os, builtins
    print(os.path.exists('/tmp/mark'), hasattr(builtins, 'mark'), os.getpid())
    open('/tmp/mark', 'w').close(); builtins.mark = 1
    """
    assert judge(program, [{"input": "", "output": "False False 2"}] * 3).passed


def test_a_fault_of_the_machine_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise IsolationError("no namespaces", help="get some")

    monkeypatch.setattr("dataforge.verifiers.library.code.session", none)
    verdict = judge("print(1)", [{"input": "", "output": "1"}])
    assert (verdict.outcome, verdict.error, verdict.score) == ("error", "isolation", None)
    assert verdict.reason == "no namespaces; get some"


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "call", "tests": [{"args": [], "output": 1}]},
        {"kind": "call", "fn_name": "f(x)", "tests": [{"args": [], "output": 1}]},
        {"kind": "call", "fn_name": "f", "tests": [{"input": "", "output": "1"}]},
        {"kind": "stdin", "tests": [{"input": "", "output": 1}]},
        {"kind": "stdin", "tests": [{"args": [], "output": "1"}]},
        {"kind": "stdin", "tests": []},
        {"kind": "stdin", "tests": [{"input": ""}]},
        {"kind": "stdin", "tests": [{"input": "", "output": "1"}], "limits": {"memory_mb": 1}},
        {"kind": "stdin", "tests": [{"input": "", "output": "1"}], "limits": {"cpu": 1}},
        {"kind": "other", "tests": [{"input": "", "output": "1"}]},
    ],
)
def test_facts_that_make_no_sense_are_the_tasks_fault(facts: dict[str, Any]) -> None:
    assert verify(CODE, Task(prompt="?", facts=facts), Response("```python\nprint(1)\n```")).error == "task"


# ---- finding


def test_candidates_are_on_record_with_spans_of_the_text() -> None:
    text = "<think>```python\nno\n```</think>Hi\n```python\na = 1\n```\n```sh\nls\n```\n~~~py\nb = 2\n~~~\n"
    found = find_program(Response(text))
    assert found.code == "b = 2\n"
    assert [candidate.rejected for candidate in found.candidates] == [
        "a later block is the answer",
        "its language is `sh`",
        "",
    ]
    for candidate in found.candidates:
        assert candidate.span is not None
        assert text[slice(*candidate.span)] == candidate.text
    assert found.span == found.candidates[2].span


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("```\na\n```", ["a\n"]),
        ("```a b`c\nx\n```", [""]),  # no info string holds a backtick: the last line opens a block
        ("````\n```\na\n```\n````", ["```\na\n```\n"]),
        ("~~~\na\n```\nb\n~~~~", ["a\n```\nb\n"]),
        ("  ```\n  a\n    b\n ```", ["a\n  b\n"]),
        ("text ```\na\n```", [""]),
        ("```\na", ["a"]),
        ("```\r\na\r\n```\r\n", ["a\r\n"]),
        ("```python\ns = '\u2028'\n```", ["s = '\u2028'\n"]),
        ("``` \n a\n```   \nrest", [" a\n"]),
        ("", []),
    ],
)
def test_fences_are_commonmarks(text: str, codes: list[str]) -> None:
    assert [block.code for block in fenced(text)] == codes


@given(st.text("`~ \npython=1x'\u2028\r", max_size=80))
@settings(max_examples=300, deadline=None)
def test_blocks_lie_in_the_text_and_in_order(text: str) -> None:
    at = 0
    for block in fenced(text):
        assert at <= block.span[0] <= block.span[1] <= len(text)
        at = block.span[1]
    find_program(Response(text))


# ---- comparing


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("1\n2\n", "1\n2", True), ("1\n2", "1  \n2\t\n\n\n", True), ("1\n2", "1\r\n2\r\n", True), ("", "", True), ("", "\n \n", True),
        ("1\n2", "1 2", False), ("1", " 1", False), ("1", "1\n1", False), ("a\n\nb", "a\nb", False), ("1.0", "1.00", False),
        ("Yes", "yes", False), ("1", "", False), ("", "1", False), ("１", "1", False),
    ],
)  # fmt: skip
def test_lines(expected: str, printed: str, same: bool) -> None:
    assert same_output(expected, printed) is same


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("0.333333", "0.3333334", True), ("1000000.0", "1000000.5", True), ("1.5 x", "1.5000001 x", True), ("2.0", "2", True),
        ("0.5", "nan", False), ("0.5", "inf", False), ("3", "3.0000001", False), ("0.5", "0.6", False), ("x0.5", "x0.50", False),
        ("1.5", " 1.5000001", False), ("1e3", "1000.0001", True), ("0.5", "0.5 0.5", False), ("0.5", "٠.٥", False), ("0.5", "0.5_0", False),
    ],
)  # fmt: skip
def test_lines_with_a_tolerance(expected: str, printed: str, same: bool) -> None:
    assert same_output(expected, printed, tolerance=1e-6) is same


def test_tokens() -> None:
    assert same_output("1 2\n3", "1\n 2  3\n\n", how="tokens")
    assert not same_output("1 2\n3", "12 3", how="tokens")
    assert not same_output("1 2\n3", "1 2", how="tokens")


NAN = math.nan


@pytest.mark.parametrize(
    ("expected", "returned", "same"),
    [
        (1, 1, True), (1, True, False), (True, 1, False), (True, True, True), (False, 0, False), (0, False, False), (None, None, True),
        (None, False, False), (3, 3.0, False), (3.0, 3, True), (3.0, True, False), (0.3, 0.1 + 0.2, True), (0.3, 0.4, False),
        (NAN, NAN, True), (NAN, 0.0, False), (0.0, NAN, False), (math.inf, math.inf, True), (math.inf, 1e308, False),
        (1.0, math.inf, False), (-math.inf, math.inf, False), (1.0, 10**400, False), (10**400, 10**400, True), ("1", 1, False),
        (1, "1", False), ("a", "a", True), ("é", "e\u0301", False), ([1, 2], (1, 2), True), ([1, [2]], (1, (2,)), True), ([1], [True], False),
        ([1, 2], [2, 1], False), ([], None, False), ([], (), True), ({}, [], False), ({"a": [1.0]}, {"a": (1.0000001,)}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False), ({"a": 1}, {}, False), ({"1": 2}, {"1": 2}, True), ("", None, False),
    ],
)  # fmt: skip
def test_values_are_compared_by_type(expected: Any, returned: Any, same: bool) -> None:
    assert same_value(expected, returned) is same


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
@settings(max_examples=150, deadline=None)
def test_a_value_is_the_same_as_itself_and_not_the_same_in_another_shape(value: Any) -> None:
    assert same_value(value, value)
    assert not same_value(value, [value])
    assert not same_value([value], value)
    assert not same_value({"k": value}, value)


# ---- tasks and cases


def test_first_tasks_of_many_are_the_same_and_every_topic_comes() -> None:
    few, many = list(CODE.tasks(7, 5)), list(CODE.tasks(7, len(EXERCISES)))
    assert many[:5] == few
    assert {task.topic for task in many} == set(EXERCISES)
    assert len(EXERCISES) >= 20
    assert {task.facts["kind"] for task in many} == {"call", "stdin"}
    assert list(CODE.tasks(8, 5)) != few
    assert all(task.verifier == "code" and task.difficulty is not None and task.prompt for task in many)


@pytest.mark.parametrize("topic", EXERCISES)
def test_exercises_have_solutions_that_pass_and_tests_that_tell(topic: str) -> None:
    maker, _ = EXERCISES[topic]
    for seed in range(25):
        exercise = maker(random.Random(seed))
        results = answers(exercise)
        assert not any(isinstance(result, Exception) for result in results)
        assert len({json.dumps(result) for result in results}) > 1, "one constant would pass"
        if not exercise.function:
            assert all(result.strip() for result in results)
        json.dumps([exercise.inputs, results], allow_nan=False)
    task = next(task for task in CODE.tasks(3, 100) if task.topic == topic)
    assert "  " not in task.prompt.split("\n\n")[1]
    solution = next(
        made.solution
        for made in (maker(random.Random(f"code/3/{-1 - n}")) for n in range(100))
        if made.statement in task.prompt and _same(made, task)
    )
    assert verify(CODE, task, Response(f"```python\n{solution}```")).passed


def _same(made: Any, task: Task) -> bool:
    return [test.get("args", test.get("input")) for test in task.facts["tests"]] == list(made.inputs)


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_cases_are_judged_right(rng: random.Random) -> None:
    for case in itertools.islice(CODE.cases(rng), 2):
        check(case)


def test_generated_cases_are_about_half_and_half_and_varied() -> None:
    cases = list(itertools.islice(CODE.cases(random.Random(5)), 120))
    assert 40 <= sum(case.passes for case in cases) <= 80
    assert len({case.note for case in cases}) > 25
    for case in cases[:60]:
        check(case)


def check(case: Case) -> None:
    verdict = verify(CODE, case.task, case.response)
    assert verdict.outcome != "error", verdict
    assert verdict.passed == case.passes, (case.note, verdict.reason, case.response.text)


def test_gold() -> None:
    from importlib import resources

    lines = (
        resources.files("dataforge.verifiers.gold")
        .joinpath("code.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    cases = [Case.from_json(json.loads(line)) for line in lines]
    assert sum(case.passes for case in cases) >= 20
    assert sum(not case.passes for case in cases) >= 20
    for case in cases:
        verdict = verify(CODE, case.task, case.response)
        if case.error is not None:
            assert verdict.error == case.error, case.note
        else:
            assert verdict.outcome != "error", (case.note, verdict)
            assert verdict.passed == case.passes, (case.note, verdict)


@pytest.fixture(scope="module", autouse=True)
def _end_of_the_pool() -> Any:
    yield
    pool.close()


def test_a_program_that_sleeps_through_a_test_is_not_run_on_the_others() -> None:
    facts = {
        "tests": [{"input": "", "output": "1"}] * 5,
        "limits": {"cpu_s": 1, "wall_s": 1},
    }
    verdict = verify(
        find("code"), Task(prompt="?", facts=facts), Response("```python\nimport time\ntime.sleep(99)\n```")
    )
    assert (verdict.outcome, verdict.score) == ("failed", 0.0)
    assert "4 more not run" in verdict.reason
