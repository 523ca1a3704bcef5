"""Read the calls out of what a model wrote, in each of the forms that models are trained on.

    hermes           <tool_call>{"name": …, "arguments": {…}}</tool_call>         Hermes, Qwen 2.5 and 3
    qwen3_coder      <tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>
    llama            <|python_tag|>{"name": …, "parameters": {…}}                 also bare, also several with `;` between
    llama_function   <function=NAME>{…}</function>                                Llama 3.1
    mistral          [TOOL_CALLS] [{"name": …, "arguments": {…}}]                 also [TOOL_CALLS]NAME[ARGS]{…}
    deepseek         <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜>   in its block; V3 and R1 put the JSON into a fence
    json_list        [{"name": …, "arguments": {…}}]                              xLAM; the whole reply
    pythonic         [NAME(KEY=VALUE, …), …]                                      Llama 3.2 and 4; the whole reply, or behind a tag
    openai           the `tool_calls` that a server has parsed; `arguments` is a JSON text, or an object already

Each is scanned, never matched: JSON is decoded where it stands, so `</tool_call>` in a string ends nothing. What begins
like a call and is none is a `Malformed`, never passed over. A bare call is one only where it is the whole reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from dataforge.verifiers.calling import pythonic
from dataforge.verifiers.calling.signatures import NOTHING_SAID, Schema, Signature, property_of, typed
from dataforge.verifiers.calling.strict_json import NotJson, after_space, value_at, value_of, written

Form = Literal[
    "hermes",
    "qwen3_coder",
    "llama",
    "llama_function",
    "mistral",
    "deepseek",
    "json_list",
    "pythonic",
    "openai",
]
FORMS: tuple[Form, ...] = get_args(Form)
BARE: tuple[Form, ...] = ("llama", "json_list", "pythonic")
"""Forms with no mark around a call, so that a call is one only where it is the whole reply."""

_BLOCK, _BLOCK_END = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
_PYTHON = ("<|python_tag|>", "<|python_start|>")
_MISTRAL, _ID, _ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_SEEK, _SEEK_CALL, _SEEK_SEP, _SEEK_CALL_END, _SEEK_END = (
    f"<\uff5ctool\u2581{word}\uff5c>"
    for word in ("calls\u2581begin", "call\u2581begin", "sep", "call\u2581end", "calls\u2581end")
)
_ENDS = ("</s>", "<|eot|>", "<|eot_id|>", "<|eom_id|>", "<|python_end|>")
"""What may stand at the end of a turn where a server leaves such tokens in; of several, the last comes first."""
_MARK = re.compile(
    r"</?tool_call>|<function=|</function>|<\|python_(?:tag|start)\|>|</?tool_response>|</?think>|\[TOOL_CALLS\]"
    r"|<\uff5ctool\u2581[a-z\u2581]+\uff5c>"
    r'|\{\s*"(?:type|name|function|parameters|arguments|tool_calls)"\s*:'
)
"""Where to look; what stands there is then read by a scanner."""

MALFORMED = 20
"""After so many malformed calls nothing more is read: a model that repeats itself without end is wrong by then."""

_LOOSE_REACH = 2000
"""How far behind the brace of a call in prose a tool's name is looked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was read.

    Attributes:
        span: where it stands in the text; None for one that the server parsed.
        id: what a server calls it; None in the other forms.
    """

    name: str
    arguments: dict[str, Any]
    form: Form
    text: str
    span: tuple[int, int] | None = None
    id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class Malformed:
    """What begins like a call, or has no place in a reply, and why it can't be taken."""

    text: str
    why: str
    span: tuple[int, int] | None = None


@dataclass(slots=True)
class Reading:
    """What a text holds.

    Attributes:
        calls: in the order of the text.
        malformed: likewise.
        prose: the rest of the text.
        thinks_at: where thinking begins that never ends; what follows is not read.
    """

    calls: list[Call] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    prose: str = ""
    thinks_at: int | None = None


class _Bad(ValueError):
    """What is wrong with a call."""


