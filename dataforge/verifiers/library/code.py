"""Code that is run: the program is taken out of the answer, run on every test in the sandbox, and what it prints or returns is compared here.

Expected values never enter the sandbox, so a program cannot find them, and there is no verdict in there that it could
forge: an exit code, a printed word or an object that is equal to everything is worth nothing. What fails for the machine's
sake is an error of the kind `isolation`, never a wrong answer.
"""

from __future__ import annotations

import builtins
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dataforge.errors import InputError
from dataforge.verifiers.coding.comparing import same_output, same_value
from dataforge.verifiers.coding.finding import find_program
from dataforge.verifiers.coding.functions import FUNCTIONS
from dataforge.verifiers.coding.scripts import SCRIPTS
from dataforge.verifiers.protocol import (
    Case,
    Facts,
    Response,
    Verdict,
    Verifier,
    error,
    failed,
    passed,
    unparsed,
)
from dataforge.verifiers.sandbox import IsolationError, Limits, Run, Session, session
from dataforge.verifiers.sandbox.limits import MIB
from schemas.task import Task

EXERCISES = {**FUNCTIONS, **SCRIPTS}
"""Topic to maker and difficulty."""


class Test(BaseModel):
    """One test: what goes in, and what must come out."""

    __test__ = False  # a name that pytest would collect

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str | None = Field(default=None, description="what the program reads from stdin")
    args: list[Any] | None = Field(default=None, description="the arguments of the call, as JSON values")
    output: Any = Field(description="what must be printed (text), or returned (a JSON value)")


