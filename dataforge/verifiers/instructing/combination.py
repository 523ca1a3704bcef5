"""Two responses in one, and the request repeated before the answer."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.instructing.constraint import HOLDS, Constraint, Finding, NoParams, Params
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.text import Text

SEPARATOR = re.compile(r"(?<!\*)\*{6}(?!\*)")
"""Exactly six asterisks."""


class TwoResponses(Constraint[NoParams]):
    """The reply is two different responses with six asterisks between them."""

    id = "combination:two_responses"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Give two different responses. Responses and only responses should be separated by 6 asterisk symbols: ******.",
            "Write exactly two different answers, with ****** (six asterisks) between them.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        parts = SEPARATOR.split(text.content)
        # A separator before the first or behind the second response separates nothing.
        if len(parts) > 2 and not parts[0].strip():
            parts = parts[1:]
        if len(parts) > 2 and not parts[-1].strip():
            parts = parts[:-1]
        if len(parts) != 2:
            return Finding(False, f"it has {len(parts)} responses, and should have 2")
        if not all(any(letter.isalnum() for letter in part) for part in parts):
            return Finding(False, "one of the two responses is empty")
        if _same(parts[0]) == _same(parts[1]):
            return Finding(False, "the two responses are the same")
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.lay_out("two", 2)
        draft.alone_with(
            (
                "keywords:existence", "keywords:frequency", "keywords:forbidden_words", "punctuation:no_comma",
                "language:response_language", "change_case:english_capital", "change_case:english_lowercase",
                "detectable_format:title", "content:emoji", "startend:quotation", "punctuation:forbidden_marks",
                "words:lipogram", "combination:two_responses", "length_constraints:number_words",
                "length_constraints:number_sentences", "keywords:letter_frequency",
            )
        )  # fmt: skip

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        parts = SEPARATOR.split(text)
        match rng.randrange(4):
            case 0:
                return "\n".join(parts), "no separator"
            case 1:
                return f"{parts[0].strip()}\n******\n{parts[0].strip()}", "the same response twice"
            case 2:
                return f"{text}\n******\nA third one.", "three responses"
            case _:
                return rng.choice(["*****", "*******", "------"]).join(parts), "another separator"


def _same(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


class Repeated(Params):
    """What is to be repeated."""

    prompt_to_repeat: str = Field(
        min_length=1, description="the request, without the sentence that asks to repeat it"
    )


class RepeatPrompt(Constraint[Repeated]):
    """The reply first repeats the request word for word, and then answers it.

    Case and white space may differ, as in IFEval; unlike there, the repeated request alone is no answer.
    """

    id = "combination:repeat_prompt"
    params = Repeated
    origin = "IFEval"

    def phrases(self, params: Repeated) -> Sequence[str]:
        return (
            "First repeat the request word for word without change, then give your answer (1. do not say any words or "
            "characters before repeating the request; 2. the request you need to repeat does not include this sentence)",
        )

    def check(self, text: Text, params: Repeated) -> Finding:
        wanted = Text(params.prompt_to_repeat).content.split()
        there = text.content.split()
        said = " ".join(there).casefold()
        prompt = " ".join(wanted).casefold()
        if not said.startswith(prompt):
            return Finding(False, "it does not begin with the request, word for word")
        if not any(letter.isalnum() for letter in said[len(prompt) :]):
            return Finding(False, "no answer follows the repeated request")
        if prompt[-1].isalnum() and said[len(prompt)].isalnum():
            return Finding(False, "the last word of the request goes on")
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {
            "prompt_to_repeat": rng.choice(
                (
                    "Write a short note to a neighbor about the broken fence",
                    "Explain why the sky is blue.\nUse simple words",
                    'Write a slogan for a café called "Été" that opens at 7:30',
                    "What is 2 + 2?",
                )
            )
        }

    def demand(self, params: Repeated, draft: Draft) -> None:
        draft.claim("start")
        draft.claim("prompt", params.prompt_to_repeat)
        draft.write_fixed(params.prompt_to_repeat)
        draft.has("fragments", "extra", "repeats", "prompt")
        draft.alone_with(
            (
                "keywords:existence", "keywords:forbidden_words", "punctuation:no_comma", "content:emoji",
                "detectable_content:postscript", "startend:end_checker", "punctuation:forbidden_marks",
                "detectable_content:number_placeholders", "detectable_format:title",
            )
        )  # fmt: skip

    def spoil(self, rng: random.Random, text: str, params: Repeated) -> tuple[str, str]:
        prompt = params.prompt_to_repeat
        match rng.randrange(4):
            case 0:
                return f"Sure! {text}", "words before the request"
            case 1:
                return text[len(prompt) :].lstrip(), "the request not repeated"
            case 2:
                return prompt, "the request alone"
            case _:
                words = prompt.split(" ")
                at = rng.randrange(len(words) - 1)
                words[at], words[at + 1] = words[at + 1] + "s", words[at]
                return " ".join(words) + text[len(prompt) :], "the request changed"
