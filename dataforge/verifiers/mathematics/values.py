"""One value: is a number or formula that an answer gives the one that is wanted, in its unit, within its tolerance, in its form?

`scalar` reads the wanted value once and gives a comparison; every other kind of answer (sets, intervals, matrices, …) is put
together of such comparisons in `equality`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dataforge.verifiers.mathematics import reading, symbolic
from dataforge.verifiers.mathematics.notation import plain
from dataforge.verifiers.mathematics.numerals import Number, latex
from dataforge.verifiers.mathematics.reading import Quantity
from dataforge.verifiers.mathematics.units import PERCENT, Unit, converted

Form = Literal["", "any", "lowest", "expanded", "factored"]


class Unreadable(Exception):
    """The truth makes no sense: the task is at fault."""


@dataclass(frozen=True, slots=True)
class Match:
    """What comparing gave.

    Attributes:
        wrong: what is wrong; empty where the answer is right.
        readable: whether the text could be read as an answer of the kind.
    """

    wrong: str = ""
    readable: bool = True

    @property
    def right(self) -> bool:
        """Whether the answer is the truth."""
        return not self.wrong


RIGHT = Match()


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly to compare.

    Attributes:
        decimal: the separator of decimals.
        tolerance: how far off a number may be.
        relative: whether the tolerance is a share of the truth.
        form: the form that the answer must have.
        unit: the unit that a number without one is in.
        unit_text: as the facts have it.
        unit_required: whether an answer must have its unit.
    """

    decimal: str = "."
    tolerance: Fraction | None = None
    relative: bool = False
    form: Form = ""
    unit: Unit | None = None
    unit_text: str = ""
    unit_required: bool = False


def scalar(text: str, rules: Rules) -> Callable[[str], Match]:
    """A comparison with one number or formula."""
    wanted = reading.quantity(text, rules.decimal, units_of_formulas=True)
    if wanted.clash:
        raise Unreadable(wanted.clash)
    if wanted.unit_text and not rules.unit_text:
        rules = Rules(
            rules.decimal,
            rules.tolerance,
            rules.relative,
            rules.form,
            wanted.unit,
            wanted.unit_text,
            rules.unit_required,
        )
    letters: frozenset[str] = frozenset()
    if wanted.number is None:
        made = symbolic.formula(wanted.text, trusted=True)
        if made is None or not symbolic.readable(made):
            raise Unreadable("the answer is neither a number nor a formula that can be read")
        letters = symbolic.letters(made)
    # Behind a formula without letters, a letter can only be a unit; `2m` may be twice m.
    with_units = rules.unit is not None or not letters

    def compare(answer: str) -> Match:
        spelt = plain(answer)
        read = reading.quantity(spelt, rules.decimal, units_of_formulas=with_units)
        if read.clash:
            return Match(read.clash)
        if read.label and wanted.label and read.label != wanted.label:
            return Match("it is the value of another variable")
        match = _same_quantity(wanted, read, rules)
        if read.also and not _near(read):
            return Match("the exact value and the rounded one are different")
        if not match.right and read.also:
            rounded = reading.quantity(read.also, rules.decimal, units_of_formulas=with_units)
            again = _same_quantity(wanted, rounded, rules)
            return again if again.right else match
        return match

    return compare


def _near(read: Quantity) -> bool:
    """Whether a rounded value is near the exact one that it stands beside."""
    rounded = reading.quantity(read.also)
    if rounded.number is None:
        return False
    if read.number is not None:
        exact: Fraction | None = read.number.value
    else:
        made = symbolic.formula(read.text)
        exact = symbolic.real_value(made) if made is not None else None
    if exact is None:
        return False
    return abs(exact - rounded.number.value) <= max(abs(exact) / 100, Fraction(1, 100))


def _same_quantity(wanted: Quantity, read: Quantity, rules: Rules) -> Match:
    if read.number is None:
        made = symbolic.formula(read.text)
        if made is None:
            return Match(
                "it is no number" if wanted.number is not None else "it is no formula", readable=False
            )
        if (
            wanted.number is not None
            and rules.form != "any"
            and rules.tolerance is None
            and wanted.unit is None
        ):
            if symbolic.letters(made) or not re.search(r"\d|\\pi", made):
                return Match("it is no number", readable=False)
            return Match("it is not worked out to a number")
    factor, wrong = _conversion(read, rules)
    if wrong:
        return Match(wrong)
    if wanted.number is not None and read.number is not None:
        return _same_number(wanted.number, read.number, factor, rules)
    return _same_formula(wanted, read, factor, rules)


