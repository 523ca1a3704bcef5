"""The answer in a response: what comes after the thinking, and where in the text it begins.

Most verifiers look at the answer alone. A response whose thinking never ended has none; one with a second block of
thinking behind the first is malformed. What stands in the thinking is never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataforge.verifiers.protocol import Response

OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A response in its two parts.

    Attributes:
        answer: what comes after the thinking, exactly as it stands.
        offset: where in `Response.text` it begins, in characters.
        reasoning: the thinking, or None where there is none.
        before: what stands before an opening tag in the text; empty where all is as it should be.
        fault: why there is no answer, or what is wrong with the tags; empty where nothing is.
    """

    answer: str
    offset: int
    reasoning: str | None
    before: str = ""
    fault: str = ""


def spoken(response: Response) -> Spoken:
    """Split a response into thinking and answer.

    A chat template may have opened the block in the prompt, so the text may hold its end alone.
    """
    text = response.text
    if response.reasoning is not None:
        if CLOSE in text:
            return Spoken("", len(text), response.reasoning, fault="a `</think>` stands in the answer")
        if text.lstrip().startswith(OPEN):
            return Spoken("", len(text), response.reasoning, fault="a second block of thinking is not closed")
        return Spoken(text, 0, response.reasoning)
    if CLOSE not in text:
        if (start := text.find(OPEN)) >= 0 and not text[:start].strip():
            return Spoken("", len(text), text[start + len(OPEN) :], fault="the thinking never ends")
        return Spoken(text, 0, None)
    before, _, rest = text.partition(OPEN) if OPEN in text.partition(CLOSE)[0] else ("", "", text)
    reasoning, _, answer = rest.partition(CLOSE)
    if OPEN in reasoning or CLOSE in answer or answer.lstrip().startswith(OPEN):
        return Spoken("", len(text), reasoning, before, fault="the thinking has more than one block")
    return Spoken(answer, len(text) - len(answer), reasoning, before)
