"""Text → syntax: one pass of Lark's LALR parser that builds our frozen tree as it reduces, with no tree in between.

A text that does not parse is cut into its top-level items, and each item is parsed by itself: every broken item gives
one error, the others go on to be resolved, and nothing cascades. What the error says is the likeliest repair, where one
token mends the item (`repair.py`), else what the parser expected.
"""

from __future__ import annotations

import functools
import importlib.resources
import itertools
import re
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from dataforge.lang import syntax as s
from dataforge.lang.build import Builder
from dataforge.lang.collection import held_collection
from dataforge.lang.diagnostics import Report, Source, Span, nearest
from dataforge.lang.repair import Budget, find_repair


@functools.cache
def grammar_text() -> str:
    """The grammar, as Lark reads it."""
    return importlib.resources.files("dataforge.lang").joinpath("grammar.lark").read_text(encoding="utf-8")


@functools.cache
def _parser() -> tuple[Lark, Builder]:
    builder = Builder()
    lark = Lark(
        grammar_text(), parser="lalr", lexer="contextual", maybe_placeholders=True, transformer=builder
    )
    return lark, builder


def parse(source: Source, report: Report) -> s.File:
    """Parse a whole file; what is wrong with it goes to the report, what could be read is in the tree."""
    with held_collection():
        try:
            file = parse_text(source, source.text, 0, report)
        except UnexpectedInput as error:
            file = _parse_items(source, error, report)
    if file.version is not None and file.version.value != s.LANGUAGE_VERSION:
        report.error(
            "F004",
            f"this file is written in version {file.version.value} of the language, and this DataForge reads version "
            f"{s.LANGUAGE_VERSION}",
            source,
            file.version.span,
            f"write `forge {s.LANGUAGE_VERSION}`, or install a DataForge that reads the newer version",
        )
    return file


def parse_text(source: Source, text: str, base: int, report: Report) -> s.File:
    """Parse a text that begins at offset `base` of the source.

    Raises:
        UnexpectedInput: Lark's, where it does not parse.
    """
    lark, builder = _parser()
    builder.start_text(base)
    try:
        file = lark.parse(text)
    finally:
        problems = builder.problems
        builder.start_text(0)  # let go of the tree
    for code, message, span, help in problems:
        report.error(code, message, source, span, help)
    assert isinstance(file, s.File)
    return file


# ---- recovery


_TEXT = r'"""(?s:.*?)"""|"(?:\\.|[^"\\\n])*"'
_NAMED = r"(?:struct|generator|list|rubric|predicate|node|graph|example)[ \t]+\w"
ITEM = (
    rf"(?:from[ \t]+(?:\"[^\"\n]*\"|[\w.]+)[ \t]+import\b|forge[ \t]+\d|{_NAMED}"
    # A judge with a rubric is a clause of a node, wherever on its line it stands.
    rf"|judge[ \t]+\w++(?!\s*\{{(?:{_TEXT}|[^\"}}])*?\brubric\b)"
    # A word, a name and a brace are an item whose keyword is misspelt, unless a node or example has such a clause.
    r"|(?!(?:ask|judge|verify|given|model|emit)\b)[^\W\d]\w*[ \t]+(?!in\b)[^\W\d]\w*[ \t]*\{)"
)
_ON_LINE = rf"(?<=\}})(?=[ \t]+{_NAMED}\w*[ \t]*[{{(=])"
"""An item that follows another on its line."""
CUT = re.compile(rf"{_TEXT}|\#[^\n]*|^(?={ITEM})|{_ON_LINE}", re.MULTILINE)
_ITEM_START = re.compile(rf"^(?={ITEM})", re.MULTILINE)
HEADER = re.compile(r"\s*(?!from\b)([^\W\d]\w*)\s+([^\W\d]\w*)")
_BRACES = re.compile(rf"{_TEXT}|\#[^\n]*|[{{}}()\[\]]")