def read(text: str, start: int, end: int, known: Mapping[str, Signature]) -> Reading:
    """Read a piece of a text. Spans are of the whole text.

    Args:
        text: the whole text.
        start: where the piece begins.
        end: where it ends.
        known: the tools, for the types of values that are written without any.
    """
    reading = Reading()
    piece = _without_end(text[:end])
    at = after_space(piece, start)
    try:
        if (whole := _whole(piece, at, known)) is not None:
            reading.calls = whole
            return reading
    except _Bad as bad:
        reading.malformed.append(Malformed(piece[at:], str(bad), (at, len(piece))))
        return reading
    prose: list[str] = []
    at = start
    while (mark := _MARK.search(piece, at)) is not None:
        begin, word = mark.start(), mark.group()
        prose.append(piece[at:begin])
        try:
            if word == _BLOCK:
                call, at = _block(piece, begin, known)
                reading.calls.append(call)
            elif word == _FUNCTION:
                call, at = _function(piece, begin, begin, known)
                reading.calls.append(call)
            elif word in _PYTHON:
                at = after_space(piece, mark.end())
                behind = _pythonic if pythonic.BEGIN.match(piece, at) else _llama
                reading.calls.extend(behind(piece, at, begin))
                at = len(piece)
            elif word == _MISTRAL:
                reading.calls.extend(_mistral(piece, begin))
                at = len(piece)
            elif word == _SEEK:
                found, at = _deepseek(piece, begin)
                reading.calls.extend(found)
            elif word == "<think>":
                reading.thinks_at = begin
                at = len(piece)
            elif word.startswith("{"):
                at = _in_prose(piece, begin, known, prose)
            elif word.endswith("tool_response>"):
                raise _Bad("a tool's response is not the model's to write")
            else:
                raise _Bad(f"`{word}` closes nothing")
        except _Bad as bad:
            at = _beyond(piece, begin, mark.end(), word)
            if len(reading.malformed) == MALFORMED:
                reading.malformed.append(
                    Malformed(piece[begin:], "nothing is read behind so much else", (begin, end))
                )
                at = end
            else:
                reading.malformed.append(Malformed(piece[begin:at], str(bad), (begin, at)))
    prose.append(piece[at:])
    reading.prose = "".join(prose)
    return reading


def from_server(calls: Iterable[Any]) -> Reading:
    """Read the calls that a server has parsed, as in OpenAI's API."""
    reading = Reading()
    for sent in calls:
        text = ""
        try:
            text = written(sent)
            # What came as an object has to be JSON as well: no `NaN`, nothing too deep.
            reading.calls.append(_parsed(value_of(text), text))
        except (TypeError, RecursionError, NotJson) as error:
            reading.malformed.append(Malformed(text, f"it is no JSON: {error}"))
        except _Bad as bad:
            reading.malformed.append(Malformed(text, str(bad)))
    return reading


# ---- one form each


def _block(text: str, begin: int, known: Mapping[str, Signature]) -> tuple[Call, int]:
    at = after_space(text, begin + len(_BLOCK))
    form: Form
    if text.startswith(_FUNCTION, at):
        call, at = _function(text, at, begin, known)
        if call.form != "qwen3_coder":
            raise _Bad("a function with JSON stands in a `<tool_call>` block")
        name, arguments, form = call.name, call.arguments, call.form
    else:
        value, at = _object_at(text, at)
        name, arguments, form = *_name_and_arguments(value), "hermes"
    at = after_space(text, at)
    if not text.startswith(_BLOCK_END, at):
        raise _Bad(
            "the block is not closed" if at == len(text) else "something stands behind the call in its block"
        )
    at += len(_BLOCK_END)
    return Call(name, arguments, form, text[begin:at], (begin, at)), at


def _function(text: str, at: int, begin: int, known: Mapping[str, Signature]) -> tuple[Call, int]:
    name, at = _name_in_tag(text, at + len(_FUNCTION))
    at = after_space(text, at)
    form: Form
    if text.startswith(("{", "null"), at):
        arguments, at = _arguments_at(text, at)
        form = "llama_function"
        at = after_space(text, at)
    else:
        signature = known.get(name)
        arguments, at = _parameters(text, at, signature.root if signature is not None else NOTHING_SAID)
        form = "qwen3_coder"
    if not text.startswith(_FUNCTION_END, at):
        raise _Bad(
            "the function is not closed" if at == len(text) else "something stands behind the arguments"
        )
    at += len(_FUNCTION_END)
    return Call(name, arguments, form, text[begin:at], (begin, at)), at


