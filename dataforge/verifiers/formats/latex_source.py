"""A small LaTeX tokenizer: commands with their groups, environments, formulas, and the escapes of text.

The tokenizer knows what TeX's own does: control sequences, groups, comments, math shifts, verbatim environments. So a
`\\boxed` in a comment is none, `\\%` does not begin a comment, braces nest, and what is boxed comes out whole. Text in
commands may be written with LaTeX's escapes (`50\\%`); they are undone, and the source as it stands is a second reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dataforge.verifiers.protocol import Span

VERBATIM = ("verbatim", "lstlisting", "minted")


@dataclass(frozen=True, slots=True)
class Command:
    """A control sequence; `group` is what stands in the braces behind it, `option` in the brackets before those."""

    name: str
    start: int
    end: int
    option: Span | None = None
    group: Span | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """From `\\begin{name}` to `\\end{name}`; `inside` is what is between them."""

    name: str
    start: int
    end: int
    inside: Span


@dataclass(frozen=True, slots=True)
class Formula:
    """Mathematics between `$`, `$$`, `\\(` or `\\[`."""

    shift: str
    start: int
    end: int
    inside: Span


@dataclass(frozen=True, slots=True)
class Source:
    """What the tokenizer found, each in the order of the text; `fault` where it cannot be paired."""

    commands: tuple[Command, ...]
    environments: tuple[Environment, ...]
    formulas: tuple[Formula, ...]
    fault: str


TOKEN = re.compile(r"\\([A-Za-z]+\*?|.|\Z)|(\$\$?)|([{}])|%[^\n]*", re.DOTALL)
_NAME = re.compile(r"\s*\{([A-Za-z]+\*?)\}")
_BLANK = re.compile(r"[ \t]*\n?[ \t]*")
_PAIRS = {"(": "\\(", "[": "\\["}


def tokenize(text: str) -> Source:
    """Find the commands, environments and formulas of a text."""
    commands: list[tuple[str, int, int]] = []
    environments: list[Environment] = []
    formulas: list[Formula] = []
    opened: list[tuple[str, int, int]] = []
    groups: dict[int, int] = {}
    braces: list[int] = []
    shift: tuple[str, int, int] | None = None
    fault = ""
    at = 0
    while token := TOKEN.search(text, at):
        at = token.end()
        name, dollars, brace = token.group(1), token.group(2), token.group(3)
        if brace == "{":
            braces.append(token.start())
        elif brace == "}":
            if braces:
                groups[braces.pop()] = token.start()
            else:
                fault = fault or "a `}` closes nothing"
        elif dollars or (name and name in "()[]"):
            mark = dollars or _PAIRS.get(name or "", "")
            if shift is None:
                if mark:
                    shift = (mark, token.start(), at)
                else:
                    fault = fault or f"`\\{name}` closes nothing"
            elif mark == shift[0] == dollars or (
                not dollars and not mark and f"\\{'(['[')]'.index(name or '')]}" == shift[0]
            ):
                formulas.append(Formula(shift[0], shift[1], at, (shift[2], token.start())))
                shift = None
            elif dollars == "$$" and shift[0] == "$":
                # `$a$$b$`: the first closes, the second opens.
                formulas.append(Formula("$", shift[1], at - 1, (shift[2], token.start())))
                shift = ("$", at - 1, at)
            else:
                fault = fault or f"`{shift[0]}` is not closed by its own mark"
        elif name in ("begin", "end") and (found := _NAME.match(text, at)):
            kind, at = found.group(1), found.end()
            if name == "begin" and kind in VERBATIM:
                close = text.find(f"\\end{{{kind}}}", at)
                if close < 0:
                    fault = fault or f"`{kind}` is never closed"
                    break
                end = close + len(kind) + 6
                environments.append(Environment(kind, token.start(), end, (at, close)))
                at = end
            elif name == "begin":
                opened.append((kind, token.start(), at))
            elif opened and opened[-1][0] == kind:
                _, start, inside = opened.pop()
                environments.append(Environment(kind, start, at, (inside, token.start())))
            else:
                fault = fault or f"`\\end{{{kind}}}` closes nothing"
        elif name == "verb" and (close := text.find(text[at : at + 1] or " ", at + 1)) >= 0:
            at = close + 1
        elif name:
            commands.append((name, token.start(), at))
    fault = fault or ("a `{` is never closed" if braces else "")
    fault = fault or (f"`\\begin{{{opened[-1][0]}}}` is never closed" if opened else "")
    fault = fault or (f"`{shift[0]}` is never closed" if shift else "")
    return Source(
        tuple(_with_arguments(text, groups, *command) for command in commands),
        tuple(sorted(environments, key=lambda e: e.start)),
        tuple(formulas),
        fault,
    )


def _with_arguments(text: str, groups: dict[int, int], name: str, start: int, end: int) -> Command:
    at = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    option = None
    if text.startswith("[", at) and (close := text.find("]", at)) >= 0:
        option = (at + 1, close)
        end = close + 1
        at = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    if at in groups:
        return Command(name, start, groups[at] + 1, option, (at + 1, groups[at]))
    return Command(name, start, end, option)


_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{char: f"\\{char}" for char in "{}$&#%_"},
}
_ESCAPE = re.compile(r"[\\~^{}$&#%_]")
_UNESCAPES = {written: char for char, written in _ESCAPES.items()} | {r"\^{}": "^", r"\~{}": "~"}
_UNESCAPE = re.compile("|".join(re.escape(written) for written in sorted(_UNESCAPES, key=len, reverse=True)))


def escape(text: str) -> str:
    """Text as LaTeX shows it."""
    return _ESCAPE.sub(lambda m: _ESCAPES[m.group()], text)


def unescape(text: str) -> str:
    """The text that LaTeX's escapes stand for; other commands stay as they are."""
    return _UNESCAPE.sub(lambda m: _UNESCAPES[m.group()], text)
