"""Statements of other languages by a lexer: tokens with a string literal where the answer stands.

A language is a row of data: how its comments begin, how its strings are quoted and escaped. The lexer makes words,
signs, strings and comments of a source; a form is the token sequence of its pattern, so layout is free and everything
else is not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dataforge.verifiers.formats.form import Form, Limits, Part, Reading, Values, broken, trimmed
from dataforge.verifiers.protocol import Candidate, Span

HOLE = "ANSWER_HERE"

Escapes = Literal["c", "double", "simple", "raw"]
"""Backslashes as in C; the quote doubled as in SQL; a backslash before quote and backslash only; none at all."""


@dataclass(frozen=True)
class Language:
    """How a language is lexed.

    Attributes:
        title: for people.
        quotes: quote → how its strings are escaped; the first is the one that is written.
        line: how a comment to the end of the line begins.
        block: how a comment over lines begins and ends.
        lines: whether a string may run over lines.
        special: what else must have a backslash in a string, such as `$` where strings interpolate.
        folds: whether words are the same in any case.
    """

    title: str
    quotes: dict[str, Escapes] = field(default_factory=lambda: {'"': "c"})
    line: str = ""
    block: tuple[str, str] | None = None
    lines: bool = False
    special: str = ""
    folds: bool = False


_C_ESCAPES = {"\n": "\\n", "\t": "\\t", "\\": "\\\\", "\r": "\\r"}
_C_UNESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_C_ESCAPED = re.compile(
    r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)", re.DOTALL
)


def encode(text: str, quote: str, how: Escapes, special: str) -> str:
    """Text as it stands between quotes."""
    if how == "double":
        return text.replace(quote, quote * 2)
    if how == "raw":
        return text
    if how == "simple":
        return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    escaped = "".join(_C_ESCAPES.get(char, char) for char in text).replace(quote, f"\\{quote}")
    return re.sub(f"([{re.escape(special)}])", r"\\\1", escaped) if special else escaped


def decode(text: str, quote: str, how: Escapes) -> str:
    """The text that stands between quotes."""
    if how == "double":
        return text.replace(quote * 2, quote)
    if how == "raw":
        return text
    if how == "simple":
        return re.sub(rf"\\([\\{re.escape(quote)}])", r"\1", text)

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] in "uUx" and len(code) > 1:
            value = int(code[1:].strip("{}"), 16)
            return chr(value) if value < 0x110000 else "\ufffd"
        return _C_UNESCAPES.get(code, code)

    return _C_ESCAPED.sub(one, text)


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A token: a word or sign as it stands, a string or a comment with its content."""

    kind: Literal["code", "string", "comment"]
    text: str
    span: Span


