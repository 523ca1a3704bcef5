"""`x-rules`: conditions between the fields of an object, as data in its schema.

    "x-rules": [
        {"le": ["start", "end"]},                                             start ≤ end; `lt` for <
        {"ne": ["origin", "destination"]},                                    not equal
        {"sum": {"of": "items/*/amount", "is": "total"}},                     total = sum of the amounts
        {"count": {"of": "items", "is": "item_count"}},                       item_count = number of items
        {"required_if": {"field": "email", "when": "contact", "equals": "email"}}
    ]

Fields are named by their way from the object that carries the rules: keys with `/` between them, `*` for every item of
a list. `le` and `lt` compare numbers, dates and date-times. Sums are exact in decimal: 0.1 + 0.2 is 0.3. A rule whose
fields are absent, or are not of the kind that it speaks of, says nothing: the other keywords see to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dataforge.verifiers.structured.formats import order_of
from dataforge.verifiers.structured.values import MISSING, Path, at, pointer, same

RULES = ("le", "lt", "ne", "sum", "count", "required_if")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, read.

    Attributes:
        kind: one of `RULES`.
        fields: the ways of the fields, in the order of the rule; `required_if` has the field, then the condition's.
        equals: the value that makes `required_if` bite.
    """

    kind: str
    fields: tuple[tuple[str, ...], ...]
    equals: Any = None


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a value breaks: the rule, what is wrong, and the paths of the fields, any one of which may be at fault."""

    rule: Rule
    message: str
    paths: tuple[Path, ...]


class NoRule(Exception):
    """What was read is no rule; the message says why."""


def read_rule(raw: Any) -> Rule:
    """A rule from its JSON form."""
    if not isinstance(raw, Mapping) or len(raw) != 1:
        raise NoRule(f"a rule is an object with one key of {', '.join(RULES)}")
    ((kind, body),) = raw.items()
    if kind in ("le", "lt", "ne"):
        if not (
            isinstance(body, Sequence) and len(body) == 2 and all(isinstance(item, str) for item in body)
        ):
            raise NoRule(f"`{kind}` takes a list of two fields")
        return Rule(kind, (_way(body[0], star=False), _way(body[1], star=False)))
    if kind in ("sum", "count"):
        if not (isinstance(body, Mapping) and set(body) == {"of", "is"}):
            raise NoRule(f"`{kind}` takes an object with `of` and `is`")
        return Rule(kind, (_way(body["of"], star=kind == "sum"), _way(body["is"], star=False)))
    if kind == "required_if":
        if not (isinstance(body, Mapping) and set(body) == {"field", "when", "equals"}):
            raise NoRule("`required_if` takes an object with `field`, `when` and `equals`")
        return Rule(kind, (_way(body["field"], star=False), _way(body["when"], star=False)), body["equals"])
    raise NoRule(f"there is no rule `{kind}`: there are {', '.join(RULES)}")


def _way(raw: Any, *, star: bool) -> tuple[str, ...]:
    if not isinstance(raw, str) or not raw or not all(raw.split("/")):
        raise NoRule(f"{raw!r} names no field")
    way = tuple(raw.split("/"))
    if "*" in way and not star:
        raise NoRule(f"`{raw}`: `*` is for `sum` alone")
    return way


def paths_of(way: tuple[str, ...], value: Any) -> list[Path]:
    """The paths that a way leads along in a value, those that are there alone."""
    found: list[tuple[Path, Any]] = [((), value)]
    for step in way:
        if step == "*":
            found = [
                ((*path, index), inner)
                for path, item in found
                if isinstance(item, list)
                for index, inner in enumerate(item)
            ]
        else:
            found = [
                ((*path, step), item[step]) for path, item in found if isinstance(item, dict) and step in item
            ]
    return [path for path, _ in found]


def check_of(rule: Rule) -> Callable[[Any], Breach | None]:
    """The check of a rule: a function from the object that carries it to what is wrong."""
    return lambda value: _CHECKS[rule.kind](rule, value)


def ordered(one: Any, other: Any) -> tuple[Any, Any] | None:
    """Two values as what can be compared, or None where they cannot."""
    if _is_number(one) and _is_number(other):
        return one, other
    if isinstance(one, str) and isinstance(other, str) and (len(one) == 10) == (len(other) == 10):
        first, second = order_of(one), order_of(other)
        if first is not None and second is not None:
            return first, second
    return None


def exact(number: Any) -> Decimal:
    """A number as it is written in decimal."""
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def total_of(numbers: Sequence[Any]) -> Decimal:
    """The sum of numbers, exact in decimal."""
    if all(isinstance(number, int) for number in numbers):
        return Decimal(sum(numbers))  # Python's own: decimals would round beyond 28 digits
    return sum(map(exact, numbers), Decimal(0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order(rule: Rule, value: Any) -> Breach | None:
    one, other = rule.fields
    pair = ordered(at(value, one), at(value, other))
    if pair is None or pair[0] < pair[1] or (rule.kind == "le" and pair[0] == pair[1]):
        return None
    than = "greater than" if rule.kind == "le" else "not less than"
    return Breach(rule, f"`{pointer(one)}` is {than} `{pointer(other)}`", (one, other))


def _differ(rule: Rule, value: Any) -> Breach | None:
    one, other = rule.fields
    first, second = at(value, one), at(value, other)
    if first is MISSING or second is MISSING or not same(first, second):
        return None
    return Breach(rule, f"`{pointer(one)}` and `{pointer(other)}` must differ", (one, other))


def _sum(rule: Rule, value: Any) -> Breach | None:
    way, total = rule.fields
    stated = at(value, total)
    paths = paths_of(way, value)
    parts = [at(value, path) for path in paths]
    if not _is_number(stated) or not all(map(_is_number, parts)) or not _reaches(way, value):
        return None
    if total_of(parts) == exact(stated):
        return None
    return Breach(rule, f"`{pointer(total)}` is not the sum of `{pointer(way)}`", (total, *paths))


def _reaches(way: tuple[str, ...], value: Any) -> bool:
    """Whether the list that is summed over is there at all."""
    head = way[: way.index("*")] if "*" in way else way
    return at(value, head) is not MISSING


def _count(rule: Rule, value: Any) -> Breach | None:
    way, total = rule.fields
    stated, counted = at(value, total), at(value, way)
    if not _is_number(stated) or not isinstance(counted, list) or len(counted) == stated:
        return None
    return Breach(rule, f"`{pointer(total)}` is not the number of items of `{pointer(way)}`", (total,))


def _required_if(rule: Rule, value: Any) -> Breach | None:
    field, when = rule.fields
    condition = at(value, when)
    if condition is MISSING or not same(condition, rule.equals) or at(value, field) is not MISSING:
        return None
    if not isinstance(at(value, field[:-1]), dict):
        return None
    return Breach(rule, f"`{pointer(field)}` is missing, though `{pointer(when)}` asks for it", (field,))


_CHECKS: dict[str, Callable[[Rule, Any], Breach | None]] = {
    "le": _order,
    "lt": _order,
    "ne": _differ,
    "sum": _sum,
    "count": _count,
    "required_if": _required_if,
}
