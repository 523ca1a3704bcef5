"""Read the calls out of what a model wrote, in each of the forms that models are trained on.

    hermes           <tool_call>{"name": …, "arguments": {…}}</tool_call>         Hermes, Qwen 2.5 and 3
    qwen3_coder      <tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>
    llama            <|python_tag|>{"name": …, "parameters": {…}}                 also bare, also several with `;` between
    llama_function   <function=NAME>{…}</function>                                Llama 3.1
    mistral          [TOOL_CALLS] [{"name": …, "arguments": {…}}]                 also [TOOL_CALLS]NAME[ARGS]{…}
    json_list        [{"name": …, "arguments": {…}}]                              xLAM; the whole reply
    pythonic         [NAME(KEY=VALUE, …), …]                                      Llama 3.2 and 4; the whole reply, literals alone
    openai           the `tool_calls` that a server has parsed; `arguments` is a JSON text, or an object already

Each is scanned, never matched: JSON is decoded where it stands, so `</tool_call>` in a string ends nothing. What begins
like a call and is none is a `Malformed`, never passed over. A bare call is one only where it is the whole reply.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from dataforge.verifiers.calling.signatures import NOTHING_SAID, Schema, Signature, kinds, property_of
from dataforge.verifiers.calling.strict_json import NotJson, after_space, value_at, value_of, written

Form = Literal[
    "hermes", "qwen3_coder", "llama", "llama_function", "mistral", "json_list", "pythonic", "openai"
]
FORMS: tuple[Form, ...] = get_args(Form)
BARE: tuple[Form, ...] = ("llama", "json_list", "pythonic")
"""Forms with no mark around a call, so that a call is one only where it is the whole reply."""

_BLOCK, _BLOCK_END = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
_PYTHON = "<|python_tag|>"
_MISTRAL, _ARGS = "[TOOL_CALLS]", "[ARGS]"
_PYTHONIC = re.compile(r"\[?\s*(?P<name>[A-Za-z_][\w.]*)\s*\(")
_LONGEST_PYTHONIC = 20_000
"""Characters that are given to Python's parser."""
_ENDS = ("<|eom_id|>", "<|eot_id|>")
_MARK = re.compile(
    r"</?tool_call>|<function=|</function>|<\|python_tag\|>|</?tool_response>|</?think>|\[TOOL_CALLS\]"
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
    piece = text[:end]
    at = after_space(piece, start)
    if piece.startswith("{", at):
        try:
            reading.calls.extend(_llama(piece, at))
        except _Bad:
            pass  # it may be prose; if it names a tool, the search below finds it
        else:
            return reading
    elif (called := _whole_list(piece, at, known)) is not None:
        if isinstance(called, Malformed):
            reading.malformed.append(called)
        else:
            reading.calls.extend(called)
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
            elif word == _PYTHON:
                reading.calls.extend(_llama(piece, mark.end(), begin))
                at = len(piece)
            elif word == _MISTRAL:
                reading.calls.extend(_mistral(piece, begin))
                at = len(piece)
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
    if text.startswith("{", at):
        arguments, at = _object_at(text, at)
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


def typed(text: str, schema: Schema, root: Schema) -> Any:
    """The value of a parameter that is written without quotes: what the tool's schema makes of it.

    A string where the schema takes nothing else, or where the text is no value of another type that it takes. Booleans
    and null may be written as Python does, since templates of these models do so.
    """
    named = kinds(schema, root)
    bare = text.strip(" \t\r\n")
    if "null" in named and bare in ("null", "None"):
        return None
    if "boolean" in named and bare in ("true", "True", "false", "False"):
        return bare in ("true", "True")
    if not named or set(named) - {"string", "null", "boolean"}:
        try:
            value = value_of(text)
        except NotJson:
            return text
        whole = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, str | bool) or value is None:
            return value if not named else text
        if not named:
            return value
        if (
            (whole and ("integer" in named or "number" in named))
            or (isinstance(value, float) and ("number" in named or "integer" in named))
            or (isinstance(value, list) and "array" in named)
            or (isinstance(value, dict) and "object" in named)
        ):
            return value
    return text


