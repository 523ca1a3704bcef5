"""Strategies made from conditions: whatever a condition allows is constructed, and nothing else."""

from __future__ import annotations

import random
from typing import Annotated, Any

import pytest
from annotated_types import Ge, MinLen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from dataforge.domain.conditions import Expr, holds
from dataforge.domain.measures import MEASURES, simple_tokens
from dataforge.domain.structs import StructType
from dataforge.domain.values import Numbers, interval
from dataforge.lang.diagnostics import CompileError
from dataforge.testing import NothingSatisfies, states, strategy
from dataforge.testing.choices import Drawn, Seeded
from dataforge.testing.numbers import number
from dataforge.testing.strategies import parse_condition, states_of
from dataforge.testing.texts import TextRule, writer
from schemas.text import Passage
from tests.testing.conditions import MODELS, PATTERNS, random_condition

STRUCTS = {name: StructType(name, model, "test") for name, model in MODELS.items()}
CONDITIONS = 1_000


def _drawn(condition: str, examples: int) -> list[Any]:
    """Examples of a strategy for the condition, health checks on."""
    expr: Expr = parse_condition(condition, STRUCTS)
    found: list[Any] = []

    @settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate])
    @given(states_of(STRUCTS, expr))
    def collect(state: Any) -> None:
        assert holds(expr, state, simple_tokens), condition
        found.append(state)

    collect()
    return found


@pytest.mark.parametrize("start", range(0, CONDITIONS, 100))
def test_any_satisfiable_condition_has_a_strategy_that_satisfies_it_and_filters_nothing(start: int) -> None:
    for seed in range(start, start + 100):
        assert _drawn(random_condition(seed), 5)


def test_conditions_of_the_generator_use_the_whole_language() -> None:
    text = " ".join(random_condition(seed) for seed in range(CONDITIONS))
    for word in (
        *(f"{measure}(" for measure in MEASURES),
        "matches(",
        "not matches(",
        " or ",
        " and ",
        "not (",
        " in {",
        "not in ",
        "has ",
        "== null",
        "Page.editor.age",
        "words(Page.text) <",
    ):
        assert word in text, word


@given(strategy(Passage, where='words(Passage.text) >= 60, Passage.lang == "en", Passage.source != "web"'))
def test_a_strategy_is_of_instances(passage: Passage) -> None:
    assert isinstance(passage, Passage)
    assert len(passage.text.split()) >= 60
    assert passage.lang == "en"
    assert passage.source != "web"


def test_the_smallest_example_is_small() -> None:
    found: list[Any] = []

    @settings(database=None, phases=[Phase.generate, Phase.shrink])
    @given(strategy(MODELS["Page"], where="words(Page.text) >= 3"))
    def fails(page: Any) -> None:
        found.append(page)
        assert len(page.text) < 10

    with pytest.raises(AssertionError):
        fails()
    assert len(found[-1].text) < 40
    assert found[-1].title is None


@pytest.mark.parametrize(
    "condition",
    [
        "words(Page.text) >= 5, chars(Page.text) <= 8",
        "lines(Page.text) == 0, words(Page.text) >= 1",
        "tokens(Page.text) < words(Page.text)",
        'matches(Page.text, "^a"), matches(Page.text, "^b")',
        "Page.stars < Reply.stars, Reply.stars < Page.stars",
        "Page.hard == Reply.hard, Page.hard, not Reply.hard",
        "words(Page.short) >= 7",
        'Page.kind == "poem", Page.kind == Reply.kind',
    ],
)
def test_what_nothing_satisfies_is_said_at_once(condition: str) -> None:
    with pytest.raises(NothingSatisfies, match="no state could be made"):
        states(MODELS.values(), condition)


def test_a_wrong_condition_is_a_diagnostic_about_itself() -> None:
    with pytest.raises(CompileError) as caught:
        strategy(Passage, where="words(Passage.txt) >= 3")
    diagnostic = caught.value.diagnostics[0]
    assert (diagnostic.code, diagnostic.source.text[slice(*diagnostic.span)]) == ("F020", "Passage.txt")
    with pytest.raises(CompileError, match=r"where:1:24"):
        strategy(Passage, where="words(Passage.text) >= >")


class Odd(BaseModel):
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}\d{3}$")]
    ratio: Annotated[float, Ge(0.5)]
    names: Annotated[list[str], MinLen(2)]
    when: dict[str, int]
    other: Any = None


@given(strategy(Odd, where="Odd.ratio < 0.75, len(Odd.names) <= 2, has Odd.when"))
def test_types_that_pydantic_checks_are_respected(odd: Odd) -> None:
    assert 0.5 <= odd.ratio < 0.75
    assert len(odd.names) == 2


# ---- the parts


_COUNTS = st.builds(
    lambda low, more: interval(low, float("inf") if more is None else low + more, integer=True),
    st.integers(0, 40),
    st.one_of(st.none(), st.integers(0, 40)),
)


@settings(max_examples=500)
@given(st.data(), *(st.one_of(st.none(), _COUNTS) for _ in range(4)))
def test_texts_have_the_counts_that_are_asked_for(
    data: st.DataObject,
    words: Numbers | None,
    lines: Numbers | None,
    chars: Numbers | None,
    tokens: Numbers | None,
) -> None:
    rule = TextRule(words, lines, chars, tokens)
    write = writer(rule)
    if write is None:
        assert not _some_text_fits(rule)
    else:
        text = write(Drawn(data.draw))
        assert rule.accepts(text), (text, {n: MEASURES[n](text) for n in rule.counts})


def _some_text_fits(rule: TextRule) -> bool:
    """Whether any of many texts fits: all shapes with up to 12 words, 12 lines, and padding of both kinds."""
    return any(
        rule.accepts(text)
        for words in range(13)
        for lines in range(1, 13)
        for pad in ("", " ", "   ")
        for word in ("a", "a" * 8, "!!", "a" * 20)
        for text in (("\n" * (lines - 1)) + pad + " ".join([word] * words), "")
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_match_the_patterns_that_are_asked_for_and_grow(pattern: str) -> None:
    for most in (None, 60):
        rule = TextRule(
            words=interval(6 if "S+$" not in pattern and "@" not in pattern else 1, most or 200),
            found=(pattern,),
        )
        write = writer(rule)
        assert write is not None
        assert sum(rule.accepts(write(Seeded(seed))) for seed in range(40)) >= 8


@given(st.data(), st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 20)), min_size=1), st.booleans())
def test_numbers_are_of_their_set(data: st.DataObject, pairs: list[tuple[int, int]], integer: bool) -> None:
    values = Numbers((), integer)
    for low, width in pairs:
        values = values | interval(low, low + width, open_high=bool(width), integer=integer)
    if values.cuts:
        assert number(values, Drawn(data.draw)) in values
        assert number(values, Seeded(random.Random(len(pairs)).randint(0, 99))) in values


def test_health_checks_are_not_switched_off_here() -> None:
    """The law above is only worth something while Hypothesis may complain."""
    assert HealthCheck.filter_too_much not in settings.default.suppress_health_check
