"""Code answers: which block is meant, and when two pieces of code are the same."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers import Response, Verdict, find, verify
from dataforge.verifiers.audit import fault
from dataforge.verifiers.matching.blocks import blocks, language
from dataforge.verifiers.matching.snippets import Unparsable, as_json, as_python, as_toml
from schemas.task import Task

VERIFIER = find("code_answer")
ADD = "def add(a, b):\n    return a + b"


def said(text: str, **facts: Any) -> Verdict:
    return verify(VERIFIER, Task(prompt="?", facts={"expected": [ADD]} | facts), Response(text))


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_no_drawn_case_is_misjudged(rng: random.Random) -> None:
    for case in islice(VERIFIER.cases(rng), 4):
        verdict = verify(VERIFIER, case.task, case.response)
        assert fault(case, verdict) is None, (case, verdict)


@given(st.lists(st.text("ab `~\n", max_size=12), max_size=4), st.sampled_from(["```", "~~~"]))
def test_what_is_fenced_comes_back(codes: list[str], fence: str) -> None:
    fence *= 5  # longer than any run of marks in the code
    text = "".join(f"text\n{fence}py\n{code}\n{fence}\n" for code in codes)
    if any(fence in code for code in codes):
        return
    found = list(blocks(text))
    assert [b.code for b in found] == codes
    assert all(b.closed and b.language == "python" for b in found)
    assert [text[slice(*b.span)].removesuffix("\n") for b in found] == codes


def test_the_block_that_is_meant() -> None:
    wrong = "```python\nx = 1\n```"
    right = f"```python\n{ADD}\n```"
    assert said(f"{wrong}\n{right}").passed
    assert said(f"{right}\n{wrong}").outcome == "failed"
    assert said(f"{right}\n{wrong}", which="first").passed
    assert said(f"{right}\n\n{right}", which="only").outcome == "failed"
    assert said(f"{right}\n\n```text\n3\n```", which="only").passed
    assert said(f"{right}\n\n```\n3\n```", which="only").passed


def test_every_block_is_on_record() -> None:
    text = f"```js\nx\n```\n```python\nx = 1\n```\n```python\n{ADD}\n```\n```python\ny"
    verdict = said(text)
    assert verdict.passed
    assert [c.rejected for c in verdict.candidates] == [
        "it is javascript",
        "not the last block of python",
        "",
        "its block is never closed",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1```",
        "```python\nx = 1```\nThis sets x.",
        "~~~\nx = 1\n~~~",
        "```x = 1```",
        "```python3.11\nx = 1\n```",
        "``` Python3\nx = 1\n```",
        "- ```python\n  x = 1\n  ```",
        "1. So:\n\n    ```python\n    x = 1\n    ```",
        "> ```python\n> x = 1\n> ```",
    ],
)
def test_ways_of_fencing(text: str) -> None:
    verdict = said(text, expected=["x = 1"])
    assert verdict.passed, verdict


def test_languages_have_versions_and_other_names() -> None:
    for name, usual in (("python3.12", "python"), ("jsonc", "json"), ("json5", "json5"), ("c++17", "cpp")):
        assert language(name) == usual


def test_what_says_nothing_is_no_code() -> None:
    for name, code in (
        ("python", "..."),
        ("python", "# to do"),
        ("python", "pass"),
        ("python", "'hi'"),
        ("python", r"'\d'"),  # of which Python warns
        ("toml", "# x"),
    ):
        verdict = said(f"```{name}\n{code}\n```", compare="parses", expected=[], language=name)
        assert verdict.outcome == "failed", code
    assert said("```json\n{}\n```", compare="parses", expected=[], language="json").passed


def test_a_key_of_too_many_parts_is_no_toml() -> None:
    with pytest.raises(Unparsable, match="deeply"):
        as_toml("a." * 40_000 + "a = 1")
    assert as_toml('a."b".c = "1.2.3"') == as_toml("[a.b]\nc = '1.2.3'")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("x = 'a'", 'x = "a"  # text', True),
        ("x = (1)", "x = 1", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = True", False),
        ("x = 'a' 'b'", "x = 'ab'", True),
        ("def f():\n    '''doc'''", "def f():\n    pass", True),
        ("def f(a): return a", "def f(b): return b", False),
        ("'alone'", "'other'", False),
    ],
)
def test_trees_of_python(first: str, second: str, same: bool) -> None:
    assert (as_python(first) == as_python(second)) == same


def test_docstrings_count_where_they_are_asked_for() -> None:
    assert as_python("def f():\n    'a'\n    return 1", docstrings=True) != as_python(
        "def f():\n    return 1", docstrings=True
    )


def test_values_of_json_keep_their_types() -> None:
    assert as_json('{"a": 1, "b": [true]}') == as_json('{"b": [true], "a": 1}')
    assert len({as_json(text) for text in ("1", "1.0", "true", '"1"', "[1]", "null")}) == 6


@pytest.mark.parametrize(
    "code",
    [
        "(" * 5000 + ")" * 5000,
        "-" * 50_000 + "1",
        "x = '\0'",
        "x = " + "9" * 5000,
        "[" * 3000,
        "1+" * 30_000 + "1",
    ],
)
def test_hostile_code_is_no_bug(code: str) -> None:
    verdict = said(f"```python\n{code}\n```", compare="parses", expected=[])
    assert verdict.outcome in ("passed", "failed")


def test_an_escape_that_is_none_gives_no_warning() -> None:
    assert said('```python\np = "\\d"\n```', expected=["p = '\\\\d'"]).passed


def test_prose_is_no_program() -> None:
    with pytest.raises(Unparsable):
        as_python("This is prose.")
    assert said("Sorry", compare="parses", expected=[]).outcome == "unparsed"
