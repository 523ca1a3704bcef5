"""What was probably meant: the one-token repair after which a broken item parses, said in words.

In comes the text of an item that does not parse, out goes a `Repair`: where the mistake is, what it is, and what to
write. Quotes are looked at first, since one that is missing makes nonsense of all tokens after it; then every way to
insert, remove, replace or swap one token near the place where the parse stops is tried (`edits.py`), and the likeliest
one after which the whole item parses is said. A `Budget` bounds the tries for a file with thousands of broken items.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lark import Lark

from dataforge.lang.automaton import CLOSERS, LINKS, Budget, Piece, choices_of, open_brackets
from dataforge.lang.diagnostics import Span, listing
from dataforge.lang.edits import LOOK_BACK, PLACEHOLDERS, Edit, Search

__all__ = ["Budget", "Repair", "find_repair"]


@dataclass(frozen=True)
class Repair:
    """A mistake and its mend, in offsets of the item's text."""

    code: str
    message: str
    span: Span
    help: str


# ---- what is said


def find_repair(text: str, lark: Lark, budget: Budget) -> Repair | None:
    """The likeliest one-token repair of an item that does not parse; None where none is likely.

    Args:
        text: the item.
        lark: the parser of whole files.
        budget: what may still be tried in this file; what is used is taken off.
    """
    if budget.tokens <= 0:
        return None
    search = Search(text, lark, budget)
    if search.stop < 0:
        return None
    quote = _quote_repair(search, lark)
    if quote is not None:
        return quote
    edits = search.best()
    if not edits or (edits[0].what == "remove" and search.pieces[edits[0].at].text == ")"):
        call = _call_repair(search, lark)
        if call is not None:
            return call
    return _say(search, edits) if edits else None


# ---- quotes


def _quote_repair(search: Search, lark: Lark) -> Repair | None:
    """The missing quote, where the quotes of the item do not pair; None where they do."""
    pieces, stop = search.pieces, search.stop
    lone = next((n for n, p in enumerate(pieces) if p.kind in ("open_doc", "open_string")), None)
    if lone is None:
        return None
    quote = '"""' if pieces[lone].kind == "open_doc" else '"'
    for number in range(min(stop, lone - 1), max(-1, stop - LOOK_BACK), -1):
        piece = pieces[number]
        if quote == '"' and "\n" in search.text[piece.start : pieces[lone].start]:
            break
        if _parses_with(search, lark, quote, piece.start):
            return Repair(
                "F002",
                "the quotes do not pair: a text is closed here that was never opened",
                Span(piece.start, piece.end),
                f"open the text with `{quote}` before {_shown(piece)}",
            )
    for number in range(min(stop, lone) - 1, max(-1, stop - LOOK_BACK), -1):
        piece = pieces[number]
        if piece.kind != ("DOC" if quote == '"""' else "STRING"):
            continue
        ends = [
            piece.start + m.start() for m in re.finditer(r"\n|  |$", piece.text) if m.start() > len(quote)
        ]
        for end in ends[:20]:
            if _parses_with(search, lark, quote, end):
                return Repair(
                    "F002",
                    f"the text that this `{quote}` opens is not closed where it ends",
                    Span(piece.start, piece.start + len(quote)),
                    f"close the text with `{quote}`",
                )
    if stop < lone:
        return None
    at = pieces[lone].start
    if quote == '"""':
        return Repair("F002", 'this `"""` is never closed', Span(at, at + 3), 'close the text with `"""`')
    return Repair(
        "F002",
        "this text is not closed on its line",
        Span(at, pieces[lone].end),
        'close it with `"`, or use `"""` for text of several lines',
    )


