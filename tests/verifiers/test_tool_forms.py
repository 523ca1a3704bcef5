"""Reading calls: every form, by scanners that know quotes and braces; and writing is its inverse."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataforge.verifiers.calling import writing
from dataforge.verifiers.calling.forms import FORMS, Form, Reading, from_server, read
from dataforge.verifiers.calling.signatures import signatures, typed
from dataforge.verifiers.calling.strict_json import DEPTH, NotJson, value_of

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "size": {"type": "number"},
        "flag": {"type": "boolean"},
        "maybe": {"type": ["string", "null"]},
        "list": {"type": "array", "items": {}},
        "more": {"type": "object"},
    },
}
KNOWN = signatures([{"type": "function", "function": {"name": "tool", "parameters": SCHEMA}}])


SEEK = writing.text_of([("tool", {})], "deepseek")
"""DeepSeek's way to call it, in whose marks the bars and the spaces are characters of their own."""


def reading(text: str) -> Reading:
    return read(text, 0, len(text), KNOWN)


def found(text: str) -> list[tuple[str, dict[str, Any], Form]]:
    made = reading(text)
    assert not made.malformed, made.malformed
    return [(call.name, call.arguments, call.form) for call in made.calls]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(),
        "count": st.integers(),
        "size": st.floats(allow_nan=False, allow_infinity=False),
        "flag": st.booleans(),
        "list": st.lists(json_values, max_size=3),
        "more": st.dictionaries(st.text(), json_values, max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(arguments, min_size=1, max_size=3),
    st.sampled_from(FORMS),
    st.none() | st.randoms(use_true_random=False),
)
def test_what_is_written_is_read_back(
    sent: list[dict[str, Any]], form: Form, rng: random.Random | None
) -> None:
    calls = [("tool", one) for one in sent]
    if form == "openai":
        made = from_server([writing.server_call(name, one, rng) for name, one in calls])
        assert not made.malformed
        assert [(call.name, call.arguments) for call in made.calls] == calls
        return
    try:
        text = writing.text_of(calls, form, rng)
    except writing.CannotCarry:
        assert form == "qwen3_coder"
        return
    assert found(text) == [(*call, form) for call in calls]


def test_a_closing_tag_in_a_string_ends_nothing() -> None:
    text = writing.block(
        "tool", {"text": '</tool_call>\n<tool_call>{"name": "tool", "arguments": {}}</tool_call> \\" }'}
    )
    assert len(found(text)) == 1


def test_text_around_blocks_is_prose() -> None:
    made = reading("One moment. " + writing.block("tool", {}) + " Done.")
    assert made.prose == "One moment.  Done."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<tool_call>", "no JSON"),
        ('<tool_call>{"name": "tool", "arguments": {}}', "not closed"),
        ('<tool_call>{"name": "tool", "arguments": {}} x</tool_call>', "something stands behind"),
        ('<tool_call>{"name": "tool", "arguments": {}, "x": 1}</tool_call>', "no others"),
        ('<tool_call>{"name": "tool", "parameters": {}}</tool_call>', "no others"),
        ('<tool_call>{"name": "", "arguments": {}}</tool_call>', "names no tool"),
        ('<tool_call>{"name": "tool", "arguments": []}</tool_call>', "arguments are no JSON object"),
        ('<tool_call>{"name": "tool", "arguments": {"a": 1, "a": 1}}</tool_call>', "twice"),
        ('<tool_call>{"name": "tool", "arguments": {"a": Infinity}}</tool_call>', "no JSON"),
        ('<tool_call>{"name": "tool", "arguments": {"a": 1e999}}</tool_call>', "too large"),
        ('<tool_call>{"name": "tool", "arguments": {"a": "b\n"}}</tool_call>', "no JSON"),
        ("</tool_call>", "closes nothing"),
        ("<function=tool>", "not closed"),
        ("<function=>{}</function>", "no name"),
        ("<function=tool>{} x</function>", "something stands behind"),
        ("<tool_call><function=tool>{}</function></tool_call>", "JSON stands in"),
        ("<function=tool><parameter=a>1</function>", "parameter is not closed"),
        ("<function=tool><parameter=a>1</parameter><parameter=a>1</parameter></function>", "twice"),
        ("<|python_tag|>print(1)", "arguments with names"),
        (SEEK.replace("{}", '{"a": 1'), "no JSON"),
        (SEEK.replace("{}", "{} ok"), "is missing"),
        (SEEK.replace("{}", "[]"), "is missing"),
        (SEEK.removesuffix(writing.seek("calls", "end")), "is missing"),
        (writing.seek("calls", "begin") + writing.seek("calls", "end"), "no call in the block"),
        (writing.seek("outputs", "begin"), "closes nothing"),
        ('<|python_tag|>{"name": "tool", "parameters": {}} and more', "something stands behind"),
        ('<|python_tag|>{"name": "tool", "parameters": {}};', "no JSON"),
        ('<|python_tag|>{"name": "tool", "parameters": {}}<|eom_id|>x', "behind the call"),
        ('{"name": "tool", "parameters": {}} ok', "whole reply"),
        ('{"name": "tool", "parameters": "{}"}', "whole reply"),
        ('[{"name": "tool", "arguments": {}}] ok', "whole reply"),
        ('[TOOL_CALLS] [{"name": "tool", "arguments": {}}] ok', "behind the calls"),
        ("[TOOL_CALLS]tool{}", "`[ARGS]` is missing"),
        ("[tool(1)]", "arguments with names"),
        ("[tool(**{})]", "arguments with names"),
        ("[tool(a=b)]", "can't be read as Python's"),
        ("[tool(a={1, 2})]", "can't be read as Python's"),
        ("[tool(a=(1, 2))]", "none that JSON has"),
        ("[tool(a=1, a=2)]", "twice in one call"),
        ("[tool(a=1)] ok", "can't be read as Python's"),
        ("[tool(a=1), 3]", "arguments with names"),
        ("tool(a=" + "(" * 500 + ")", "can't be read as Python's"),
        ("<tool_response>1</tool_response>", "not the model's to write"),
    ],
)
def test_what_begins_like_a_call_and_is_none_is_malformed(text: str, why: str) -> None:
    made = reading(text)
    assert not made.calls
    assert why in made.malformed[0].why


