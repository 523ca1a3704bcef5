"""Where an answer may stand in a response, and which place counts.

Marked places come first: `\\boxed{…}`, `<answer>…</answer>`, `#### …`, and lead-ins such as `the answer is …`. A box outranks the
others. Only where nothing is marked is the end of the response looked at: its last formula set apart, its last line, what
follows the last `is` or `=` of it, the only number in it. A last line that hedges (`I am not sure whether it is 5`) holds no
answer. Nothing is ever picked from the middle of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dataforge.verifiers.braces import closing_brace
from dataforge.verifiers.mathematics.notation import LONGEST
from dataforge.verifiers.protocol import Span

MOST = 40
"""Places on record; a response with more keeps its last ones."""


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a response that may be the answer.

    Attributes:
        how: `box`, `tag`, `lead-in`, or the place at the end: `last formula`, `last line`, `end of the last line`,
            `only number`.
        text: the piece.
        span: where in `Response.text` it stands.
        fault: why it cannot be the answer, whatever it says.
    """

    how: str
    text: str
    span: Span
    fault: str = ""

    @property
    def marked(self) -> bool:
        """Whether the response says that this is the answer."""
        return self.how in ("box", "tag", "lead-in")


_OPENED = re.compile(r"(?:\*\*|__|`)+\s*")
_CLOSED = re.compile(r"\s*(?:\*\*|__|`)+\s*[.!]?\s*\Z")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_TAG, _TAG_END = re.compile(r"<answer>", re.IGNORECASE), re.compile(r"</answer>", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(\S.*)$", re.MULTILINE)
_LEAD_IN = re.compile(
    r"(?<![A-Za-z])(?:answer|result|solution)s?(?![A-Za-z])"
    r"(?:\s+(?:to|of|for)\s+[^.:=\n]{1,80}?|\s+in\s+[A-Za-z ]{1,30}?)?"
    r"\s*(?:\*\*|__|\*)?\s*(?:(?:\bis\b|\bare\b|\bwould be\b|\bmust be\b|\bbecomes\b|\bequals\b)\s*(?:therefore|thus|then|simply|just|:)?|:|=)"
    r"\s*(?:\*\*|__)?[ \t]*",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(?:\.{2,}|…|\\(?:l|c)?dots|_+|\?+|answer|your(?: final)? answer(?: here)?|final answer)", re.IGNORECASE
)
_TYPESET = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\{([^{}]*)\}")
_HEDGE = re.compile(
    r"\b(?:not sure|unsure|uncertain|don'?t know|do not know|not know|cannot|can'?t|couldn'?t|unable|whether|maybe|perhaps|possibly|"
    r"might|could be|i guess|guess(?:ing)?|if|isn'?t|is not|are not|aren'?t|not)\b|n't\b|\?",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    r"^(?:[*•>#\s]|-\s+(?=[A-Za-z*]))*(?:(?:and|so|thus|hence|therefore|consequently|finally|then|in conclusion|in total|it follows that|we get|we have|"
    r"we find|this gives|which gives|giving|that is|=>|⇒|→|\\therefore|\\implies|\\Rightarrow)[,:]?\s+)*",
    re.IGNORECASE,
)
_DISPLAY = re.compile(
    r"(?<!\\)\\\[(.*?)(?<!\\)\\\]|\$\$(.*?)\$\$|\\\((.*?)\\\)|(?<![\\\w])\$(?![\s\d.,]*\w*\s[a-z]{3,})([^$\n]+?)\$(?![\d])",
    re.DOTALL,
)
_AFTER = re.compile(
    r"(?<![A-Za-z])(?:is|are|equals|equal to|becomes|was|gives|get|be|have|has|makes|costs|left with)(?![A-Za-z])\s*(?:therefore|thus|then|exactly|about|approximately)?\s*:?\s*|:\s|→|⇒|\\(?:implies|Rightarrow|therefore)(?![A-Za-z])",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\w.,/^\\])[-+−]?\s?(?:[$€£¥₹]\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:\s?/\s?\d+)?(?:\s?(?:%|percent\b))?(?![\w/^]|[.,]\d)"
)


