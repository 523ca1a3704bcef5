"""When are two texts the same? Normal forms, each of which states what it takes away.

Always: Unicode NFC, and white space of any kind is one space and none at the ends. By option: case (Unicode's case folding),
punctuation, and the English articles, as SQuAD scores answers. Unlike there, punctuation that belongs to a number stays: -5 is
not 5, and 3.5 is not 35; so do signs that stand for a word, such as % and #. Look-alikes of other scripts and characters that cannot be seen make a text another text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_WORD_SIGNS = frozenset("%‰&@#§")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_MOST_MARKED = 10_000
"""From a longer text no marks are taken off."""
_PAIRS = ("**", "__", "*", "_", "``", "`", '"', "'", "$$", "$")
_BRACKETS = {"“": "”", "‘": "’", "«": "»", "„": "“", "「": "」", r"\(": r"\)", r"\[": r"\]"}
_EXCLAIMED = re.compile(r"[^\W\d_]{2}[!！]\Z")
"""Behind a word; behind a number or a letter it may be a factorial."""
_LATEX = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|emph|boxed|fbox)\s*\{([^{}]*)\}\Z")


def normal(
    text: str,
    *,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_articles: bool = False,
) -> str:
    """The normal form of a text; two texts are the same where theirs are."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if ignore_case:
        text = text.casefold()
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
    if ignore_punctuation:
        text = without_punctuation(text)
    if ignore_articles:
        text = _ARTICLES.sub(" ", text)
    return " ".join(text.split())


def without_punctuation(text: str) -> str:
    """The text without punctuation, save what belongs to a number: `-5`, `.5`, `3.5`, `1,000`, `12:30`."""
    kept = []
    last = len(text) - 1
    for index, char in enumerate(text):
        if (
            char.isalnum()
            or char.isspace()
            or char in _WORD_SIGNS
            or not unicodedata.category(char).startswith("P")
        ):
            kept.append(char)
            continue
        before = text[index - 1] if index else " "
        digit_follows = index < last and text[index + 1].isdigit()
        if digit_follows and (before.isdigit() or (char in "-.‐‑" and not before.isalnum())):
            kept.append(char)
    return "".join(kept)


def bare(text: str) -> str:
    """The text without emphasis, quotes, dollar signs or LaTeX around it, and without the mark that ends its sentence."""
    *_, last = layers(text)
    return last


def layers(text: str) -> Iterator[str]:
    """The text without white space at its ends, and then with one more kind of mark taken off each time."""
    text = text.strip()
    while True:
        yield text
        inner = _within(text).strip() if len(text) <= _MOST_MARKED else text
        if inner == text or not inner:
            return
        text = inner


def _within(text: str) -> str:
    if (text.endswith((".", "。")) and not text.endswith("..")) or _EXCLAIMED.search(
        text, max(0, len(text) - 3)
    ):
        return text[:-1]
    for mark in _PAIRS:
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            inner = text[len(mark) : -len(mark)]
            if mark not in inner:
                return inner
    for opening, closing in _BRACKETS.items():
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            return text[len(opening) : -len(closing)]
    if text.startswith("\\") and (wrapped := _LATEX.match(text)):
        return wrapped[1]
    return text
