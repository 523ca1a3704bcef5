"""Text to values: JSON, YAML, TOML and XML, each by a real parser, and what each has that JSON has not.

What comes out are JSON values whatever the language, so one validator serves all:

- **All**: a key given twice, NaN and the infinities, a lone surrogate, more than 100 levels and more than 200,000
  characters are refused.
- **YAML** is read by the core schema of YAML 1.2: `no`, `yes`, `on`, `12:30`, `1_000` and `2024-05-01` are texts, `true`,
  `null` and numbers are not, and `country: no` is no boolean. A plain number with a leading zero (`010`) is refused, since
  readers of 1.1 and 1.2 disagree on it. Keys are texts. Anchors, aliases, merge keys and tags other than `!!str` are
  refused, and so is a second document.
- **TOML** has no null: a field that the schema requires, lets be null and does not find is null. A date or time that is
  not quoted is a text of the same form where the schema asks for the format `date`, `date-time` or `time`, and refused
  elsewhere.
- **XML**: see `markup`.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any, Literal

from dataforge.verifiers import toml
from dataforge.verifiers.structured.markup import read_xml
from dataforge.verifiers.structured.unreadable import MAX_DEPTH, Unreadable
from dataforge.verifiers.structured.validation import Compiled, Node, types_of
from dataforge.verifiers.structured.values import Path, depth_of, place

Output = Literal["json", "yaml", "toml", "xml"]
OUTPUTS: tuple[Output, ...] = ("json", "yaml", "toml", "xml")

MAX_CHARACTERS = 200_000


def read(text: str, output: Output, compiled: Compiled, root: str = "") -> Any:
    """The value of a document.

    Args:
        root: the name that the root element must have in XML; any where it is empty.

    Raises:
        Unreadable: it is none of that language, with what is wrong.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"the document has more than {MAX_CHARACTERS:,} characters")
    if output == "xml":
        return read_xml(text, compiled, root)
    value = _READERS[output](text)
    if sum(map(text.count, "[{.")) > MAX_DEPTH and depth_of(value) > MAX_DEPTH:
        raise Unreadable("the document is nested too deeply")
    return _from_toml(value, compiled.root, compiled, ()) if output == "toml" else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Unreadable(f"the key {key!r} is given twice")
            seen.add(key)
    return found


