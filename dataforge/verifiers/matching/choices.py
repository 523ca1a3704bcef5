r"""Which option does a text choose? Every letter or option text that may be its choice, and the one that is.

Places are of three weights. *Final*: behind a lead-in (`Answer: B`, `I choose (B)`), in `\boxed{}` or `<answer>`, `B is
correct`, a line with nothing but an option, the text of an option as the last line. *Stated*: `it is B`, a text that opens with
`B.`. *Mentioned*: `(B)`, `**B**`, the quoted text of an option, or a last line that ends with `is` and such a text, and that
only where no other option is named at all.
The heaviest kind that there is decides; two different choices of that kind are none, unless the text takes the earlier
back ("wait, …").

A letter counts as one only where its sentence cannot go on from it as from a word: "the answer is a bird", "C++", "B-12",
"I think" name no option. Items of a list of options are no choice. Letters of other scripts that look like one are not it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataforge.verifiers.matching.asserted import Corrections, denied, doubt, visible
from dataforge.verifiers.matching.finals import ANSWER, boxed, lead_in
from dataforge.verifiers.matching.normal import layers
from dataforge.verifiers.matching.options import Options
from dataforge.verifiers.protocol import Candidate, Span

Weight = Literal["final", "stated", "mentioned"]

LOOK_ALIKES = {
    **dict(zip("АВСЕНІЈКМОРЅТХУ", "ABCEHIJKMOPSTXY", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
    **dict(zip("асеорхіѕј", "aceopxisj", strict=True)),
    **dict(zip("ᎪᏴᏟᎠᎬ", "ABCDE", strict=True)),
}
"""Cyrillic, Greek and Cherokee letters that cannot be told from Latin ones by eye."""

# Bounded, here and below, so that no text can make the search take more than a few steps a character.
_OPEN = r"(?:[*_`\"'“‘«(\[{$ \t]|\\(?:text|math)[a-z]*\s*\{|\\[(\[]){0,12}"
_CLOSE = r"(?:[*_`\"'”’»)\]}$]|\\[)\]]){0,12}"
_NOUN = r"(?:(?:the\s+)?(?:option|choice|letter|answer)\s+)?"
_LETTER = r"(?P<letter>[^\W\d_])(?!\w)"
_AT = re.compile(rf"(?P<open>{_OPEN}{_NOUN}{_OPEN}){_LETTER}(?P<close>{_CLOSE})", re.IGNORECASE)
_OPENING = re.compile(_OPEN + _NOUN + _OPEN, re.IGNORECASE)
_CLOSING = re.compile(_CLOSE)
_EQUALS = re.compile(r"(?:\b(?:is|are|was|were|be|equals|gives)|=)\s*" + _OPEN, re.IGNORECASE)
"""Before the text of an option at the end of the last line: `the capital of France is Paris.`"""
_TO_END = re.compile(_CLOSE + r"[.!]?" + _CLOSE + r"\s*\Z")
_CONTINUES = re.compile(r"\w(?<=\w\w)|[%°]|[.,:/-]\w|[ \t]*[\^*/+=<>×·÷][ \t]*[\w(]")
"""What makes a number, a word or a sum go on behind an option's text."""
_WRAPPED = re.compile(r"\\(?:text|math)[a-z]*\s*\{(?P<in>[^{}]*)\}")
_END = re.compile(
    r"\s*\Z|[ \t]*\n|[ \t]+(?:[^\w\s\"'“‘«$+*/=<>&|^%#@\\-]|-(?=\s))|[.:;!?,)–—](?!\d)|、|。|，|："
)
_GOES_ON = re.compile(
    r"\s+(?:because|since|as|for|due|based|given|where|which|with|by|and(?!\s+\W*[A-Za-z]\b)|but|not|rather|over|while|whereas|so|thus"
    r"|therefore|hence|at|here|in|considering|according)\b",
    re.IGNORECASE,
)
_ALSO = re.compile(
    r"\s*(?:,\s*(?:and|or)?|/|&|\+|;|\band/or\b|\band\b|\bor\b)\s*(?:also\s+|maybe\s+|perhaps\s+)?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[).:,\] \t]*")
