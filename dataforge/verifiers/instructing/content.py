"""Pieces of a kind that a reply must have: placeholders, a postscript, numbers, emoji, pronouns, palindromes."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    Params,
    Range,
    Relation,
    asked,
    counted,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import KINDS, Draft
from dataforge.verifiers.instructing.keywords import inserted
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.protocol import Span

PLACEHOLDER = re.compile(r"\[(?=[^\[\]\n]*[^\W\d_])(?![xX]\])[^\[\]\n]+\](?![(\[])")
"""A name in square brackets: not `[1]`, not the box `[x]`, not a link `[text](address)`."""


class Placeholders(Params):
    """How many placeholders."""

    num_placeholders: int = Field(ge=0, description="the least number")


class NumberPlaceholders(Constraint[Placeholders]):
    """At least a number of placeholders in square brackets, such as [address], are there."""

    id = "detectable_content:number_placeholders"
    params = Placeholders
    origin = "IFEval"

    def phrases(self, params: Placeholders) -> Sequence[str]:
        pieces = plural(params.num_placeholders, "placeholder")
        return (
            f"The response must contain at least {pieces} represented by square brackets, such as [address].",
            f"Leave at least {pieces} in square brackets, for example [name].",
        )

    def check(self, text: Text, params: Placeholders) -> Finding:
        spans = [match.span() for match in PLACEHOLDER.finditer(text.content)]
        return tally(len(spans), "at least", params.num_placeholders, "placeholders", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_placeholders": rng.randint(1, 5)}

    def demand(self, params: Placeholders, draft: Draft) -> None:
        draft.count("placeholder", Range(params.num_placeholders))
        draft.has("marked words")
        if params.num_placeholders > 1:
            draft.has("repeats")

    def spoil(self, rng: random.Random, text: str, params: Placeholders) -> tuple[str, str]:
        there = len(PLACEHOLDER.findall(text))
        left, right, note = rng.choice(
            [("", "", "bare"), ("(", ")", "in parentheses"), ("{", "}", "in braces")]
        )
        swapped = PLACEHOLDER.sub(
            lambda m: f"{left}{m[0][1:-1]}{right}", text, count=there - params.num_placeholders + 1
        )
        return swapped, f"a placeholder {note}"


class Postscripts(Params):
    """How the postscript begins."""

    postscript_marker: str = Field(min_length=1, description="`P.S.`, `P.P.S` or another marker")


@functools.lru_cache(maxsize=256)
def _marker(marker: str) -> re.Pattern[str]:
    letters = marker.strip()
    if re.fullmatch(r"(?:p\.?\s?){1,2}s\.?", letters, re.IGNORECASE):
        many = letters.lower().count("p")
        body = r"p\.\s?" * many + r"s(?:\.|\b)"
    else:
        body = re.escape(letters) + (r"\b" if letters[-1].isalnum() else "")
    # At the start of a line, behind marks of emphasis, or behind the end of a sentence: never inside a word.
    return re.compile(
        rf"(?:^[^\S\n]*[*_>#\"“]*|(?<=[.!?…:)\"”»。！？]) +[*_]*){body}", re.IGNORECASE | re.MULTILINE
    )


class Postscript(Constraint[Postscripts]):
    """The reply ends with a postscript that begins with a marker."""

    id = "detectable_content:postscript"
    params = Postscripts
    origin = "IFEval"

    def phrases(self, params: Postscripts) -> Sequence[str]:
        marker = params.postscript_marker
        return (
            f"At the end of your response, please explicitly add a postscript starting with {marker}",
            f"Close with a postscript that begins with {marker}",
        )

    def check(self, text: Text, params: Postscripts) -> Finding:
        reason = f"it has no postscript that begins with {params.postscript_marker}"
        for match in _marker(params.postscript_marker).finditer(text.content):
            if not any(letter.isalnum() for letter in text.content[: match.start()]):
                reason = "nothing stands before the postscript"
            elif not any(letter.isalnum() for letter in text.content[match.end() :]):
                reason = "the postscript is empty"
            elif sum(start > match.end() for start, _ in text.paragraphs) > 2:
                reason = "the postscript is not at the end"
            else:
                return HOLDS
        return Finding(False, reason)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"postscript_marker": rng.choice(("P.S.", "P.P.S", "P.S.", "Note:", "One more thing:"))}

    def demand(self, params: Postscripts, draft: Draft) -> None:
        note = "river and garden"
        draft.claim("postscript", (params.postscript_marker, note))
        draft.write_fixed(f"{params.postscript_marker} {note}")
        draft.has("fragments", "extra")

    def spoil(self, rng: random.Random, text: str, params: Postscripts) -> tuple[str, str]:
        at = text.lower().rindex(params.postscript_marker.lower())
        head, tail = text[:at], text[at + len(params.postscript_marker) :]
        match rng.randrange(3):
            case 0:
                return f"{head}\nBy the way{tail}", "no marker"
            case 1:
                return f"{head.rstrip()} xq{text[at:]}", "the marker inside a word"
            case _:
                return f"{head.rstrip()}\n\n{params.postscript_marker}", "an empty postscript"


class Counted(Params):
    """How many of them."""

    count: int = Field(ge=0, description="the number to compare with")
    relation: Relation = Field(default="at least", description="how the count compares with the number")


class _Counting(Constraint[Counted]):
    """Base of the constraints that count one kind of piece."""

    params = Counted
    kind: ClassVar[str]
    noun: ClassVar[str]
    hint: ClassVar[str]
    most: ClassVar[int] = 5

    def phrases(self, params: Counted) -> Sequence[str]:
        pieces = asked(params.relation, params.count, self.noun)
        return (f"Use {pieces} ({self.hint}).", f"Your response must contain {pieces} ({self.hint}).")

    def find(self, text: Text) -> list[Span]:
        """Where the pieces stand."""
        raise NotImplementedError

    def check(self, text: Text, params: Counted) -> Finding:
        spans = self.find(text)
        return tally(len(spans), params.relation, params.count, f"{self.noun}s", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        relation = rng.choice(("at least", "at least", "exactly", "at most", "less than"))
        least = 2 if relation == "less than" else 1
        return {"count": rng.randint(least, self.most), "relation": relation}

    def demand(self, params: Counted, draft: Draft) -> None:
        allowed = counted(params.relation, params.count)
        draft.count(self.kind, allowed)
        if allowed.low and self.kind != "emoji":
            draft.has("marked words", f"{self.kind}s")
        if allowed.low > 1:
            draft.has("repeats")

    def spoil(self, rng: random.Random, text: str, params: Counted) -> tuple[str, str]:
        allowed = counted(params.relation, params.count)
        spans = self.find(Text(text))
        if allowed.high is not None and (allowed.low == 0 or rng.random() < 0.5):
            piece = rng.choice([piece for piece in KINDS[self.kind] if " " not in piece])
            for _ in range(allowed.high + 1 - len(spans)):
                text = inserted(rng, text, piece)
            return text, f"a {self.noun} too many"
        content = Text(text).content
        for start, end in reversed(spans[: len(spans) - allowed.low + 1]):
            content = content[:start] + ("" if self.kind == "emoji" else "so") + content[end:]
        return content, f"a {self.noun} too few"


class Palindromes(_Counting):
    """A certain number of palindromes of at least three letters are there."""

    id = "words:palindromes"
    kind = "palindrome"
    noun = "palindrome"
    hint = "words of at least three letters that read the same backwards, such as noon"

    def find(self, text: Text) -> list[Span]:
        return [
            (word.start, word.end)
            for word, form in zip(text.words, text.forms, strict=True)
            if len(form) > 2 and form == form[::-1] and form.isalpha()
        ]


class Pronouns(_Counting):
    """A certain number of English pronouns (personal, possessive and reflexive) are there."""

    id = "words:pronouns"
    kind = "pronoun"
    noun = "pronoun"
    hint = "personal, possessive and reflexive pronouns count, such as she, our or myself"
    most = 8

    def find(self, text: Text) -> list[Span]:
        return [
            (word.start, word.end)
            for word, form in zip(text.words, text.forms, strict=True)
            # A contraction such as `I'm` has a pronoun in it.
            if form in lexicon.PRONOUNS or re.split("['’]", form)[0] in lexicon.PRONOUNS
        ]


class Numbers(_Counting):
    """A certain number of numbers in digits are there."""

    id = "content:numbers"
    kind = "number"
    noun = "number"
    hint = "written in digits, such as 12 or 3.14; each counts once however many digits it has"

    def find(self, text: Text) -> list[Span]:
        return [
            (word.start, word.end) for word in text.words if any(letter.isdigit() for letter in word.text)
        ]


_PICTURE = (
    "\U0001f300-\U0001f5ff\U0001f600-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f900-\U0001f9ff"
    "\U0001fa70-\U0001faff\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u25fd\u25fe\u2b1b\u2b1c"
    "\u2600-\u2604\u260e\u2611\u2614\u2615\u2618\u261d\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2640"
    "\u2642\u2648-\u2653\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e\u267f\u2692-\u2697\u2699\u269b\u269c\u26a0"
    "\u26a1\u26a7\u26aa\u26ab\u26b0\u26b1\u26bd\u26be\u26c4\u26c5\u26c8\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea"
    "\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2702\u2705\u2708-\u270d\u270f\u2712\u2714\u2716\u271d\u2721\u2728\u2733\u2734"
    "\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797\u27a1\u27b0\u27bf"
    "\u2b50\u2b55\u2934\u2935\u3030\u303d\u3297\u3299\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a"
)
EMOJI = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3"
    rf"|(?:[{_PICTURE}]|[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u2328\u24c2\u25aa-\u25fc\u2b05-\u2b07]\ufe0f)"
    rf"[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?[\U000e0020-\U000e007f]*"
    rf"(?:\u200d[{_PICTURE}][\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?)*"
)
"""An emoji as it is seen: a flag, a family joined by zero-width joiners, or one with a skin colour counts once."""


class Emoji(_Counting):
    """A certain number of emoji are there; one that is made of several characters counts once."""

    id = "content:emoji"
    kind = "emoji"
    noun = "emoji"
    hint = "the little pictures; each counts, repeated ones too"

    def phrases(self, params: Counted) -> Sequence[str]:
        number = asked(params.relation, params.count, "emoji").removesuffix("s")
        return (f"Use {number}.", f"Your response must contain {number}; repeated ones count too.")

    def check(self, text: Text, params: Counted) -> Finding:
        spans = self.find(text)
        return tally(len(spans), params.relation, params.count, "emoji", spans)

    def find(self, text: Text) -> list[Span]:
        return [] if text.content.isascii() else [match.span() for match in EMOJI.finditer(text.content)]
