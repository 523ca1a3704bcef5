"""Fenced code blocks by CommonMark's rules, with another form in them or the answer as it stands."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dataforge.verifiers.formats.form import (
    Around,
    Form,
    Limits,
    Part,
    Reading,
    Values,
    broken,
    one_of,
    shifted,
    trimmed,
)
from dataforge.verifiers.matching.blocks import ALIASES
from dataforge.verifiers.protocol import Span


class Fence(Form):
    """One fenced code block, with another form in it or the answer as it stands.

    Args:
        info: the language behind the opening fence; "" for none.
        inner: the form of what is in it.
        mark: of the fence.
        check: says why the content is none of the language; empty where it is.
    """

    def __init__(
        self, info: str = "", inner: Form | None = None, mark: str = "```", around: Around = "anything"
    ) -> None:
        self.info, self.inner, self.mark, self.around = info, inner, mark, around
        self.parts = inner.parts if inner is not None else ("answer",)
        self.asides = ("Inline `code` is no block.",)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        body = self.inner.write(values, rng) if self.inner is not None else values["answer"]
        longest = max((len(run) for run in re.findall(f"{self.mark[0]}{{3,}}", body)), default=2)
        mark = self.mark[0] * max(longest + 1, 3)
        return f"{mark}{self.info}\n{body}\n{mark}"

    def read(self, text: str) -> Reading:
        blocks, fault = fences(text)
        hits: list[tuple[Span, Part]] = []
        for block in blocks:
            left, right = block.body
            hits.append(
                ((block.start, block.end), Part(text[left:right].strip("\n"), trimmed(text, left, right)))
            )
        reading = one_of(text, hits, "fenced code block", self.around)
        if reading.fault:
            return broken(fault or reading.fault, reading.candidates)
        block = blocks[0]
        wrong = fault
        if block.mark[0] != self.mark[0]:
            wrong = f"its fence is not made of `{self.mark}`"
        elif _language(block.info) != _language(self.info):
            wrong = f"its language is not `{self.info}`" if self.info else "it names a language"
        if wrong:
            return broken(wrong, reading.candidates)
        if self.inner is None:
            return reading
        found = self.inner.read(text[slice(*block.body)])
        return shifted(found, block.body[0])

    def refuses(self, values: Values) -> str:
        if self.inner is not None:
            return self.inner.refuses(values)
        text = values["answer"]
        if text.startswith("\n") or text.endswith("\n"):
            return "it begins or ends with an empty line"
        return Limits(trims=False).refuses(text)

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        mark = text.rsplit("\n", 1)[1]
        yield "never closed", text.removesuffix(f"\n{mark}")
        yield "another language", text.replace(f"{mark}{self.info}", f"{mark}wrong", 1)
        yield "no fence", text.split("\n", 1)[1].rsplit("\n", 1)[0]
        yield "nothing in it", f"{mark}{self.info}\n{mark}"
        other = "~" if self.mark[0] == "`" else "`"
        yield (
            "another fence",
            f"{other * 9}{self.info}\n{text.split(chr(10), 1)[1].rsplit(chr(10), 1)[0]}\n{other * 9}",
        )
        if self.inner is not None:
            for note, body in self.inner.spoil(values, rng):
                if "```" not in body:
                    yield f"{note}, in its fence", f"```{self.info}\n{body}\n```"


def _language(info: str) -> str:
    """The usual name of a language, in any case: `JSON`, `py`, `yml`."""
    return ALIASES.get(info.lower(), info.lower())


@dataclass(frozen=True, slots=True)
class Fenced:
    """A fenced code block: `body` is the span of what is in it."""

    info: str
    mark: str
    start: int
    end: int
    body: Span


_FENCE = re.compile(r"[ ]{0,3}(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*?)[ \t]*\r?$")


def fences(text: str) -> tuple[list[Fenced], str]:
    """The fenced code blocks at the top level of a text, and what is wrong with the last, by CommonMark's rules."""
    found: list[Fenced] = []
    opened: tuple[str, str, int, int] | None = None
    at = 0
    for row in text.split("\n"):
        end = at + len(row)
        match = _FENCE.match(row)
        if opened is None:
            if match is not None:
                opened = (match.group(1), match.group(2), at, min(end + 1, len(text)))
        elif match is not None and match.group(1).startswith(opened[0]) and not match.group(2):
            mark, info, start, inside = opened
            found.append(Fenced(info, mark, start, end, (inside, max(inside, at - 1))))
            opened = None
        at = end + 1
    return found, "a fence is never closed" if opened is not None else ""
