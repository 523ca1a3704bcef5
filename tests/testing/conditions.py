"""Random conditions that some state satisfies: a state is drawn first, and only what is true of it is said."""

from __future__ import annotations

import enum
import random
import re
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel

from dataforge.domain.measures import MEASURES
from dataforge.domain.values import quoted


class Mood(enum.Enum):
    CALM = "calm"
    ANGRY = "angry"


class Author(BaseModel):
    name: str
    age: int | None = None
    nick: str | None = None


class Page(BaseModel):
    text: str
    title: str | None = None
    kind: Literal["article", "essay", "poem"] = "article"
    mood: Mood = Mood.CALM
    stars: Annotated[int, Ge(0), Le(5)] = 0
    weight: float = 1.0
    share: Annotated[float, Ge(0), Le(1)] | None = None
    hard: bool = False
    sure: bool | None = None
    tags: list[str] = []
    short: Annotated[str, MinLen(1), MaxLen(12)] = "x"
    author: Author
    editor: Author | None = None
    extra: dict[str, Any] = {}


class Reply(BaseModel):
    text: str
    kind: Literal["article", "essay", "letter"] = "essay"
    score: float | None = None
    stars: int = 0
    hard: bool = False


MODELS = {"Page": Page, "Reply": Reply}
_TEXTS = (
    "",
    " ",
    "a",
    "What is salt?",
    "Salt dissolves in water. It was mined in 1850.\nThen it was sold.",
    "- one\n- two\n- three",
    "word " * 40,
    "line of text\n" * 12,
    "a@b.com",
    '{"answer": 42}',
    "日本 and Ångström, 🧂!",
    "```python\nprint(1)\n```",
    "x" * 200,
)
PATTERNS = (
    r"^[A-Z][^:]*\?$",
    r"\?$",
    r"^The ",
    r"\d{4}",
    r"(?i)\b(salt|water)\b",
    r"^\w+@\w+\.\w{2,3}$",
    r"^(?:[-*] .+\n?)+$",
    r"```python\n[\s\S]+?```",
    r"^[^\n]*$",
    r"^\S+$",
    r"[.!?]\s*$",
    r"^\{.*\}$",
    r"^.{0,400}$",
    r"(?s)one.*three",
    r"(?:word\s+){3,}",
    r"^(?!The ).+",
)
_FIELDS: dict[str, dict[str, str]] = {
    "Page": {
        "text": "text",
        "title": "text",
        "kind": "enum",
        "mood": "enum",
        "stars": "int",
        "weight": "float",
        "share": "float",
        "hard": "bool",
        "sure": "bool",
        "tags": "list",
        "short": "text",
        "author.name": "text",
        "author.age": "int",
        "author.nick": "text",
        "editor.name": "text",
        "editor.age": "int",
    },
    "Reply": {"text": "text", "kind": "enum", "score": "float", "stars": "int", "hard": "bool"},
}


def random_state(rng: random.Random) -> dict[str, BaseModel]:
    """A state to say true things of."""

    def author() -> Author:
        return Author(
            name=rng.choice(("Ann", "Jo Li", "")),
            age=rng.choice((None, 0, 30, 99)),
            nick=rng.choice((None, "x")),
        )

    page = Page(
        text=rng.choice(_TEXTS),
        title=rng.choice((None, *_TEXTS)),
        kind=rng.choice(("article", "essay", "poem")),
        mood=rng.choice(tuple(Mood)),
        stars=rng.randint(0, 5),
        weight=rng.choice((0.0, -2.5, 1e6, 3.25)),
        share=rng.choice((None, 0.0, 0.5, 1.0)),
        hard=rng.random() < 0.5,
        sure=rng.choice((None, True, False)),
        tags=["t"] * rng.choice((0, 1, 3, 30)),
        short=rng.choice(("x", "two words", "a@b.com")),
        author=author(),
        editor=rng.choice((None, author())),
    )
    reply = Reply(
        text=rng.choice(_TEXTS),
        kind=rng.choice(("article", "essay", "letter")),
        score=rng.choice((None, 0.0, 4.0, 2.5)),
        stars=rng.randint(-3, 9),
        hard=rng.random() < 0.5,
    )
    return {"Page": page, "Reply": reply}


def _read(state: dict[str, BaseModel], ref: str) -> Any:
    found: Any = state[ref.split(".")[0]]
    for part in ref.split(".")[1:]:
        found = getattr(found, part) if found is not None else None
    return found.value if isinstance(found, enum.Enum) else found


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)