_DASH = re.compile(r"[–—-]\s*")
_LEAD = re.compile(
    lead_in(rf"(?:{ANSWER}|choice|option|guess|pick|solution|result)")
    + r"|\b(?:i|we)(?:['’]d|['’]ll|\s+would|\s+will|\s+must|\s+have\s+to|['’]m\s+going\s+to)?\s+(?:choose|chose|pick|select"
    r"|selected|go(?:\s+with|\s+for)|going\s+with|vote\s+for|answer|settle\s+on)\s+"
    r"|\bthe\s+letter\s+is\s+|\bi['’]?d?\s+(?:would\s+)?say\s+"
    r"|\b(?:i['’]m|let['’]s|i\s+am)\s+go(?:ing)?\s+with\s+",
    re.IGNORECASE,
)
_CORRECT = re.compile(
    rf"(?<![\w-])(?P<noun>(?:the\s+)?(?:option|choice|answer)\s+)?(?P<open>{_OPEN}){_LETTER}(?P<close>{_CLOSE})"
    r"\s+(?:is|must\s+be|has\s+to\s+be)\s+(?:therefore\s+|thus\s+|clearly\s+|hence\s+|indeed\s+|obviously\s+)?"
    r"(?:the\s+)?(?:only\s+|single\s+)?(?:(?:correct|right|best|final)\b(?!-)|(?:answer|one)\b)",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"\b(?:it|that|this|which)(?:['’]s|\s+is|\s+must\s+be|\s+has\s+to\s+be|\s+should\s+be|\s+would\s+(?:have\s+to\s+)?be)\s+"
    r"(?:therefore\s+|thus\s+|clearly\s+|probably\s+|definitely\s+|most\s+likely\s+)?"
    r"|\b(?:so|thus|hence|therefore)[,:]?\s+|\bleft\s+with\s+(?:only\s+)?|\bleav(?:es|ing)\s+(?:us\s+with\s+)?(?:only\s+)?",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"<(?P<tag>answer|final_answer|final|choice)>(?P<in>.{0,4000}?)</(?P=tag)>", re.IGNORECASE | re.DOTALL
)
_BULLET = r"[ \t]*(?:[-*•>#→✓✔✅👉➡\ufe0f]{1,12}[ \t]{1,12}){0,4}"
_LINE = re.compile(
    rf"^{_BULLET}(?P<open>{_OPEN}{_NOUN}{_OPEN}){_LETTER}(?P<close>{_CLOSE}[.)]?{_CLOSE})[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_ITEM = re.compile(
    rf"^(?P<bullet>{_BULLET})(?P<open>{_OPEN}{_NOUN}{_OPEN})(?P<letter>[^\W\d_])"
    rf"(?P<close>[*_`\"'”’»}}$]*(?:[)\]][.:]?|[.:]|[ \t][-–—](?=[ \t])){_CLOSE})[ \t]*(?P<rest>\S[^\n]*)$",
    re.MULTILINE | re.IGNORECASE,
)
_VERB = r"(?:is|are|was|were|can|cannot|could|would|seems|looks|does|has|fits|makes)"
_SENTENCE = re.compile(rf"(?:{_VERB}|and|or|because|since)\b(?!\s*\W*\Z)", re.IGNORECASE)
"""What makes `(B) is wrong` a sentence, and no item of a list."""
_OPENS = re.compile(rf"(?![ \t]*{_VERB}\b)(?:[.,:;)–—]?\s|\s*[–—]|[.)]?\s*\Z)", re.IGNORECASE)
"""What follows a letter with which a reply opens: `B. It is the only one …`"""
_MARKED = re.compile(
    r"(?:\*\*|__)\(?(?P<bold>[A-Z])[).:]?(?:\*\*|__)|\((?P<round>[A-Z])\)|\[(?P<square>[A-Z])\]|`(?P<code>[A-Z])`"
)
_RIGHT_ITEM = re.compile(
    r"[\s*_.:,(\[–—←<-]*(?:(?:this|that|it)\s+is\s+)?(?:the\s+)?(?:correct|right|✓|✔️?|✅)(?:\s+answer)?[\s*_.!)\]]*\Z",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:(?:can(?:not|['’]t)|could(?:n['’]t|\s+not))\s+(?:decide|determine|tell|say|answer|help|choose|pick)"
    r"|(?:not\s+sure|unsure|no\s+idea)|(?:don['’]t|do\s+not)\s+know|impossible\s+to\s+(?:say|tell|know))\b",
    re.IGNORECASE,
)


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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a text chooses: a letter and where it stands, or why there is no choice.

    Attributes:
        conflict: whether there is no choice because there are two.
    """

    letter: str | None
    span: Span | None
    candidates: tuple[Candidate, ...]
    fault: str = ""
    conflict: bool = False


def choose(text: str, among: Options, *, cut_off: bool = False) -> Chosen:
    """Find the choice of a text.

    Args:
        text: what a model said, without its thinking.
        among: the options.
        cut_off: whether the model was stopped before its end: what reaches to the end may then be half a word.
    """
    if not text.strip():
        return Chosen(None, None, (), "the answer is empty")
    seen, hidden = visible(text)
    named = _merged(_finals(seen, among))
    if not any(n.weight == "final" and not n.rejected for n in named):
        # What was rejected as an item of a list, say, is not a choice by another reading.
        rejected = {n.span[0] for n in named if n.rejected}
        named = _merged([*named, *(n for n in _lighter(seen, among) if n.span[0] not in rejected)])
    named += _taken_over(seen, among, named)
    if cut_off:
        end = len(text.rstrip().rstrip("*_`\"'”’»)]}$."))
        named = [
            Named(n.letter, n.span, n.weight, "cut off") if not n.rejected and n.span[1] >= end else n
            for n in named
        ]
    candidates = [Candidate(text[a:b], (a, b), "struck out, or in a comment") for a, b in hidden]
    return _decide(text, seen, named, candidates)


def _taken_over(seen: str, among: Options, named: list[Named]) -> list[Named]:
    """Other options that a correction names behind the last choice: `Answer: B. Actually A.`"""
    standing = [n for n in named if not n.rejected]
    if not standing:
        return []
    last = standing[-1]
    if not Corrections(seen).between(last.span[1], len(seen)):
        return []
    return [
        Named(n.letter, n.span, last.weight, "")
        for n in _lighter(seen, among)
        if n.span[0] > last.span[1] and not n.rejected and n.letter != last.letter
    ]


def _decide(text: str, seen: str, named: list[Named], candidates: list[Candidate]) -> Chosen:
    standing: list[Named] = []
    for weight in ("final", "stated", "mentioned"):
        standing = [n for n in named if n.weight == weight and not n.rejected]
        if standing:
            break
    fault = ""
    if standing and standing[0].weight == "mentioned":
        if len({n.letter for n in named}) > 1:
            fault = "it names several options, and none as its answer"
        elif _UNSURE.search(seen):
            fault = "it says that it does not know"
    last = standing[-1] if standing else None
    corrections = Corrections(seen)
    conflict = False
    for one in named:
        why = one.rejected
        if not why and last is not None and one is not last:
            if one.weight != last.weight:
                why = "only named on the way"
            elif one.letter == last.letter:
                why = "said again later"
            elif corrections.between(one.span[1], last.span[0]):
                why = "taken back later"
            else:
                why, conflict = "another final answer follows", not fault
        if one is last and fault:
            why = fault
        candidates.append(Candidate(text[slice(*one.span)], one.span, why))
    if conflict and last is not None:
        candidates = [
            Candidate(c.text, c.span, "another final answer comes before") if c.span == last.span else c
            for c in candidates
        ]
        fault = "it gives two different final answers"
    ordered = tuple(sorted(candidates, key=lambda c: c.span or (0, 0)))
    if last is None or fault:
        return Chosen(None, None, ordered, fault or "it chooses no option", conflict)
    return Chosen(last.letter, last.span, ordered)


def _merged(named: list[Named]) -> list[Named]:
    """In the order of the text; of several readings of one place the one that stands, and of those the heaviest."""
    weights = {"final": 0, "stated": 1, "mentioned": 2}
    best: dict[int, Named] = {}
    for one in sorted(named, key=lambda n: (n.span[0], bool(n.rejected), weights[n.weight])):
        best.setdefault(one.span[0], one)
    return [best[start] for start in sorted(best)]


def _finals(text: str, among: Options) -> list[Named]:
    found: list[Named] = []
    for match in _LEAD.finditer(text):
        found += _at(text, match.end(), match.start(), among, "final")
    for start, inside, end in boxed(text) if "boxed" in text or "fbox" in text else ():
        found += _inside(text, inside, end, start, among)
    for match in _TAG.finditer(text) if "</" in text else ():
        found += _inside(text, match.start("in"), match.end("in"), match.start(), among)
    for match in _CORRECT.finditer(text):
        letter = match["letter"]
        if not letter.isupper() and not (match["noun"] or match["open"].strip()):
            continue
        found += _letter(text, match.start("letter"), match.start(), "final")
    found += _lines(text, among)
    return found


def _at(text: str, at: int, lead: int, among: Options, weight: Weight) -> list[Named]:
    """What is named right behind a lead-in, with what is joined to it by commas, `and` or `or`."""
    found: list[Named] = []
    while True:
        one, end = _one(text, at, among)
        if not one:
            return found
        why = doubt(text, lead, end)
        found += [Named(letter, span, weight, refused or why) for letter, span, refused in one]
        joined = _ALSO.match(text, end)
        if joined is None:
            return found
        at = joined.end()


def _one(text: str, at: int, among: Options) -> tuple[list[tuple[str, Span, str]], int]:
    """The option named at a place, as letter, span and why it is none, and where its name ends.

    It is two where a letter is followed by the text of another option.
    """
    opening = _OPENING.match(text, at)
    assert opening is not None
    # A text such as `A and B` or `B cells` begins with a letter, and is not that letter.
    named = _text_at(text, opening.end(), among) or _text_at(text, at, among)
    if named is not None:
        closing = _CLOSING.match(text, named[1][1])
        assert closing is not None
        return [(named[0], named[1], "")], closing.end()
    match = _AT.match(text, at)
    if match is not None:
        raw, span, end = match["letter"], match.span("letter"), match.end()
        letter, refused = _latin(raw)
        closed = bool(match["close"].strip())
        named = _text_behind(text, end, among)
        ends = (
            _END.match(text, end) is not None
            or named is not None
            or (closed and text[end : end + 1].isspace() and bool(match["open"].strip()))
            or (raw.isupper() and (_GOES_ON.match(text, end) is not None or _joins(text, end)))
            or _joins(text, end)
        )
        if letter and ends and _no_mark_follows(text, span[1]):
            if named is not None:
                other, other_span = named
                closing = _CLOSING.match(text, other_span[1])
                assert closing is not None
                if other == letter:
                    return [(letter, span, refused)], closing.end()
                # "B. London is too far north": a new sentence, and no second answer.
                if _END.match(text, closing.end()) is not None:
                    return [(letter, span, refused), (other, other_span, refused)], closing.end()
            return [(letter, span, refused)], end
    return [], at


def _text_behind(text: str, at: int, among: Options) -> tuple[str, Span] | None:
    """The option text that stands behind a letter, with or without marks around it, a dash between them, or neither."""
    separator = _SEPARATOR.match(text, at)
    assert separator is not None
    places = [separator.end()]
    dash = _DASH.match(text, places[0])
    if dash is not None:
        places.append(dash.end())
    for place in places:
        opening = _OPENING.match(text, place)
        assert opening is not None
        for start in (place, opening.end()):
            if start > at and (named := _text_at(text, start, among)) is not None:
                return named
    return None


def _joins(text: str, at: int) -> bool:
    """Whether another letter is joined on: `B, C`, `B and C`, `B/C`."""
    joined = _ALSO.match(text, at)
    if joined is None:
        return False
    match = _AT.match(text, joined.end())
    return match is not None and match["letter"].isupper() and _END.match(text, match.end()) is not None


def _text_at(text: str, at: int, among: Options) -> tuple[str, Span] | None:
    """The option whose text stands at a place, as a whole."""
    if at and _is_word(text[at - 1 : at]) and _is_word(text[at : at + 1]):
        return None
    for spelled in among.spelled:
        end = at + len(spelled)
        if text[at:end].lower() == spelled and not _CONTINUES.match(text, end):
            break
    else:
        return None
    letter = among.letter(text[at:end])
    if letter is None:
        return None
    if len(spelled) == 1 and spelled.isalpha():
        # A text of one letter is no more a word's beginning than an option's letter is.
        closing = _CLOSING.match(text, end)
        assert closing is not None
        if _END.match(text, closing.end()) is None:
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


def _letter(text: str, at: int, lead: int, weight: Weight) -> list[Named]:
    letter, refused = _latin(text[at])
    if not letter or not _no_mark_follows(text, at + 1):
        return []
    return [Named(letter, (at, at + 1), weight, refused or doubt(text, lead, at + 1))]


def _inside(text: str, start: int, end: int, lead: int, among: Options) -> list[Named]:
    """What a box or a tag holds: one option, or several, and nothing else."""
    content = text[start:end].rstrip()
    at = start + len(content) - len(content.lstrip())
    wrapped = _WRAPPED.fullmatch(content.strip())
    if wrapped is not None:
        inner = content.index("{") + 1
        return _inside(text, start + inner, start + inner + len(wrapped["in"]), lead, among)
    # Judged by itself: what follows the box is not part of it.
    alone = " " * at + text[at : start + len(content)]
    found = _at(alone, at, at, among, "final")
    why = doubt(text, lead, end)
    return [Named(n.letter, n.span, n.weight, n.rejected or why) for n in found]


def _lines(text: str, among: Options) -> list[Named]:
    """Lines with nothing but an option, and the items of lists of options."""
    found: list[Named] = []
    for match in _LINE.finditer(text):
        if match["letter"].isupper() or match["open"].strip() or match.end() - match.start() <= 3:
            found += _letter(text, match.start("letter"), match.start("letter"), "final")
    items = [
        match
        for match in _ITEM.finditer(text)
        if _latin(match["letter"])[0]
        and (match["letter"].isupper() or match["close"].strip())
        and (not _SENTENCE.match(match["rest"]) or _text_at(text, match.start("rest"), among))
    ]
    for run in _runs(items):
        for match in run:
            at = match.start("letter")
            letter, refused = _latin(match["letter"])
            span = (at, at + 1)
            named = _text_at(text, match.start("rest"), among)
            rest = text[named[1][1] : match.end()] if named is not None else match["rest"]
            if _RIGHT_ITEM.match(rest):
                found.append(Named(letter, span, "final", refused))
            elif len(run) > 1:
                found.append(Named(letter, span, "mentioned", "an item of a list"))
            elif named is not None:
                found.append(Named(letter, span, "final", refused or _denial(text, at, named[1][1])))
                if named[0] != letter:
                    found.append(Named(named[0], named[1], "final", refused))
    for start, end in _trimmed(text, *_last_line(text)):
        letter_of_text = among.letter(text[start:end])
        if letter_of_text is not None:
            found.append(Named(letter_of_text, (start, end), "final"))
            break
    return found


def _last_line(text: str) -> Span:
    """The last line that is not blank."""
    end = len(text.rstrip())
    return text.rfind("\n", 0, end) + 1, end


def _denial(text: str, start: int, end: int) -> str:
    return "denied" if denied(text, start, end) else ""


_BULLET_AHEAD = re.compile(r"\s*(?:(?:[-*•]|>{1,9}|#{1,9}|\d{1,3}[.)])\s{1,12}){0,4}")


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span of a line, and without bullets and marks around it."""
    line = text[start:end].strip()
    at = text.index(line, start)
    yield at, at + len(line)
    bullet = _BULLET_AHEAD.match(line)
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