def _parameters(text: str, at: int, schema: Schema) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while text.startswith(_PARAMETER, at):
        key, at = _name_in_tag(text, at + len(_PARAMETER))
        close = text.find(_PARAMETER_END, at)
        if close < 0:
            raise _Bad("a parameter is not closed")
        value = text[at:close]
        if _PARAMETER in value or _FUNCTION_END in value or _BLOCK in value or _BLOCK_END in value:
            raise _Bad("a parameter is not closed")
        if key in found:
            raise _Bad("a parameter stands twice in one call")
        named = property_of(schema, key, schema)
        found[key] = typed(value.removeprefix("\n").removesuffix("\n"), named or NOTHING_SAID, schema)
        at = after_space(text, close + len(_PARAMETER_END))
    return found, at


def _llama(text: str, at: int, begin: int) -> list[Call]:
    """Objects with `;` between them, up to the end of the text."""
    found: list[Call] = []
    while True:
        value, at = _object_at(text, after_space(text, at))
        found.append(_llama_call(value, text[begin:at], (begin, at)))
        at = after_space(text, at)
        if at == len(text):
            return found
        if text[at] != ";":
            raise _Bad("something stands behind the call")
        begin = at = after_space(text, at + 1)


def _llama_call(value: dict[str, Any], text: str, span: tuple[int, int]) -> Call:
    rest = value.keys() - {"type"}
    key = "parameters" if "parameters" in rest else "arguments"
    if not {"name"} <= rest <= {"name", key} or value.get("type", "function") != "function":
        raise _Bad("a call has the keys `name` and `parameters`, and no others")
    return Call(_named(value["name"]), _arguments(value.get(key)), "llama", text, span)


def _name_and_arguments(value: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, dict) or not {"name"} <= value.keys() <= {"name", "arguments"}:
        raise _Bad("a call has the keys `name` and `arguments`, and no others")
    return _named(value["name"]), _arguments(value.get("arguments"))


def _mistral(text: str, begin: int) -> list[Call]:
    """All that stands behind the mark, up to the end of the text."""
    found: list[Call] = []
    at = begin
    while text.startswith(_MISTRAL, at):
        start = at
        at = after_space(text, at + len(_MISTRAL))
        if text.startswith("[", at):
            called, at = _json_list(text, at, start, "mistral")
            found += called
        else:
            name, at = _up_to(text, at, _ARGS)
            arguments, at = _arguments_at(text, at)
            name = name.partition(_ID)[0].strip()
            found.append(Call(_named(name), arguments, "mistral", text[start:at], (start, at)))
        at = after_space(text, at)
    if at < len(text):
        raise _Bad("something stands behind the calls")
    return found


def _deepseek(text: str, begin: int) -> tuple[list[Call], int]:
    found: list[Call] = []
    at = after_space(text, begin + len(_SEEK))
    while text.startswith(_SEEK_CALL, at):
        start = at
        name, at = _up_to(text, at + len(_SEEK_CALL), _SEEK_SEP)
        fenced = name.strip() == "function"  # then the name follows, and the arguments in a fence
        if fenced:
            name, at = _up_to(text, at, "```json")
        arguments, at = _arguments_at(text, at)
        _, at = _up_to(text, at, "```" + _SEEK_CALL_END if fenced else _SEEK_CALL_END, blank=True)
        found.append(Call(_named(name.strip()), arguments, "deepseek", text[start:at], (start, at)))
        at = after_space(text, at)
    _, at = _up_to(text, at, _SEEK_END, blank=True)
    if not found:
        raise _Bad("there is no call in the block")
    return found, at


def _json_list(text: str, at: int, start: int, form: Form) -> tuple[list[Call], int]:
    try:
        value, end = value_at(text, at)
    except NotJson as error:
        raise _Bad(f"the calls are no JSON: {error}") from error
    if not isinstance(value, list) or not value:
        raise _Bad("there is no list of calls")
    if form == "mistral":
        for each in value:
            if isinstance(each, dict):
                each.pop("id", None)
    return [Call(*_name_and_arguments(each), form, text[start:end], (start, end)) for each in value], end


def _whole(text: str, at: int, known: Mapping[str, Signature]) -> list[Call] | None:
    """The calls of a reply that is nothing but calls without a mark; None where it is prose, as far as can be told.

    Raises:
        _Bad: it begins as a call of a tool in Python's syntax, and can't be read.
    """
    if re.compile(r"(?:\[\s*)?\{").match(text, at):
        try:
            if text[at] == "{":
                return _llama(text, at, at)
            found, end = _json_list(text, at, at, "json_list")
        except _Bad:
            return None  # it may be prose; if it names a tool, the search finds it
        return found if not text[end:].strip() else None
    opened = pythonic.BEGIN.match(text, at)
    if opened is None:
        return None
    try:
        # A list of calls is one whatever it names; a single one may be an example, of print for one.
        return _pythonic(text, at, at) if opened["list"] or opened["name"] in known else None
    except _Bad:
        if opened["name"] in known:
            raise
        return None


