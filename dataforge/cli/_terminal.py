"""What the command line writes: text that cannot steer a terminal, and JSON that is the same bytes everywhere."""

from __future__ import annotations

import json
import re
import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

# Line ends and tabs are layout. Of the other characters without a glyph, only spaces may pass: controls could rewrite
# what is on the screen, bidirectional overrides its order, and surrogates cannot be encoded.
_SHOWN_AS_IS = frozenset("\n\t")
_UNSEEN = re.compile(
    r"[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""In JSON: controls, what turns the direction of reading, what hides, and halves of surrogate pairs."""


def printable(text: str) -> str:
    """The text with every character that could steer a terminal, or mislead its reader, shown as an escape."""
    if text.isprintable():
        return text
    return "".join(
        c if c in _SHOWN_AS_IS or c.isprintable() or unicodedata.category(c) == "Zs" else _escape(c)
        for c in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def say(text: str = "", *, err: bool = False) -> None:
    """A line for people, on stdout or stderr."""
    typer.echo(printable(text), err=err)


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """A document for machines, on stdout."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    # What could steer a terminal stands inside strings, where JSON has escapes of its own for it.
    print_bytes(_UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text) + "\n")


def print_bytes(text: str) -> None:
    """Text on stdout as UTF-8, whatever the locale says; a lone surrogate becomes its JSON escape."""
    sys.stdout.flush()
    typer.echo(text.encode("utf-8", "backslashreplace"), nl=False)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM end what is under way as Ctrl-C does: by KeyboardInterrupt in the main thread."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def few(words: Iterable[str], most: int = 12) -> str:
    """A list for people, cut where it would fill the screen."""
    listed = list(words)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
