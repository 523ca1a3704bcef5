"""Formulas: are two the same function of their letters? Parsed and compared by `math-verify`, checked in many digits.

`formula` says whether a text can be a formula at all and writes it for the parser: prose never gets there, since the parser
reads `I do not know` as a product of eleven letters. Decimals become fractions, so nothing is rounded on the way. Then

1. where the two differ at a point by more than the last of forty digits, they are not the same;
2. where `math-verify` says that they are the same, they are;
3. where they agree at every point, they are, though no simplification has shown it.

The time limits of `math-verify` rest on signals and are off: the worker process has its own.
"""

from __future__ import annotations

import functools
import logging
import re
from fractions import Fraction
from typing import Any

from dataforge.verifiers.mathematics.notation import closes_at
from dataforge.verifiers.mathematics.numerals import latex

LONGEST = 400
DIGITS = 40
FUNCTIONS = [
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "ln",
    "log",
    "exp",
    "sqrt",
    "pi",
    "min",
    "max",
    "gcd",
    "lcm",
    "det",
]
_COMMAND = re.compile(r"\\[A-Za-z]+")
_ALLOWED = re.compile(r"[A-Za-z0-9\\{}()\[\]+\-*/^_.!|' ]*")
_GREEK = frozenset(
    ["theta", "alpha", "beta", "gamma", "delta", "lambda", "mu", "omega", "phi", "rho", "sigma", "tau"]
)
"""Greek letters that stand for something."""
_KNOWN = frozenset(
    [
        "frac",
        "sqrt",
        "pi",
        "cdot",
        "times",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "ln",
        "log",
        "exp",
        "binom",
        *_GREEK,
        "infty",
        "circ",
        "overline",
        "lfloor",
        "rfloor",
        "lceil",
        "rceil",
    ]
)
_MARKED = re.compile(r"(?<![A-Za-z\\])([A-Za-z])('+)")
_TRANSPOSED = re.compile(r"\^\s*(?:T(?![A-Za-z])|\{\s*(?:T|\\top)\s*\}|\\top(?![A-Za-z]))")
_TOWER = re.compile(
    r"\^[^\^]{1,9}\^[^\^]{1,9}\^|\^\s*\{?\(?-?\d[\d.]*\s*\^|\^\s*\{?\(?-?\d{5,}|\d{5,}\)?\s*!|!\s*\)?\s*!|\\binom\s*\{\s*\d{4,}"
)


class Undecided(Exception):
    """The two formulas could not be compared: neither points nor simplification said anything."""


