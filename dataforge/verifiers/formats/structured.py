"""What JSON, YAML, TOML and Python literals share: a parser of the language, matched against a shape.

The parsers are told to be strict: no key twice, no constants beyond the format, no aliases, no tags. Numbers keep their
spelling. What is nested too deeply for a parser is a fault of the text, not an error.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from dataforge.verifiers.formats.form import Form, Part, Reading, Values, broken
from dataforge.verifiers.formats.shape import (
    Bare,
    Path,
    Shape,
    fill,
    match,
    slot_refuses,
    slots,
    spoiled,
)
from dataforge.verifiers.protocol import Candidate, Span


class NotWellFormed(Exception):
    """The text is not of the language at all, or holds what we do not allow in it."""


class Structured(Form):
    """A whole answer in a data language, of one shape."""

    language: ClassVar[str] = ""
    halves: ClassVar[bool] = False
    """Whether the language carries half surrogates."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.slots = tuple(slots(shape))
        self.parts = tuple(slot.part for slot, _ in self.slots)

    def parse(self, text: str) -> tuple[Any, Callable[[Path], Span | None]]:
        """The data, and where a piece of it stands.

        Raises:
            NotWellFormed: with what is wrong.
        """
        raise NotImplementedError

    def dump(self, value: Any, rng: random.Random | None) -> str:
        """Data as text."""
        raise NotImplementedError

    def broken_syntax(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        """The text with its syntax broken."""
        return iter(())

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return self.dump(fill(self.shape, values), rng)

    def read(self, text: str) -> Reading:
        if not text.strip():
            return broken("there is nothing")
        try:
            value, locate = self.parse(text)
        except NotWellFormed as wrong:
            return broken(f"it is not {self.language}: {wrong}")
        taken: dict[str, str] = {}
        fault = match(self.shape, value, taken)
        parts = {
            slot.part: Part(taken[slot.part], locate(path)) for slot, path in self.slots if slot.part in taken
        }
        candidates = [Candidate(p.text, p.span, fault) for p in parts.values()]
        if fault:
            return broken(fault, candidates or [Candidate(text.strip()[:200], None, fault)])
        return Reading(parts, "", tuple(candidates))

    def refuses(self, values: Values) -> str:
        for slot, _ in self.slots:
            text = values[slot.part]
            if why := slot_refuses(slot, text):
                return why
            if not self.halves and re.search("[\ud800-\udfff]", text):
                return "it has half surrogates"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        for note, data in spoiled(self.shape, values, rng):
            yield note, self.dump(data, None)
        yield from self.broken_syntax(self.write(values), rng)


BOOLEANS = {True: Bare("true"), False: Bare("false")}
"""Booleans by their spelling, as data languages have it."""
