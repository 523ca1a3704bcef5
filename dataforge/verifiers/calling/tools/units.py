"""The tool `convert_units`: lengths, masses, times, volumes, speeds, areas, data and temperatures, with exact factors."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from dataforge.verifiers.calling.tools.calculator import digits
from dataforge.verifiers.calling.tools.tool import State, Tool, ToolError

KINDS: dict[str, dict[str, Fraction]] = {
    kind: {unit: Fraction(size) for unit, size in units.items()}
    for kind, units in {
        "length": {"m": "1", "km": "1000", "cm": "0.01", "mm": "0.001", "in": "0.0254", "ft": "0.3048", "yd": "0.9144", "mi": "1609.344",
                   "nmi": "1852"},
        "mass": {"kg": "1", "g": "0.001", "mg": "0.000001", "t": "1000", "lb": "0.45359237", "oz": "0.028349523125"},
        "time": {"s": "1", "min": "60", "h": "3600", "d": "86400", "wk": "604800"},
        "volume": {"l": "1", "ml": "0.001", "m3": "1000", "us_gal": "3.785411784", "us_cup": "0.2365882365"},
        "speed": {"m/s": "1", "km/h": "5/18", "mph": "0.44704", "kn": "463/900"},
        "area": {"m2": "1", "km2": "1000000", "ha": "10000", "acre": "4046.8564224", "ft2": "0.09290304"},
        "data": {"B": "1", "kB": "1000", "MB": "1000000", "GB": "1000000000", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824"},
    }.items()
}  # fmt: skip
"""How many of the first unit of its kind a unit is."""

_DEGREES = ("C", "F", "K")
UNITS = (*(unit for units in KINDS.values() for unit in units), *_DEGREES)


def convert(value: Fraction, source: str, target: str) -> Fraction:
    """Convert, exactly.

    Raises:
        ToolError: the units do not measure the same.
    """
    if source in _DEGREES and target in _DEGREES:
        kelvin = {
            "C": value + Fraction("273.15"),
            "F": (value + Fraction("459.67")) * Fraction(5, 9),
            "K": value,
        }[source]
        if kelvin < 0:
            raise ToolError("this is below absolute zero")
        return {
            "C": kelvin - Fraction("273.15"),
            "F": kelvin * Fraction(9, 5) - Fraction("459.67"),
            "K": kelvin,
        }[target]
    for units in KINDS.values():
        if source in units and target in units:
            return value * units[source] / units[target]
    raise ToolError(f"{source} and {target} do not measure the same")


def _run(state: State, arguments: Mapping[str, Any]) -> str:
    value = Fraction(repr(arguments["value"]))
    if abs(value) > 10**15:
        raise ToolError("the value is too large")
    return digits(convert(value, arguments["from_unit"], arguments["to_unit"]))


CONVERT_UNITS = Tool(
    "convert_units",
    "Converts a value from one unit to another.",
    {
        "value": {"type": "number"},
        "from_unit": {"type": "string", "enum": list(UNITS)},
        "to_unit": {"type": "string", "enum": list(UNITS)},
    },
    ("value", "from_unit", "to_unit"),
    _run,
)