def _about_number(term: str, value: float, rng: random.Random, whole: bool) -> str:
    by = rng.choice((0, 0, 1, 5, 50)) if whole else rng.choice((0, 0.5, 3))
    low, high = value - by, value + rng.choice((0, 1, 20, 200))
    return rng.choice(
        (
            f"{term} >= {low}",
            f"{term} <= {high}",
            f"{term} > {low - 1}",
            f"{term} < {high + 1}",
            f"{term} == {value}",
            f"{term} != {high + 1}",
            f"{term} in {low}..{high}",
            f"{term} not in {high + 1}..{high + 9}",
            f"{term} in {{{value}, {high + 2}}}",
        )
    )


def _atom(state: dict[str, BaseModel], rng: random.Random) -> str:
    """An atom that is true of the state."""
    struct = rng.choice(("Page", "Page", "Reply"))
    name = rng.choice(sorted(_FIELDS[struct]))
    ref, sort = f"{struct}.{name}", _FIELDS[struct][name]
    value = _read(state, ref)
    if value is None:
        return rng.choice((f"not has {ref}", f"{ref} == null")) if sort != "bool" else f"not has {ref}"
    if rng.random() < 0.1:
        return f"has {ref}"
    if sort == "bool":
        return ref if value else rng.choice((f"not {ref}", f"{ref} == false"))
    if sort in ("int", "float"):
        return _about_number(ref, value, rng, sort == "int")
    if sort == "list":
        return _about_number(f"len({ref})", len(value), rng, True)
    if sort == "enum":
        others = [v for v in ("article", "essay") if v != value] if name == "kind" else []
        choices = [f"{ref} == {_literal(value)}", f"{ref} in {{{_literal(value)}}}"]
        choices += [f"{ref} != {_literal(v)}" for v in others]
        return rng.choice(choices)
    kind = rng.random()
    if kind < 0.6:
        measure = rng.choice(("words", "chars", "lines", "tokens", "len"))
        return _about_number(f"{measure}({ref})", MEASURES[measure](value), rng, True)
    if kind < 0.8:
        pattern = rng.choice(PATTERNS)
        found = re.search(pattern, value) is not None
        return f"{'' if found else 'not '}matches({ref}, {quoted(pattern)})"
    if kind < 0.9:
        return f"{ref} != {quoted(value + '!')}"
    return rng.choice((f"{ref} == {quoted(value)}", f"{ref} in {{{quoted(value)}, {quoted('other')}}}"))


def _relation(state: dict[str, BaseModel], rng: random.Random) -> str:
    """A comparison of two terms that is true of the state."""
    pairs = (
        ("Page.stars", "Reply.stars"),
        ("Page.weight", "Reply.score"),
        ("words(Page.text)", "words(Reply.text)"),
        ("chars(Page.short)", "Page.stars"),
        ("lines(Page.text)", "len(Page.tags)"),
        ("Page.share", "Page.weight"),
        ("Page.kind", "Reply.kind"),
        ("Page.text", "Page.title"),
        ("Page.hard", "Reply.hard"),
        ("Page.sure", "Page.hard"),
    )
    left, right = rng.choice(pairs)

    def value(term: str) -> Any:
        if "(" not in term:
            return _read(state, term)
        measure, ref = term[:-1].split("(")
        return MEASURES[measure](_read(state, ref))

    a, b = value(left), value(right)
    if a is None or b is None:
        return f"not ({left} == {right})"
    ordered = not isinstance(a, str | bool)
    true = [op for op, good in (("==", a == b), ("!=", a != b)) if good]
    if ordered:
        true += [op for op, good in (("<", a < b), ("<=", a <= b), (">", a > b), (">=", a >= b)) if good]
    return f"{left} {rng.choice(true)} {right}"


def random_condition(seed: int) -> str:
    """A condition that some state of `MODELS` satisfies."""
    rng = random.Random(seed)
    state = random_state(rng)

    def part(depth: int) -> str:
        shape = rng.random()
        if depth and shape < 0.2:
            return f"({part(depth - 1)} or {_atom(random_state(rng), rng)})"
        if depth and shape < 0.35:
            return f"({part(depth - 1)} and {part(depth - 1)})"
        if depth and shape < 0.45:
            return f"not (not ({part(depth - 1)}) and {_atom(random_state(rng), rng)})"
        return _relation(state, rng) if shape > 0.88 else _atom(state, rng)

    return ", ".join(part(2) for _ in range(rng.randint(1, 4)))
