"""Small questions with one right answer, made up from numbers and words: multiple choice, exact and numeric tasks.

Each maker draws a question, its answer, and wrong answers that look like it. Tasks are numbered, and each is drawn from a
generator of its own, so the first few of many are the first few of any number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dataforge.verifiers.matching.options import LETTERS
from schemas.task import Task


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer.

    Attributes:
        wrong: other answers, each unlike the right one and unlike each other; at least three.
        difficulty: from 0 to 1.
    """

    topic: str
    text: str
    answer: str
    wrong: tuple[str, ...]
    difficulty: float


CAPITALS = {
    "Austria": "Vienna",
    "Brazil": "Brasília",
    "Bulgaria": "Sofia",
    "Canada": "Ottawa",
    "Chile": "Santiago",
    "Colombia": "Bogotá",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Ghana": "Accra",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Iceland": "Reykjavík",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Morocco": "Rabat",
    "New Zealand": "Wellington",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Romania": "Bucharest",
    "Senegal": "Dakar",
    "South Korea": "Seoul",
    "Spain": "Madrid",
    "Sweden": "Stockholm",
    "Thailand": "Bangkok",
    "Turkey": "Ankara",
    "Uruguay": "Montevideo",
    "Vietnam": "Hanoi",
}
KINDS = {
    "fruit": ("apple", "banana", "cherry", "grape", "mango", "peach", "pear", "plum"),
    "tools": ("hammer", "saw", "screwdriver", "chisel", "wrench", "pliers"),
    "birds": ("eagle", "sparrow", "owl", "heron", "swan", "robin", "stork"),
    "metals": ("iron", "copper", "silver", "tin", "zinc", "lead", "nickel"),
    "musical instruments": ("violin", "flute", "trumpet", "cello", "oboe", "harp"),
    "languages": ("Finnish", "Portuguese", "Swahili", "Korean", "Hungarian", "Basque"),
    "trees": ("oak", "birch", "maple", "spruce", "willow", "beech"),
}
OPPOSITES = {
    "ancient": "modern",
    "brave": "cowardly",
    "deep": "shallow",
    "expand": "shrink",
    "generous": "stingy",
    "humble": "proud",
    "increase": "decrease",
    "early": "late",
    "narrow": "wide",
    "rigid": "flexible",
    "scarce": "plentiful",
    "smooth": "rough",
    "victory": "defeat",
}
WORDS = (
    "anchor",
    "basket",
    "candle",
    "desert",
    "engine",
    "feather",
    "garden",
    "harbour",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "marble",
    "needle",
    "orchard",
    "pepper",
    "quarry",
    "ribbon",
    "saddle",
    "timber",
    "umbrella",
    "velvet",
    "window",
    "yogurt",
    "zipper",
    "bridge",
    "copper",
    "dragon",
    "forest",
    "market",
    "pocket",
    "river",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS = (
    ("kilometres", "metres", 1000),
    ("hours", "minutes", 60),
    ("kilograms", "grams", 1000),
    ("weeks", "days", 7),
    ("metres", "centimetres", 100),
    ("minutes", "seconds", 60),
    ("dozens", "pieces", 12),
)


def _near(rng: random.Random, value: int) -> tuple[str, ...]:
    offsets = rng.sample([-20, -10, -9, -3, -2, -1, 1, 2, 3, 9, 10, 20], 5)
    return tuple(str(value + offset) for offset in offsets)


def arithmetic(rng: random.Random) -> Question:
    a, b, c = rng.randint(3, 99), rng.randint(3, 99), rng.randint(2, 12)
    text, value = rng.choice(
        [
            (f"{a} + {b}", a + b),
            (f"{a + b} − {b}", a),
            (f"{a} × {c}", a * c),
            (f"{a * c} ÷ {c}", a),
            (f"{a} + {b} × {c}", a + b * c),
            (f"({a} + {b}) × {c}", (a + b) * c),
        ]
    )
    return Question("arithmetic", f"What is {text}?", str(value), _near(rng, value), 0.2 if c < 6 else 0.4)


def sequence(rng: random.Random) -> Question:
    first, step = rng.randint(1, 30), rng.randint(2, 15)
    if rng.random() < 0.5:
        terms = [first + step * i for i in range(5)]
    else:
        terms = [first * 2**i for i in range(5)]
    shown = ", ".join(map(str, terms[:4]))
    text = f"Which number comes next in the sequence {shown}?"
    return Question("sequences", text, str(terms[4]), _near(rng, terms[4]), 0.3)


def extreme(rng: random.Random) -> Question:
    values: list[float] = sorted(rng.sample(range(100, 1000), 6))
    if rng.random() < 0.25:
        values = [value + 0.5 for value in values]
    largest = rng.random() < 0.5
    answer = values[-1] if largest else values[0]
    rest = tuple(str(v) for v in values if v != answer)
    word = "largest" if largest else "smallest"
    shown = [str(v) for v in values]
    rng.shuffle(shown)
    return Question(
        "comparing numbers", f"Which of {', '.join(shown)} is the {word} number?", str(answer), rest, 0.1
    )


def alphabetical(rng: random.Random) -> Question:
    words = rng.sample(WORDS, 6)
    first = rng.random() < 0.5
    answer = min(words) if first else max(words)
    word = "first" if first else "last"
    text = f"Which of these words comes {word} in alphabetical order: {', '.join(words)}?"
    return Question("alphabetical order", text, answer, tuple(w for w in words if w != answer), 0.2)


def capital(rng: random.Random) -> Question:
    country, *others = rng.sample(sorted(CAPITALS), 6)
    wrong = tuple(CAPITALS[o] for o in others)
    return Question("capitals", f"What is the capital of {country}?", CAPITALS[country], wrong, 0.3)


def odd_one_out(rng: random.Random) -> Question:
    kind, other = rng.sample(sorted(KINDS), 2)
    members, answer = rng.sample(KINDS[kind], 5), rng.choice(KINDS[other])
    shown = [*members, answer]
    rng.shuffle(shown)
    text = f"Which of these is not one of the {kind}: {', '.join(shown)}?"
    return Question("odd one out", text, answer, tuple(members), 0.2)


def opposite(rng: random.Random) -> Question:
    word, *others = rng.sample(sorted(OPPOSITES), 6)
    wrong = tuple(OPPOSITES[o] for o in others)
    return Question("opposites", f"Which word means the opposite of “{word}”?", OPPOSITES[word], wrong, 0.2)


def weekday(rng: random.Random) -> Question:
    today, days = rng.randrange(7), rng.randint(2, 60)
    answer = DAYS[(today + days) % 7]
    text = f"Today is {DAYS[today]}. Which day of the week is it in {days} days?"
    return Question("calendar", text, answer, tuple(d for d in DAYS if d != answer), 0.3 + days / 120)


def conversion(rng: random.Random) -> Question:
    large, small, factor = rng.choice(UNITS)
    count = rng.randint(2, 24)
    value = count * factor
    values = (value * 10, value + factor, value - factor, count + factor)
    wrong = tuple(str(v) for v in dict.fromkeys(values) if v != value)
    return Question("units", f"How many {small} are there in {count} {large}?", str(value), wrong, 0.2)


def backwards(rng: random.Random) -> Question:
    word = rng.choice(WORDS)
    answer = word[::-1]
    wrong: list[str] = []
    while len(wrong) < 4:
        at = rng.randrange(len(answer) - 1)
        swapped = answer[:at] + answer[at + 1] + answer[at] + answer[at + 2 :]
        mixed = "".join(rng.sample(answer, len(answer)))
        candidate = swapped if rng.random() < 0.5 else mixed
        if candidate != answer and candidate not in wrong:
            wrong.append(candidate)
    return Question("spelling", f"How is “{word}” spelled backwards?", answer, tuple(wrong), 0.5)


def counting(rng: random.Random) -> Question:
    words = " ".join(rng.sample(WORDS, rng.randint(2, 4)))
    letter = rng.choice(sorted(set(words) - {" "}))
    value = words.count(letter)
    wrong = tuple(str(v) for v in range(max(0, value - 2), value + 4) if v != value)
    text = f"How many times does the letter “{letter}” occur in “{words}”?"
    return Question("counting letters", text, str(value), wrong, 0.5)


MAKERS: tuple[Callable[[random.Random], Question], ...] = (
    arithmetic,
    sequence,
    extreme,
    alphabetical,
    capital,
    odd_one_out,
    opposite,
    weekday,
    conversion,
    backwards,
    counting,
)

_LAYOUTS = ("{letter}) {text}", "({letter}) {text}", "{letter}. {text}", "{letter}: {text}")
_CHOICE_ASKS = (
    "Choose the right option. Give its letter after the word “Answer” and a colon, on a line of its own at the end.",
    "Think it through, then finish with a last line that gives the letter of the option you choose, and nothing else.",
    "Which option is right? Reply with its letter only.",
    "Explain your choice in a sentence or two, and put the letter of the right option in \\boxed{} at the end.",
    "Only one option is right. Say which by its letter.",
)
_EXACT_ASKS = (
    "Reply with the answer alone: no sentence around it.",
    "Think it through, then give the answer alone on the last line, after “Answer:”.",
    "Put your final answer in \\boxed{}.",
    "Write your final answer between <answer> and </answer>.",
)


def question(rng: random.Random) -> Question:
    """A question of any kind."""
    return rng.choice(MAKERS)(rng)


def laid_out(rng: random.Random, texts: tuple[str, ...]) -> str:
    """Options as a list, in one of the usual forms."""
    layout = rng.choice(_LAYOUTS)
    return "\n".join(
        layout.format(letter=letter, text=text) for letter, text in zip(LETTERS, texts, strict=False)
    )


def choice_task(rng: random.Random, verifier: str) -> Task:
    """A question with options."""
    asked = question(rng)
    texts = [asked.answer, *rng.sample(asked.wrong, min(len(asked.wrong), rng.choice((3, 3, 3, 4))))]
    rng.shuffle(texts)
    return Task(
        prompt=f"{asked.text}\n\n{laid_out(rng, tuple(texts))}\n\n{rng.choice(_CHOICE_ASKS)}",
        facts={"answer": LETTERS[texts.index(asked.answer)], "options": texts},
        verifier=verifier,
        topic=asked.topic,
        difficulty=asked.difficulty,
    )


def exact_task(rng: random.Random, verifier: str) -> Task:
    """A question without options."""
    asked = question(rng)
    while asked.topic == "opposites":  # which has more than one right answer
        asked = question(rng)
    return Task(
        prompt=f"{asked.text}\n\n{rng.choice(_EXACT_ASKS)}",
        facts={"answers": [asked.answer]},
        verifier=verifier,
        topic=asked.topic,
        difficulty=asked.difficulty,
    )


def estimate_task(rng: random.Random, verifier: str) -> Task:
    """A sum with decimals, whose answer may be rounded."""
    a, b = rng.randint(101, 9999) / 100, rng.randint(101, 9999) / 100
    sign, value = rng.choice((("×", a * b), ("+", a + b), ("÷", a / b)))
    return Task(
        prompt=f"What is {a} {sign} {b}? Round to three significant digits, and end with “Answer:” and the number.",
        facts={"answers": [repr(round(value, 6))], "metric": "number", "relative": 0.006},
        verifier=verifier,
        topic={"×": "products", "+": "sums", "÷": "quotients"}[sign],
        difficulty={"+": 0.2, "×": 0.6, "÷": 0.7}[sign],
    )


def numbered(make: Callable[[random.Random, str], Task], verifier: str, seed: int, n: int) -> Iterator[Task]:
    """The first `n` tasks of a seed, each drawn from a generator of its own."""
    for index in range(n):
        yield make(random.Random(f"{verifier}:{seed}:{index}"), verifier)
