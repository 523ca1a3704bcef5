"""Brackets around an answer that stands alone on its lines.

Prose is full of brackets, so only a group that fills its line counts: it opens where a line begins and closes where a
line ends. Brackets within it must be paired. Everything else in brackets is a candidate that was not taken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from dataforge.verifiers.formats.form import Around, Form, Limits, Part, Reading, Values, one_of, trimmed
from dataforge.verifiers.protocol import Candidate, Span


class Bracketed(Form):
    """One group in a pair of brackets, alone on its lines."""

    def __init__(
        self, opening: str, closing: str, what: str, around: Around = "before", lines: bool = True
    ) -> None:
        self.opening, self.closing, self.what, self.around = opening, closing, what, around
        self._lexer = re.compile(f"({re.escape(opening)})|{re.escape(closing)}")
        self._limits = Limits(lines=lines)
        self.asides = (
            f"Prose may hold {opening}this kind of thing{closing} without harm.",
            f"Step 2 uses f{opening}x{closing} again, and {opening}a{closing} too.",
        )

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        pad = rng.choice(("", "", " ")) if rng is not None else ""
        return f"{self.opening}{pad}{values['answer']}{pad}{self.closing}"

    def _groups(self, text: str) -> list[tuple[Span, Span]]:
        """The outer groups, each with the span of its content; what is never closed is none."""
        groups: list[tuple[Span, Span]] = []
        stack: list[tuple[int, int]] = []
        for token in self._lexer.finditer(text):
            if token.group(1) is not None:
                stack.append(token.span())
            elif stack:
                start, inner = stack.pop()
                while groups and groups[-1][0][0] > start:
                    groups.pop()
                groups.append(((start, token.end()), (inner, token.start())))
        return groups

    def read(self, text: str) -> Reading:
        alone: list[tuple[Span, Part]] = []
        passed_over: list[Candidate] = []
        for (start, end), inner in self._groups(text):
            line_start = text.rfind("\n", 0, start) + 1
            line_end = text.find("\n", end)
            line_end = len(text) if line_end < 0 else line_end
            if text[line_start:start].strip() or text[end:line_end].strip():
                passed_over.append(
                    Candidate(text[start:end], (start, end), "it stands within a line of prose")
                )
                continue
            left, right = trimmed(text, *inner)
            alone.append(((start, end), Part(text[left:right], (left, right))))
        reading = one_of(text, alone, self.what, self.around)
        if not reading.fault and "\n" in reading.parts["answer"].text and not self._limits.lines:
            return Reading({}, "the answer has more than one line", reading.candidates)
        both = sorted((*passed_over, *reading.candidates), key=lambda c: c.span or (0, 0))
        return Reading(reading.parts, reading.fault, tuple(both))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := self._limits.refuses(text):
            return why
        if len(self.opening) > 1 and (text[0] in self.opening or text[-1] in self.closing):
            return "it begins or ends with such a bracket"  # which `{{{` could be read two ways
        depth = 0
        for token in self._lexer.finditer(text):
            depth += 1 if token.group(1) is not None else -1
            if depth < 0:
                break
        return "its own brackets are not paired" if depth else ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = values["answer"]
        if "\n" not in text:  # a line of more than one could have brackets of its own, alone on it
            yield "never closed", f"{self.opening}{text}"
            yield "never opened", f"{text}{self.closing}"
        yield "within a line of prose", f"It is {self.opening}{text}{self.closing} I think."
        yield "nothing in it", f"{self.opening} {self.closing}"