def _conversion(read: Quantity, rules: Rules) -> tuple[Callable[[Fraction], tuple[Fraction, int]], str]:
    """How to bring a value into the wanted unit, and what is wrong with the unit."""

    def keep(value: Fraction) -> tuple[Fraction, int]:
        return value, 0

    percent = read.number is not None and read.number.percent
    if not rules.unit_text:
        return keep, ""
    if not read.unit_text and not percent:
        return keep, "the unit is missing" if rules.unit_required else ""
    have = PERCENT if percent else read.unit
    if rules.unit is None:
        same = _name(read.unit_text) == _name(rules.unit_text)
        return keep, "" if same else "it is of something else"
    want = rules.unit
    if have is None:
        return keep, "the unit is not the one that is wanted"
    if have.base != want.base:
        return keep, "the unit is of another kind"
    if have == want:
        return keep, ""

    def convert(value: Fraction) -> tuple[Fraction, int]:
        made = converted(value, have, want)
        assert made is not None
        return made

    return convert, ""


def _name(text: str) -> str:
    return re.sub(r"(?:es|s|\(s\))$", "", " ".join(text.lower().split()))


def _same_number(
    wanted: Number, read: Number, convert: Callable[[Fraction], tuple[Fraction, int]], rules: Rules
) -> Match:
    value, pi = convert(read.value)
    in_percent = rules.unit == PERCENT
    if pi:
        return Match("the value is wrong")
    aim = wanted.value if in_percent else wanted.worth
    if in_percent or not (wanted.percent or read.percent):
        values = [value]
    elif read.percent and wanted.percent:
        values = [read.worth]
    elif wanted.percent:
        values = [value, value / 100]  # the sign may be left out, or the share be given as such
    else:
        values = [read.value, read.worth]  # the task may have named the percent itself
    if not any(_within(value, aim, rules) for value in values):
        return Match("the value is wrong")
    if rules.form == "lowest" and not read.lowest:
        return Match("the fraction is not in lowest terms")
    return RIGHT


def _within(value: Fraction, aim: Fraction, rules: Rules) -> bool:
    if rules.tolerance is None:
        return value == aim
    return abs(value - aim) <= (rules.tolerance * abs(aim) if rules.relative else rules.tolerance)


def _same_formula(
    wanted: Quantity, read: Quantity, convert: Callable[[Fraction], tuple[Fraction, int]], rules: Rules
) -> Match:
    first = (
        latex(wanted.number.worth)
        if wanted.number is not None
        else symbolic.formula(wanted.text, trusted=True)
    )
    second = latex(read.number.worth) if read.number is not None else symbolic.formula(read.text)
    assert first is not None
    if second is None:
        return Match("it is no formula", readable=False)
    if extra := sorted(symbolic.letters(second) - symbolic.letters(first) - {"i"}):
        prose = re.search(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", " ", second)) is not None
        return Match(f"`{extra[0]}` has no place in it", readable=not prose)
    if r"\infty" in first or r"\infty" in second:
        return RIGHT if _signed(first) == _signed(second) else Match("the value is wrong")
    scale, pi = convert(Fraction(1))
    if scale != 1 or pi:
        second = f"({second}) \\cdot {latex(scale)} \\cdot \\pi^{{{pi}}}"
    if rules.tolerance is not None and not symbolic.letters(first):
        aim, value = symbolic.real_value(first), symbolic.real_value(second)
        if aim is not None and value is not None:
            return RIGHT if _within(value, aim, rules) else Match("the value is wrong")
    if re.sub(r"\s", "", first) != re.sub(r"\s", "", second) and not shown(symbolic.same, first, second):
        return Match("the value is wrong" if not symbolic.letters(first) else "it is not the same formula")
    return _in_form(first, second, rules)


def shown(holds: Callable[[str, str], bool], first: str, second: str) -> bool:
    """Whether a relation of two formulas is shown to hold; what cannot be decided is not."""
    try:
        return holds(first, second)
    except symbolic.Undecided:
        return False


def _signed(made: str) -> str:
    return re.sub(r"[\s+{}()]", "", made)


def _in_form(first: str, second: str, rules: Rules) -> Match:
    """Whether a formula that is right has the form that was asked for."""
    if rules.form == "expanded":
        bare = re.sub(r"\\frac\{[^{}]*\}\{[^{}]*\}|\^\{[^{}]*\}", "", second)
        if "(" in bare or "[" in bare or _terms(second) > _terms(first):
            return Match("it is not multiplied out and collected")
    if rules.form == "factored" and (_terms(second) > _terms(first) or _factors(second) < _factors(first)):
        return Match("it is not factored completely")
    return RIGHT


def _terms(made: str) -> int:
    return len([piece for piece in re.split(r"(?<![\^{(])[+-]", _flat(made)) if piece.strip()])


def _flat(made: str) -> str:
    """With the contents of brackets left out."""
    while (shorter := re.sub(r"\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]", "@", made)) != made:
        made = shorter
    return made


def _factors(made: str) -> int:
    """How many bracketed factors, a power counted as often as it says."""
    count = 0
    for found in re.finditer(r"\)\s*(?:\^\s*\{?(\d))?", made):
        count += int(found[1] or 1)
    return count
