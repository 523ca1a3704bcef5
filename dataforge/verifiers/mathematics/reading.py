"""Values: what an answer says, read from its text, from a plain number up to a union of intervals.

The truth is read once, by `truth`, which decides what kind of answer is wanted. An answer is then read as that kind only, so
`(1, 2)` is a pair where a pair is wanted and an open interval where an interval is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dataforge.verifiers.mathematics.notation import closes_at, plain, split, unwrapped
from dataforge.verifiers.mathematics.numerals import Number, number
from dataforge.verifiers.mathematics.units import Unit, unit

Kind = Literal["number", "expression", "set", "tuple", "interval", "matrix", "equation", "text"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number or a formula, and its unit.

    Attributes:
        text: without label and unit.
        number: the number, where it is one written out.
        unit: the unit, where it is known.
        unit_text: as it was written; also words that are no unit, as in `15 apples`.
        label: the name that it was given, as in `x = 5`.
        also: the rounded value beside the exact one, as in `10/3 ≈ 3.33`.
        clash: why the text is no single value.
    """

    text: str
    number: Number | None = None
    unit: Unit | None = None
    unit_text: str = ""
    label: str = ""
    also: str = ""
    clash: str = ""


@dataclass(frozen=True, slots=True)
class Several:
    """A set, tuple or list."""

    items: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class Part:
    """An interval: its ends as they were written, `-oo` and `oo` for no end, and whether they belong to it."""

    low: str
    high: str
    closed: tuple[bool, bool]


_ABOUT = re.compile(
    r"^(?:\\approx|~|about|approximately|approx\.?|roughly|around|exactly|only)\s*", re.IGNORECASE
)
_MONEY = re.compile(r"^([+-]?)\s*(USD|EUR|GBP|JPY|INR|US\$|[€£¥₹])\s*([+-]?.*)$")
_BOUNDARY = re.compile(r"\\frac(?=\s*\{\s*[A-Za-zµμΩ])|(?<![A-Za-z\\])(?:[A-Za-zµμΩ°€£¥₹¢℃℉%]|\^\\circ)")
LABEL = re.compile(
    r"(?:[A-Za-z]|\\[a-z]+)(?:'|_\{?\w{1,4}\}?)?\s*(?:\(\s*\w\s*\))?|[A-Za-z][A-Za-z ]{1,30}|\(\s*[a-z](?:\s*,\s*[a-z])+\s*\)"
)
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_LOADED = frozenset(
    [
        "or",
        "and",
        "not",
        "if",
        "than",
        "more",
        "less",
        "least",
        "most",
        "minus",
        "plus",
        "times",
        "half",
        "squared",
        "cubed",
        "factorial",
        "over",
        "to",
        "through",
        "between",
        "except",
        "versus",
        "vs",
        "nor",
        "either",
        "but",
        "wait",
        "no",
        "per",
        "divided",
        "multiplied",
        "mod",
    ]
)
"""Words behind a number that may change what it says."""


def quantity(text: str, decimal: str = ".", *, units_of_formulas: bool = False) -> Quantity:
    """Read a single value in the spelling of `notation.plain`."""
    exact, _, rounded = text.partition(r"\approx")
    if exact.strip() and rounded.strip():
        exact, rounded = exact.strip(), rounded.strip()
        if len(split(exact, "=")) == 1 and number(exact, decimal) is None and LABEL.fullmatch(exact):
            return _sided(f"{exact} = {rounded}", decimal, units_of_formulas)
        made = _sided(exact, decimal, units_of_formulas)
        return Quantity(
            made.text,
            made.number,
            made.unit,
            made.unit_text,
            made.label,
            plain(rounded.rpartition(r"\approx")[2]),
            made.clash,
        )
    return _sided(text, decimal, units_of_formulas)


def _sided(text: str, decimal: str, units_of_formulas: bool) -> Quantity:
    """Read `x = 3 + 4 = 7`: the first side may be a name, the last is the value."""
    sides = split(text, "=")
    if len(sides) == 1:
        return _single(text, decimal, units_of_formulas)
    label = sides[0] if LABEL.fullmatch(sides[0]) else ""
    label = re.sub(r"^.*\b(?:is|are)\s+(?=\S)", "", label)  # `the equation of the line is y = …`
    read = [_single(side, decimal, units_of_formulas) for side in sides]
    numbers = [side.number.worth for side in read if side.number is not None and not side.unit_text]
    last = read[-1]
    clash = "" if len(set(numbers)) <= 1 else "it sets different numbers equal"
    return Quantity(last.text, last.number, last.unit, last.unit_text, re.sub(r"\s+", "", label), "", clash)


