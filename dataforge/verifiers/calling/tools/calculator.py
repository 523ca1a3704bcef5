"""The tool `calculator`: arithmetic over Python's syntax tree, exact where it can be, bounded everywhere.

Numbers are fractions, so 0.1 + 0.2 is 0.3 and 1/3*3 is 1; roots, logarithms and angles are floats of 12 digits. Nothing is
evaluated as Python: a tree of operators, numbers and a few functions is walked. Expressions, exponents and results have a
size that they may not exceed, so no call takes more than a moment.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from dataforge.verifiers.calling.tools.tool import State, Tool, ToolError

LENGTH, DEPTH, BITS = 300, 50, 4096
"""The most characters, levels of nesting, and bits of a number's numerator or denominator."""

_ALPHABET = re.compile(r"[0-9A-Za-z+\-*/%^().,_ \t]+")
_GLUED = re.compile(r"\d[A-Za-df-z_]|\d[eE](?![+\-]?\d)|\d_")
"""A number with a letter at its end: Python reads `2if` with a warning, and nobody means `1_000` or `0x1F` here."""

_DIGITS, _FRACTION_DIGITS, _DECIMALS = 12, 16, 30
"""How many digits count of a float and of a fraction that never ends, and the most decimals of one that does."""


def calculate(expression: str) -> str:
    """The value of an expression, as digits: exactly, or with the digits that count.

    Raises:
        ToolError: it is none, has no value, or is too large.
    """
    if len(expression) > LENGTH:
        raise ToolError(f"an expression has at most {LENGTH} characters")
    text = expression.replace("×", "*").replace("÷", "/").replace("−", "-").strip()
    if not text:
        raise ToolError("the expression is empty")
    if not _ALPHABET.fullmatch(text) or _GLUED.search(text):
        raise ToolError("only numbers, + - * / // % ** ^ ( ) and functions such as sqrt(2) are understood")
    try:
        tree = ast.parse(text.replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError("this is no arithmetic expression") from error
    try:
        return digits(_value(tree.body, 0))
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error
    except OverflowError as error:
        raise ToolError("the result is too large") from error


Number = Fraction | float


def _value(node: ast.expr, depth: int) -> Number:
    if depth > DEPTH:
        raise ToolError("the expression is nested too deeply")
    match node:
        case ast.Constant(value=bool()):
            raise ToolError("only numbers are understood")
        case ast.Constant(value=int() | float() as number):
            return _bounded(Fraction(repr(number)) if math.isfinite(number) else number)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, depth + 1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left, depth + 1), _value(right, depth + 1)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            least, most, function = _FUNCTIONS[name]
            if not least <= len(args) <= most:
                raise ToolError(
                    f"`{name}` takes {least if least == most else f'{least} to {most}'} arguments"
                )
            values = [_value(arg, depth + 1) for arg in args]
            try:
                return _bounded(function(*values))
            except (ValueError, TypeError) as error:
                raise ToolError(f"`{name}` has no value there") from error
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)):
            raise ToolError(f"`{name}` is not known here")
    raise ToolError("only numbers, + - * / // % ** ^ ( ) and functions such as sqrt(2) are understood")


def _bounded(number: Number) -> Number:
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ToolError("the result is too large")
        return number
    if max(number.numerator.bit_length(), number.denominator.bit_length()) > BITS:
        raise ToolError("a number has too many digits")
    return number


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent.numerator) * size > BITS:
            if abs(base) not in (0, 1):
                raise ToolError("a number has too many digits")
            if base == 0 and exponent < 0:
                raise ZeroDivisionError
            return base if exponent.numerator % 2 else abs(base)
        return Fraction(base**exponent.numerator)
    if base < 0:
        raise ToolError("a negative number has no such power among the real numbers")
    root: float = float(base) ** float(exponent)
    return root


def _whole(function: Callable[[Number], int]) -> Callable[[Number], Number]:
    return lambda number: Fraction(function(number))


def _root(number: Number) -> Number:
    if number < 0:
        raise ToolError("a negative number has no square root among the real numbers")
    if isinstance(number, Fraction):
        up, down = math.isqrt(number.numerator), math.isqrt(number.denominator)
        if up * up == number.numerator and down * down == number.denominator:
            return Fraction(up, down)
    return math.sqrt(number)


