"""Is an answer meant, or is it denied, supposed, asked, somebody else's, struck out, or taken back?

    "I don't think the answer is B."   "If the answer were B, …"   "Some say the answer is B."   "~~Answer: B~~"

All look like an answer to a pattern. What stands before a statement in its sentence, and right behind it, tells.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

_SENTENCE_END = re.compile(r"[.!?;](?=\s)|\n|,\s+but\b|\bhowever\b", re.IGNORECASE)

_BEFORE = (
    (
        "denied",
        r"(?:\bnot|n['’]t|\bnever)(?:\s+(?:think|believe|mean|say|agree|claim|saying|true|certain|convinced))?(?:\s+that)?"
        r"|\b(?:unlikely|doubt|false|untrue|wrong|incorrect)\s+(?:that|to\s+say(?:\s+that)?)"
        r"|\bi\s+(?:\w+\s+)?doubt(?:\s+that)?|\bdeny(?:\s+that)?",
    ),
    (
        "not the final answer",
        r"\b(?:wrong|incorrect|worst|bad|false|tempting|popular|common|obvious|intuitive|na[iï]ve|previous|earlier"
        r"|first|initial|original|second|other|another|each|every|any|possible|plausible|potential|your|his|her|their"
        r"|(?:student|user|model|author|friend)['’]s|distractor|rejected|eliminated)(?:\s+(?:wrong|incorrect))?",
    ),
    (
        "supposed, not said",
        r"\b(?:if|whether|suppose|supposed|supposing|assume|assuming|imagine|unless|in\s+case|let['’]?s\s+say|pretend)"
        r"(?:\s+that)?,?",
    ),
    (
        "somebody else's",
        r"\b(?:some|many|most|people|others|someone|one|you|they|he|she|students?|everyone|everybody|friend|teacher|book)\b"
        r"[^.\n]{0,30}\b(?:says?|said|thinks?|thought|claims?|claimed|argues?|believes?|believed|assumes?|guess(?:es)?"
        r"|suggests?|concludes?|answers?|picks?)\b(?:\s+that)?,?"
        r"|\baccording\s+to\s+(?:some|many|most|others|people|him|her|them)\b[^.\n]{0,20}",
    ),
    (
        "an example",
        r"\b(?:example|e\.g\.|in\s+the\s+form(?:at)?|(?:reply|respond)\s+(?:with|as)|(?:could|might|should)\s+write|please)[,:]?",
    ),
    (
        "what it thought before",
        r"\bthought(?:\s+that)?,?"
        r"|\b(?:at\s+first(?:\s+(?:glance|sight))?|initially|originally|seemingly)\b[^.\n]{0,40}"
        r"|\b(?:may|might|could|would)\s+(?:seem|appear|look)(?:\s+(?:that|like|as\s+if))?",
    ),
)
_DOUBTS = tuple((why, re.compile(rf"(?:{pattern})[\s:“\"'*_]*\Z", re.IGNORECASE)) for why, pattern in _BEFORE)
_ASKED = re.compile(r"[*_`\"'”’»)\]}$\s]*+\?")
_CROSSED = re.compile(r"[*_`\"'”’»)\]}$ ]*+[❌✗✘✖]")
_JOINED = r"(?:\s*(?:,\s*(?:(?:and|or|nor)\b)?|/|&|\b(?:and|or|nor)\b)\s*[*_`\"'“‘«(\[{$]{0,4}[A-Z](?!\w)[*_`\"'”’»)\]}$]{0,4}){0,25}+"
_DENIED_AFTER = re.compile(
    # What is said of a list is said of each: `A, C and D are wrong`.
    rf"[*_`\"'”’»)\]}}$]*+{_JOINED}(?:\s+(?:is|was|are|were|seems|looks|would\s+be)(?:\s+(?:clearly|also|therefore|thus|simply|just))?"
    r"\s+(?:not\b|wrong|incorrect|false|out\b|ruled\s+out|eliminated|excluded|impossible|implausible|unlikely|a\s+distractor"
    r"|tempting|too\b)"
    r"|\s+(?:isn|wasn|can|does|doesn|won|wouldn|couldn)(?:not\b|['’]t\b|\s+not\b))",
    re.IGNORECASE,
)
_DENIED_NEAR = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot|without|except|unlike|exclud\w+|eliminat\w+|reject\w*|discard\w*|dismiss\w*)\b"
    r"|n['’]t\b|\brul(?:e|es|ed|ing)\s+out\b|\b(?:other|rather)\s+than\b|\binstead\s+of\b|\b(?:against|wrong)\b)"
    r"[^.;,:\n]{0,40}\Z",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|correction|corrected|sorry|scratch\s+that|on\s+second\s+thou?ghts?|i\s+mean|i\s+meant|hold\s+on"
    r"|oops|reconsider\w*|mistake|mistaken|that['’]?s\s+(?:wrong|not\s+right)|let\s+me\s+(?:re\w+|double|check)|no(?=\s*[,:!—–])|(?<=[.!?,\n]\s)no(?=[.;]))\b",
    re.IGNORECASE,
)
_HIDING = re.compile(r"~~|<!--|<(?P<tag>del|s|strike)>", re.IGNORECASE)
_IF, _WOULD = re.compile(r"\bif\b", re.IGNORECASE), re.compile(r"\bwould\b", re.IGNORECASE)
_EMPHASIS = re.compile(r"</?(?:b|strong|i|em|u|mark)>", re.IGNORECASE)
_MOST_HIDDEN = 2000
"""What is struck out or commented out is no longer, in characters."""

REACH = 90
"""How far back in its sentence a statement's beginning is looked for, in characters."""


