"""Tasks for `tool_use`: problems that take tools that really run, with a plan that solves each.

A plan is what a solver would do, turn by turn: the calls of each turn, or a reply. Generated cases follow it; the task
itself does not show it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dataforge.verifiers.calling.tools import TOOLS
from dataforge.verifiers.calling.tools.calculator import calculate, digits
from dataforge.verifiers.calling.tools.units import KINDS, convert
from schemas.task import Task

Planned = list[tuple[str, dict[str, Any]]]
"""The calls of one turn."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A task and how it is solved: turns of calls, with None where a reply ends the part before the user goes on."""

    task: Task
    plan: tuple[Planned | None, ...]
    final: str


def tasks(seed: int, n: int) -> Iterator[Task]:
    """Make `n` tasks; each from its own number, so that the first k of n are the first k of any other n."""
    for at in range(n):
        yield draw(random.Random(f"tool_use:{seed}:{at}")).task


def draw(rng: random.Random, *, programs: bool = True) -> Problem:
    """Draw a problem; without `programs`, one that takes no sandbox."""
    makers = _MAKERS if programs else tuple(maker for maker in _MAKERS if maker is not _program)
    return rng.choice(makers)(rng)


def system_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """What a model is told of the tools, and how it is to end."""
    listed = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
    return (
        "You solve problems with tools that really run. Which there are, and what arguments they take, is listed here as JSON:\n"
        f"<tools>\n{listed}\n</tools>\n"
        "To call a tool, write a JSON object with its name and its arguments in a block of its own, one block for each call:\n"
        '<tool_call>\n{"name": "<name of the tool>", "arguments": {"<argument>": "<value>"}}\n</tool_call>\n'
        "Calls that do not need each other's results may stand in one turn. Then end your turn: the results come back to you, "
        "and you go on. Never write a result yourself. When all is done, reply without a call, in a few words."
    )


def _problem(
    topic: str,
    prompt: str,
    tools: Sequence[str],
    plan: Sequence[Planned | None],
    final: str,
    difficulty: float,
    **facts: Any,
) -> Problem:
    schemas = [TOOLS[name].schema for name in tools]
    task = Task(
        prompt=prompt,
        facts={"tools": list(tools), **facts},
        system=system_prompt(schemas),
        tools=schemas,
        verifier="tool_use",
        topic=topic,
        difficulty=difficulty,
    )
    return Problem(task, tuple(plan), final)


_ENDING = "End your last reply with a line `Answer: ` and then "


def _arithmetic(rng: random.Random) -> Problem:
    one, two, three = rng.randint(1000, 99999), rng.randint(100, 9999), rng.randint(2, 99)
    prices = [Fraction(rng.randint(100, 99999), 100) for _ in range(2)]
    expression, asked = rng.choice(
        (
            (f"({one} * {two} - {three}) % 97", f"the remainder of {one} × {two} − {three} on division by 97"),
            (f"{one} * {two} + {three} ** 5", f"{one} times {two}, plus {three} to the fifth power"),
            (f"{digits(prices[0])} * {two} + {digits(prices[1])} * {three}",
             f"the price of {two} pieces at {digits(prices[0])} and {three} pieces at {digits(prices[1])} together"),
            (f"gcd({one * three}, {two * three})", f"the greatest common divisor of {one * three} and {two * three}"),
            (f"round({one} / {two}, 3)", f"{one} divided by {two}, rounded to three decimals"),
        )
    )  # fmt: skip
    result = calculate(expression)
    return _problem(
        "arithmetic",
        f"Compute {asked}. Use the calculator. {_ENDING}the number alone.",
        ("calculator",),
        [[("calculator", {"expression": expression})]],
        f"Answer: {result}",
        0.1,
        answer=_number(result),
        required=[{"name": "calculator"}],
    )


_GOODS = ("pen", "notebook", "stapler", "desk lamp", "folder", "chair", "whiteboard", "ruler")


def _shopping(rng: random.Random) -> Problem:
    goods = rng.sample(_GOODS, 5)
    store = {f"price:{thing}": digits(Fraction(rng.randint(50, 9999), 100)) for thing in goods}
    wanted = [(thing, rng.randint(2, 40)) for thing in goods[: rng.randint(2, 3)]]
    expression = " + ".join(f"{count} * {store[f'price:{thing}']}" for thing, count in wanted)
    total = calculate(expression)
    said = " and ".join(f"{count} of “{thing}”" for thing, count in wanted)
    return _problem(
        "store and calculator",
        f"The store keeps the price of one piece under keys such as `price:{goods[0]}`. What do {said} cost together? "
        f"{_ENDING}the number alone.",
        ("store_get", "store_list", "calculator"),
        [
            [("store_get", {"key": f"price:{thing}"}) for thing, _ in wanted],
            [("calculator", {"expression": expression})],
        ],
        f"Answer: {total}",
        0.3,
        state={"store": _mixed(store, rng)},
        answer=_number(total),
    )


