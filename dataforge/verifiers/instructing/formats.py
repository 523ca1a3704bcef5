"""Forms that a reply can have: highlights, sections, a title, JSON, one of some options."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from dataforge.verifiers.instructing import lexicon
from dataforge.verifiers.instructing.constraint import (
    HOLDS,
    Constraint,
    Finding,
    NoParams,
    Params,
    Range,
    Relation,
    counted,
    plural,
    tally,
)  # fmt: skip
from dataforge.verifiers.instructing.drafting import Draft
from dataforge.verifiers.instructing.text import Text
from dataforge.verifiers.instructing.words import whole

HIGHLIGHT = re.compile(
    r"(?<![*\\\w])(?:"
    r"\*\*\*(?=[^\s*])(?:[^*\n]*[^\s*])?\*\*\*"
    r"|\*\*(?=[^\s*])(?:(?:[^*\n]|\*(?!\*))*?[^\s*])\*\*"
    r"|\*\*(?=\*[^\s*])(?:[^*\n]|\*(?!\*))*?\*\*\*"
    r"|\*(?=[^\s*])(?:[^*\n]*?[^\s*])\*"
    r")(?!\*)"
)
"""A highlighted piece: `*x*`, `**x**` or `***x***` on one line, each of which counts once."""


class Highlights(Params):
    """How many highlights."""

    num_highlights: int = Field(ge=0, description="the least number")


class NumberHighlights(Constraint[Highlights]):
    """At least a number of pieces are highlighted with asterisks; `**bold**` counts once."""

    id = "detectable_format:number_highlighted_sections"
    params = Highlights
    origin = "IFEval"

    def phrases(self, params: Highlights) -> Sequence[str]:
        sections = plural(params.num_highlights, "section")
        return (
            f"Highlight at least {sections} in your answer with markdown, i.e. *highlighted section*.",
            f"Emphasize at least {sections} of your text with asterisks, like *this*.",
        )

    def check(self, text: Text, params: Highlights) -> Finding:
        spans = [match.span() for match in HIGHLIGHT.finditer(text.content)]
        return tally(len(spans), "at least", params.num_highlights, "highlighted sections", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {"num_highlights": rng.randint(1, 4)}

    def demand(self, params: Highlights, draft: Draft) -> None:
        draft.count("highlight", Range(params.num_highlights))
        draft.has("marked words")
        if params.num_highlights > 1:
            draft.has("repeats")

    def spoil(self, rng: random.Random, text: str, params: Highlights) -> tuple[str, str]:
        there = len(HIGHLIGHT.findall(text))
        left, right, note = rng.choice(
            [("", "", "bare"), ("* ", " *", "with spaces inside"), ("_", "_", "with _")]
        )
        cut = HIGHLIGHT.sub(
            lambda m: f"{left}{m[0].strip('*')}{right}", text, count=there - params.num_highlights + 1
        )
        return cut, f"a highlight {note}"


class Sections(Params):
    """How many sections."""

    section_spliter: str = Field(
        min_length=1, description="what marks a section's beginning; IFEval's spelling"
    )
    num_sections: int = Field(ge=0, description="the number to compare with")
    relation: Relation = Field(
        default="at least", description="how the count compares; IFEval's own is `at least`"
    )


_LABEL = r"(?:[^\S\n]*[#:.-]?[^\S\n]*\d+|[^\S\n]*[#:. -][^\S\n]*(?:[IVXLC]{1,6}|[A-Z]|one|two|three|four|five|six|seven|eight|nine|ten))(?![^\W_])"


def _section_heads(text: Text, splitter: str) -> list[re.Match[str]]:
    mark = splitter.strip()
    content = text.content
    one_case = content in (content.upper(), content.lower())
    lead = r"^[^\S\n]*[\"“]?[#>*_\[(-]*[^\S\n]*[*_]*"
    if not any(letter.isalnum() for letter in mark):
        return list(
            re.finditer(rf"^[^\S\n]*{re.escape(mark)}(?!{re.escape(mark[-1])})", content, re.MULTILINE)
        )
    spaced = r"\s+".join(re.escape(piece) for piece in mark.split())
    exact = rf"(?i:{spaced})" if one_case else spaced
    return list(re.finditer(rf"{lead}{exact}(?i:{_LABEL})", content, re.MULTILINE))


class MultipleSections(Constraint[Sections]):
    """The reply has a number of sections that are marked and numbered, each with something in it."""

    id = "detectable_format:multiple_sections"
    params = Sections
    origin = "IFEval"

    def phrases(self, params: Sections) -> Sequence[str]:
        mark, n = params.section_spliter, params.num_sections
        number = (
            ""
            if params.relation == "exactly"
            else "fewer than "
            if params.relation == "less than"
            else f"{params.relation} "
        )
        return (
            f"Your response must have {number}{plural(n, 'section')}. Mark the beginning of each section with {mark} X, "
            f"such as:\n{mark} 1\n[content of section 1]\n{mark} 2\n[content of section 2]",
            f"Divide your response into {number}{plural(n, 'section')}, headed {mark} 1, {mark} 2 and so on.",
        )

    def check(self, text: Text, params: Sections) -> Finding:
        heads = _section_heads(text, params.section_spliter)
        spans = [match.span() for match in heads]
        ends = [*(match.start() for match in heads[1:]), len(text.content)]
        for match, end in zip(heads, ends, strict=False):
            if not any(letter.isalnum() for letter in text.content[match.end() : end]):
                return Finding(False, "a section is empty", (match.span(),))
        return tally(len(heads), params.relation, params.num_sections, "sections", spans)

    def draw(self, rng: random.Random) -> dict[str, Any]:
        mark = rng.choice(("Section", "SECTION", "Part", "Day", "PARAGRAPH", "Chapter"))
        return {
            "section_spliter": mark,
            "num_sections": rng.randint(2, 5),
            "relation": rng.choice(("exactly", "at least")),
        }

    def demand(self, params: Sections, draft: Draft) -> None:
        blocks = max(counted(params.relation, params.num_sections).low, 1)
        draft.lay_out("sections", blocks)
        draft.claim("splitter", params.section_spliter)
        draft.write_fixed(*(f"{params.section_spliter} {index}" for index in range(1, blocks + 1)))
        draft.has("fragments", "extra", "repeats")

    def spoil(self, rng: random.Random, text: str, params: Sections) -> tuple[str, str]:
        heads = _section_heads(Text(text), params.section_spliter)
        content = Text(text).content
        allowed = counted(params.relation, params.num_sections)
        if allowed.high is not None and rng.random() < 0.4:
            splitter = params.section_spliter
            splitter = splitter.upper() if content == content.upper() else splitter
            splitter = splitter.lower() if content == content.lower() else splitter
            more = "\n\n".join(f"{splitter} {n} \nonce" for n in range(len(heads) + 1, allowed.high + 2))
            return f"{content}\n\n{more}", "a section too many"
        drop = len(heads) - allowed.low + 1
        for match in reversed(heads[:drop]):
            content = f"{content[: match.start()]}Next{content[match.end() :]}"
        return content, "a section's heading left out"


class TitleMark(Constraint[NoParams]):
    """The reply has a title in double angular brackets."""

    id = "detectable_format:title"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Your answer must contain a title, wrapped in double angular brackets, such as <<poem of joy>>.",
            "Give your text a title in double angular brackets, i.e. <<title>>.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        found = re.search(r"<<[^<>\n]*[^\W_][^<>\n]*>>", text.content)
        return HOLDS if found else Finding(False, "it has no title in double angular brackets")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        title = lexicon.TITLES[0]
        if draft.slot("title") is None:
            draft.write_fixed(title)
        draft.claim("title", title, shared=True)
        draft.has("fragments", "extra", "title")

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        left, right, note = rng.choice(
            [("<", ">", "in single brackets"), ("«", "»", "in other brackets"), ("# ", "", "as a heading")]
        )
        return re.sub(r"<<([^<>\n]+)>>", lambda m: left + m[1] + right, text), f"the title {note}"


def unfenced(text: str) -> str:
    """What stands in a code fence where the whole text is one; otherwise the text."""
    body = text.strip()
    match = re.fullmatch(r"(```|~~~)[^\S\n]*[A-Za-z0-9]*[^\S\n]*\n(.*?)\n?[^\S\n]*\1", body, re.DOTALL)
    return match[2].strip() if match else body


class JsonFormat(Constraint[NoParams]):
    """The whole reply is one JSON object or array, bare or in one code fence."""

    id = "detectable_format:json_format"
    origin = "IFEval"

    def phrases(self, params: NoParams) -> Sequence[str]:
        return (
            "Entire output should be wrapped in JSON format. You can use markdown ticks such as ```.",
            "Give your whole answer as one JSON object, with nothing around it but, if you like, a code fence.",
        )

    def check(self, text: Text, params: NoParams) -> Finding:
        try:
            value = json.loads(unfenced(text.content), parse_constant=_refused)
        except (ValueError, RecursionError):
            return Finding(False, "the whole of it is no JSON")
        return HOLDS if isinstance(value, (dict, list)) else Finding(False, "it is no JSON object or array")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        return {}

    def demand(self, params: NoParams, draft: Draft) -> None:
        draft.lay_out("json")
        draft.alone_with(
            (
                "keywords:existence",
                "keywords:frequency",
                "keywords:forbidden_words",
                "detectable_format:json_format",
            )
        )

    def spoil(self, rng: random.Random, text: str, params: NoParams) -> tuple[str, str]:
        match rng.randrange(4):
            case 0:
                return f"Here you are:\n{text}", "prose before the JSON"
            case 1:
                return text.replace('"', "'"), "single quotation marks"
            case 2:
                body = unfenced(text)
                return f"{body[:-1]},{body[-1]}", "a comma too many"
            case _:
                return unfenced(text)[:-1], "cut off"


def _refused(name: str) -> Any:
    raise ValueError(name)


OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


class Choices(Params):
    """The options."""

    options: list[str] | None = Field(
        default=None, description="the options; IFEval's yes, no and maybe where missing"
    )
    exact: bool | None = Field(
        default=None,
        description="whether the reply must be the option alone, or contain one; alone where options are given",
    )


def _plain(text: str) -> str:
    around = " \n\t*_`\"'“”‘’()"
    return re.sub(r"\s+", " ", text.strip(around).rstrip(".!。").strip(around)).casefold()


class ConstrainedResponse(Constraint[Choices]):
    """The reply is one of some options, or holds exactly one of them.

    An option alone may be in another case, in quotation marks, brackets or emphasis, and with or without a closing point.
    IFEval's own prompts mostly ask that one of its three answers be contained, so that is the rule where no options are
    given; two different ones contained are none.
    """

    id = "detectable_format:constrained_response"
    params = Choices
    origin = "IFEval"

    def phrases(self, params: Choices) -> Sequence[str]:
        options = ", ".join(f'"{option}"' for option in params.options or OPTIONS)
        if _exact(params):
            return (f"Answer with one of the following options and nothing else: {options}.",
                    f"Reply only with one of these: {options}.")  # fmt: skip
        return (f"Your answer must contain exactly one of the following phrases: {options}.",)

    def check(self, text: Text, params: Choices) -> Finding:
        options = params.options or OPTIONS
        if _exact(params):
            said = _plain(text.content)
            if any(said == _plain(option) for option in options):
                return HOLDS
            return Finding(False, "it is not one of the options alone")
        found = []
        for option in options:
            body = option.strip().rstrip(".!")
            if whole(body).search(text.content) and _plain(option) not in found:
                found.append(_plain(option))
        # `yes` is in `yes and no`: the longer option was meant.
        found = [one for one in found if not any(one != other and one in other for other in found)]
        if len(found) == 1:
            return HOLDS
        return Finding(False, f"it contains {len(found) or 'none'} of the options, and should contain one")

    def draw(self, rng: random.Random) -> dict[str, Any]:
        if rng.random() < 0.3:
            return {}
        return {
            "options": rng.choice(
                (list(OPTIONS), ["yes", "no", "unsure"], ["True.", "False."], ["Yes", "No"])
            )
        }

    def demand(self, params: Choices, draft: Draft) -> None:
        draft.claim("choice", (tuple(params.options or OPTIONS), _exact(params)))
        draft.alone_with(())

    def spoil(self, rng: random.Random, text: str, params: Choices) -> tuple[str, str]:
        options = params.options or list(OPTIONS)
        match rng.randrange(3):
            case 0 if _exact(params):
                return f"{text.strip()} But it depends.", "an option and more"
            case 1:
                return f"{options[0]} {options[1]}", "two options"
            case _:
                return "Perhaps so, perhaps not.", "none of the options"


def _exact(params: Choices) -> bool:
    return params.options is not None if params.exact is None else params.exact