def doubt(text: str, start: int, end: int) -> str:
    """Why a statement such as `the answer is B` is not meant; empty where nothing speaks against it.

    Args:
        text: the answer.
        start: where the statement begins, with its article.
        end: where it ends.
    """
    before = _last_sentence(text[max(0, start - REACH) : start])
    if before.strip():
        for why, pattern in _DOUBTS:
            if pattern.search(before):
                return why
        if _IF.search(before) and _WOULD.search(text, start, end):
            return "supposed, not said"
    if _CROSSED.match(text, end):
        return "crossed out"
    return "asked, not said" if _ASKED.match(text, end) else ""


def denied(text: str, start: int, end: int) -> bool:
    """Whether a mere mention is denied: `not B`, `rule out (B)`, `B is wrong`."""
    before = _last_sentence(text[max(0, start - REACH) : start])
    return _DENIED_NEAR.search(before) is not None or _DENIED_AFTER.match(text, end) is not None


def _last_sentence(text: str) -> str:
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[ends[-1] :] if ends else text


class Corrections:
    """Where a text takes back what it said: `wait`, `actually`, `I mean`. Found once, when first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans: list[tuple[int, int]] | None = None

    def between(self, start: int, end: int) -> bool:
        """Whether what stands between two statements takes the first of them back."""
        if self._spans is None:
            self._spans = [match.span() for match in _TAKEN_BACK.finditer(self._text)]
        index = bisect_left(self._spans, (start, start))
        return index < len(self._spans) and self._spans[index][1] <= end


def visible(text: str, *, emphasis: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """The text with what is struck out or commented out blanked, so that offsets stay, and where that was.

    Args:
        emphasis: whether tags of HTML that only emphasise stay, as where an answer may have some; else they are blanked too.
    """
    if "~~" not in text and "<" not in text:
        return text, []
    if not emphasis:
        text = _EMPHASIS.sub(lambda found: " " * len(found[0]), text)
    gone = list(_hidden(text))
    if not gone:
        return text, []
    pieces, at = [], 0
    for start, end in gone:
        pieces += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join([*pieces, text[at:]]), gone


def _hidden(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while match := _HIDING.search(text, at):
        at, tag = match.end(), match["tag"]
        closing = f"</{tag}>" if tag else "-->" if match[0] == "<!--" else "~~"
        end = text.find(closing, at, at + _MOST_HIDDEN)
        if end > at and (closing != "~~" or "\n" not in text[at:end]):
            at = end + len(closing)
            yield match.start(), at
