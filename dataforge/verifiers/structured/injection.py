"""Valid document → broken document: nine kinds of error, each put in on purpose, at a known place, and proved.

    type          a value of another type                      enum          none of the allowed values
    constraint    a bound, length, step or pattern             missing       a required field taken out
    format        no date, no address, …                       extra         a field where none is allowed
    nested        any of these inside an object of the object  list          too many, too few, repeated, wrong items
    cross_field   a rule between fields

The field is drawn first, uniformly among those that can be broken in that way, and the error second, so the first
declared field is no likelier than the last. What is given out has been validated: it is invalid, at that place and at no
other, and the rule of `mending` takes the original for a faithful repair. Where a schema cannot be broken in a way, the
answer is `Unbreakable` with the reason (no object forbids extra fields, say), and never a document that is still valid.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dataforge.errors import InputError
from dataforge.verifiers.structured.instances import WORDS, value_of
from dataforge.verifiers.structured.mending import compare, needs_of
from dataforge.verifiers.structured.rules import Rule, exact, paths_of, read_rule
from dataforge.verifiers.structured.validation import Compiled, Node, types_of
from dataforge.verifiers.structured.values import MISSING, Path, at, kind_of, place, put

KINDS = ("type", "constraint", "format", "enum", "missing", "extra", "nested", "list", "cross_field")

Accept = Callable[[Any], Any]
"""What a document is once it was written in some language and read again; `MISSING` where that cannot be."""


@dataclass(frozen=True, slots=True)
class Injection:
    """An error that was put in.

    Attributes:
        kind: one of `KINDS`.
        path: where; for a rule between fields, the field that was changed.
        note: what was done, for the records.
        value: the broken document.
    """

    kind: str
    path: Path
    note: str
    value: Any


@dataclass(frozen=True, slots=True)
class Unbreakable:
    """A document cannot be broken in a way, and why."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document: its path, the node it was declared by, the alternative that its value is of, and the value."""

    path: Path
    declared: Node
    node: Node
    value: Any


Change = tuple[Path, str, Any]
"""Where, what (for the records), and the document after."""


def places(compiled: Compiled, value: Any) -> list[Place]:
    """Every place of a document, the root first."""
    found: list[Place] = []

    def walk(item: Any, declared: Node, path: Path) -> None:
        node = compiled.chosen(declared, item)
        found.append(Place(path, compiled.resolve(declared), node, item))
        inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for step, child in inner:
            walk(child, compiled.child(node, step), (*path, step))

    walk(value, compiled.root, ())
    return found


def inject(
    compiled: Compiled,
    original: Any,
    kind: str,
    rng: random.Random,
    accept: Accept | None = None,
    before: tuple[Injection, ...] = (),
) -> Injection | Unbreakable:
    """Break a valid document in one way.

    Args:
        original: the valid document.
        accept: what becomes of a document on its way through a language.
        before: errors that it has already; the new one goes somewhere else.
    """
    current = before[-1].value if before else original
    # Places are those of the sound document: what an error did to a place is no ground for the next.
    sites = [
        site
        for site in _sites(compiled, original, kind)
        if not any(_related(site.path, earlier.path) for earlier in before)
    ]
    if not sites:
        return Unbreakable(kind, _NO_SITE[kind] + (", but for what is broken already" if before else ""))
    for site in rng.sample(sites, len(sites)):
        changes = list(_changes(compiled, current, site, kind, rng))
        for path, note, changed in rng.sample(changes, len(changes)):
            value = changed if accept is None else accept(changed)
            if value is not MISSING and _proved(compiled, original, current, value, path):
                return Injection(kind, path, note, value)
    return Unbreakable(kind, f"no change of the kind `{kind}` makes this document invalid, and it alone")


