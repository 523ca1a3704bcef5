"""The answer of a reply: what stands on its line `Answer: …`, read as a number or as text.

There is one such line; several are as good as one only where they say the same. A number may have its thousands set off
by commas, and its unit beside it where the task names one. Text is compared exactly but for space and the marks of
Markdown around it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dataforge.verifiers.protocol import Candidate, Span

_LEAD = re.compile(r"[\s>#*_`-]*(?:final\s+)?answer[\s*_`]*[:：]", re.IGNORECASE)
"""What a line of an answer begins with; the rest of the line is its value."""

_NUMBER = re.compile(r"([+-]?)([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(\.[0-9]+)?(?:[eE]([+-]?[0-9]{1,3}))?")
_DIGITS = 400
"""The most characters of a number that is read."""

_PAIRS = (("**", "**"), ("__", "__"), ("*", "*"), ("_", "_"), ("`", "`"), ('"', '"'), ("'", "'"), ("“", "”"), ("$", "$"), (r"\(", r"\)"),
          (r"\boxed{", "}"), ("[", "]"))  # fmt: skip
"""Marks that may stand around a value."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the search for the answer.

    Attributes:
        right: whether it is right.
        reason: what is wrong, without telling the answer; empty where nothing is.
        found: the answer as it was read; None where there is none.
    """

    right: bool
    reason: str
    found: str | None
    span: Span | None
    candidates: tuple[Candidate, ...]


def judge(
    text: str, start: int, right: Sequence[str | int | float], *, tolerance: float = 0.0, unit: str = ""
) -> Judged:
    """Find the answer in a text from a place on, and compare it with those that are right."""
    found = _lines(text, start)
    if not found:
        return Judged(False, "there is no line `Answer: …`", None, None, ())
    alike = all(_same(found[0][0], value, right[0], 0.0, unit) for value, _ in found[1:])
    if not alike:
        why = "another answer stands beside it"
        return Judged(
            False, "there are several answers", None, None, tuple(Candidate(v, s, why) for v, s in found)
        )
    value, span = found[-1]
    correct = any(_same(value, one, one, tolerance, unit) for one in right)
    if correct:
        reason = ""
    elif not isinstance(right[0], str) and number(value, unit) is None:
        reason = "the answer is no number"
    else:
        reason = "the answer is wrong"
    earlier = [Candidate(v, s, "it is said again below") for v, s in found[:-1]]
    return Judged(correct, reason, value, span, (*earlier, Candidate(value, span, reason)))


def number(text: str, unit: str = "") -> Fraction | None:
    """A text as a number; None where it is none."""
    bare = unwrapped(text.replace("\u2212", "-"))
    if unit:
        bare = bare.removeprefix(unit).strip()
        bare = bare.removesuffix(unit).strip()
        bare = unwrapped(bare)
    if len(bare) > _DIGITS:
        return None
    match = _NUMBER.fullmatch(bare)
    if match is None or not (match[2] or match[3]):
        return None
    digits = (match[1] or "") + (match[2] or "0").replace(",", "") + (match[3] or "")
    value = Fraction(digits)
    return value * Fraction(10) ** int(match[4]) if match[4] else value


def unwrapped(text: str) -> str:
    """A value without a full stop behind it and marks around it."""
    bare = text.strip()
    while True:
        before = bare
        bare = bare.removesuffix(".").strip() if not bare.endswith("..") else bare
        for opening, closing in _PAIRS:
            if (
                len(bare) > len(opening) + len(closing)
                and bare.startswith(opening)
                and bare.endswith(closing)
            ):
                bare = bare[len(opening) : -len(closing)].strip()
        if bare == before:
            return bare


def _lines(text: str, start: int) -> list[tuple[str, Span]]:
    found: list[tuple[str, Span]] = []
    at = start
    for line in text[start:].splitlines(keepends=True):
        if (lead := _LEAD.match(line)) is not None:
            raw = line[lead.end() :]
            value = raw.strip().strip("*_ ") if "*" in lead.group() or "_" in lead.group() else raw.strip()
            if value:
                begin = at + lead.end() + raw.index(value)
                found.append((value, (begin, begin + len(value))))
        at += len(line)
    return found


def _same(said: str, right: str | int | float, kind: str | int | float, tolerance: float, unit: str) -> bool:
    """Whether two answers are the same: as numbers where the task's answer is one, else as texts."""
    if isinstance(kind, str):
        return _plain(said) == _plain(str(right))
    one = number(said, unit)
    two = number(right, unit) if isinstance(right, str) else Fraction(repr(right))
    return one is not None and two is not None and abs(one - two) <= Fraction(repr(tolerance))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unwrapped(text)).split())
