"""What readers of documents raise over a text, and their common limit: below both `reading` and `markup`."""

from __future__ import annotations

MAX_DEPTH = 100
"""How deeply objects and arrays may be nested."""


class Unreadable(Exception):
    """A text is no document of the language that was asked for; the message says why, to people and models."""
