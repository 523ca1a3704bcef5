"""Reading values out of answers: tolerant of spelling, honest about everything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from dataforge.models.structured import UnreadableError, parse_json, parse_model

ANY = {"type": ["object", "array"]}
SCORE = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "why": {"type": "string"}},
    "required": ["score"],
}

scalars = st.text(max_size=10) | st.integers(-(2**60), 2**60) | st.booleans() | st.none()
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
documents = st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=6), values, max_size=3)
# Prose without brackets, backticks or quotes: with those, where a value begins is a matter of opinion.
prose = st.text(st.characters(exclude_characters='[]{}`"\\', exclude_categories=["Cs"]), max_size=30)


@given(documents)
def test_clean_json_is_read_as_it_is(value):
    assert parse_json(json.dumps(value), ANY) == (value, "json")


@given(documents, prose, prose)
def test_a_value_is_found_in_a_fence_and_in_prose(value, before, after):
    assert parse_json(f"{before}\n```json\n{json.dumps(value)}\n```\n{after}", ANY)[0] == value
    assert parse_json(f"{before} {json.dumps(value)} {after}", ANY)[0] == value


@given(documents)
def test_a_python_literal_is_read_as_the_same_value(value):
    assert parse_json(repr(value), ANY).value == value


@given(st.text(), st.sampled_from([ANY, SCORE]))
def test_nothing_but_one_exception_is_raised_on_any_text(text, schema):
    try:
        parse_json(text, schema)
    except UnreadableError as error:
        assert str(error)


@given(st.text(alphabet="{}[]\"\\,:'`\n 1eNau", max_size=200))
def test_nothing_but_one_exception_is_raised_on_brackets_and_quotes(text):
    try:
        parse_json(text, ANY)
    except UnreadableError as error:
        assert str(error)


@given(documents, st.data())
def test_a_document_that_breaks_off_is_not_completed(value, data):
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))
    assume(text[:2] not in {"[]", "{}"} and text[1] in '[{"')
    with pytest.raises(UnreadableError):
        parse_json(text[:cut], {})


@pytest.mark.parametrize(
    ("text", "value", "how"),
    [
        ('{"score": 3}', {"score": 3}, "json"),
        ('```\n{"score": 3}\n```', {"score": 3}, "fence"),
        ('See [1] and {x}: {"score": 3}.', {"score": 3}, "prose"),
        ('{"score": 3,}', {"score": 3}, "repair"),
        ("{'score': 3, 'why': 'it\\'s'}", {"score": 3, "why": "it's"}, "repair"),
        ('Well: {"score": 3, "why": "two\nlines"}', {"score": 3, "why": "two\nlines"}, "prose+repair"),
        ("On [0, 5) I say {'score': 4}", {"score": 4}, "prose+repair"),
        ('{"score": 4.0}', {"score": 4}, "json"),
    ],
)
def test_how_it_was_found_is_told(text, value, how):
    assert parse_json(text, SCORE) == (value, how)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("I cannot.", "holds no JSON"),
        ('{"score": 3', "breaks off"),
        ('{"score": NaN}', "NaN"),
        ('{"score": -Infinity}', "Infinity|expected a value"),
        ('{"score": 1e999}', "too large"),
        ('{"score": 1' + "0" * 5000 + "}", "at most 5|too large|expected"),
        ('{"score": 3, "score": 5}', "'score' is given twice"),
        ("{'score': 3, 'score': 5}", "'score' is given twice"),
        ('{"score": 9}', "`score` should be at most 5, not 9"),
        ('{"score": 0}', "`score` should be at least 1, not 0"),
        ('{"score": true}', "`score` should be a whole number, not true"),
        ('{"why": "x"}', "`score` is missing"),
        ('{"score": 2, "why": "\\ud800"}', "surrogate"),
        ("[" * 5000, "deeper than 64"),
        ("[" * 100 + "]" * 100, "deeper than 64"),
        ('[{"score": 3}]', "should be an object"),
        ('{"drafts": [{"score": 3}, {"sc', "breaks off"),
        ("```json\n{'score': 3, 'why': None or 1}\n```", "expected `,`"),
    ],
)
def test_what_is_refused_is_explained(text, complaint):
    with pytest.raises(UnreadableError, match=complaint):
        parse_json(text, SCORE)


def test_hostile_text_costs_little():
    for text in (
        '{"' * 100_000,
        "{" * 10**6,
        "{" * 40 + '"\\' * 100_000,
        "```\n" * 50_000,
        "{'a': " * 60_000,
    ):
        with pytest.raises(UnreadableError):
            parse_json(text, SCORE)


def test_paths_lead_to_the_wrong_place():
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": SCORE}}}
    with pytest.raises(UnreadableError, match=r"`rows\[1\]\.score` should be at most 5"):
        parse_json('{"rows": [{"score": 1}, {"score": 8}]}', schema)


def test_alternatives_need_one_to_fit():
    schema = {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 1, "items": {"enum": ["a", "b"]}}]}
    assert parse_json('["a"]', schema).value == ["a"]
    assert parse_json("null", schema).value is None
    with pytest.raises(UnreadableError):
        parse_json('["c"]', schema)


class Fact(BaseModel):
    subject: str
    year: int | None = None


def test_a_pydantic_model_may_be_the_schema():
    fact, how = parse_model('Here: {"subject": "moon", "year": 1969}', Fact)
    assert (fact, how) == (Fact(subject="moon", year=1969), "prose")
    with pytest.raises(UnreadableError, match="`subject`: Field required"):
        parse_model("{}", Fact)