def _parse_items(source: Source, whole: UnexpectedInput, report: Report) -> s.File:
    text = source.text
    items: list[s.Item] = []
    version: s.Literal | None = None
    broken: list[str] = []
    failed = False
    budget = Budget()
    for start, end in itertools.pairwise(cuts(text)):
        chunk = text[start:end]
        try:
            part = parse_text(source, chunk, start, report)
        except UnexpectedInput as error:
            failed = True
            report_syntax(source, chunk, start, error, report, budget)
            broken.extend(lost_names(chunk))
        else:
            version = version or part.version
            items.extend(part.items)
    if not failed:
        # Each item parses and the whole does not: something stands where no item may, such as `forge` in the middle.
        report_syntax(source, text, 0, whole, report, budget)
    return s.File(tuple(items), version, tuple(broken))


def cuts(text: str) -> list[int]:
    """Offsets at which the top-level items of a text begin, as far as its lines tell; the first is 0, the last its end.

    Where the triple quotes of the text do not pair, no quoted text goes on over the beginning of an item.
    """
    return plain_cuts(text) if text.count('"""') % 2 == 0 else _odd_cuts(text)


def plain_cuts(text: str) -> list[int]:
    """The cuts of a text whose triple quotes pair."""
    found = (m.start() for m in CUT.finditer(text) if m.end() == m.start())
    return sorted({0, *found, len(text)})


def _odd_cuts(text: str) -> list[int]:
    """Where the triple quotes do not pair. As a pattern, which looks for an item at each letter, it takes fifteen times as long."""
    found = {0, len(text)}
    at = 0
    while (m := CUT.search(text, at)) is not None:
        if m.end() == m.start():
            found.add(m.start())
            at = m.start() + 1
        elif m.group().startswith('"""') and _holds_item(text, m.start() + 3, m.end() - 3):
            at = m.start() + 2  # never closed: an empty text, and a quote
        else:
            at = m.end()
    return sorted(found)


def _holds_item(text: str, start: int, end: int) -> bool:
    item = _ITEM_START.search(text, start)
    return item is not None and item.start() < end


def lost_names(chunk: str) -> tuple[str, ...]:
    """The names that an item which does not parse would have declared or imported."""
    if header := HEADER.match(chunk):
        return (header.group(2),)
    return tuple(re.findall(r"\b[^\W\d]\w*\b", chunk.partition("import")[2].split("\n")[0]))


_TERMINALS = {
    "NAME": "a name",
    "DOTTED": "`Struct.field`",
    "STRING": "text in quotes",
    "DOC": "text in triple quotes",
    "NUMBER": "a number",
    "OP": "a comparison such as `==`",
    "OPTIONAL": "`?`",
    "STAR": "`*`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "OPEN": "`[`",
    "CLOSE": "`]`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "VBAR": "`|`",
    "__ANON_0": "`..`",
    "$END": "the end of the file",
}


def report_syntax(
    source: Source, text: str, base: int, error: UnexpectedInput, report: Report, budget: Budget
) -> None:
    """Say what is wrong with a text that begins at offset `base`, and what would mend it."""
    repair = find_repair(text, _parser()[0], budget)
    if repair is not None:
        span = Span(base + repair.span.start, base + repair.span.end)
        report.error(repair.code, repair.message, source, span, repair.help)
        return
    if isinstance(error, UnexpectedCharacters):
        _report_characters(source, text, base, error, report)
        return
    assert isinstance(error, UnexpectedToken)
    token = error.token
    if token.type == "STRING" and text.startswith('"""', token.start_pos):
        _report_unclosed(source, base + (token.start_pos or 0), report)
        return
    accepted = sorted(error.accepts or error.expected or ())
    keywords = sorted(t.lower() for t in accepted if t not in _TERMINALS and t.isalpha())
    if token.type == "$END":
        unclosed = _last_unclosed(text)
        if unclosed is not None:
            report.error(
                "F001",
                f"this `{text[unclosed]}` is never closed",
                source,
                Span(base + unclosed, base + unclosed + 1),
                f"expected {_expected(accepted)} before the end",
            )
            return
        end = len(text.rstrip())
        report.error(
            "F001",
            f"the text ends too soon: expected {_expected(accepted)}",
            source,
            Span(base + max(0, end - 1), base + max(1, end)),
        )
        return
    start = token.start_pos
    assert start is not None
    span = Span(base + start, base + start + len(token))
    shown = str(token) if len(token) <= 40 else str(token)[:37] + "..."
    mistaken = _HABITS.get(str(token))
    if mistaken and _last_unclosed(text[:start]) is not None:
        mistaken = None
    near = nearest(str(token), keywords) if token.type == "NAME" else None
    help = f"did you mean `{near}`?" if near is not None else f"expected {_expected(accepted)}"
    help = mistaken or help
    report.error("F001", f"unexpected {_one_line(shown)}", source, span, help)


