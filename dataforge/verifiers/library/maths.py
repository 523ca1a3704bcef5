"""The verifier `maths`: is the final answer the same number, set, interval, matrix or formula as the truth?

Which place of the response is the answer is decided in `mathematics.extraction`; whether it is right, in
`mathematics.equality`. Here the two meet: the rule for several marked answers, and the verdict.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from pydantic import Field

from dataforge.verifiers.mathematics import equality, extraction
from dataforge.verifiers.mathematics.equality import Truth
from dataforge.verifiers.mathematics.extraction import Place
from dataforge.verifiers.mathematics.notation import plain
from dataforge.verifiers.mathematics.reading import Kind, several
from dataforge.verifiers.mathematics.values import Form, Match, Rules, Unreadable
from dataforge.verifiers.protocol import (
    Candidate,
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


class Maths(Facts):
    """What the answer is, and how exactly it must be met."""

    answer: str | list[str] = Field(
        description="the right answer, in LaTeX or plain text; a list where several values are wanted, in any order"
    )
    kind: Kind | None = Field(
        default=None,
        description="what kind of answer it is, where its looks do not tell: `(1, 2)` is a tuple unless this says `interval`",
    )
    tolerance: str | float | None = Field(
        default=None,
        description="how far off a number may be: `0.01`, or `1%` of the truth; without it a number must be exact",
    )
    unit: str | None = Field(
        default=None,
        description="the unit that the task asks for; an answer in another unit of the same kind is converted",
    )
    unit_required: bool = Field(default=False, description="whether a number without its unit is wrong")
    decimal: Literal[".", ","] = Field(default=".", description="the separator of decimals")
    form: Form = Field(
        default="",
        description="the form that the answer must have: `lowest` terms, `expanded`, `factored`; `any` also takes sums and "
        "products that are not worked out to a number",
    )
    strict: bool = Field(default=False, description="whether a second, different box is always one too many")


class MathsVerifier(Verifier[Maths]):
    """The final answer equals the truth: numbers, units, sets, tuples, intervals, matrices, equations and formulas."""

    name = "maths"
    family = "maths"
    version = 1
    facts = Maths
    isolation = "process"
    limit_s = 10.0
    extra = "verify"

    def check(self, facts: Maths, response: Response) -> Verdict:
        """Judge the answer that the response marks, or else the one at its end."""
        try:
            truth = _truth(
                facts.answer if isinstance(facts.answer, str) else tuple(facts.answer),
                facts.kind,
                str(facts.tolerance) if facts.tolerance is not None else None,
                facts.unit,
                facts.unit_required,
                facts.decimal,
                facts.form,
            )
        except Unreadable as fault:
            return error("task", str(fault))
        said = spoken(response)
        if said.fault:
            return unparsed(said.fault)
        try:
            places = extraction.marked(said.answer, said.offset)
            usable = [place for place in places if not place.fault]
            if usable:
                return _marked(truth, facts.strict, said.answer, said.offset, places)
            if places and any(place.how == "box" for place in places):
                return unparsed(f"the box holds no answer: {places[-1].fault}", candidates=_record(places))
            return _implied(truth, places, extraction.implied(said.answer, said.offset))
        except (MemoryError, RecursionError):
            return error("timeout", "the formula is too large to be compared")

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        """Problems of all topics in turn, with answers that are right by construction."""
        from dataforge.verifiers.mathematics.problems import problems

        return problems(seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        """Equal forms of one value, and mutants that change it."""
        from dataforge.verifiers.mathematics.variants import cases

        return cases(rng)


@functools.lru_cache(maxsize=1024)
def _truth(
    answer: str | tuple[str, ...],
    kind: Kind | None,
    tolerance: str | None,
    unit: str | None,
    unit_required: bool,
    decimal: str,
    form: Form,
) -> Truth:
    allowed: Fraction | None = None
    if tolerance is not None:
        try:
            allowed = Fraction(tolerance.removesuffix("%").strip()) / (100 if tolerance.endswith("%") else 1)
        except (ValueError, ZeroDivisionError):
            raise Unreadable(f"`{tolerance}` is no tolerance: a number, or a share such as `1%`") from None
        if allowed < 0:
            raise Unreadable("a tolerance is not below zero")
    rules = Rules(
        decimal,
        allowed,
        tolerance is not None and tolerance.endswith("%"),
        form,
        equality.rules_unit(unit) if unit else None,
        plain(unit) if unit else "",
        unit_required,
    )
    return equality.truth(answer, kind, rules)


def _record(places: list[Place], chosen: Place | None = None, why: str = "") -> list[Candidate]:
    return [
        Candidate(
            place.text, place.span, "" if place is chosen else place.fault or why or "a later one counts"
        )
        for place in places
    ]


def _marked(truth: Truth, strict: bool, answer: str, offset: int, places: list[Place]) -> Verdict:
    """The last marked answer counts; a box outranks other marks.

    Of two different ones, the last counts only where the response goes on working between them and does not offer it as an
    alternative; with `strict`, two different boxes are always one too many.
    """
    usable = [place for place in places if not place.fault]
    boxes = [place for place in usable if place.how == "box"]
    ranked = boxes or usable
    chosen = ranked[-1]
    match = truth.compare(chosen.text)
    if boxes and chosen is not places[-1] and places[-1].how == "box":
        return unparsed(f"the last box holds no answer: {places[-1].fault}", candidates=_record(places))
    others = [place for place in ranked[:-1] if plain(place.text) != plain(chosen.text)]
    if truth.several and len(others) > 0:
        together = list(dict.fromkeys(plain(place.text) for place in ranked))
        joined = truth.compare("; ".join(together))
        alone = all(len(several(text).items) == 1 for text in together)
        if not match.right and len(together) == truth.size and alone and joined.right:
            return passed(
                "; ".join(together),
                (ranked[0].span[0], chosen.span[1]),
                candidates=_record(ranked, None, "one of several"),
            )
    conflict = _conflict(truth, strict, answer, offset, others, chosen, match) or _contradicted(
        truth, usable, chosen, match
    )
    if conflict:
        return failed(
            conflict, chosen.text, chosen.span, candidates=_record(places, None, "two different answers")
        )
    record = _record(places, chosen)
    if match.right:
        return passed(chosen.text, chosen.span, candidates=record)
    return failed(match.wrong, chosen.text, chosen.span, candidates=record)


_ALTERNATIVE = re.compile(
    r"\b(?:or|either|alternatively|otherwise|possibly|maybe|perhaps|another)\b", re.IGNORECASE
)


def _conflict(
    truth: Truth, strict: bool, answer: str, offset: int, others: list[Place], chosen: Place, match: Match
) -> str:
    for other in others:
        if other.how != chosen.how:
            continue
        if truth.compare(other.text).right and match.right:
            continue
        between = answer[other.span[1] - offset : chosen.span[0] - offset]
        if other is not others[-1]:
            if strict and other.how == "box":
                return "there are two different answers"
            continue
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", " ", between))
        if (
            (strict and other.how == "box")
            or len(words) < 3
            or _ALTERNATIVE.search(re.split(r"[.!?]\s|\n\n", between)[-1])
        ):
            return "there are two different answers"
    return ""


def _contradicted(truth: Truth, usable: list[Place], chosen: Place, match: Match) -> str:
    """Whether a mark behind the box says something else that could be an answer."""
    if chosen.how != "box":
        return ""
    for place in usable:
        if place.span[0] > chosen.span[1] and place.how != "box":
            later = truth.compare(place.text)
            if later.readable and not later.right and match.right and re.search(r"\d|[A-Za-z]", place.text):
                return "it is boxed and then contradicted"
    return ""


def _implied(truth: Truth, places: list[Place], ends: list[Place]) -> Verdict:
    """Where nothing is marked, the first place at the end that can be read as an answer."""
    record: list[Candidate] = _record(places)
    for at, place in enumerate(ends):
        if place.fault:
            record.append(Candidate(place.text, place.span, place.fault))
            continue
        match = truth.compare(place.text)
        if not match.right and (not match.readable or truth.kind == "text"):
            record.append(
                Candidate(
                    place.text, place.span, match.wrong if truth.kind != "text" else "it may be no answer"
                )
            )
            continue
        record.append(Candidate(place.text, place.span))
        record += [Candidate(rest.text, rest.span, "an earlier reading counts") for rest in ends[at + 1 :]]
        if match.right:
            return passed(place.text, place.span, candidates=record)
        return failed(match.wrong, place.text, place.span, candidates=record)
    return unparsed("there is no final answer that can be read", candidates=record)