def _call_repair(search: Search, lark: Lark) -> Repair | None:
    """The missing `(` of `wordsPassage.text)`: there the name of a call and its first word have become one."""
    for number in range(search.stop, max(-1, search.stop - LOOK_BACK), -1):
        piece = search.pieces[number] if number < len(search.pieces) else None
        seam = (
            re.search(r"(?<=[a-z])(?=[A-Z])", piece.text)
            if piece and piece.kind in ("word", "DOTTED")
            else None
        )
        if piece is not None and seam and _parses_with(search, lark, "(", piece.start + seam.start()):
            mended = f"{piece.text[: seam.start()]}({piece.text[seam.start() :]}"
            follower = search.pieces[number + 1 : number + 2]
            closes = ")" if follower and follower[0].text == ")" else ""
            span = Span(piece.start, piece.end)
            return Repair("F001", "`(` is missing here", span, f"write `{mended}{closes}`")
    return None


def _parses_with(search: Search, lark: Lark, quote: str, at: int) -> bool:
    """Whether the item parses with a text inserted."""
    mended = Search(search.text[:at] + quote + search.text[at:], lark, search.budget)
    return mended.stop < 0


def _say(search: Search, edits: list[Edit]) -> Repair:
    edit, pieces = edits[0], search.pieces
    match edit.what:
        case "remove":
            return _say_remove(search, edit.at)
        case "replace":
            return _say_replace(pieces[edit.at], [e.put[0] for e in edits if _same_place(e, edit)])
        case "swap":
            first, second = pieces[edit.at], pieces[edit.at + 1]
            return Repair(
                "F001",
                f"{_shown(first)} and {_shown(second)} stand in the wrong order",
                Span(first.start, first.end),
                f"swap {_shown(first)} and {_shown(second)}"
                if "\n" in search.text[first.start : second.end]
                else f"write `{_short(second.text)} {_short(first.text)}`",
            )
        case "range":
            low, high = pieces[edit.at - 1], pieces[edit.at]
            return Repair(
                "F001",
                "a range is written with `..`",
                Span(low.start, high.end),
                f"did you mean `{low.text}..{high.text[1:]}`?",
            )
        case "quote":
            span = Span(pieces[edit.at].start, pieces[edit.at + edit.drop - 1].end)
            return Repair(
                "F001",
                "a text stands in quotes",
                span,
                f'write `"{_short(search.text[span.start : span.end])}"`',
            )
        case _:
            return _say_insert(search, edit, [e.put[0] for e in edits if _same_place(e, edit)])


def _same_place(one: Edit, other: Edit) -> bool:
    return (one.what, one.at) == (other.what, other.at)


def _say_remove(search: Search, at: int) -> Repair:
    pieces, piece = search.pieces, search.pieces[at]
    first = last = at
    while first and pieces[first - 1].text == piece.text:
        first -= 1
    while last + 1 < len(pieces) and pieces[last + 1].text == piece.text:
        last += 1
    if first < last:
        # Any of them may go: the one without a gap before it looks least like it was meant.
        glued = (n for n in range(first + 1, last + 1) if pieces[n].start == pieces[n - 1].end)
        inline = (n for n in range(first + 1, last + 1) if pieces[n].indent < 0)
        extra = pieces[next(glued, next(inline, last))]
        span = Span(extra.start, extra.end)
        return Repair("F001", f"{_shown(piece)} stands here twice", span, f"remove one {_shown(piece)}")
    help = f"remove this {_shown(piece)}"
    if piece.kind == "NUMBER":
        if piece.apart:
            help += ", or write a name before it"
        elif at and pieces[at - 1].kind == "NUMBER":
            help = f"remove {_shown(pieces[at - 1])} or {_shown(piece)}"
    if piece.text == "," and search.trails(at) and at and pieces[at - 1].kind in ("word", "DOTTED"):
        help += ", or write a name after it"
    code = "F001" if piece.kind else "F002"
    return Repair(code, f"unexpected {_shown(piece)}", Span(piece.start, piece.end), help)


