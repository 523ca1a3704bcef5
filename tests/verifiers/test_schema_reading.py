"""Four languages and four containers: what is read, what is refused, and that writing and reading are inverse."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dataforge.verifiers.structured.containers import Sought, fences, find_document
from dataforge.verifiers.structured.instances import SPICES, instance
from dataforge.verifiers.structured.random_schemas import random_schema
from dataforge.verifiers.structured.reading import OUTPUTS, Output, plain, read
from dataforge.verifiers.structured.unreadable import Unreadable
from dataforge.verifiers.structured.validation import Compiled, compile_schema
from dataforge.verifiers.structured.values import same
from dataforge.verifiers.structured.writing import carried, write

ANYTHING = compile_schema({"type": "object"})
FREE: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(SPICES)


def typed(**fields: Any) -> Compiled:
    return compile_schema({"type": "object", "properties": fields})


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(OUTPUTS))
def test_what_is_written_reads_back(seed: int, output: Output) -> None:
    rng = random.Random(seed)
    compiled = compile_schema(random_schema(rng))
    value = instance(compiled, rng, 0.8)
    if carried(value, output, compiled) is not None:
        assert same(read(write(value, output, "document", rng), output, compiled, "document"), value)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), texts, min_size=1), st.integers(0, 99))
def test_any_text_survives_every_language_that_can_carry_it(value: dict[str, str], seed: int) -> None:
    compiled = compile_schema(FREE)
    for output in OUTPUTS:
        if carried(value, output, compiled) is None:
            assert output != "json"
            continue
        assert read(write(value, output, "d", random.Random(seed)), output, compiled) == value


@pytest.mark.parametrize(
    "text", ["no", "NO", "on", "yes", "12:30", "1_000", "2024-05-01", "=", "0b11", "1.2.3", "1e", "+"]
)
def test_yaml_that_other_readers_take_for_more_is_a_text(text: str) -> None:
    assert plain(text) == text
    assert read(f"a: {text}", "yaml", ANYTHING) == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1", -1), ("+1", 1), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("0o17", 15), ("0x1F", 31), ("0", 0),
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None), ("0.50", 0.5),
    ],
)  # fmt: skip
def test_yaml_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    found = read(f"a: {text}", "yaml", ANYTHING)["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("output", "text", "says"),
    [
        ("json", '{"a": 1, "a": 2}', "twice"),
        ("json", '{"a": Infinity}', "not JSON"),
        ("json", '{"a": 1e400}', "too large"),
        ("json", '{"a": "\\udead"}', "surrogate"),
        ("json", '{"a": 01}', "not JSON"),
        ("json", "", "not JSON"),
        ("yaml", "a: 010", "zero"),
        ("yaml", "a: .nan", "no number"),
        ("yaml", "a: &x 1\nb: *x", "anchors"),
        ("yaml", "a: 1\na: 2", "twice"),
        ("yaml", "<<: {a: 1}", "merge"),
        ("yaml", "a: !!int '1'", "tags"),
        ("yaml", "? [a]\n: 1", "key"),
        ("yaml", "a: 1\n---\na: 1", "two"),
        ("yaml", "", "empty"),
        ("yaml", "a: [1", "not YAML"),
        ("yaml", "a: \x07", "character"),
        ("toml", "a = 1\na = 2", "not TOML"),
        ("toml", "a = nan", "no number"),
        ("toml", "a = 2024-01-01", "date"),
        ("xml", "<!DOCTYPE a><a/>", "document type"),
        ("xml", "<a><b>1</b><b>2</b></a>", "twice"),
        ("xml", "<a>&nbsp;</a>", "not XML"),
        ("xml", "<a><?php x?></a>", "processing"),
        ("xml", '<a b="1"/>', "attribute"),
        ("xml", "<a>text<b/></a>", "between"),
        ("xml", '<a><b null="true">1</b></a>', "not empty"),
        ("xml", "<a/><a/>", "not XML"),
        ("json", "[" * 5000 + "]" * 5000, "deeply"),
        ("json", '{"a":' * 150 + "1" + "}" * 150, "deeply"),
        ("yaml", "[" * 500 + "]" * 500, "deeply"),
        ("toml", f"{'.'.join('a' * 500)} = 1", "deeply"),
        ("xml", "<a>" * 500 + "</a>" * 500, "deeply"),
        ("json", '{"a": ' + "9" * 5000 + "}", "digits"),
        ("yaml", "a: " + "9" * 5000, "digits"),
        ("toml", "a = " + "9" * 5000, "digits"),
        ("json", " " * 300_000, "characters"),
    ],
)  # fmt: skip
def test_refusals_say_why(output: Output, text: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read(text, output, ANYTHING)


def test_toml_dates_and_nulls_are_the_schemas() -> None:
    compiled = compile_schema(
        {
            "type": "object",
            "properties": {
                "d": {"type": "string", "format": "date"},
                "t": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                "n": {"type": ["string", "null"]},
                "m": {"type": ["string", "null"]},
            },
            "required": ["n"],
        }
    )
    found = read("d = 2024-05-01\nt = 2024-05-01T10:00:00Z", "toml", compiled)
    assert found == {"d": "2024-05-01", "t": "2024-05-01T10:00:00Z", "n": None}


def test_xml_means_what_the_schema_says() -> None:
    compiled = typed(
        s={"type": "string"},
        i={"type": "integer"},
        b={"type": "boolean"},
        u={"anyOf": [{"type": "string"}, {"type": "integer"}]},
        e={"type": "string"},
        z={"type": "array", "items": {"type": "number"}},
        w={"enum": [3, "three"]},
    )
    text = "<r><s> 42 </s><i> 42 </i><b>true</b><u>7</u><e></e><z/><w>3</w><x>1</x></r>"
    assert read(text, "xml", compiled) == {
        "s": " 42 ", "i": 42, "b": True, "u": 7, "e": "", "z": [], "w": 3, "x": "1",
    }  # fmt: skip


# ---- containers


def found(answer: str, **sought: Any) -> Any:
    result = find_document(answer, Sought(**{"output": "json", "container": "any", **sought}), ANYTHING)
    return result.value if result.span is not None else result.fault


@pytest.mark.parametrize("container", ["bare", "fence", "tags", "any"])
def test_two_documents_are_none(container: str) -> None:
    dress = {
        "bare": "{}",
        "fence": "```json\n{}\n```",
        "tags": "<output>{}</output>",
        "any": "```json\n{}\n```",
    }
    one = dress[container].replace("{}", '{"a": 1}')
    assert found(one, container=container) == {"a": 1}
    assert isinstance(found(f"{one}\n{one}", container=container), str)


def test_a_fence_is_what_markdown_says() -> None:
    assert found('  ```json\n  {"a": 1}\n  ```', container="fence") == {"a": 1}
    assert isinstance(found('    ```json\n    {"a": 1}\n    ```', container="fence"), str)
    assert found('````json\n{"a": "```"}\n````', container="fence") == {"a": "```"}
    assert isinstance(found('```json {"a": 1} ```', container="fence"), str)
    assert isinstance(found('```json\n{"a": 1}\n``', container="fence"), str)
    assert found('~~~json\n{"a": 1}\n~~~~', container="fence") == {"a": 1}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "```",
                "```json",
                "~~~",
                "~~~~ yaml",
                "````",
                "text",
                "",
                "  ```",
                "    ```",
                "``` a`b",
                "{}",
                "``",
            ]
        ),
        max_size=9,
    )
)
def test_fences_are_those_of_a_markdown_parser(lines: list[str]) -> None:
    # A blank line before each keeps paragraphs and indented code out of it: both sides then see fences alone.
    text = "\n".join(lines) + "\n"
    theirs = [
        (token.info.strip().lower(), token.map) for token in MarkdownIt().parse(text) if token.type == "fence"
    ]
    ours = [
        (block.info, [text.count("\n", 0, block.whole[0]), text.count("\n", 0, block.whole[1])])
        for block in fences(text)
    ]
    assert [info for info, _ in ours] == [info for info, _ in theirs]
    assert [place[0] for _, place in ours] == [place[0] for _, place in theirs]


def test_a_non_breaking_space_at_the_end_belongs_to_the_text() -> None:
    for container, answer in (("bare", "a: b \xa0\n"), ("fence", "```yaml\na: b \xa0\n```")):
        assert found(answer, output="yaml", container=container) == {"a": "b \xa0"}


@pytest.mark.parametrize(
    "answer",
    [
        'It is {"a": {"b": 1},}',
        'It is {"a": {"b": 1}, "c": ',
        'It is [{"b": 1}]',
        "It is {'a': {\"b\": 1}}",
        '```json\n{"a": {"b": 1},}\n```',
    ],
)
def test_nothing_is_picked_out_of_something_larger(answer: str) -> None:
    assert isinstance(found(answer), str)


def test_spans_are_those_of_the_document() -> None:
    answer = 'Here:\n\n```json\n{"a": 1}\n```\n'
    result = find_document(answer, Sought("json", "fence"), ANYTHING)
    assert result.span is not None
    assert answer[slice(*result.span)] == '{"a": 1}'


HOSTILE: list[tuple[Output, str]] = [
    ("json", '{"a":' * 30_000),
    ("json", "{ " * 90_000),
    ("json", '{"' * 90_000),
    ("json", '{"a": "' + "\\u0041" * 30_000 + '"}'),
    ("json", "```\n" * 40_000),
    ("json", "<output>" * 20_000 + "</output>" * 2_000),
    ("yaml", "- " * 90_000),
    ("yaml", "a: |\n" * 30_000),
    ("yaml", "{" * 90_000),
    ("yaml", "a:\n\n" * 40_000),
    ("toml", "[a]\n" * 40_000),
    ("toml", "a.b.c = 1\n" * 15_000),
    ("toml", "a = [" * 30_000),
    ("xml", "<a>" * 60_000),
    ("xml", "<a>" + "</a>" * 40_000),
    ("xml", "<b>" * 20_000 + "</b>" * 20_000),
]


@pytest.mark.parametrize(("output", "text"), HOSTILE)
def test_hostile_answers_cost_little(output: Output, text: str) -> None:
    for container in ("bare", "fence", "tags", "any"):
        began = time.process_time()
        find_document(text, Sought(output, container), ANYTHING)
        assert time.process_time() - began < 1.0, container