def _single(text: str, decimal: str, units_of_formulas: bool) -> Quantity:
    text = unwrapped(_ABOUT.sub("", text).strip())
    found = number(text, decimal)
    if found is not None:
        return Quantity(text, found)
    if (money := _MONEY.match(text)) and money[3].strip():
        inner = _single(money[3].strip(), decimal, units_of_formulas)
        name = {"US$": "USD"}.get(money[2], money[2])
        if inner.unit_text and inner.unit != unit(name):
            return Quantity(text)
        signed = f"{money[1]}{inner.text}" if money[1] == "-" else inner.text
        return Quantity(signed, number(signed, decimal), unit(name), name)
    places = [place.start() for place in _BOUNDARY.finditer(text)]
    for at in reversed(places):
        head, rest = text[:at].rstrip(), text[at:].strip()
        found = number(unwrapped(head), decimal) if head else None
        if found is not None:
            return _with_unit(unwrapped(head), found, rest)
    if units_of_formulas:
        for at in places:
            head, rest = text[:at].rstrip(), text[at:].strip()
            known = unit(rest) if head and not head.endswith(tuple("{^_(+-*/=,")) else None
            if known is not None:
                return Quantity(unwrapped(head), None, known, rest)
    return Quantity(text)


def _with_unit(head: str, found: Number, rest: str) -> Quantity:
    first, _, behind = rest.partition(" ")
    if first.lower() in _SCALES:
        scaled = Number(found.value * _SCALES[first.lower()], False, True, found.decimal)
        if not behind:
            return Quantity(head, scaled)
        return Quantity(head, scaled, unit(behind), behind)
    known = unit(rest)
    if known is not None or _is_name(rest):
        return Quantity(head, found, known, rest)
    return Quantity(f"{head} {rest}")


def _is_name(rest: str) -> bool:
    """Whether it can be the name of what was counted, as in `15 red apples`."""
    words = rest.split()
    return (
        len(words) <= 4
        and all(re.fullmatch(r"[A-Za-z'-]+|\(s\)", word) for word in words)
        and (len(words[0]) > 2)
        and not any(word.lower() in _LOADED for word in words)
    )


# ---- several


_WORDS_BETWEEN = re.compile(
    r"(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\(?:lor|vee|wedge|land)(?![A-Za-z])|\n|&"
)


_SET_NAME = re.compile(
    r"(?:[A-Za-z]'?|\\(?:cup|cap|setminus|triangle|times|overline|bar|complement|mathcal)(?![A-Za-z])|[\s(){}^])+"
)


def several(text: str, decimal: str = ".", *, thousands: bool = True) -> Several:
    """Read a set, tuple or list; one value is a list of one.

    `1,000, 2,000` can be cut in two ways: with `thousands`, a comma before three digits and no blank belongs to a number.
    """
    text = text.strip()
    name, sign, behind = text.partition("=")
    behind = behind.strip()
    named = LABEL.fullmatch(name.strip()) or (behind.startswith(r"\{") and _SET_NAME.fullmatch(name))
    if sign and named and len(split(text, "=")) == 2 and behind[:1] in tuple("\\({["):
        text = behind
    text = re.sub(r"^[A-Za-z]\s*\\in\s*(?=\\\{)", "", text)
    ordered = False
    if text.startswith(r"\{") and text.endswith(r"\}"):
        text = text[2:-2]
    elif text.startswith("{") and text.endswith("}") and closes_at(text, 0) == len(text) - 1:
        text = text[1:-1]
    elif (
        text[:1] in tuple("([")
        and text[-1:] in tuple(")]")
        and closes_at(text, 0) == len(text) - 1
        and (len(split(text[1:-1], ",;")) > 1 or text[0] == "[")
    ):
        ordered = True
        text = text[1:-1]
    text = _WORDS_BETWEEN.sub(";", text)
    semicolons = [piece for piece in split(text, ";") if piece]
    items: list[str] = []
    for piece in semicolons:
        items += [item for cut in _at_commas(piece, decimal, thousands) for item in _signs(cut)]
    return Several(tuple(items), ordered)


def _at_commas(text: str, decimal: str, thousands: bool) -> list[str]:
    if decimal == ",":
        return [piece for piece in split(re.sub(r",\s", ";", text), ";") if piece]
    if thousands:
        text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "\x00", text)
    return [piece.replace("\x00", ",") for piece in split(text, ",") if piece]


def _signs(text: str) -> list[str]:
    """`a ± b` is two values."""
    if text.count(r"\pm") != 1:
        return [text]
    return [
        re.sub(r"\\pm\s*", sign, text, count=1)
        if text.strip().startswith(r"\pm") or "=" in text.partition(r"\pm")[0][-3:]
        else text.replace(r"\pm", sign)
        for sign in ("+", "-")
    ]


