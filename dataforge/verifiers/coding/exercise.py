"""An exercise: what to program, a program of ours that does it, and inputs to try it on.

The expected outputs are what our own program gives; it is run here, once, when a task is made. It is ours, so it needs
no sandbox.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Any, Literal

from schemas.task import Task

Kind = Literal["stdin", "call"]

_NAMES = """
    amber basil cedar delta ember fjord grove hazel inlet jolly karma lemon maple north ocean pearl quartz river stone tulip
    umbra velvet willow xenon yacht zephyr
"""
WORDS = tuple(_NAMES.split())


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise with everything in it decided.

    Attributes:
        statement: what is to be done, for the model.
        solution: a program that does it. A script uses `input` and `print` alone.
        inputs: what to try it on: arguments of a call, or the text of stdin.
        function: the name of the function, or "" for a script.
        signature: its signature, for the model.
        floats: whether outputs hold floats.
    """

    statement: str
    solution: str
    inputs: tuple[Any, ...]
    function: str = ""
    signature: str = ""
    floats: bool = False

    @property
    def kind(self) -> Kind:
        return "call" if self.function else "stdin"


Maker = Callable[[random.Random], Exercise]


def written(
    statement: str, solution: str, inputs: Sequence[Any], signature: str = "", *, floats: bool = False
) -> Exercise:
    """An exercise from texts that are indented as they stand in our source; without a signature, a script."""
    return Exercise(
        " ".join(dedent(statement).split()),
        dedent(solution).strip() + "\n",
        tuple(inputs),
        signature.partition("(")[0],
        signature,
        floats,
    )


def answers(exercise: Exercise, solution: str | None = None) -> list[Any]:
    """What a trusted program gives for each input; an exception is a value of its own."""
    code = compile(solution or exercise.solution, "reference.py", "exec")
    if exercise.function:
        space: dict[str, Any] = {"__name__": "reference"}
        exec(code, space)  # noqa: S102 - our own text
        return [_attempt(space[exercise.function], given) for given in exercise.inputs]
    return [_printed(code, text) for text in exercise.inputs]


def _attempt(function: Callable[..., Any], given: list[Any]) -> Any:
    try:
        return function(*copy.deepcopy(given))
    except Exception as error:  # noqa: BLE001 - a broken copy of a reference may raise anything
        return error


def _printed(code: Any, text: str) -> Any:
    lines = iter(text.split("\n"))
    out: list[str] = []

    def take(_: str = "") -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    def put(*values: object, sep: str = " ", end: str = "\n") -> None:
        out.append(sep.join(map(str, values)) + end)

    try:
        exec(code, {"__name__": "__main__", "input": take, "print": put})  # noqa: S102 - our own text
    except Exception as error:  # noqa: BLE001
        return error
    return "".join(out)


def task(exercise: Exercise, topic: str, difficulty: float, rng: random.Random) -> Task:
    """The task of an exercise: its statement with an example or two, and all tests as hidden facts."""
    results = answers(exercise)
    tests = [
        {"args": given, "output": result} if exercise.function else {"input": given, "output": result}
        for given, result in zip(exercise.inputs, results, strict=True)
    ]
    facts: dict[str, Any] = {"kind": exercise.kind, "tests": tests, "limits": {"cpu_s": 2.0}}
    if exercise.function:
        facts["fn_name"] = exercise.function
    elif exercise.floats:
        facts["tolerance"] = 1e-6
    return Task(
        prompt=_prompt(exercise, results, rng),
        facts=facts,
        verifier="code",
        topic=topic,
        difficulty=difficulty,
    )


_CALL_LEADS = (
    "Write a Python function `{signature}`.",
    "Implement `{signature}` in Python.",
    "I need a Python function with the signature `{signature}`.",
    "Please write `{signature}` in Python 3.",
)
_SCRIPT_LEADS = (
    "Write a Python program that reads from standard input and prints to standard output.",
    "Write a Python script. It reads its input from stdin and prints its answer to stdout.",
    "Solve this with a Python 3 program that reads stdin and writes stdout.",
)
_ENDS = (
    "Use the standard library only, and put the whole program into one fenced code block.",
    "Give the complete code in a single ```python block; only the standard library is available.",
    "Answer with one Python code block that holds everything. No packages beyond the standard library.",
)


def _prompt(exercise: Exercise, results: list[Any], rng: random.Random) -> str:
    if exercise.function:
        shown = "\n".join(
            f"    {exercise.function}({', '.join(map(repr, given))}) returns {result!r}"
            for given, result in list(zip(exercise.inputs, results, strict=True))[:2]
        )
        lead = rng.choice(_CALL_LEADS).format(signature=exercise.signature)
        example = f"For example:\n\n{shown}"
    else:
        lead = rng.choice(_SCRIPT_LEADS)
        given, result = exercise.inputs[0], results[0]
        example = f"Example input:\n\n{_indented(given)}\n\nIts output:\n\n{_indented(result)}"
    return f"{lead}\n\n{exercise.statement}\n\n{example}\n\n{rng.choice(_ENDS)}"


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.rstrip("\n").split("\n"))


def seeded(seed: int, place: int) -> random.Random:
    """The generator of one task, which depends on nothing before it."""
    return random.Random(f"code/{seed}/{place}")
