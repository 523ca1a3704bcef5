"""Units: which there are, what each is worth, and reading one as it stands behind a number.

A unit is a factor times base units with exponents, so `km/h`, `metres per second` and `m s^{-1}` are one kind and convert
exactly; a degree is π/180, so a factor carries a power of π beside its fraction. Scales of temperature have an offset and
convert by themselves only. Currencies do not convert into one another.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of a unit is worth.

    Attributes:
        factor: in the base units.
        pi: the power of π that comes on top.
        offset: added before the factor, for scales of temperature.
        base: base units and their exponents, sorted.
    """

    factor: Fraction = Fraction(1)
    pi: int = 0
    offset: Fraction = Fraction(0)
    base: tuple[tuple[str, int], ...] = field(default=())

    def times(self, other: Unit, exponent: int = 1) -> Unit:
        """This unit by a power of another."""
        base = dict(self.base)
        for name, power in other.base:
            base[name] = base.get(name, 0) + power * exponent
        return Unit(
            self.factor * other.factor**exponent,
            self.pi + other.pi * exponent,
            self.offset if not other.offset else other.offset,
            tuple(sorted((name, power) for name, power in base.items() if power)),
        )


PERCENT = Unit(Fraction(1, 100), base=(("%", 1),))

_F = Fraction
_BASES: dict[str, tuple[str, dict[str, Fraction]]] = {
    # kind: base, {names separated by blanks: factor}
    "length": (
        "m",
        {
            "nm nanometer nanometre": _F(1, 10**9),
            "µm μm um micrometer micrometre": _F(1, 10**6),
            "mm millimeter millimetre": _F(1, 1000),
            "cm centimeter centimetre": _F(1, 100),
            "dm decimeter decimetre": _F(1, 10),
            "m meter metre": _F(1),
            "km kilometer kilometre": _F(1000),
            "in inch inches": _F(254, 10_000),
            "ft foot feet": _F(3048, 10_000),
            "yd yard": _F(9144, 10_000),
            "mi mile": _F(1_609_344, 1000),
        },
    ),
    "mass": (
        "g",
        {
            "mg milligram": _F(1, 1000),
            "g gram gramme": _F(1),
            "kg kilogram kilo": _F(1000),
            "t tonne": _F(10**6),
            "oz ounce": _F(28_349_523_125, 10**9),
            "lb lbs pound": _F(45_359_237, 10**5),
        },
    ),
    "time": (
        "s",
        {
            "ms millisecond": _F(1, 1000),
            "s sec second": _F(1),
            "min minute": _F(60),
            "h hr hour": _F(3600),
            "d day": _F(86_400),
            "wk week": _F(604_800),
        },
    ),
    "lengths of a drawing": ("unit", {"unit": _F(1)}),
    "angle": ("rad", {"rad radian": _F(1)}),
    "electric current": ("A", {"A amp ampere": _F(1), "mA milliamp": _F(1, 1000)}),
    "information": (
        "bit",
        {
            "bit": _F(1),
            "B byte": _F(8),
            "kB KB kilobyte": _F(8000),
            "MB megabyte": _F(8 * 10**6),
            "GB gigabyte": _F(8 * 10**9),
        },
    ),
    "dollars": ("USD", {"USD usd dollar": _F(1), "¢ cent": _F(1, 100)}),
    "euros": ("EUR", {"€ EUR euro": _F(1)}),
    "sterling": ("GBP", {"£ GBP quid": _F(1), "pence penny": _F(1, 100)}),
    "yen": ("JPY", {"¥ JPY yen": _F(1)}),
    "rupees": ("INR", {"₹ INR rupee": _F(1)}),
}
_DERIVED: dict[str, tuple[Fraction, str]] = {
    "l L liter litre": (_F(1, 1000), "m^3"),
    "ml mL milliliter millilitre": (_F(1, 10**6), "m^3"),
    "cl cL centiliter centilitre": (_F(1, 10**5), "m^3"),
    "gal gallon": (_F(3_785_411_784, 10**12), "m^3"),
    "ha hectare": (_F(10_000), "m^2"),
    "acre": (_F(40_468_564_224, 10**7), "m^2"),
    "mph": (_F(1), "mi/h"),
    "kph kmh kmph": (_F(1), "km/h"),
    "N newton": (_F(1), "kg m s^-2"),
    "J joule": (_F(1), "kg m^2 s^-2"),
    "kJ kilojoule": (_F(1000), "kg m^2 s^-2"),
    "W watt": (_F(1), "kg m^2 s^-3"),
    "kW kilowatt": (_F(1000), "kg m^2 s^-3"),
    "kWh": (_F(3_600_000), "kg m^2 s^-2"),
    "Pa pascal": (_F(1), "kg m^-1 s^-2"),
    "kPa kilopascal": (_F(1000), "kg m^-1 s^-2"),
    "V volt": (_F(1), "kg m^2 s^-3 A^-1"),
    "Ω ohm": (_F(1), "kg m^2 s^-3 A^-2"),
    "Hz hertz": (_F(1), "s^-1"),
    "kHz kilohertz": (_F(1000), "s^-1"),
}
_TEMPERATURES = {
    "K kelvin": Unit(base=(("K", 1),)),
    "°C ℃ celsius": Unit(offset=_F(27_315, 100), base=(("K", 1),)),
    "°F ℉ fahrenheit": Unit(_F(5, 9), offset=_F(45_967, 100), base=(("K", 1),)),
}


