"""Bare exercises, from fractions to derivatives: what is computed is said in symbols."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction

from dataforge.verifiers.mathematics.problems import Maker, Problem


def tex(value: Fraction | int) -> str:
    r"""A number in LaTeX: `-\frac{3}{4}`."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def polynomial(coefficients: Sequence[Fraction | int], letter: str = "x") -> str:
    """From the highest power down: `[2, 0, -1]` is `2x^2 - 1`."""
    made = ""
    degree = len(coefficients) - 1
    for at, coefficient in enumerate(map(Fraction, coefficients)):
        power = degree - at
        if not coefficient:
            continue
        sign = "-" if coefficient < 0 else "+"
        size = abs(coefficient)
        number = "" if size == 1 and power else tex(size)
        letters = (
            ""
            if power == 0
            else letter
            if power == 1
            else f"{letter}^{{{power}}}"
            if power > 9
            else f"{letter}^{power}"
        )
        made += (f" {sign} " if made else "-" if coefficient < 0 else "") + number + letters
    return made or "0"


def _nonzero(rng: random.Random, most: int) -> int:
    return rng.choice([value for value in range(-most, most + 1) if value])


def arithmetic(rng: random.Random, level: int) -> Problem:
    """Whole numbers and the four operations."""
    size = (20, 200, 2000)[level]
    a, b, c = (rng.randint(2, size) for _ in range(3))
    text, value = rng.choice(
        [
            (f"{a} + {b} \\cdot {c}", a + b * c),
            (f"({a} - {b}) \\cdot {c}", (a - b) * c),
            (f"{a * b} \\div {b} - {c}", a - c),
            (f"{a} - ({b} - {c})", a - b + c),
        ]
    )
    return Problem(
        rng.choice([f"Compute ${text}$.", f"What is the value of ${text}$?", f"Evaluate: ${text}$"]),
        str(value),
    )


def fractions(rng: random.Random, level: int) -> Problem:
    """Two or three fractions."""
    most = (6, 12, 30)[level]
    a, b = (Fraction(_nonzero(rng, most), rng.randint(2, most)) for _ in range(2))
    sign, value = rng.choice([("+", a + b), ("-", a - b), ("\\cdot", a * b), ("\\div", a / b)])
    second = f"\\left({tex(b)}\\right)" if b < 0 else tex(b)
    return Problem(
        f"Calculate ${tex(a)} {sign} {second}$. Give the result as a whole number or as a fraction in lowest terms.",
        tex(value),
        {"form": "lowest"},
    )


def decimals(rng: random.Random, level: int) -> Problem:
    """Decimals added or multiplied, exactly."""
    places = level + 1
    a, b = (Fraction(rng.randint(11, 10 ** (places + 2)), 10**places) for _ in range(2))
    sign, value = rng.choice([("+", a + b), ("-", a - b), ("\\times", a * b)])
    return Problem(
        f"What is ${decimal(a)} {sign} {decimal(b)}$? Give the exact value.",
        decimal(value),
    )


def decimal(value: Fraction) -> str:
    """An exact decimal."""
    sign, value = ("-" if value < 0 else ""), abs(value)
    for places in range(40):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(scaled.numerator).rjust(places + 1, "0")
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    raise AssertionError(value)


def linear_equations(rng: random.Random, level: int) -> Problem:
    """One unknown on one or both sides."""
    letter = rng.choice("xyzt")
    a, b, c = _nonzero(rng, 9), rng.randint(-20, 20), rng.randint(-9, 9)
    if a == c:
        c += 1
    solution = Fraction(rng.randint(-12, 12), 1 if level < 2 else rng.choice((2, 3, 4)))
    if level == 0:
        c = 0
    d = (a - c) * solution + b
    right = polynomial([c, d], letter) if c else tex(d)
    return Problem(
        f"Solve for ${letter}$: ${polynomial([a, b], letter)} = {right}$", f"{letter} = {tex(solution)}"
    )


def systems(rng: random.Random, level: int) -> Problem:
    """Two equations in two unknowns."""
    most = (5, 9, 15)[level]
    x, y = rng.randint(-most, most), rng.randint(-most, most)
    while True:
        a, b, c, d = (_nonzero(rng, most) for _ in range(4))
        if a * d != b * c:
            break

    def side(p: int, q: int) -> str:
        q_part = f"{'-' if q < 0 else '+'} {'' if abs(q) == 1 else abs(q)}y"
        return f"{'' if p == 1 else '-' if p == -1 else p}x {q_part}"

    text = (
        f"\\begin{{cases}} {side(a, b)} = {a * x + b * y} \\\\ {side(c, d)} = {c * x + d * y} \\end{{cases}}"
    )
    return Problem(
        f"Solve the system ${text}$. Give the answer as an ordered pair $(x, y)$.",
        f"({x}, {y})",
        {"kind": "tuple"},
    )