def marked(answer: str, offset: int) -> list[Place]:
    """The places that the response marks, in the order of the text."""
    found = [*_boxes(answer, offset), *_tags(answer, offset), *_lead_ins(answer, offset)]
    found.sort(key=lambda place: place.span)
    # `the answer is \boxed{5}` is one place.
    boxes = [place.span for place in found if place.how == "box"]
    return [
        place
        for place in found
        if place.how == "box" or not any(place.span[0] <= start < place.span[1] for start, _ in boxes)
    ][-MOST:]


def _boxes(answer: str, offset: int) -> Iterator[Place]:
    end = 0
    for found in _BOX.finditer(answer):
        if found.start() < end:
            continue  # a box in a box
        start = found.end()
        if answer[start : start + 1] != "{":
            bare = re.compile(r"[^\s$\\.,;]+").match(answer, start)
            if bare is not None:
                end = bare.end()
                yield _place("box", bare[0], offset + start)
            continue
        closing = closing_brace(answer, start)
        if closing < 0:
            text = answer[start + 1 : start + 200]
            yield Place(
                "box", text, (offset + start + 1, offset + start + 1 + len(text)), "its brace is never closed"
            )
            return
        end = closing
        made = _place("box", answer[start + 1 : closing], offset + start + 1)
        around = answer[max(0, found.start() - 8) : found.start()]
        if _GOES_ON.match(answer, closing + 1) or _SIGNED.search(around):
            made = Place("box", made.text, made.span, "the box is only a part of its formula")
        yield made


_GOES_ON = re.compile(r"\s*[\^!]\s*[\w{\\]|!(?!\w)(?=\s*\$)")
_SIGNED = re.compile(r"=\s*[-−]\s*\Z")


def _tags(answer: str, offset: int) -> Iterator[Place]:
    opened = None
    for mark in sorted([*_TAG.finditer(answer), *_TAG_END.finditer(answer)], key=lambda found: found.start()):
        if not mark[0].startswith("</"):
            opened = mark.end() if opened is None else opened
        elif opened is not None:
            yield _place("tag", answer[opened : mark.start()], offset + opened)
            opened = None
    for found in _HASHES.finditer(answer):
        yield _place("tag", found[1], offset + found.start(1))


def _lead_ins(answer: str, offset: int) -> Iterator[Place]:
    """The places behind the last lead-ins; of lead-ins in one another, as in `Final answer: The answer is 5`, the inmost."""
    found = list(_LEAD_IN.finditer(answer))[-MOST:]
    starts = [offset + each.start() for each in found]
    for each in found:
        place = _led(answer, offset, each)
        if place is not None and not any(place.span[0] <= start < place.span[1] for start in starts):
            yield place


def _led(answer: str, offset: int, lead_in: re.Match[str]) -> Place | None:
    """The place behind a lead-in, if there is one."""
    start = lead_in.end()
    line_end = answer.find("\n", start)
    line_end = len(answer) if line_end < 0 else line_end
    if not answer[start:line_end].strip(" *_"):
        # `Final answer:` with the answer on the next line
        behind = _NEXT_LINE.match(answer, line_end)
        if behind is None:
            return None
        start, line_end = behind.span(1)
    line_end = min(line_end, start + LONGEST + 1)
    line_start = answer.rfind("\n", 0, lead_in.start()) + 1
    before = answer[max(0, line_start, lead_in.start() - 80) : lead_in.start()]
    unsure = "the sentence is unsure" if _HEDGE.search(re.split(r"[.!]\s", before)[-1]) else ""
    display = _DISPLAY.match(answer, start, start + 2 * LONGEST)
    if display is not None:
        group = next(k for k in range(1, 5) if display[k] is not None)
        rest = answer[display.end() : line_end]
        if "\n" in display[0] or re.fullmatch(r"[\s.*_]*", rest):
            made = _place("lead-in", display[group], offset + display.start(group))
            return Place(made.how, made.text, made.span, made.fault or unsure)
    text = answer[start:line_end]
    # To the end of the sentence: a full stop before a blank, but not one of `e.g.` or of a number.
    stop = re.search(r"(?<![A-Z.])[.!](?=\s+[A-Z\\$]|\s*$)", text)
    text = text[: stop.start()] if stop else text
    made = _place("lead-in", text, offset + start)
    denied = ""
    if re.match(r"(?:not|n't|neither|unknown|unclear)\b", text):
        denied = "the sentence says what it is not"
    return Place(made.how, made.text, made.span, made.fault or unsure or denied)


