"""Fields of realistic documents: each knows how to draw a value, the schema that the value satisfies, and how to say it.

A slot is a table entry of `domains`: the name of a field, a sentence with `{}` where the value goes, and the kind of value.
What a sentence says is enough to write the value down without guessing: dates name the day, date-times the offset.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dataforge.verifiers.structured.instances import WORDS
from dataforge.verifiers.structured.patterns import sample

Make = Callable[[random.Random], Any]
Describe = Callable[[Any, random.Random], dict[str, Any]]
Say = Callable[[Any, random.Random], str]


@dataclass(frozen=True, slots=True)
class Slot:
    """A field.

    Attributes:
        name: of the field.
        make: draws a value.
        describe: the schema of the field, which the value satisfies.
        say: a sentence that gives the value; empty where other sentences determine it.
        optional: whether a document may lack it.
    """

    name: str
    make: Make
    describe: Describe
    say: Say
    optional: bool = False


def maybe(slot: Slot) -> Slot:
    """The slot as one that a document may lack."""
    return Slot(slot.name, slot.make, slot.describe, slot.say, True)


def _sentence(
    template: str, phrase: Callable[[Any, random.Random], str] = lambda value, rng: str(value)
) -> Say:
    return lambda value, rng: template.format(phrase(value, rng)) if template else ""


def words(name: str, say: str, pool: tuple[str, ...], least: int = 1, most: int = 80) -> Slot:
    """A text from a pool."""

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        node: dict[str, Any] = {"type": "string"}
        if rng.random() < 0.7:
            node["minLength"] = least
        if rng.random() < 0.5:
            node["maxLength"] = most
        return node

    return Slot(name, lambda rng: rng.choice(pool), describe, _sentence(say))


def code(name: str, say: str, pattern: str) -> Slot:
    """A text of a pattern."""
    return Slot(
        name,
        lambda rng: sample(pattern, rng) or "",
        lambda value, rng: {"type": "string", "pattern": pattern},
        _sentence(say),
    )


def choice(name: str, say: str, values: tuple[str, ...]) -> Slot:
    """One of the allowed values."""
    return Slot(
        name,
        lambda rng: rng.choice(values),
        lambda value, rng: {"type": "string", "enum": list(values)},
        _sentence(say),
    )


def count(name: str, say: str, low: int, high: int, step: int = 1) -> Slot:
    """A whole number."""

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        node: dict[str, Any] = {"type": "integer"}
        if rng.random() < 0.85:
            node.update({"minimum": low} if rng.random() < 0.7 else {"exclusiveMinimum": low - 1})
        if rng.random() < 0.7:
            node["maximum"] = high
        if step > 1:
            node["multipleOf"] = step
        return node

    return Slot(name, lambda rng: rng.randrange(low, high + 1, step), describe, _sentence(say))


def amount(name: str, say: str, low: float, high: float, digits: int = 2) -> Slot:
    """A decimal number."""

    def make(rng: random.Random) -> Any:
        scale = 10**digits
        return round(rng.randint(round(low * scale), round(high * scale)) / scale, digits)

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        node: dict[str, Any] = {"type": "number"}
        if rng.random() < 0.85:
            node["minimum"] = low
        if rng.random() < 0.6:
            node["maximum"] = high
        return node

    return Slot(name, make, describe, _sentence(say, lambda value, rng: f"{value:.{digits}f}"))


def flag(name: str, yes: str, no: str) -> Slot:
    """A boolean, with a sentence for each."""
    return Slot(
        name,
        lambda rng: rng.random() < 0.5,
        lambda value, rng: {"type": "boolean"},
        lambda value, rng: yes if value else no,
    )


def day(name: str, say: str) -> Slot:
    """A date, said as it is written or in words."""

    def phrase(value: Any, rng: random.Random) -> str:
        if rng.random() < 0.5:
            return str(value)
        found = date.fromisoformat(value)
        return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"

    def make(rng: random.Random) -> str:
        return (date(2021, 1, 1) + timedelta(days=rng.randrange(2200))).isoformat()

    return Slot(name, make, lambda value, rng: {"type": "string", "format": "date"}, _sentence(say, phrase))


_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def moment(name: str, say: str) -> Slot:
    """A date-time with its offset, as it is written."""

    def make(rng: random.Random) -> str:
        start = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * rng.randrange(600_000))
        return start.replace(tzinfo=None).isoformat() + rng.choice(("Z", "Z", "+01:00", "-05:00"))

    return Slot(name, make, lambda value, rng: {"type": "string", "format": "date-time"}, _sentence(say))


def mail(name: str, say: str) -> Slot:
    """An e-mail address."""

    def make(rng: random.Random) -> str:
        given, family = rng.choice(GIVEN), rng.choice(FAMILIES)
        plain = f"{given}{rng.choice(('.', '_', ''))}{family}".lower().translate(_PLAIN)
        return f"{''.join(sign for sign in plain if sign.isascii() and (sign.isalnum() or sign in '._'))}@{rng.choice(HOSTS)}"

    return Slot(name, make, lambda value, rng: {"type": "string", "format": "email"}, _sentence(say))


def link(name: str, say: str) -> Slot:
    """A URI."""
    return Slot(
        name,
        lambda rng: f"https://{rng.choice(HOSTS)}/{rng.choice(WORDS)}/{rng.randint(1, 9999)}",
        lambda value, rng: {"type": "string", "format": "uri"},
        _sentence(say),
    )


def identity(name: str, say: str) -> Slot:
    """A UUID."""
    return Slot(
        name,
        lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        lambda value, rng: {"type": "string", "format": "uuid"},
        _sentence(say),
    )


def address(name: str, say: str) -> Slot:
    """An IPv4 address."""
    return Slot(
        name,
        lambda rng: f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        lambda value, rng: {"type": "string", "format": "ipv4"},
        _sentence(say),
    )


def several(name: str, say: str, pool: tuple[str, ...], low: int, high: int, *, closed: bool = False) -> Slot:
    """A list of different texts, in the order in which they are said; of allowed values where it is closed."""

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        item: dict[str, Any] = (
            {"type": "string", "enum": list(pool)} if closed else {"type": "string", "minLength": 1}
        )
        node: dict[str, Any] = {"type": "array", "items": item, "minItems": low, "uniqueItems": True}
        if rng.random() < 0.8:
            node["maxItems"] = high
        return node

    return Slot(
        name,
        lambda rng: rng.sample(pool, rng.randint(low, high)),
        describe,
        _sentence(say, lambda value, rng: joined(value)),
    )


def numbers(name: str, say: str, low: int, high: int, size: tuple[int, int]) -> Slot:
    """A list of whole numbers."""
    return Slot(
        name,
        lambda rng: [rng.randint(low, high) for _ in range(rng.randint(*size))],
        lambda value, rng: {
            "type": "array",
            "items": {"type": "integer", "minimum": low, "maximum": high},
            "minItems": size[0],
            "maxItems": size[1],
        },
        _sentence(say, lambda value, rng: joined(list(map(str, value)))),
    )


def or_null(slot: Slot, none: str) -> Slot:
    """A required field that is null where there is no value; `none` says so."""

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        node = slot.describe(slot.make(rng) if value is None else value, rng)
        return {"anyOf": [node, {"type": "null"}]}

    return Slot(
        slot.name,
        lambda rng: None if rng.random() < 0.5 else slot.make(rng),
        describe,
        lambda value, rng: none if value is None else slot.say(value, rng),
    )


def group(name: str, lead: str, *slots: Slot) -> Slot:
    """A nested object."""
    return Slot(
        name,
        lambda rng: {slot.name: slot.make(rng) for slot in slots if not slot.optional or rng.random() < 0.6},
        lambda value, rng: object_of(slots, value, rng),
        lambda value, rng: " ".join(filter(None, [lead, *said(slots, value, rng)])),
    )


def rows(name: str, lead: str, row: str, low: int, high: int, *slots: Slot) -> Slot:
    """A list of objects; `row` is a sentence with the fields' names where their values go."""

    def describe(value: Any, rng: random.Random) -> dict[str, Any]:
        node: dict[str, Any] = {"type": "array", "items": object_of(slots, value[0], rng), "minItems": low}
        if rng.random() < 0.7:
            node["maxItems"] = high
        return node

    def say(value: Any, rng: random.Random) -> str:
        lines = [
            row.format(
                **{key: item if isinstance(item, str) else json.dumps(item) for key, item in entry.items()}
            )
            for entry in value
        ]
        return f"{lead} {'; '.join(f'({index}) {line}' for index, line in enumerate(lines, 1))}."

    return Slot(
        name,
        lambda rng: [{slot.name: slot.make(rng) for slot in slots} for _ in range(rng.randint(low, high))],
        describe,
        say,
    )


