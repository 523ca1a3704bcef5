"""Values to draw: names, dates, amounts, texts; each with how it is said and what it is as an argument."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from dataforge.verifiers.calling.catalogue.offers import Slot

CITIES = (
    "Lisbon", "Oslo", "Nairobi", "Kyoto", "São Paulo", "Toronto", "Zürich", "Hanoi", "Cape Town", "Kraków", "Lima",
    "Dublin", "Reykjavík", "Jakarta", "Montréal", "Porto", "Seoul", "Tallinn", "Accra", "Wellington",
)  # fmt: skip
PEOPLE = (
    "Ana Silva", "Jonas Berg", "Mei Lin", "Omar Haddad", "Priya Nair", "Tom O'Brien", "Zoë Martin", "Kofi Mensah",
    "Ingrid Larsen", "Lucía Gómez", "Hiro Tanaka", "Sara Novak",
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_STREETS = (
    "Mill Lane",
    "Harbour Road",
    "Rua Augusta",
    "Birch Street",
    "Via Roma",
    "King's Parade",
    "Elm Avenue",
)
_TEXTS = (
    "Running ten minutes late, please start without me.", "The parcel has arrived.", "Can we move lunch to Friday?",
    "Draft is ready for review: see section 3.", "Happy birthday! 🎉", "The code for the door is 4471.",
    'Please bring the book "Dune" back.', "Train is cancelled; I'll drive instead.", "Thanks for yesterday - it helped.",
    "Rehearsal starts at 19:00 sharp.", "I've left the keys with the neighbour.", "Olá, está tudo bem?",
)  # fmt: skip


def city(rng: random.Random) -> tuple[str, Any]:
    name = rng.choice(CITIES)
    return name, name


def person(rng: random.Random) -> tuple[str, Any]:
    name = rng.choice(PEOPLE)
    return name, name


def street(rng: random.Random) -> tuple[str, Any]:
    name = f"{rng.randint(1, 180)} {rng.choice(_STREETS)}"
    return name, name


def email(rng: random.Random) -> tuple[str, Any]:
    first, last = (
        rng.choice(("ana", "jonas", "mei", "omar", "priya", "kofi")),
        rng.choice(("work", "studio", "home")),
    )
    address = f"{first}@{last}.example"
    return address, address


def emails(rng: random.Random) -> tuple[str, Any]:
    found = list(dict.fromkeys(email(rng)[1] for _ in range(rng.randint(2, 3))))
    return listed(found), found


def date(rng: random.Random) -> tuple[str, Any]:
    """A day of 2027, said as the tool takes it or in words."""
    return _day(rng, 1, 12)


def early(rng: random.Random) -> tuple[str, Any]:
    """A day of the first half of 2027."""
    return _day(rng, 1, 6)


def late(rng: random.Random) -> tuple[str, Any]:
    """A day of its second half."""
    return _day(rng, 7, 12)


def _day(rng: random.Random, first: int, last: int) -> tuple[str, Any]:
    month, day = rng.randint(first, last), rng.randint(1, 28)
    iso = f"2027-{month:02}-{day:02}"
    return rng.choice((iso, f"{day} {_MONTHS[month - 1]} 2027", f"{_MONTHS[month - 1]} {day}, 2027")), iso


def clock(rng: random.Random) -> tuple[str, Any]:
    time = f"{rng.randint(6, 22):02}:{rng.choice((0, 10, 15, 20, 30, 45)):02}"
    return time, time


def message(rng: random.Random) -> tuple[str, Any]:
    text = rng.choice(_TEXTS)
    return (f"“{text}”" if '"' in text else f'"{text}"'), text


def quoted(*texts: str) -> Slot:
    """One of some texts, said in quotation marks."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        text = rng.choice(texts)
        return f'"{text}"', text

    return draw


def plain(*texts: str) -> Slot:
    """One of some texts, said as it is."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        text = rng.choice(texts)
        return text, text

    return draw


def called(**values: Any) -> Slot:
    """One of some values, each said in words: `called(no2="nitrogen dioxide")`."""
    pairs = [(said, value) for value, said in values.items()]

    def draw(rng: random.Random) -> tuple[str, Any]:
        return rng.choice(pairs)

    return draw


def whole(low: int, high: int, step: int = 1) -> Slot:
    def draw(rng: random.Random) -> tuple[str, Any]:
        number = rng.randrange(low, high + 1, step)
        return str(number), number

    return draw


def amount(low: int, high: int, places: int = 2) -> Slot:
    """A number that may have decimals, and now and then none."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        if rng.random() < 0.3:
            number: int | float = rng.randint(low, high)
        else:
            number = round(rng.uniform(low, high), places)
        return str(number), number

    return draw


def some(texts: Sequence[str], low: int = 2, high: int = 3) -> Slot:
    """A list of different texts, in the order in which they are said."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        found = rng.sample(list(texts), rng.randint(low, high))
        return listed(found), found

    return draw


def numbers(low: int, high: int, least: int = 3, most: int = 6) -> Slot:
    """A list of numbers with one decimal at most."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        found = [
            rng.randint(low, high) if rng.random() < 0.5 else round(rng.uniform(low, high), 1)
            for _ in range(rng.randint(least, most))
        ]
        return ", ".join(map(str, found)), found

    return draw


def code(prefix: str, digits: int = 5) -> Slot:
    def draw(rng: random.Random) -> tuple[str, Any]:
        made = f"{prefix}{rng.randrange(10 ** (digits - 1), 10**digits)}"
        return made, made

    return draw


def listed(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def items(things: Sequence[str], name: str = "item", count: str = "quantity") -> Slot:
    """A list of objects: so many of that."""

    def draw(rng: random.Random) -> tuple[str, Any]:
        found = [(rng.randint(1, 9), thing) for thing in rng.sample(list(things), rng.randint(1, 3))]
        return listed([f"{n} × {thing}" for n, thing in found]), [
            {name: thing, count: n} for n, thing in found
        ]

    return draw
