"""The one number in a short text, exactly as it is written: no binary fractions.

Read are signs, thousands (`1,234`, `1 234`, `1'234`), decimals with a point, powers of ten (`1e5`, `6.02 × 10^23`,
`\\times 10^{-3}`), fractions (`3/4`, `\\frac{3}{4}`) and per cent, which is part of the number: 45% is 0.45. Words and units
around it do not count. A text with two numbers has no one number.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation, localcontext

_MINUS = str.maketrans(
    {"−": "-", "–": "-", "﹣": "-", "－": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'"}
)
_PLAIN = r"(?:\d{1,3}(?:[,' ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[+-]\s?)?(?:[$€£¥]\s?)?(?P<sign2>-)?"
    rf"(?:\\d?frac\s*\{{\s*(?P<over>-?\d+)\s*\}}\s*\{{\s*(?P<under>\d+)\s*\}}|10\s*\^\s*\{{?(?P<power>-?\d{{1,4}})\}}?|(?P<plain>{_PLAIN})"
    r"(?:[eE](?P<e>[+-]?\d{1,4})(?!\w)|\s*(?:×|\\times|\\cdot|·|\*|x)\s*10\s*\^\s*\{?(?P<ten>-?\d{1,4})\}?)?"
    r"(?:\s*/\s*(?P<by>\d+)(?![\d.]))?)"
    r"(?P<percent>\s?\\?%)?(?!\d|[.,]\d)"
)
_EXPONENT = re.compile(r"(?<=[A-Za-z])\^\{?-?\d\}?")
"""Of a unit, as in m^2."""
_DIGITS = 60
MOST_CHARACTERS = 400
"""A longer text is no short answer."""


def number(text: str) -> Decimal | None:
    """The number in a text; None where there is none, or more than one."""
    if len(text) > MOST_CHARACTERS:
        return None
    text = _EXPONENT.sub("", text.translate(_MINUS))
    found = list(_NUMBER.finditer(text))
    if len(found) != 1:
        return None
    match = found[0]
    # What digits are left over belong to something that was not understood: a date, a version, a range.
    rest = text[: match.start()] + " " + text[match.end() :]
    if any(char.isdigit() for char in rest if char not in "²³"):
        return None
    try:
        return _value(match)
    except (InvalidOperation, ZeroDivisionError, OverflowError):
        return None


def _value(match: re.Match[str]) -> Decimal:
    with localcontext() as context:
        context.prec = _DIGITS
        if match["over"] is not None:
            value = Decimal(match["over"]) / Decimal(match["under"])
        elif match["power"] is not None:
            value = Decimal(1).scaleb(int(match["power"]))
        else:
            value = Decimal(re.sub(r"[,' ]", "", match["plain"]))
            for power in (match["e"], match["ten"]):
                if power is not None:
                    value = value.scaleb(int(power))
            if match["by"] is not None:
                value = value / Decimal(match["by"])
        if match["percent"]:
            value = value / 100
        negative = "-" in (match["sign"] or "") + (match["sign2"] or "")
        return -value if negative else +value
