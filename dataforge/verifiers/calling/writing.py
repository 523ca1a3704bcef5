"""Write calls in each form: the inverse of `forms`, with every freedom that JSON leaves.

The order of keys, space between tokens, escapes of characters: a reader has to see through all of it. Given no source of
chance, the plainest text is written.
"""

from __future__ import annotations

import json
import keyword
import random
from collections.abc import Mapping, Sequence
from typing import Any

from dataforge.verifiers.calling.forms import Form

_RAW_MARKS = ("<parameter=", "</parameter>", "</function>", "<tool_call>", "</tool_call>")


class CannotCarry(ValueError):
    """A form has no way to write a value."""


def json_text(value: Any, rng: random.Random | None = None) -> str:
    """A value as JSON."""
    if rng is None:
        return json.dumps(value, ensure_ascii=False)
    colon, comma = rng.choice(((": ", ", "), (":", ","), (" : ", " , "), (":\t", ",\n")))
    text = json.dumps(
        shuffled(value, rng),
        ensure_ascii=rng.random() < 0.3,
        indent=rng.choice((None, None, None, 2, 1)),
        separators=(comma.rstrip(" \n") if rng.random() < 0.2 else comma, colon),
    )
    return _escaped(text, rng) if rng.random() < 0.2 else text


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of its objects in another order."""
    if isinstance(value, Mapping):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(part, rng) for part in value]
    return value


def _escaped(text: str, rng: random.Random) -> str:
    """Write some letters of strings as `\\u…`: they stand for the same characters, in keys as well."""
    made: list[str] = []
    inside = escape = False
    for char in text:
        if inside and not escape and char.isascii() and char.isalpha() and rng.random() < 0.1:
            made.append(f"\\u{ord(char):04x}")
            continue
        made.append(char)
        if escape:
            escape = False
        elif inside and char == "\\":
            escape = True
        elif char == '"':
            inside = not inside
    # An escape that is in the text already, such as `\\u00e9`, holds letters that must stay as they are.
    candidate = "".join(made)
    try:
        same = json.loads(candidate) == json.loads(text)
    except json.JSONDecodeError:
        same = False
    return candidate if same else text


def block(name: str, arguments: Mapping[str, Any], rng: random.Random | None = None) -> str:
    """A call as Hermes and Qwen write it."""
    body = json_text({"name": name, "arguments": arguments}, rng)
    before, after = ("\n", "\n") if rng is None else (_space(rng), _space(rng))
    return f"<tool_call>{before}{body}{after}</tool_call>"


def xml_block(
    name: str, arguments: Mapping[str, Any], rng: random.Random | None = None, *, wrapped: bool = True
) -> str:
    """A call as Qwen3-Coder writes it.

    Raises:
        CannotCarry: a string holds a tag of the form, which has no escapes.
    """
    keys = list(arguments)
    if rng is not None:
        rng.shuffle(keys)
    parameters: list[str] = []
    for key in keys:
        text = _raw(arguments[key], rng)
        if any(mark in text for mark in _RAW_MARKS):
            raise CannotCarry(f"`{key}` holds a tag of this form")
        parameters.append(f"<parameter={key}>\n{text}\n</parameter>\n")
    function = f"<function={name}>\n{''.join(parameters)}</function>"
    return f"<tool_call>\n{function}\n</tool_call>" if wrapped else function


def function_tag(name: str, arguments: Mapping[str, Any], rng: random.Random | None = None) -> str:
    """A call as Llama 3.1 writes those of a user's own tools."""
    return f"<function={name}>{json_text(arguments, rng)}</function>"


def llama_object(name: str, arguments: Mapping[str, Any], rng: random.Random | None = None) -> str:
    """A call as Llama 3 writes it: an object, bare or behind `<|python_tag|>`."""
    value: dict[str, Any] = {"name": name, "parameters": arguments}
    if rng is not None and rng.random() < 0.2:
        value = {"type": "function", **value}
    return json_text(value, rng)


def server_call(
    name: str, arguments: Mapping[str, Any], rng: random.Random | None = None, *, id: str = "call_0"
) -> dict[str, Any]:
    """A call as OpenAI's API gives it."""
    as_object = rng is not None and rng.random() < 0.2
    sent: Any = dict(arguments) if as_object else json_text(arguments, rng)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": sent}}


def text_of(
    calls: Sequence[tuple[str, Mapping[str, Any]]], form: Form, rng: random.Random | None = None
) -> str:
    """Several calls in one of the forms that are text.

    Raises:
        CannotCarry: a value cannot be written in this form.
    """
    if form == "hermes":
        return "\n".join(block(name, arguments, rng) for name, arguments in calls)
    if form == "qwen3_coder":
        wrapped = rng is None or rng.random() < 0.8
        return "\n".join(xml_block(name, arguments, rng, wrapped=wrapped) for name, arguments in calls)
    if form == "llama_function":
        return "\n".join(function_tag(name, arguments, rng) for name, arguments in calls)
    if form == "llama":
        tag = rng is not None and rng.random() < 0.5
        between = "; " if rng is None else rng.choice(("; ", ";", " ;\n"))
        body = between.join(llama_object(name, arguments, rng) for name, arguments in calls)
        return f"<|python_tag|>{body}" if tag else body
    if form in ("mistral", "json_list"):
        listed = [{"name": name, "arguments": arguments} for name, arguments in calls]
        if form == "json_list":
            return json_text(listed, rng)
        if rng is not None and rng.random() < 0.5:
            return "".join(
                f"[TOOL_CALLS]{name}[ARGS]{json_text(arguments, rng)}" for name, arguments in calls
            )
        return f"[TOOL_CALLS] {json_text(listed, rng)}"
    if form == "deepseek":
        fenced = rng is not None and rng.random() < 0.5
        return f"{seek('calls', 'begin')}{''.join(_seek_call(*call, fenced, rng) for call in calls)}{seek('calls', 'end')}"
    if form == "pythonic":
        return f"[{', '.join(_python_call(name, arguments, rng) for name, arguments in calls)}]"
    raise CannotCarry("calls that a server parses are no text")


def seek(*words: str) -> str:
    """One of DeepSeek's marks."""
    return "<\uff5ctool\u2581" + "\u2581".join(words) + "\uff5c>"


def _seek_call(name: str, arguments: Mapping[str, Any], fenced: bool, rng: random.Random | None) -> str:
    body = json_text(arguments, rng)
    said = f"function{seek('sep')}{name}\n```json\n{body}\n```" if fenced else name + seek("sep") + body
    return seek("call", "begin") + said + seek("call", "end")


def _python_call(name: str, arguments: Mapping[str, Any], rng: random.Random | None) -> str:
    keys = list(arguments)
    if not all(key.isidentifier() and not keyword.iskeyword(key) for key in (*keys, *name.split("."))):
        raise CannotCarry("a name is none that Python has")
    if rng is not None:
        rng.shuffle(keys)
    equals = "=" if rng is None else rng.choice(("=", "=", " = "))
    return f"{name}({', '.join(f'{key}{equals}{arguments[key]!r}' for key in keys)})"


def _raw(value: Any, rng: random.Random | None) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) and rng is not None and rng.random() < 0.5:
        return str(value)
    return json_text(value, rng)


def _space(rng: random.Random) -> str:
    return rng.choice(("\n", "\n", "", " ", "\n\n", "\t", "\r\n"))
