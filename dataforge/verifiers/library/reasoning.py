"""The verifier `reasoning`: answers to the procedural tasks of `reasoning-gym`, and to classes of InternBootcamp.

What a task's facts hold is enough to grade it: its name, the stored answer, and the few entries of its metadata that the
grader needs. Nothing is made again, so a newer version of the package does not change old verdicts. It runs in a worker
process, since scorers use computer algebra and may hang.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

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
        wrong = manner.grader(item, found.text)
        if wrong and (bare := _undressed(found.text)) != found.text and not manner.grader(item, bare):
            wrong = ""
        if wrong:
            return failed(wrong, found.text, found.span, candidates=found.candidates)
        return passed(found.text, found.span, candidates=found.candidates)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Tasks of all kinds, each as often as the others."""
        from dataforge.verifiers.procedural import making

        return making.tasks_of(making.names(), seed, n)

    def tasks_of(self, names: Sequence[str], seed: int, n: int) -> Iterator[Task]:
        """Tasks of the named kinds only."""
        from dataforge.verifiers.procedural import making

        return making.tasks_of(names, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """Stored answers in their form, and mutants: changed answers, other items' answers, wrong places."""
        from dataforge.verifiers.procedural.variants import cases

        return cases(rng)


def _undressed(text: str) -> str:
    """Without the Markdown or LaTeX that models put around an answer: a fence in the tags, dollar signs, quotes, a full stop."""
    text = text.strip()
    lines = text.splitlines()
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        return "\n".join(lines[1:-1])
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("**", "**"), ("`", "`"), ('"', '"')):
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            return text[len(left) : -len(right)].strip()
    return text.removesuffix(".") if "\n" not in text else text
