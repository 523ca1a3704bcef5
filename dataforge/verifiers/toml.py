"""TOML by `tomllib`, for text that a model wrote: dotted keys without end are refused before they are parsed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")
"""A key of so many parts; `tomllib` takes time by the square of their number."""


def loads(text: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """A document.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML, or a key of it has a hundred parts or more.
        RecursionError: it nests too deeply.
    """
    if _DEEP_KEY.search(text):
        raise tomllib.TOMLDecodeError("a key nests too deeply")
    return tomllib.loads(text, parse_float=parse_float)
