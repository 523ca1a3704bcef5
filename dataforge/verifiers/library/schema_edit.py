"""Broken documents mended: the answer must satisfy the schema and change nothing but what was wrong."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any, ClassVar

import orjson
from pydantic import Field, model_validator

from dataforge.verifiers.protocol import Case, Facts, Response, Verdict, Verifier, failed, passed
from dataforge.verifiers.structured.answers import DocumentFacts, document_in, rejected, text_of, told
from dataforge.verifiers.structured.briefs import editing_tasks
from dataforge.verifiers.structured.mending import Needs, compare, needs_of
from dataforge.verifiers.structured.trials import editing_cases
from dataforge.verifiers.structured.validation import compile_schema
from schemas.task import Task


class SchemaEditFacts(DocumentFacts):
    """The form, and the document to mend."""

    broken: dict[str, Any] = Field(description="the document that the prompt shows, which the schema refuses")
    original: dict[str, Any] | None = Field(
        default=None, description="the document before it was broken; it proves that the task can be done"
    )

    @model_validator(mode="after")
    def _mendable(self) -> SchemaEditFacts:
        try:
            fault = _unfit(
                orjson.dumps(self.json_schema), orjson.dumps(self.broken), orjson.dumps(self.original)
            )
        except (orjson.JSONEncodeError, UnicodeEncodeError) as failure:
            raise ValueError(f"the document is not JSON: {failure}") from failure
        if fault:
            raise ValueError(fault)
        return self


class SchemaEdit(Verifier[SchemaEditFacts]):
    """A broken document is mended: it satisfies the schema, and nothing was changed that was not wrong.

    What may change follows from the schema and the broken document, by the rule of `structured/mending.py`: a wrong
    value becomes another (the one that its form gives away, such as 42 for "42", where there is one), a missing field
    is added, a field too much goes, a list loses or gains as few items as that takes, and of fields that contradict each
    other one changes. `parts` are `validity`, and `fidelity`: the share of all other leaves that are what they were. The
    score is the fidelity where the answer is valid, and 0 where it is not; only 1 passes.
    """

    name: ClassVar[str] = "schema_edit"
    family: ClassVar[str] = "schema adherence"
    version: ClassVar[int] = 1
    facts: ClassVar[type[Facts]] = SchemaEditFacts
    extra: ClassVar[str] = "verify"

    def check(self, facts: SchemaEditFacts, response: Response) -> Verdict:
        compiled = compile_schema(facts.json_schema)
        found = document_in(facts, response, compiled)
        if isinstance(found, Verdict):
            return found
        text = text_of(response, found)
        problems = compiled.problems(found.value)
        edit = compare(
            facts.broken, found.value, _needs(orjson.dumps(facts.json_schema), orjson.dumps(facts.broken))
        )
        parts = {"validity": 0.0 if problems else 1.0, "fidelity": edit.fidelity}
        if problems:
            why = told(problems)
            return failed(why, text, found.span, candidates=rejected(found.candidates, why), parts=parts)
        if not edit.faithful:
            why = told(edit.faults)
            # Rounding must not turn one lost leaf among very many into a full score.
            score = min(edit.fidelity, 0.999)
            return failed(
                why, text, found.span, score=score, candidates=rejected(found.candidates, why), parts=parts
            )
        return passed(text, found.span, candidates=found.candidates, parts=parts)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        return editing_tasks(seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        return editing_cases(rng)


@functools.lru_cache(maxsize=1024)
def _needs(schema: bytes, broken: bytes) -> Needs:
    return needs_of(orjson.loads(broken), compile_schema(orjson.loads(schema)))


@functools.lru_cache(maxsize=1024)
def _unfit(schema: bytes, broken: bytes, original: bytes) -> str:
    """What makes facts no task, or nothing."""
    compiled = compile_schema(orjson.loads(schema))
    if not compiled.problems(document := orjson.loads(broken)):
        return "the document to mend is valid"
    before = orjson.loads(original)
    if before is None:
        return ""
    if compiled.problems(before):
        return "the original document is not valid"
    if not compare(document, before, _needs(schema, broken)).faithful:
        return "the original document is not a repair of the broken one: more than what is wrong differs"
    return ""
