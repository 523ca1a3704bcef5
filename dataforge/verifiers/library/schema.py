"""Documents made to a schema: JSON, YAML, TOML or XML that must satisfy a JSON Schema and say what the prompt dictates."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson
from pydantic import Field, model_validator

from dataforge.verifiers.protocol import Case, Facts, Response, Verdict, Verifier, failed, passed
from dataforge.verifiers.structured.answers import DocumentFacts, document_in, rejected, text_of, told
from dataforge.verifiers.structured.briefs import generation_tasks
from dataforge.verifiers.structured.trials import generation_cases
from dataforge.verifiers.structured.validation import Compiled, compile_schema
from dataforge.verifiers.structured.values import MISSING, leaves, means, pointer, resolve_pointer, same
from schemas.task import Task


class SchemaFacts(DocumentFacts):
    """The form, and what the prompt dictates of the content."""

    expected: dict[str, Any] = Field(
        default_factory=dict,
        description="values that the prompt dictates, by JSON Pointer: `/customer/name`, `/items/0`; the empty pointer is "
        "the whole document",
    )
    exactly: bool = Field(
        default=False, description="whether a value at a place that `expected` does not speak of is a fault"
    )

    @model_validator(mode="after")
    def _possible(self) -> SchemaFacts:
        try:
            fault = _impossible(orjson.dumps(self.json_schema), orjson.dumps(self.expected))
        except (orjson.JSONEncodeError, UnicodeEncodeError) as failure:
            raise ValueError(f"`expected` is not JSON: {failure}") from failure
        if fault:
            raise ValueError(fault)
        return self


@functools.lru_cache(maxsize=1024)
def _impossible(schema: bytes, expected: bytes) -> str:
    """What makes dictated values no task, or nothing: a place that is none, a value that the schema forbids."""
    compiled = compile_schema(orjson.loads(schema))
    for place, value in orjson.loads(expected).items():
        if place and not place.startswith("/"):
            return f"`{place}` in `expected` is no JSON Pointer"
        node: Mapping[str, Any] = compiled.root
        for raw in place.split("/")[1:]:
            step = raw.replace("~1", "/").replace("~0", "~")
            choices = compiled.alternatives(node)
            if len(choices) > 1:  # which alternative the answer takes is not known yet
                node = {}
                break
            node = compiled.child(choices[0], int(step) if "items" in choices[0] and step.isdigit() else step)
        if node and compiled.problems_at(node, value):
            return f"the schema does not let `{place}` be what `expected` says"
    return ""


class Schema(Verifier[SchemaFacts]):
    """A document in JSON, YAML, TOML or XML satisfies a JSON Schema and says what the prompt dictates.

    The document is looked for in the container that was asked for, exactly once, and read by a real parser; then every
    problem with the schema is found, and the dictated values are compared by type. An empty object, and the schema said
    back, are no documents. `parts` are `validity` and `expected`, the share of the dictated values that are there.
    """

    name: ClassVar[str] = "schema"
    family: ClassVar[str] = "schema adherence"
    version: ClassVar[int] = 1
    facts: ClassVar[type[Facts]] = SchemaFacts
    extra: ClassVar[str] = "verify"

    def check(self, facts: SchemaFacts, response: Response) -> Verdict:
        compiled = compile_schema(facts.json_schema)
        found = document_in(facts, response, compiled)
        if isinstance(found, Verdict):
            return found
        text = text_of(response, found)
        shares = {place: _said(found.value, place, value) for place, value in facts.expected.items()}
        parts = {"validity": 1.0, "expected": sum(shares.values()) / len(shares) if shares else 1.0}
        fault = _fault(found.value, facts, compiled)
        if not fault and (problems := compiled.problems(found.value)):
            fault = told(problems)
        if fault:
            why = rejected(found.candidates, fault)
            return failed(fault, text, found.span, candidates=why, parts={**parts, "validity": 0.0})
        wrong = [place for place, right in shares.items() if not right]
        if wrong:
            fault = told(
                [
                    f"{f'`{place}`' if place else 'the document'} is not what the prompt says"
                    for place in wrong
                ]
            )
        elif facts.exactly:
            fault = told(_unasked(found.value, facts.expected))
        if fault:
            return failed(fault, text, found.span, candidates=rejected(found.candidates, fault), parts=parts)
        return passed(text, found.span, candidates=found.candidates, parts=parts)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        return generation_tasks(seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        return generation_cases(rng)


def _said(document: Any, place: str, value: Any) -> bool:
    found = resolve_pointer(document, place)
    return found is not MISSING and means(found, value)


def _unasked(document: Any, expected: Mapping[str, Any]) -> list[str]:
    """The places of a document that nothing was said about."""
    return [
        f"`{pointer(path)}` is not what the prompt asks for"
        for path, _ in leaves(document)
        if not any(pointer(path[:length]) in expected for length in range(len(path) + 1))
    ]


def _fault(document: Any, facts: SchemaFacts, compiled: Compiled) -> str:
    """What is wrong with a document that the schema may not mind."""
    if document == {} and compiled.root.get("properties") and not same(facts.expected.get("", MISSING), {}):
        return "the document is empty"
    if isinstance(document, dict) and "properties" in document and same(document, facts.json_schema):
        return "the document is the schema itself"
    return ""