def _round(number: Number, places: Number = Fraction(0)) -> Number:
    if Fraction(places).denominator != 1 or not -20 <= places <= 20:
        raise ToolError("`round` takes a whole number of places, from -20 to 20")
    scale = Fraction(10) ** int(places)
    scaled = abs(Fraction(number)) * scale
    rounded = Fraction(math.floor(scaled + Fraction(1, 2))) / scale  # halves away from zero, as people round
    return rounded if number >= 0 else -rounded


def _combined(function: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    def run(one: Number, two: Number) -> Number:
        first, second = Fraction(one), Fraction(two)
        if (
            first.denominator != 1
            or second.denominator != 1
            or not (abs(first) < 10**12 and abs(second) < 10**12)
        ):
            raise ToolError("whole numbers of at most 12 digits are needed there")
        return Fraction(function(first.numerator, second.numerator))

    return run


def _factorial(number: Number) -> Number:
    if Fraction(number).denominator != 1 or not 0 <= number <= 400:
        raise ToolError("`factorial` takes a whole number from 0 to 400")
    return Fraction(math.factorial(int(number)))


def _logarithm(number: Number, base: Number | None = None) -> Number:
    return math.log(number) if base is None else math.log(number) / math.log(base)


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda one, two: one + two,
    ast.Sub: lambda one, two: one - two,
    ast.Mult: lambda one, two: one * two,
    ast.Div: lambda one, two: one / two,
    ast.FloorDiv: lambda one, two: Fraction(one // two),
    ast.Mod: lambda one, two: one % two,
    ast.Pow: _power,
}
_CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e}
_MANY = 50
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Number]]] = {
    "sqrt": (1, 1, _root),
    "abs": (1, 1, abs),
    "round": (1, 2, _round),
    "floor": (1, 1, _whole(math.floor)),
    "ceil": (1, 1, _whole(math.ceil)),
    "min": (1, _MANY, lambda *numbers: min(numbers)),
    "max": (1, _MANY, lambda *numbers: max(numbers)),
    "sum": (1, _MANY, lambda *numbers: sum(numbers, Fraction(0))),
    "gcd": (2, 2, _combined(math.gcd)),
    "lcm": (2, 2, _combined(math.lcm)),
    "factorial": (1, 1, _factorial),
    "exp": (1, 1, math.exp),
    "log": (1, 2, _logarithm),
    "ln": (1, 1, math.log),
    "log10": (1, 1, math.log10),
    "log2": (1, 1, math.log2),
    "sin": (1, 1, math.sin),
    "cos": (1, 1, math.cos),
    "tan": (1, 1, math.tan),
}


def digits(number: Number) -> str:
    """A number as digits: all of them, or those that count where it never ends."""
    if isinstance(number, Fraction):
        if number.denominator == 1:
            return str(number.numerator)
        places = _places(number.denominator)
        if places is not None:
            scaled = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
            return ("-" if number < 0 else "") + f"{scaled[:-places]}.{scaled[-places:]}"
        return _cut(number)
    # Twelve digits: the last ones of a float differ between mathematical libraries.
    text = f"{number:.{_DIGITS}g}"
    return "0" if text == "-0" else text


def _cut(number: Fraction) -> str:
    """A fraction whose decimals never end, by whole numbers alone, so that no library's rounding comes into it."""
    size = len(str(abs(number.numerator))) - len(str(number.denominator))  # the power of ten, or one too many
    places = max(_FRACTION_DIGITS - size, 0)
    scaled = str(round(abs(number) * 10**places)).rjust(places + 1, "0")
    text = f"{scaled[:-places]}.{scaled[-places:]}".rstrip("0").rstrip(".") if places else scaled
    return f"-{text}" if number < 0 and text.strip("0.") else text


def _places(denominator: int) -> int | None:
    """How many decimals a fraction has, if they end soon."""
    for places in range(1, _DECIMALS + 1):
        if 10**places % denominator == 0:
            return places
    return None


def _run(state: State, arguments: Mapping[str, Any]) -> str:
    return calculate(arguments["expression"])


CALCULATOR = Tool(
    "calculator",
    "Computes an arithmetic expression: + - * / // % ** and sqrt, abs, round, floor, ceil, min, max, sum, gcd, lcm, factorial, "
    "exp, log, ln, log10, log2, sin, cos, tan, pi, e.",
    {"expression": {"type": "string", "description": "such as (17 + 4) * 2.5"}},
    ("expression",),
    _run,
)
