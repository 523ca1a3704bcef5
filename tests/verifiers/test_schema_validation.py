"""The compiled validator against two others, jsonschema's and pydantic's, and what is said where they differ."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dataforge.errors import InputError
from dataforge.verifiers.structured.formats import FORMATS
from dataforge.verifiers.structured.injection import KINDS, Injection, inject
from dataforge.verifiers.structured.instances import instance
from dataforge.verifiers.structured.models import model_of, schema_of
from dataforge.verifiers.structured.random_schemas import random_schema
from dataforge.verifiers.structured.validation import compile_schema
from dataforge.verifiers.structured.values import place

seeds = st.integers(0, 2**32)


def without_rules(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_rules(value) for key, value in node.items() if key != "x-rules"}
    return [without_rules(value) for value in node] if isinstance(node, list) else node


def checker() -> jsonschema.FormatChecker:
    """jsonschema's own checks of dates, and ours where it needs packages that are not installed."""
    made = jsonschema.FormatChecker(formats=["date", "ipv4"])
    for name in ("date-time", "time", "email", "uri", "uuid"):
        made.checks(name)(lambda value, name=name: not isinstance(value, str) or FORMATS[name](value))
    return made


def decimal_steps(node: Any) -> Any:
    """Without fractional `multipleOf`, which jsonschema works out in binary: 0.3 is no multiple of 0.1 to it."""
    if isinstance(node, dict):
        return {
            key: decimal_steps(value)
            for key, value in node.items()
            if not (key == "multipleOf" and isinstance(value, float))
        }
    return [decimal_steps(value) for value in node] if isinstance(node, list) else node


def problems(schema: dict[str, Any], value: Any) -> list[tuple[str, str]]:
    return [(place(problem.path), problem.keyword) for problem in compile_schema(schema).problems(value)]


def of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_verdicts_are_those_of_jsonschema(seed: int) -> None:
    rng = random.Random(seed)
    schema = decimal_steps(without_rules(random_schema(rng)))
    compiled, other = (
        compile_schema(schema),
        jsonschema.Draft202012Validator(schema, format_checker=checker()),
    )
    value = instance(compiled, rng, 0.3)
    assert other.is_valid(value)
    for kind in KINDS:
        found = inject(compiled, value, kind, rng)
        if isinstance(found, Injection):
            assert not other.is_valid(found.value), found


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_models_accept_what_the_validator_accepts_and_schemas_come_back(seed: int) -> None:
    rng = random.Random(seed)
    schema = random_schema(rng)
    compiled = compile_schema(schema)
    model = model_of(schema)
    again = compile_schema(schema_of(model))
    value = instance(compiled, rng, 0.3)
    model.model_validate(value)
    assert not again.problems(value)
    for kind in KINDS:
        found = inject(compiled, value, kind, rng)
        if isinstance(found, Injection):
            with pytest.raises(ValidationError):
                model.model_validate(found.value)
            assert again.problems(found.value), (found, again.schema)


def test_a_model_of_ones_own_gives_a_schema() -> None:
    class Line(BaseModel):
        model_config = {"extra": "forbid"}
        sku: str
        quantity: int = 1

    class Order(BaseModel):
        lines: list[Line]
        note: str | None = None

    compiled = compile_schema(schema_of(Order))
    assert not compiled.problems({"lines": [{"sku": "a", "quantity": 2}], "note": None})
    assert compiled.problems({"lines": [{"sku": "a", "quantity": True, "x": 1}]})


