"""The options that a text names, each with its place, its weight, and why it may not count.

What the weights are is told in `choices.py`, which decides between the options named.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataforge.verifiers.matching.asserted import denied, doubt
from dataforge.verifiers.matching.choice_patterns import (
    AGAIN,
    ALSO,
    AT,
    BEFORE_RIGHT,
    BULLET_AHEAD,
    CLAUSE,
    CLOSING,
    CONTINUES,
    DASH,
    END,
    EQUALS,
    GOES_ON,
    ITEM,
    LEAD,
    LINE,
    LINE_START,
    LONE,
    MARKED,
    OPENING,
    OPENS,
    RIGHT,
    RIGHT_ITEM,
    SENTENCE,
    SEPARATOR,
    STATED,
    TAG,
    TO_END,
    WRAPPED,
)
from dataforge.verifiers.matching.finals import boxed
from dataforge.verifiers.matching.normal import layers
from dataforge.verifiers.matching.options import Options
from dataforge.verifiers.protocol import Span

Weight = Literal["final", "stated", "mentioned"]
WEIGHTS: tuple[Weight, ...] = ("final", "stated", "mentioned")
"""The heaviest first."""

LOOK_ALIKES = {
    **dict(zip("АВСЕНІЈКМОРЅТХУ", "ABCEHIJKMOPSTXY", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
    **dict(zip("асеорхіѕј", "aceopxisj", strict=True)),
    **dict(zip("ᎪᏴᏟᎠᎬ", "ABCDE", strict=True)),
}
"""Cyrillic, Greek and Cherokee letters that cannot be told from Latin ones by eye."""


@dataclass(frozen=True, slots=True)
class Named:
    """An option that a text names.

    Attributes:
        letter: its letter; it may be one that no option has.
        rejected: why this place does not count; empty where it does.
    """

    letter: str
    span: Span
    weight: Weight
    rejected: str = ""


def finals(text: str, among: Options) -> Iterator[Named]:
    """What is named as the final choice, and the items of lists, which are none."""
    for match in LEAD.finditer(text):
        yield from _at(text, match.end(), match.start(), among, "final")
    for start, inside, end in boxed(text) if "boxed" in text or "fbox" in text else ():
        yield from _inside(text, inside, end, start, among)
    for match in TAG.finditer(text) if "</" in text else ():
        yield from _inside(text, match.start("in"), match.end("in"), match.start(), among)
    for match in RIGHT.finditer(text):
        if match["surely"]:
            yield from _judged(text, match, among)
    yield from _lines(text, among)


def added(text: str, start: int, among: Options) -> Iterator[Named]:
    """What is named from a place on beside a final choice or in its place: `or A`, `perhaps A`, `A is also right`, `wait, A`."""
    for match in AGAIN.finditer(text, start):
        yield from _alone(text, match.end(), among)
    for match in RIGHT.finditer(text, start):
        if not match["surely"]:
            yield from _judged(text, match, among)


def _judged(text: str, judgement: re.Match[str], among: Options) -> Iterator[Named]:
    """The option that is called right: a letter, or a text with which a clause begins."""
    at, end = judgement.span()
    marked = text[max(0, at - 12) : at]
    stops = (at, at - len(marked) + len(marked.rstrip("*_`\"'”’»)]}$")))
    # Paris is right on the Seine.
    goes_on = judgement[0].lower().endswith(("correct", "right")) and not (
        END.match(text, end) or GOES_ON.match(text, end)
    )
    for spelled in among.spelled if not goes_on else ():
        for stop in stops:
            start = stop - len(spelled)
            if (
                start >= 0
                and text[start:stop].lower() == spelled
                and CLAUSE.search(text, max(0, start - 40), start)
                and (letter := among.letter(text[start:stop]))
            ):
                yield Named(letter, (start, stop), "final", doubt(text, start, end))
                return
    before = BEFORE_RIGHT.search(text, max(0, at - 60), at)
    if before is not None and (before["letter"].isupper() or before["noun"] or before["open"].strip()):
        yield from _letter(text, before.start("letter"), before.start(), "final", end)


def _at(text: str, at: int, lead: int, among: Options, weight: Weight) -> Iterator[Named]:
    """What is named right behind a lead-in, with what is joined to it by commas, `and` or `or`."""
    while True:
        one, end = _one(text, at, among)
        if not one:
            return
        why = doubt(text, lead, end)
        for letter, span, refused in one:
            yield Named(letter, span, weight, refused or why)
        joined = ALSO.match(text, end)
        if joined is None:
            return
        at = joined.end()


def _alone(text: str, at: int, among: Options) -> Iterator[Named]:
    """The option named at a place where nothing leads to one: its name must end there, and a letter be a capital."""
    one, end = _one(text, at, among)
    for letter, span, refused in one:
        word = text[slice(*span)]
        if (len(word) > 1 or not word.islower()) and (END.match(text, end) or _joins(text, end)):
            yield Named(letter, span, "final", refused or _denial(text, *span))


def _one(text: str, at: int, among: Options) -> tuple[list[tuple[str, Span, str]], int]:
    """The option named at a place, as letter, span and why it is none, and where its name ends.

    It is two where a letter is followed by the text of another option.
    """
    opening = OPENING.match(text, at)
    assert opening is not None
    # A text such as `A and B` or `B cells` begins with a letter, and is not that letter.
    named = _text_at(text, opening.end(), among) or _text_at(text, at, among)
    if named is not None:
        closing = CLOSING.match(text, named[1][1])
        assert closing is not None
        return [(named[0], named[1], "")], closing.end()
    match = AT.match(text, at)
    if match is not None:
        raw, span, end = match["letter"], match.span("letter"), match.end()
        letter, refused = _latin(raw)
        closed = bool(match["close"].strip())
        named = _text_behind(text, end, among)
        ends = (
            END.match(text, end) is not None
            or named is not None
            or (
                closed
                and text[end : end + 1].isspace()
                and bool(match["open"].strip() or ")" in match["close"])
            )
            or (raw.isupper() and (GOES_ON.match(text, end) is not None or _joins(text, end)))
            or _joins(text, end)
        )
        if letter and ends and _no_mark_follows(text, span[1]):
            if named is not None:
                other, other_span = named
                closing = CLOSING.match(text, other_span[1])
                assert closing is not None
                if other == letter:
                    return [(letter, span, refused)], closing.end()
                # "B. London is too far north": a new sentence, and no second answer.
                if END.match(text, closing.end()) is not None:
                    return [(letter, span, refused), (other, other_span, refused)], closing.end()
            return [(letter, span, refused)], end
    return [], at


def _text_behind(text: str, at: int, among: Options) -> tuple[str, Span] | None:
    """The option text that stands behind a letter, with or without marks around it, a dash between them, or neither."""
    separator = SEPARATOR.match(text, at)
    assert separator is not None
    places = [separator.end()]
    dash = DASH.match(text, places[0])
    if dash is not None:
        places.append(dash.end())
    for place in places:
        opening = OPENING.match(text, place)
        assert opening is not None
        for start in (place, opening.end()):
            if start > at and (named := _text_at(text, start, among)) is not None:
                return named
    return None


def _joins(text: str, at: int) -> bool:
    """Whether another letter is joined on: `B, C`, `B and C`, `B/C`."""
    joined = ALSO.match(text, at)
    if joined is None:
        return False
    match = AT.match(text, joined.end())
    return match is not None and match["letter"].isupper() and END.match(text, match.end()) is not None


def _text_at(text: str, at: int, among: Options) -> tuple[str, Span] | None:
    """The option whose text stands at a place, as a whole."""
    if at and _is_word(text[at - 1 : at]) and _is_word(text[at : at + 1]):
        return None
    for spelled in among.spelled:
        end = at + len(spelled)
        if text[at:end].lower() == spelled and not CONTINUES.match(text, end):
            break
    else:
        return None
    letter = among.letter(text[at:end])
    if letter is None:
        return None
    if len(spelled) == 1 and spelled.isalpha():
        # A text of one letter is no more a word's beginning than an option's letter is.
        closing = CLOSING.match(text, end)
        assert closing is not None
        if END.match(text, closing.end()) is None:
            return None
    return letter, (at, end)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _latin(char: str) -> tuple[str, str]:
    """The letter that a character stands for, and why it is none; two empty strings where it is something else."""
    plain = char if char.isascii() else unicodedata.normalize("NFKC", char)
    if len(plain) == 1 and plain.isascii() and plain.isalpha():
        return plain.upper(), ""
    meant = LOOK_ALIKES.get(char)
    if meant is None:
        return "", ""
    return meant.upper(), f"U+{ord(char):04X} {unicodedata.name(char)} is not the letter {meant}"


def _no_mark_follows(text: str, at: int) -> bool:
    """A combining stroke or accent makes it another letter."""
    return at >= len(text) or not unicodedata.combining(text[at])


def _letter(text: str, at: int, lead: int, weight: Weight, end: int) -> Iterator[Named]:
    letter, refused = _latin(text[at])
    if letter and _no_mark_follows(text, at + 1):
        yield Named(letter, (at, at + 1), weight, refused or doubt(text, lead, end))


def _inside(text: str, start: int, end: int, lead: int, among: Options) -> Iterator[Named]:
    """What a box or a tag holds: one option, or several."""
    content = text[start:end]
    wrapped = WRAPPED.fullmatch(content.strip())
    if wrapped is not None:
        inner = start + content.index("{") + 1
        yield from _inside(text, inner, inner + len(wrapped["in"]), lead, among)
        return
    # Judged by itself: what follows the box is not part of it.
    at = start + len(content) - len(content.lstrip())
    content = content.strip()
    found = list(_at(content, 0, 0, among, "final"))
    if found:
        behind = found[-1].span[1]
        if (named := _text_behind(content, behind, among)) is not None:
            behind = named[1][1]
        places = {match.end() for match in LINE_START.finditer(content, behind)}
        places |= {match.start() for match in LONE.finditer(content, behind)}
        found += [one for place in sorted(places) for one in _alone(content, place, among)]
    why = doubt(text, lead, end)
    for one in found:
        yield Named(one.letter, (one.span[0] + at, one.span[1] + at), one.weight, one.rejected or why)


def _lines(text: str, among: Options) -> Iterator[Named]:
    """Lines with nothing but an option, and the items of lists of options."""
    for match in LINE.finditer(text):
        if match["letter"].isupper() or match["open"].strip() or match.end() - match.start() <= 3:
            at = match.start("letter")
            yield from _letter(text, at, at, "final", at + 1)
    items = [
        match
        for match in ITEM.finditer(text)
        if _latin(match["letter"])[0]
        and (match["letter"].isupper() or match["close"].strip())
        and (not SENTENCE.match(match["rest"]) or _text_at(text, match.start("rest"), among))
    ]
    for run in _runs(items):
        for match in run:
            at = match.start("letter")
            letter, refused = _latin(match["letter"])
            span = (at, at + 1)
            named = _text_at(text, match.start("rest"), among)
            rest = text[named[1][1] : match.end()] if named is not None else match["rest"]
            if RIGHT_ITEM.match(rest):
                yield Named(letter, span, "final", refused)
            elif len(run) > 1:
                yield Named(letter, span, "mentioned", "an item of a list")
            elif named is not None:
                yield Named(letter, span, "final", refused or _denial(text, at, named[1][1]))
                if named[0] != letter:
                    yield Named(named[0], named[1], "final", refused)
    for start, end in _trimmed(text, *_last_line(text)):
        letter_of_text = among.letter(text[start:end])
        if letter_of_text is not None:
            yield Named(letter_of_text, (start, end), "final")
            break


def _last_line(text: str) -> Span:
    """The last line that is not blank."""
    end = len(text.rstrip())
    return text.rfind("\n", 0, end) + 1, end


def _denial(text: str, start: int, end: int) -> str:
    return "denied" if denied(text, start, end) else ""


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span of a line, and without bullets and marks around it."""
    line = text[start:end].strip()
    at = text.index(line, start)
    yield at, at + len(line)
    bullet = BULLET_AHEAD.match(line)
    assert bullet is not None
    for rest in layers(line[bullet.end() :].rstrip("!")):
        yield (at := text.index(rest, at)), at + len(rest)


