"""The items of a whole text, where they stand now, and the words in them.

Made anew after each edit from what `roles` remembers of each item's text, so that it costs a few milliseconds at a
thousand nodes. Everything that has a place (a definition, a use, a symbol, a fold) is found here, in the text as it is
at this moment: the compiler's own spans are of a text that may be gone.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from dataforge.lang.parse import cuts
from dataforge.server import roles
from dataforge.server.forms import Role
from dataforge.server.roles import ItemWords, Place, Word


@dataclass(frozen=True)
class Item:
    """One item: what it says, and where its piece of the text begins. All offsets are into the whole text."""

    words: ItemWords
    base: int

    @property
    def keyword(self) -> str:
        return self.words.keyword

    @property
    def name(self) -> str:
        return self.words.name

    @property
    def span(self) -> tuple[int, int]:
        return self.base + self.words.start, self.base + self.words.end

    @property
    def name_span(self) -> tuple[int, int]:
        start, end = self.words.name_span
        return self.base + start, self.base + end

    @property
    def paths(self) -> list[str]:
        """The files that it names."""
        return [word.text.strip('"') for word in self.words.words if word.role is Role.PATH]

    def __iter__(self) -> Iterator[Word]:
        base = self.base
        for word in self.words.words:
            yield word._replace(start=word.start + base, end=word.end + base)


@dataclass(frozen=True)
class Outline:
    """The items of a text, in order."""

    text: str = field(repr=False)
    items: tuple[Item, ...]
    bases: tuple[int, ...] = field(repr=False)

    @functools.cached_property
    def declared(self) -> dict[str, Item]:
        """Name → the item that declares it; the first, where there are several."""
        found: dict[str, Item] = {}
        for item in self.items:
            if item.name and item.keyword not in ("example", "from"):
                found.setdefault(item.name, item)
        return found

    @functools.cached_property
    def imported(self) -> dict[str, Imported]:
        """Local name → what is imported under it."""
        found: dict[str, Imported] = {}
        for item in self.items:
            if item.keyword == "from":
                for imported in _imports(item):
                    found.setdefault(imported.local, imported)
        return found

    def items_at(self, offset: int) -> Iterator[Item]:
        """The items of the piece of text in which an offset lies."""
        base = self.bases[max(0, bisect.bisect_right(self.bases, offset) - 1)] if self.bases else 0
        start = bisect.bisect_left(self.items, base, key=lambda item: item.base)
        for item in self.items[start:]:
            if item.base != base:
                return
            yield item

    def word_at(self, offset: int) -> tuple[Item, Word] | None:
        """The word or text that an offset touches; of two that meet there, the one that begins."""
        found = None
        for item in self.items_at(offset):
            for word in item:
                if word.start == offset or (found is None and word.start < offset <= word.end):
                    found = item, word
        if found is None and offset in self.bases:  # at the end of the piece before
            for item in self.items_at(offset - 1):
                for word in item:
                    if word.end == offset:
                        found = item, word
        return found

    def place_at(self, offset: int) -> tuple[Place, int]:
        """What may stand at an offset, and where its piece of the text begins."""
        number = max(0, bisect.bisect_right(self.bases, offset) - 1)
        base = self.bases[number] if self.bases else 0
        if base == offset and number > 0 and self.text[offset - 1 : offset] != "\n":
            number -= 1
            base = self.bases[number]
        end = self.bases[number + 1] if number + 1 < len(self.bases) else len(self.text)
        return roles.place_at(self.text[base:end], offset - base), base


@dataclass(frozen=True)
class Imported:
    """One imported name: `origin` is a dotted module, or the path of a file where `is_file`."""

    name: str
    local: str
    origin: str
    is_file: bool
    span: tuple[int, int]
    local_span: tuple[int, int]


def outline(text: str) -> Outline:
    """The outline of a text."""
    bounds = cuts(text)
    items = [
        Item(item, start)
        for start, end in itertools.pairwise(bounds)
        for item in roles.items(text[start:end])
    ]
    return Outline(text, tuple(items), tuple(bounds[:-1]))


def _imports(item: Item) -> list[Imported]:
    origin, is_file = "", False
    found: list[Imported] = []
    for word in item:
        if word.role is Role.ORIGIN:
            origin = ".".join(word.path)
        elif word.role is Role.PATH:
            origin, is_file = word.text.strip('"'), True
        elif word.role is Role.IMPORTED:
            span = (word.start, word.end)
            found.append(Imported(word.text, word.text, origin, is_file, span, span))
        elif word.role is Role.DECLARED and found:
            last = found.pop()
            found.append(Imported(last.name, word.text, origin, is_file, last.span, (word.start, word.end)))
    return found