def worked_out(name: str, kind: str) -> Slot:
    """A number that a rule determines, and that no sentence gives."""
    return Slot(name, lambda rng: 0, lambda value, rng: {"type": kind, "minimum": 0}, lambda value, rng: "")


def object_of(slots: tuple[Slot, ...], value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The schema of an object with the fields of some slots."""
    return {
        "type": "object",
        "properties": {slot.name: slot.describe(value.get(slot.name, slot.make(rng)), rng) for slot in slots},
        "required": [slot.name for slot in slots if not slot.optional],
        "additionalProperties": False,
    }


def said(slots: tuple[Slot, ...], value: dict[str, Any], rng: random.Random) -> list[str]:
    """The sentences that give the values of an object."""
    return [
        sentence for slot in slots if slot.name in value and (sentence := slot.say(value[slot.name], rng))
    ]


def joined(items: list[str]) -> str:
    """A list in words."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


GIVEN = (
    "Ada", "Bram", "Chioma", "Dariusz", "Elif", "Farah", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Leïla", "Mateo", "Nia",
    "Oskar", "Priya", "Quentin", "Rosa", "Søren", "Tariq", "Uma", "Vera", "Wanda", "Xin", "Yara", "Zoë",
)  # fmt: skip
FAMILIES = (
    "Abara", "Bianchi", "Castro", "Dubois", "Eriksen", "Fischer", "Grant", "Horvat", "Ito", "Jansen", "Kowalski", "Lopes",
    "Müller", "Novak", "O'Brien", "Petrov", "Quist", "Rossi", "Silva", "Tanaka", "Ueda", "Varga", "Weiss", "Yilmaz",
)  # fmt: skip
HOSTS = (
    "example.com",
    "example.org",
    "mail.example.net",
    "shop.example",
    "north.example.com",
    "team.example.org",
)
NAMES = tuple(
    f"{given} {FAMILIES[(7 * index) % len(FAMILIES)]}" for index, given in enumerate(GIVEN)
) + tuple(f"{given} {FAMILIES[(5 * index + 3) % len(FAMILIES)]}" for index, given in enumerate(GIVEN))
_PLAIN = str.maketrans({"ï": "i", "ø": "o", "ë": "e", "ü": "u"})