_HABITS = {
    "import": "write `from MODULE import NAME`",
    "forge": "write it once, at the top of the file",
    "//": "a comment begins with `#`",
    "/*": "a comment begins with `#`, on each of its lines",
    "--": "a comment begins with `#`",
}
"""What other languages write where an item begins, and what to write here."""


def _report_characters(
    source: Source, text: str, base: int, error: UnexpectedCharacters, report: Report
) -> None:
    where: Any = error.pos_in_stream  # typed as None by Lark, an offset in fact
    at = where or 0
    span = Span(base + at, base + at + 1)
    char = text[at] if at < len(text) else ""
    if text.startswith('"""', at):
        _report_unclosed(source, base + at, report)
    elif char == '"':
        line_end = text.find("\n", at)
        report.error(
            "F002",
            "this text is not closed on its line",
            source,
            Span(base + at, base + (len(text) if line_end < 0 else line_end)),
            'close it with `"`, or use `"""` for text of several lines',
        )
    elif char == "'":
        report.error(
            "F002", "text is written in double quotes here", source, span, "write `\"` instead of `'`"
        )
    elif text[at : at + 2] in _HABITS:
        help = _HABITS[text[at : at + 2]]
        report.error(
            "F002", f"unexpected `{text[at : at + 2]}`", source, Span(span.start, span.end + 1), help
        )
    elif char == "-" and (name := re.compile(r"[\w-]*\w").match(text, _word_start(text, at))) is not None:
        whole = Span(base + name.start(), base + name.end())
        mended = name.group().replace("-", "_")
        report.error("F002", "a name is of letters, digits and `_`", source, whole, f"write `{mended}`")
    else:
        allowed = sorted(error.allowed or ())
        known = [t for t in allowed if t in _TERMINALS or t.isalpha()]
        report.error(
            "F002",
            f"unexpected character {char!r} (U+{ord(char):04X})" if char else "the text ends too soon",
            source,
            span,
            f"expected {_expected(known)}" if known else "remove it",
        )


def _word_start(text: str, at: int) -> int:
    while at and (text[at - 1].isalnum() or text[at - 1] == "_"):
        at -= 1
    return at


def _report_unclosed(source: Source, at: int, report: Report) -> None:
    report.error("F002", 'this `"""` is never closed', source, Span(at, at + 3), 'close the text with `"""`')


def _one_line(text: str) -> str:
    return "`" + "".join(c if c.isprintable() else " " for c in text) + "`"


def _expected(terminals: list[str]) -> str:
    named = [_TERMINALS[t] for t in terminals if t in _TERMINALS]
    words = [f"`{t.lower()}`" for t in terminals if t not in _TERMINALS and t.isalpha()]
    phrases = list(dict.fromkeys([*words, *named]))
    if not phrases:
        return "something else"
    if len(phrases) > 16:
        phrases = [*phrases[:15], f"{len(phrases) - 15} more"]
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " or " + phrases[-1]


def _last_unclosed(text: str) -> int | None:
    """Offset of the innermost bracket that is open at the end, or None."""
    stack: list[int] = []
    for match in _BRACES.finditer(text):
        if match.group() in "{([":
            stack.append(match.start())
        elif match.group() in "})]" and stack:
            stack.pop()
    return stack[-1] if stack else None
