"""Text → tokens, for any text at all: a lexer without a grammar, which never fails.

It cuts where the language's own lexer cuts. What that one refuses (a text that is never closed, a stray character) is a
token here too, so that an editor can be answered in the middle of a word.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

TokenKind = Literal["name", "number", "text", "comment", "mark"]


class Token(NamedTuple):
    """A stretch of text; `end` is exclusive."""

    kind: TokenKind
    start: int
    end: int
    text: str

    @property
    def is_closed(self) -> bool:
        """Whether a text has its closing quotes."""
        quotes = '"""' if self.text.startswith('"""') else '"'
        return len(self.text) >= 2 * len(quotes) and self.text.endswith(quotes)


_TOKEN = re.compile(
    r'(?P<text>"""(?s:.*?)(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?)'
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<number>-?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)"
    r"|(?P<mark>\.\.|[=!<>]=|\S)"
)


def tokens(text: str) -> list[Token]:
    """The tokens of a text, comments too, in order."""
    return [
        Token(m.lastgroup, m.start(), m.end(), m.group())  # type: ignore[arg-type]
        for m in _TOKEN.finditer(text)
    ]
