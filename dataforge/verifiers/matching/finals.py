r"""The final answer of a free text: where it is stated, and how far it reaches.

A statement is one of, all of the same weight: `\boxed{…}`, `<answer>…</answer>`, or a lead-in such as `Answer: …` or `so the
final answer is …`. Where none is made, the whole answer counts if it is one line, and else its last line. Of two statements that
differ the later counts only where the text between takes the earlier back ("wait, …"); else there is no one final answer. Nor is
there one where the text ends by taking the last back ("no, it is 43") or adding to it ("or perhaps 43").

A lead-in does not say where its answer ends: it may be the line, the sentence, or what comes before "because". Each is an
extent of the same statement, the longest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Literal

from dataforge.verifiers.braces import closing_brace
from dataforge.verifiers.matching.asserted import Corrections, doubt, visible
from dataforge.verifiers.matching.normal import bare
from dataforge.verifiers.matching.spans import shifted
from dataforge.verifiers.protocol import Candidate, Response, Span, Verdict, failed, unparsed
from dataforge.verifiers.spoken import spoken

ANSWER = r"(?:ans(?:wer)?|antwort|réponse|respuesta|risposta|resposta|antwoord|svar|odpowiedź|cevap|ответ|答案|答え|正解|정답|الإجابة)"
_QUALIFIED = (
    r"(?:(?:final|correct|right|best|only|actual|true|most\s{1,9}likely|likely|single)(?:\s{1,9}|_)){0,3}"
)


def lead_in(keyword: str) -> str:
    """A pattern for `the correct answer to this is`, `**Answer:**`, `"answer": `: everything up to the answer itself.

    White space within it is bounded, so that a flood of it is not gone through for each place where it might begin.
    """
    return (
        # Not the end of a longer word or name, save where words are not set apart: 正确答案.
        r"(?<![^\W_\u3040-\u9fff])(?<!-)(?<![^\W_]_)(?:(?:the|my|our|an?)\s{1,9})?"
        rf"{_QUALIFIED}{keyword}(?![A-Za-z0-9]|_[A-Za-z0-9])"
        r"(?:\s{1,9}(?:letter|choice|option|correcta|correta|corretta|correcte|exacte|finale?))?[*_`\"'”)\]]{0,9}"
        r"(?:\s{1,9}(?:to|for|here|of|among|in|from|on)\b[^.\n:;?!=]{0,60}?)?"
        r"(?:(?:['’]s|\s{1,9}(?:is|was|will\s+be|would\s+be|must\s+(?:therefore\s+|thus\s+)?be|should\s+be|has\s+to\s+be|can\s+only\s+be|ist|lautet|est|es|è|é))\b"
        r"(?:\s{1,9}(?:therefore|thus|hence|clearly|probably|most\s+likely|likely|simply|indeed|definitely|still|now|just))?"
        r"(?:\s{0,9}[:：])?|\s{0,9}[:：=】]|\s{0,9}(?:是|为|は|은|는)[:：]?|\s{0,9}(?:->|→|➡|⇒|=>|—|–)|\s{1,9}-(?=\s))[*_]*+\s*+"
    )


MOST_CHARACTERS = 2000
"""No answer behind a lead-in is longer: what goes on is prose."""
# Not `the result is`, which says what a step comes to as often as what all of them do.
_LEAD_IN = re.compile(lead_in(rf"(?:{ANSWER}|(?<=final\s)(?:result|solution))"), re.IGNORECASE)
_TAG = re.compile(
    r"<(?P<tag>answer|final_answer|final|result)>(.{0,4000}?)</(?P=tag)>", re.IGNORECASE | re.DOTALL
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_MARKED = re.compile(
    r"[\s$(\[\\*]*(?:\\?(?:boxed|fbox)\s*\{|<(?:answer|final_answer|final|result)>)", re.IGNORECASE
)
"""What is marked itself, behind a lead-in."""
_JSON_VALUE = re.compile(r'(?:"(?P<text>[^"\\]*)"|(?P<other>[-+.\w]+))(?=\s*[,}])')
"""Behind a key of a JSON object."""
_NOT = re.compile(r"[*_]*(?:not|never|neither)\b", re.IGNORECASE)
_OPENED = re.compile(r"[*_]{1,3}\Z")
_STOP = re.compile(
    r"[.!;](?=\s++(?!(?:or|and|but|no(?=\s*+[,.:;!—–])|nor|maybe|perhaps|alternatively|possibly)\b)\S)",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"(?:\W*</\w{1,12}>)?\W*+(?:(?:oh|ah|sorry)\b\W*+)?"
    r"(?:(?:h+m+|oops|actually|wait|hold\s+on|correction|edit|scratch\s+that|i\s+mean(?:t)?|on\s+second\s+thought|let\s+me\s+re\w+"
    r"|or|maybe|perhaps|possibly|alternatively)\b|no(?=\s*[,.:;!—–]))\W*+"
    r"(?:(?:.{0,300}[.:;!?,\n]\s{0,9})?(?:it|that|this|the\s+answer)(?:['’]s|\s+is|\s+should\s+be|\s+must\s+be)\s+"
    r"|(?:make\s+(?:it|that)\s+)?)"
    r"(?P<to>(?!(?:correct|right|fine|true|so|not|it|that|this)\b)[^\s.]\S*(?:\s\S+){0,2}?)[.!\s]*\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What ends a text that takes its final answer back: a correction, and at its end a few words in the answer's place."""
