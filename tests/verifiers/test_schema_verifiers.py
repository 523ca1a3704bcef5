"""`schema` and `schema_edit` as wholes: gold sets, generated cases, tasks, and the predecessor's faults."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dataforge.verifiers
from dataforge.verifiers import Case, Response, find, verify
from dataforge.verifiers.protocol import Verdict
from dataforge.verifiers.structured.briefs import FORMS
from dataforge.verifiers.structured.injection import KINDS
from dataforge.verifiers.structured.reading import OUTPUTS
from dataforge.verifiers.structured.writing import write
from schemas.task import Task

NAMES = ("schema", "schema_edit")
GOLD = Path(dataforge.verifiers.__file__).parent / "gold"


def gold(name: str) -> list[Case]:
    lines = (GOLD / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Case.from_json(json.loads(line)) for line in lines]


def consistent(case: Case, verdict: Verdict) -> None:
    assert verdict.passed == case.passes, (case.note, verdict)
    assert verdict.error == case.error, (case.note, verdict)
    assert verdict.outcome == "error" or (verdict.score == 1.0) == verdict.passed
    for span, text in [(verdict.span, verdict.extracted), *((c.span, c.text) for c in verdict.candidates)]:
        if span is not None:
            assert case.response.text[slice(*span)] == text
    if not verdict.passed and verdict.outcome != "error":
        assert verdict.reason
        assert all(candidate.rejected for candidate in verdict.candidates)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{name}: {case.note}") for name in NAMES for case in gold(name)]
)
def test_gold(case: Case) -> None:
    consistent(case, verify(find(case.task.verifier), case.task, case.response))


@pytest.mark.parametrize("name", NAMES)
def test_gold_sets_are_large_enough(name: str) -> None:
    counts = Counter(case.passes for case in gold(name))
    assert min(counts[True], counts[False]) >= 20
    assert len({case.note for case in gold(name)}) == len(gold(name))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.sampled_from(NAMES))
def test_generated_cases_are_judged_as_they_were_made(rng: random.Random, name: str) -> None:
    verifier = find(name)
    for case in itertools.islice(verifier.cases(rng), 3):
        consistent(case, verify(verifier, case.task, case.response))


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_balanced_and_cover_every_language_container_and_error(name: str) -> None:
    cases = list(itertools.islice(find(name).cases(random.Random(5)), 600))
    assert 0.4 < sum(case.passes for case in cases) / len(cases) < 0.65
    assert {case.task.facts["output"] for case in cases} == set(OUTPUTS)
    assert {case.task.facts["container"] for case in cases} == {container for container, _ in FORMS}
    notes = " ".join(case.note for case in cases)
    assert all(f"{kind} at" in notes for kind in KINDS)
    for fault in (
        "two documents",
        "a key given twice",
        "cut off",
        "a refusal",
        "the prompt said back",
        "reasoning only",
    ):
        assert fault in notes


# ---- tasks


@pytest.mark.parametrize("name", NAMES)
def test_tasks_depend_on_the_seed_and_their_number_alone(name: str) -> None:
    verifier = find(name)
    tasks = list(verifier.tasks(11, 60))
    assert list(verifier.tasks(11, 25)) == tasks[:25]
    assert list(verifier.tasks(12, 25)) != tasks[:25]
    assert len({task.prompt for task in tasks}) == 60


@pytest.mark.parametrize("name", NAMES)
def test_tasks_are_balanced(name: str) -> None:
    tasks = list(find(name).tasks(1, 216))
    forms = Counter(
        (task.facts["output"], task.facts["container"], task.facts.get("alone", False)) for task in tasks
    )
    assert set(forms.values()) == {9}
    assert len(forms) == len(OUTPUTS) * len(FORMS)
    if name == "schema_edit":
        assert Counter(task.topic for task in tasks) == dict.fromkeys(KINDS, 24)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_can_be_done_and_says_in_which_form(name: str) -> None:
    verifier = find(name)
    for task in verifier.tasks(4, 96):
        facts = task.facts
        said = f"{task.system or ''}\n{task.prompt}"
        document = facts.get("original") or whole(facts["expected"])
        text = write(document, facts["output"], facts.get("root") or "record")
        answer = {
            "bare": text,
            "any": f"```{facts['output']}\n{text}\n```",
            "fence": f"```{facts['output']}\n{text}\n```",
            "tags": f"<{facts.get('tag')}>\n{text}\n</{facts.get('tag')}>",
        }[facts["container"]]
        assert verify(verifier, task, Response(answer)).passed
        for nothing in ("", "I cannot do that.", task.prompt):
            verdict = verify(verifier, task, Response(nothing))
            assert verdict.outcome != "error"
            assert verdict.score == 0.0
        assert facts["output"].upper() in said or facts["container"] == "fence"
        if facts["container"] == "tags":
            assert f"<{facts['tag']}>" in said
        if facts["container"] == "fence":
            assert f"```{facts['output']}" in said
        if facts["output"] == "xml":
            assert f"<{facts['root']}>" in said


def whole(expected: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for place, value in expected.items():
        *way, last = place.split("/")[1:]
        inner = document
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return document


def test_the_hidden_answer_is_never_in_the_reason() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    task = Task(prompt="", facts={"json_schema": schema, "expected": {"/a": "hidden-word"}})
    verdict = verify(find("schema"), task, Response('{"a": "other"}'))
    assert not verdict.passed
    assert "hidden-word" not in json.dumps(verdict.to_json())


# ---- the predecessor's faults


SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^A-[0-9]+$"},
        "amount": {"type": "number", "minimum": 0},
        "note": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id"],
    "additionalProperties": False,
}
BROKEN = {"id": "A-1", "amount": -5, "note": "keep me", "tags": ["x", "y"]}


def mend(answer: str, **facts: Any) -> Verdict:
    task = Task(prompt="", facts={"json_schema": SCHEMA, "broken": BROKEN, "container": "bare", **facts})
    return verify(find("schema_edit"), task, Response(answer))


def test_a_minimal_valid_object_with_the_data_thrown_away_gets_no_full_marks() -> None:
    verdict = mend('{"id": "A-1"}')
    assert not verdict.passed
    assert verdict.parts["validity"] == 1.0
    # Of five leaves one is left: the wrong amount was to be mended, and taking it away is no mending.
    assert verdict.score == verdict.parts["fidelity"] == pytest.approx(0.2)
    assert mend(json.dumps({**BROKEN, "amount": 5})).passed


def test_a_valid_document_is_never_taken_for_a_broken_one() -> None:
    verdict = mend(json.dumps({**BROKEN, "amount": 5}), broken={**BROKEN, "amount": 5})
    assert verdict.error == "task"


def test_the_prompt_asks_for_the_language_that_is_judged() -> None:
    """Rows said "return the json" while the system prompt demanded YAML."""
    names = {"json": "JSON", "yaml": "YAML", "toml": "TOML", "xml": "XML"}
    for name in NAMES:
        for task in find(name).tasks(2, 48):
            said = f"{task.system or ''}\n{task.prompt}".replace("JSON Schema", "").replace("```json", "")
            for output, word in names.items():
                assert (word in said) == (output == task.facts["output"]), (word, said)
            assert "\\n" not in said.replace("\\\\n", "")


def test_a_document_that_cannot_be_parsed_spoils_nothing_but_itself() -> None:
    """One XML parse error made the whole group's score 0."""
    verifier = find("schema")
    task = Task(prompt="", facts={"json_schema": SCHEMA, "output": "xml", "container": "bare"})
    answers = [
        "<r><id>A-1</id></r>",
        "<r><id>A-1</r>",
        "<r><id>A-2</id></r>",
        "",
        "<!DOCTYPE r><r><id>A-1</id></r>",
    ]
    assert [verify(verifier, task, Response(answer)).outcome for answer in answers] == [
        "passed", "unparsed", "passed", "unparsed", "unparsed",
    ]  # fmt: skip


