"""Where the answer to a procedural task stands: in the one place that its prompt asks for.

A prompt asks for one of four forms: tags, a last line, a fenced block, a box. Only that place counts, since these tasks have
answers of any kind (grids, move lists, words) that could not be told from prose elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dataforge.verifiers.braces import closing_brace
from dataforge.verifiers.protocol import Candidate, Span

Form = Literal["tags", "line", "block", "boxed"]

LONGEST = 20_000
"""Characters of an answer."""

ASKED: dict[Form, tuple[str, ...]] = {
    "tags": (
        "Give your final answer between <answer> and </answer>, with nothing else between the two tags.",
        "When you are done, write the final answer once, inside <answer></answer> tags.",
        "Put only your final answer inside <answer>...</answer>; any explanation goes before it.",
    ),
    "line": (
        "End your reply with one line that begins with `Answer:` and then gives the final answer and nothing else.",
        "The last line of your reply must be `Answer: ` followed by your final answer alone.",
    ),
    "block": (
        "Write your final answer in a fenced code block (three backticks) at the end of your reply, with nothing else in the block.",
        "Finish with one code block between lines of three backticks that holds only your final answer.",
    ),
    "boxed": (
        "Put your final answer in \\boxed{}.",
        "Write the final answer once, inside \\boxed{}, at the end.",
    ),
}

_PATTERNS: dict[Form, re.Pattern[str]] = {
    "tags": re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE),
    "line": re.compile(
        r"^[ \t]*(?:[#>*-]+[ \t]+)?(?:\*\*|__)?(?:final )?answer(?:\*\*|__)?[ \t]*[:：](?:\*\*|__)?(.*)$",
        re.IGNORECASE | re.MULTILINE,
    ),
    "block": re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:\n)?[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE),
}
_CLOSING = re.compile(r"</answer>", re.IGNORECASE)
_NAMES: dict[Form, str] = {
    "tags": "`<answer>…</answer>`",
    "line": "a last line `Answer: …`",
    "block": "a fenced block",
    "boxed": "`\\boxed{…}`",
}
_PLACEHOLDERS = frozenset({"...", "…", "your answer", "your final answer", "final answer", "answer"})


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a response.

    Attributes:
        text: the answer without blanks around it.
        span: where it stands.
        candidates: every place of the form, with why it was not taken.
        fault: why there is none.
    """

    text: str
    span: Span | None
    candidates: tuple[Candidate, ...]
    fault: str = ""


def find(answer: str, offset: int, form: Form) -> Found:
    """The answer in the form that the prompt asked for: the last one; two different ones are none."""
    places = (
        _boxes(answer)
        if form == "boxed"
        else [(m.start(1), m.group(1)) for m in _PATTERNS[form].finditer(answer, 0, _end(answer, form))]
    )
    held: list[tuple[str, Span]] = []
    for start, raw in places:
        text = _bare(raw.strip()) if form == "line" else raw.strip("\n") if form == "block" else raw.strip()
        begins = offset + start + raw.find(text)
        held.append((text, (begins, begins + len(text))))
    if not held:
        return Found("", None, (), f"there is no answer in {_NAMES[form]}")
    last, span = held[-1]

    def record(why: str) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(text, place, why if why or at == len(held) - 1 else "a later one counts")
            for at, (text, place) in enumerate(held)
        )

    if not last.strip():
        return Found("", None, record("it is empty"), "the answer is empty")
    if last.strip().lower() in _PLACEHOLDERS:
        return Found("", None, record("it is a placeholder"), "the answer is a placeholder")
    if len(last) > LONGEST:
        return Found("", None, record("it is too long"), "the answer is too long")
    if form == "line" and answer[places[-1][0] + len(places[-1][1]) :].strip(" \n*_`"):
        return Found("", None, record("text comes after it"), "the answer is not on the last line")
    if form != "block" and len({" ".join(text.split()) for text, _ in held if text.strip()}) > 1:
        return Found(
            "",
            None,
            record("there are two different ones"),
            f"there are two different answers in {_NAMES[form]}",
        )
    return Found(last, span, record(""))


def _end(answer: str, form: Form) -> int:
    """Where the last place can end: tags that are never closed would each be looked for to the end."""
    if form != "tags":
        return len(answer)
    return max((found.end() for found in _CLOSING.finditer(answer)), default=0)


def wrapped(answer: str, form: Form) -> str:
    """An answer in its form, as a model would write it."""
    return {
        "tags": f"<answer>{answer}</answer>",
        "line": f"Answer: {answer}",
        "block": f"```\n{answer}\n```",
        "boxed": f"\\boxed{{{answer}}}",
    }[form]


def _bare(text: str) -> str:
    for mark in ("**", "__", "`"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
        elif mark != "`" and text.count(mark) == 1 and text.endswith(mark):
            text = text[: -len(mark)].strip()  # `**Answer: 8**`
    return text


def _boxes(answer: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    end = 0
    for box in re.finditer(r"\\boxed\s*\{", answer):
        if box.start() < end:
            continue
        closing = closing_brace(answer, box.end() - 1)
        if closing < 0:
            break
        end = closing
        found.append((box.end(), answer[box.end() : end]))
    return found