# ---- matrices


_ENVIRONMENT = re.compile(
    r"^[\[(|]?\s*\\begin\{([pbvBV]?matrix|smallmatrix|array)\}(?:\{[lcr| ]*\})?(.*?)\\end\{\1\}\s*[\])|]?$",
    re.DOTALL,
)


def matrix(text: str) -> tuple[tuple[str, ...], ...] | None:
    """The entries of a matrix, row by row; None where it is none."""
    text = text.strip()
    name, sign, behind = text.partition("=")
    if sign and LABEL.fullmatch(name.strip()):
        text = behind.strip()
    if found := _ENVIRONMENT.match(text):
        rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", found[2]) if row.strip()]
        return tuple(tuple(cell.strip() for cell in row.split("&")) for row in rows)
    if text[:1] in tuple("[({") and closes_at(text, 0) == len(text) - 1:
        rows = split(text[1:-1], ",;")
        if rows and all(row[:1] in tuple("[({") and closes_at(row, 0) == len(row) - 1 for row in rows):
            return tuple(tuple(split(row[1:-1], ",;")) for row in rows)
    return None


# ---- intervals


_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|<|>")
_UNION = re.compile(r"\\cup(?![A-Za-z])|(?<![A-Za-z\\])(?:or|U)(?![A-Za-z])|\\(?:lor|vee)(?![A-Za-z])")
_ALL = re.compile(r"(?:all |the )?(?:real numbers?|reals)|\\R|R", re.IGNORECASE)
_NONE = re.compile(r"\\emptyset|\\\{\s*\\\}|(?:the )?empty set|no (?:real )?solutions?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z]|\\[a-z]+")


def intervals(text: str) -> tuple[Part, ...] | None:
    """A union of intervals, also where it is written as an inequality; None where it is none."""
    while (
        text.startswith("{")
        and closes_at(text, 0) == len(text) - 1
        and not re.match(r"\{\s*[A-Za-z]\s*(?:\||:|\\mid)", text)
    ):
        text = text[1:-1].strip()
    text = re.sub(r"\\(?:infty|infinity)|(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", "oo", text.strip())
    text = re.sub(r"\+\s*oo", "oo", re.sub(r"-\s*oo", "-oo", text))
    if found := re.match(r"^\\?\{\s*([A-Za-z])\s*(?:\\in\s*\\R\s*)?(?:\||:|\\mid)\s*(.*?)\s*\\?\}$", text):
        text = found[2]
    text = re.sub(r"^[A-Za-z]\s*\\in\s*", "", text)
    if _ALL.fullmatch(text):
        return (Part("-oo", "oo", (False, False)),)
    if _NONE.fullmatch(text):
        return ()
    parts: list[Part] = []
    for piece in _UNION.split(text):
        made = _interval(piece.strip())
        if made is None:
            return None
        parts += made
    return tuple(parts)


def _interval(text: str) -> list[Part] | None:
    if _RELATION.search(text):
        return _inequality(text)
    if text[:1] in tuple("([]") and text[-1:] in tuple(")[]") and len(text) > 4:
        ends = split(text[1:-1], ",;")
        if len(ends) == 2 and all(ends):
            part = Part(ends[0], ends[1], (text[0] == "[", text[-1] == "]"))
            infinite = (part.low == "-oo", part.high == "oo")
            if (
                part.low == "oo"
                or part.high == "-oo"
                or any(a and b for a, b in zip(infinite, part.closed, strict=True))
            ):
                return None
            return [part]
    return None


def _inequality(text: str) -> list[Part] | None:
    signs = [re.sub(r"\s", "", sign) for sign in _RELATION.findall(text)]
    sides = [side.strip() for side in _RELATION.split(text)]
    if not all(sides):
        return None
    named = [at for at, side in enumerate(sides) if _NAME.fullmatch(side)]
    if len(named) != 1:
        return None
    at = named[0]
    if len(sides) == 2:
        end, sign = sides[1 - at], signs[0]
        if at == 1:
            sign = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}.get(sign, sign)
        if sign == r"\ne":
            return [Part("-oo", end, (False, False)), Part(end, "oo", (False, False))]
        if sign in ("<", r"\le"):
            return [Part("-oo", end, (False, sign == r"\le"))]
        return [Part(end, "oo", (sign == r"\ge", False))]
    if len(sides) == 3 and at == 1:
        if all(sign in ("<", r"\le") for sign in signs):
            return [Part(sides[0], sides[2], (signs[0] == r"\le", signs[1] == r"\le"))]
        if all(sign in (">", r"\ge") for sign in signs):
            return [Part(sides[2], sides[0], (signs[1] == r"\ge", signs[0] == r"\ge"))]
    return None