def _no_constant(name: str) -> Any:
    raise Unreadable(f"`{name}` is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable("a number is too large")
    return number


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def read_json(text: str) -> Any:
    """JSON; nothing may follow it."""
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as problem:
        raise Unreadable(f"not JSON: {problem.msg} at line {problem.lineno}") from None
    except RecursionError:
        raise Unreadable("the document is nested too deeply") from None
    except ValueError:
        raise Unreadable("not JSON: a number has too many digits") from None
    if "\\u" in text and _lone(value):
        raise Unreadable("a text holds half of a surrogate pair")
    return value


def _lone(value: Any) -> bool:
    return re.search(r"[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)) is not None


# ---- YAML


def read_yaml(text: str) -> Any:
    """YAML, built from the parser's events, so that nothing of YAML 1.1's typing comes in."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root: list[Any] = []
    stack: list[tuple[Any, str | None]] = []  # what is being filled, and the key that waits for its value
    filling: Any = root
    key: str | None = None
    try:
        for event in yaml.parse(text, Loader=loader):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.anchor is not None:
                    raise Unreadable("YAML anchors and aliases are refused")
                if type(filling) is dict and key is None:
                    key = event.value
                    if key in filling:
                        raise Unreadable(f"the key {key!r} is given twice")
                    if key == "<<" and event.implicit[0]:
                        raise Unreadable("YAML merge keys are refused")
                    continue
                value: Any = _scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.anchor is not None:
                    raise Unreadable("YAML anchors and aliases are refused")
                if event.tag is not None:
                    raise Unreadable("YAML tags are refused")
                if type(filling) is dict and key is None:
                    raise Unreadable("a YAML key is not a text")
                if len(stack) >= MAX_DEPTH:
                    raise Unreadable("the document is nested too deeply")
                stack.append((filling, key))
                filling, key = ({} if kind is yaml.MappingStartEvent else []), None
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = filling
                filling, key = stack.pop()
            elif kind is yaml.AliasEvent:
                raise Unreadable("YAML anchors and aliases are refused")
            elif kind is yaml.DocumentStartEvent and root:
                raise Unreadable("there are two YAML documents")
            else:
                continue
            if type(filling) is dict:
                filling[key] = value
                key = None
            else:
                filling.append(value)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark is not None else 1
        raise Unreadable(f"not YAML: {problem.problem or problem.context} at line {line}") from None
    except (yaml.YAMLError, UnicodeError):
        raise Unreadable("not YAML: it holds a character that YAML has not") from None
    except RecursionError:
        raise Unreadable("the document is nested too deeply") from None
    if not root:
        raise Unreadable("the document is empty")
    return root[0]


def _scalar(event: Any) -> Any:
    if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str"):
        raise Unreadable("YAML tags are refused")
    if event.tag is not None or not event.implicit[0]:
        return event.value
    return plain(event.value)


_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEX = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def plain(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2.

    Raises:
        Unreadable: it is a number that is not finite, or that two readers of YAML take differently.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789-+.":
        return text
    try:
        if _INTEGER.fullmatch(text):
            if len(digits := text.lstrip("+-")) > 1 and digits[0] == "0":
                raise Unreadable(
                    f"the YAML number {text[:20]} begins with a zero, which readers take differently"
                )
            return int(text)
        if _FLOAT.fullmatch(text):
            return _finite(text)
        if _OCTAL.fullmatch(text):
            return int(text, 0)
        if _HEX.fullmatch(text):
            return int(text, 0)
    except ValueError:
        raise Unreadable("a number has too many digits") from None
    if _SPECIAL.fullmatch(text):
        raise Unreadable(f"`{text}` is no number that JSON has")
    return text


# ---- TOML


def read_toml(text: str) -> Any:
    """TOML; dates and times are still Python's."""
    try:
        return toml.loads(text, parse_float=_toml_float)
    except tomllib.TOMLDecodeError as problem:
        raise Unreadable(f"not TOML: {problem}") from None
    except RecursionError:
        raise Unreadable("the document is nested too deeply") from None
    except ValueError:
        raise Unreadable("not TOML: a number has too many digits") from None


def _toml_float(text: str) -> float:
    if "n" in text:
        raise Unreadable(f"`{text}` is no number that JSON has")
    return _finite(text)


_TIMES = {datetime: "date-time", date: "date", time: "time"}


def _from_toml(value: Any, node: Node, compiled: Compiled, path: Path) -> Any:
    if isinstance(value, dict):
        node = compiled.chosen(node, value)
        found = {
            key: _from_toml(item, compiled.child(node, key), compiled, (*path, key))
            for key, item in value.items()
        }
        for name in node.get("required", ()):
            if name not in found and compiled.allows(compiled.child(node, name), "null"):
                found[name] = None
        return found
    if isinstance(value, list):
        node = compiled.chosen(node, value)
        inner = compiled.child(node, 0)
        return [_from_toml(item, inner, compiled, (*path, index)) for index, item in enumerate(value)]
    form = _TIMES.get(type(value))
    if form is None:
        return value
    asked = any(
        choice.get("format") == form and "string" in types_of(choice)
        for choice in compiled.alternatives(node)
    )
    if not asked:
        raise Unreadable(f"{place(path)} is a TOML date or time, where the schema asks for none")
    text = value.isoformat()
    return f"{text[:-6]}Z" if form == "date-time" and text.endswith("+00:00") else text


_READERS: dict[str, Callable[[str], Any]] = {"json": read_json, "yaml": read_yaml, "toml": read_toml}
