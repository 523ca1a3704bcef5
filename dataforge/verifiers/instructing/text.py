"""A reply as a text of words, sentences, paragraphs and lines, each found once and only when asked for.

How words and sentences are counted is said in `words.py` and `sentences.py`. A **paragraph** is what stands between
blank lines, without the lines that are nothing but a divider (`***`, `---` or `___`). A **line** is what a line break ends, where
it is not blank.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

from dataforge.verifiers.instructing.sentences import sentence_spans
from dataforge.verifiers.instructing.words import Word, words_in
from dataforge.verifiers.protocol import Span

_GAP = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_DIVIDER = re.compile(r"^[^\S\n]*([*_-])[^\S\n]*(?:\1[^\S\n]*){2,}$", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\S[^\n]*")


class Text:
    """A text in Unicode's normal form C with `\\n` as its line break, without blank lines around it.

    Attributes:
        content: the text.
        moved: how far its characters stand behind those of the text it was made of; None where normalising has moved
            them unevenly, so that spans mean nothing outside.
    """

    def __init__(self, raw: str) -> None:
        content = raw
        even = True
        if "\r" in content:
            content, even = content.replace("\r\n", "\n").replace("\r", "\n"), False
        if not content.isascii() and not unicodedata.is_normalized("NFC", content):
            content, even = unicodedata.normalize("NFC", content), False
        if "\ufeff" in content or "\u200b" in content:
            content, even = content.replace("\ufeff", "").replace("\u200b", ""), False
        whole = content.rstrip()
        start = len(whole) - len(whole.lstrip())
        start = whole.rfind("\n", 0, start) + 1  # keep the first line's own indentation
        self.content = whole[start:]
        self.moved = start if even else None

    @cached_property
    def words(self) -> list[Word]:
        """Its words."""
        return words_in(self.content)

    @cached_property
    def forms(self) -> list[str]:
        """Its words, case folded."""
        return [word.text.casefold() for word in self.words]

    @cached_property
    def sentences(self) -> list[Span]:
        """Where its sentences stand, each with its closing mark."""
        return sentence_spans(self.content)

    @cached_property
    def sentence_words(self) -> list[list[Word]]:
        """The words of every sentence."""
        found: list[list[Word]] = [[] for _ in self.sentences]
        at = 0
        for word in self.words:
            while at < len(self.sentences) and word.start >= self.sentences[at][1]:
                at += 1
            if at < len(self.sentences) and word.start >= self.sentences[at][0]:
                found[at].append(word)
        return found

    @cached_property
    def paragraphs(self) -> list[Span]:
        """Where its paragraphs stand."""
        found = []
        start = 0
        gaps = [match.span() for match in _GAP.finditer(self.content)]
        for left, right in [*gaps, (len(self.content), len(self.content))]:
            piece = self.content[start:left]
            if piece.strip() and not _DIVIDER.fullmatch(piece.strip()):
                found.append((start, left))
            start = right
        return found

    @cached_property
    def lines(self) -> list[Span]:
        """Where its lines stand that are not blank."""
        return [match.span() for match in _LINE.finditer(self.content)]

    def piece(self, span: Span) -> str:
        """What stands in a span."""
        return self.content[span[0] : span[1]]
