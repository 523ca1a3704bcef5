"""Formats of data languages: JSON, YAML, TOML, and Markdown fences around them."""

from __future__ import annotations

from typing import Any

from dataforge.verifiers.formats.composed import FrontMatter, PythonDict
from dataforge.verifiers.formats.fences import Fence
from dataforge.verifiers.formats.form import Form
from dataforge.verifiers.formats.format import Format
from dataforge.verifiers.formats.json_form import Json, JsonLines
from dataforge.verifiers.formats.shape import Slot
from dataforge.verifiers.formats.toml_form import Toml
from dataforge.verifiers.formats.yaml_form import Yaml

A = Slot()
SHARE = Slot("confidence", "share")


def _json(name: str, says: str, shape: Any, **more: Any) -> Format:
    return Format(
        f"json_{name}", "JSON", f"Reply in strict JSON: {says}.", Json(shape), **{"share": 0.99, **more}
    )


def _yaml(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(f"yaml_{name}", "YAML", f"Reply in YAML with {says}.", form, **{"share": 0.95, **more})


def _toml(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(f"toml_{name}", "TOML", f"Reply in TOML with {says}.", form, **{"share": 0.95, **more})


FORMATS: tuple[Format, ...] = (
    _json("object", "one object whose only key is `answer`", {"answer": A}),
    _json("array", "an array with the answer as its only item", [A]),
    _json("string", "a single string that is the answer", Slot("answer", "string")),
    _json(
        "number",
        "one object whose only key is `value`, and its value a bare number without quotes",
        {"value": Slot("answer", "number")},
        suits=("number",),
    ),
    _json("bare_number", "a bare number and nothing else", Slot("answer", "number"), suits=("number",)),
    _json(
        "nested",
        "an object with the key `response`, which holds an object with the key `answer`",
        {"response": {"answer": A}},
    ),
    _json(
        "confidence",
        "an object with the keys `answer` and `confidence` (a number from 0 to 1)",
        {"answer": A, "confidence": SHARE},
    ),
    _json(
        "record",
        'an object with the keys `type`, which is "answer", and `content`, which is the answer',
        {"type": "answer", "content": A},
    ),
    _json("pair", 'an array of two items, the string "answer" and the answer itself', ["answer", A]),
    _json("list_of_objects", "an array with one object whose only key is `answer`", [{"answer": A}]),
    _json(
        "lines_array",
        "an object whose key `lines` holds the answer as an array of strings, one for each line",
        {"lines": Slot("answer", "lines")},
    ),
    _json(
        "explained",
        "an object with the keys `answer` and `explanation`",
        {"answer": A, "explanation": Slot("explanation")},
    ),
    _json(
        "call",
        'an object with the keys `name`, which is "submit", and `arguments`, an object whose only key is `answer`',
        {"name": "submit", "arguments": {"answer": A}},
    ),
    _json(
        "message",
        'an object with the keys `role`, which is "assistant", and `content`, an array with one object of the keys `type`, which is "text", and `text`, which is the answer',
        {"role": "assistant", "content": [{"type": "text", "text": A}]},
    ),
    _json(
        "rpc_result",
        'an object with the keys `jsonrpc`, which is "2.0", `id`, which is "1", and `result`, which is the answer',
        {"jsonrpc": "2.0", "id": "1", "result": A},
    ),
    _json(
        "deep",
        "objects one within another, under the keys `data`, `item`, `answer` in this order",
        {"data": {"item": {"answer": A}}},
    ),
    Format(
        "json_lines",
        "JSON",
        "Reply in JSON Lines with exactly two lines: an object whose only key is `reasoning`, then an object whose only key is `answer`.",
        JsonLines({"reasoning": Slot("reasoning")}, {"answer": A}),
        share=0.99,
    ),
    Format(
        "json_fenced",
        "JSON",
        "Give your answer in a fenced code block of the language `json` that holds an object whose only key is `answer`.",
        Fence("json", Json({"answer": A})),
        share=0.99,
    ),
    Format(
        "json_fenced_array",
        "JSON",
        "Give your answer in a fenced code block of the language `json` that holds an array with the answer as its only item.",
        Fence("json", Json([A])),
        share=0.99,
    ),
    _yaml("mapping", "the single key `answer`", Yaml({"answer": A})),
    _yaml("list", "a list of exactly one item, the answer", Yaml([A])),
    _yaml(
        "literal_block",
        "the single key `answer` and its value as a literal block scalar (after `|` or `|-`)",
        Yaml({"answer": A}, style="|"),
    ),
    _yaml(
        "folded_block",
        "the single key `answer` and its value as a folded block scalar (after `>` or `>-`)",
        Yaml({"answer": A}, style=">"),
        suits=("text", "maths"),
        share=0.5,
    ),
    _yaml(
        "nested",
        "the key `response`, under which is the single key `answer`",
        Yaml({"response": {"answer": A}}),
    ),
    _yaml(
        "flow",
        "one mapping in flow style (braces, the key without quotes) whose only key is `answer`",
        Yaml({"answer": A}, flow=True),
    ),
    _yaml(
        "document",
        "one explicit document, which begins with a line `---`, ends with a line `...` and has the single key `answer`",
        Yaml({"answer": A}, framed=True),
    ),
    _yaml(
        "confidence",
        "the keys `answer` and `confidence` (a number from 0 to 1)",
        Yaml({"answer": A, "confidence": SHARE}),
    ),
    _yaml(
        "list_of_mappings",
        "a list of exactly one item, which is a mapping with the single key `answer`",
        Yaml([{"answer": A}]),
    ),
    _yaml(
        "key_with_list",
        "the single key `answers`, which holds a list of exactly one item, the answer",
        Yaml({"answers": [A]}),
    ),
    _yaml(
        "explained",
        "the keys `explanation` and `answer`, in any order",
        Yaml({"explanation": Slot("explanation"), "answer": A}),
    ),
    Format(
        "yaml_fenced",
        "YAML",
        "Give your answer in a fenced code block of the language `yaml` that holds the single key `answer`.",
        Fence("yaml", Yaml({"answer": A})),
        share=0.95,
    ),
    Format(
        "yaml_front_matter",
        "YAML",
        "Begin your reply with YAML front matter between two lines `---` that has the single key `answer`, and write an explanation in prose below it.",
        FrontMatter(Yaml({"answer": A}), "explanation"),
        share=0.95,
    ),
    _toml("key", "the single key `answer`", Toml({"answer": A}, "answer =")),
    _toml(
        "section",
        "the table `[response]`, in which is the single key `answer`",
        Toml({"response": {"answer": A}}, "[response]\nanswer ="),
    ),
    _toml(
        "inline_table",
        "the single key `response`, whose value is an inline table (in braces) with the single key `answer`",
        Toml({"response": {"answer": A}}, "response = { answer =", end=" }"),
    ),
    _toml(
        "dotted_key",
        "the single dotted key `response.answer`",
        Toml({"response": {"answer": A}}, "response.answer ="),
    ),
    _toml(
        "array",
        "the single key `answers`, an array of exactly one string",
        Toml({"answers": [A]}, "answers = [", end="]"),
    ),
    _toml(
        "array_of_tables",
        "an array of tables `[[answers]]` with exactly one table, in which is the single key `text`",
        Toml({"answers": [{"text": A}]}, "[[answers]]\ntext ="),
    ),
    _toml(
        "multiline_string",
        'the single key `answer` and its value as a multi-line basic string, in three double quotes (""")',
        Toml({"answer": A}, "answer =", quotes='"""'),
    ),
    _toml(
        "literal_string",
        "the single key `answer` and its value as a literal string, in single quotes",
        Toml({"answer": A}, "answer =", quotes="'"),
        suits=("text", "maths"),
        share=0.35,
    ),
    _toml(
        "multiline_literal",
        "the single key `answer` and its value as a multi-line literal string, in three single quotes (''')",
        Toml({"answer": A}, "answer =", quotes="'''"),
        share=0.8,
    ),
    _toml(
        "confidence",
        "the keys `answer` and `confidence` (a number from 0 to 1)",
        Toml({"answer": A, "confidence": SHARE}),
    ),
    Format(
        "toml_fenced",
        "TOML",
        "Give your answer in a fenced code block of the language `toml` that holds the single key `answer`.",
        Fence("toml", Toml({"answer": A}, "answer =")),
        share=0.95,
    ),
    Format(
        "python_dict",
        "Python",
        "Reply with a Python dictionary literal whose only key is 'answer'.",
        PythonDict({"answer": A}),
        share=0.99,
    ),
    Format(
        "python_tuple",
        "Python",
        "Reply with a Python tuple literal of two items: the string 'answer' and the answer as a string.",
        PythonDict(["answer", A]),
        share=0.99,
    ),
)
