"""Shares: of questions among the sentences, of small words, of different words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.instructing.constraint import HOLDS, Constraint, Finding, Params, Range
from dataforge.verifiers.instructing.drafting import Conflict, Draft
from dataforge.verifiers.instructing.languages import STOP_WORDS
from dataforge.verifiers.instructing.text import Text

_QUESTION = re.compile(r"[?？؟][\"'”’»)\]*_!?？]*$")


class Least(Params):
    """The least share."""

    percent: int = Field(ge=1, le=100, description="the least share, in percent")


class Most(Params):
    """The greatest share."""

    percent: int = Field(ge=0, le=99, description="the greatest share, in percent")


class Questions(Constraint[Least]):
    """At least a share of the sentences are questions."""

    id = "ratio:questions"
    params = Least

    def phrases(self, params: Least) -> Sequence[str]:
        return (
            f"At least {params.percent} percent of your sentences must be questions that end with a question mark.",
            f"Make {params.percent}% or more of the sentences questions.",
        )

    def check(self, text: Text, params: Least) -> Finding:
        total = len(text.sentences)
        asked = sum(_QUESTION.search(text.piece(span)) is not None for span in text.sentences)
        if total and 100 * asked >= params.percent * total:
            return HOLDS
        return Finding(False, f"{asked} of {total} sentences are questions, and {params.percent}% should be")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"percent": rng.choice((25, 30, 50, 60, 75, 100))}

    def demand(self, params: Least, draft: Draft) -> None:
        draft.bar("fragments")
        draft.questions = max(draft.questions, params.percent)
        if "?" in draft.banned_marks:
            raise Conflict("a question needs a question mark")

    def spoil(self, rng: random.Random, text: str, params: Least) -> tuple[str, str]:
        return text.replace("?", "."), "no question mark left"


class SmallWords(Constraint[Most]):
    """At most a share of the words are English function words, such as the, of and is."""

    id = "ratio:stop_words"
    params = Most

    def phrases(self, params: Most) -> Sequence[str]:
        return (
            f"At most {params.percent} percent of your words may be English stop words (the, of, and, is, to and the like). "
            "Write at least five words.",
            f"Keep common function words such as the, and, of, in or is to {params.percent}% of all words or less, in a text "
            "of at least five words.",
        )

    def check(self, text: Text, params: Most) -> Finding:
        if len(text.forms) < 5:
            return Finding(False, "it has fewer than five words")
        small = sum(form in STOP_WORDS for form in text.forms)
        if 100 * small <= params.percent * len(text.forms):
            return HOLDS
        return Finding(
            False, f"{small} of {len(text.forms)} words are stop words, and at most {params.percent}% may be"
        )

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"percent": rng.choice((10, 20, 25, 30, 40))}

    def demand(self, params: Most, draft: Draft) -> None:
        draft.no_small = True
        draft.has("odd English")
        draft.bar("fixed words", "foreign words", "marked words")
        draft.count_words(Range(5))

    def spoil(self, rng: random.Random, text: str, params: Most) -> tuple[str, str]:
        number = len(Text(text).words)
        more = -(-(params.percent + 1) * number // (100 - params.percent)) + 1
        return (
            f"{text} {' '.join(rng.choice(('the', 'of', 'and', 'is')) for _ in range(more))}",
            "too many stop words",
        )


class DifferentWords(Constraint[Least]):
    """At least a share of the words are different from each other (types by tokens), in a text of ten words or more."""

    id = "ratio:unique_words"
    params = Least

    def phrases(self, params: Least) -> Sequence[str]:
        return (
            f"Write at least ten words; the number of different words must be at least {params.percent}% of all words.",
            f"Avoid repetition: {params.percent} percent or more of your words must be different from one another, in a text "
            "of at least ten words.",
        )

    def check(self, text: Text, params: Least) -> Finding:
        total, different = len(text.forms), len(set(text.forms))
        if total < 10:
            return Finding(False, "it has fewer than ten words")
        if 100 * different >= params.percent * total:
            return HOLDS
        return Finding(False, f"{different} of {total} words are different, and {params.percent}% should be")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"percent": rng.choice((50, 60, 70, 80, 90))}

    def demand(self, params: Least, draft: Draft) -> None:
        draft.bar("repeats", "loose words", "fixed words", "list", "two")
        draft.unique = True
        draft.has("odd English")
        draft.count_words(Range(10))

    def spoil(self, rng: random.Random, text: str, params: Least) -> tuple[str, str]:
        number = len(Text(text).words)
        more = -(-100 * number // params.percent) + 2
        return f"{text} {' '.join(['again'] * more)}", "one word again and again"
