"""Tasks: small questions with known answers, each with the instruction of one format.

Seven in ten are of simple formats and three in ten of composed ones; within both, every format comes before any comes
again. The question is drawn anew until the format can carry its answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from dataforge.verifiers.formats import Format, formats
from schemas.task import Task


@dataclass(frozen=True, slots=True)
class Question:
    """A question; `answer` is None where there are many right ones."""

    text: str
    answer: str | None
    difficulty: float


COMPOSED = frozenset((2, 5, 8))
"""Which of every ten tasks are of composed formats."""


def make_tasks(verifier: str, seed: int, n: int) -> Iterator[Task]:
    """The first `n` tasks of a seed."""
    for index in range(n):
        yield _task(verifier, seed, index)


def _task(verifier: str, seed: int, index: int) -> Task:
    rng = random.Random(f"{verifier}:{seed}:{index}")
    format = _format(seed, index)
    question = _question(format, rng)
    thinking: Literal["required", "allowed"] = "required" if rng.random() < 0.2 else "allowed"
    facts: dict[str, str] = {"format": format.name}
    if question.answer is not None:
        facts["answer"] = question.answer
    if thinking == "required":
        facts["thinking"] = thinking
    before = rng.choice(_BEFORE)
    shape = f"{format.instruction}\n\n{_example(format)}"
    think = "Think first, between <think> and </think> at the very beginning; what follows is your reply."
    system: str | None
    if rng.random() < 0.3:
        system = f"{think}\n\n{shape}" if thinking == "required" else shape
        prompt = question.text
    else:
        system = think if thinking == "required" else None
        prompt = f"{question.text}\n\n{before}{shape}"
    return Task(
        prompt=prompt,
        system=system,
        facts=facts,
        verifier=verifier,
        topic=format.group,
        difficulty=round(min(1.0, question.difficulty + 0.1 * (len(format.parts) - 1)), 2),
    )


_BEFORE = (
    "",
    "",
    "This is how to answer. ",
    "Mind the form of your answer. ",
    "About the form of the reply: ",
)


def _example(format: Format) -> str:
    shown = [f"`{text}`" for part, text in format.placeholders.items() if part != "confidence"]
    named = " and ".join(shown) if len(shown) < 3 else ", ".join(shown)
    where = "yours belongs" if len(shown) == 1 else "your own text belongs"
    return f"An example, with {named} where {where}:\n\n{format.example}"


def _format(seed: int, index: int) -> Format:
    rows, place = divmod(index, 10)
    composed = place in COMPOSED
    at = (
        rows * 3 + sorted(COMPOSED).index(place)
        if composed
        else rows * 7 + place - sum(c < place for c in COMPOSED)
    )
    pool = _pool(composed)
    cycle, at = divmod(at, len(pool))
    return _order(seed, composed, cycle)[at]


@cache
def _pool(composed: bool) -> tuple[Format, ...]:
    return tuple(format for format in formats() if format.composed == composed)


@cache
def _order(seed: int, composed: bool, cycle: int) -> tuple[Format, ...]:
    order = list(_pool(composed))
    random.Random(f"formats:{seed}:{composed}:{cycle}").shuffle(order)
    return tuple(order)


def _question(format: Format, rng: random.Random) -> Question:
    for _ in range(100):
        question = rng.choice(_MAKERS[rng.choice(format.suits)])(rng)
        if question.answer is None or format.carries(question.answer):
            return question
    raise AssertionError(f"`{format.name}` carries no answer of any question")


# ---- questions, by kind of answer


def _arithmetic(rng: random.Random) -> Question:
    a, b, c = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 30)
    text, value = rng.choice(
        (
            (f"What is {a} + {b} * {c}?", a + b * c),
            (f"What is {a} * {b} - {c}?", a * b - c),
            (
                f"A shelf holds {a} boxes of {b} pencils each; {c} pencils are missing. How many are there?",
                a * b - c,
            ),
            (f"What is the remainder of {a * b + c} when it is divided by {b}?", (a * b + c) % b),
            (f"How many whole minutes are {a} hours and {b} minutes?", a * 60 + b),
        )
    )
    return Question(f"{text} Give the number in digits, without separators.", str(value), 0.2)


def _choice(rng: random.Random) -> Question:
    word, right = rng.choice(_OPPOSITES)
    wrong = rng.sample([other for pair in _OPPOSITES for other in pair if other not in (word, right)], k=3)
    options = [right, *wrong]
    rng.shuffle(options)
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True))
    return Question(f"Which word is the opposite of “{word}”?\n{listed}", "ABCD"[options.index(right)], 0.1)


_OPPOSITES = (
    ("hot", "cold"), ("early", "late"), ("empty", "full"), ("wide", "narrow"), ("ancient", "modern"), ("loud", "quiet"),
    ("rough", "smooth"), ("generous", "stingy"), ("victory", "defeat"), ("expand", "shrink"), ("arrive", "depart"),
    ("shallow", "deep"), ("brave", "cowardly"), ("question", "answer"), ("permanent", "temporary"), ("rise", "fall"),
)  # fmt: skip

_CAPITALS = (
    ("France", "Paris"), ("Japan", "Tokyo"), ("Kenya", "Nairobi"), ("Peru", "Lima"), ("Norway", "Oslo"), ("Egypt", "Cairo"),
    ("Austria", "Vienna"), ("Cuba", "Havana"), ("Poland", "Warsaw"), ("Thailand", "Bangkok"), ("Greece", "Athens"),
    ("Portugal", "Lisbon"), ("Hungary", "Budapest"), ("Finland", "Helsinki"), ("Senegal", "Dakar"), ("Chile", "Santiago"),
)  # fmt: skip

_WORDS = [
    "apple",
    "river",
    "stone",
    "window",
    "garden",
    "pencil",
    "mirror",
    "candle",
    "bottle",
    "forest",
    "ladder",
    "market",
    "ocean",
    "pillow",
    "rocket",
    "saddle",
    "tunnel",
    "velvet",
    "wagon",
    "yellow",
    "zebra",
    "anchor",
    "basket",
    "copper",
    "dragon",
    "engine",
    "feather",
]

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _capital(rng: random.Random) -> Question:
    country, city = rng.choice(_CAPITALS)
    return Question(f"What is the capital of {country}? Give its name alone.", city, 0.1)


def _sorting(rng: random.Random) -> Question:
    words = rng.sample(_WORDS, k=rng.randint(3, 6))
    return Question(
        f"Sort these words alphabetically: {', '.join(words)}. Give them on one line, separated by a comma and a space.",
        ", ".join(sorted(words)),
        0.3,
    )


def _listing(rng: random.Random) -> Question:
    words = rng.sample(_WORDS, k=rng.randint(3, 5))
    return Question(
        f"Put these words in order of the alphabet, one on each line and nothing else: {', '.join(words)}.",
        "\n".join(sorted(words)),
        0.3,
    )


def _reversal(rng: random.Random) -> Question:
    word = rng.choice(_WORDS)
    return Question(f"Write the word “{word}” backwards, in small letters.", word[::-1], 0.3)


def _weekday(rng: random.Random) -> Question:
    today, later = rng.randrange(7), rng.randint(2, 60)
    return Question(
        f"Today is {_DAYS[today]}. Which day of the week will it be in {later} days? Give its name alone.",
        _DAYS[(today + later) % 7],
        0.3,
    )


def _open(rng: random.Random) -> Question:
    thing = rng.choice(_WORDS)
    asked = rng.choice(
        (
            f"Describe a {thing} to a child in one sentence.",
            f"Name one thing that a {thing} and a {rng.choice(_WORDS)} have in common, in a few words.",
            f"Make up the title of a short story about a {thing}.",
        )
    )
    return Question(asked, None, 0.2)


def _fraction(rng: random.Random) -> Question:
    while True:
        a, b, c, d = (rng.randint(1, 9) for _ in range(4))
        total = Fraction(a, b) + Fraction(c, d)
        if total.denominator > 1:
            break
    return Question(
        f"What is {a}/{b} + {c}/{d}? Give it in lowest terms as \\frac{{numerator}}{{denominator}}, even above one.",
        rf"\frac{{{total.numerator}}}{{{total.denominator}}}",
        0.3,
    )


def _linear(rng: random.Random) -> Question:
    x, a, b = rng.randint(-20, 20), rng.randint(2, 12), rng.randint(-30, 30)
    sign = f"+ {b}" if b >= 0 else f"- {-b}"
    return Question(f"Solve {a}x {sign} = {a * x + b} for x. Give the value alone.", str(x), 0.3)


def _power(rng: random.Random) -> Question:
    exponent, factor = rng.randint(3, 9), rng.randint(2, 9)
    return Question(
        f"What is the derivative of {factor}x^{exponent} with respect to x? Give it in the form ax^b, without spaces or braces.",
        f"{factor * exponent}x^{exponent - 1}",
        0.3,
    )


def _program(rng: random.Random) -> Question:
    asked = rng.choice(
        (
            "Write a Python function `is_even(n)` that says whether an integer is even.",
            "Write a Python function `count_vowels(text)` that counts the vowels of a text.",
            "Write a Python function `largest(numbers)` that gives the largest item of a list, or None for an empty one.",
            "Write a Python function `initials(name)` that gives the capital first letters of the words of a name.",
            f"Write a Python program that prints the first {rng.randint(3, 20)} square numbers, one on each line.",
        )
    )
    return Question(asked, None, 0.4)


def _expression(rng: random.Random) -> Question:
    count, step = rng.randint(3, 6), rng.randint(2, 9)
    return Question(
        f"Write one Python statement that prints the list of the first {count} positive multiples of {step}.",
        None,
        0.3,
    )


_MAKERS: dict[str, tuple[Callable[[random.Random], Question], ...]] = {
    "text": (_capital, _sorting, _listing, _reversal, _weekday, _open),
    "maths": (_fraction, _linear, _power),
    "code": (_program, _expression),
    "number": (_arithmetic,),
    "letter": (_choice,),
}