def _lighter(text: str, among: Options) -> list[Named]:
    """What is stated or mentioned, looked at where nothing is final."""
    found: list[Named] = []
    openings: list[Named] = []
    for match in _STATED.finditer(text):
        openings += _at(text, match.end(), match.start(), among, "stated")
    start = len(text) - len(text.lstrip())
    first = _AT.match(text, start)
    if first is not None and (first["letter"].isupper() or first["open"].strip()):
        ends = _OPENS.match(text, first.end()) is not None or _joins(text, first.end())
        openings += _at(text, start, start, among, "stated") if ends else []
    found += [Named(n.letter, n.span, n.weight, n.rejected or _denial(text, *n.span)) for n in openings]
    for match in _EQUALS.finditer(text, _last_line(text)[0]):
        named = _text_at(text, match.end(), among)
        if named is not None and _TO_END.match(text, named[1][1]):
            found.append(Named(named[0], named[1], "mentioned", _denial(text, *named[1])))
    for match in _MARKED.finditer(text):
        group = match.lastgroup
        assert group is not None
        span = match.span(group)
        found.append(Named(match[group], span, "mentioned", _denial(text, span[0], match.end())))
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
                found.append(Named(letter_of_text, (start, end), "mentioned", _denial(text, start, end)))
            start = low.find(spelled, end)
    return found