def _say_replace(piece: Piece, meant: list[Piece]) -> Repair:
    span = Span(piece.start, piece.end)
    code = "F001" if piece.kind and not piece.kind.startswith("open") else "F002"
    if meant[0].text == "_":
        _, wanted = PLACEHOLDERS["NAME" if meant[0].kind == "word" else meant[0].kind]
        return Repair(code, f"unexpected {_shown(piece)}", span, f"write {wanted} instead of {_shown(piece)}")
    texts = list(dict.fromkeys(m.text for m in meant if m.text != "_"))
    return Repair(code, f"unexpected {_shown(piece)}", span, f"did you mean {listing(texts, joiner='or')}?")


def _say_insert(search: Search, edit: Edit, put: list[Piece]) -> Repair:
    pieces, at = search.pieces, edit.at
    text = put[0].text
    if text in CLOSERS.values():
        opener = next(
            (o for o in reversed(open_brackets(pieces[:at])) if CLOSERS[pieces[o].text] == text), None
        )
        if opener is not None and (at == len(pieces) or pieces[at].indent >= 0):
            piece = pieces[opener]
            where = f"after {_shown(pieces[at - 1])}"
            if at < len(pieces):
                where = f"before {_shown(pieces[at])}"
            return Repair(
                "F001",
                f"this `{piece.text}` is never closed",
                Span(piece.start, piece.end),
                f"insert `{text}` {where}",
            )
    span, where = _gap(search, at, text)
    if text == "_":
        called, wanted = _called(put)
        if at and pieces[at - 1].kind in ("word", "OP", "EQUAL"):
            span, where = Span(pieces[at - 1].start, pieces[at - 1].end), f"after {_shown(pieces[at - 1])}"
        return Repair("F001", f"{called} is missing here", span, f"write {wanted} {where}")
    if put[0].kind == "OP":
        sign = ">=" if at < len(pieces) and pieces[at].kind == "NUMBER" else "=="
        return Repair(
            "F001", "a comparison is missing here", span, f"insert a comparison such as `{sign}` {where}"
        )
    texts = list(dict.fromkeys(p.text for p in put if p.text != "_"))
    choices = choices_of(search.before[at])
    if at and len(texts) == len(choices) == 3:
        span = Span(pieces[at - 1].start, pieces[at - 1].end)
        return Repair(
            "F001", "a word is missing here", span, f"insert {listing(texts, joiner='or')} after it"
        )
    texts = texts[:2]
    if len(texts) == 1 and texts[0].isalpha() and texts[0] not in LINKS and "NAME" in choices:
        return Repair("F001", "a word is missing here", span, f"insert `{texts[0]}`, or a name, {where}")
    missing = f"`{texts[0]}` is missing here" if len(texts) == 1 else "something is missing here"
    if len(texts) == 2 and all(t.isalpha() for t in texts):
        missing = "a word is missing here"
    return Repair("F001", missing, span, f"insert {listing(texts, joiner='or')} {where}")


def _called(put: list[Piece]) -> tuple[str, str]:
    kinds = {"NAME" if p.kind == "word" else p.kind for p in put if p.text == "_"}
    if {"NUMBER", "STRING"} <= kinds:
        return "a value", "a value"
    return PLACEHOLDERS["DOTTED" if "DOTTED" in kinds else min(kinds)]


def _gap(search: Search, at: int, text: str) -> tuple[Span, str]:
    """Where a missing token is shown, and how to say so.

    It is shown at the token after it where that stands on the same line or the missing one begins a clause, else at the
    one before it.
    """
    pieces = search.pieces
    if at == 0 and not pieces:
        return Span(0, 1), "here"
    before = pieces[at - 1] if at else None
    if before is None or (
        at < len(pieces)
        and (
            pieces[at].indent < 0
            or (text.isalpha() or text == "_")
            or (text not in (",", "{") and before.text in ("{", "}", "(", ")", "[", "]", ","))
        )
    ):
        return Span(pieces[at].start, pieces[at].end), f"before {_shown(pieces[at])}"
    return Span(before.start, before.end), f"after {_shown(before)}"


def _short(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 40 else text[:37] + "..."


def _shown(piece: Piece) -> str:
    return f"`{_short(piece.text)}`"
