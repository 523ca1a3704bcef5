"""Markdown by markdown-it: inline markup and blocks.

The parser is CommonMark's with tables and strikethrough, so emphasis within a code span is none, `***x***` is not
`**x**`, and a `#` in a fence is no heading. What is marked up comes out with its backslash escapes undone; its source
as it stands is a second reading, so `**a*b**` and `**a\\*b**` are both the answer `a*b`.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dataforge.verifiers.formats.form import (
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
from dataforge.verifiers.protocol import Span


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parse(text: str) -> list[Token]:
    """The tokens of a text."""
    return _parser().parse(text)


_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$=:\"'])")


def escape(text: str) -> str:
    """Text as Markdown shows it."""
    return _PUNCTUATION.sub(r"\\\1", text)


def plain(tokens: Sequence[Token]) -> str:
    """The text of inline tokens."""
    return "".join("\n" if t.type in ("softbreak", "hardbreak") else t.content for t in tokens)


class Lines:
    """Where the lines of a text begin, as CommonMark counts them, to turn a token's lines into a span."""

    def __init__(self, text: str) -> None:
        self.starts = [0, *(m.end() for m in re.finditer(r"\r\n?|\n", text)), len(text)]
        self.text = text

    def span(self, rows: Sequence[int]) -> Span:
        last = min(rows[1], len(self.starts) - 1)
        return (self.starts[rows[0]], self.starts[last])


def _find(text: str, span: Span, source: str) -> Span:
    """The span of a piece of source within a block; the block's own where it cannot be told."""
    at = text.find(source, *span)
    return (at, at + len(source)) if source and at >= 0 else trimmed(text, *span)


_LIMITS = Limits(lines=False)


MANY = 50
"""Of so many pieces in one block it is plain that there is not exactly one: the others are not looked for."""


class Inline(Form):
    """One piece of inline markup, wherever it stands.

    Args:
        kind: the parser's name of it: `strong`, `em`, `s`, `link`.
        mark: what is written on both sides; a link has its own.
        both: whether it is strong and emphasis at once.
        target: a link's address.
    """

    around: Around = "anything"

    def __init__(self, kind: str, mark: str, both: bool = False, target: str = "") -> None:
        self.kind, self.mark, self.both, self.target = kind, mark, both, target
        other = {"strong": "*italic is not it*", "em": "**bold is not it**"}.get(kind, "**bold is not it**")
        self.asides = (
            f"Beside it {other}.",
            f"In a code span `{mark or '['}this{mark or ']'}` is no markup.",
            f"Escaped \\{(mark or '[')[0]}this\\{(mark or ']')[0]} is none either."
            if kind != "s"
            else "No more of it.",
        )

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        if self.kind == "link":
            return f"[{escape(values['answer'])}]({self.target})"
        return f"{self.mark}{escape(values['answer'])}{self.mark}"

    def read(self, text: str) -> Reading:
        lines = Lines(text)
        hits: list[tuple[Span, Part]] = []
        wrong = False
        for block in parse(text):
            if block.type != "inline" or not block.map:
                continue
            where = lines.span(block.map)
            pieces = self._pieces([t for t in block.children or [] if t.type != "text" or t.content])
            for inner in itertools.islice(pieces, MANY):
                source, content = self._source(inner, block.content)
                wrong = wrong or (self.kind in ("strong", "em") and not source.startswith("*"))
                span = _find(text, where, source)
                hits.append(
                    (
                        span,
                        Part(content.strip(), _inner(text, span, content), (source.strip(self.mark or " "),)),
                    )
                )
        reading = one_of(text, hits, self._what(), self.around)
        if wrong and not reading.fault:
            return broken("its marks are not asterisks", reading.candidates)
        return reading

    def _what(self) -> str:
        return {"strong": "bold text", "em": "italic text", "s": "struck text", "link": "link"}[self.kind]

    def _pieces(self, children: Sequence[Token]) -> Iterator[list[Token]]:
        """The content of each, without those that are bold and italic at once, or only those."""
        open_at: list[int] = []
        for index, token in enumerate(children):
            if token.type == f"{self.kind}_open":
                open_at.append(index)
            elif token.type == f"{self.kind}_close" and open_at:
                start = open_at.pop()
                if open_at:
                    continue
                inner = list(children[start + 1 : index])
                if self.kind in ("strong", "em"):
                    partner = "em" if self.kind == "strong" else "strong"
                    around = start > 0 and children[start - 1].type == f"{partner}_open"
                    within = (
                        bool(inner)
                        and inner[0].type == f"{partner}_open"
                        and inner[-1].type == f"{partner}_close"
                    )
                    if (around or within) != self.both:
                        continue
                if self.kind == "link" and dict(children[start].attrs).get("href") != self.target:
                    continue
                yield inner

    def _source(self, inner: Sequence[Token], block: str) -> tuple[str, str]:
        """The source of a piece with its marks, as well as it can be told, and its text."""
        content = plain(inner)
        for written in (content, escape(content)):
            made = (
                f"[{written}]({self.target})" if self.kind == "link" else f"{self.mark}{written}{self.mark}"
            )
            if made in block:
                return made, content
        if self.mark and (
            found := re.search(f"{re.escape(self.mark)}(.+?){re.escape(self.mark)}", block, re.DOTALL)
        ):
            return found.group(), content
        return content, content

    def refuses(self, values: Values) -> str:
        return _LIMITS.refuses(values["answer"])

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        if self.kind == "link":
            yield "another target", text.replace(self.target, "#elsewhere")
            yield "never closed", text[:-1]
        else:
            yield "never closed", text.removesuffix(self.mark)
            other = {"**": "*", "*": "**", "~~": "**", "***": "**"}[self.mark]
            yield "other marks", f"{other}{escape(values['answer'])}{other}"
        yield "no marks", escape(values["answer"])
        yield "in a code block", f"```\n{text}\n```" if "```" not in text else "```\n```"