def test_after_something_malformed_reading_goes_on() -> None:
    made = reading(
        "<tool_call>{</tool_call>"
        + writing.block("tool", {"count": 1})
        + "<tool_call>"
        + writing.block("tool", {"count": 2})
    )
    assert [call.arguments["count"] for call in made.calls] == [1, 2]
    assert len(made.malformed) == 2


def test_json_that_names_no_tool_is_prose() -> None:
    for text in (
        '{"name": "Ana", "age": 3}',
        'Like {"name": "x", "arguments": {}} here',
        "{}",
        "[1]",
        "{not json}",
    ):
        made = reading(text)
        assert not made.calls
        assert not made.malformed
        assert made.prose == text


def test_llama_may_say_that_it_is_a_function() -> None:
    assert found('{"type": "function", "name": "tool", "parameters": {}}') == [("tool", {}, "llama")]
    assert reading('{"type": "tool", "name": "tool", "parameters": {}}').malformed


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5", {"type": "string"}, "5"),
        ("5", {"type": "integer"}, 5),
        ("5.0", {"type": "integer"}, 5.0),
        ("5", {"type": "number"}, 5),
        ("five", {"type": "integer"}, "five"),
        ("True", {"type": "boolean"}, True),
        ("false", {"type": "boolean"}, False),
        ("1", {"type": "boolean"}, "1"),
        ("true", {"type": "string"}, "true"),
        ("true", {"type": "integer"}, "true"),
        ("null", {"type": ["string", "null"]}, None),
        ("None", {"type": ["integer", "null"]}, None),
        ("null", {"type": "string"}, "null"),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ('{"a": "b"}', {"type": "object"}, {"a": "b"}),
        ("[1, 2]", {"type": "object"}, "[1, 2]"),
        ("[1, 2]", {"type": "string"}, "[1, 2]"),
        ("x", {}, "x"),
        ("7", {}, 7),
        ("7", {"anyOf": [{"type": "integer"}, {"type": "string"}]}, 7),
        ("7", {"enum": ["7", "8"]}, "7"),
        ("7", {"$ref": "#/$defs/n"}, 7),
    ],
)
def test_values_without_quotes_take_their_type_from_the_schema(
    text: str, schema: dict[str, Any], value: Any
) -> None:
    made = typed(text, schema, {"$defs": {"n": {"type": "integer"}}})
    assert (type(made), made) == (type(value), value)


