"""Other frameworks' ways to take an answer from a completion, restated in our words, for `dataforge eval audit`.

They are here to be compared with, and are never what a score of ours rests on. Each takes the last version of a rule that is in
use, as its documentation and behaviour describe it: which pattern is looked for, in which order, and what happens where
there is none. `benchmarks/extraction.py` runs the frameworks' own code, where it is installed, on the cases of `extraction.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataforge.verifiers import Response, find, verify
from evals.task import Item
from schemas.evallog import Sample
from schemas.task import Task


@dataclass(frozen=True, slots=True)
class Taken:
    """What a rule takes.

    Attributes:
        text: a letter, or the text of a value.
        span: where it stands in the completion; None where the rule does not say.
    """

    text: str
    span: tuple[int, int] | None = None


Take = Callable[[str, Sequence[str]], Taken | None]
"""A completion and the options of a choice → what is taken."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to take an answer.

    Attributes:
        name: as tables call it.
        what: the rule in a line.
        verifiers: whose items it is for.
    """

    name: str
    what: str
    verifiers: frozenset[str]
    take: Take


def _last(pattern: str, flags: re.RegexFlag = re.NOFLAG, *, first: bool = False) -> Take:
    compiled = re.compile(pattern, flags)

    def take(text: str, options: Sequence[str]) -> Taken | None:
        found = list(compiled.finditer(text))
        if not found:
            return None
        chosen = found[0] if first else found[-1]
        group = next((n for n in range(1, compiled.groups + 1) if chosen[n] is not None), 0)
        return Taken(chosen[group].strip(), chosen.span(group))

    return take


def _letters(text: str, options: Sequence[str]) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: max(2, len(options))]


def _line_of_answer(text: str, options: Sequence[str]) -> Taken | None:
    """A line `ANSWER: X` in any case, marks around the letter aside, the last one; else the same anywhere; else nothing."""
    bare = re.sub(
        r"\*\*\s*([A-Za-z\d][A-Za-z\d ,]*?)\s*\*\*|\$\s*([A-Za-z\d][A-Za-z\d ,]*?)\s*\$", r"\1\2", text
    )
    bare = re.sub(r"(?im)(^|[:,])(\s*)\(([A-Za-z\d])\)", r"\1\2\3", bare)
    found = re.findall(r"(?im)^answer\s*:\s*([A-Za-z\d ,]+?)\s*(?:$|\.)", bare) or re.findall(
        r"(?i)answer\s*:\s*([A-Za-z\d ,]+?)(?:[^\w ,]|$)", bare
    )
    letter = found[-1].strip().upper() if found else ""
    return Taken(letter) if letter in _letters(text, options) and len(letter) == 1 else None


def _anchors_then_any(text: str, options: Sequence[str]) -> Taken | None:
    """Behind `final answer is`, behind `answer`, at the start of the text, at the start of a line, and then any letter that stands
    alone; of each kind the last.
    """
    letter = f"[{_letters(text, options)}]"
    wrapped = rf"(?:\*\*|\(|\[|\$|\\boxed\{{|\\text\{{)*\s*({letter})(?![A-Za-z])"
    for pattern in (
        rf"(?i:final answer is)\s*:?\s*{wrapped}",
        rf"(?i:answer)(?:\s*(?i:is))?\s*:?\s*{wrapped}",
        rf"\A\s*{wrapped}",
        rf"(?m)^\s*{wrapped}",
        rf"(?<![A-Za-z]){wrapped}",
    ):
        found = list(re.finditer(pattern, text))
        if found:
            return Taken(found[-1][1], found[-1].span(1))
    return None


def _last_in_brackets(text: str, options: Sequence[str]) -> Taken | None:
    """The last `(X)`; else the option whose text the completion holds, case and marks aside; else a letter behind a colon."""
    found = list(re.finditer(r"\(([A-Z])\)", text))
    if found:
        return Taken(found[-1][1], found[-1].span(1))
    folded = re.sub(r"[^\w\s]", "", text.lower())
    for place, option in enumerate(options):
        if re.sub(r"[^\w\s]", "", option.lower()) in folded:
            return Taken("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place])
    behind = list(re.finditer(rf":\s*([{_letters(text, options)}])", text))
    return Taken(behind[-1][1], behind[-1].span(1)) if behind else None


_CHOICE, _VALUE = frozenset({"multiple_choice"}), frozenset({"maths", "exact", "fuzzy"})

RULES: tuple[Rule, ...] = (
    Rule("inspect-like", "a line `ANSWER: X`, the last", _CHOICE, _line_of_answer),
    Rule("lighteval-like", "behind an anchor, else any letter that stands alone", _CHOICE, _anchors_then_any),
    Rule(
        "lm-eval-like",
        "the last `(X)`, else an option's text, else a letter behind a colon",
        _CHOICE,
        _last_in_brackets,
    ),
    Rule(
        "simple-evals-like",
        "the first `Answer: X`",
        _CHOICE,
        _last(r"(?i)answer[ \t]*:[ \t]*\$?([A-D])\$?", first=True),
    ),
    Rule(
        "lm-eval-like strict", "what stands behind `####`", _VALUE, _last(r"####\s*(-?[0-9.,]+)", first=True)
    ),
    Rule("lm-eval-like flexible", "the last number", _VALUE, _last(r"(-?[$0-9.,]{2,}|-?[0-9]+)")),
    Rule(
        "simple-evals-like",
        "the first line `Answer: …`",
        _VALUE,
        _last(r"(?i)answer\s*:\s*([^\n]+)", first=True),
    ),
    Rule(
        "last box",
        r"the last `\boxed{…}`",
        _VALUE,
        _last(r"\\boxed\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"),
    ),
)


def rules_for(verifier: str) -> list[Rule]:
    """The rules that items of a verifier can be judged by."""
    return [rule for rule in RULES if verifier in rule.verifiers]


def score_of(taken: Taken | None, item: Item, verifier: str) -> float:
    """What an answer that was taken is worth: 1 or 0, with the verifier's own idea of equal."""
    if taken is None:
        return 0.0
    if verifier == "multiple_choice":
        return float(taken.text.upper() == str(item.task.facts["answer"]).upper())
    said = f"\\boxed{{{taken.text}}}" if verifier == "maths" else f"Answer: {taken.text}"
    task: Task = item.task.model_copy(update={"verifier": verifier})
    return float(verify(find(verifier), task, Response(said)).passed)


def options_of(item: Item) -> Sequence[str]:
    """The options of a choice; none elsewhere."""
    options: Sequence[str] = item.task.facts.get("options", ())
    return options


def said_by(sample: Sample) -> str:
    """What rules look at: the completion as it came, with no thinking taken out of it, as those frameworks do."""
    return sample.completion
