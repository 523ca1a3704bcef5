"""Whether what a program printed or returned is what it should have: pure functions, in the grader's process.

*Printed*: line by line, where white space at the end of a line and empty lines at the end count for nothing, since no reader sees
them. With `tokens`, line breaks are white space like any other. With a tolerance, a word that should be a number with
a fraction may be off by as much; every other word must be the same.

*Returned*: by type and value. A tuple is a list, as JSON would write it; whole-number keys of a dictionary are their text,
for the same reason. Nothing else is taken for something else: `True` is not 1, 3.0 is not 3, "3" is not 3. Where a float is expected,
a whole number will do, and both may be off by the tolerance, absolutely or in proportion to the expected one; NaN equals NaN, and
an infinity equals itself alone.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal

VALUE_TOLERANCE = 1e-6
"""How far a returned float may be off where the task does not say."""

_FRACTION = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def same_output(
    expected: str, printed: str, *, how: Literal["lines", "tokens"] = "lines", tolerance: float | None = None
) -> bool:
    """Whether a program printed what it should have."""
    if how == "tokens":
        return _same_words(expected.split(), printed.split(), tolerance)
    should, did = _lines(expected), _lines(printed)
    if len(should) != len(did):
        return False
    if tolerance is None:
        return should == did
    # Words are what single spaces separate: other white space counts here as it does without a tolerance.
    return all(
        a == b or _same_words(a.split(" "), b.split(" "), tolerance) for a, b in zip(should, did, strict=True)
    )


def same_value(expected: Any, returned: Any, tolerance: float | None = None) -> bool:
    """Whether a function returned what it should have.

    Args:
        expected: a JSON value.
        returned: plain data of exact types, as `Run.returned` holds it.
        tolerance: of floats; None is `VALUE_TOLERANCE`.
    """
    off = VALUE_TOLERANCE if tolerance is None else tolerance
    waiting = [(expected, returned)]
    while waiting:
        should, did = waiting.pop()
        kind = type(should)
        if kind is list:
            if type(did) not in (list, tuple) or len(did) != len(should):
                return False
            waiting += zip(should, did, strict=True)
        elif kind is dict:
            if type(did) is not dict or did.keys() != should.keys():
                return False
            waiting += [(value, did[key]) for key, value in should.items()]
        elif kind is float:
            if type(did) not in (float, int) or not close(should, did, off):
                return False
        elif type(did) is not kind or did != should:
            return False
    return True


def close(expected: float, number: float, tolerance: float) -> bool:
    """Whether a number is within a tolerance of the expected one; never where only one of them is finite."""
    try:
        number = float(number)
    except OverflowError:
        return False
    if math.isnan(expected) or math.isnan(number):
        return math.isnan(expected) and math.isnan(number)
    if math.isinf(expected) or math.isinf(number):
        return expected == number
    return abs(expected - number) <= tolerance * max(1.0, abs(expected))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_words(expected: list[str], printed: list[str], tolerance: float | None) -> bool:
    if len(expected) != len(printed):
        return False
    for should, did in zip(expected, printed, strict=True):
        if should == did:
            continue
        if tolerance is None or not _FRACTION.match(should) or not _NUMBER.match(did):
            return False
        if not close(float(should), float(did), tolerance):
            return False
    return True
