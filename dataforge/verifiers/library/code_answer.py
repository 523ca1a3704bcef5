"""Code answers: the code block of a language in a reply, compared with an expected snippet, or only parsed.

Which block is the answer is a rule of the facts: the last one of the language, the first, or the only one. Blocks of other
languages are no candidates; a block without a language is one. Nothing is run here.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dataforge.verifiers.matching.blocks import Block, blocks, inline, language
from dataforge.verifiers.matching.snippets import PARSERS, Unparsable, expected, normal_form, says_nothing
from dataforge.verifiers.matching.spans import shifted
from dataforge.verifiers.protocol import (
    Candidate,
    Case,
    Facts,
    Response,
    Span,
    Texts,
    Verdict,
    Verifier,
    failed,
    passed,
    unparsed,
)
from dataforge.verifiers.spoken import spoken
from schemas.task import Task


class CodeAnswerFacts(Facts):
    """The language, the snippet that is expected, and how the two are compared."""

    language: str = Field(
        default="python", min_length=1, description="the language of the block, such as python"
    )
    expected: Texts = Field(
        default=(), description="every snippet that is right; not needed where it is only to parse"
    )
    compare: Literal["tree", "text", "parses"] = Field(
        default="tree",
        description="`tree`: by syntax tree or value (python, json, toml); `text`: by its lines; `parses`: any code that parses, and is more than a comment or `...`",
    )
    which: Literal["last", "first", "only"] = Field(
        default="last",
        description="which block of the language is the answer; `only`: there must be just one",
    )
    docstrings: bool = Field(
        default=False, description="whether docstrings count when trees of Python are compared"
    )

    @field_validator("language")
    @classmethod
    def _usual(cls, value: str) -> str:
        return language(value)

    @model_validator(mode="after")
    def _comparable(self) -> CodeAnswerFacts:
        if self.compare != "text" and self.language not in PARSERS:
            raise ValueError(
                f"{self.language} has no parser here: compare its text, or use {', '.join(PARSERS)}"
            )
        if self.compare != "parses" and not self.expected:
            raise ValueError("there is no expected snippet")
        for snippet in self.expected:
            try:
                expected(snippet, self.language, self.compare, self.docstrings)
            except Unparsable as failure:
                raise ValueError(f"the expected snippet does not parse: {failure}") from None
        return self


class CodeAnswer(Verifier[CodeAnswerFacts]):
    """The code block of a language is the expected snippet, by its syntax tree, value or text, or at least parses."""

    name = "code_answer"
    family = "multiple choice and matching"
    facts = CodeAnswerFacts

    def check(self, facts: CodeAnswerFacts, response: Response) -> Verdict:
        said = spoken(response)
        if said.fault:
            return unparsed(said.fault)
        chosen, candidates, fault = _choose(facts, said.answer)
        candidates = list(shifted(candidates, said.offset))
        if chosen is None:
            if facts.which == "only" and fault.startswith("there are"):
                return failed(fault, candidates=candidates)
            return unparsed(fault, candidates=candidates)
        code, (start, end) = chosen
        span = (start + said.offset, end + said.offset)
        if facts.compare == "parses" and not code.strip():
            return failed("the block is empty", code, span, candidates=candidates)
        try:
            form = normal_form(code, facts.language, facts.compare, docstrings=facts.docstrings)
        except Unparsable as failure:
            return failed(str(failure), code, span, candidates=candidates)
        if facts.compare == "parses" and says_nothing(code, facts.language):
            return failed("there is no code in the block", code, span, candidates=candidates)
        if facts.compare == "parses" or any(
            form == expected(snippet, facts.language, facts.compare, facts.docstrings)
            for snippet in facts.expected
        ):
            return passed(code, span, candidates=candidates)
        return failed("the code is not what is expected", code, span, candidates=candidates)

    def tasks(self, seed: int, n: int) -> Iterator[Task]:
        from dataforge.verifiers.matching.code_cases import code_task
        from dataforge.verifiers.matching.questions import numbered

        return numbered(code_task, self.name, seed, n)

    def cases(self, rng: random.Random) -> Iterator[Case]:
        from dataforge.verifiers.matching.code_cases import cases

        return cases(self.name, rng)


def _choose(facts: CodeAnswerFacts, text: str) -> tuple[tuple[str, Span] | None, list[Candidate], str]:
    """The piece of code that is the answer, everything considered, and why there is none."""
    found = list(blocks(text))
    candidates: list[Candidate] = []
    fitting: list[Block] = []
    for block in found:
        why = ""
        if block.language not in ("", facts.language):
            why = f"it is {block.language}"
        elif not block.closed:
            why = "its block is never closed"
        else:
            fitting.append(block)
        candidates.append(Candidate(block.code, block.span, why))
    if len(tagged := [b for b in fitting if b.language]) < len(fitting) and tagged:
        # Where some say their language, those that do not are output, or another thing.
        fitting = tagged
    if not fitting:
        if found:
            return None, candidates, f"there is no whole block of {facts.language}"
        return _without_fences(facts, text)
    if facts.which == "only" and len(fitting) > 1:
        rejected = _but(candidates, None, "there is another")
        return None, rejected, f"there are {len(fitting)} blocks of {facts.language}, and should be one"
    chosen = fitting[0] if facts.which == "first" else fitting[-1]
    why = f"not the {facts.which} block of {facts.language}"
    return (chosen.code, chosen.span), _but(candidates, chosen.span, why), ""


def _but(candidates: list[Candidate], span: Span | None, why: str) -> list[Candidate]:
    return [c if c.rejected or c.span == span else Candidate(c.text, c.span, why) for c in candidates]


def _without_fences(
    facts: CodeAnswerFacts, text: str
) -> tuple[tuple[str, Span] | None, list[Candidate], str]:
    """A reply without a block: the one piece of inline code, or all of it, where there is something to compare it with."""
    if not text.strip():
        return None, [], "the answer is empty"
    if facts.compare == "parses":
        return None, [], f"there is no block of {facts.language}"
    whole = (len(text) - len(text.lstrip("\r\n")), len(text.rstrip()))
    pieces = inline(text)
    if len(pieces) == 1:
        return pieces[0], [Candidate(*pieces[0])], ""
    if pieces:
        return (
            None,
            [Candidate(*p, "one of several pieces of inline code") for p in pieces],
            "there is no block of code",
        )
    return (text[slice(*whole)], whole), [Candidate(text[slice(*whole)], whole)], ""
