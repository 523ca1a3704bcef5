"""Generated cases for the verifier `reasoning`: stored answers that must pass, and mutants that must not.

A mutant breaks one thing. Either the answer is changed so that it is certainly wrong, whatever else may be right (a queen
taken off the board, a move left out, a number raised by one), or it stands in the wrong place: in the thinking, in prose, in
a tag that is never closed, beside another answer.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from dataforge.verifiers.procedural import answers, grading, making
from dataforge.verifiers.procedural.grading import Item
from dataforge.verifiers.procedural.table import KEPT
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task

ITEMS = 4
"""Different items of a task that cases are drawn from; making one may take long."""

_BEFORE = (
    "",
    "Let me work this out step by step.\n\n",
    "First I look at what is given — “every part” of it — then I put it together.\n\n",
    "Schritt für Schritt: 1) lesen, 2) rechnen, 3) prüfen. ✅\n\n",
    "We have $x = \\frac{1}{2}$ for a start; the rest follows.\n\n",
    "```python\nprint('a draft')\n```\n\nThat was only a draft.\n\n",
    "العربية and 中文 and 🧩 appear here for no reason.\n\n",
    'I checked "both" ways, and they agree.\n',
)
_THINKING = (
    "<think>Hmm, let me see. It might be 12, or not.</think>\n",
    "<think>\nThe answer could be <answer>nothing</answer> but let me check again.\n</think>\n\n",
    "some thinking whose opening tag the template wrote</think>",
)
_IDLE = (
    "I do not know",
    "I'm sorry, but I can't help with that.",
    "unknown",
    "It depends.",
    "N/A",
    "see above",
)


@functools.lru_cache(maxsize=1024)
def _made(name: str, k: int) -> making.Made:
    return making.made(name, f"case/{k}")


def cases(rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn."""
    names = making.names()
    while True:
        name = rng.choice(names)
        question = _made(name, rng.randrange(ITEMS))
        task = making.task(question, rng)
        form: answers.Form = task.facts["form"]
        if rng.random() < 0.15 and not KEPT[name].lines:
            form = "boxed"
            task = task.model_copy(
                update={
                    "facts": {**task.facts, "form": form},
                    "prompt": f"{question.question}\n\n{answers.ASKED[form][0]}",
                }
            )
        yield _positive(task, question.item, form, rng)
        yield _mutant(task, question.item, form, rng)


def _positive(task: Task, item: Item, form: answers.Form, rng: random.Random) -> Case:
    answer, note = _said_otherwise(item, rng)
    text = rng.choice(_BEFORE) + answers.wrapped(answer, form)
    if rng.random() < 0.3:
        text = rng.choice(_THINKING) + text
    elif rng.random() < 0.15:
        return Case(
            task, Response(text, reasoning="It is <answer>something else</answer>, I think."), True, note
        )
    if form == "tags" and rng.random() < 0.3:
        text += "\n"
    return Case(task, Response(text), True, note)


def _said_otherwise(item: Item, rng: random.Random) -> tuple[str, str]:
    """The stored answer, or the same one written another way."""
    other = _OTHERWISE.get(KEPT[item.task].grader)
    if other is not None and rng.random() < 0.6:
        return other(item.answer, rng), "the stored answer, written another way"
    return item.answer, "the stored answer"


def _mutant(task: Task, item: Item, form: answers.Form, rng: random.Random) -> Case:
    right = answers.wrapped(item.answer, form)
    wrong = changed(item, rng)
    before = rng.choice(_BEFORE)
    kind = rng.randrange(9)
    if kind <= 2:
        return Case(
            task, Response(before + answers.wrapped(wrong, form)), False, "the answer changed in one place"
        )
    if kind == 3:
        idle = rng.choice(_IDLE)
        return Case(task, Response(before + answers.wrapped(idle, form)), False, f"`{idle}` for an answer")
    if kind == 4:
        return Case(
            task,
            Response(f"<think>{right}</think>\nI have thought about it."),
            False,
            "the answer in the thinking only",
        )
    if kind == 5:
        cut = {
            "tags": f"<answer>{item.answer}",
            "line": "Answer:",
            "block": f"```\n{item.answer}",
            "boxed": f"\\boxed{{{item.answer}",
        }
        return Case(
            task,
            Response(before + cut[form], finish_reason="length"),
            False,
            "cut off before the answer ends",
        )
    if kind == 6:
        return Case(task, Response(task.prompt), False, "the prompt said again")
    if kind == 7:
        text = f"{right}\n{answers.wrapped(wrong, form)}"
        return Case(task, Response(before + text), False, "the right answer, and then another")
    other = _another(item)
    if other is not None:
        return Case(
            task, Response(before + answers.wrapped(other, form)), False, "the answer of another item"
        )
    return Case(task, Response(answers.wrapped("", form)), False, "an empty answer")