def _budget(rng: random.Random) -> Problem:
    """Several turns of the user, and a state that must be left behind."""
    start, first, second = rng.randint(500, 5000), rng.randint(10, 400), rng.randint(10, 90)
    key = rng.choice(("budget:travel", "budget:books", "konto/Küche", "balance"))
    keep = {"note": "do not touch", "budget:other": str(rng.randint(1, 999))}
    left = start - first
    doubled = left + second * 3
    archive = f"{key}.old"
    return _problem(
        "store over several turns",
        f"The store keeps a number under the key `{key}`. Take {first} off it, write the new number back under the same key, "
        "and tell me when it is done.",
        ("store_get", "store_set", "store_delete", "store_list", "calculator"),
        [
            [("store_get", {"key": key})],
            [("calculator", {"expression": f"{start} - {first}"})],
            [("store_set", {"key": key, "value": str(left)})],
            None,
            [("calculator", {"expression": f"{left} + 3 * {second}"})],
            [("store_set", {"key": key, "value": str(doubled)}), ("store_set", {"key": archive, "value": str(left)})],
        ],
        f"Answer: {doubled}",
        0.6,
        state={"store": _mixed({key: str(start), **keep}, rng)},
        follow_ups=[
            f"Good. Now write the number that is there under `{archive}` as well, and then add three times {second} to the one "
            f"under `{key}`. {_ENDING}the number that is now under `{key}`."
        ],
        final_state={"store": {key: str(doubled), archive: str(left), **keep}},
        answer=doubled,
    )  # fmt: skip


_TOWNS = ("Oslo", "Lima", "Porto", "Accra", "Hanoi")


def _table(rng: random.Random) -> Problem:
    rows = [
        {
            "id": 100 + at,
            "town": rng.choice(_TOWNS),
            "weight": rng.randint(1, 900),
            "express": rng.random() < 0.4,
        }
        for at in range(rng.randint(8, 20))
    ]
    town, express = str(rng.choice(rows)["town"]), rng.random() < 0.5
    where: dict[str, Any] = {"town": town, **({"express": True} if express else {})}
    chosen = [row for row in rows if all(row[key] == value for key, value in where.items())]
    if not chosen:
        return _table(rng)
    expression = " + ".join(str(row["weight"]) for row in chosen)
    total = calculate(expression)
    return _problem(
        "table and calculator",
        f"What do the {'express ' if express else ''}parcels to {town} weigh together? They stand in the table `parcels`, one a row. "
        f"{_ENDING}the number alone.",
        ("table_describe", "table_find", "calculator"),
        [
            [("table_describe", {})],
            [("table_find", {"table": "parcels", "where": where})],
            [("calculator", {"expression": expression})],
        ],
        f"Answer: {total}",
        0.5,
        state={"tables": {"parcels": rows, "towns": [{"town": one} for one in _TOWNS]}},
        answer=_number(total),
    )


def _units(rng: random.Random) -> Problem:
    while True:
        found = _conversions(rng)
        if (
            1 <= found.task.facts["answer"] < 10**7
        ):  # else two decimals say nothing, or ask for more digits than there are
            return found


def _conversions(rng: random.Random) -> Problem:
    kind = rng.choice(("length", "mass", "time", "volume", "area"))
    units = list(KINDS[kind])
    target = rng.choice(units)
    parts = [
        (Fraction(rng.randint(10, 9999), 10), unit)
        for unit in rng.sample([u for u in units if u != target], 3)
    ]
    calls: Planned = [
        ("convert_units", {"value": float(value), "from_unit": unit, "to_unit": target})
        for value, unit in parts
    ]
    exact = sum((convert(value, unit, target) for value, unit in parts), Fraction(0))
    expression = " + ".join(digits(convert(value, unit, target)) for value, unit in parts)
    rounded = calculate(f"round({calculate(expression)}, 2)")
    said = ", ".join(f"{digits(value)} {unit}" for value, unit in parts)
    return _problem(
        "parallel conversions",
        f"How many {target} are these together: {said}? {_ENDING}the number, rounded to two decimals.",
        ("convert_units", "calculator"),
        [calls, [("calculator", {"expression": expression})]],
        f"Answer: {rounded} {target}" if rng.random() < 0.3 else f"Answer: {rounded}",
        0.4,
        answer=_number(digits(_rounded(exact))),
        tolerance=0.011,
        unit=target,
    )