def inject_several(
    compiled: Compiled, original: Any, kinds: list[str], rng: random.Random, accept: Accept | None = None
) -> tuple[Injection, ...] | Unbreakable:
    """Break a document in several ways, at places that have nothing to do with each other."""
    done: tuple[Injection, ...] = ()
    for kind in kinds:
        found = inject(compiled, original, kind, rng, accept, done)
        if isinstance(found, Unbreakable):
            return found
        done = (*done, found)
    return done


def _related(one: Path, other: Path) -> bool:
    """Whether two places touch: one within the other, or both within one list, whose indexes the other may move."""
    shared = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        shared += 1
    if shared in (len(one), len(other)):
        return True
    return isinstance(one[shared], int)


def _proved(compiled: Compiled, original: Any, before: Any, broken: Any, path: Path) -> bool:
    """Whether the new errors are at the path and nowhere else, the old ones are still there, and the original mends it."""
    old = {(problem.path, problem.keyword) for problem in compiled.problems(before)}
    problems = compiled.problems(broken)
    new = [problem for problem in problems if (problem.path, problem.keyword) not in old]
    if not new or len(problems) - len(new) != len(old):
        return False
    for problem in new:
        where = problem.paths or (problem.path,)
        if not any(spot[: len(path)] == path or path == spot for spot in where):
            return False
    return compare(broken, original, needs_of(broken, compiled)).faithful


# ---- where


def _sites(compiled: Compiled, value: Any, kind: str) -> list[Place]:
    every = places(compiled, value)
    if kind == "nested":
        return [
            site for site in every if len(site.path) >= 2 and all(isinstance(step, str) for step in site.path)
        ] + [
            site
            for site in every
            if site.path and isinstance(site.value, dict) and isinstance(site.path[-1], str)
        ]
    return [site for site in every if _FITS[kind](compiled, site, value)]


def _required(compiled: Compiled, site: Place, value: Any) -> bool:
    if not site.path or not isinstance(site.path[-1], str):
        return False
    owner = compiled.chosen(compiled.node_at(compiled.root, value, site.path[:-1]), at(value, site.path[:-1]))
    return site.path[-1] in owner.get("required", ())


def _constrained(compiled: Compiled, site: Place, value: Any) -> bool:
    return bool(site.path) and any(keyword in site.node for keyword in _CONSTRAINTS)


_CONSTRAINTS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
)  # fmt: skip

_FITS: dict[str, Callable[[Compiled, Place, Any], bool]] = {
    "type": lambda compiled, site, value: bool(site.path) and bool(site.declared),
    "constraint": _constrained,
    "format": lambda compiled, site, value: "format" in site.node and isinstance(site.value, str),
    "enum": lambda compiled, site, value: "enum" in site.node or "const" in site.node,
    "missing": _required,
    "extra": lambda compiled, site, value: (
        isinstance(site.value, dict) and site.node.get("additionalProperties") is False
    ),
    "list": lambda compiled, site, value: isinstance(site.value, list) and bool(site.path),
    "cross_field": lambda compiled, site, value: (
        isinstance(site.value, dict) and bool(site.node.get("x-rules"))
    ),
}

_NO_SITE = {
    "type": "no field has a type",
    "constraint": "no field that is there has a bound, a length, a step or a pattern",
    "format": "no text that is there has a format",
    "enum": "no field that is there has a list of allowed values",
    "missing": "no field is required",
    "extra": "no object forbids extra fields",
    "nested": "no object holds another",
    "list": "there is no list",
    "cross_field": "no object has rules between its fields",
}


# ---- what


def _changes(
    compiled: Compiled, document: Any, site: Place, kind: str, rng: random.Random
) -> Iterator[Change]:
    if kind == "nested":
        for inner in ("type", "constraint", "format", "enum", "missing", "extra"):
            # The object itself is a site for what is too much in it, and everything else is a site for itself.
            if (len(site.path) >= 2 or inner == "extra") and _FITS[inner](compiled, site, document):
                yield from _CHANGES[inner](compiled, document, site, rng)
    else:
        yield from _CHANGES[kind](compiled, document, site, rng)


