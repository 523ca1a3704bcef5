"""Calls in Python's syntax: `[NAME(KEY=VALUE, …), …]`, or one alone. Nothing is run: values are literals that JSON has as well."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from dataforge.verifiers.calling.strict_json import NotJson, value_of, written

BEGIN = re.compile(r"(?P<list>\[\s*)?(?P<name>[A-Za-z_][\w.]*)\s*\(")
"""What such calls begin with."""

LONGEST = 20_000
"""Characters that are given to Python's parser."""


class NotCalls(ValueError):
    """A text is no calls; the message says why."""


def calls_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments of the calls that a whole text is.

    Raises:
        NotCalls: it is something else.
    """
    if len(text) > LONGEST:
        raise NotCalls("the calls are too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            tree = ast.parse(text, mode="eval").body
        return [_call(node) for node in (tree.elts if isinstance(tree, ast.List) else [tree])]
    except NotCalls:
        raise
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise NotCalls("the calls can't be read as Python's") from error


def _call(node: ast.expr) -> tuple[str, dict[str, Any]]:
    if not isinstance(node, ast.Call) or node.args or any(one.arg is None for one in node.keywords):
        raise NotCalls("a call has arguments with names, and nothing else")
    arguments = {str(one.arg): ast.literal_eval(one.value) for one in node.keywords}
    if len(arguments) < len(node.keywords):
        raise NotCalls("an argument stands twice in one call")
    try:
        plain = value_of(written(arguments)) == arguments
    except NotJson:
        plain = False
    if not plain:  # such as a tuple, or an object with a number as a key
        raise NotCalls("a value is none that JSON has")
    return ast.unparse(node.func), arguments
