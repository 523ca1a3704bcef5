"""Every constraint by its id, and the listing that the documentation is made of."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dataforge.verifiers.instructing import (
    casing,
    combination,
    content,
    edges,
    formats,
    keywords,
    lengths,
    lists,
    ratios,
    speaking,
    wordplay,
)  # fmt: skip
from dataforge.verifiers.instructing.constraint import Constraint, Params

KINDS: tuple[Constraint[Any], ...] = (
    keywords.Existence(),
    keywords.Frequency(),
    keywords.ForbiddenWords(),
    keywords.LetterFrequency(),
    speaking.ResponseLanguage(),
    lengths.NumberSentences(),
    lengths.NumberParagraphs(),
    lengths.NumberWords(),
    lengths.NthParagraphFirstWord(),
    content.NumberPlaceholders(),
    content.Postscript(),
    lists.NumberBullets(),
    formats.ConstrainedResponse(),
    formats.NumberHighlights(),
    formats.MultipleSections(),
    formats.JsonFormat(),
    formats.TitleMark(),
    combination.TwoResponses(),
    combination.RepeatPrompt(),
    edges.EndChecker(),
    casing.CapitalWordFrequency(),
    casing.EnglishCapital(),
    casing.EnglishLowercase(),
    edges.NoComma(),
    edges.Quotation(),
    keywords.KeywordPosition(),
    speaking.EveryNthWord(),
    wordplay.EveryNthStarts(),
    wordplay.Alphabetical(),
    wordplay.RisingLengths(),
    wordplay.NoRepeats(),
    wordplay.LettersLeftOut(),
    wordplay.ShortWords(),
    wordplay.Acrostic(),
    wordplay.UniqueStarts(),
    content.Palindromes(),
    content.Pronouns(),
    content.Numbers(),
    content.Emoji(),
    lengths.SentenceWords(),
    lengths.NumberLines(),
    lengths.LineWidth(),
    lengths.Staircase(),
    lists.SortedList(),
    lists.UnlikeEndings(),
    casing.TitleCase(),
    casing.AlternatingCase(),
    edges.Starter(),
    edges.SameWord(),
    edges.ForbiddenMarks(),
    edges.ParagraphEnding(),
    ratios.Questions(),
    ratios.SmallWords(),
    ratios.DifferentWords(),
)
BY_ID: dict[str, Constraint[Any]] = {constraint.id: constraint for constraint in KINDS}


class BadConstraint(ValueError):
    """An id that does not exist, or arguments that do not fit it: the task's fault."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A constraint as the documentation shows it."""

    id: str
    origin: str
    summary: str
    arguments: tuple[str, ...]


def constraints() -> tuple[Listing, ...]:
    """Every constraint: IFEval's first, then ours."""
    return tuple(
        Listing(each.id, each.origin, each.summary, tuple(each.params.model_fields)) for each in KINDS
    )


def read(id: str, kwargs: Mapping[str, Any]) -> tuple[Constraint[Any], Params]:
    """A constraint and its parameters. Arguments that are null are as if they were not there, as in IFEval's files.

    Raises:
        BadConstraint: there is no such constraint, or they are not its arguments.
    """
    return _read(id, json.dumps(kwargs, sort_keys=True))


@functools.lru_cache(maxsize=8192)
def _read(id: str, kwargs: str) -> tuple[Constraint[Any], Params]:
    constraint = BY_ID.get(id)
    if constraint is None:
        raise BadConstraint(f"there is no constraint `{id}`")
    given = {name: value for name, value in json.loads(kwargs).items() if value is not None}
    try:
        return constraint, constraint.params.model_validate(given)
    except ValidationError as failure:
        first = failure.errors()[0]
        place = ".".join(map(str, first["loc"])) or "arguments"
        raise BadConstraint(f"`{id}`: {place}: {first['msg']}") from failure