def _another(item: Item) -> str | None:
    if KEPT[item.task].free:
        return None
    for k in range(ITEMS):
        other = _made(item.task, k).item.answer
        if _essence(other) != _essence(item.answer):
            return other
    return None


def _essence(text: str) -> str:
    return re.sub(r"\W", "", text).casefold().lstrip("0")


# ---- the same answer, written another way


def _spaced(answer: str, rng: random.Random) -> str:
    lines = [
        ("  " if rng.random() < 0.5 else " ").join(line.split()) + rng.choice(("", " "))
        for line in answer.splitlines()
    ]
    return "\n".join(lines)


def _grid_otherwise(answer: str, rng: random.Random) -> str:
    """As a Markdown table or a nested list, or with other blanks."""
    rows = [line.split() for line in answer.splitlines() if line.strip()]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    table.insert(1, "|" + "---|" * len(rows[0]))
    nested = rng.choice((", ", ",\n")).join("[" + ", ".join(row) + "]" for row in rows)
    return rng.choice(("\n".join(table), f"[{nested}]", _spaced(answer, rng)))


def _moves_otherwise(answer: str, rng: random.Random) -> str:
    lines = answer.splitlines()
    numbered = "\n".join(f"{at}. {line}" for at, line in enumerate(lines, 1))
    return rng.choice((numbered, answer.lower(), ".\n".join(lines) + "."))


def _polynomial_otherwise(answer: str, rng: random.Random) -> str:
    typeset = re.sub(r"\*\*(\d+)", r"^{\1}", answer).replace("*", "")
    return rng.choice((typeset, f"${typeset}$", answer.replace("**", "^"), answer.replace("C", "c")))


def _cased(answer: str, rng: random.Random) -> str:
    return rng.choice((answer.upper, answer.lower, answer.title))() if answer.isascii() else answer


def _number_otherwise(answer: str, rng: random.Random) -> str:
    found = grading.exact(answer)
    if found is None or found.denominator != 1 or "/" in answer:
        return answer
    whole = int(found)
    return rng.choice(
        (
            f"{whole:,}",
            f"{whole}.0",
            f"{whole}",
            f"{whole}.",
            f"+{whole}" if whole > 0 else f"{whole}",
            f"${whole}$",
        )
    )


def _fraction_otherwise(answer: str, rng: random.Random) -> str:
    above, below = re.findall(r"-?\d+", answer)
    return rng.choice(
        (
            f"{above}/{below}",
            f"\\frac{{{above}}}{{{below}}}",
            f"${above} / {below}$",
            f"$\\dfrac{{{above}}}{{{below}}}$",
        )
    )


def _list_otherwise(answer: str, rng: random.Random) -> str:
    found = grading.parsed_list(answer)
    if not all(isinstance(entry, str | int | float) for entry in found):
        return answer
    return rng.choice((json.dumps(found), "[" + ",".join(repr(entry) for entry in found) + "]"))


def _listed_otherwise(answer: str, rng: random.Random) -> str:
    return rng.choice((",", " , ", ", ")).join(grading.listed_items(answer))


def _factors_otherwise(answer: str, rng: random.Random) -> str:
    pieces = answer.split(" × ")
    rng.shuffle(pieces)
    return rng.choice((" × ", " * ", "×", " x ", " \\times ")).join(pieces)


_OTHERWISE: dict[grading.Grader, Callable[[str, random.Random], str]] = {
    grading.tokens: _spaced,
    grading.grid: _grid_otherwise,
    grading.folded: _cased,
    grading.letters: _cased,
    grading.number: _number_otherwise,
    grading.fraction: _fraction_otherwise,
    grading.literal: _list_otherwise,
    grading.listed: _listed_otherwise,
    grading.factors: _factors_otherwise,
    grading.sudoku: _grid_otherwise,
    grading.survo: _grid_otherwise,
    grading.queens: _grid_otherwise,
    grading.pooled: _grid_otherwise,
    grading.hanoi: _moves_otherwise,
    grading.antiderivative: _polynomial_otherwise,
}


# ---- an answer that is certainly wrong


def changed(item: Item, rng: random.Random) -> str:
    """The stored answer with one thing broken, so that it is wrong."""
    special = _BROKEN.get(item.task) or _BROKEN_BY.get(KEPT[item.task].grader)
    return special(item, rng) if special is not None else _other_text(item, rng)


def _other_text(item: Item, rng: random.Random) -> str:
    """A letter or digit more, or one less."""
    places = [at for at, sign in enumerate(item.answer) if sign.isalnum()]
    if len(places) > 1 and rng.random() < 0.5:
        at = rng.choice(places)
        return item.answer[:at] + item.answer[at + 1 :]
    at = rng.choice(places) if places else 0
    return item.answer[:at] + ("7" if item.answer[at : at + 1] != "7" else "8") + item.answer[at:]


