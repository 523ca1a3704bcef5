"""Literal marks with text between them: tags, delimiters, labels at the start of a line, lead-in sentences.

A form is a sequence of marks and holes: `<answer>` hole `</answer>`, or `Theory:` hole `Answer:` hole. A lexer finds
every mark in the text; what it finds must be exactly the marks of the form, in order. What stands in a hole is taken
as it is, so answers need no escapes, and one that holds a mark cannot be carried.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataforge.verifiers.formats.form import (
    Around,
    Form,
    Limits,
    Part,
    Reading,
    Values,
    beside,
    broken,
    trimmed,
)
from dataforge.verifiers.protocol import Candidate

Place = Literal["anywhere", "line", "alone"]
"""Where a mark counts: anywhere, at the start of a line, or on a line of its own."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of the form that stands as it is.

    Attributes:
        behind: a pattern of what must follow for it to count: `Option` in prose is no mark.
    """

    text: str
    place: Place = "anywhere"
    behind: str = ""

    @property
    def pattern(self) -> str:
        """The mark for the lexer; one that ends with a letter ends a word."""
        body = re.escape(self.text)
        if self.place != "anywhere":
            body = rf"^[ \t]*{body}"
        if self.place == "alone":
            return rf"{body}[ \t]*$"
        if self.place == "line" and self.text[-1].isalnum():
            body = rf"{body}(?!\w)"
        return rf"{body}(?={self.behind})" if self.behind else body


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a part stands; with `block` its text is set on lines of its own."""

    part: str = "answer"
    block: bool = False


class Marks(Form):
    """Marks and holes in turn.

    Args:
        items: the sequence.
        around: what may stand beside it. Behind a last hole nothing can.
        lines: whether a part may have more than one line.
        stop: whether the last hole ends a sentence, whose full stop is not part of it.
        joint: what stands between two marks that follow each other.
        asides: see `Form`.
    """

    def __init__(
        self,
        *items: Mark | Hole,
        around: Around = "before",
        lines: bool = True,
        stop: bool = False,
        joint: str = "\n",
        asides: tuple[str, ...] = (),
    ) -> None:
        self.items = items
        self.around = around
        self.lines = lines
        self.stop = stop
        self.joint = joint
        self.asides = asides
        self.parts = tuple(item.part for item in items if isinstance(item, Hole))
        self.marks = tuple(item for item in items if isinstance(item, Mark))
        self.open_end = isinstance(items[-1], Hole)
        self.swallows = self.open_end and lines
        distinct = sorted(dict.fromkeys(self.marks), key=lambda mark: -len(mark.text))
        self._names = [mark.text for mark in distinct]
        self._lexer = re.compile("|".join(f"({mark.pattern})" for mark in distinct), re.MULTILINE)
        self._limits = Limits(lines=lines)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        made = ""
        for before, item in zip((None, *self.items), self.items, strict=False):
            if isinstance(item, Hole):
                block = item.block or (rng is not None and self.lines and rng.random() < 0.3)
                made += ("\n" if block else self._space(before)) + values[item.part]
                if isinstance(before, Mark) and block and not self.open_end:
                    made += "\n"
            elif before is None:
                made += item.text
            elif isinstance(before, Mark):
                made += self.joint + item.text
            else:
                needs_line = item.place != "anywhere" and not made.endswith("\n")
                made += ("\n" if needs_line else "") + item.text
        return made + ("." if self.stop else "")

    @staticmethod
    def _space(before: Mark | Hole | None) -> str:
        return " " if isinstance(before, Mark) and before.place == "line" else ""

    def _lex(self, text: str) -> list[tuple[str, int, int]]:
        return [(self._names[(m.lastindex or 1) - 1], m.start(), m.end()) for m in self._lexer.finditer(text)]

    def read(self, text: str) -> Reading:
        found = self._lex(text)
        wanted = [mark.text for mark in self.marks]
        if [name for name, _, _ in found] != wanted:
            fault = self._mismatch(found, wanted)
            return broken(fault, self._passed_over(text, found, fault))
        parts: dict[str, Part] = {}
        at = 0
        place = found[0][1]
        for index, item in enumerate(self.items):
            if isinstance(item, Mark):
                if index and isinstance(self.items[index - 1], Mark) and text[place : found[at][1]].strip():
                    return broken(f"there is text between `{found[at - 1][0]}` and `{item.text}`")
                place = found[at][2]
                at += 1
                continue
            end = found[at][1] if at < len(found) else len(text)
            start, stop = trimmed(text, place, end)
            content, also = text[start:stop], ()
            if self.stop and content.endswith(".") and at == len(found):
                content, also = content[:-1], (content,)  # type: ignore[assignment]
                stop -= 1
            if not content.strip():
                return broken(f"the {item.part} is empty")
            if not self.lines and "\n" in content:
                first = content.split("\n", 1)[0].rstrip()
                fault = f"the {item.part} must stand on one line, with nothing after it"
                return broken(fault, [Candidate(first, (start, start + len(first)), fault)])
            parts[item.part] = Part(content, (start, stop), also)
        start, end = found[0][1], len(text) if self.open_end else found[-1][2]
        if fault := beside(text, start, end, self.around):
            return broken(fault, [Candidate(p.text, p.span, fault) for p in parts.values()])
        return Reading(parts, "", tuple(Candidate(part.text, part.span) for part in parts.values()))

    def _passed_over(self, text: str, found: list[tuple[str, int, int]], fault: str) -> list[Candidate]:
        """What stands behind each mark that was found, up to the next."""
        candidates: list[Candidate] = []
        opens = {
            a.text
            for a, b in zip(self.items, self.items[1:], strict=False)
            if isinstance(a, Mark) and isinstance(b, Hole)
        }
        for index, (name, _, place) in enumerate(found):
            end = found[index + 1][1] if index + 1 < len(found) else len(text)
            if not self.lines and (line_end := text.find("\n", place, end)) >= 0:
                end = line_end
            start, stop = trimmed(text, place, end)
            if start < stop and name in opens:
                candidates.append(Candidate(text[start:stop], (start, stop), fault))
        return candidates or [Candidate(text[s:e].strip(), (s, e), fault) for _, s, e in found]

    @staticmethod
    def _mismatch(found: list[tuple[str, int, int]], wanted: list[str]) -> str:
        names = [name for name, _, _ in found]
        for mark in dict.fromkeys(wanted):
            if names.count(mark) != wanted.count(mark):
                return f"`{mark}` is there {names.count(mark)} times, not {wanted.count(mark)}"
        return "the marks are not in their order"

    def refuses(self, values: Values) -> str:
        for part in self.parts:
            if why := self._limits.refuses(values[part]):
                return why
        text = self.write(values)
        found = self._lex(text)
        if [name for name, _, _ in found] != [mark.text for mark in self.marks]:
            return "it holds a mark of the form"
        read = self.read(text)
        if read.fault or any(read.parts[part].text != values[part] for part in self.parts):
            return "it runs into a mark of the form"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        found = self._lex(text)
        for name, start, end in (found[0], found[-1]):
            yield f"`{name}` left out", text[:start] + text[end:]
        if not self.open_end:
            _, start, end = found[-1]
            yield "the last mark twice", text[:end] + "\n" + text[start:]
        if len(self.parts) > 1:
            first = self.parts[0]
            yield "a part is empty", self.write({**values, first: ""})
        else:
            yield "the answer is empty", "".join(mark.text + "\n" for mark in self.marks)