def _inner(text: str, span: Span, content: str) -> Span:
    at = text.find(content, *span) if content else -1
    return (at, at + len(content)) if at >= 0 else span


class CodeSpan(Form):
    """One code span."""

    around: Around = "anything"
    asides = ("This is **bold**, not code.", "An escaped \\` is no code.")

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        text = values["answer"]
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * (longest + 1)
        pad = " " if text.startswith("`") or text.endswith("`") else ""
        return f"{fence}{pad}{text}{pad}{fence}"

    def read(self, text: str) -> Reading:
        lines = Lines(text)
        hits: list[tuple[Span, Part]] = []
        for block in parse(text):
            for token in block.children or ():
                if token.type == "code_inline":
                    where = lines.span(block.map or (0, 0))
                    span = _find(text, where, token.content)
                    hits.append((span, Part(token.content.strip(), span)))
        return one_of(text, hits, "code span", self.around)

    def refuses(self, values: Values) -> str:
        return _LIMITS.refuses(values["answer"])

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "never closed", text.rstrip("`") if "`" not in values["answer"] else "`open"
        yield "no code span", escape(values["answer"])
        yield "bold instead", f"**{escape(values['answer'])}**"


@dataclass(frozen=True, slots=True)
class Step:
    """A token type that must come, with what it must say."""

    type: str
    markup: str = ""
    content: str = ""


class Block(Form):
    """One block of a certain make: a heading, a list, a quote, a table.

    Args:
        what: for messages.
        head: the source before the answer.
        tail: the source behind it.
        opens: the type of the token it begins with; it must occur exactly once, with this markup.
        path: the types of the tokens that come after that one, up to the inline token that holds the answer.
        markup: of the opening token.
        lead: what the inline token's text begins with, before the answer.
        before: texts of inline tokens that come before the one with the answer.
        around: see `Form`.
    """

    def __init__(
        self,
        what: str,
        head: str,
        opens: str,
        path: tuple[str, ...],
        *,
        tail: str = "",
        markup: str = "",
        tag: str = "",
        lead: str = "",
        before: tuple[str, ...] = (),
        around: Around = "anything",
        lines: str | None = None,
        unique: str = "",
    ) -> None:
        self.what, self.head, self.tail, self.opens, self.path = what, head, tail, opens, path
        self.markup, self.tag, self.lead, self.before, self.around = markup, tag, lead, before, around
        self.indent = lines
        self._limits = Limits(lines=lines is not None, trims_lines=True)
        self.asides = ("Some *other* markup and `code` may be here.",)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        rows = escape(values["answer"]).split("\n")
        return self.head + ("\n" + (self.indent or "")).join(rows) + self.tail

    def read(self, text: str) -> Reading:
        lines = Lines(text)
        tokens = parse(text)
        hits: list[tuple[Span, Part]] = []
        fault = ""
        depth = 0
        for index, token in enumerate(tokens):
            if (
                token.type != self.opens
                or (self.tag and token.tag != self.tag)
                or (self.markup and token.markup != self.markup)
            ):
                depth += (
                    token.nesting if token.type in (self.opens, self.opens.replace("_open", "_close")) else 0
                )
                continue
            span = lines.span(token.map or (0, 0))
            depth += 1
            if depth > 1 and self.opens in self.path:
                continue
            close = self._end(tokens, index)
            kinds = [t.type for t in tokens[index + 1 : close] if t.nesting >= 0]
            said = [t for t in tokens[index + 1 : close] if t.type == "inline"]
            part = self._part(text, lines, said)
            if kinds != list(self.path):
                fault = fault or f"the {self.what} does not hold exactly what it should hold"
            elif [t.content for t in said[:-1]] != list(self.before):
                fault = fault or f"the {self.what} does not say {' and '.join(self.before)} where it should"
            elif said[-1].content[: len(self.lead)].casefold() != self.lead.casefold():
                fault = fault or f"the {self.what} does not begin with `{self.lead.strip()}`"
            hits.append((span, part))
        reading = one_of(text, hits, self.what, self.around)
        return reading if reading.fault or not fault else broken(fault, reading.candidates)

    @staticmethod
    def _end(tokens: Sequence[Token], index: int) -> int:
        level = 0
        for at in range(index, len(tokens)):
            level += tokens[at].nesting
            if level == 0:
                return at
        return len(tokens)

    def _part(self, text: str, lines: Lines, said: Sequence[Token]) -> Part:
        if not said:
            return Part("")
        last = said[-1]
        led = last.content[: len(self.lead)].casefold() == self.lead.casefold()
        source = last.content[len(self.lead) if led else 0 :].strip()
        content = plain(last.children or ())
        # What the lead looks like once its own markup is gone.
        shown = plain(_parser().parseInline(self.lead)[0].children or ()) if self.lead else ""
        content = content.removeprefix(shown).strip()
        return Part(content, _find(text, lines.span(last.map or (0, 0)), source), (source,))

    def refuses(self, values: Values) -> str:
        return self._limits.refuses(values["answer"])

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "no markup", escape(values["answer"])
        yield "in a code block", f"````\n{text}\n````" if "````" not in text else "````\n````"
        if self.lead:
            yield "its lead is missing", text.replace(self.lead, "", 1)
        yield "a paragraph instead", f"The answer: {escape(values['answer']).split(chr(10))[0]}"
