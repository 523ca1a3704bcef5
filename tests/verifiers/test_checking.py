"""Running a verifier: whatever goes wrong that is not the model's fault is an error of its kind, with no score."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dataforge.verifiers import Facts, Response, Verdict, Verifier, find, verify
from dataforge.verifiers.many import verify_all
from dataforge.verifiers.protocol import Candidate, Case, failed, passed
from dataforge.verifiers.workers import _Worker
from schemas.task import Task


class NumberFacts(Facts):
    number: int


class Odd(Verifier[NumberFacts]):
    """Does what the response says."""

    name = "odd"
    family = "test"
    facts = NumberFacts
    limit_s = 0.3

    def check(self, facts: NumberFacts, response: Response) -> Verdict:
        match response.text:
            case "loop":
                while True:
                    pass
            case "raise":
                raise ZeroDivisionError("oh")
            case "swallow":
                while True:
                    try:
                        sum(range(10_000))
                    except Exception:  # noqa: BLE001 - as careless libraries do
                        pass
        return passed(response.text) if response.text == str(facts.number) else failed("not it")


class OddInAWorker(Odd):
    """Does what the response says, in a process of its own."""

    isolation = "process"


TASK = Task(prompt="?", facts={"number": 4})


@pytest.mark.parametrize("verifier", [Odd(), OddInAWorker()], ids=["inline", "process"])
@pytest.mark.parametrize(
    ("text", "outcome", "kind"),
    [
        ("4", "passed", None),
        ("5", "failed", None),
        ("raise", "error", "verifier"),
        ("loop", "error", "timeout"),
        ("swallow", "error", "timeout"),
        ("4", "passed", None),
    ],
)
def test_a_fault_of_ours_is_no_wrong_answer(
    verifier: Verifier[Any], text: str, outcome: str, kind: str | None
) -> None:
    verdict = verify(verifier, TASK, Response(text))
    assert (verdict.outcome, verdict.error) == (outcome, kind)
    assert (verdict.score is None) == (outcome == "error")


@pytest.mark.parametrize("facts", [{}, {"number": "many"}, {"number": 1, "more": 2}])
def test_facts_that_make_no_sense_are_the_tasks_fault(facts: dict[str, Any]) -> None:
    verdict = verify(Odd(), Task(prompt="?", facts=facts), Response("4"))
    assert (verdict.outcome, verdict.error, verdict.score) == ("error", "task", None)


def test_another_thread_is_timed_too() -> None:
    told: list[Verdict] = []
    thread = threading.Thread(target=lambda: told.append(verify(Odd(), TASK, Response("loop"))))
    thread.start()
    thread.join(30)
    assert told[0].error == "timeout"


def test_a_sleeping_machine_is_no_reason_to_give_up() -> None:
    class Sleeper(Odd):
        """Sleeps."""

        def check(self, facts: NumberFacts, response: Response) -> Verdict:
            time.sleep(0.5)
            return passed()

    assert verify(Sleeper(), TASK, Response("")).passed


@pytest.mark.parametrize("verifier", [Odd(), OddInAWorker()], ids=["inline", "process"])
def test_many_verdicts_come_in_the_order_of_the_responses(verifier: Verifier[Any]) -> None:
    texts = [str(i % 7) for i in range(60)]
    items = ((i, verifier, TASK, Response(text)) for i, text in enumerate(texts))
    done = list(verify_all(items))
    assert [key for key, _ in done] == list(range(60))
    assert [verdict.passed for _, verdict in done] == [text == "4" for text in texts]


def test_a_stream_is_not_read_ahead() -> None:
    read = 0
    judge = OddInAWorker()

    def items() -> Any:
        nonlocal read
        for i in range(10_000):
            read += 1
            yield i, judge, TASK, Response("4")

    stream = verify_all(items())
    for _ in range(5):
        next(stream)
    assert read < 100
    stream.close()  # type: ignore[attr-defined]


def test_a_verdict_is_whole() -> None:
    with pytest.raises(ValueError, match="an error has a kind and no score"):
        Verdict("error", 0.0)
    with pytest.raises(ValueError, match="an error has a kind and no score"):
        Verdict("passed", None)
    with pytest.raises(ValueError, match="from 0 to 1"):
        Verdict("failed", 1.5)


def test_cases_come_back_from_their_lines() -> None:
    case = Case(TASK, Response("x", reasoning="r", finish_reason="stop"), False, "note", "task")
    assert Case.from_json(case.to_json()) == case
    plain = Case(TASK, Response("x"), True, "note")
    assert plain.to_json()["response"] == {"text": "x"}
    assert Case.from_json(plain.to_json()) == plain


def test_a_verdict_as_json_has_every_candidate() -> None:
    verdict = failed("no", "b", (3, 4), candidates=[Candidate("a", (0, 1), "denied"), Candidate("b", (3, 4))])
    told = verdict.to_json()
    assert told["candidates"][0] == {"text": "a", "span": [0, 1], "rejected": "denied"}
    assert (told["span"], told["passed"], told["error"]) == ([3, 4], False, None)


def test_finding_one_imports_no_other() -> None:
    assert find("exact").family == find("fuzzy").family


# ---- workers and their grader

_GRADER = """
import os, sys, threading, time
from dataforge.verifiers import workers
worker = workers._Worker()
# The worker answers, so it is up; what it gets then keeps it from its pipe, as a hanging library would.
from dataforge.verifiers import Response, find
from schemas.task import Task
exact = find("exact")
assert worker.judge(exact, Task(prompt="?", facts={"answer": "1"}), Response("1")) is not None
if sys.argv[1] == "a fork holds its pipe" and os.fork() == 0:
    time.sleep(20)
    os._exit(0)
if sys.argv[1] == "it sleeps":
    import pickle
    workers._send(worker.process.stdin, pickle.dumps((Sleeper, {}, None)))
print(worker.process.pid, flush=True)
time.sleep(60)
"""

_SLEEPER = """
import time
class Sleeper:
    limit_s = 60.0
    def __init__(self):
        time.sleep(600)
"""


@pytest.mark.parametrize("how", ["it is idle", "it sleeps", "a fork holds its pipe"])
def test_a_worker_dies_with_its_grader_even_if_that_is_killed(how: str, tmp_path: Path) -> None:
    (tmp_path / "sleeping.py").write_text(_SLEEPER)
    grader = subprocess.Popen(
        [sys.executable, "-c", "from sleeping import Sleeper\n" + _GRADER, how],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert grader.stdout is not None
    with grader.stdout:
        worker = Path(f"/proc/{int(grader.stdout.readline())}")
        if how == "it sleeps":
            time.sleep(0.5)
        assert _runs(worker)
        grader.kill()
        grader.wait()
        ends = time.monotonic() + 10
        while _runs(worker) and time.monotonic() < ends:
            time.sleep(0.05)
    try:
        assert not _runs(worker)
    finally:
        try:
            os.killpg(grader.pid, 9)
        except ProcessLookupError:
            pass


def _runs(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_worker_whose_grader_is_gone_already_ends_at_once() -> None:
    command = "from dataforge.verifiers import workers; workers.serve(1 << 30)"
    ended = subprocess.run([sys.executable, "-c", command], stdin=subprocess.PIPE, timeout=60, check=False)
    assert ended.returncode == -9


def test_the_working_folder_is_none_that_a_worker_imports_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    worker = _Worker()
    try:
        assert worker.judge(OddInAWorker(), TASK, Response("4")) == passed("4")
    finally:
        worker.end()
