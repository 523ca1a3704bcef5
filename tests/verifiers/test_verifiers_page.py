"""docs/verifiers.md: its Python is run, its verifier is audited, and it names what there is."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from dataforge.verifiers import Case, Response, Verifier, find, names, verify
from dataforge.verifiers.audit import audit, fault
from dataforge.verifiers.protocol import ErrorKind, Outcome

PAGE = (Path(__file__).parents[2] / "docs" / "verifiers.md").read_text(encoding="utf-8")
RUN = re.findall(r"<!-- run -->\n```python\n(.*?\n)```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", RUN, ids=[str(i) for i in range(len(RUN))])
def test_the_examples_hold(code: str) -> None:
    exec(compile(code, "docs/verifiers.md", "exec"), {})


@pytest.fixture
def palindrome(tmp_path: Path) -> Verifier[Any]:
    found = re.search(
        r"<!-- file: palindrome\.py -->\n```python\n(.*?\n)```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert found is not None
    path = tmp_path / "palindrome.py"
    path.write_text(found[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("page_palindrome", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Verifier[Any] = module.Palindrome()
    return made


def test_the_verifier_on_the_page_is_right(
    palindrome: Verifier[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataforge.verifiers.audit.gold", lambda verifier: [])
    report = audit(palindrome, generated=1000)
    assert report.misjudged == ()
    assert palindrome.makes_tasks
    assert list(palindrome.tasks(1, 3)) == list(palindrome.tasks(1, 9))[:3]
    assert palindrome.summary.startswith("The reply is one word")


def test_the_gold_lines_on_the_page_are_cases(palindrome: Verifier[Any]) -> None:
    lines = re.search(r"<!-- gold -->\n```json\n(.*?\n)```$", PAGE, re.DOTALL | re.MULTILINE)
    assert lines is not None
    cases = [Case.from_json(json.loads(line)) for line in lines[1].splitlines()]
    assert [case.passes for case in cases] == [True, False]
    for case in cases:
        assert fault(case, verify(palindrome, case.task, case.response)) is None


def test_the_page_names_outcomes_error_kinds_families_and_verifiers() -> None:
    for word in (*get_args(Outcome), *get_args(ErrorKind)):
        assert re.search(rf"^\| `{word}` \|", PAGE, re.MULTILINE), word
    for name in names():
        assert f"`{name}`" in PAGE
        assert f"\n### {find(name).family.capitalize()}\n" in PAGE


def test_the_row_on_the_page_can_be_read() -> None:
    from dataforge.cli.verify import _read

    row = re.search(r'^\{"task": .*\}$', PAGE, re.MULTILINE)
    assert row is not None
    task, response = _read(json.loads(row[0]))
    assert verify(find("multiple_choice"), task, Response(response.text)).passed


def test_the_tasks_that_are_left_out_are_named_with_their_reasons() -> None:
    from dataforge.verifiers.procedural.table import LEFT_OUT

    for name, reason in LEFT_OUT.items():
        assert f"| `{name}` | {reason} |" in PAGE
