"""What a form is: a way to set one or more parts (an answer, a theory and an explanation) down as text, and to read them.

    values ──► Form.write ──► text ──► Form.read ──► Reading

A form is written and read by the same object, so that what is written is read again; `refuses` says beforehand which
values it cannot carry, and why. `spoil` makes texts that break one rule of the form, for the audit. A form reads the
whole of an answer: `around` says what may stand beside it.
"""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dataforge.verifiers.protocol import Candidate, Span

Values = Mapping[str, str]
"""Part → its text."""

Around = Literal["nothing", "before", "anything"]
"""What may stand beside the form: nothing, other text before it, or other text on both sides."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was read for one part.

    Attributes:
        text: its text, with the form's escapes undone.
        span: where its source stands in the text that was read.
        also: other honest readings of the same source: as it stands, or without a sentence's full stop.
    """

    text: str
    span: Span | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form found in a text.

    Attributes:
        parts: every part, where the form was kept; else empty.
        fault: which rule of the form is broken; empty where none is.
        candidates: what could have been the answer, in the order of the text.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    fault: str = ""
    candidates: tuple[Candidate, ...] = ()


def broken(fault: str, candidates: Sequence[Candidate] = ()) -> Reading:
    """A reading of a text that does not keep the form."""
    return Reading({}, fault, tuple(candidates))


class Form(ABC):
    """One way to set parts down as text.

    Attributes:
        parts: what it holds, in order.
        around: what may stand beside it.
        asides: prose that may stand beside it though it looks a little like it; traps for a careless reader.
        swallows: whether its last part has no end of its own, so that text after it is part of it.
        repeats: whether the form written twice is still the form.
    """

    parts: tuple[str, ...] = ("answer",)
    around: Around = "nothing"
    asides: tuple[str, ...] = ()
    swallows: bool = False
    repeats: bool = False

    @abstractmethod
    def write(self, values: Values, rng: random.Random | None = None) -> str:
        """Set values down that are not refused; with `rng` in any of the ways that are right, else in the plainest."""

    @abstractmethod
    def read(self, text: str) -> Reading:
        """Read a whole answer. Never raises."""

    @abstractmethod
    def refuses(self, values: Values) -> str:
        """Why it cannot carry these values; empty where it can."""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        """Texts that break the form in one way each, with what is broken."""
        return iter(())


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What hardly any text format carries as it stands: controls, odd line ends, half surrogates."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the plain text of a part may be."""

    lines: bool = True
    trims: bool = True
    control: bool = False
    trims_lines: bool = False

    def refuses(self, text: str) -> str:
        """Why the text is outside; empty where it is not."""
        if not text.strip():
            return "it is empty"
        if not self.control and CONTROL.search(text):
            return "it has control characters or unusual line ends"
        if not self.lines and "\n" in text:
            return "it has more than one line"
        if self.trims and text != text.strip():
            return "it begins or ends with white space"
        if self.trims_lines and any(line != line.strip() or not line for line in text.split("\n")):
            return "it has indented or empty lines"
        return ""


def trimmed(text: str, start: int, end: int) -> Span:
    """The span without white space at its ends."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    return (start + left, start + max(left, right))


def beside(text: str, start: int, end: int, around: Around) -> str:
    """What is wrong with what stands around text[start:end]; empty where nothing is."""
    if around != "anything" and text[end:].strip():
        return "there is text after the answer"
    if around == "nothing" and text[:start].strip():
        return "there is text before the answer"
    return ""


def shifted(reading: Reading, by: int) -> Reading:
    """A reading of a piece of text, with spans in the whole."""

    def move(span: Span | None) -> Span | None:
        return None if span is None else (span[0] + by, span[1] + by)

    return Reading(
        {name: Part(part.text, move(part.span), part.also) for name, part in reading.parts.items()},
        reading.fault,
        tuple(Candidate(c.text, move(c.span), c.rejected) for c in reading.candidates),
    )


def one_of(
    text: str, hits: Sequence[tuple[Span, Part]], what: str, around: Around, part: str = "answer"
) -> Reading:
    """The reading where exactly one hit is wanted; a hit is its outer span and what it holds."""
    if not hits:
        return broken(f"there is no {what}")
    if len(hits) > 1:
        return broken(
            f"there are {len(hits)} instances of the {what}, not exactly one",
            [Candidate(text[s[0] : s[1]], s, "not the only one") for s, _ in hits],
        )
    (start, end), found = hits[0]
    fault = beside(text, start, end, around)
    if not found.text.strip():
        fault = f"the {what} is empty"
    if fault:
        return broken(fault, [Candidate(found.text, found.span, fault)])
    return Reading({part: found}, "", (Candidate(found.text, found.span),))