def _other_number(item: Item, rng: random.Random) -> str:
    found = grading.exact(item.answer)
    assert found is not None, item
    step = max(Fraction(1), abs(found) / 50) * rng.choice((1, -1, 2, 10))
    value = found + step
    if value.denominator == 1:
        return str(int(value))
    return f"{float(value):.10g}"


def _last_token_gone(item: Item, rng: random.Random) -> str:
    pieces = item.answer.rstrip().rsplit(None, 1)
    return pieces[0] if len(pieces) == 2 else item.answer + item.answer


def _last_line_gone(item: Item, rng: random.Random) -> str:
    return "\n".join(item.answer.strip().splitlines()[:-1])


def _digit_raised(item: Item, rng: random.Random) -> str:
    """One number of a grid raised by one: some sum, row or sign is broken by it."""
    found = rng.choice(list(re.finditer(r"\d+", item.answer)))
    return item.answer[: found.start()] + str(int(found[0]) + 1) + item.answer[found.end() :]


def _first_number_raised(item: Item, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda found: str(int(found[0]) + 1), item.answer, count=1)


def _bit_flipped(item: Item, rng: random.Random) -> str:
    at = rng.choice([at for at, sign in enumerate(item.answer) if sign in "01"])
    return item.answer[:at] + ("1" if item.answer[at] == "0" else "0") + item.answer[at + 1 :]


def _queen_gone(item: Item, rng: random.Random) -> str:
    at = rng.choice([at for at, sign in enumerate(item.answer) if sign == "Q"])
    return item.answer[:at] + "_" + item.answer[at + 1 :]


def _entry_gone(item: Item, rng: random.Random) -> str:
    found = (
        json.loads(item.answer) if item.answer.startswith(("[[", "{")) else grading.parsed_list(item.answer)
    )
    if isinstance(found, dict):
        found.pop(rng.choice(sorted(found)))
    elif found:
        found.pop(rng.randrange(len(found)))
    else:
        found = [7]
    return json.dumps(found)


def _coloring_broken(item: Item, rng: random.Random) -> str:
    """A vertex left out, one that the graph has not, or two colors for one."""
    more = rng.choice(("9999", "0"))
    return rng.choice((_entry_gone(item, rng), f'{item.answer[:-1]}, "{more}": 1}}'))


def _digits_broken(item: Item, rng: random.Random) -> str:
    """A letter left out, or two digits for one."""
    first = item.answer.strip()
    other = (int(first[2]) + 1) % 10
    return rng.choice((item.answer.rsplit(",", 1)[0], f"{first[0]}={other},{item.answer}"))


def _fraction_other(item: Item, rng: random.Random) -> str:
    above, below = map(int, re.findall(r"-?\d+", item.answer))
    return rng.choice((f"{above + 1}/{below}", f"{above}/{below + 1}", f"{2 * above}/{2 * below}"))


def _adding(more: str) -> Callable[[Item, random.Random], str]:
    return lambda item, rng: item.answer + more


_BROKEN_BY: dict[grading.Grader, Callable[[Item, random.Random], str]] = {
    grading.number: _other_number,
    grading.near: _other_number,
    grading.probability: _other_number,
    grading.tokens: _last_token_gone,
    grading.grid: _last_token_gone,
    grading.sudoku: _digit_raised,
    grading.futoshiki: _digit_raised,
    grading.survo: _digit_raised,
    grading.pooled: _digit_raised,
    grading.measures: _first_number_raised,
    grading.queens: _queen_gone,
    grading.literal: _entry_gone,
    grading.fraction: _fraction_other,
    grading.factors: _adding(" × 2"),
    grading.arithmetic: _adding(" + 1"),
    grading.listed: lambda item, rng: ", ".join(grading.listed_items(item.answer)[:-1]) or "nothing",
}
_BROKEN: dict[str, Callable[[Item, random.Random], str]] = {
    "bitwise_arithmetic": _adding("f"),
    "complex_arithmetic": _digit_raised,
    "cryptarithm": _digits_broken,
    "graph_color": _coloring_broken,
    "group_anagrams": _entry_gone,
    "jugs": lambda item, rng: '["empty A"]',
    "kakurasu": _bit_flipped,
    "knights_knaves": lambda item, rng: item.answer.split(",")[0] + ".",
    "palindrome_generation": _adding("q"),
    "palindrome_partitioning": _entry_gone,
    "power_function": lambda item, rng: "9" + item.answer.lstrip("-"),
    "quantum_lock": lambda item, rng: item.answer + " → A",
    "rubiks_cube": _adding(" U"),
    "shortest_path": lambda item, rng: "up" if item.answer == "infeasible" else "infeasible",
    "simple_integration": lambda item, rng: f"{item.answer} + 7*{item.metadata['variable']}",
    "sokoban": lambda item, rng: item.answer[:-1] or "L",
    "tower_of_hanoi": _last_line_gone,
}