def _type(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    value = site.value
    options: list[tuple[str, Any]] = []
    if isinstance(value, bool):
        options = [("a text for a boolean", str(value).lower()), ("a number for a boolean", int(value))]
        options.append(("a word for a boolean", "yes" if value else "no"))
    elif isinstance(value, int | float):
        options = [
            ("a text for a number", json.dumps(value)),
            ("a word for a number", rng.choice(("many", "n/a", "tbd"))),
        ]
        options.append(("a list for a number", [value]))
        if isinstance(value, int):
            options.append(("a fraction for a whole number", value + 0.5))
    elif isinstance(value, str):
        options = [("a number for a text", rng.randint(1, 9999)), ("a list for a text", [value])]
        options.append(("an object for a text", {"value": value}))
        if value in ("true", "false"):
            options.append(("a boolean for a text", value == "true"))
    elif isinstance(value, list):
        options = [
            ("a text for a list", ", ".join(map(str, value)) or "none"),
            ("an object for a list", {"items": value}),
        ]
    elif isinstance(value, dict):
        options = [("a text for an object", rng.choice(WORDS)), ("a list for an object", [value])]
    else:
        options = [("a text for null", "null"), ("a list for null", []), ("a flag for null", False)]
    if not isinstance(value, dict | list) and value is not None:
        options.append(("null for a value", None))
    for note, new in options:
        yield site.path, note, put(document, site.path, new)


def _constraint(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    node, value = site.node, site.value
    options: list[tuple[str, Any]] = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        for keyword, sign in (
            ("minimum", -1),
            ("maximum", 1),
            ("exclusiveMinimum", -1),
            ("exclusiveMaximum", 1),
        ):
            if keyword in node:
                step = exact(node.get("multipleOf", 1 if isinstance(value, int) else "0.5"))
                away = exact(node[keyword]) + sign * step * rng.randint(1, 20)
                options.append((f"beyond `{keyword}`", _like(value, away)))
                if keyword.startswith("exclusive"):
                    options.append((f"at `{keyword}`", _like(value, exact(node[keyword]))))
        if "multipleOf" in node:
            options.append(("off the step", _like(value, exact(value) + exact(node["multipleOf"]) / 2)))
            if isinstance(value, int):
                options.append(("off the step", value + 1))
    if isinstance(value, str):
        if node.get("minLength", 0) > 0:
            options.append(("too short", value[: node["minLength"] - 1]))
        if "maxLength" in node:
            longer = value
            while len(longer) <= node["maxLength"]:
                longer += f" {rng.choice(WORDS)}"
            options.append(("too long", longer))
        if "pattern" in node:
            options += [("off the pattern", text) for text in _misspelt(value, rng)]
    for note, new in options:
        if kind_of(new) == kind_of(value) or (isinstance(new, float) and "number" in types_of(node)):
            yield site.path, note, put(document, site.path, new)


def _like(value: int | float, number: Any) -> Any:
    if isinstance(value, int) and number == int(number):
        return int(number)
    return float(number)


def _misspelt(value: str, rng: random.Random) -> list[str]:
    spot = rng.randrange(len(value)) if value else 0
    return [
        value.lower(),
        value.upper(),
        f"{value}{rng.choice('xX9-')}",
        value[:-1],
        value.replace("-", "_"),
        f"{value[:spot]}{rng.choice('?!. ')}{value[spot + 1 :]}",
        f" {value}",
    ]


def _format(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    for note, new in _BAD_FORMATS[site.node["format"]](site.value, rng):
        yield site.path, note, put(document, site.path, new)


def _bad_date(value: str, rng: random.Random) -> list[tuple[str, str]]:
    year, month, day = value.split("-")
    return [
        ("slashes in a date", value.replace("-", "/")),
        ("the day first", f"{day}.{month}.{year}"),
        ("a month that is none", f"{year}-{rng.randint(13, 19)}-{day}"),
        ("a day that is none", f"{year}-02-30"),
        ("a date in words", rng.choice(("tomorrow", "next Friday", "early spring"))),
        ("no leading zeros", f"{year}-{rng.randint(1, 9)}-{rng.randint(1, 9)}"),
    ]


def _bad_date_time(value: str, rng: random.Random) -> list[tuple[str, str]]:
    return [
        ("a blank for the T", value.replace("T", " ")),
        ("no offset", value[:19]),
        ("an hour that is none", f"{value[:11]}{rng.randint(24, 29)}{value[13:]}"),
        ("the date alone", value[:10]),
        ("seconds since 1970", str(rng.randint(10**9, 2 * 10**9))),
    ]


def _bad_time(value: str, rng: random.Random) -> list[tuple[str, str]]:
    return [
        ("an hour that is none", f"{rng.randint(24, 29)}{value[2:]}"),
        ("no offset", value[:8]),
        ("a word", "noon"),
    ]


def _bad_email(value: str, rng: random.Random) -> list[tuple[str, str]]:
    name, _, domain = value.partition("@")
    return [
        ("no at sign", f"{name}{domain}"),
        ("an at sign in words", f"{name} at {domain}"),
        ("two at signs", f"{name}@@{domain}"),
        ("no domain", f"{name}@"),
        ("no name", f"@{domain}"),
        ("a domain of one label", f"{name}@{domain.split('.')[0]}"),
        ("a blank", f"{name} {rng.choice(WORDS)}@{domain}"),
    ]


def _bad_uri(value: str, rng: random.Random) -> list[tuple[str, str]]:
    return [
        ("no scheme", value.partition("://")[2] or "example"),
        ("a blank", f"{value} {rng.choice(WORDS)}"),
        ("no colon", value.replace(":", "", 1)),
        ("a scheme that is none", f"1{value}"),
    ]


def _bad_uuid(value: str, rng: random.Random) -> list[tuple[str, str]]:
    spot = rng.choice([index for index, sign in enumerate(value) if sign != "-"])
    return [
        ("too short", value[:-1]),
        ("a letter that is no digit", f"{value[:spot]}{rng.choice('ghxyz')}{value[spot + 1 :]}"),
        ("no hyphens", value.replace("-", "")),
        ("a number for a UUID", str(rng.randint(1000, 99_999))),
    ]


def _bad_ipv4(value: str, rng: random.Random) -> list[tuple[str, str]]:
    parts = value.split(".")
    spot = rng.randrange(4)
    return [
        ("an octet above 255", ".".join([*parts[:spot], str(rng.randint(256, 999)), *parts[spot + 1 :]])),
        ("three octets", ".".join(parts[:3])),
        ("five octets", f"{value}.{rng.randint(0, 255)}"),
        ("a name for an address", f"{rng.choice(WORDS)}.local"),
    ]


_BAD_FORMATS: dict[str, Callable[[str, random.Random], list[tuple[str, str]]]] = {
    "date": _bad_date,
    "date-time": _bad_date_time,
    "time": _bad_time,
    "email": _bad_email,
    "uri": _bad_uri,
    "uuid": _bad_uuid,
    "ipv4": _bad_ipv4,
}


def _enum(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    value = site.value
    if isinstance(value, str):
        options: list[Any] = [
            value.upper(),
            value.capitalize(),
            f"{value}s",
            f"{value[:-1]}",
            rng.choice(WORDS),
            "other",
        ]
    elif isinstance(value, bool):
        options = [not value]
    elif isinstance(value, int | float):
        stated = [number for number in site.node.get("enum", [value]) if isinstance(number, int | float)]
        options = [max(stated) + 1, min(stated) - 1, value + 100]
    else:
        options = []
    for new in options:
        yield site.path, "none of the allowed values", put(document, site.path, new)


def _missing(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    yield site.path, "a required field is taken out", put(document, site.path, MISSING)


def _extra(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    names = [
        "notes",
        "comment",
        "extra_info",
        "internal_id",
        "debug",
        "last_updated",
        "source",
        "legacy_code",
    ]
    names += [f"{name}_old" for name in site.value]
    for name in rng.sample(names, min(4, len(names))):
        if name not in site.value:
            path = (*site.path, name)
            new = rng.choice((True, rng.randint(1, 999), rng.choice(WORDS), "n/a"))
            yield path, "a field that is not allowed", put(document, path, new)


def _list(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    items, node, path = site.value, site.node, site.path
    if node.get("minItems", 0) > 0:
        yield path, "too few items", put(document, path, items[: node["minItems"] - 1])
    try:
        inner = node.get("items", {"type": "string"})
        if "maxItems" in node:
            longer = list(items)
            while len(longer) <= node["maxItems"]:
                longer.insert(rng.randint(0, len(longer)), value_of(compiled, inner, rng))
            yield path, "too many items", put(document, path, longer)
    except InputError:
        pass  # items of which none can be made here: the other ways to break a list are left
    if node.get("uniqueItems") and items:
        again = list(items)
        again.insert(rng.randint(0, len(items)), rng.choice(items))
        yield path, "an item twice", put(document, path, again)
    if items and isinstance(items[0], str | int | float):
        yield path, "a text for a list", put(document, path, ", ".join(map(str, items)))
        yield path, "one item for a list", put(document, path, items[0])
    for index in rng.sample(range(len(items)), min(2, len(items))):
        spot = Place((*path, index), compiled.child(node, index), compiled.child(node, index), items[index])
        for where, note, changed in _type(compiled, document, spot, rng):
            yield where, f"item: {note}", changed


def _cross_field(compiled: Compiled, document: Any, site: Place, rng: random.Random) -> Iterator[Change]:
    for raw in site.node["x-rules"]:
        yield from _breaches(read_rule(raw), compiled, document, site, rng)


def _breaches(
    rule: Rule, compiled: Compiled, document: Any, site: Place, rng: random.Random
) -> Iterator[Change]:
    one, other = ((*site.path, *way) for way in rule.fields)
    if rule.kind == "required_if":
        if at(document, one) is not MISSING:
            yield one, "a field is taken out that another asks for", put(document, one, MISSING)
        return
    if at(document, other) is MISSING:
        return
    if rule.kind == "ne":
        if (value := at(document, one)) is not MISSING:
            yield other, "two fields are equal", put(document, other, value)
        return
    if rule.kind in ("sum", "count"):
        members = paths_of(rule.fields[0], site.value) if rule.kind == "sum" else []
        for path in [other, *((*site.path, *member) for member in members)]:
            value = at(document, path)
            if isinstance(value, int | float) and not isinstance(value, bool):
                for step in (rng.randint(1, 9), -1, 10):
                    shifted = _like(value, exact(value) + step)
                    yield path, f"the {rule.kind} is off by {step}", put(document, path, shifted)
        return
    first, second = at(document, one), at(document, other)
    if first is MISSING or second is MISSING:
        return
    for path in (one, other):
        node = compiled.node_at(compiled.root, document, path)
        for _ in range(6):
            try:
                yield path, "two fields are out of order", put(document, path, value_of(compiled, node, rng))
            except InputError:
                break
        if isinstance(first, int | float) and isinstance(second, int | float):
            away = exact(second) + rng.randint(1, 30) if path == one else exact(first) - rng.randint(1, 30)
            yield path, "two fields are out of order", put(document, path, _like(first, away))


_CHANGES: dict[str, Callable[[Compiled, Any, Place, random.Random], Iterator[Change]]] = {
    "type": _type,
    "constraint": _constraint,
    "format": _format,
    "enum": _enum,
    "missing": _missing,
    "extra": _extra,
    "list": _list,
    "cross_field": _cross_field,
}


def where(injection: Injection) -> str:
    """An injection for people."""
    return f"{injection.kind} at {place(injection.path)}: {injection.note}"