def _pythonic(text: str, at: int, begin: int) -> list[Call]:
    """Calls in Python's syntax, up to the end of the text."""
    body = text[at:].rstrip()
    end = at + len(body)
    try:
        called = pythonic.calls_in(body)
    except pythonic.NotCalls as error:
        raise _Bad(str(error)) from error
    return [Call(name, arguments, "pythonic", text[begin:end], (begin, end)) for name, arguments in called]


def _parsed(sent: Any, text: str) -> Call:
    function = sent.get("function") if isinstance(sent, Mapping) else None
    if not isinstance(function, Mapping) or sent.get("type", "function") not in ("function", None):
        raise _Bad("it is no call of a function")
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments:
        try:
            arguments = value_of(arguments)
        except NotJson as error:
            raise _Bad(f"the arguments are no JSON: {error}") from error
        if isinstance(arguments, str):
            raise _Bad("the arguments are JSON in JSON")
    name = sent.get("id")
    return Call(
        _named(function.get("name")),
        _arguments(arguments),
        "openai",
        text,
        id=name if isinstance(name, str) else None,
    )


def _in_prose(text: str, begin: int, known: Mapping[str, Signature], prose: list[str]) -> int:
    """Past an object that could be a call; it is one that is out of place if it names a tool."""
    reach = text[begin : begin + _LOOSE_REACH]
    if any(written(name) in reach for name in known):
        raise _Bad("a call without a block around it must be the whole reply, and nothing else")
    prose.append("{")
    return begin + 1


# ---- pieces


def _object_at(text: str, at: int) -> tuple[dict[str, Any], int]:
    try:
        value, end = value_at(text, at)
    except NotJson as error:
        raise _Bad(f"the call is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Bad("the call is no JSON object")
    return value, end


def _named(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise _Bad("the call names no tool")
    return name


def _arguments(value: Any) -> dict[str, Any]:
    if value is None or value == "":
        return {}  # how some models and servers write a call without arguments
    if not isinstance(value, dict):
        raise _Bad("the arguments are no JSON object")
    return value


def _arguments_at(text: str, at: int) -> tuple[dict[str, Any], int]:
    """The arguments behind a call's name; what is no value may be none, and the reader goes on there."""
    at = after_space(text, at)
    if at == len(text) or text[at] in "<[`":
        return {}, at
    try:
        value, end = value_at(text, at)
    except NotJson as error:
        raise _Bad(f"the call is no JSON: {error}") from error
    return _arguments(value), end


def _up_to(text: str, at: int, mark: str, *, blank: bool = False) -> tuple[str, int]:
    """What stands before a mark, and the place behind it; only space where `blank`."""
    close = after_space(text, at) if blank else text.find(mark, at)
    if close < 0 or not text.startswith(mark, close):
        raise _Bad(f"`{mark}` is missing")
    return text[at:close], close + len(mark)


def _without_end(text: str) -> str:
    for token in _ENDS:
        if (bare := text.rstrip()).endswith(token):
            text = bare.removesuffix(token)
    return text


def _name_in_tag(text: str, at: int) -> tuple[str, int]:
    close = text.find(">", at)
    name = text[at:close] if close >= 0 else ""
    if not name or any(char.isspace() or char in "<\"'" for char in name):
        raise _Bad("a tag has no name")
    return name, close + 1


def _beyond(text: str, begin: int, mark_end: int, word: str) -> int:
    """Where to go on behind something malformed: past what closes it, or before what begins next."""
    if word in (*_PYTHON, _MISTRAL):
        return len(text)
    if word.startswith("{"):
        try:
            return value_at(text, begin)[1]
        except NotJson:
            return begin + 1
    close = {
        _BLOCK: _BLOCK_END,
        _FUNCTION: _FUNCTION_END,
        _SEEK: _SEEK_END,
        "<tool_response>": "</tool_response>",
    }.get(word)
    if close is None:
        return mark_end
    end = text.find(close, mark_end)
    again = text.find(word, mark_end)
    if end < 0 or 0 <= again < end:
        return again if again >= 0 else len(text)
    return end + len(close)