def _llama(text: str, at: int, begin: int | None = None) -> list[Call]:
    """Objects with `;` between them, up to the end of the text."""
    found: list[Call] = []
    while True:
        at = after_space(text, at)
        start = at if begin is None else begin
        begin = None
        value, at = _object_at(text, at)
        found.append(_llama_call(value, text[start:at], (start, at)))
        at = after_space(text, at)
        for token in _ENDS:
            if text.startswith(token, at):
                at = after_space(text, at + len(token))
                if at < len(text):
                    raise _Bad("something stands behind the end of the turn")
        if at == len(text):
            return found
        if text[at] != ";":
            raise _Bad("something stands behind the call")
        at += 1


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
            close = text.find(_ARGS, at)
            name = text[at : max(close, at)].strip()
            arguments, at = _object_at(text, after_space(text, close + len(_ARGS)))
            found.append(Call(_named(name), arguments, "mistral", text[start:at], (start, at)))
        at = after_space(text, at)
    if at < len(text):
        raise _Bad("something stands behind the calls")
    return found


def _json_list(text: str, at: int, start: int, form: Form) -> tuple[list[Call], int]:
    try:
        value, end = value_at(text, at)
    except NotJson as error:
        raise _Bad(f"the calls are no JSON: {error}") from error
    if not isinstance(value, list) or not value:
        raise _Bad("there is no list of calls")
    return [Call(*_name_and_arguments(each), form, text[start:end], (start, end)) for each in value], end


def _whole_list(text: str, at: int, known: Mapping[str, Signature]) -> list[Call] | Malformed | None:
    """The calls of a reply that is nothing but a list of them; None where it is prose, as far as can be told."""
    if re.compile(r"\[\s*\{").match(text, at):
        try:
            found, end = _json_list(text, at, at, "json_list")
        except _Bad:
            return None  # if it names a tool, the search finds it
        return found if not text[end:].strip() else None
    opened = _PYTHONIC.match(text, at)
    if opened is None or opened["name"] not in known:
        return None
    body = text[at:].rstrip()
    span = (at, at + len(body))
    try:
        return [Call(name, arguments, "pythonic", body, span) for name, arguments in _pythonic(body)]
    except _Bad as bad:
        return Malformed(body, str(bad), span)


def _pythonic(body: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and arguments of calls in Python's syntax, whose values are literals."""
    if len(body) > _LONGEST_PYTHONIC:
        raise _Bad("the calls are too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            tree = ast.parse(body, mode="eval").body
        for call in tree.elts if isinstance(tree, ast.List) else [tree]:
            if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
                raise _Bad("a call has arguments with names, and nothing else")
            arguments = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            if len(arguments) < len(call.keywords):
                raise _Bad("an argument stands twice in one call")
            # What Python can write and JSON cannot, such as a set or a tuple, is no value of an argument.
            if value_of(written(arguments)) != arguments:
                raise _Bad("a value is none that JSON has")
            yield ast.unparse(call.func), arguments
    except _Bad:
        raise
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, NotJson) as error:
        raise _Bad("the calls can't be read as Python's") from error


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
        if not isinstance(arguments, dict):
            raise _Bad("the arguments are no JSON object")
    if isinstance(arguments, Mapping):
        arguments = dict(arguments)
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


def _name_in_tag(text: str, at: int) -> tuple[str, int]:
    close = text.find(">", at)
    name = text[at:close] if close >= 0 else ""
    if not name or any(char.isspace() or char in "<\"'" for char in name):
        raise _Bad("a tag has no name")
    return name, close + 1


def _beyond(text: str, begin: int, mark_end: int, word: str) -> int:
    """Where to go on behind something malformed: past what closes it, or before what begins next."""
    if word in (_PYTHON, _MISTRAL):
        return len(text)
    if word.startswith("{"):
        try:
            return value_at(text, begin)[1]
        except NotJson:
            return begin + 1
    close = {_BLOCK: _BLOCK_END, _FUNCTION: _FUNCTION_END, "<tool_response>": "</tool_response>"}.get(word)
    if close is None:
        return mark_end
    end = text.find(close, mark_end)
    again = text.find(word, mark_end)
    if end < 0 or 0 <= again < end:
        return again if again >= 0 else len(text)
    return end + len(close)
