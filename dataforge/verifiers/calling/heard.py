"""What a response calls: its text and what the server parsed, read together, with every candidate on record.

Calls count only where they can be executed: after the thinking, in one form, none of them malformed. What stands in the
thinking, before it, or behind a `<think>` that is never closed, is put on record and not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dataforge.verifiers.calling.forms import Call, Reading, from_server, read
from dataforge.verifiers.calling.signatures import Signature
from dataforge.verifiers.protocol import Candidate, Response
from dataforge.verifiers.spoken import CLOSE, spoken

_MAY_HOLD_CALLS = ("[TOOL_CALLS]", "<tool_call>", "<function=", "<|python_", "<\uff5ctool\u2581", '"name"')


@dataclass(frozen=True, slots=True)
class Heard:
    """The calls of a response.

    Attributes:
        calls: that count, in the order of the text, then those that the server parsed.
        prose: what is said besides.
        fault: why the response can't be taken; empty where nothing is wrong.
        mute: whether that is because it has no answer at all, such as thinking without an end.
        rejected: what looked like a call and was not taken, and why.
    """

    calls: tuple[Call, ...]
    prose: str
    fault: str
    mute: bool
    rejected: tuple[Candidate, ...]

    @property
    def span(self) -> tuple[int, int] | None:
        """From the first call in the text to the end of the last."""
        spans = [call.span for call in self.calls if call.span is not None]
        return (spans[0][0], spans[-1][1]) if spans else None


def hear(response: Response, known: Mapping[str, Signature]) -> Heard:
    """Read a response."""
    said = spoken(response)
    text = response.text
    server = from_server(response.tool_calls)
    if said.fault:
        hidden = _hidden(text, 0, len(text), known, said.fault)
        late = _refused(server, said.fault)
        return Heard((), "", said.fault, True, (*hidden, *late))
    rejected: list[Candidate] = []
    if said.offset:
        thought = said.offset - len(CLOSE) - len(said.reasoning or "")
        rejected += _hidden(text, 0, len(said.before), known, "it stands before the thinking")
        early = len(rejected)
        rejected += _hidden(text, thought, said.offset - len(CLOSE), known, "it stands in the thinking")
    else:
        early = 0
        if response.reasoning:
            thought_of = _hidden(
                response.reasoning, 0, len(response.reasoning), known, "it stands in the thinking"
            )
            rejected += [replace(one, span=None) for one in thought_of]  # spans are of the text alone
    reading = read(text, said.offset, len(text), known)
    if reading.thinks_at is not None:
        why = "thinking begins in the answer and never ends"
        return Heard(
            (),
            "",
            why,
            True,
            (
                *rejected,
                *_refused(reading, why),
                *_hidden(text, reading.thinks_at + 1, len(text), known, why),
                *_refused(server, why),
            ),
        )
    calls = (*reading.calls, *server.calls)
    malformed = (*reading.malformed, *server.malformed)
    rejected += [Candidate(one.text, one.span, one.why) for one in malformed]
    fault = ""
    if early:
        fault = "a call stands before the thinking"
    elif malformed:
        fault = f"what begins like a call can't be read as one: {malformed[0].why}"
    elif len({call.form for call in calls}) > 1:
        fault = "the calls are written in more than one form"
    elif response.finish_reason == "length":
        fault = "the response was cut off"
    return Heard(calls, reading.prose, fault, False, tuple(rejected))


def _hidden(text: str, start: int, end: int, known: Mapping[str, Signature], why: str) -> list[Candidate]:
    """What looks like a call where none counts."""
    if start >= end or not any(text.find(mark, start, end) >= 0 for mark in _MAY_HOLD_CALLS):
        return []
    found: list[Candidate] = []
    while True:
        reading = read(text, start, end, known)
        found += _refused(reading, why)
        if reading.thinks_at is None:
            return found
        start = reading.thinks_at + len("<think>")


def _refused(reading: Reading, why: str) -> list[Candidate]:
    """Everything in a reading as candidates, in the order of the text."""
    calls = [Candidate(one.text, one.span, why) for one in reading.calls]
    malformed = [Candidate(one.text, one.span, why) for one in reading.malformed]
    return sorted((*calls, *malformed), key=lambda one: one.span or (0, 0))
