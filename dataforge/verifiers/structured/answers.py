"""From a response to the one document in it: what `schema` and `schema_edit` have in common.

`DocumentFacts` are the facts about form; `document_in` gives the document, or the verdict on a response that has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from dataforge.errors import InputError
from dataforge.verifiers.protocol import Candidate, Facts, Response, Verdict, failed, unparsed
from dataforge.verifiers.spoken import spoken
from dataforge.verifiers.structured.containers import Container, Found, Sought, find_document
from dataforge.verifiers.structured.reading import Output
from dataforge.verifiers.structured.validation import XML_NAME, Compiled, Problem, compile_schema

TAG = r"^[A-Za-z_][A-Za-z0-9_.-]*$"


class DocumentFacts(Facts):
    """What is asked for, and in which form."""

    json_schema: dict[str, Any] = Field(
        description="the JSON Schema (draft 2020-12, the subset of docs/verifiers.md) that the document must satisfy"
    )
    output: Output = Field(
        default="json", description="the language of the document: json, yaml, toml or xml"
    )
    container: Container = Field(
        default="any",
        description="where it stands: `bare` (the whole answer), `fence` (one fenced code block marked with the "
        "language), `tags` (once between `<tag>` and `</tag>`) or `any` (wherever exactly one can be found)",
    )
    tag: str = Field(default="output", pattern=TAG, description="the name of the tags, for `tags` and `any`")
    alone: bool = Field(default=False, description="whether no text may stand around the fence or the tags")
    root: str = Field(
        default="",
        description="the name that the root element must have, for `xml`; any name where it is empty",
    )

    @model_validator(mode="after")
    def _sound(self) -> DocumentFacts:
        try:
            compiled = compile_schema(self.json_schema)
        except InputError as refusal:
            raise ValueError(refusal.message) from refusal
        if self.output == "xml" and (lost := compiled.unnameable):
            raise ValueError(f"XML has no element called {lost!r}")
        if self.root and not XML_NAME.fullmatch(self.root):
            raise ValueError(f"XML has no element called {self.root!r}")
        return self

    @property
    def sought(self) -> Sought:
        return Sought(self.output, self.container, self.tag, self.alone, self.root)


def document_in(facts: DocumentFacts, response: Response, compiled: Compiled) -> Found | Verdict:
    """The document in a response, with spans in its text; or the verdict on a response without one."""
    said = spoken(response)
    if said.fault:
        return unparsed(said.fault)
    if said.before.strip() and (facts.container == "bare" or facts.alone):
        return failed("text stands before the thinking, where only the document may be said")
    found = find_document(said.answer, facts.sought, compiled)
    candidates = tuple(_shifted(candidate, said.offset) for candidate in found.candidates)
    if found.span is None:
        return (
            failed(found.fault, candidates=candidates)
            if found.answered
            else unparsed(found.fault, candidates=candidates)
        )
    span = (found.span[0] + said.offset, found.span[1] + said.offset)
    return dataclasses.replace(found, span=span, candidates=candidates)


def _shifted(candidate: Candidate, by: int) -> Candidate:
    if candidate.span is None or not by:
        return candidate
    return dataclasses.replace(candidate, span=(candidate.span[0] + by, candidate.span[1] + by))


def rejected(candidates: Sequence[Candidate], why: str) -> tuple[Candidate, ...]:
    """The candidates, those that were taken so far turned down."""
    return tuple(
        candidate if candidate.rejected else dataclasses.replace(candidate, rejected=why)
        for candidate in candidates
    )


def told(problems: Sequence[Problem] | Sequence[str], most: int = 3) -> str:
    """The first few things that are wrong, in one line."""
    shown = "; ".join(map(str, problems[:most]))
    return f"{shown}; and {len(problems) - most} more" if len(problems) > most else shown


def text_of(response: Response, found: Found) -> str:
    """The document as it stands in the response."""
    assert found.span is not None
    return response.text[found.span[0] : found.span[1]]