def _rounded(value: Fraction) -> Fraction:
    return Fraction(round(value * 100), 100)


_TITLES = ("Dentist", "Team lunch", "Physio", "Call with Ana", "Café with Zoë", "Car inspection")


def _calendar(rng: random.Random) -> Problem:
    day = f"2027-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    title, minutes = rng.choice(_TITLES), rng.choice((30, 45, 60, 90))
    events: list[dict[str, str]] = []
    at = 9 * 60
    for number in range(rng.randint(2, 4)):
        at += 0 if number == 0 and rng.random() < 0.7 else rng.choice((0, 15, 30, 60))
        end = at + rng.choice((30, 60, 75))
        events.append({"title": f"Block {number + 1}", "date": day, "start": _clock(at), "end": _clock(end)})
        at = end
    start = _first_gap(events, minutes)
    made = {"title": title, "date": day, "start": _clock(start), "end": _clock(start + minutes)}
    other = {"title": "Elsewhere", "date": "2027-12-31", "start": "09:00", "end": "17:00"}
    return _problem(
        "calendar",
        f"Put an event with the title {title} into my calendar on {day}, for {minutes} minutes, at the earliest time from 09:00 on at which "
        f"it overlaps with nothing; it may begin the minute something else ends. {_ENDING}its start as HH:MM.",
        ("calendar_list", "calendar_add", "calendar_remove"),
        [[("calendar_list", {"date": day})], [("calendar_add", made)]],
        f"Answer: {made['start']}",
        0.5,
        state={"calendar": _mixed_list([*events, other], rng)},
        final_state={"calendar": [*events, other, made]},
        answer=made["start"],
    )  # fmt: skip


def _first_gap(events: list[dict[str, str]], minutes: int) -> int:
    at = 9 * 60
    for event in events:
        begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in (event["start"], event["end"]))
        if at + minutes <= begin:
            return at
        at = max(at, end)
    return at


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _program(rng: random.Random) -> Problem:
    one, two = rng.randint(150, 900), rng.randint(3, 9)
    asked, code, result = rng.choice(
        (
            (f"the sum of the decimal digits of {two} to the power of {one}",
             f"print(sum(map(int, str({two} ** {one}))))", sum(map(int, str(two**one)))),
            (f"how many of the numbers from 1 to {one * 10} are divisible by {two} or by 7, but not by both",
             f"print(sum((n % {two} == 0) != (n % 7 == 0) for n in range(1, {one * 10} + 1)))",
             sum((n % two == 0) != (n % 7 == 0) for n in range(1, one * 10 + 1))),
            (f"how many steps the Collatz rule takes from {one} to 1 (n/2 if n is even, else 3n + 1)",
             f"n, steps = {one}, 0\nwhile n != 1:\n    n = n // 2 if n % 2 == 0 else 3 * n + 1\n    steps += 1\nprint(steps)", _collatz(one)),
            (f"how many primes there are below {one * 4}",
             f"print(sum(all(n % d for d in range(2, int(n ** 0.5) + 1)) for n in range(2, {one * 4})))",
             sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, one * 4))),
        )
    )  # fmt: skip
    return _problem(
        "program",
        f"Find out {asked}. Use a Python program. {_ENDING}the number alone.",
        ("python",),
        [[("python", {"code": code})]],
        f"Answer: {result}",
        0.4,
        answer=result,
        required=[{"name": "python"}],
    )


def _collatz(number: int) -> int:
    steps = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        steps += 1
    return steps


_MAKERS: tuple[Callable[[random.Random], Problem], ...] = (
    _arithmetic,
    _shopping,
    _budget,
    _table,
    _units,
    _calendar,
    _program,
)


def _mixed(values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    keys = list(values)
    rng.shuffle(keys)
    return {key: values[key] for key in keys}


def _mixed_list(values: list[Any], rng: random.Random) -> list[Any]:
    return rng.sample(values, len(values))


def _number(text: str) -> int | float:
    return float(text) if "." in text or "e" in text else int(text)
