"""Lists: how many bullets, in which order, and how their items end."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    Params,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import words_in
from dataforge.verifiers.protocol import Span

BULLET = re.compile(r"^[\"“]?[^\S\n]*[-*+][^\S\n]+(?=\S)(?![-*+\s]*$)(.*)$", re.MULTILINE)
"""A list item of Markdown: `-`, `*` or `+`, a space, and something that is no divider (`* * *`, `- - -`)."""


class Bullets(Params):
    """How many bullets."""

    num_bullets: int = Field(ge=0, description="the exact number, nested ones counted too")


class NumberBullets(Constraint[Bullets]):
    """The reply has an exact number of Markdown bullet points."""

    id = "detectable_format:number_bullet_lists"
    params = Bullets
    origin = "IFEval"

    def phrases(self, params: Bullets) -> Sequence[str]:
        points = plural(params.num_bullets, "bullet point")
        return (
            f"Your answer must contain exactly {points}. Use the markdown bullet points such as:\n* This is point 1.\n"
            "* This is point 2.",
            f'Give exactly {points} in markdown, each on its own line and starting with "- " or "* ".',
        )

    def check(self, text: Text, params: Bullets) -> Finding:
        spans = [match.span() for match in BULLET.finditer(text.content)]
        return tally(len(spans), "exactly", params.num_bullets, "bullet points", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_bullets": rng.randint(2, 6)}

    def demand(self, params: Bullets, draft: Draft) -> None:
        draft.lay_out("list", params.num_bullets)
        draft.has("fragments")

    def spoil(self, rng: random.Random, text: str, params: Bullets) -> tuple[str, str]:
        match rng.randrange(3):
            case 0:
                return f"{text}\n- one more", "a bullet too many"
            case 1 if params.num_bullets:
                first = next(BULLET.finditer(text))
                return f"{text[: first.start()]}{first[1]}{text[first.end() :]}", "a bullet mark left out"
            case _ if params.num_bullets:
                return re.sub(
                    r"^([\"“]?)[-*+] ", r"\1• ", text, count=1, flags=re.MULTILINE
                ), "a sign that is no bullet of Markdown"
            case _:
                return f"{text}\n* one more", "a bullet too many"


class ListOrder(Params):
    """How many items."""

    num_items: int = Field(ge=2, description="the exact number of items")


def bare(word: str) -> str:
    """A word without case, accents and signs, for order."""
    return "".join(letter for letter in unicodedata.normalize("NFD", word.casefold()) if letter.isalnum())


def sort_key(item: str) -> list[str]:
    """What items of a list are put in order by: their words without case, accents and signs."""
    return [form for word in words_in(item) if (form := bare(word.text))]


def _items(text: Text) -> list[tuple[str, Span]]:
    return [(match[1], match.span(1)) for match in BULLET.finditer(text.content)]


class SortedList(Constraint[ListOrder]):
    """The reply has a bullet list of an exact number of items in alphabetical order."""

    id = "lists:sorted"
    params = ListOrder

    def phrases(self, params: ListOrder) -> Sequence[str]:
        return (
            f"Include a markdown bullet list of exactly {params.num_items} items in alphabetical order.",
            f"Give {params.num_items} bullet points (- item) and sort them from A to Z.",
        )

    def check(self, text: Text, params: ListOrder) -> Finding:
        items = _items(text)
        if len(items) != params.num_items:
            return Finding(
                False, f"it has {plural(len(items), 'list item')}, and should have {params.num_items}"
            )
        for (before, _), (item, span) in itertools.pairwise(items):
            if sort_key(before) > sort_key(item):
                return Finding(False, "an item stands behind one that should follow it", (span,))
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_items": rng.randint(3, 6)}

    def demand(self, params: ListOrder, draft: Draft) -> None:
        draft.lay_out("list", params.num_items)
        draft.claim("order of items", True, shared=True)
        draft.claim("first words", "own")
        draft.bar("marked words", "placed keyword", "every nth", "alternating words")
        draft.has("fragments")

    def spoil(self, rng: random.Random, text: str, params: ListOrder) -> tuple[str, str]:
        content = text
        first = next(BULLET.finditer(content))
        if rng.random() < 0.5:
            return (
                f"{content[: first.start(1)]}zzz {content[first.start(1) :]}",
                "the first item belongs at the end",
            )
        return f"{content}\n- zzz one more", "an item too many"


class UnlikeEndings(Constraint[ListOrder]):
    """The reply has a bullet list of an exact number of items, no two of which end in the same three letters."""

    id = "lists:no_rhyme"
    params = ListOrder

    def phrases(self, params: ListOrder) -> Sequence[str]:
        return (
            f"Include a markdown bullet list of exactly {params.num_items} items; the last words of no two items may end "
            "in the same three letters.",
            f"Give {params.num_items} bullet points (- item) that do not rhyme: no two may have the same last three letters.",
        )

    def check(self, text: Text, params: ListOrder) -> Finding:
        items = _items(text)
        if len(items) != params.num_items:
            return Finding(
                False, f"it has {plural(len(items), 'list item')}, and should have {params.num_items}"
            )
        seen = []
        for item, span in items:
            key = sort_key(item)
            if not key:
                return Finding(False, "an item has no word", (span,))
            if key[-1][-3:] in seen:
                return Finding(False, "two items end in the same three letters", (span,))
            seen.append(key[-1][-3:])
        return HOLDS

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_items": rng.randint(3, 6)}

    def demand(self, params: ListOrder, draft: Draft) -> None:
        draft.lay_out("list", params.num_items)
        draft.claim("endings of items")
        draft.has("fragments", "loose words")
        draft.bar("extra", "ending")

    def spoil(self, rng: random.Random, text: str, params: ListOrder) -> tuple[str, str]:
        found = [match.end(1) for match in BULLET.finditer(text)]
        one, two = sorted(rng.sample(found, 2))
        content = f"{text[:one].rstrip('”')} and dreaming{text[one:two]}"
        tail = text[two:]
        return f"{content} in streaming{tail}", "two items that rhyme"
