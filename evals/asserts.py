"""Tests of HumanEval and MBPP, which are assertions, as calls with what they must return.

A program that is run together with its assertions can pass by other means than being right: ending early, or an object that is
equal to everything. So each assertion is taken apart, `assert f(1, [2]) == 3` into the arguments and the value, which are compared
where the program cannot reach them. What cannot be said so, such as a loop over random inputs, leaves its item out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

Pair = tuple[list[Any], Any]
"""Arguments and the value that they must give, as JSON values."""


_WHOLE = 10**6
_FINE = 1e-6
"""Below the one, the other is no whole number's distance from the next, even in proportion."""


class Inexpressible(ValueError):
    """A test that is no list of calls with literal arguments and values."""


def pairs(source: str, function: str, called: str | None = None) -> tuple[list[Pair], float | None]:
    """The calls of a test's source, and the tolerance that its assertions name.

    Args:
        source: assertions, alone or within a function `check(candidate)`.
        function: the function under test.
        called: what the assertions call it.

    Raises:
        Inexpressible: an assertion is another kind of test.
    """
    name = called or function
    found: list[Pair] = []
    tolerance: float | None = None
    for test in _assertions(ast.parse(source)):
        arguments, expected, near = _call(test, name)
        found.append((arguments, expected))
        if near is not None:
            tolerance = near if tolerance is None else max(tolerance, near)
    if not found:
        raise Inexpressible("there is no assertion")
    if tolerance is None or tolerance <= _FINE:
        found = [(arguments, _number(expected)) for arguments, expected in found]
    return found, tolerance


def _assertions(tree: ast.Module) -> Iterator[ast.expr]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for inner in node.body:
                yield from _of(inner)
        else:
            yield from _of(node)


def _of(node: ast.stmt) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assert):
        if isinstance(node.test, ast.Constant) and node.test.value is True:
            return  # `assert True, "…"`: a remark
        yield node.test
    elif isinstance(node, ast.Assign):
        if not (
            len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "METADATA"
        ):
            raise Inexpressible("a test makes values of its own")
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.Call):
        if isinstance(node.value, ast.Call) and not (
            isinstance(node.value.func, ast.Name) and node.value.func.id == "print"
        ):
            raise Inexpressible("a test calls something else")
    elif not isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        raise Inexpressible(f"a test has a statement of the kind {type(node).__name__}")


def _call(test: ast.expr, name: str) -> tuple[list[Any], Any, float | None]:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _arguments(test.operand, name), False, None
    if isinstance(test, ast.Call):
        return _arguments(test, name), True, None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        raise Inexpressible("an assertion compares nothing")
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Eq | ast.Is):
        if _is_call(right, name):
            left, right = right, left
        return _arguments(left, name), _value(right), None
    # abs(f(x) - y) < 1e-6
    if isinstance(operator, ast.Lt | ast.LtE) and isinstance(left, ast.Call) and len(left.args) == 1:
        inside = left.args[0]
        is_abs = isinstance(left.func, ast.Name) and left.func.id == "abs"
        if is_abs and isinstance(inside, ast.BinOp) and isinstance(inside.op, ast.Sub):
            return _arguments(inside.left, name), _value(inside.right), float(_value(right))
    raise Inexpressible("an assertion is of another form")


def _is_call(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _arguments(node: ast.expr, name: str) -> list[Any]:
    if not _is_call(node, name):
        raise Inexpressible("an assertion calls another function")
    assert isinstance(node, ast.Call)
    if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        raise Inexpressible("an assertion names arguments")
    return [_value(each, argument=True) for each in node.args]


def _value(node: ast.expr, *, argument: bool = False) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = _computed(node)
    return _plain(value, argument=argument)


def _computed(node: ast.expr) -> Any:
    """A value of arithmetic over numbers, such as `2 ** 10` or `-(3 + 4)`."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_computed(operand)
        case ast.BinOp(left=left, op=operator, right=right):
            one, other = _computed(left), _computed(right)
            match operator:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div() if other:
                    return one / other
                case ast.Pow() if abs(other) <= 64:
                    return one**other
    raise Inexpressible("a value is no literal")


def _number(value: Any) -> Any:
    """A value with its whole numbers as floats, which `code` compares by value: `==` takes 2.0 for 2, and so must we."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _WHOLE:
        return float(value)
    if isinstance(value, list):
        return [_number(each) for each in value]
    if isinstance(value, dict):
        return {key: _number(each) for key, each in value.items()}
    return value


def _plain(value: Any, *, argument: bool) -> Any:
    """A value as JSON has it. A tuple that is returned may be compared as a list; one that is given is no list."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, list) or (isinstance(value, tuple) and not argument):
        return [_plain(each, argument=argument) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(each, argument=argument) for key, each in value.items()}
    raise Inexpressible(f"a value is a {type(value).__name__}, which JSON lacks")
