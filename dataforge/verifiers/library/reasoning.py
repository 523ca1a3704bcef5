"""The verifier `reasoning`: answers to the procedural tasks of `reasoning-gym`, and to classes of InternBootcamp.

What a task's facts hold is enough to grade it: its name, the stored answer, and the few entries of its metadata that the
grader needs. Nothing is made again, so a newer version of the package does not change old verdicts. It runs in a worker
process, since scorers use computer algebra and may hang.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.braces import closing_brace
from dataforge.verifiers.procedural import answers
from dataforge.verifiers.procedural.answers import Form
from dataforge.verifiers.procedural.grading import Item
from dataforge.verifiers.procedural.table import KEPT, LEFT_OUT
from dataforge.verifiers.protocol import (
    Case,
    Facts,
    Response,
    Verdict,
    Verifier,
    error,
    failed,
    passed,
    unparsed,
)
from dataforge.verifiers.spoken import spoken
from schemas.task import Task


class Reasoning(Facts):
    """A procedural task and what its verdict needs."""

    task: str = Field(
        description="the task's name in reasoning-gym, or `bootcamp:` and the path of a class of InternBootcamp"
    )
    answer: str = Field(default="", description="the stored answer; InternBootcamp has none")
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="the entries of the item's metadata that its grader needs; InternBootcamp's identity",
    )
    form: Form = Field(
        default="tags", description="where the prompt asks for the answer: `tags`, `line`, `block` or `boxed`"
    )


class ReasoningVerifier(Verifier[Reasoning]):
    """The answer solves the procedural task: some ninety kinds of puzzles, sums, grids, words and logic."""

    name = "reasoning"
    family = "reasoning"
    version = 1
    facts = Reasoning
    isolation = "process"
    limit_s = 30.0
    extra = "verify"

    def check(self, facts: Reasoning, response: Response) -> Verdict:
        """Grade the answer that stands where the prompt asked for it."""
        said = spoken(response)
        if said.fault:
            return unparsed(said.fault)
        if facts.task.startswith("bootcamp:"):
            from dataforge.verifiers.procedural import bootcamp

            return bootcamp.check(facts.task.removeprefix("bootcamp:"), facts.metadata, said.answer)
        manner = KEPT.get(facts.task)
        if manner is None:
            left = LEFT_OUT.get(facts.task)
            return error(
                "task",
                f"`{facts.task}` is left out: it {left}" if left else f"there is no task `{facts.task}`",
            )
        if not facts.answer.strip() or any(key not in facts.metadata for key in manner.keep):
            return error("task", f"the facts lack what `{facts.task}` is graded by")
        item = Item(facts.task, facts.answer, facts.metadata)
        found = answers.find(said.answer, said.offset, facts.form)
        if found.fault:
            return unparsed(found.fault, candidates=found.candidates)
        fault = ""
        for reading in _readings(found.text):
            wrong = manner.grader(item, reading)
            if not wrong:
                return passed(found.text, found.span, candidates=found.candidates)
            fault = fault or wrong
        return failed(fault, found.text, found.span, candidates=found.candidates)

    def kinds(self) -> dict[str, str]:
        return {
            name: f"of {manner.levels or 1} level{'s' * ((manner.levels or 1) > 1)}"
            for name, manner in sorted(KEPT.items())
        }

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Tasks of all kinds, each as often as the others."""
        from dataforge.verifiers.procedural import making

        return making.tasks_of(making.names(), seed, n)

    def tasks_of(self, topics: Sequence[str], seed: int, n: int) -> Iterator[Task]:
        """As `Verifier.tasks_of`, without making those of other kinds first; V090 where there is no such kind."""
        from dataforge.verifiers.procedural import making

        for name in topics:
            making.check(name)
        return making.tasks_of(topics, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """Stored answers in their form, and mutants: changed answers, other items' answers, wrong places."""
        from dataforge.verifiers.procedural.variants import cases

        return cases(rng)


_WRAPPED = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s*(?=\{)")
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("__", "__"),
    ("`", "`"),
    ('"', '"'),
    ("", "**"),  # of a line that is bold as a whole
)
_LABEL = re.compile(r"(?:final )?answer\s*[:：]\s*", re.IGNORECASE)
_MOST_LAYERS = 8
_PLAIN = (
    (re.compile(r"[\u2212\u2013\uff0d]"), "-"),
    (re.compile(r"\\(?:left|right)(?![A-Za-z])|\\[,;!]"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\div(?![A-Za-z])"), "÷"),
    (re.compile(r"\\(?:to|rightarrow)(?![A-Za-z])"), "→"),
    (re.compile(r"(?<=\d)[ ]?[×*][ ]?10[ ]?(?:\^|\*\*)[ ]?(?:\{([+-]?\d{1,3})\}|([+-]?\d{1,3}))"), r"e\1\2"),
    (re.compile(r"\^\{(\w{1,9})\}"), r"^\1"),
    (re.compile(r"\A[A-Za-z] ?= ?"), ""),
)
_FRACTION = re.compile(r"\\[cdt]?frac\{([^{}]{1,99})\}\{([^{}]{1,99})\}")


def _readings(text: str) -> Iterator[str]:
    """The text, then without one piece after another of what models put around an answer, then with plain signs for those of
    LaTeX, then with a small first letter.
    """
    seen = ""
    for _ in range(_MOST_LAYERS):
        yield text
        seen, text = text, _undressed(text)
        if text == seen:
            break
    plain = text
    for signs, sign in _PLAIN:
        plain = signs.sub(sign, plain)
    if plain != text:
        yield plain
    # `×` for `*`, and brackets: `exact` reads a fraction of two whole numbers as it stands.
    if (worked := _FRACTION.sub(r"((\1)/(\2))", plain).replace("×", "*")) != plain:
        yield worked
    if text[:1].isupper() and text[1:] == text[1:].lower() and " " in text:
        yield text[:1].lower() + text[1:]


def _undressed(text: str) -> str:
    """Without the Markdown or LaTeX around it: a fence in the tags, a box, dollar signs, quotes, a label, a full stop."""
    text = text.strip()
    if label := _LABEL.match(text):
        return text[label.end() :]
    lines = text.splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    wrapped = _WRAPPED.match(text)
    if wrapped is not None and closing_brace(text, wrapped.end()) == len(text) - 1:
        return text[wrapped.end() + 1 : -1].strip()
    for left, right in _PAIRS:
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            return text[len(left) : -len(right)].strip()
    if "\n" not in text and text.endswith("."):
        return text[:-1]
    return text
