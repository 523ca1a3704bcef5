"""Where a brace of LaTeX is closed: what several verifiers need to read `\\boxed{…}`."""

from __future__ import annotations

import re

_SIGN = re.compile(r"\\.|[{}]", re.DOTALL)


def closing_brace(text: str, opening: int) -> int:
    """The place of the brace that closes the one at `opening`; -1 where none does. Escaped braces do not count."""
    depth = 0
    for sign in _SIGN.finditer(text, opening):
        depth += (sign[0] == "{") - (sign[0] == "}")
        if depth == 0 and sign[0] == "}":
            return sign.start()
    return -1
