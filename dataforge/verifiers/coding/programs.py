"""Programs whose verdict is known beforehand: our solutions written otherwise, and such with one thing broken.

A broken one is only used where what it prints or returns was seen to differ on one of the tests; whether it does is asked of our
own programs, here, or is plain from how it was made.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from textwrap import indent
from typing import Any

from dataforge.verifiers.coding import cheats
from dataforge.verifiers.coding.comparing import same_output, same_value
from dataforge.verifiers.coding.exercise import Exercise, answers
from dataforge.verifiers.coding.finding import parse

Noted = tuple[str, str]
"""A note and a program."""


# ---- right


def rewritten(exercise: Exercise, rng: random.Random) -> Noted:
    """The solution, written otherwise."""
    ways = _RIGHT_CALLS if exercise.function else _RIGHT_SCRIPTS
    while True:
        note, way = rng.choice(ways)
        if (code := way(exercise, rng)) is not None:
            return note, code


def _as_it_is(exercise: Exercise, rng: random.Random) -> str | None:
    return exercise.solution


def _with_comments(exercise: Exercise, rng: random.Random) -> str | None:
    remark = rng.choice(
        [
            "# naïve, but fast enough 🙂",
            "# שלום: right to left",
            "# ```not a fence```",
            "# O(n)",
            '# "quotes" \\ and $\\LaTeX$',
        ]
    )
    return (
        f'"""{rng.choice(["A solution.", "解答", "Lösung"])}"""\n{remark}\n\n{exercise.solution}\n{remark}\n'
    )


def _method(exercise: Exercise, rng: random.Random) -> str | None:
    if exercise.solution.count(exercise.function) > 1:
        return None  # it calls itself, which as a method it would do by another name
    head = f"def {exercise.function}("
    return "class Solution:\n" + indent(exercise.solution.replace(head, head + "self, "), "    ")


def _alias(exercise: Exercise, rng: random.Random) -> str | None:
    return _inner(exercise) + f"\n\n{exercise.function} = _inner\n"


def _wrapped(exercise: Exercise, rng: random.Random) -> str | None:
    return (
        _inner(exercise)
        + f"\n\ndef {exercise.function}(*arguments):\n    result = _inner(*arguments)\n    return result\n"
    )


def _tuple(exercise: Exercise, rng: random.Random) -> str | None:
    return _inner(exercise) + (
        f"\n\ndef {exercise.function}(*arguments):\n    result = _inner(*arguments)\n"
        "    return tuple(result) if isinstance(result, list) else result\n"
    )


def _chatty(exercise: Exercise, rng: random.Random) -> str | None:
    return (
        "import sys\n" + _inner(exercise) + f"\n\ndef {exercise.function}(*arguments):\n"
        '    print("called", arguments)\n    print("PASS", file=sys.stderr)\n    return _inner(*arguments)\n'
    )


def _guarded_use(exercise: Exercise, rng: random.Random) -> str | None:
    return (
        exercise.solution + '\n\nif __name__ == "__main__":\n    raise SystemExit(input("never run here"))\n'
    )


def _annotated(exercise: Exercise, rng: random.Random) -> str | None:
    head, colon, rest = exercise.solution.partition("):\n")
    return f"from typing import Any, List, Dict\nimport collections, math, heapq\n\n{head}) -> Any{colon[1:]}{rest}"


def _main(exercise: Exercise, rng: random.Random) -> str | None:
    guard = rng.choice(['\n\nif __name__ == "__main__":\n    main()\n', "\n\nmain()\n"])
    return "def main():\n" + indent(exercise.solution, "    ") + guard


def _reads_all(exercise: Exercise, rng: random.Random) -> str | None:
    return 'import sys\ninput = iter(sys.stdin.read().split("\\n")).__next__\n' + exercise.solution


def _prints_late(exercise: Exercise, rng: random.Random) -> str | None:
    end = rng.choice(
        [
            '"\\n".join(out)',
            '"".join(line + " \\t\\n" for line in out)',
            '"\\n".join(out) + "\\n\\n\\n"',
            '"\\r\\n".join(out)',
        ]
    )
    return (
        "import sys\nout = []\ndef print(*values):\n    out.append(' '.join(map(str, values)))\n\n"
        + exercise.solution
        + f"\nsys.stdout.write({end})\n"
    )


def _warns(exercise: Exercise, rng: random.Random) -> str | None:
    return 'import sys\nprint("debug: 42", file=sys.stderr)\n' + exercise.solution + "\nsys.exit()\n"


def _inner(exercise: Exercise) -> str:
    return exercise.solution.replace(exercise.function, "_inner")


_Way = Callable[[Exercise, random.Random], "str | None"]
_RIGHT_CALLS: list[tuple[str, _Way]] = [
    ("our solution", _as_it_is),
    ("comments and other scripts", _with_comments),
    ("a method of Solution", _method),
    ("an alias", _alias),
    ("a wrapped function", _wrapped),
    ("a tuple for a list", _tuple),
    ("prints beside returning", _chatty),
    ("its own use behind a guard", _guarded_use),
    ("annotations and imports", _annotated),
]
_RIGHT_SCRIPTS: list[tuple[str, _Way]] = [
    ("our solution", _as_it_is),
    ("comments and other scripts", _with_comments),
    ("a main function", _main),
    ("reads all of stdin at once", _reads_all),
    ("prints all at the end, with loose white space", _prints_late),
    ("warns on stderr", _warns),
]


# ---- wrong


def broken(exercise: Exercise, rng: random.Random) -> Noted:
    """A program that gets something wrong."""
    ways = _WRONG_CALLS if exercise.function else _WRONG_SCRIPTS
    while True:
        note, way = rng.choice(ways)
        if (code := way(exercise, rng)) is not None:
            return note, code


def cheat(exercise: Exercise, rng: random.Random) -> Noted:
    """A program that does not even try."""
    programs = cheats.CALLS if exercise.function else cheats.SCRIPTS
    name = rng.choice(list(programs))
    return f"cheat: {name}", programs[name].replace("NAME", exercise.function)


def _other_operator(exercise: Exercise, rng: random.Random) -> str | None:
    """One operator or number of the solution changed, where that changes an output."""
    if "while" in exercise.solution:
        return None  # it might never end, and it runs here
    tree = ast.parse(exercise.solution)
    places = [node for node in ast.walk(tree) if _change(node, random.Random(0), dry=True)]
    if not places:
        return None
    _change(rng.choice(places), rng)
    code = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    return code if _differs(exercise, code) else None


_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def _change(node: ast.AST, rng: random.Random, *, dry: bool = False) -> bool:
    if isinstance(node, ast.Compare):
        able = [n for n, op in enumerate(node.ops) if type(op) in _SWAPPED]
        if able and not dry:
            place = rng.choice(able)
            node.ops[place] = _SWAPPED[type(node.ops[place])]()  # type: ignore[call-overload]
        return bool(able)
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)):
        if type(node.op) not in _SWAPPED:
            return False
        if not dry:
            node.op = _SWAPPED[type(node.op)]()  # type: ignore[assignment]
        return True
    if isinstance(node, ast.Constant) and type(node.value) is int:
        if not dry:
            node.value += rng.choice([1, -1])
        return True
    return False


def _differs(exercise: Exercise, code: str) -> bool:
    for should, did in zip(answers(exercise), answers(exercise, code), strict=True):
        if isinstance(did, Exception):
            return True
        if exercise.function:
            if not same_value(should, _plain(did)):
                return True
        elif not same_output(should, did, tolerance=1e-6 if exercise.floats else None):
            return True
    return False


def _plain(value: Any) -> Any:
    """A value as it comes out of the sandbox; one that does not come out at all is like no JSON value."""
    return (
        value if isinstance(value, (bool, int, float, str, list, tuple, dict, type(None))) else ("no value",)
    )


_WRONG_RESULTS = {
    "off by one": ("bool int float", "result + 1 if not isinstance(result, bool) else not result"),
    "the opposite sign": ("int float", "-result if result else 1"),
    "an extra item": ("list", 'result + ["extra"]'),
    "an item dropped": ("list str", "result[:-1] if result else 0"),
    "a text for a number": ("int float", "str(result)"),
    "a number for a truth": ("bool", "int(result)"),
    "a float for a whole number": ("int", "float(result)"),
    "a text for a list": ("list dict", "str(result)"),
    "an iterator for a list": ("list", "iter(result)"),
    "a set of texts for a list": ("list", "set(map(str, result))"),
    "an extra space": ("str", 'result + " "'),
    "another key": ("dict", '{**result, "extra": []}'),
    "wrapped in a list": ("int float str bool", "[result]"),
    "nothing for a value": ("int float str list dict bool", "None"),
    "far too large": ("int float", "10 ** 400"),
}


def _wrong_result(exercise: Exercise, rng: random.Random) -> str | None:
    """The right result changed, for every input or for one alone."""
    place = rng.randrange(len(exercise.inputs))
    kind = type(answers(exercise)[place]).__name__
    fitting = [change for kinds, change in _WRONG_RESULTS.values() if kind in kinds.split()]
    if not fitting:
        return None
    only = f"list(arguments) == {exercise.inputs[place]!r}" if rng.random() < 0.5 else "True"
    return _inner(exercise) + (
        f"\n\ndef {exercise.function}(*arguments):\n    hit = {only}\n    result = _inner(*arguments)\n"
        f"    return ({rng.choice(fitting)}) if hit and type(result).__name__ == {kind!r} else result\n"
    )


def _fails_on_one(exercise: Exercise, rng: random.Random) -> str | None:
    place = rng.randrange(len(exercise.inputs))
    doing = rng.choice(
        [
            'raise ValueError("no")',
            "1 // 0",
            "raise KeyboardInterrupt",
            "exit(3)",
            "import os; os.abort()",
            "while True: pass",
        ]
    )
    return _inner(exercise) + (
        f"\n\ndef {exercise.function}(*arguments):\n    if list(arguments) == {exercise.inputs[place]!r}:\n        {doing}\n"
        "    return _inner(*arguments)\n"
    )


def _prints_only(exercise: Exercise, rng: random.Random) -> str | None:
    return (
        _inner(exercise) + f"\n\ndef {exercise.function}(*arguments):\n    print(_inner(*arguments))\n"
        if any(answer is not None for answer in answers(exercise))
        else None
    )


def _other_name(exercise: Exercise, rng: random.Random) -> str | None:
    return exercise.solution.replace(exercise.function, exercise.function.title().replace("_", ""))


def _fewer_arguments(exercise: Exercise, rng: random.Random) -> str | None:
    return _inner(exercise) + f"\n\ndef {exercise.function}():\n    return _inner()\n"


def _examples_only(exercise: Exercise, rng: random.Random) -> str | None:
    """The two outputs that the prompt shows, by heart."""
    known = list(zip(exercise.inputs, answers(exercise), strict=True))[: 2 if exercise.function else 1]
    if exercise.function:
        return f"def {exercise.function}(*arguments):\n    for given, result in {known!r}:\n        if list(arguments) == given:\n            return result\n    return 'unknown'\n"
    return f"import sys\ntext = sys.stdin.read()\nfor given, result in {known!r}:\n    if text == given:\n        print(result, end='')\n"


def _no_syntax(exercise: Exercise, rng: random.Random) -> str | None:
    code = exercise.solution
    code = rng.choice(
        [code.replace(":\n", "\n", 1), code.replace("(", "((", 1), code + "\nx = = 1\n", "1. " + code]
    )
    return code if parse(code) is None else None


def _wrong_output(exercise: Exercise, rng: random.Random) -> str | None:
    change = rng.choice(
        [
            '"Answer: " + text', '"\\n" + text', 'text + "done\\n"', 'text.replace("\\n", "")[:-1] + "?"',
            '"> " + text', '" " + text', 'text + text', '""',
        ]
    )  # fmt: skip
    return (
        "import sys\nout = []\ndef print(*values):\n    out.append(' '.join(map(str, values)) + '\\n')\n\n"
        + exercise.solution
        + f'\ntext = "".join(out)\nsys.stdout.write({change})\n'
    )


def _fails_at_the_end(exercise: Exercise, rng: random.Random) -> str | None:
    return exercise.solution + rng.choice(
        [
            "\n1 // 0\n",
            "\nexit(1)\n",
            "\nraise SystemExit('no')\n",
            "\nimport os; os.abort()\n",
            "\nwhile True: pass\n",
        ]
    )


def _asks(exercise: Exercise, rng: random.Random) -> str | None:
    return exercise.solution.replace("input()", 'input("Your input: ")', 1)


def _reads_too_much(exercise: Exercise, rng: random.Random) -> str | None:
    return "import sys\nsys.stdin.read()\n" + exercise.solution


_WRONG_CALLS: list[tuple[str, _Way]] = [
    ("one operator or number changed", _other_operator),
    ("one operator or number changed", _other_operator),
    ("another result", _wrong_result),
    ("another result", _wrong_result),
    ("fails on one test", _fails_on_one),
    ("prints instead of returning", _prints_only),
    ("another name", _other_name),
    ("fewer arguments", _fewer_arguments),
    ("the examples by heart", _examples_only),
    ("no Python", _no_syntax),
]
_WRONG_SCRIPTS: list[tuple[str, _Way]] = [
    ("one operator or number changed", _other_operator),
    ("one operator or number changed", _other_operator),
    ("another output", _wrong_output),
    ("another output", _wrong_output),
    ("fails after printing", _fails_at_the_end),
    ("prints a question", _asks),
    ("reads too much", _reads_too_much),
    ("the example by heart", _examples_only),
    ("no Python", _no_syntax),
]
