"""The one number in a short text, exactly as it is written: no binary fractions.

Read are signs, thousands (`1,234`, `1 234`, `1'234`), decimals with a point, powers of ten (`1e5`, `6.02 × 10^23`,
`\\times 10^{-3}`), fractions (`3/4`, `\\frac{3}{4}`), scale words behind it (`2.3 million`) and per cent, which is part of the number: 45% is 0.45. Other words and
units around it do not count. A text with two numbers has no one number, nor has one with a scale word elsewhere.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation, localcontext

_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8}
_SCALE = r"(?:(?:hundred|thousand|million|billion|trillion)s?\b|万|亿)"
_OTHER_SCALE = re.compile(
    rf"(?<!\bper )(?:\b{_SCALE}|\b(?:hundred|thousand|(?:m|b|tr)il(?:l?[iíj]|h|l)(?:ard|oe|[oóãõ])\w*|tausend|mil(?:le)?|mio|mrd|bn|lakh|crore|dozen)"
    r"(?:th)?s?\b|миллион|миллиард|тысяч)",
    re.IGNORECASE,
)
"""Such words elsewhere, of other languages or of parts: what they make of a number is not read."""
_MINUS = str.maketrans(
    {"−": "-", "–": "-", "﹣": "-", "－": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'"}
)
_PLAIN = r"(?:\d{1,3}(?:[,' ]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[+-]\s?)?(?:[$€£¥]\s?)?(?P<sign2>-)?"
    rf"(?:\\d?frac\s*\{{\s*(?P<over>-?\d+)\s*\}}\s*\{{\s*(?P<under>\d+)\s*\}}|10\s*\^\s*\{{?(?P<power>-?\d{{1,4}})\}}?|(?P<plain>{_PLAIN})"
    r"(?:[eE](?P<e>[+-]?\d{1,4})(?!\w)|\s*(?:×|\\times|\\cdot|·|\*|x)\s*10\s*\^\s*\{?(?P<ten>-?\d{1,4})\}?)?"
    r"(?:\s*/\s*(?P<by>\d+)(?![\d.]))?)"
    rf"(?P<scales>(?:[\s-]?{_SCALE}){{1,3}})?(?P<percent>\s?\\?%)?(?!\d|[.,]\d)",
    re.IGNORECASE,
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
    text = _EXPONENT.sub("", text.translate(_MINUS).replace("{,}", ","))
    found = list(_NUMBER.finditer(text))
    if len(found) != 1:
        return None
    match = found[0]
    # What digits are left over belong to something that was not understood: a date, a version, a range.
    rest = text[: match.start()] + " " + text[match.end() :]
    if any(char.isdigit() for char in rest if char not in "²³") or _OTHER_SCALE.search(rest):
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
        for scale in re.findall("|".join(_SCALES), (match["scales"] or "").lower()):
            value = value.scaleb(_SCALES[scale])
        if match["percent"]:
            value = value / 100
        negative = "-" in (match["sign"] or "") + (match["sign2"] or "")
        return -value if negative else +value
