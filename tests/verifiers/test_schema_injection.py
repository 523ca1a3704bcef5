"""Errors that provably break, uniformly over fields; and what an edit may change."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers.structured.domains import DOMAINS
from dataforge.verifiers.structured.injection import KINDS, Injection, Unbreakable, inject, inject_several
from dataforge.verifiers.structured.instances import instance
from dataforge.verifiers.structured.mending import compare, needs_of
from dataforge.verifiers.structured.random_schemas import random_schema
from dataforge.verifiers.structured.reading import OUTPUTS
from dataforge.verifiers.structured.situations import situation
from dataforge.verifiers.structured.validation import compile_schema
from dataforge.verifiers.structured.writing import carried


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32))
def test_an_injected_document_is_invalid_at_its_place_and_can_be_mended(seed: int) -> None:
    rng = random.Random(seed)
    compiled = compile_schema(random_schema(rng))
    value = instance(compiled, rng, 0.2)
    for kind in KINDS:
        found = inject(compiled, value, kind, rng)
        if isinstance(found, Unbreakable):
            assert found.reason
            continue
        problems = compiled.problems(found.value)
        assert problems
        for problem in problems:
            assert any(spot[: len(found.path)] == found.path for spot in problem.paths or (problem.path,))
        needs = needs_of(found.value, compiled)
        assert compare(found.value, value, needs).faithful


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_several_errors_do_not_touch(seed: int) -> None:
    rng = random.Random(seed)
    compiled = compile_schema(random_schema(rng))
    value = instance(compiled, rng)
    found = inject_several(compiled, value, rng.choices(KINDS, k=3), rng)
    if not isinstance(found, Unbreakable):
        for earlier, later in itertools.pairwise(found):
            assert len(compiled.problems(later.value)) > len(compiled.problems(earlier.value))
        assert compare(found[-1].value, value, needs_of(found[-1].value, compiled)).faithful


FLAT = {
    "type": "object",
    "properties": {f"field{index}": {"type": "integer", "minimum": 0, "maximum": 9} for index in range(8)},
    "required": [f"field{index}" for index in range(8)],
    "additionalProperties": False,
}


@pytest.mark.parametrize("kind", ["type", "constraint", "missing"])
def test_errors_fall_uniformly_over_the_fields(kind: str) -> None:
    """The predecessor broke the first declared field in 60 of 60 seeds."""
    compiled, rng = compile_schema(FLAT), random.Random(7)
    value = dict.fromkeys(FLAT["required"], 5)
    draws = 1600
    counts: Counter[str] = Counter()
    for _ in range(draws):
        found = inject(compiled, value, kind, rng)
        assert isinstance(found, Injection)
        counts[str(found.path[0])] += 1
    expected = draws / 8
    chi_square = sum((counts[name] - expected) ** 2 / expected for name in FLAT["required"])
    assert chi_square < 24.3  # 7 degrees of freedom, one in a thousand


def test_fields_deep_down_are_broken_as_often_as_others() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "object", "properties": {"c": {"type": "integer"}, "d": {"type": "integer"}}}},
        "additionalProperties": False,
    }  # fmt: skip
    compiled, rng = compile_schema(schema), random.Random(3)
    counts = Counter(
        found.path
        for _ in range(1200)
        if isinstance(found := inject(compiled, {"a": 1, "b": {"c": 2, "d": 3}}, "type", rng), Injection)
    )
    assert set(counts) == {("a",), ("b",), ("b", "c"), ("b", "d")}
    assert max(counts.values()) < 1.35 * min(counts.values())


def test_an_extra_field_on_an_object_that_allows_it_is_no_error_and_is_not_shipped() -> None:
    """The predecessor then shipped a valid document as the erroneous one."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for seed in range(60):
        found = inject(compile_schema(schema), {"a": 1}, "extra", random.Random(seed))
        assert found == Unbreakable("extra", "no object forbids extra fields")


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_that_allows_anything_cannot_be_broken(kind: str) -> None:
    for seed in range(10):
        found = inject(compile_schema({"type": "object"}), {"a": {"b": [1]}}, kind, random.Random(seed))
        assert isinstance(found, Unbreakable)
        assert found.reason


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_every_trade_has_valid_documents_in_every_language(domain: Any) -> None:
    rng = random.Random(domain.name)
    for _ in range(25):
        made = situation(rng, domain)
        assert not made.compiled.problems(made.document)
        for output in OUTPUTS:
            assert carried(made.document, output, made.compiled, made.root) is not None


def test_every_kind_of_error_is_found_in_the_trades() -> None:
    rng = random.Random(0)
    broken: Counter[str] = Counter()
    for _ in range(150):
        made = situation(rng)
        for kind in KINDS:
            broken[kind] += isinstance(inject(made.compiled, made.document, kind, rng), Injection)
    assert all(broken[kind] > 40 for kind in KINDS), broken


# ---- what an edit may change


def edit(schema: Any, broken: Any, answer: Any) -> tuple[bool, float]:
    compiled = compile_schema(schema)
    found = compare(broken, answer, needs_of(broken, compiled))
    return found.faithful and not compiled.problems(answer), found.fidelity


LIST = {
    "type": "object",
    "properties": {
        "l": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3, "uniqueItems": True},
        "k": {"type": "string"},
    },
    "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "answer", "right"),
    [
        ([1, 2, 3, 4], [1, 3, 4], True),
        ([1, 2, 3, 4], [1, 2], False),
        ([1, 2, 3, 4], [1, 2, 5], False),
        ([1, 2, 3, 4], [4, 3, 2], False),
        ([1], [1, 2], True),
        ([1], [2, 1], True),
        ([1], [1, 2, 3], False),
        ([1], [3, 4], False),
        ([1, 2, 1], [1, 2], True),
        ([1, 2, 1], [2, 1], True),
        ([1, 2, 1], [1, 2, 7], True),
        ([1, 2, 1], [7, 8, 9], False),
        ([1, 2, "3"], [1, 2, 3], True),
        ([1, 2, "3"], [1, 2, 4], False),
        ([1, 2, "x"], [1, 2, 4], True),
        ([1, 2, "x"], [1, 2], False),
        ([1, 2, 3, "x"], [1, 2, 3], True),
    ],
)
def test_lists_change_by_as_little_as_it_takes(broken: list[Any], answer: list[Any], right: bool) -> None:
    assert edit(LIST, {"l": broken, "k": "v"}, {"l": answer, "k": "v"})[0] is right


def test_fidelity_is_the_share_of_the_other_leaves_that_were_kept() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    broken = {"n": "x", "a": 1, "b": 2, "c": {"d": 3, "e": [4]}}
    assert edit(schema, broken, {**broken, "n": 0}) == (True, 1.0)
    assert edit(schema, broken, {**broken, "n": 0, "a": 9}) == (False, 0.75)
    assert edit(schema, broken, {"n": 0}) == (False, 0.0)
    assert edit(schema, broken, {**broken, "n": 0, "new": 1}) == (False, 0.8)


def test_a_contradiction_that_a_due_change_removes_is_no_leave_to_change_more() -> None:
    schema = {
        "type": "object",
        "properties": {"low": {"type": "integer"}, "high": {"type": "integer", "minimum": 1}},
        "x-rules": [{"le": ["low", "high"]}],
    }
    assert edit(schema, {"low": 5, "high": -3}, {"low": 5, "high": 6})[0]
    assert not edit(schema, {"low": 5, "high": -3}, {"low": 4, "high": 6})[0]
