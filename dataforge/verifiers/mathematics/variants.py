"""Generated cases for the verifier `maths`: equal forms of one value that must pass, and mutants that must not.

A `Sample` holds a truth, several ways to write the same and several ways to miss it by one thing: off by one, another sign, an
open end for a closed one, an item dropped, a wrong unit. A sample is then put where an answer may stand, or where it may
not: in the thinking only, in one of two boxes, behind `the answer is not`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dataforge.verifiers.mathematics.exercises import decimal, polynomial, tex
from dataforge.verifiers.protocol import Case, Response
from schemas.task import Task


@dataclass(frozen=True, slots=True)
class Sample:
    """A truth and what may be written for it.

    Attributes:
        prompt: the problem.
        answer: the truth.
        equal: the same answer in other forms.
        missed: answers that are wrong, each with what is.
        facts: what else the verifier is told.
        prose: whether an equal form may stand in a sentence without a mark.
    """

    prompt: str
    answer: str | list[str]
    equal: list[str]
    missed: list[tuple[str, str]]
    facts: dict[str, Any] = field(default_factory=dict)
    prose: bool = False


def _minus(text: str, rng: random.Random) -> str:
    """With one of the signs that are used for minus."""
    return text.replace("-", rng.choice(("-", "−", "- ")))


def _integer(rng: random.Random) -> Sample:
    value = rng.choice(
        (
            rng.randint(-20, 20),
            rng.randint(100, 99_999),
            -rng.randint(1000, 999_999),
            rng.randint(1, 9) * 10**6,
        )
    )
    equal = [
        str(value),
        _minus(str(value), rng),
        f"{value:,}",
        f"{value:,}".replace(",", "{,}"),
        f"{value:,}".replace(",", "\\,"),
        f"{value}.0",
        f"\\frac{{{2 * value}}}{{2}}",
        f"x = {value}",
        f"$ {value} $",
        f"\\text{{{value}}}",
        f"{value} apples" if value > 0 else str(value),
        f"\\mathbf{{{value}}}",
        f"({value})",
        str(value).translate(str.maketrans("0123456789", "０１２３４５６７８９")),
    ]
    if value and value % 1000 == 0:
        equal.append(f"{tex(Fraction(value, 1000))} \\times 10^{{3}}")
        equal.append(f"{value // 1000} thousand")
    missed = [
        (str(value + 1), "one too many"),
        (str(value - 1), "one too few"),
        (f"{value * 10 + (value == 0)}", "ten times as much"),
        (f"{value}.5", "a half more"),
        (f"{value} or {value + 1}", "two answers in one"),
        (f"{value - 2} + 2", "not worked out"),
        (f"{value}x", "a letter too many"),
        (f"\\frac{{{value}}}{{0}}", "divided by zero"),
        (f"{value}{value}" if value > 0 else f"{value}7", "digits too many"),
        (f"> {value}", "an inequality"),
        (f"-{value}" if value > 0 else str(abs(value) + (value == 0)), "another sign"),
    ]
    if "0" in str(value)[1:]:
        missed.append((str(value).replace("0", "O"), "the letter O for a zero"))
    return Sample(f"What is ${value - 3} + 3$?", str(value), equal, missed, prose=True)


def _fraction(rng: random.Random) -> Sample:
    while True:
        value = Fraction(rng.randint(-40, 40), rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 25)))
        if value.denominator > 1:
            break
    above, below = abs(value.numerator), value.denominator
    sign = "-" if value < 0 else ""
    equal = [
        f"{sign}{above}/{below}",
        f"{sign}\\frac{{{above}}}{{{below}}}",
        f"{sign}\\dfrac{{{above}}}{{{below}}}",
        f"\\frac{{{sign}{above}}}{{{below}}}",
        f"{sign}{3 * above}/{3 * below}",
        f"${sign}\\tfrac{{{above}}}{{{below}}}$",
        f"y = {sign}\\frac{{{above}}}{{{below}}}",
    ]
    missed = [
        (f"{'' if sign else '-'}\\frac{{{above}}}{{{below}}}", "another sign"),
        (f"{sign}\\frac{{{above + 1}}}{{{below}}}", "one too many above"),
        (f"{sign}\\frac{{{above}}}{{{below + 1}}}", "one too many below"),
        (f"{sign}{above}", "the denominator is gone"),
        (f"{float(value) + 0.01:.2f}", "a wrong decimal"),
    ]
    if above != below and above:
        missed.append((f"{sign}\\frac{{{below}}}{{{above}}}", "upside down"))
    if above > below:
        whole, rest = divmod(above, below)
        equal += [f"{sign}{whole} {rest}/{below}", f"{sign}{whole}\\frac{{{rest}}}{{{below}}}"]
        missed.append((f"{sign}{whole + 1} {rest}/{below}", "a whole too many"))
    if all(prime in (2, 5) for prime in _primes(below)):
        equal += [decimal(value), decimal(value) + "0", f"{decimal(100 * value)}\\%"]
    else:
        missed.append((f"{float(value):.3f}", "rounded"))
    if below in (3, 9):
        whole, rest = divmod(above, below)
        equal.append(f"{sign}{whole}.\\overline{{{rest * 9 // below}}}")
        equal.append(f"{sign}{whole}." + str(rest * 9 // below) * 3 + "...")
    return Sample(f"Compute ${tex(value - 1)} + 1$.", tex(value), equal, missed, prose=True)


def _primes(value: int) -> list[int]:
    return [
        prime
        for prime in range(2, value + 1)
        if value % prime == 0 and all(prime % k for k in range(2, prime))
    ]


_LENGTHS = {
    "mm": Fraction(1, 1000),
    "cm": Fraction(1, 100),
    "m": Fraction(1),
    "km": Fraction(1000),
    "ft": Fraction(3048, 10_000),
    "in": Fraction(254, 10_000),
}
_TIMES = {"s": Fraction(1), "min": Fraction(60), "h": Fraction(3600), "days": Fraction(86_400)}
_MASSES = {"g": Fraction(1), "kg": Fraction(1000), "mg": Fraction(1, 1000), "tonnes": Fraction(10**6)}


def _with_unit(rng: random.Random) -> Sample:
    tables = [_LENGTHS, _TIMES, _MASSES]
    table = rng.choice(tables)
    other_table = rng.choice([entry for entry in tables if entry is not table])
    unit, other = rng.sample(sorted(table), 2)
    value = Fraction(rng.randint(1, 400), rng.choice((1, 1, 2, 4)))
    converted = value * table[unit] / table[other]
    long = {
        "m": "meters",
        "cm": "centimetres",
        "km": "kilometers",
        "h": "hours",
        "min": "minutes",
        "s": "seconds",
        "kg": "kilograms",
        "g": "grams",
    }
    number = decimal(value)
    equal = [
        f"{number} {unit}",
        f"{number}\\text{{ {unit}}}",
        f"{number}\\,\\mathrm{{{unit}}}",
        f"{tex(value)}\\ \\text{{{unit}}}",
        f"{tex(converted)} {other}",
        number,
        f"${number}$ {unit}",
        f"d = {number}~\\text{{{unit}}}",
    ]
    if unit in long:
        equal.append(f"{number} {long[unit]}")
    missed = [
        (f"{number} {other}", "another unit"),
        (f"{number} {rng.choice(sorted(other_table))}", "a unit of another kind"),
        (f"{decimal(value + 1)} {unit}", "one too many"),
        (f"{tex(converted + 1)} {other}", "one too many after conversion"),
        (f"{number} {unit}^2", "a square unit"),
        (f"{number} bananas", "what is no such unit"),
    ]
    if rng.random() < 0.5:
        return Sample(f"How much is it, in {unit}?", number, equal, missed, {"unit": unit}, prose=True)
    return Sample("How much is it?", f"{number} {unit}", equal, missed, prose=True)


def _money(rng: random.Random) -> Sample:
    cents = rng.randint(101, 99_999)
    amount = f"{cents // 100}.{cents % 100:02d}"
    grouped = f"{cents // 100:,}.{cents % 100:02d}"
    equal = [
        f"\\${amount}",
        f"${grouped}",
        f"{amount} dollars",
        amount,
        f"USD {amount}",
        f"\\$ {grouped}",
        f"{cents} cents",
    ]
    missed = [
        (f"€{amount}", "another currency"),
        (f"{amount} pounds", "another currency"),
        (f"\\${cents // 100 + 1}.{cents % 100:02d}", "a dollar too many"),
        (f"{cents} dollars", "cents for dollars"),
        (f"\\$-{amount}", "another sign"),
    ]
    return Sample("What does it cost, in dollars?", f"\\${amount}", equal, missed)


def _percent(rng: random.Random) -> Sample:
    value = rng.choice([k for k in range(2, 100) if k != 10])
    equal = [
        f"{value}\\%",
        f"{value}%",
        f"{value} percent",
        str(value),
        decimal(Fraction(value, 100)),
        tex(Fraction(value, 100)),
    ]
    missed = [
        (f"{value + 1}\\%", "one too many"),
        (f"{decimal(Fraction(value, 100))}\\%", "a percent of it"),
        (f"{value}0\\%", "ten times as much"),
        (f"-{value}\\%", "another sign"),
        (f"{100 - value}\\%" if value != 50 else "51%", "the rest of it"),
    ]
    return Sample("What share is that? Answer as a percentage.", f"{value}\\%", equal, missed)


def _interval(rng: random.Random) -> Sample:
    low, high = sorted(rng.sample(range(-30, 31), 2))
    left, right = rng.choice("(["), rng.choice(")]")
    below, above = ("<" if left == "(" else "\\le"), ("<" if right == ")" else "\\le")
    flip = {"<": ">", "\\le": "\\ge"}
    truth = f"{left}{low}, {high}{right}"
    equal = [
        truth,
        f"\\left{left}{low}, {high}\\right{right}",
        f"{low} {below} x {above} {high}",
        f"{high} {flip[above]} x {flip[below]} {low}",
        f"x \\in {left}{low}, {high}{right}",
        f"{{\\left{left}{low},{high}\\right{right}}}",
        f"{left}{low}; {high}{right}",
        f"{low} {below.replace(chr(92) + 'le', '≤')} x {above.replace(chr(92) + 'le', '≤')} {high}",
    ]
    missed = [
        (
            f"{'[' if left == '(' else '('}{low}, {high}{right}",
            "the left end open for closed, or the other way",
        ),
        (
            f"{left}{low}, {high}{']' if right == ')' else ')'}",
            "the right end open for closed, or the other way",
        ),
        (f"{left}{low - 1}, {high}{right}", "an end off by one"),
        (f"{left}{low}, {high + 1}{right}", "an end off by one"),
        (f"{left}{low}, \\infty)", "an end at infinity"),
        (f"x {above} {high}", "half of it"),
        (
            f"{left}{-high}, {-low}{right}" if low != -high else f"{left}{low}, {high + 2}{right}",
            "turned around",
        ),
    ]
    return Sample(
        "Solve the inequality; answer in interval notation.", truth, equal, missed, {"kind": "interval"}
    )


def _union(rng: random.Random) -> Sample:
    low, high = sorted(rng.sample(range(-30, 31), 2))
    closed = rng.random() < 0.5
    truth = (
        f"(-\\infty, {low}] \\cup [{high}, \\infty)"
        if closed
        else f"(-\\infty, {low}) \\cup ({high}, \\infty)"
    )
    sign, other = ("\\le", "\\ge") if closed else ("<", ">")
    equal = [
        truth,
        f"x {sign} {low} \\text{{ or }} x {other} {high}",
        truth.replace("\\cup", "∪").replace("\\infty", "∞"),
        " \\cup ".join(reversed(truth.split(" \\cup "))),
        f"x {other} {high} or x {sign} {low}",
    ]
    opened = truth.replace("]", ")").replace("[", "(") if closed else truth.replace(f"{low})", f"{low}]")
    missed = [
        (opened, "open for closed, or the other way"),
        (f"{'[' if closed else '('}{low}, {high}{']' if closed else ')'}", "what lies between"),
        (truth.split(" \\cup ")[0], "a part dropped"),
        (
            truth.replace(f"{high}", f"{high + 1}") if str(high) not in str(low) else "(0, 1)",
            "an end off by one",
        ),
        ("\\mathbb{R}", "everything"),
    ]
    return Sample("Solve the inequality; answer in interval notation.", truth, equal, missed)


def _set(rng: random.Random) -> Sample:
    size = rng.randint(2, 5)
    items = [str(value) for value in rng.sample(range(-30, 31), size)]
    shuffled = items[:]
    rng.shuffle(shuffled)
    listed = ", ".join(shuffled)
    equal = [
        "\\{" + listed + "\\}",
        listed,
        "; ".join(shuffled),
        " or ".join(f"x = {item}" for item in shuffled),
        " \\text{ and } ".join(shuffled),
        "$" + "$, $".join(shuffled) + "$",
        "\\left\\{" + listed + "\\right\\}",
        f"x = {listed}",
    ]
    more = str(rng.randint(31, 60))
    changed = [*shuffled[:-1], more]
    missed = [
        (", ".join(shuffled[:-1]), "an item dropped"),
        (", ".join([*shuffled, more]), "an item too many"),
        (", ".join(changed), "an item changed"),
        (", ".join(shuffled[:-1] + shuffled[:1]), "an item twice for another"),
    ]
    if rng.random() < 0.5:
        return Sample("Find all solutions.", items, equal, missed)
    return Sample("Find all solutions.", "\\{" + ", ".join(items) + "\\}", equal, missed)


def _tuple(rng: random.Random) -> Sample:
    items = [str(value) for value in rng.sample(range(-30, 31), rng.randint(2, 4))]
    listed = ", ".join(items)
    equal = [
        f"({listed})",
        f"\\left({listed}\\right)",
        f"({';'.join(items)})",
        f"({listed.replace(' ', '')})",
        f"$({listed})$",
    ]
    if len(items) == 2:
        equal += [
            f"x = {items[0]}, y = {items[1]}",
            f"y = {items[1]} \\text{{ and }} x = {items[0]}",
            f"(x, y) = ({listed})",
            f"\\begin{{pmatrix}} {items[0]} \\\\ {items[1]} \\end{{pmatrix}}",
        ]
    turned = ", ".join(reversed(items))
    missed = [
        (f"({turned})", "in another order"),
        (f"({', '.join([*items[:-1], '31'])})", "an entry changed"),
        (f"({', '.join([*items, '5'])})", "an entry too many"),
        (items[0], "one entry only"),
    ]
    if len(items) == 2:
        missed.append((f"x = {items[1]}, y = {items[0]}", "the names exchanged"))
    return Sample("Give the point's coordinates.", f"({listed})", equal, missed, {"kind": "tuple"})


def _matrix(rng: random.Random) -> Sample:
    rows, columns = rng.randint(2, 3), rng.randint(2, 3)
    entries = [[rng.randint(-20, 20) for _ in range(columns)] for _ in range(rows)]

    def written(cells: list[list[int]], name: str) -> str:
        return (
            f"\\begin{{{name}}}"
            + " \\\\ ".join(" & ".join(map(str, row)) for row in cells)
            + f"\\end{{{name}}}"
        )

    nested = "[" + ", ".join("[" + ", ".join(map(str, row)) + "]" for row in entries) + "]"
    array = (
        "\\left[\\begin{array}{"
        + "c" * columns
        + "}"
        + " \\\\ ".join(" & ".join(map(str, row)) for row in entries)
        + "\\end{array}\\right]"
    )
    equal = [
        written(entries, "pmatrix"),
        written(entries, "bmatrix"),
        nested,
        array,
        f"A = {written(entries, 'pmatrix')}",
    ]
    changed = [row[:] for row in entries]
    changed[rng.randrange(rows)][rng.randrange(columns)] += 1
    missed = [
        (written(changed, "pmatrix"), "an entry off by one"),
        (written(entries[:-1], "pmatrix"), "a row dropped"),
        (written([row[:-1] for row in entries], "bmatrix"), "a column dropped"),
        (", ".join(str(cell) for row in entries for cell in row), "the entries only"),
    ]
    turned = [list(column) for column in zip(*entries, strict=True)]
    if turned != entries:
        missed.append((written(turned, "pmatrix"), "transposed"))
    return Sample("Compute the product of the two matrices.", written(entries, "pmatrix"), equal, missed)


def _polynomial(rng: random.Random) -> Sample:
    letter = rng.choice("xtn")
    a, b, c = (rng.choice([k for k in range(-9, 10) if k]) for _ in range(3))
    truth = polynomial([a, b, c], letter)
    # Written from the lowest power up, with signs as they come.
    turned = f"{c} {'-' if b < 0 else '+'} {abs(b)}{letter} {'-' if a < 0 else '+'} {abs(a)}{letter}^2"
    coded = f"{a}*{letter}**2 + ({b})*{letter} + ({c})"
    grouped = f"{letter}({a}{letter} {'-' if b < 0 else '+'} {abs(b)}) {'-' if c < 0 else '+'} {abs(c)}"
    equal = [
        truth,
        turned,
        coded,
        grouped,
        f"f({letter}) = {truth}",
        f"{truth}".replace("^2", "²"),
        f"\\frac{{{polynomial([2 * a, 2 * b, 2 * c], letter)}}}{{2}}",
    ]
    missed = [
        (polynomial([a, -b, c], letter), "a sign changed"),
        (polynomial([a, b, c + 1], letter), "a constant off by one"),
        (polynomial([a, b, c, 0], letter), "a power too high"),
        (polynomial([a, b], letter), "a term dropped"),
        (truth.replace(letter, "z"), "another letter"),
        ("I do not know", "no answer"),
    ]
    return Sample("Find the polynomial.", truth, equal, missed, {"kind": "expression"})


def _radical(rng: random.Random) -> Sample:
    outside, under = rng.randint(2, 9), rng.choice((2, 3, 5, 6, 7, 10))
    truth = f"{outside}\\sqrt{{{under}}}"
    equal = [
        truth,
        f"{outside}*sqrt({under})",
        f"\\sqrt{{{outside * outside * under}}}",
        f"{outside}√{under}",
        f"\\frac{{{outside * under}}}{{\\sqrt{{{under}}}}}",
        f"\\sqrt{{{under}}} \\cdot {outside}",
        f"{truth} \\approx {outside * under**0.5:.2f}",
    ]
    missed = [
        (f"{outside + 1}\\sqrt{{{under}}}", "one too many"),
        (f"-{truth}", "another sign"),
        (f"{outside * under**0.5:.4f}", "rounded"),
        (f"{outside}\\sqrt[3]{{{under}}}", "another root"),
        (f"\\sqrt{{{outside * under}}}", "the factor under the root"),
    ]
    return Sample("Simplify.", truth, equal, missed)


def _line(rng: random.Random) -> Sample:
    a, b = (rng.choice([k for k in range(-9, 10) if k]) for _ in range(2))
    c = rng.randint(-20, 20)

    def side(p: int, q: int) -> str:
        return f"{p}x {'-' if q < 0 else '+'} {abs(q)}y"

    truth = f"{side(a, b)} = {c}"
    k = rng.choice((2, 3, -1))
    equal = [truth, f"{side(k * a, k * b)} = {k * c}", f"{side(a, b)} - ({c}) = 0", f"{c} = {side(a, b)}"]
    missed = [
        (f"{side(a, -b)} = {c}", "a sign changed"),
        (f"{side(a, b)} = {c + 1}", "a constant off by one"),
        (f"{side(a, b)}", "no equation"),
        (f"{side(a + (1 if a != -1 else 2), b)} = {c}", "a coefficient off"),
    ]
    return Sample("Give an equation of the line.", truth, equal, missed, {"kind": "equation"})


def _word(rng: random.Random) -> Sample:
    words = [
        "Tuesday",
        "Friday",
        "odd",
        "even",
        "yes",
        "parabola",
        "hexagon",
        "isosceles",
        "Zoë",
        "no solution",
    ]
    word, other = rng.sample(words, 2)
    equal = [
        word,
        word.upper(),
        f"\\text{{{word}}}",
        f"{word}.",
        f"\\textbf{{{word}}}",
        f"“{word}”",
        f"the {word}",
    ]
    missed = [
        (other, "another word"),
        (f"not {word}", "denied"),
        (f"{word} or {other}", "two answers in one"),
        (
            word.replace("o", "о").replace("e", "е").replace("a", "а").replace("y", "у"),
            "letters of another script",
        ),
        ("", "empty"),
    ]
    return Sample(
        "Which is it?", word, equal, [entry for entry in missed if entry[0] != word], {"kind": "text"}
    )


def _comma(rng: random.Random) -> Sample:
    tenths = rng.randint(10_001, 9_999_999)
    whole, rest = divmod(tenths, 100)
    grouped = f"{whole:,}".replace(",", ".")
    truth = f"{whole},{rest:02d}"
    equal = [truth, f"{grouped},{rest:02d}", f"$x = {truth}$", f"{whole}{{,}}{rest:02d}"]
    missed = [
        (f"{whole + 1},{rest:02d}", "one too many"),
        (f"{whole}{rest:02d}", "the comma gone"),
        (f"-{truth}", "another sign"),
    ]
    return Sample("Wie viel ist das? (Dezimalkomma)", truth, equal, missed, {"decimal": ","})


def _tolerant(rng: random.Random) -> Sample:
    value = Fraction(rng.randint(1000, 99_999), 100)
    near, far = (
        value + Fraction(rng.randint(-9, 9), 1000),
        value + rng.choice((-1, 1)) * Fraction(rng.randint(11, 90), 1000),
    )
    equal = [decimal(value), decimal(near), f"\\approx {decimal(near)}", f"about {decimal(near)}"]
    missed = [
        (decimal(far), "too far off"),
        (f"-{decimal(value)}", "another sign"),
        (decimal(value * 10), "ten times as much"),
    ]
    return Sample("Give it to two places.", decimal(value), equal, missed, {"tolerance": "0.01"}, prose=True)


def _infinite(rng: random.Random) -> Sample:
    sign, other = rng.choice((("", "-"), ("-", "")))
    equal = [f"{sign}\\infty", f"{sign}∞", f"${sign}\\infty$"]
    missed = [
        (f"{other}\\infty", "another sign"),
        ("0", "a number"),
        ("\\text{does not exist}", "words"),
        ("10^{100}", "a large number"),
    ]
    return Sample("Find the limit.", f"{sign}\\infty", equal, missed)


def _angle(rng: random.Random) -> Sample:
    value = rng.randint(10, 170)
    equal = [
        f"{value}^\\circ",
        f"{value}°",
        f"{value} degrees",
        str(value),
        f"{value}^{{\\circ}}",
        f"\\angle A = {value}^\\circ"[9:],
        f"\\frac{{{value}\\pi}}{{180}} \\text{{ rad}}",
    ]
    missed = [
        (f"{value + 1}^\\circ", "one too many"),
        (f"{180 - value + (value == 90)}^\\circ", "the other angle"),
        (f"{value} \\text{{ rad}}", "another unit"),
        (f"-{value}°", "another sign"),
    ]
    return Sample("How large is the angle?", f"{value}^\\circ", equal, missed)


_KINDS: tuple[tuple[Callable[[random.Random], Sample], int], ...] = (
    (_integer, 5),
    (_fraction, 4),
    (_with_unit, 3),
    (_money, 2),
    (_percent, 2),
    (_interval, 3),
    (_union, 2),
    (_set, 3),
    (_tuple, 3),
    (_matrix, 2),
    (_polynomial, 2),
    (_radical, 2),
    (_line, 1),
    (_word, 2),
    (_comma, 1),
    (_tolerant, 2),
    (_infinite, 1),
    (_angle, 2),
)

_WORKING = (
    "",
    "Let us work it out step by step.\n\n",
    "First, note that $1 + 1 = 2$. Then we go on — carefully — from there.\n\n",
    "Schritt 1: umformen. Schritt 2: einsetzen. ✅\n\n",
    "1. Read the problem.\n2. Compute.\n3. Check: 17 is not 18.\n\n",
    "一步一步来。\n\nWe use the rule $a(b + c) = ab + ac$.\n\n",
)
_MARKED = (
    "\\boxed{{{}}}",
    "The final answer is $\\boxed{{{}}}$.",
    "$$\\boxed{{{}}}$$",
    "\\[\n\\boxed{{{}}}\n\\]",
    "So we get\n\n\\boxed{{ {} }}\n\nwhich is what was asked.",
    "<answer>{}</answer>",
    "<answer>\n{}\n</answer>\n",
    "#### {}",
    "**Answer:** {}",
    "Final Answer:\n{}",
)
_SPOKEN = (
    "The answer is {}.",
    "So the answer is {}.",
    "Answer: {}",
    "Therefore, the result is {}.",
    "Thus it is {}.",
    "{}",
)


def cases(rng: random.Random) -> Iterator[Case]:
    """Positives and mutants in turn."""
    makers = [maker for maker, weight in _KINDS for _ in range(weight)]
    while True:
        sample = rng.choice(makers)(rng)
        task = Task(
            prompt=f"{sample.prompt}\n\nPut your final answer in \\boxed{{}}.",
            facts={"answer": sample.answer, **sample.facts},
            verifier="maths",
        )
        yield _positive(task, sample, rng)
        yield _mutant(task, sample, rng)


def _positive(task: Task, sample: Sample, rng: random.Random) -> Case:
    form = rng.choice(sample.equal)
    if sample.prose and rng.random() < 0.3:
        text = rng.choice(_WORKING) + rng.choice(_SPOKEN).format(form)
        note = "an equal form in the last sentence"
    else:
        text = rng.choice(_WORKING) + rng.choice(_MARKED).format(form)
        note = "an equal form, marked"
    kind = rng.random()
    if kind < 0.12:
        wrong = rng.choice(sample.missed)[0]
        text = f"A first try gives \\boxed{{{wrong}}}. But that leaves out the second condition, so we start again.\n\n\\boxed{{{form}}}"
        note = "a first try boxed, then corrected"
    elif kind < 0.3:
        text = f"<think>Maybe \\boxed{{{rng.choice(sample.missed)[0]}}}? Let me see.</think>\n{text}"
        note += ", another in the thinking"
    elif kind < 0.4:
        return Case(task, Response(text, reasoning="Perhaps the answer is 999."), True, note)
    return Case(task, Response(text), True, f"{note}: {form[:40]}")


def _mutant(task: Task, sample: Sample, rng: random.Random) -> Case:
    wrong, what = rng.choice(sample.missed)
    right = rng.choice(sample.equal)
    working = rng.choice(_WORKING)
    kind = rng.randrange(14)
    if kind <= 6:
        return Case(task, Response(working + rng.choice(_MARKED).format(wrong)), False, what)
    text, note = {
        7: (
            f"<think>So it is \\boxed{{{right}}}.</think>\nI have worked it out above.",
            "the answer in the thinking only",
        ),
        8: (f"{working}It is \\boxed{{{right}}} or \\boxed{{{wrong or 0}}}.", "two boxes, side by side"),
        9: (f"{working}\\boxed{{{right}", "cut off in the box"),
        10: (task.prompt, "the prompt said again"),
        11: (f"{working}I cannot say whether the answer is {right}.", "unsure"),
        12: (
            rng.choice(
                (
                    "",
                    "   \n",
                    "I do not know.",
                    "I'm sorry, but I can't help with that.",
                    "\\boxed{}",
                    "\\boxed{?}",
                    "🤷",
                )
            ),
            "no answer",
        ),
        13: (f"{working}\\boxed{{{right}}}\n\\boxed{{{wrong or 0}}}", "the right box, then a wrong one"),
    }[kind]
    return Case(task, Response(text), False, note)