@functools.lru_cache(maxsize=2048)
def formula(text: str, *, trusted: bool = False) -> str | None:
    """A text in the spelling of `notation.plain` as LaTeX for the parser; None where it is no formula.

    A power of a power of numbers, a third power on top of two others, or a factorial of a factorial is one only in the truth
    (`trusted`): nothing that a task asks for needs it, and to work it out may take for ever. The parser drops `'` and reads
    `^T` as nothing, so `x'` is given as another letter, and `A^T` as a power.
    """
    if not text or len(text) > LONGEST or not _ALLOWED.fullmatch(text):
        return None
    if text.count("(") != text.count(")") or text.count("{") != text.count("}") or _deepest(text) > 30:
        return None
    if not trusted and _TOWER.search(text):
        return None
    text = _MARKED.sub(lambda found: f"{found[1]}_{{900{len(found[2])}}}", text)
    if "'" in text:
        return None
    text = _TRANSPOSED.sub("^{(T)}", text)
    text = text.replace("**", "^").replace("*", r" \cdot ")
    text = re.sub(r"\^\\circ ?", r" \\cdot \\frac{\\pi}{180} ", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\sqrt\s*(\d|[A-Za-z])(?![A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<!\\)\b(" + "|".join(FUNCTIONS) + r")(?![a-zA-Z])", r"\\\1 ", text)
    text = re.sub(r"(?<=\d)(pi|sqrt|sin|cos|tan|ln|log|exp)(?![a-z])", r"\\\1 ", text)
    text = _roots(text)
    text = re.sub(r"\^\s*(-?\d{2,})", r"^{\1}", text)
    text = re.sub(r"\d*\.\d+|\d+\.(?!\.)", _exact, text)
    if any(name[1:] not in _KNOWN for name in _COMMAND.findall(text)):
        return None
    runs = re.findall(r"[A-Za-z]+", _COMMAND.sub(" ", text))
    if any(len(run) > 4 for run in runs) or sum(map(len, runs)) > 60:
        return None
    if not re.search(r"[A-Za-z0-9]", text):
        return None
    return text.strip()


def _deepest(text: str) -> int:
    deepest = depth = 0
    for sign in text:
        depth += (sign in "({[") - (sign in ")}]")
        deepest = max(deepest, depth)
    return deepest


def _exact(found: re.Match[str]) -> str:
    return latex(Fraction(found[0] if found[0][0] != "." else "0" + found[0]))


def _roots(text: str) -> str:
    r"""`\sqrt(2)` with braces."""
    at = 0
    while (found := re.compile(r"\\sqrt\s*\(").search(text, at)) is not None:
        opening = found.end() - 1
        closing = closes_at(text, opening)
        if closing < 0:
            break
        text = f"{text[: found.start()]}\\sqrt{{{text[opening + 1 : closing]}}}{text[closing + 1 :]}"
        at = found.start() + 5
    return text


@functools.lru_cache(maxsize=2048)
def letters(latex: str) -> frozenset[str]:
    """The letters of a formula that stand for something, π and e left out."""
    greek = {name[1:] for name in _COMMAND.findall(latex)} & _GREEK
    return frozenset(set(re.findall(r"[A-Za-z]", _COMMAND.sub(" ", latex))) - {"e", "E"} | greek)


def same(truth: str, answer: str) -> bool:
    """Whether two formulas are the same.

    Raises:
        Undecided: nothing can be said; the truth cannot be read, or the two are never both finite.
    """
    first, second = _parsed(truth, answer)
    if second is None:
        return False
    if first == second:
        return True
    agree = _agree(first, second)
    if agree is False:
        return False
    if _verified(first, second):
        return True
    if agree is None:
        raise Undecided("no point shows whether the two are the same")
    return True


def proportional(truth: str, answer: str) -> bool:
    """Whether two formulas differ by a constant factor: whether both being zero is the same equation."""
    import sympy

    first, second = _parsed(truth, answer)
    if second is None:
        return False
    symbols = _symbols(first, second)
    ratios = [
        value
        for point in _points(len(symbols))
        if (value := _value(first / second, symbols, point)) is not None
    ]
    if len(ratios) < 4:
        raise Undecided("no point shows whether the two are the same")
    close = sympy.Float(10) ** -(DIGITS - 15)
    return abs(ratios[0]) > close and all(abs(value / ratios[0] - 1) < close for value in ratios)


def readable(made: str) -> bool:
    """Whether the parser can read a formula that `formula` made."""
    return r"\infty" in made or _parse(made, "i" in letters(made)) is not None


def real_value(text: str) -> Fraction | None:
    """A formula without letters, in thirty digits; None where it is none or not real."""
    found = _parse(text, False)
    if found is None or found.free_symbols:
        return None
    value = _value(found, [], ())
    if value is None or abs(float(_imaginary(value))) > 1e-25:
        return None
    return Fraction(str(_real(value)))


def _parsed(truth: str, answer: str) -> tuple[Any, Any]:
    imaginary = "i" in letters(truth) or "i" in letters(answer)
    first = _parse(truth, imaginary)
    if first is None:
        raise Undecided("the truth is no formula that can be read")
    return first, _parse(answer, imaginary)


@functools.lru_cache(maxsize=512)
def _parse(latex: str, imaginary: bool) -> Any:
    import sympy
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    try:
        found = latex2sympy(
            latex,
            is_real=not imaginary,
            convert_degrees=False,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
        found = found.doit()
        if imaginary:
            found = found.subs({symbol: sympy.I for symbol in found.free_symbols if symbol.name == "i"})
        return found if isinstance(found, sympy.Expr) else None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the parser raises whatever it likes over what it cannot read
        return None


def _verified(first: Any, second: Any) -> bool:
    import sympy.core.random
    from math_verify import verify

    logging.getLogger("math_verify.grader").setLevel(
        logging.ERROR
    )  # it warns that its own limit of time is off
    sympy.core.random.seed(0)  # simplification tries points of its own; a verdict must not depend on which
    return bool(verify(first, second, strict=True, timeout_seconds=None))


def _agree(first: Any, second: Any) -> bool | None:
    """Whether the two agree wherever both are finite; None where there are too few such points."""
    import sympy

    symbols = _symbols(first, second)
    close = sympy.Float(10) ** -(DIGITS - 15)
    finite = apart = 0
    points = _points(len(symbols))
    enough = min(4, len(points))
    for point in points:
        one, other = _value(first, symbols, point), _value(second, symbols, point)
        if one is None or other is None:
            apart += one is not None
            continue
        finite += 1
        if abs(one - other) > close * max(abs(one), abs(other)):
            return False
    if finite < enough and apart >= enough:
        return False  # an answer such as 1/0 has no value where the truth has one
    return True if finite >= enough else None


def _symbols(first: Any, second: Any) -> list[Any]:
    return sorted(first.free_symbols | second.free_symbols, key=str)


def _points(letters: int) -> list[tuple[Any, ...]]:
    """Points of both signs, none of them special: multiples of square roots of primes, as fractions.

    Each letter of each point has a prime of its own. Were they in any fixed relation, such as a constant difference, formulas
    in which only that relation counts would agree at every point.
    """
    import sympy

    if letters == 0:
        return [()]
    factors = [(1, 2), (3, -1), (-2, 3), (1, -4), (-5, 1), (7, 2), (-1, -3), (1, 5)]
    return [
        tuple(
            sympy.Rational(
                pair[k % 2]
                * sympy.integer_nthroot(sympy.prime(1 + number + k * len(factors)) * 10**24, 2)[0],
                10**12 * (3 + k),
            )
            for k in range(letters)
        )
        for number, pair in enumerate(factors)
    ]


def _value(expression: Any, symbols: list[Any], point: tuple[Any, ...]) -> Any:
    import sympy

    try:
        value = expression.subs(list(zip(symbols, point, strict=True))).evalf(DIGITS, maxn=400)
        real, imaginary = value.as_real_imag()
        if all((part.is_Float or part.is_Rational) and part.is_finite for part in (real, imaginary)):
            return real + imaginary * sympy.I
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
        pass
    return None


def _real(value: Any) -> Any:
    return value.as_real_imag()[0]


def _imaginary(value: Any) -> Any:
    return value.as_real_imag()[1]