def test_schemas_that_refer_to_themselves_become_models() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "inner": {"type": "array", "items": {"$ref": "#/$defs/N"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    model = model_of({"type": "object", "properties": {"top": {"$ref": "#/$defs/N"}}, "$defs": {"N": node}})
    model.model_validate({"top": {"name": "a", "inner": [{"name": "b", "inner": []}]}})
    with pytest.raises(ValidationError):
        model.model_validate({"top": {"name": "a", "inner": [{"name": 1}]}})
    whole = model_of({**node, "properties": {"name": {"type": "string"}, "inner": {"$ref": "#"}}})
    whole.model_validate({"name": "a", "inner": {"name": "b"}})


def test_nothing_of_a_schema_is_executed(tmp_path: Any) -> None:
    """The predecessor ran Python source from its data set with `exec`."""
    mark = tmp_path / "mark"
    evil = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    schema = {
        "type": "object",
        "title": evil,
        "properties": {
            evil: {"type": "string", "description": evil, "default": evil},
            "class": {"enum": [evil]},
        },
        "required": [evil],
        "additionalProperties": False,
    }
    model = model_of(schema)
    model.model_validate({evil: "x", "class": evil})
    schema_of(model)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("schema", "value", "keyword"),
    [
        ({"type": "integer"}, True, "type"),
        ({"type": "integer"}, "1", "type"),
        ({"type": "integer"}, 1.0, "type"),
        ({"type": "number"}, False, "type"),
        ({"type": "number"}, float("nan"), "type"),
        ({"type": "boolean"}, 1, "type"),
        ({"type": "string"}, None, "type"),
        ({"const": 1}, True, "const"),
        ({"enum": [0, 1]}, False, "enum"),
        ({"enum": ["a"]}, "а", "enum"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "AB\n", "pattern"),
        ({"type": "string", "pattern": r"^\d+$"}, "١٢", "pattern"),
        ({"type": "number", "multipleOf": 0.1}, 0.25, "multipleOf"),
        ({"type": "array", "uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], "uniqueItems"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, 1, "oneOf"),
    ],
)
def test_types_and_bounds_are_strict(schema: dict[str, Any], value: Any, keyword: str) -> None:
    assert problems(of(schema), {"x": value}) == [("`/x`", keyword)]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number"}, 1),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"type": "number", "multipleOf": 1e-7}, 1e22),
        ({"type": "number", "enum": [1]}, 1.0),
        ({"type": "array", "uniqueItems": True}, [1, True, "1", None]),
        ({"type": "string", "maxLength": 2}, "🙂🙂"),
        ({"type": ["string", "null"], "minLength": 3}, None),
        ({}, {"anything": [1, None]}),
    ],
)
def test_what_is_right_passes(schema: dict[str, Any], value: Any) -> None:
    assert problems(of(schema), {"x": value}) == []


def test_an_error_in_a_nullable_object_is_told_where_it_is() -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert problems(of({"anyOf": [inner, {"type": "null"}]}), {"x": {"n": "1"}}) == [("`/x/n`", "type")]


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ({"le": ["a", "b"]}, {"a": 1, "b": 1.0}, {"a": 2, "b": 1}),
        ({"lt": ["a", "b"]}, {"a": "2024-02-28", "b": "2024-03-01"}, {"a": "2024-03-01", "b": "2024-03-01"}),
        ({"lt": ["a", "b"]}, {"a": "2024-03-01T10:00:00+02:00", "b": "2024-03-01T09:00:00Z"}, {"a": "2024-03-01T10:00:00Z", "b": "2024-03-01T11:00:00+02:00"}),
        ({"ne": ["a", "b"]}, {"a": 1, "b": True}, {"a": 1, "b": 1.0}),
        ({"sum": {"of": "a/*/n", "is": "b"}}, {"a": [{"n": 0.1}, {"n": 0.2}], "b": 0.3}, {"a": [{"n": 0.1}], "b": 0.2}),
        ({"sum": {"of": "a/*", "is": "b"}}, {"a": [], "b": 0}, {"a": [10**30, 1], "b": 10**30}),
        ({"count": {"of": "a", "is": "b"}}, {"a": [1, 2], "b": 2}, {"a": [1], "b": 2}),
        ({"required_if": {"field": "b", "when": "a", "equals": True}}, {"a": 1}, {"a": True}),
        ({"le": ["p/a", "p/b"]}, {"p": {"a": 1}}, {"p": {"a": 2, "b": 1}}),
    ],
)  # fmt: skip
def test_rules_between_fields(rule: dict[str, Any], right: Any, wrong: Any) -> None:
    compiled = compile_schema({"type": "object", "x-rules": [rule]})
    assert not compiled.problems(right)
    assert len(compiled.problems(wrong)) == 1


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "array"}, "root"),
        ({"type": "object", "patternProperties": {}}, "patternProperties"),
        (of({"type": "text"}), "type"),
        (of({"format": "hostname"}), "format"),
        (of({"pattern": "("}), "regular expression"),
        (of({"$ref": "#/$defs/X"}), "no definition"),
        (of({"$ref": "http://example.com/schema"}), "$ref"),
        (of({"minimum": 3, "maximum": 2}), "above"),
        (of({"minLength": -1}), "whole number"),
        (of({"multipleOf": 0}), "above 0"),
        ({"type": "object", "x-rules": [{"before": ["a", "b"]}]}, "before"),
        ({"type": "object", "x-rules": [{"le": ["a/*", "b"]}]}, "`*`"),
        (
            {"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False},
            "not allowed",
        ),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "itself"),
    ],
)
def test_a_schema_outside_the_subset_is_refused_and_not_half_obeyed(
    schema: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as refusal:
        compile_schema(schema)
    assert refusal.value.code == "V070"
    assert says in refusal.value.message


def test_notes_of_a_schema_change_nothing() -> None:
    schema = of(
        {
            "type": "string",
            "title": "t",
            "description": "d",
            "default": 3,
            "examples": [1],
            "deprecated": True,
        }
    )
    assert problems({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, {"x": ""}) == []
    assert json.dumps(schema)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", ["2024-02-29", "0001-01-01"], ["2023-02-29", "24-01-01", "2024-1-1", "2024-01-01T00:00:00Z", "٢٠٢٤-٠١-٠١", "2024-01-01\n"]),
        ("date-time", ["2024-02-29T23:59:60Z", "2024-01-01T00:00:00.123+01:30", "2024-01-01t00:00:00z"], ["2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T24:00:00Z", "2024-13-01T00:00:00Z"]),
        ("email", ["a@b.co", "a.b+c@x-y.example", "o'brien@example.org"], ["a@b", "a@@b.co", ".a@b.co", "a b@c.de", "a@b..co", "a@-b.co", "é@b.co", "a@b.co\n"]),
        ("uri", ["https://a.example/x?y=1#z", "mailto:a@b.co", "urn:isbn:1", "http://[::1]/"], ["a.example", "http://", "http://a b", "//a", "1http://a", "http://a/%zz", "https://ä.example"]),
        ("uuid", ["00000000-0000-0000-0000-00000000000F"], ["00000000000000000000000000000000", "g0000000-0000-0000-0000-000000000000"]),
        ("ipv4", ["0.0.0.0", "255.255.255.255"], ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", "1.2.3.٤"]),
        ("time", ["10:00:00Z", "23:59:59.5-03:00"], ["10:00Z", "10:00:00", "24:00:00Z"]),
    ],
)  # fmt: skip
def test_formats(name: str, right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if not FORMATS[name](text)] == []
    assert [text for text in wrong if FORMATS[name](text)] == []