_NEXT_LINE = re.compile(r"\s*(\S.*)")


def _place(how: str, text: str, start: int) -> Place:
    blank = len(text) - len(text.lstrip())
    text = text.strip()
    if len(text) > LONGEST:
        return Place(
            how, text[:LONGEST], (start + blank, start + blank + LONGEST), "it is too long for an answer"
        )
    # `**Answer: 5**` and `is **5**.`: marks of emphasis at the ends are none of the answer's, and of a pair one may be outside.
    if (marks := _OPENED.match(text)) is not None:
        blank, text = blank + marks.end(), text[marks.end() :]
    if (marks := _CLOSED.search(text)) is not None:
        text = text[: marks.start()]
    span = (start + blank, start + blank + len(text))
    if not text:
        return Place(how, text, span, "it is empty")
    bare = _TYPESET.fullmatch(text)
    if _PLACEHOLDER.fullmatch(bare[1] if bare is not None else text):
        return Place(how, text, span, "it is a placeholder")
    return Place(how, text, span)


def implied(answer: str, offset: int) -> list[Place]:
    """The places at the end of a response that marks none, the most telling first."""
    stripped = answer.rstrip()
    if not stripped:
        return []
    places: list[Place] = []
    segments = list(_DISPLAY.finditer(stripped[-2 * LONGEST :]))
    base = max(0, len(stripped) - 2 * LONGEST)
    line_start = stripped.rfind("\n") + 1
    line = stripped[line_start:]
    if (
        segments
        and re.fullmatch(r"[\s.]*", stripped[base + segments[-1].end() :])
        and "\n" in segments[-1][0]
    ):
        group = next(k for k in range(1, 5) if segments[-1][k] is not None)
        return [_place("last formula", segments[-1][group], offset + base + segments[-1].start(group))]
    if len(line) > LONGEST:
        return []
    sentences = list(re.finditer(r"(?<=[.!?])\s+(?=[A-Z\\$*])", line))
    if sentences:
        line_start += sentences[-1].end()
        line = line[sentences[-1].end() :]
    if _HEDGE.search(line):
        return [
            Place(
                "last line",
                line,
                (offset + line_start, offset + line_start + len(line)),
                "the sentence is unsure",
            )
        ]
    opener = _OPENERS.match(line)
    at = opener.end() if opener else 0
    places.append(_place("last line", line[at:], offset + line_start + at))
    ends = [after.end() for after in _AFTER.finditer(line)][::-1][:3]
    places += [_place("end of the last line", line[end:], offset + line_start + end) for end in ends]
    inline = list(_DISPLAY.finditer(line))
    if len(inline) == 1:
        group = next(k for k in range(1, 5) if inline[0][k] is not None)
        places.append(_place("last formula", inline[0][group], offset + line_start + inline[0].start(group)))
    elif not inline:
        numbers = [found for found in _NUMBER.finditer(line) if any(sign.isdigit() for sign in found[0])]
        if len(numbers) == 1 and len(re.findall(r"\d+", line)) <= len(re.findall(r"\d+", numbers[0][0])):
            places.append(_place("only number", numbers[0][0], offset + line_start + numbers[0].start()))
    return places
