"""Measure a procedural task: do its stored answers pass, and does nothing pass that should not?

The table of tasks was made with this, and a test runs it over every task that is kept. What it reports of a task is a reason
to leave it out.
"""

from __future__ import annotations

from dataforge.verifiers.procedural import answers, making
from dataforge.verifiers.procedural.grading import Item
from dataforge.verifiers.procedural.table import KEPT

IDLE = (
    "I do not know",
    "I'm sorry, but I can't help with that.",
    "N/A",
    "see above",
    "[]",
    "{}",
    "()",
    "-",
    "\\",
)


def faults(name: str, items: int = 2) -> list[str]:
    """What is wrong with a task, over a few items of each of its levels; nothing where all is well."""
    manner = KEPT[name]
    found: list[str] = []
    for level in range(manner.levels) if manner.levels else (None,):
        made = [
            entry for k in range(items) if (entry := making.entry(name, level, 7919 * (k + 1))) is not None
        ]
        if not made:
            found.append(f"level {level}: no item has an answer")
        for at, question in enumerate(made):
            other = made[at - 1].item.answer
            found += [f"level {level}: {fault}" for fault in _faults(question, other, manner.free)]
            if (
                making.entry(name, level, 7919 * (items - len(made) + at + 1)) != question
                and len(made) == items
            ):
                found.append(f"level {level}: the same seed gives another item")
    return found


def _faults(question: making.Made, other: str, free: bool) -> list[str]:
    item, grader = question.item, KEPT[question.item.task].grader
    found = []
    if grader(item, item.answer):
        found.append("its stored answer does not pass")
    for form in answers.ASKED:
        if form == "line" and "\n" in item.answer:
            continue
        held = answers.find(f"Thus:\n{answers.wrapped(item.answer, form)}", 0, form)
        if held.fault or grader(item, held.text):
            found.append(f"its stored answer does not pass as {form}")
    found += [f"`{idle}` passes" for idle in IDLE if idle != item.answer and not grader(item, idle)]
    if not grader(item, question.question):
        found.append("the question said again passes")
    if not free and _differ(item, other) and not grader(item, other):
        found.append("the answer of another item passes")
    if not grader(item, f"{item.answer} or {other}x"):
        found.append("two answers in one pass")
    return found


def _differ(item: Item, other: str) -> bool:
    return "".join(item.answer.split()).casefold() != "".join(other.split()).casefold()