def _runs(items: list[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """Items whose letters rise, which together are a list; one alone is none."""
    run: list[re.Match[str]] = []
    for item in items:
        if run and _latin(item["letter"])[0] <= _latin(run[-1]["letter"])[0]:
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def lighter(text: str, among: Options) -> Iterator[Named]:
    """What is stated or mentioned, looked at where nothing is final."""
    for one in stated(text, among):
        yield Named(one.letter, one.span, one.weight, one.rejected or _denial(text, *one.span))
    for match in EQUALS.finditer(text, _last_line(text)[0]):
        one_there, end = _one(text, match.end(), among)
        for letter, span, refused in one_there if TO_END.match(text, end) else ():
            word = text[slice(*span)]
            if len(word) > 1 or not word.isalpha() or (match["is"] and word.isupper()):
                yield Named(letter, span, "mentioned", refused or _denial(text, *span))
    for match in MARKED.finditer(text):
        group = match.lastgroup
        assert group is not None
        span = match.span(group)
        yield Named(match[group], span, "mentioned", _denial(text, span[0], match.end()))
    low = text.lower()
    for spelled in among.spelled if len(low) == len(text) else ():
        start = low.find(spelled)
        while start >= 0:
            end = start + len(spelled)
            letter_of_text = among.letter(text[start:end])
            if (
                letter_of_text is not None
                and text[max(0, start - 1) : start] in tuple("\"'“‘«*_`")
                and text[end : end + 1] in tuple("\"'”’»*_`.,")
            ):
                yield Named(letter_of_text, (start, end), "mentioned", _denial(text, start, end))
            start = low.find(spelled, end)


def stated(text: str, among: Options) -> Iterator[Named]:
    """What is stated, or opens the text."""
    for match in STATED.finditer(text):
        yield from _at(text, match.end(), match.start(), among, "stated")
    start = len(text) - len(text.lstrip())
    first = AT.match(text, start)
    if (
        first is not None
        and (first["letter"].isupper() or first["open"].strip())
        and (OPENS.match(text, first.end()) is not None or _joins(text, first.end()))
    ):
        yield from _at(text, start, start, among, "stated")
