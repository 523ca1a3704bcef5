"""HTML by the standard library's parser: an element exactly once, in text that may hold others; and comments."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from dataforge.verifiers.formats.form import (
    CONTROL,
    Around,
    Form,
    Limits,
    Part,
    Reading,
    Values,
    broken,
    one_of,
    trimmed,
)
from dataforge.verifiers.formats.markup import El, Markup, Node, match
from dataforge.verifiers.protocol import Candidate, Span

VOID = frozenset(("input", "meta", "br", "hr", "img"))


class _Builder(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.lines = [0]
        for found in re.finditer("\n", text):
            self.lines.append(found.end())
        self.top = Node("", {}, 0, 0)
        self.stack = [self.top]
        self.comments: list[tuple[Span, str]] = []
        self.found: list[Node] = []
        self.fault = ""
        self.source = text

    def place(self) -> int:
        line, column = self.getpos()
        return self.lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = self.place()
        after = at + len(self.get_starttag_text() or "")
        node = Node(tag, dict(attrs), at, after, after, after)
        self.stack[-1].children.append(node)
        self.found.append(node)
        if tag not in VOID:
            node.end = -1
            self.stack.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop().end = self.found[-1].inside

    def handle_endtag(self, tag: str) -> None:
        if self.stack[-1].tag != tag:
            self.fault = self.fault or f"`</{tag[:30]}>` closes nothing"
            return
        node = self.stack.pop()
        node.inside_end = self.place()
        close = self.source.find(">", node.inside_end)
        node.end = close + 1 if close >= 0 else len(self.source)

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        at = self.place()
        self.comments.append(((at, at + len(data) + 7), data))


def parse_html(text: str) -> _Builder:
    """Every element and comment of a text; tags that are not paired are a fault."""
    builder = _Builder(text)
    builder.feed(text)
    builder.close()
    if len(builder.stack) > 1:
        builder.fault = builder.fault or f"`<{builder.stack[-1].tag[:30]}>` is never closed"
    return builder


SHOWN = 10
"""Elements of a broken text that are put on record; the text of each is that of all within it."""


class Html(Markup):
    """An HTML element, exactly once, in text that may hold other elements."""

    void = VOID

    def __init__(self, pattern: El, around: Around = "anything", asides: Sequence[str] = ()) -> None:
        super().__init__(pattern)
        self.around = around
        self.asides = tuple(asides)

    def read(self, text: str) -> Reading:
        if f"<{self.pattern.tag}" not in text.lower():
            return broken(f"there is no `<{self.pattern.tag}>`")
        built = parse_html(text)
        nodes = [node for node in built.found if node.tag == self.pattern.tag]
        if built.fault:
            return broken(
                f"its tags are not paired: {built.fault}",
                [
                    Candidate(node.text.strip()[:200], None, "its tags are not paired")
                    for node in nodes[-SHOWN:]
                ],
            )
        hits: list[tuple[Span, Part]] = []
        kept: dict[str, Part] = {}
        fault = ""
        for node in nodes:
            parts: dict[str, Part] = {}
            fault = match(self.pattern, node, text, parts) or fault
            kept = parts or kept
            hits.append(((node.start, node.end), next(iter(parts.values()), Part("-"))))
        if len(nodes) == 1 and fault:
            return broken(
                fault, [Candidate(nodes[0].text.strip()[:200], (nodes[0].start, nodes[0].end), fault)]
            )
        reading = one_of(text, hits, f"`<{self.pattern.tag}>`", self.around)
        if reading.fault:
            return reading
        return Reading(kept, "", tuple(Candidate(p.text, p.span) for p in kept.values()))


class HtmlComment(Form):
    """One HTML comment that begins with a label."""

    around: Around = "anything"

    def __init__(self, label: str) -> None:
        self.label = label

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return f"<!-- {self.label} {values['answer']} -->"

    def read(self, text: str) -> Reading:
        hits: list[tuple[Span, Part]] = []
        at = 0
        while (start := text.find("<!--", at)) >= 0:
            close = text.find("-->", start + 4)
            if close < 0:
                return broken("a comment is never closed")
            left, right = trimmed(text, start + 4, close)
            if text.startswith(self.label, left):
                inner = trimmed(text, left + len(self.label), right)
                hits.append(((start, close + 3), Part(text[inner[0] : inner[1]], inner)))
            at = close + 3
        return one_of(text, hits, f"comment that begins with `{self.label}`", self.around)

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if "--" in text or text.startswith((">", "->")) or text.endswith("-"):
            return "a comment holds no `--`"
        return Limits().refuses(text) or ("it has odd characters" if CONTROL.search(text) else "")

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield "never closed", self.write(values).removesuffix("-->")
        yield "no label", f"<!-- {values['answer']} -->".replace(self.label, "")
        yield "no comment", f"{self.label} {values['answer']}"