MOST_STATEMENTS = 2000
"""A text that states its answer more often is caught in a loop, and is not read."""
_BECAUSE = re.compile(
    r",?\s+(?:because|since|as\s+(?:it|the|they|this|he|she|we)|for\s+the\s+reason)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Statement:
    """An answer that a text states.

    Attributes:
        extents: how far it may reach, the longest first; spans of the text.
        rejected: why it is not the final answer; empty where it may be.
        start: where the statement with its lead-in begins.
    """

    extents: tuple[Span, ...]
    start: int
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Final:
    """The final answer of a text.

    Attributes:
        extents: readings of it, as texts and spans, the longest first; empty where there is none.
        candidates: all that was considered.
        fault: why there is no final answer.
        conflict: whether that is because there are two.
    """

    extents: tuple[tuple[str, Span], ...]
    candidates: tuple[Candidate, ...] = ()
    fault: str = ""
    conflict: bool = field(default=False)


def answered(
    response: Response, where: Literal["final", "whole"], same: Callable[[str], object]
) -> Final | Verdict:
    """The final answer of a response, with spans of its text; the verdict where there is none.

    Args:
        response: the response.
        where: whether the final answer counts, wherever it is stated, or the whole reply.
        same: the normal form by which two answers are the same.
    """
    said = spoken(response)
    if said.fault:
        return unparsed(said.fault)
    find = whole if where == "whole" else final
    found = find(said.answer, same, cut_off=response.finish_reason == "length")
    candidates = tuple(shifted(found.candidates, said.offset))
    if found.conflict:
        return failed(found.fault, candidates=candidates)
    if not found.extents:
        return unparsed(found.fault, candidates=candidates)
    extents = tuple((text, (start + said.offset, end + said.offset)) for text, (start, end) in found.extents)
    return Final(extents, candidates)


def final(text: str, same: Callable[[str], object], *, cut_off: bool = False) -> Final:
    """Find the final answer.

    Args:
        text: what a model said, without its thinking.
        same: the normal form by which two answers are the same.
        cut_off: whether the model was stopped before its end, so that what reaches to the end may be half an answer.
    """
    seen, hidden = visible(text)
    found = sorted(islice(statements(seen), MOST_STATEMENTS + 1), key=lambda s: s.extents[0])
    if len(found) > MOST_STATEMENTS:
        return Final((), (), "it states an answer again and again, without end")
    end = len(text.rstrip())
    candidates = [Candidate(text[a:b], (a, b), "struck out, or in a comment") for a, b in hidden]
    if cut_off:
        found = [
            Statement(s.extents, s.start, s.rejected or ("cut off" if s.extents[0][1] >= end else ""))
            for s in found
        ]
    meant = [s for s in found if not s.rejected]
    candidates += [Candidate(_text(text, s), s.extents[0], s.rejected) for s in found if s.rejected]
    if not meant:
        return _unmarked(text, seen, candidates, cut_off=cut_off)
    last = meant[-1]
    values = {same(bare(text[a:b])) for a, b in last.extents}
    conflict = False
    corrections = Corrections(seen)
    for earlier in meant[:-1]:
        if any(same(bare(text[a:b])) in values for a, b in earlier.extents):
            candidates.append(Candidate(_text(text, earlier), earlier.extents[0], "said again later"))
        elif corrections.between(earlier.extents[-1][1], last.extents[0][0]):
            candidates.append(Candidate(_text(text, earlier), earlier.extents[0], "taken back later"))
        else:
            conflict = True
            candidates.append(
                Candidate(_text(text, earlier), earlier.extents[0], "another final answer follows")
            )
    if conflict:
        candidates.append(Candidate(_text(text, last), last.extents[0], "another final answer comes before"))
        return Final((), _sorted(candidates), "it gives two different final answers", True)
    corrected = _CORRECTED.match(seen, last.extents[-1][1])
    if corrected is not None and same(bare(corrected["to"])) not in values:
        # `Answer: 42. Actually 43`: what it is now stands nowhere as a final answer.
        candidates.append(Candidate(_text(text, last), last.extents[0], "taken back later"))
        return Final((), _sorted(candidates), "it takes its final answer back", True)
    candidates.append(Candidate(_text(text, last), last.extents[0]))
    return Final(tuple((text[a:b], (a, b)) for a, b in last.extents), _sorted(candidates))


def whole(text: str, same: Callable[[str], object], *, cut_off: bool = False) -> Final:
    """The whole answer, taken as it stands; called like `final`."""
    place = (len(text) - len(text.lstrip()), len(text.rstrip()))
    if place[0] >= place[1]:
        return Final((), (), "the answer is empty")
    inner = text[slice(*place)]
    if cut_off:
        return Final((), (Candidate(inner, place, "cut off"),), "the answer is cut off")
    return Final(((inner, place),), (Candidate(inner, place),))


def _unmarked(text: str, seen: str, candidates: list[Candidate], *, cut_off: bool) -> Final:
    """The whole answer and its last line, which are the same where it has one line."""
    spans = [(len(text) - len(text.lstrip()), len(text.rstrip()))]
    lines = [match.span() for match in re.finditer(r"[^\n]+", seen) if match[0].strip()]
    if not lines:
        return Final((), _sorted(candidates), "the answer is empty")
    if cut_off:
        candidates.append(Candidate(text[slice(*lines[-1])], lines[-1], "cut off"))
        return Final((), _sorted(candidates), "the answer is cut off")
    if not any(c.rejected for c in candidates):
        if len(lines) > 1:
            spans.append(lines[-1])
        extents = tuple((text[a:b], (a, b)) for a, b in spans)
        return Final(extents, (*candidates, Candidate(extents[-1][0].strip(), spans[-1])))
    # What was stated was not meant: the last line still counts, where it is none of those statements.
    start, end = lines[-1]
    if any(c.span is not None and c.span[1] > start for c in candidates):
        return Final((), _sorted(candidates), "there is no final answer")
    return Final(
        ((text[start:end], (start, end)),),
        _sorted([*candidates, Candidate(text[start:end].strip(), (start, end))]),
    )


def statements(text: str) -> Iterator[Statement]:
    """Everything that is marked as a final answer."""
    for start, inner_start, inner_end in boxed(text):
        empty = "" if text[inner_start:inner_end].strip() else "empty"
        yield Statement(((inner_start, inner_end),), start, empty or doubt(text, start, inner_end))
    for match in _TAG.finditer(text) if "</" in text else ():
        yield Statement((match.span(2),), match.start(), "" if match[2].strip() else "empty")
    for led, following in pairwise(chain(_LEAD_IN.finditer(text), (None,))):
        assert led is not None
        start = led.end()
        # An answer ends with its line, and before the next is led in.
        most = min(start + MOST_CHARACTERS, len(text) if following is None else following.start())
        line_end = text.find("\n", start, most)
        end = start + len(text[start : most if line_end < 0 else line_end].rstrip())
        opened = _OPENED.search(text, max(0, led.start() - 4), led.start())
        if opened is not None and text.endswith(opened[0], start, end):
            end = start + len(text[start : end - len(opened[0])].rstrip())  # `**Answer: 42**`
        if start >= end:
            yield Statement(((led.start(), led.end()),), led.start(), "empty")
            continue
        if _MARKED.match(text, start):
            continue
        value = _JSON_VALUE.match(text, start) if text[led.start() - 1 : led.start()] == '"' else None
        if value is not None:
            yield Statement((value.span("text" if value["text"] is not None else "other"),), led.start())
            continue
        extents = list(dict.fromkeys(_extents(text, start, end)))
        denied = "denied" if _NOT.match(text, start) else ""
        yield Statement(tuple(extents), led.start(), denied or doubt(text, led.start(), extents[-1][1]))


def _extents(text: str, start: int, end: int) -> Iterator[Span]:
    ends = (match.start() for pattern in (_STOP, _BECAUSE) if (match := pattern.search(text, start, end)))
    for stop in (end, *sorted(ends, reverse=True)):
        if stop > start:
            yield start, stop


def boxed(text: str) -> Iterator[tuple[int, int, int]]:
    r"""Each `\boxed{…}` whose braces are balanced: where it begins, and where its content begins and ends."""
    at = 0
    while match := _BOXED.search(text, at):
        closing = closing_brace(text, match.end() - 1)
        if closing < 0:
            return
        yield match.start(), match.end(), closing
        at = closing + 1


def _text(text: str, statement: Statement) -> str:
    start, end = statement.extents[0]
    return text[start:end]


def _sorted(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(candidates, key=lambda c: c.span or (0, 0)))