class CodeLimits(BaseModel):
    """What each test may use; what is left out is the sandbox's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_s: float = Field(default=5.0, description="CPU seconds of all its processes")
    wall_s: float | None = Field(
        default=None, description="seconds; by default ten times `cpu_s` and ten more"
    )
    memory_mb: float = Field(default=256.0, description="MiB of memory of all its processes, at least 32")
    processes: int = Field(default=16, description="processes and threads at once")
    output_kb: float = Field(default=1024.0, description="KiB that it may print, and return")
    disk_mb: float = Field(default=16.0, description="MiB of files in its /tmp")

    def limits(self) -> Limits:
        """As the sandbox has them.

        Raises:
            InputError: V021, one is too small to run anything.
        """
        return Limits(
            cpu_s=self.cpu_s,
            wall_s=self.wall_s,
            memory_bytes=int(self.memory_mb * MIB),
            processes=self.processes,
            output_bytes=int(self.output_kb * 1024),
            disk_bytes=int(self.disk_mb * MIB),
        )


class CodeFacts(Facts):
    """The tests, and how to run and compare."""

    tests: list[Test] = Field(min_length=1, description="the tests: `input` or `args`, and `output`")
    kind: Literal["stdin", "call"] = Field(
        default="stdin",
        description="whether a script reads stdin and prints, or a function is called and returns",
    )
    fn_name: str = Field(
        default="", description="the function, or the method of a class `Solution`, that is called"
    )
    preamble: str = Field(
        default="",
        description="code that stands before the program, such as the imports that the prompt gave",
    )
    limits: CodeLimits = Field(default_factory=CodeLimits, description="what each test may use")
    stop_at_first: bool = Field(
        default=False, description="whether to run no more tests after one has failed"
    )
    compare: Literal["lines", "tokens"] = Field(
        default="lines", description="whether line breaks and leading spaces of what is printed matter"
    )
    tolerance: float | None = Field(
        default=None,
        ge=0,
        description="how far a float may be off, absolutely or in proportion; by default 1e-6 where it is returned, and "
        "not at all where it is printed",
    )
    packages: bool = Field(
        default=False,
        description="whether the packages installed beside DataForge can be imported, such as numpy",
    )


class Code(Verifier[CodeFacts]):
    """Runs the program in the answer on tests, in a sandbox, and compares what it prints or returns.

    The program is the last fenced block of Python (for calls: the last that defines the function), or the whole answer
    where that is nothing but a program. The score is the share of tests passed.
    """

    name = "code"
    family = "code execution"
    facts = CodeFacts
    isolation = "sandbox"
    limit_s = 60.0

    def check(self, facts: CodeFacts, response: Response) -> Verdict:
        if fault := _fault(facts):
            return error("task", fault)
        found = find_program(response, facts.fn_name if facts.kind == "call" else "")
        if found.code is None:
            return unparsed(found.fault, candidates=found.candidates)
        try:
            limits = facts.limits.limits()
            with session(packages=facts.packages) as box:
                program = _behind(facts.preamble, found.code)
                outcomes = list(_outcomes(facts, program, box, limits))
        except IsolationError as failure:
            return error(
                "isolation", f"{failure.message}; {failure.help}" if failure.help else failure.message
            )
        except InputError as failure:
            return error("task", failure.message)
        parts = {f"test {n}": float(not outcome) for n, outcome in enumerate(outcomes, 1)}
        parts |= {f"test {n}": 0.0 for n in range(len(outcomes) + 1, len(facts.tests) + 1)}
        right = sum(not outcome for outcome in outcomes)
        if right == len(facts.tests):
            return passed(found.code, found.span, candidates=found.candidates, parts=parts)
        return failed(
            _reason(outcomes, right, len(facts.tests)),
            found.code,
            found.span,
            score=right / len(facts.tests),
            candidates=found.candidates,
            parts=parts,
        )

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.coding.exercise import seeded, task

        topics = list(EXERCISES)
        order: list[str] = []
        for place in range(n):
            if not order:  # each round has every topic once
                order = topics[:]
                seeded(seed, place).shuffle(order)
            topic = order.pop()
            maker, difficulty = EXERCISES[topic]
            rng = seeded(seed, -1 - place)
            yield task(maker(rng), topic, difficulty, rng)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.coding import programs, responses
        from dataforge.verifiers.coding.exercise import task

        topics = list(EXERCISES)
        while True:
            topic = rng.choice(topics)
            maker, difficulty = EXERCISES[topic]
            exercise = maker(rng)
            made = task(exercise, topic, difficulty, rng)
            note, code = programs.rewritten(exercise, rng)
            yield Case(made, responses.answering(code, rng), True, note)
            # Those that use up their time fail by the first test as well as by all.
            facts = {**made.facts, "limits": {"cpu_s": 0.25}, "stop_at_first": True}
            made = made.model_copy(update={"facts": facts})
            way = rng.choice(["broken", "broken", "cheat", "no answer"])
            if way == "no answer":
                note, response = responses.withholding(exercise.solution, made.prompt, rng)
            else:
                note, code = (
                    programs.broken(exercise, rng) if way == "broken" else programs.cheat(exercise, rng)
                )
                response = responses.answering(code, rng)
            yield Case(made, response, False, note)


def _fault(facts: CodeFacts) -> str:
    """What makes no sense in the facts; empty where all does."""
    if facts.kind == "call" and not facts.fn_name.isidentifier():
        return "tests by call need `fn_name`, the name of a function"
    for n, test in enumerate(facts.tests, 1):
        if facts.kind == "call" and (test.args is None or test.input is not None):
            return f"test {n} needs `args` and no `input`, since `kind` is call"
        if facts.kind == "stdin" and (test.args is not None or not isinstance(test.output, str)):
            return f"test {n} needs `input` and a text as `output`, since `kind` is stdin"
    return ""


_FUTURE = re.compile(r"^from[ \t]+__future__[ \t]+import\b.*$", re.MULTILINE)


def _behind(preamble: str, code: str) -> str:
    """A program behind a preamble; imports from `__future__` stay first, where Python wants them."""
    if not preamble:
        return code
    first = _FUTURE.findall(code)
    return "\n".join([*first, preamble, _FUTURE.sub("", code)])


def _outcomes(facts: CodeFacts, code: str, box: Session, limits: Limits) -> Iterator[str]:
    """What was wrong with each test that was run; empty where nothing was."""
    for test in facts.tests:
        if facts.kind == "call":
            run = box.call(code, facts.fn_name, test.args or [], limits=limits)
        else:
            run = box.run(code, stdin=test.input or "", limits=limits)
        outcome = _wrong(facts, test, run)
        yield outcome
        # A program that sleeps through one test sleeps through all, and none of them uses CPU time.
        if outcome and (facts.stop_at_first or run.status == "wall"):
            return


def _wrong(facts: CodeFacts, test: Test, run: Run) -> str:
    if run.status != "ok":
        return _ended(run)
    if facts.kind == "call":
        assert run.returned is not None
        right = same_value(test.output, run.returned.value, facts.tolerance)
    else:
        right = same_output(test.output, run.stdout, how=facts.compare, tolerance=facts.tolerance)
    return "" if right else "wrong answer"


_ENDED: Mapping[str, str] = {
    "cpu": "out of CPU time",
    "wall": "out of time",
    "memory": "out of memory",
    "output": "too much output",
}


def _ended(run: Run) -> str:
    if run.status in _ENDED:
        return _ENDED[run.status]
    if run.signal is not None:
        return f"ended by signal {run.signal}"
    if run.fault:
        # The program has a hand in the words of a fault: a type of its own may be named by the input of a hidden test.
        known = re.fullmatch(
            r"a `(?:object|set|frozenset|bytes|bytearray|generator|complex|function|range|map|filter|zip)` is no plain value",
            run.fault,
        )
        return run.fault if known else "it returned nothing that can be read"
    # The kind of exception alone: its message may hold the input of a hidden test.
    last = run.stderr.rstrip().rpartition("\n")[2]
    kind = re.match(r"[A-Za-z_][\w.]{0,60}", last)
    raised = kind[0] if kind and re.search(r"^Traceback |^  File ", run.stderr, re.MULTILINE) else ""
    if raised and not isinstance(vars(builtins).get(raised), type):
        raised = "an exception of its own"
    return raised or f"exit code {run.exit_code}"


def _reason(outcomes: Sequence[str], right: int, tests: int) -> str:
    wrong = [f"test {n}: {outcome}" for n, outcome in enumerate(outcomes, 1) if outcome]
    said = "; ".join(wrong[:10]) + (f"; and {len(wrong) - 10} more" if len(wrong) > 10 else "")
    left = tests - len(outcomes)
    return f"{right} of {tests} tests passed; {said}" + (f"; {left} more not run" if left else "")
