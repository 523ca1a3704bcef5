"""Markdown headings with text below them; markdown-it says what is a heading."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

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
from dataforge.verifiers.formats.markdown import Lines, parse
from dataforge.verifiers.protocol import Candidate


class Sections(Form):
    """Headings of one level, in order, each with what stands under it.

    Args:
        titles: part → its heading.
        level: of the headings.
        enclosed: parts that a form within makes one closed block, such as a fence, in which no line is a heading.
    """

    swallows = True

    def __init__(
        self,
        titles: dict[str, str],
        level: int = 2,
        around: Around = "nothing",
        enclosed: tuple[str, ...] = (),
    ) -> None:
        self.titles, self.level, self.around, self.enclosed = titles, level, around, enclosed
        self.parts = tuple(titles)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        gap = "\n" if rng is not None and rng.random() < 0.3 else "\n\n"
        return "\n\n".join(
            f"{'#' * self.level} {title}{gap}{values[part]}" for part, title in self.titles.items()
        )

    def read(self, text: str) -> Reading:
        lines = Lines(text)
        tokens = parse(text)
        heads = [
            (tokens[i + 1].content, lines.span(t.map or (0, 0)), t.tag)
            for i, t in enumerate(tokens)
            if t.type == "heading_open" and t.level == 0
        ]
        wanted = list(self.titles.values())
        tag = f"h{self.level}"
        said = [title for title, _, kind in heads if kind == tag]
        # What may stand before the form may have headings of its own.
        ahead = len(said) - len(wanted) if self.around != "nothing" else 0
        if ahead < 0 or said[ahead:] != wanted or set(said[:ahead]) & set(wanted):
            fault = f"the headings of level {self.level} are not exactly {', '.join(wanted)}"
            return broken(
                fault,
                [
                    Candidate(text[s:e].strip(), (s, e), "not the headings that should be there")
                    for _, (s, e), _ in heads
                ],
            )
        spans = [span for _, span, kind in heads if kind == tag][ahead:]
        parts: dict[str, Part] = {}
        for index, part in enumerate(self.parts):
            end = spans[index + 1][0] if index + 1 < len(spans) else len(text)
            left, right = trimmed(text, spans[index][1], end)
            if left == right:
                return broken(f"there is nothing under `{wanted[index]}`")
            parts[part] = Part(text[left:right], (left, right))
        if fault := beside(text, spans[0][0], len(text), self.around):
            return broken(fault, [Candidate(p.text, p.span, fault) for p in parts.values()])
        return Reading(parts, "", tuple(Candidate(p.text, p.span) for p in parts.values()))

    def refuses(self, values: Values) -> str:
        for part in self.parts:
            text = values[part]
            if why := Limits().refuses(text):
                return why
            if part not in self.enclosed and _BLOCKY.search(text):
                return "it holds a line that Markdown could take for a heading, a fence or HTML"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        first, last = next(iter(self.titles.values())), list(self.titles.values())[-1]
        hashes = "#" * self.level
        yield f"the heading {first} missing", text.replace(f"{hashes} {first}", "", 1)
        yield (
            f"the heading {last} is of another level",
            text.replace(f"{hashes} {last}", f"{hashes}# {last}", 1),
        )
        yield "a heading too many", f"{text}\n\n{hashes} More\n\nof it"
        yield f"nothing under {first}", self.write({**values, self.parts[0]: ""})
        if len(self.titles) > 1:
            items = list(self.titles.items())
            yield (
                "headings in another order",
                "\n\n".join(f"{hashes} {t}\n\n{values[p]}" for p, t in reversed(items)),
            )
        yield "headings only bold", text.replace(f"{hashes} ", "").replace(last, f"**{last}**")


_BLOCKY = re.compile(r"^ {0,3}(?:#|=+\s*$|-+\s*$|```|~~~|<|\[)|^\s*(?:[-+*>]|\d+[.)])\s*$", re.MULTILINE)