def test_parsed_calls_are_read_strictly() -> None:
    def one(arguments: Any, **rest: Any) -> Reading:
        return from_server(
            [{"type": "function", "function": {"name": "tool", "arguments": arguments}, **rest}]
        )

    assert one('{"a": 1}', id="x").calls[0].id == "x"
    assert one({"a": 1}).calls[0].arguments == {"a": 1}
    for absent in ("", None, "null"):  # how some servers send a call without arguments
        assert one(absent).calls[0].arguments == {}
    for bad in (
        '"{}"',
        "{",
        "[]",
        3,
        '{"a": 1, "a": 2}',
        {"a": float("nan")},
        {"a": {1, 2}},
    ):
        assert one(bad).malformed, bad
    assert one({}, type="custom").malformed
    assert from_server(["x", None, {}]).malformed[2].why


def test_json_is_bounded_in_depth() -> None:
    assert value_of("[" * DEPTH + "]" * DEPTH)
    for text in ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500):
        with pytest.raises(NotJson):
            value_of(text)
    wide = json.dumps([[at] for at in range(1000)])
    assert len(value_of(wide)) == 1000


@pytest.mark.parametrize(
    ("text", "form", "arguments"),
    [
        ('[TOOL_CALLS] [{"name": "tool", "arguments": {"a": 1}}]', "mistral", {"a": 1}),
        ('[TOOL_CALLS]tool[ARGS]{"a": 1}', "mistral", {"a": 1}),
        ('[{"name": "tool", "arguments": {"a": 1}}]', "json_list", {"a": 1}),
        ("[tool(a=1)]", "pythonic", {"a": 1}),
        ("tool(a=-1.5, b='x', c=[True, None], d={'k': \"v\"})", "pythonic",
         {"a": -1.5, "b": "x", "c": [True, None], "d": {"k": "v"}}),
        ('[TOOL_CALLS]tool[CALL_ID]a1[ARGS]{"a": 1}</s>', "mistral", {"a": 1}),
        ('[TOOL_CALLS] [{"name": "tool", "arguments": {"a": 1}, "id": "x"}]', "mistral", {"a": 1}),
        ("<|python_tag|>tool(a=1)<|eom_id|>", "pythonic", {"a": 1}),
        ("<|python_start|>[tool(a=1)]<|python_end|><|eot|>", "pythonic", {"a": 1}),
        # No arguments, in every form: as nothing, as null and as an empty text.
        ('<tool_call>{"name": "tool"}</tool_call>', "hermes", {}),
        ('<tool_call>{"name": "tool", "arguments": null}</tool_call>', "hermes", {}),
        ('<tool_call>{"name": "tool", "arguments": ""}</tool_call>', "hermes", {}),
        ('{"name": "tool"}', "llama", {}),
        ('<|python_tag|>{"name": "tool", "parameters": null}', "llama", {}),
        ("<function=tool>null</function>", "llama_function", {}),
        ("<tool_call><function=tool></function></tool_call>", "qwen3_coder", {}),
        ("[TOOL_CALLS]tool[ARGS]", "mistral", {}),
        ("[TOOL_CALLS]tool[ARGS]null", "mistral", {}),
        (SEEK.replace("{}", "null"), "deepseek", {}),
        (SEEK.replace("{}", ""), "deepseek", {}),
        ("[tool()]", "pythonic", {}),
    ],
)  # fmt: skip
def test_each_form_gives_its_call(text: str, form: str, arguments: dict[str, Any]) -> None:
    made = reading(text)
    assert [(call.name, call.arguments, call.form) for call in made.calls] == [("tool", arguments, form)]
    assert made.malformed == []
    [call] = made.calls
    assert call.span is not None
    assert text[slice(*call.span)] == call.text


def test_the_span_of_a_call_of_deepseeks_is_the_call() -> None:
    assert (
        SEEK
        == "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    )
    [one] = reading("Let me see. " + SEEK + SEEK.replace("{}", "{")).calls
    assert one.text == "<｜tool▁call▁begin｜>tool<｜tool▁sep｜>{}<｜tool▁call▁end｜>"


def test_a_list_of_calls_is_one_whatever_it_names() -> None:
    assert [one.name for one in reading("[fly(to='Oslo'), tool()]").calls] == ["fly", "tool"]


def test_python_that_names_no_tool_is_prose() -> None:
    for text in ("[1, 2]", "print(1)", "[x for x in y]", "sum(a=1) is what I would compute"):
        made = reading(text)
        assert (made.calls, made.malformed) == ([], []), text
