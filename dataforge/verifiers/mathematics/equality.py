"""Is an answer the truth? A truth knows its kind; an answer is read as that kind and compared exactly.

`truth` builds a `Truth` from a task's facts, once. `Truth.compare(text)` gives a `Match`: whether the text can be read as
such an answer at all, and what is wrong with it, told without giving the truth away.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from dataforge.verifiers.mathematics import reading, symbolic
from dataforge.verifiers.mathematics.notation import plain, split
from dataforge.verifiers.mathematics.reading import Part
from dataforge.verifiers.mathematics.units import Unit, unit
from dataforge.verifiers.mathematics.values import RIGHT, Match, Rules, Unreadable, scalar, shown

MOST_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Truth:
    """The answer that is wanted."""

    kind: reading.Kind
    rules: Rules
    compare: Callable[[str], Match] = field(compare=False)
    size: int = 1

    @property
    def several(self) -> bool:
        """Whether more than one value is wanted."""
        return self.kind in ("set", "tuple")


def truth(answer: str | Sequence[str], kind: reading.Kind | None, rules: Rules) -> Truth:
    """Read the truth.

    Raises:
        Unreadable: it makes no sense as an answer of the kind.
    """
    if not isinstance(answer, str):
        made = Truth(kind or "set", rules, _never)
        items = tuple(plain(item) for item in answer)
        return _several(items, made.kind == "tuple", rules, made.kind)
    text = plain(answer)
    if not text:
        raise Unreadable("the answer is empty")
    kind = kind or _kind(text, rules)
    made = _BUILDERS[kind](text, rules)
    return Truth(made.kind, rules, _with_letter(made.compare), made.size)


_LETTERED = re.compile(r"\(([A-E])\)\s*(\S.*)", re.DOTALL)


def _with_letter(compare: Callable[[str], Match]) -> Callable[[str], Match]:
    r"""Take `(C) 24` for 24, and for C, where neither is what it says as a whole: contests letter their answers."""

    def either(answer: str) -> Match:
        match = compare(answer)
        if not match.right and (found := _LETTERED.fullmatch(plain(answer))) is not None:
            for piece in (found[2], found[1]):
                if (again := compare(piece)).right:
                    return again
        return match

    return either


def _never(text: str) -> Match:
    raise AssertionError(text)


_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")


def _kind(text: str, rules: Rules) -> reading.Kind:
    """What kind of answer a truth is, by its looks."""
    if reading.matrix(text) is not None:
        return "matrix"
    sides = split(text, "=")
    if len(sides) == 2 and not reading.LABEL.fullmatch(sides[0]) and all(map(_is_formula, sides)):
        return "equation"
    read = reading.quantity(text, rules.decimal)
    single = len(reading.several(text, rules.decimal).items) == 1
    if (
        single
        and read.number is not None
        and not read.clash
        and (not read.unit_text or read.unit or rules.unit_text)
    ):
        return "number"
    found = reading.intervals(text)
    if (
        found is not None
        and not re.fullmatch(r"\([^()\[\]]*\)|R|\\\{\s*\\\}", text)
        and text.lower() not in ("no solution", "no solutions")
    ):
        return "interval"
    if found and len(found) == 1 and (found[0].high == "oo" or found[0].low == "-oo"):
        return "interval"
    cut = reading.several(text, rules.decimal)
    if cut.ordered and len(cut.items) > 1:
        return "tuple"
    if text.startswith(r"\{") or (len(cut.items) > 1 and all(_is_value(item, rules) for item in cut.items)):
        return "set"
    if _is_value(text, rules) and not re.fullmatch(r"[A-Za-z]", text):
        return "expression"
    return "text"


def _is_formula(text: str) -> bool:
    return symbolic.formula(text, trusted=True) is not None and not _words(text)


def _words(text: str) -> bool:
    return any(word.lower() not in symbolic.FUNCTIONS for word in _WORD.findall(text)) or text.lower() in (
        "no",
        "up",
    )


def _is_value(text: str, rules: Rules) -> bool:
    read = reading.quantity(text, rules.decimal, units_of_formulas=True)
    return read.number is not None or _is_formula(read.text)


def _number(text: str, rules: Rules) -> Truth:
    if reading.quantity(text, rules.decimal).number is None:
        raise Unreadable("the answer is no number")
    return Truth("number", rules, scalar(text, rules))


def _expression(text: str, rules: Rules) -> Truth:
    compare = scalar(text, rules)
    aim = _difference(text, trusted=True)
    if aim is None or not symbolic.readable(aim):
        return Truth("expression", rules, compare)

    def either(answer: str) -> Match:
        """`y = 2x + 1` may also be said as `2x - y + 1 = 0`."""
        match = compare(answer)
        if not match.right and (found := _difference(plain(answer), trusted=False)) is not None:
            alike = symbolic.letters(found) == symbolic.letters(aim)
            if alike and shown(symbolic.proportional, aim, found):
                return RIGHT
        return match

    return Truth("expression", rules, either)


def _set(text: str, rules: Rules) -> Truth:
    return _several(reading.several(text, rules.decimal).items, False, rules, "set")


def _tuple(text: str, rules: Rules) -> Truth:
    return _several(reading.several(text, rules.decimal).items, True, rules, "tuple")


def _several(items: tuple[str, ...], ordered: bool, rules: Rules, kind: reading.Kind) -> Truth:
    if not items or len(items) > MOST_ITEMS:
        raise Unreadable("the answer has no items, or too many")
    comparisons = [_item(item, rules) for item in items]
    labels = [_label(item, rules) for item in items]

    def compare(answer: str) -> Match:
        spelt = plain(answer)
        if ordered and (column := reading.matrix(spelt)) is not None and all(len(row) == 1 for row in column):
            spelt = "(" + ", ".join(row[0] for row in column) + ")"
        first: Match | None = None
        for thousands in (True, False):
            cut = reading.several(spelt, rules.decimal, thousands=thousands)
            match = _compare_items(comparisons, labels, cut, ordered, rules)
            if match.right:
                return match
            first = first or match
        assert first is not None
        return first

    return Truth(kind, rules, compare, len(items))


def _item(text: str, rules: Rules) -> Callable[[str], Match]:
    """A comparison with an item: a value, or a tuple in a set, or a word."""
    cut = reading.several(text, rules.decimal)
    if cut.ordered and len(cut.items) > 1:
        return _several(cut.items, True, rules, "tuple").compare
    return scalar(text, rules) if _is_value(text, rules) else _text(text, rules).compare


def _label(text: str, rules: Rules) -> str:
    return reading.quantity(text, rules.decimal).label


def _compare_items(
    comparisons: list[Callable[[str], Match]],
    labels: list[str],
    cut: reading.Several,
    ordered: bool,
    rules: Rules,
) -> Match:
    items = list(cut.items)
    if len(items) > MOST_ITEMS:
        return Match("it has too many items", readable=False)
    named = [_label(item, rules) for item in items]
    if ordered and len(items) == len(comparisons) and all(named) and len(set(named)) == len(items):
        # `y = 2, x = 1` for (x, y) = (1, 2): by name, not by place
        order = labels if sorted(labels) == sorted(named) else sorted(named)
        items = [items[named.index(name)] for name in order]
    if not ordered and not all(labels):
        items = list(dict.fromkeys(items))  # {2, 2, 3} is {2, 3}
    if not ordered and cut.ordered and all(labels) and not any(named):
        ordered = True
    matches = [[comparison(item) for comparison in comparisons] for item in items]
    readable = bool(items) and all(any(match.readable for match in row) for row in matches)
    if len(items) != len(comparisons):
        return Match("it has the wrong number of items", readable=readable)
    if ordered:
        wrong = next((row[at].wrong for at, row in enumerate(matches) if not row[at].right), "")
        return Match(f"an item is wrong: {wrong}" if wrong else "", readable)
    return (
        RIGHT
        if _pairs([[match.right for match in row] for row in matches])
        else Match("an item is wrong", readable)
    )


def _pairs(right: list[list[bool]]) -> bool:
    """Whether every item has a partner of its own."""
    partner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fits in enumerate(right[row]):
            if fits and column not in seen:
                seen.add(column)
                if column not in partner or place(partner[column], seen):
                    partner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(right)))


def _interval(text: str, rules: Rules) -> Truth:
    wanted = reading.intervals(text)
    if wanted is None:
        raise Unreadable("the answer is no interval")
    aim = _merged(wanted, rules)
    ends = [
        (
            None if _infinite(p.low) else scalar(p.low, rules),
            None if _infinite(p.high) else scalar(p.high, rules),
        )
        for p in aim
    ]

    def compare(answer: str) -> Match:
        found = reading.intervals(plain(answer))
        if found is None:
            return Match("it is no interval", readable=False)
        if len(found) > MOST_ITEMS:
            return Match("it has too many parts", readable=False)
        parts = _merged(found, rules)
        if len(parts) != len(aim):
            return Match("it has the wrong number of parts")
        fits = [
            [_same_part(part, goal, comparisons) for goal, comparisons in zip(aim, ends, strict=True)]
            for part in parts
        ]
        if _pairs([[not wrong for wrong in row] for row in fits]):
            return RIGHT
        ends_only = [[wrong in ("", "open") for wrong in row] for row in fits]
        return Match(
            "an end is open that should be closed, or the other way about"
            if _pairs(ends_only)
            else "an end is wrong"
        )

    return Truth("interval", rules, compare)


def _infinite(end: str) -> bool:
    return end in ("oo", "-oo")


def _same_part(
    part: Part, goal: Part, comparisons: tuple[Callable[[str], Match] | None, Callable[[str], Match] | None]
) -> str:
    for end, want, comparison in zip((part.low, part.high), (goal.low, goal.high), comparisons, strict=True):
        if comparison is None:
            if end != want:
                return "end"
        elif _infinite(end) or not comparison(end).right:
            return "end"
    return "" if part.closed == goal.closed else "open"


def _merged(parts: Sequence[Part], rules: Rules) -> tuple[Part, ...]:
    """Parts that touch or overlap made one, where all ends are numbers: `(1, 2] ∪ (2, 3)` is `(1, 3)`."""
    ends: list[tuple[Fraction | float, bool, Fraction | float, bool, Part]] = []
    for part in parts:
        low, high = _end(part.low, rules), _end(part.high, rules)
        if low is None or high is None:
            return tuple(parts)
        if low > high or (low == high and part.closed != (True, True)):
            continue  # an empty one
        ends.append((low, not part.closed[0], high, part.closed[1], part))
    ends.sort(key=lambda end: (end[0], end[1]))
    made: list[tuple[Fraction | float, bool, Part]] = []
    for low, opened, high, closed, part in ends:
        if made:
            last_high, last_closed, last = made[-1]
            if low < last_high or (low == last_high and (last_closed or not opened)):
                if (high, closed) > (last_high, last_closed):
                    made[-1] = (high, closed, Part(last.low, part.high, (last.closed[0], closed)))
                continue
        made.append((high, closed, part))
    return tuple(part for _, _, part in made)


def _end(text: str, rules: Rules) -> Fraction | float | None:
    if _infinite(text):
        return math.inf if text == "oo" else -math.inf
    read = reading.quantity(text, rules.decimal)
    return read.number.worth if read.number is not None else None


def _matrix(text: str, rules: Rules) -> Truth:
    rows = reading.matrix(text)
    if not rows or len({len(row) for row in rows}) != 1 or len(rows) * len(rows[0]) > MOST_ITEMS:
        raise Unreadable("the answer is no matrix")
    comparisons = [[scalar(cell, rules) for cell in row] for row in rows]

    def compare(answer: str) -> Match:
        found = reading.matrix(plain(answer))
        if not found:
            return Match("it is no matrix", readable=False)
        if [len(row) for row in found] != [len(row) for row in rows]:
            return Match("it has the wrong number of rows or columns")
        for row, aims in zip(found, comparisons, strict=True):
            for cell, comparison in zip(row, aims, strict=True):
                match = comparison(cell)
                if not match.right:
                    return Match(f"an entry is wrong: {match.wrong}")
        return RIGHT

    return Truth("matrix", rules, compare)


def _equation(text: str, rules: Rules) -> Truth:
    aim = _difference(text, trusted=True)
    if aim is None or not symbolic.readable(aim):
        raise Unreadable("the answer is no equation")

    def compare(answer: str) -> Match:
        found = _difference(plain(answer), trusted=False)
        if found is None:
            return Match("it is no equation", readable=False)
        if symbolic.letters(found) != symbolic.letters(aim):
            return Match("it is not in the same variables")
        return RIGHT if shown(symbolic.proportional, aim, found) else Match("it is another equation")

    return Truth("equation", rules, compare)


def _difference(text: str, *, trusted: bool) -> str | None:
    sides = split(text, "=")
    if len(sides) != 2:
        return None
    first, second = (symbolic.formula(side, trusted=trusted) for side in sides)
    return None if first is None or second is None else f"({first}) - ({second})"


_AROUND = ' \t\n.,;:!?"“”‘`*_()[]{}'
"""Around a single letter: a `'` behind it makes it another."""
_EDGE = " \t\n.,;:!?\"'“”‘’`*_()[]{}"


def _text(text: str, rules: Rules) -> Truth:
    aim = _folded(text)
    if not aim:
        raise Unreadable("the answer is empty")
    case = len(text) == 1

    def compare(answer: str) -> Match:
        spelt = plain(answer)
        found = _folded(spelt)
        same = found == aim and (not case or spelt.strip(_AROUND) == text)
        return (
            RIGHT
            if same
            else Match("it is another answer", readable=bool(found) and len(found) <= 2 * len(aim) + 12)
        )

    return Truth("text", rules, compare)


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().strip(_EDGE)
    return " ".join(re.sub(r"^(?:the|a|an)\s+|\\\s?", "", text).split())


_BUILDERS: dict[reading.Kind, Callable[[str, Rules], Truth]] = {
    "number": _number,
    "expression": _expression,
    "set": _set,
    "tuple": _tuple,
    "interval": _interval,
    "matrix": _matrix,
    "equation": _equation,
    "text": _text,
}


def rules_unit(text: str) -> Unit | None:
    """The unit that the facts name; None where it is no unit that is known, such as `apples`."""
    return unit(plain(text))