def test_a_schema_outside_the_subset_is_an_error_and_no_wrong_answer() -> None:
    task = Task(prompt="", facts={"json_schema": {"type": "object", "if": {}}})
    assert verify(find("schema"), task, Response("{}")).error == "task"
    xml = {"type": "object", "properties": {"unit price": {"type": "number"}}}
    task = Task(prompt="", facts={"json_schema": xml, "output": "xml"})
    assert verify(find("schema"), task, Response("<r/>")).error == "task"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120), st.sampled_from(OUTPUTS), st.sampled_from(["bare", "fence", "tags", "any"]))
def test_no_answer_raises(text: str, output: str, container: str) -> None:
    facts = {"json_schema": SCHEMA, "output": output, "container": container}
    for answer in (text, f"```{output}\n{text}\n```", f"<output>{text}</output>", f"{{{text}}}"):
        assert verify(find("schema"), Task(prompt="", facts=facts), Response(answer)).outcome != "error"
        edited = verify(
            find("schema_edit"), Task(prompt="", facts={**facts, "broken": BROKEN}), Response(answer)
        )
        assert edited.outcome != "error"


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ('```json\n{"year": 1815}\n```\n\nI changed `{"year": "1815"}` to `{"year": 1815}`.', True),
        ('Here is the corrected JSON:\n\n```json\n{"year": 1815}\n```\n\n- `year` is a number now', True),
        ('```json\n{"year": "1815"}\n```\n\n```json\n{"year": 1815}\n```', False),
        ('I changed `{"year": "1815"}` to `{"year": 1815}`.', False),
        ("```json\n{year: 1815}\n```", False),
        ("```json\n{'year': 1815}\n```", False),
        ('```json\n{"year": 1815,}\n```', False),
        ('```json\n// corrected\n{"year": 1815}\n```', False),
        ('```toml\n' + "a." * 50_000 + "year = 1815\n```", False),
        ('```json\n' + '{"year":' * 10_000 + "\n```", False),
        ("[" * 100_000, False),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_marked_fence_beside_prose_is_the_one_document(text: str, passes: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer"}},
        "required": ["year"],
        "additionalProperties": False,
    }
    facts = {"json_schema": schema, "original": {"year": 1815}, "broken": {"year": "1815"}}
    task = Task(prompt="?", facts=facts)
    verdict = verify(find("schema_edit"), task, Response(text))
    assert (verdict.passed, verdict.error) == (passes, None), verdict