class Lexer:
    """Source → tokens, for one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        opening = sorted(language.quotes, key=len, reverse=True)
        starts = [language.line, language.block[0] if language.block else "", *opening]
        self._special = [re.escape(s) for s in sorted(filter(None, starts), key=len, reverse=True)]
        self._token = re.compile(rf"({'|'.join(self._special)})|\w+|\S" if self._special else r"()\w+|\S")
        self._ends = {quote: self._end(quote, how) for quote, how in language.quotes.items()}

    @staticmethod
    def _end(quote: str, how: Escapes) -> re.Pattern[str]:
        stop = re.escape(quote)
        if how == "double":
            return re.compile(rf"((?:[^{stop}]|{stop}{stop})*){stop}(?!{stop})")
        if how == "raw":
            return re.compile(rf"((?:(?!{stop}).)*){stop}", re.DOTALL)
        return re.compile(rf"((?:[^\\{stop[-1]}]|\\.)*){stop}", re.DOTALL)

    def lex(self, source: str) -> list[Lexeme] | str:
        """The tokens, or what is wrong."""
        found: list[Lexeme] = []
        language = self.language
        at = 0
        while token := self._token.search(source, at):
            mark, at = token.group(1), token.end()
            if not mark:
                found.append(Lexeme("code", token.group(), token.span()))
            elif mark == language.line:
                end = source.find("\n", at)
                end = len(source) if end < 0 else end
                span = trimmed(source, at, end)
                found.append(Lexeme("comment", source[slice(*span)], span))
                at = end
            elif language.block and mark == language.block[0]:
                end = source.find(language.block[1], at)
                if end < 0:
                    return "a comment is never closed"
                span = trimmed(source, at, end)
                found.append(Lexeme("comment", source[slice(*span)], span))
                at = end + len(language.block[1])
            else:
                match = self._ends[mark].match(source, at)
                if match is None or ("\n" in match.group(1) and not language.lines):
                    return (
                        "a string is never closed on its line"
                        if not language.lines
                        else "a string is never closed"
                    )
                content = decode(match.group(1), mark, language.quotes[mark])
                found.append(Lexeme("string", content, (match.start(1), match.end(1))))
                at = match.end()
        return found


class Statement(Form):
    """Source that is exactly the pattern, with a string literal in the hole.

    Args:
        language: how it is lexed.
        pattern: source with `ANSWER_HERE`.
        optional: what may be left out at its end, or added there.
        also: other patterns of the same statement.
    """

    def __init__(
        self, language: Language, pattern: str, optional: str = "", also: tuple[str, ...] = ()
    ) -> None:
        self.language, self.pattern = language, pattern
        self._lexer = Lexer(language)
        self._quote = next(iter(language.quotes))
        bare = pattern.removesuffix(optional)
        self._wanted = tuple(
            self._tokens(each) for each in dict.fromkeys((pattern, bare, bare + optional, *also))
        )

    def _tokens(self, pattern: str) -> tuple[tuple[str, str], ...]:
        tokens = self._lexer.lex(pattern)
        assert not isinstance(tokens, str)
        return tuple((t.kind, t.text) for t in tokens)

    def _literal(self, text: str) -> str:
        how = self.language.quotes[self._quote]
        return f"{self._quote}{encode(text, self._quote, how, self.language.special)}{self._quote}"

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return self.pattern.replace(HOLE, self._literal(values["answer"]))

    def read(self, text: str) -> Reading:
        if not text.strip():
            return broken("there is nothing")
        tokens = self._lexer.lex(text)
        if isinstance(tokens, str):
            return broken(f"it is not {self.language.title}: {tokens}")
        strings = [
            Candidate(t.text, t.span, "the code is not of the form") for t in tokens if t.kind == "string"
        ]
        fault = "there is more or less code than the form has"
        for wanted in self._wanted:
            if len(tokens) == len(wanted):
                part = self._part(tokens, wanted)
                if isinstance(part, Part):
                    if not part.text:
                        return broken("the string is empty")
                    return Reading({"answer": part}, "", (Candidate(part.text, part.span),))
                fault = part
        return broken(fault, strings)

    def _part(self, tokens: Sequence[Lexeme], wanted: Sequence[tuple[str, str]]) -> Part | str:
        """The answer, or where the tokens are not those that are wanted."""
        part: Part | str = ""
        for token, (kind, said) in zip(tokens, wanted, strict=True):
            same = token.text.casefold() == said.casefold() if self.language.folds else token.text == said
            if said == HOLE:
                if token.kind != "string" and not re.fullmatch(r"\d+", token.text):
                    return "there is no string where the answer should be"
                part = Part(token.text.strip(), token.span)
            elif token.kind != kind or not same:
                return f"there is `{token.text[:30]}` where `{said}` should be"
        return part

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        how = self.language.quotes[self._quote]
        if why := Limits(lines=how == "c" or self.language.lines).refuses(text):
            return why
        if how == "raw" and self._quote in text:
            return f"it holds {self._quote}"
        if how == "raw" and text.endswith("\\") and self.language.title == "R":
            return "it ends with a backslash"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        literal = self._literal(values["answer"])
        text = self.pattern.replace(HOLE, literal)
        yield "a statement too many", f"{text}\nextra();"
        yield "the string never closed", self.pattern.replace(HOLE, f"{self._quote}open")
        yield "no string", self.pattern.replace(HOLE, "unknown")
        yield "an empty string", self.pattern.replace(HOLE, self._quote * 2)
        yield (
            "two strings",
            self.pattern.replace(
                HOLE,
                f"{literal} {literal}"
                if self.language.quotes[self._quote] != "double"
                else f"{literal}, {literal}",
            ),
        )
        word = next((w for w in re.findall(r"[A-Za-z_]+", self.pattern) if w != HOLE), "")
        if word:
            yield "a wrong word", text.replace(word, f"{word}x", 1)


class Comment(Form):
    """Source that is one comment and nothing else."""

    def __init__(self, language: Language, block: bool = False) -> None:
        self.language, self.block = language, block
        self._lexer = Lexer(language)
        self._ends = language.block if block and language.block else (language.line, "")

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        opening, closing = self._ends
        return f"{opening} {values['answer']} {closing}".rstrip(" ")

    def read(self, text: str) -> Reading:
        tokens = self._lexer.lex(text)
        if isinstance(tokens, str):
            return broken(tokens)
        comments = [
            Candidate(t.text, t.span, "not the only thing there") for t in tokens if t.kind == "comment"
        ]
        if len(tokens) != 1 or not comments:
            return broken(
                f"there are {len(comments)} comments" if comments else "there is no comment", comments
            )
        if not text.strip().startswith(self._ends[0]):
            return broken(f"the comment does not begin with `{self._ends[0]}`", comments)
        if not tokens[0].text:
            return broken("the comment is empty")
        part = Part(tokens[0].text, tokens[0].span)
        return Reading({"answer": part}, "", (Candidate(part.text, part.span),))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if self.block and (self._ends[1] in text or self._ends[1] in f"{text[-1:]} {self._ends[1]}"[:-2]):
            return "it holds the end of the comment"
        return Limits(lines=self.block).refuses(text)

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "code after it", f"{text}\nx = 1"
        yield "code before it", f"x = 1\n{text}"
        yield "two comments", f"{text}\n{text}"
        yield "nothing in it", f"{self._ends[0]} {self._ends[1]}"
        yield "no comment", "it is not in a comment"
