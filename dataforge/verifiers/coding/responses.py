"""Responses around a program: as models write them, and such in which the program is not the answer."""

from __future__ import annotations

import random
from collections.abc import Callable

from dataforge.verifiers.protocol import Response

_BEFORE = (
    "", "Here is the program:\n\n", "Sure! 🙂\n\n", "The idea is to go through the input once.\n\n", "## Solution\n\n",
    "هذا هو الحل:\n\n", "解答は次のとおりです。\n\n", "We use `input()` and $O(n)$ time.\n\n", "> a quote\n\n",
)  # fmt: skip
_AFTER = (
    "", "\n", "\nIt takes linear time.", "\n\nLet me know if anything is unclear! ✨", "\nRun it with `python3 main.py`.", "\n\n---\n",
    "\n\nOutput:\n\n```\n3\n```\n", "\n\n```text\nexample\n```", "\n\n```bash\npython3 main.py < input.txt\n```\n",
)  # fmt: skip
_REFUSALS = (
    "I'm sorry, but I can't help with that.", "I cannot write this program.", "No.", "As a language model I do not run code.",
    "Das kann ich leider nicht.", "def", "…", "```", "print", "TODO",
)  # fmt: skip


def answering(code: str, rng: random.Random) -> Response:
    """A response that answers with a program, in one of the forms that count."""
    return rng.choice(_FORMS)(code, rng)


def withholding(code: str, prompt: str, rng: random.Random) -> tuple[str, Response]:
    """A note and a response in which a right program does not count, or in which there is none."""
    note, form = rng.choice(_NO_ANSWERS)
    return note, form(code, prompt, rng)


def _fence(code: str, rng: random.Random) -> str:
    ticks = rng.choice(["```", "```", "````", "~~~", "~~~~~"])
    if any(line.strip(" \t").startswith(ticks) for line in code.splitlines()):
        ticks = ticks[0] * 9
    language = rng.choice(
        ["python", "python", "py", "Python", "python3", " python", 'python title="main.py"']
    )
    return f"{ticks}{language}\n{code}{'' if code.endswith(chr(10)) else chr(10)}{ticks}"


def _plain(code: str, rng: random.Random) -> Response:
    return Response(
        rng.choice(_BEFORE) + _fence(code, rng) + rng.choice(_AFTER), finish_reason=rng.choice([None, "stop"])
    )


def _unlabelled(code: str, rng: random.Random) -> Response:
    return Response(f"{rng.choice(_BEFORE)}```\n{code}\n```")


def _alone(code: str, rng: random.Random) -> Response:
    return Response(rng.choice(["", "\n\n"]) + code + rng.choice(["", "\n"]))


def _after_thinking(code: str, rng: random.Random) -> Response:
    thought = rng.choice(["Let me see.", "First try:\n```python\nprint('no')\n```\nThat is wrong.", "🤔", ""])
    if rng.random() < 0.5:
        return Response(_plain(code, rng).text, reasoning=thought)
    return Response(f"<think>\n{thought}\n</think>\n\n{_plain(code, rng).text}")


def _second_try(code: str, rng: random.Random) -> Response:
    first = rng.choice(["print('wrong')", "def f(:", "x = 1", "while True: pass"])
    return Response(f"```python\n{first}\n```\n\nThat does not work. Better:\n\n{_fence(code, rng)}\n")


def _in_a_list(code: str, rng: random.Random) -> Response:
    pad = rng.choice(["   ", "  ", "\t"])
    inside = "".join(
        pad + line if line.strip() else line for line in _fence(code, rng).splitlines(keepends=True)
    )
    return Response(f"1. The program:\n\n{inside}\n\n2. That is all.")


def _dos_lines(code: str, rng: random.Random) -> Response:
    return Response(f"Here:\n{_fence(code, rng)}\n".replace("\n", "\r\n"))


def _never_closed(code: str, rng: random.Random) -> Response:
    return Response(f"Here:\n\n```python\n{code}", finish_reason=rng.choice(["stop", None]))


_FORMS: list[Callable[[str, random.Random], Response]] = [
    _plain, _plain, _plain, _unlabelled, _alone, _after_thinking, _second_try, _in_a_list, _dos_lines, _never_closed,
]  # fmt: skip


_NoAnswer = Callable[[str, str, random.Random], Response]


def _only_thought(code: str, prompt: str, rng: random.Random) -> Response:
    after = rng.choice(["", "Done, see above.", "The program is in my notes."])
    block = _fence(code, rng)
    return rng.choice(
        [
            Response(after, reasoning=block),
            Response(f"<think>{block}</think>{after}"),
            Response(f"<think>\n{block}\n"),
        ]
    )


def _echo(code: str, prompt: str, rng: random.Random) -> Response:
    return Response(rng.choice([prompt, prompt * 2, f"You asked:\n\n{prompt}", f"```\n{prompt}\n```"]))


def _refusal(code: str, prompt: str, rng: random.Random) -> Response:
    return Response(rng.choice(_REFUSALS))


def _empty(code: str, prompt: str, rng: random.Random) -> Response:
    return Response(rng.choice(["", " ", "\n\n", "\u200b", "```python\n```", "``````"]))


def _cut_off(code: str, prompt: str, rng: random.Random) -> Response:
    kept = code[: rng.randint(0, len(code) - 1)]
    return Response(f"Here is the program:\n\n```python\n{kept}", finish_reason="length")


def _another_language(code: str, prompt: str, rng: random.Random) -> Response:
    return Response(
        f"```{rng.choice(['javascript', 'cpp', 'text', 'bash', 'json', 'pseudocode'])}\n{code}\n```"
    )


def _corrected_for_the_worse(code: str, prompt: str, rng: random.Random) -> Response:
    worse = code.replace("(", "((", 1)
    return Response(
        f"{_fence(code, rng)}\n\nWait, this is wrong. Better:\n\n{_fence('raise NotImplementedError' + chr(10) + code, rng)}\n"
        if rng.random() < 0.5
        else _fence(worse, rng)
    )


def _in_prose(code: str, prompt: str, rng: random.Random) -> Response:
    return Response("One could write `" + code.replace("\n", " ").strip() + "` or something like it.")


_NO_ANSWERS: list[tuple[str, _NoAnswer]] = [
    ("answer in the thinking only", _only_thought),
    ("echo of the prompt", _echo),
    ("refusal", _refusal),
    ("empty", _empty),
    ("cut off", _cut_off),
    ("another language", _another_language),
    ("the last of two answers is wrong", _corrected_for_the_worse),
    ("code in a line of prose", _in_prose),
]
