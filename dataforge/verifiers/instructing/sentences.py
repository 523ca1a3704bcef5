"""What a sentence is, in any language.

- A sentence ends at `.`, `!`, `?` or `…` (or several of them, with closing quotes and brackets) before white space or the
  end; at `。！？` anywhere; at the stops of Devanagari, Arabic, Urdu, Ethiopic and Armenian.
- A point does not end it in a number (`3.14`), after a title or abbreviation (`Dr.`, `e.g.`, `P.S.`), after an initial
  (`J. Smith`, `John F. Kennedy`, but not `plan B. Then`), nor behind the number of a list item. `etc.`, `a.m.` and the like end one where a word follows that
  begins sentences (`The`, `It`, …) and at the end of a paragraph.
- An ellipsis before a small letter does not end it, nor does `!` or `?` within quotes or brackets, unless the whole text has
  no capital letter: `“Stop!” he cried.` is one sentence.
- The end of a paragraph ends it, and so does the end of a heading or list item; another line break does not.
- What has no letter or digit is no sentence.
"""

from __future__ import annotations

import re

from dataforge.verifiers.instructing.words import spread

_CLOSERS = r"[\"'”’»)\]*_]*"
_END = re.compile(rf"(?:[.!?…]+|[।॥؟۔።᙮։]){_CLOSERS}(?=\s|$)|[。！？｡．](?:[。！？｡])*[」』”’）\"]*")
_SPLIT = re.compile(r"\n\s*\n|\n(?=[^\S\n]*(?:[-*+•]\s|\d{1,3}[.)]\s|#{1,6}\s|<<|\*{3,}))")
_HEADING = re.compile(r"[^\S\n]*(?:#{1,6}\s|<<[^\n]*>>\s*$)")
_ALWAYS = frozenset(
    spread(
        "mr mrs ms mx dr prof st mt rev capt lt sgt gov fig figs vol eds approx dept vs cf viz no nos "
        "ave blvd jan feb apr aug sept oct nov dec e.g i.e p.s p.p.s bzw nr"
    )
)
_SOMETIMES = frozenset(spread("etc inc ltd corp jr sr al"))
_STARTERS = frozenset(
    spread(
        "the a an it he she we they you i this that these those there here in on at but and so however then when while "
        "after before if as my our his her their what who why how where for from with its"
    )
)
_TOKEN = re.compile(r"[^\s(\[\"'“‘*_]*$")
_LETTERED = re.compile(
    r"\b(?:plan|vitamin|option|grade|section|part|type|class|team|group|point|answer|figure|appendix|letter|level|phase)"
    r"\s+$",
    re.IGNORECASE,
)
"""Words behind which a single letter is a name of its own and no initial."""

_NEXT = re.compile(r"[\s\"'“‘(\[*_]*(\w+)")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text stand, each with its closing mark, in order."""
    found: list[tuple[int, int]] = []
    lower_only = text == text.lower()
    start = 0
    for left, right in [*(match.span() for match in _SPLIT.finditer(text)), (len(text), len(text))]:
        piece_end = left
        # A heading ends with its line.
        if _HEADING.match(text, start, piece_end) and (stop := text.find("\n", start, piece_end)) >= 0:
            _add(found, text, start, stop)
            start = stop
        at = start
        for match in _END.finditer(text, start, piece_end):
            if match.start() >= at and _ends(text, match, piece_end, lower_only):
                _add(found, text, at, match.end())
                at = match.end()
        _add(found, text, at, piece_end)
        start = right
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if any(letter.isalnum() for letter in piece):
        lead = len(piece) - len(piece.lstrip())
        found.append((start + lead, start + len(piece.rstrip())))


def _ends(text: str, match: re.Match[str], limit: int, lower_only: bool) -> bool:
    mark = match[0]
    following = _NEXT.match(text, match.end(), limit)
    if mark[:2] == ".." or mark[0] == "…":
        return following is None or lower_only or not following[1][0].islower()
    if mark[0] in "!?" and not lower_only and mark[-1] in "\"'”’»)" and following is not None:
        return not following[1][0].islower()  # “Stop!” he cried.
    if mark[0] != "." or mark[:2] in (".!", ".?"):
        return True
    token = _TOKEN.search(text, max(0, match.start() - 24), match.start())
    before = token[0] if token else ""
    if not before:
        return True
    line_start = text.rfind("\n", 0, match.start()) + 1
    if before.isdigit() and not text[line_start : match.start() - len(before)].strip(" \t>*-"):
        return following is None
    word = before.casefold()
    if word in _SOMETIMES or re.fullmatch(r"(?:\w\.)+\w", before):
        if following is None:
            return word not in ("p.s", "p.p.s", "e.g", "i.e")
        if word in _ALWAYS:
            return False
        return following[1][0].isupper() and following[1].casefold() in _STARTERS
    if "." in before and following is not None and following[1][0].islower() and not lower_only:
        return False  # a Ph.D. in physics
    if word in _ALWAYS:
        return following is None or (word == "no" and _answers_no(text, match.start(), following))
    if len(before) == 1 and before.isupper() and before != "I" and text != text.upper():
        return (
            following is None
            or "\n" in following[0]
            or not following[1][0].isupper()
            or following[1].casefold() in _STARTERS
            or _LETTERED.search(text, max(0, match.start() - 24), match.start() - 1) is not None
        )
    return True


def _answers_no(text: str, at: int, following: re.Match[str]) -> bool:
    """Whether `no.` is the word and not the abbreviation of `number`, which a number follows."""
    return not following[1][0].isdigit()
