"""When are two pieces of code the same? As syntax trees or values where the language has a parser here, else as text.

Python: the tree, so that comments, quotes, brackets and spacing do not count, and docstrings not where they are not asked
for. JSON and TOML: the value, with its types: 1 is not 1.0 and not true, and the order of keys does not count. Text: line
ends, white space at the ends of lines, blank lines around the code and an indentation common to all lines do not count.
"""

from __future__ import annotations

import ast
import functools
import json
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

from dataforge.verifiers import toml

MOST_CHARACTERS = 100_000
"""Longer code is not parsed."""


class Unparsable(Exception):
    """Code that does not parse; says where, and nothing of what is expected."""


def as_text(code: str) -> str:
    """The text that counts."""
    lines = [
        line.rstrip() for line in code.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4).split("\n")
    ]
    return textwrap.dedent("\n".join(lines)).strip("\n")


def as_python(code: str, *, docstrings: bool = False) -> str:
    """The syntax tree, written out.

    Raises:
        Unparsable: it is no Python.
    """
    try:
        tree = _parsed(code)
        if not docstrings:
            _drop_docstrings(tree)
        return ast.dump(tree)
    except SyntaxError as error:
        raise Unparsable(f"it is no Python: {error.msg}, line {error.lineno}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unparsable(f"it is no Python: {type(error).__name__}") from None


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that are none, and the like
        return ast.parse(as_text(code))


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
                and (len(node.body) > 1 or not isinstance(node, ast.Module))
            ):
                node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]


def as_json(code: str) -> str:
    """The value, written out with its types.

    Raises:
        Unparsable: it is no JSON.
    """
    try:
        value = json.loads(code, object_pairs_hook=_object, parse_constant=_constant)
        return _typed(value)
    except json.JSONDecodeError as error:
        raise Unparsable(f"it is no JSON: {error.msg.lower()}, line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"it is no JSON: {str(error) or type(error).__name__}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def as_toml(code: str) -> str:
    """The value, written out with its types.

    Raises:
        Unparsable: it is no TOML.
    """
    try:
        return _typed(toml.loads(code))
    except (ValueError, RecursionError) as error:
        raise Unparsable(f"it is no TOML: {str(error).lower() or type(error).__name__}") from None


def _typed(value: Any) -> str:
    if isinstance(value, dict):
        inner = ",".join(f"{json.dumps(key)}:{_typed(value[key])}" for key in sorted(value))
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_typed, value))}]"
    return f"{type(value).__name__} {value!r}"


PARSERS: dict[str, Callable[[str], str]] = {
    "python": as_python,
    "json": as_json,
    "toml": as_toml,
}
"""Languages with a parser here."""


@functools.lru_cache(maxsize=1024)
def expected(code: str, language: str, compare: str, docstrings: bool) -> str:
    """The normal form of what is expected; raises `Unparsable` where it does not parse."""
    return normal_form(code, language, compare, docstrings=docstrings)


def normal_form(code: str, language: str, compare: str, *, docstrings: bool) -> str:
    """What of a piece of code counts.

    Raises:
        Unparsable: it does not parse, and is to be compared by its tree.
    """
    if compare == "text":
        return as_text(code)
    if len(code) > MOST_CHARACTERS:
        raise Unparsable("it is too long to parse")
    if language == "python":
        return as_python(code, docstrings=docstrings)
    return PARSERS[language](code)


def says_nothing(code: str, language: str) -> bool:
    """Whether code that parses holds none: comments, `...`, `pass` or a bare constant alone, or an empty TOML document."""
    if language == "python":
        return all(
            isinstance(node, ast.Pass)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            for node in _parsed(code).body
        )
    return language == "toml" and not toml.loads(code)
