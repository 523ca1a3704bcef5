"""Numbers written out, read exactly: integers, decimals, fractions, mixed numbers, percentages, scientific notation.

A number is what needs no working out: `3/4`, `1 1/2`, `1,234.5`, `0.\\overline{3}`, `1.2 \\times 10^{3}`, `75%`. A sum or a
root is none. The separator of decimals is a point, or a comma where the facts say so; thousands are set apart by the
other of the two, by spaces or by apostrophes, in groups of three.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

LONGEST_EXPONENT = 400
LONGEST_NUMBER = 1_000
"""Digits. Beyond these nothing is a number that a task could ask for, and reading it could take for ever."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written.

    Attributes:
        value: without the percent sign's hundredth.
        percent: whether a percent sign follows.
        lowest: whether it is a fraction in lowest terms, or no fraction.
        decimal: whether it has a decimal point.
    """

    value: Fraction
    percent: bool = False
    lowest: bool = True
    decimal: bool = False

    @property
    def worth(self) -> Fraction:
        """The value, with the percent sign taken as a hundredth."""
        return self.value / 100 if self.percent else self.value


_SIGN = r"(?P<sign>[+-]?)\s*"
_DIGITS = r"(?:\d{1,3}(?:G\d{3})+|\d+)"
_FRACTION = (
    r"(?:\\frac\s*(?:\{\s*(?P<above>[+-]?\s*D)\s*\}|(?P<above1>\d))\s*(?:\{\s*(?P<below>[+-]?\s*D)\s*\}|(?P<below1>\d))"
    r"|(?P<above2>D)\s*/\s*(?P<below2>D)|\{?\(?(?P<above3>-\s*D)\)?\}?\s*/\s*\{?(?P<below3>D)\}?)"
)
_MIXED = r"(?P<whole>D)(?:\s+(?:and\s+)?|\s*(?=\\frac)|\s*\+\s*(?=N))"
_DECIMAL = r"(?P<integer>D)?(?:P(?P<places>\d+)?(?:\\overline\s*\{?(?P<repeat>\d+)\}?|\((?P<repeat1>\d+)\)|(?P<dots>\.{3}))?)?"
_POWER = r"(?:\s*(?:\\times|\\cdot|\*|x)\s*10\s*(?:\^|\*\*)\s*\{?\(?(?P<power>[+-]?\d+)\)?\}?|[eE](?P<power1>[+-]?\d+))?"
_PERCENT = r"\s*(?P<percent>%|percent|per\s+cent|pct)?"


@functools.cache
def _patterns(decimal: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    point, group = (r"\.", r"[, ']") if decimal == "." else (",", r"[. ']")
    digits = _DIGITS.replace("G", group)

    def made(pattern: str) -> re.Pattern[str]:
        # `D` are digits and `P` the point; neither letter stands elsewhere in the patterns.
        pattern = re.sub(r"(?<![\\A-Za-z?<])D(?![A-Za-z])", lambda _: digits, pattern)
        return re.compile(re.sub(r"(?<![\\A-Za-z?<])P(?=\()", lambda _: point, pattern), re.ASCII)

    mixed = _MIXED.replace(r"|\s*\+\s*(?=N)", "")
    return (
        made(_SIGN + "(?:" + mixed + ")?" + _FRACTION + _PERCENT),
        made(_SIGN + _DECIMAL + _POWER + _PERCENT),
    )


@functools.lru_cache(maxsize=4096)
def number(text: str, decimal: str = ".") -> Number | None:
    """Read a number in the spelling of `notation.plain`; None where the whole text is not one."""
    if not text or len(text) > LONGEST_NUMBER or not any(sign in "0123456789" for sign in text):
        return None
    fraction, plain = _patterns(decimal)
    if found := plain.fullmatch(text):
        return _decimal(found)
    if found := fraction.fullmatch(text):
        return _fraction(found)
    return None


def _whole(text: str) -> int:
    return int(re.sub(r"[^\d-]", "", text))


def _fraction(found: re.Match[str]) -> Number | None:
    parts = found.groupdict()
    above = _whole(next(parts[name] for name in ("above", "above1", "above2", "above3") if parts[name]))
    below = _whole(next(parts[name] for name in ("below", "below1", "below2", "below3") if parts[name]))
    if below == 0:
        return None
    whole = parts["whole"]
    if whole is not None and not (0 <= above < below):
        return None  # `2 5/3` and `2 -1/3` are slips, or products
    value = Fraction(above, below) + (_whole(whole) if whole is not None else 0)
    lowest = gcd(above, below) == 1 and below > 1
    return Number(-value if parts["sign"] == "-" else value, parts["percent"] is not None, lowest)


def _decimal(found: re.Match[str]) -> Number | None:
    parts = found.groupdict()
    integer, places = parts["integer"], parts["places"] or ""
    repeat = parts["repeat"] or parts["repeat1"] or ""
    if integer is None and not places and not repeat:
        return None
    if parts["dots"]:
        # `0.333...` is a third: three or more of the last digit, or of the last two, say what repeats.
        again = re.search(r"(\d)\1{2,}$|(\d\d)\2{2,}$", places)
        if again is None:
            return None
        repeat = again[1] or again[2]
    value = Fraction(_whole(integer) if integer else 0)
    if places:
        value += Fraction(int(places), 10 ** len(places))
    if repeat:
        value += Fraction(int(repeat), (10 ** len(repeat) - 1) * 10 ** len(places))
    power = int(parts["power"] or parts["power1"] or 0)
    if abs(power) > LONGEST_EXPONENT:
        return None
    value *= Fraction(10) ** power
    return Number(
        -value if parts["sign"] == "-" else value,
        parts["percent"] is not None,
        decimal=bool(places or repeat),
    )


def latex(value: Fraction) -> str:
    """An exact number for a formula."""
    if value.denominator == 1:
        return str(value.numerator) if value >= 0 else f"({value.numerator})"
    sign = "-" if value < 0 else ""
    made = f"\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    return f"({sign}{made})" if sign else made
