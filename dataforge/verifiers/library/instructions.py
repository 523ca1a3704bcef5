"""The verifier of instruction following: is every constraint satisfied that a task puts on the form of its answer?

The constraints and how each is checked are in `dataforge.verifiers.instructing`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dataforge.verifiers.instructing import auditing
from dataforge.verifiers.instructing.constraint import Constraint, Finding, Params
from dataforge.verifiers.instructing.registry import BadConstraint, constraints, read
from dataforge.verifiers.instructing.replies import echo, loose_readings, refusal
from dataforge.verifiers.instructing.rlvr import from_ground_truth
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.protocol import (
    Candidate,
    Case,
    Facts,
    Response,
    Span,
    Verdict,
    Verifier,
    error,
    failed,
    passed,
    unparsed,
)  # fmt: skip
from dataforge.verifiers.spoken import Spoken, spoken
from schemas.task import Task


class Asked(BaseModel):
    """A constraint and its arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="the constraint, such as `keywords:existence`")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="its arguments; null ones are left out")


class InstructionFacts(Facts):
    """The constraints: ours, or a row of IFEval or of RLVR-IFEval as it is."""

    constraints: list[Asked] = Field(
        default_factory=list, description="constraints, each with its id and arguments"
    )
    instruction_id_list: list[str] = Field(default_factory=list, description="the ids of a row of IFEval")
    kwargs: list[dict[str, Any]] = Field(default_factory=list, description="the arguments of a row of IFEval")
    ground_truth: str | dict[str, Any] | None = Field(
        default=None, description="the ground truth of a row of RLVR-IFEval: `func_name` and arguments"
    )
    prompt: str = Field(
        default="", description="what the model was asked, to know it again in an answer that echoes it"
    )
    loose: bool = Field(
        default=False,
        description="IFEval's loose score: a constraint also holds where it does without asterisks, the first or last line",
    )
    key: int | None = Field(default=None, description="the key of a row of IFEval, which means nothing here")


class Instructions(Verifier[InstructionFacts]):
    """Whether an answer follows every instruction on its form: words, length, layout, case, language.

    It passes where every constraint holds; otherwise the score is the share that does, and `parts` has each by its id. An
    empty answer, a refusal, the prompt again and an answer cut off at the token limit hold nothing.
    """

    name = "instructions"
    family = "instruction following"
    facts = InstructionFacts
    limit_s = 5.0  # the first language that is detected in a process loads models, in a fifth of a second
    extra = "verify"

    def check(self, facts: InstructionFacts, response: Response) -> Verdict:
        try:
            asked = _asked(facts)
        except BadConstraint as wrong:
            return error("task", str(wrong))
        said = spoken(response)
        if said.fault or said.before.strip():
            return unparsed(said.fault or "something stands before the thinking")
        text = Text(said.answer)
        span = _placed((0, len(text.content)), text, said)
        if not text.content.strip():
            return unparsed("the answer is empty")
        if (nothing := _nothing(text.content, facts, response)) is not None:
            whole = Candidate(text.content, span, nothing)
            return failed(
                nothing, text.content, span, candidates=[whole], parts=dict.fromkeys(_labels(asked), 0.0)
            )
        readings = [Text(one) for one in loose_readings(text.content)] if facts.loose else [text]
        findings = [_best(constraint, params, readings) for constraint, params in asked]
        labels = _labels(asked)
        parts = {label: float(finding.holds) for label, finding in zip(labels, findings, strict=True)}
        if all(finding.holds for finding in findings):
            return passed(text.content, span, candidates=[Candidate(text.content, span)], parts=parts)
        broken = [(label, f) for label, f in zip(labels, findings, strict=True) if not f.holds]
        reason = "; ".join(f"{label}: {finding.reason}" for label, finding in broken)
        evidence = [
            Candidate(text.piece(piece), _placed(piece, text, said), f"{label}: {finding.reason}")
            for label, finding in broken
            for piece in finding.spans
        ]
        return failed(
            reason,
            text.content,
            span,
            score=sum(parts.values()) / len(parts),
            candidates=[Candidate(text.content, span, reason), *evidence],
            parts=parts,
        )

    def kinds(self) -> dict[str, str]:
        return {
            each.id: each.summary + (f" ({', '.join(each.arguments)})" if each.arguments else "")
            for each in constraints()
        }

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        ids = list(auditing.IDS)
        random.Random(f"instructions {seed}").shuffle(ids)
        for index in range(n):
            rng = random.Random(f"instructions {seed} {index}")
            yield auditing.make_task(
                rng, self.name, ids[index % len(ids)], 1 + (index // len(ids) + index) % 5
            )

    def cases(self, rng: random.Random) -> Iterator[Case]:
        return auditing.endless(rng, self.name)


def _asked(facts: InstructionFacts) -> list[tuple[Constraint[Any], Params]]:
    """The constraints of the facts, read.

    Raises:
        BadConstraint: there are none, or they make no sense.
    """
    if len(facts.instruction_id_list) != len(facts.kwargs):
        raise BadConstraint("`instruction_id_list` and `kwargs` are not of the same length")
    asked = [read(each.id, each.kwargs) for each in facts.constraints]
    asked += [read(id, kwargs) for id, kwargs in zip(facts.instruction_id_list, facts.kwargs, strict=True)]
    if facts.ground_truth is not None:
        asked.append(read(*from_ground_truth(facts.ground_truth)))
    if not asked:
        raise BadConstraint("there is no constraint to check")
    return asked


def _labels(asked: list[tuple[Constraint[Any], Params]]) -> list[str]:
    """The ids; one that occurs again gets a number, since IFEval has rows with the same id twice."""
    labels: list[str] = []
    for constraint, _ in asked:
        before = sum(label.partition("#")[0] == constraint.id for label in labels)
        labels.append(f"{constraint.id}#{before + 1}" if before else constraint.id)
    return labels


def _nothing(content: str, facts: InstructionFacts, response: Response) -> str | None:
    """Why a text is no answer at all, or None."""
    if response.finish_reason == "length":
        return "the answer is cut off"
    if not any(letter.isalnum() for letter in content):
        return "the answer has no letter and no digit"
    if refusal(content):
        return "it refuses to answer"
    if facts.prompt and echo(content, facts.prompt):
        return "it is the prompt again"
    return None


def _best(constraint: Constraint[Any], params: Params, readings: list[Text]) -> Finding:
    """The finding on the text itself, unless another reading holds."""
    first = constraint.check(readings[0], params)
    if first.holds:
        return first
    for reading in readings[1:]:
        if (finding := constraint.check(reading, params)).holds:
            return finding
    return first


def _placed(span: Span, text: Text, said: Spoken) -> Span | None:
    """A span of the text as one of the response's; None where normalising has moved its characters."""
    if text.moved is None:
        return None
    shift = said.offset + text.moved
    return span[0] + shift, span[1] + shift