def _table() -> dict[str, Unit]:
    table: dict[str, Unit] = {"%": PERCENT, "percent": PERCENT}
    for base, rows in _BASES.values():
        for names, factor in rows.items():
            _enter(table, names, Unit(factor, base=((base, 1),)))
    _enter(table, "° ^\\circ ^{\\circ} deg degree", Unit(_F(1, 180), pi=1, base=(("rad", 1),)))
    for names, scale in _TEMPERATURES.items():
        _enter(table, names, scale)
    for names, (factor, of) in _DERIVED.items():
        made = _product(of, table)
        assert made is not None, of
        _enter(table, names, Unit(made.factor * factor, base=made.base))
    return table


def _enter(table: dict[str, Unit], names: str, unit: Unit) -> None:
    for name in names.split():
        table[name] = unit
        if len(name) > 2 and name.isalpha() and name.islower():
            table[name + "s"] = unit


_PART = re.compile(
    r"(?P<name>[A-Za-zµμΩ°%€£¥₹¢℃℉]+|\^\\circ ?[CF]?)\s*(?:\^?\s*\{?\(?(?P<power>-?\d)\)?\}?)?"
)
_POWERS = {"square": 2, "cubic": 3, "sq": 2, "cu": 3}
_AFTER = {"squared": 2, "cubed": 3}


def _product(text: str, table: dict[str, Unit]) -> Unit | None:
    """A product of powers of units, with at most one `/` or `per`."""
    text = re.sub(r"\\(?:cdot|times)(?=\s*[A-Za-zµμΩ])", " ", text.strip())
    text = re.sub(r"^\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}$", r"\1/\2", text)
    text = re.sub(r"(?<![A-Za-z])per(?![A-Za-z])|\ba\b(?= (?:day|week|hour|minute|second))", "/", text)
    above, slash, below = text.partition("/")
    if "/" in below or (slash and not below.strip()):
        return None
    made = _factors(above, table) if above.strip() else Unit()
    if made is None or not slash:
        return made
    under = _factors(below, table)
    return None if under is None else made.times(under, -1)


def _factors(text: str, table: dict[str, Unit]) -> Unit | None:
    text = text.strip().strip("()")
    made, at, ahead = Unit(), 0, 1
    last: Unit | None = None
    while at < len(text):
        if text[at] in " {}":
            at += 1
            continue
        found = _PART.match(text, at)
        if found is None:
            return None
        at = found.end()
        name = found["name"].strip().replace("^\\circ C", "°C").replace("^\\circ F", "°F")
        name = {"^\\circC": "°C", "^\\circF": "°F"}.get(name, name)
        if name.lower() in _POWERS:
            ahead = _POWERS[name.lower()]
            continue
        if name.lower() in _AFTER:
            if last is None:
                return None
            made = made.times(last, _AFTER[name.lower()] - 1)
            continue
        unit = table.get(name) or (table.get(name.lower()) if len(name) > 3 else None)
        if unit is None:
            return None
        if unit.offset and made.base:
            return None  # a degree Celsius per metre is a difference: not read
        last = unit
        made = made.times(unit, int(found["power"] or 1) * ahead)
        ahead = 1
    return made if last is not None and ahead == 1 else None


_TABLE = _table()


@functools.lru_cache(maxsize=4096)
def unit(text: str) -> Unit | None:
    """Read a unit in the spelling of `notation.plain`; None where it is none."""
    if not text or len(text) > 60:
        return None
    degrees = re.fullmatch(r"(?:\^\\circ|degrees?|deg)\s*(C|F|[Cc]elsius|[Ff]ahrenheit)?", text)
    if degrees:
        return _TABLE["°" + degrees[1][0].upper()] if degrees[1] else _TABLE["°"]
    return _product(text, _TABLE)


def converted(value: Fraction, have: Unit, want: Unit) -> tuple[Fraction, int] | None:
    """So much of one unit in another: a fraction and a power of π; None where the two measure different things."""
    if have.base != want.base:
        return None
    return ((value + have.offset) * have.factor / want.factor - want.offset, have.pi - want.pi)
