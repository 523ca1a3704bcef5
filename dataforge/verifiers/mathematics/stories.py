"""Word problems: percentages, geometry, units, speed, money and chance, told in a sentence or two."""

from __future__ import annotations

import math
import random
from fractions import Fraction

from dataforge.verifiers.mathematics.exercises import decimal, tex
from dataforge.verifiers.mathematics.problems import Maker, Problem

_PEOPLE = (
    "Amara",
    "Ben",
    "Chen",
    "Dilek",
    "Elif",
    "Farid",
    "Grace",
    "Hiro",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Mateo",
    "Noor",
)


def percentages(rng: random.Random, level: int) -> Problem:
    """A share of something, or what share it is."""
    percent = rng.choice(((10, 20, 25, 50), (5, 15, 35, 60), (12, 18, 37, 64))[level])
    whole = rng.randint(2, 40) * 100
    who = rng.choice(_PEOPLE)
    kind = rng.randrange(3)
    if kind == 0:
        return Problem(
            f"{who} has read {percent}% of a book of {whole} pages. How many pages is that?",
            str(percent * whole // 100),
        )
    if kind == 1:
        return Problem(
            f"Of {whole} seats in a hall, {percent * whole // 100} are taken. What percentage of the seats is taken?",
            f"{percent}\\%",
            {"unit": "%"},
        )
    reduced = Fraction(whole * (100 - percent), 100)
    return Problem(
        f"A bicycle costs ${whole}. In a sale its price goes down by {percent}%. What does it cost in the sale, in dollars?",
        decimal(reduced),
        {"unit": "USD"},
    )


def geometry(rng: random.Random, level: int) -> Problem:
    """Areas, perimeters, the theorem of Pythagoras, circles."""
    a, b = rng.randint(2, 9 + 10 * level), rng.randint(2, 9 + 10 * level)
    kind = rng.randrange(4)
    if kind == 0:
        return Problem(
            f"A rectangle is {a} cm long and {b} cm wide. What is its area in square centimetres?",
            f"{a * b} cm^2",
        )
    if kind == 1:
        m, n = sorted(rng.sample(range(1, 6 + level), 2))
        p, q, r = n * n - m * m, 2 * m * n, n * n + m * m
        return Problem(
            f"The legs of a right triangle are {p} m and {q} m long. How long is the hypotenuse, in metres?",
            f"{r} m",
        )
    if kind == 2:
        return Problem(
            f"A circle has a radius of {a} cm. Give its exact area in square centimetres, in terms of $\\pi$.",
            f"{a * a}\\pi",
            {"kind": "expression", "unit": "cm^2"},
        )
    angle = rng.randint(20, 80), rng.randint(20, 80)
    return Problem(
        f"Two angles of a triangle measure {angle[0]}° and {angle[1]}°. How large is the third, in degrees?",
        f"{180 - sum(angle)}^\\circ",
    )


def units(rng: random.Random, level: int) -> Problem:
    """A quantity brought to another unit."""
    rows: tuple[list[tuple[str, str, str, int | Fraction]], ...] = (
        [("km", "metres", "m", 1000), ("kg", "grams", "g", 1000), ("hours", "minutes", "min", 60)],
        [("litres", "millilitres", "mL", 1000), ("m", "centimetres", "cm", 100), ("days", "hours", "h", 24)],
        [("feet", "inches", "in", 12), ("yards", "feet", "ft", 3), ("m/s", "km/h", "km/h", Fraction(18, 5))],
    )
    have, want, symbol, factor = rng.choice(rows[level])
    value = Fraction(rng.randint(2, 90), rng.choice((1, 2, 4)))
    return Problem(f"Convert {decimal(value)} {have} to {want}.", decimal(value * factor), {"unit": symbol})


def speed(rng: random.Random, level: int) -> Problem:
    """Distance, time and speed."""
    pace, hours = rng.randint(3, 12 + 30 * level), Fraction(rng.randint(2, 12), (1, 2, 4)[level])
    who = rng.choice(_PEOPLE)
    if rng.random() < 0.5:
        return Problem(
            f"{who} cycles at a steady {pace} km/h for {decimal(hours)} hours. How far is that, in kilometres?",
            f"{decimal(pace * hours)} km",
        )
    return Problem(
        f"{who} covers {decimal(pace * hours)} km in {decimal(hours)} hours at a steady speed. What is the speed in kilometres per hour?",
        str(pace),
        {"unit": "km/h"},
    )


def money(rng: random.Random, level: int) -> Problem:
    """What things cost together, and the change."""
    price, count = Fraction(rng.randint(50, 900), 100), rng.randint(2, 6 + 4 * level)
    total = price * count
    note = math.ceil(total / 10) * 10
    who, thing = (
        rng.choice(_PEOPLE),
        rng.choice(("notebooks", "mangoes", "tickets", "candles", "cups of tea")),
    )
    return Problem(
        f"{who} buys {count} {thing} for ${float(price):.2f} each and pays with ${note}. How much change does {who} get, in dollars?",
        f"{float(note - total):.2f}",
        {"unit": "USD"},
    )


def chance(rng: random.Random, level: int) -> Problem:
    """The probability of a draw."""
    red, blue = rng.randint(2, 5 + 3 * level), rng.randint(2, 5 + 3 * level)
    total = red + blue
    if level == 0:
        value = Fraction(red, total)
        asked = "One ball is drawn at random. What is the probability that it is red?"
    else:
        value = Fraction(red * (red - 1), total * (total - 1))
        asked = "Two balls are drawn at random without putting the first back. What is the probability that both are red?"
    return Problem(
        f"A bag holds {red} red and {blue} blue balls. {asked} Answer with a fraction.", tex(value)
    )


def averages(rng: random.Random, level: int) -> Problem:
    """The mean of a few numbers."""
    values = [rng.randint(1, 20 + 40 * level) for _ in range(4 + level)]
    return Problem(
        f"Find the mean of the numbers {', '.join(map(str, values))}.",
        tex(Fraction(sum(values), len(values))),
    )


STORIES: dict[str, Maker] = {
    "percentages": percentages,
    "geometry": geometry,
    "units": units,
    "speed": speed,
    "money": money,
    "probability": chance,
    "averages": averages,
}