def quadratics(rng: random.Random, level: int) -> Problem:
    """All roots of a quadratic equation; at the highest level with a square root in them."""
    if level == 2:
        half, under = rng.randint(-6, 6), rng.choice((2, 3, 5, 6, 7, 10, 11))
        text = polynomial([1, -2 * half, half * half - under])
        first, second = (
            f"{half} {sign} \\sqrt{{{under}}}" if half else f"{'' if sign == '+' else '-'}\\sqrt{{{under}}}"
            for sign in "+-"
        )
        return Problem(f"Find all real solutions of ${text} = 0$.", [first, second])
    p, q = rng.sample(range(-9, 10), 2)
    a = 1 if level == 0 else rng.choice((2, 3, -1))
    text = polynomial([a, -a * (p + q), a * p * q])
    return Problem(f"Find all solutions of ${text} = 0$.", [str(p), str(q)])


def sequences(rng: random.Random, level: int) -> Problem:
    """A term or a sum of an arithmetic or geometric sequence."""
    first, step, n = rng.randint(-9, 20), _nonzero(rng, 9), rng.randint(6, (12, 40, 120)[level])
    if rng.random() < 0.5:
        terms = ", ".join(str(first + k * step) for k in range(4))
        if level < 2:
            return Problem(
                f"The arithmetic sequence ${terms}, \\ldots$ goes on forever. What is its term number {n}?",
                str(first + (n - 1) * step),
            )
        return Problem(
            f"What is the sum of the first {n} terms of the arithmetic sequence ${terms}, \\ldots$?",
            str(n * (2 * first + (n - 1) * step) // 2),
        )
    ratio, start, n = rng.choice((2, 3, -2, 5)), rng.randint(1, 7), rng.randint(5, 6 + 2 * level)
    terms = ", ".join(str(start * ratio**k) for k in range(3))
    return Problem(
        f"In the geometric sequence ${terms}, \\ldots$, which number is term number {n}?",
        str(start * ratio ** (n - 1)),
    )


def number_theory(rng: random.Random, level: int) -> Problem:
    """Divisors, remainders, common multiples."""
    most = (60, 300, 2000)[level]
    a, b = rng.randint(6, most), rng.randint(6, most)
    modulus = rng.randint(5, 13)
    return rng.choice(
        [
            Problem(f"What is the greatest common divisor of {a} and {b}?", str(math.gcd(a, b))),
            Problem(f"What is the least common multiple of {a} and {b}?", str(math.lcm(a, b))),
            Problem(
                f"Find the remainder when ${a}^{{{b % 9 + 2}}}$ is divided by {modulus}.",
                str(pow(a, b % 9 + 2, modulus)),
            ),
            Problem(
                f"How many positive divisors does {a} have?",
                str(sum(1 for k in range(1, a + 1) if a % k == 0)),
            ),
        ]
    )


def inequalities(rng: random.Random, level: int) -> Problem:
    """The solutions of an inequality, as an interval or a union of two."""
    if level == 0:
        a, end = _nonzero(rng, 6), rng.randint(-9, 9)
        sign = rng.choice(("<", ">", "\\le", "\\ge"))
        b = rng.randint(-9, 9)
        flip = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
        solved = sign if a > 0 else flip[sign]
        answer = {
            "<": f"(-\\infty, {end})",
            "\\le": f"(-\\infty, {end}]",
            ">": f"({end}, \\infty)",
            "\\ge": f"[{end}, \\infty)",
        }[solved]
        text = f"{polynomial([a, b])} {sign} {a * end + b}"
    else:
        p, q = sorted(rng.sample(range(-9, 10), 2))
        sign = rng.choice(("<", ">", "\\le", "\\ge"))
        text = f"{polynomial([1, -(p + q), p * q])} {sign} 0"
        answer = {
            "<": f"({p}, {q})",
            "\\le": f"[{p}, {q}]",
            ">": f"(-\\infty, {p}) \\cup ({q}, \\infty)",
            "\\ge": f"(-\\infty, {p}] \\cup [{q}, \\infty)",
        }[sign]
    return Problem(
        f"Solve ${text}$ and write the solution in interval notation.", answer, {"kind": "interval"}
    )


def sets(rng: random.Random, level: int) -> Problem:
    """Unions, intersections and differences."""
    size = 4 + level
    a, b = (sorted(rng.sample(range(1, 8 + 3 * level), size)) for _ in range(2))
    name, found = rng.choice(
        [
            ("A \\cup B", sorted({*a, *b})),
            ("A \\cap B", sorted({*a} & {*b})),
            ("A \\setminus B", sorted({*a} - {*b})),
        ]
    )
    if not found:
        name, found = "A \\cup B", sorted({*a, *b})
    listed = ["\\{" + ", ".join(map(str, entry)) + "\\}" for entry in (a, b, found)]
    return Problem(f"Let $A = {listed[0]}$ and $B = {listed[1]}$. Find ${name}$.", listed[2], {"kind": "set"})


def matrices(rng: random.Random, level: int) -> Problem:
    """Sums and products of matrices, determinants."""
    most = (4, 6, 9)[level]
    a, b = ([[rng.randint(-most, most) for _ in range(2)] for _ in range(2)] for _ in range(2))
    product = [[sum(a[i][k] * b[k][j] for k in range(2)) for j in range(2)] for i in range(2)]
    total = [[a[i][j] + b[i][j] for j in range(2)] for i in range(2)]
    if rng.random() < 0.25:
        return Problem(
            f"What is the determinant of ${_matrix(a)}$?", str(a[0][0] * a[1][1] - a[0][1] * a[1][0])
        )
    sign, found = rng.choice([("", product), ("+ ", total)])
    return Problem(f"Compute ${_matrix(a)} {sign}{_matrix(b)}$.", _matrix(found), {"kind": "matrix"})


def _matrix(rows: list[list[int]]) -> str:
    return "\\begin{pmatrix} " + " \\\\ ".join(" & ".join(map(str, row)) for row in rows) + " \\end{pmatrix}"


def derivatives(rng: random.Random, level: int) -> Problem:
    """The derivative of a polynomial, or its value at a place."""
    coefficients = [_nonzero(rng, 9), *(rng.randint(-9, 9) for _ in range(level + 2))]
    degree = len(coefficients) - 1
    derived = [coefficient * (degree - at) for at, coefficient in enumerate(coefficients[:-1])]
    if rng.random() < 0.4:
        place = rng.randint(-3, 3)
        value = sum(c * place ** (degree - 1 - at) for at, c in enumerate(derived))
        return Problem(f"Let $f(x) = {polynomial(coefficients)}$. What is $f'({place})$?", str(value))
    return Problem(
        f"Differentiate $f(x) = {polynomial(coefficients)}$ with respect to $x$.",
        polynomial(derived),
        {"kind": "expression", "form": "expanded"},
    )


def integrals(rng: random.Random, level: int) -> Problem:
    """The integral of a polynomial between two whole numbers."""
    coefficients = [_nonzero(rng, 6), *(rng.randint(-6, 6) for _ in range(level + 1))]
    low = rng.randint(-2, 1)
    high = low + rng.randint(1, 3)
    degree = len(coefficients) - 1
    value = sum(
        (
            Fraction(c, degree - at + 1) * (high ** (degree - at + 1) - low ** (degree - at + 1))
            for at, c in enumerate(coefficients)
        ),
        Fraction(0),
    )
    return Problem(
        f"Evaluate $\\int_{{{low}}}^{{{high}}} \\left({polynomial(coefficients)}\\right) dx$.", tex(value)
    )


def expanding(rng: random.Random, level: int) -> Problem:
    """A product of brackets multiplied out."""
    factors = [[_nonzero(rng, 5), _nonzero(rng, 9)] for _ in range(2 + (level == 2))]
    product = [1]
    for factor in factors:
        made = [0] * (len(product) + 1)
        for i, p in enumerate(product):
            for j, f in enumerate(factor):
                made[i + j] += p * f
        product = made
    text = "".join(f"({polynomial(factor)})" for factor in factors)
    return Problem(
        f"Expand and simplify ${text}$.", polynomial(product), {"kind": "expression", "form": "expanded"}
    )


def factoring(rng: random.Random, level: int) -> Problem:
    """A quadratic written as a product."""
    p, q = rng.sample([value for value in range(-9, 10) if value], 2)
    a = (1, 2, 3)[level]
    roots = "".join(f"(x {'-' if root > 0 else '+'} {abs(root)})" for root in (p, q))
    answer = ("" if a == 1 else str(a)) + roots
    return Problem(
        f"Factor ${polynomial([a, -a * (p + q), a * p * q])}$ completely over the integers.",
        answer,
        {"kind": "expression", "form": "factored"},
    )


def radicals(rng: random.Random, level: int) -> Problem:
    """A square root brought to its simplest form."""
    outside, under = rng.randint(2, 5 + 4 * level), rng.choice((2, 3, 5, 6, 7))
    return Problem(
        f"Simplify $\\sqrt{{{outside * outside * under}}} + {level + 1}\\sqrt{{{under}}}$ to a single term.",
        f"{outside + level + 1}\\sqrt{{{under}}}",
        {"kind": "expression"},
    )


EXERCISES: dict[str, Maker] = {
    "arithmetic": arithmetic,
    "fractions": fractions,
    "decimals": decimals,
    "linear equations": linear_equations,
    "systems of equations": systems,
    "quadratic equations": quadratics,
    "sequences": sequences,
    "number theory": number_theory,
    "inequalities": inequalities,
    "sets": sets,
    "matrices": matrices,
    "derivatives": derivatives,
    "integrals": integrals,
    "expanding": expanding,
    "factoring": factoring,
    "radicals": radicals,
}
