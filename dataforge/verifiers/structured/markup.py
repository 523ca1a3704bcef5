"""XML to values, and back, by one mapping:

    <order><id>A-1</id><paid>true</paid><tags><item>new</item></tags><note null="true"/></order>

An object's fields are child elements, in any order; an array's items are child elements called `item`; `null="true"` on
an empty element is null; everything else is text. What the text means is for the schema to say: under `integer` it is a
number in JSON's notation, under `boolean` it is `true` or `false`, under `string` it is itself to the last blank. In a
union it is the first of boolean, integer, number and string that fits. Where the schema says nothing it is a string.

Other attributes, text between the elements of an object, document type declarations (and with them every entity but the
five of XML) and processing instructions are refused; comments are passed over.
"""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape

from dataforge.verifiers.structured.unreadable import MAX_DEPTH, Unreadable
from dataforge.verifiers.structured.validation import XML_NAME, Compiled, Node, types_of

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SAYING = ("type", "enum", "const", "anyOf", "oneOf", "properties", "items")


@dataclass(slots=True)
class Element:
    """An element as it was parsed."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def parse(text: str) -> Element:
    """The root element of a document."""
    top = Element("", {})
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise Unreadable("the document is nested too deeply")
        element = Element(name, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(name: str) -> None:
        stack.pop()

    def characters(data: str) -> None:
        stack[-1].pieces.append(data)

    def no_doctype(*about: Any) -> NoReturn:
        raise Unreadable("a document type declaration is refused")

    def no_instruction(*about: Any) -> NoReturn:
        raise Unreadable("a processing instruction is refused")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = no_doctype
    parser.EntityDeclHandler = no_doctype
    parser.ProcessingInstructionHandler = no_instruction
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as problem:
        message = expat.errors.messages.get(problem.code, "it is malformed")
        raise Unreadable(f"not XML: {message} at line {problem.lineno}") from None
    except UnicodeEncodeError:
        raise Unreadable("not XML: it holds half of a surrogate pair") from None
    return top.children[0]


def read_xml(text: str, compiled: Compiled, root: str = "") -> Any:
    """The value of a document, typed by the schema."""
    element = parse(text)
    if root and element.name != root:
        raise Unreadable(f"the root element is not <{root}>")
    return _value(element, compiled.root, compiled)


def _value(element: Element, node: Node, compiled: Compiled) -> Any:
    if element.attributes:
        if element.attributes != {"null": "true"}:
            raise Unreadable(f"<{element.name}> has an attribute that the mapping has not")
        if element.children or element.text.strip():
            raise Unreadable(f"<{element.name}> is null and not empty")
        return None
    if element.children and element.text.strip():
        raise Unreadable(f"<{element.name}> has text between its elements")
    if "$ref" in node:
        node = compiled.resolve(node)
    if not any(keyword in node for keyword in _SAYING):
        return _untyped(element, compiled)
    # The common case, a node of one type, needs no trial.
    if isinstance(kind := node.get("type"), str):
        found = _as(kind, element, node, compiled)
        return _untyped(element, compiled) if found is _UNFIT else found
    first: Any = _UNFIT
    choices = compiled.alternatives(node)
    for kind in _ORDER:
        for choice in choices:
            if kind not in types_of(choice):
                continue
            found = _as(kind, element, choice, compiled)
            if found is _UNFIT:
                continue
            if not compiled.problems_at(node, found):
                return found
            first = found if first is _UNFIT else first
    return _untyped(element, compiled) if first is _UNFIT else first


_ORDER = ("object", "array", "boolean", "integer", "number", "string")
_UNFIT: Any = object()


def _as(kind: str, element: Element, node: Node, compiled: Compiled) -> Any:
    """An element read as a JSON type, or `_UNFIT`."""
    if kind == "object":
        if not element.children and element.text.strip():
            return _UNFIT
        return _fields(element, node, compiled)
    if kind == "array":
        if any(child.name != "item" for child in element.children) or (
            not element.children and element.text.strip()
        ):
            return _UNFIT
        inner = compiled.child(node, 0)
        return [_value(child, inner, compiled) for child in element.children]
    if element.children or kind == "null":
        return _UNFIT
    text = element.text
    if kind == "string":
        return text
    text = text.strip(" \t\r\n")
    if kind == "boolean":
        return text == "true" if text in ("true", "false") else _UNFIT
    return _number(text)


def _number(text: str) -> Any:
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    except ValueError:
        raise Unreadable("a number has too many digits") from None
    return _UNFIT


def _fields(element: Element, node: Node, compiled: Compiled) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element.children:
        if child.name in found:
            raise Unreadable(f"<{child.name}> is given twice in <{element.name}>")
        found[child.name] = _value(child, compiled.child(node, child.name), compiled)
    return found


def _untyped(element: Element, compiled: Compiled) -> Any:
    if not element.children:
        return element.text
    if all(child.name == "item" for child in element.children):
        return [_value(child, {}, compiled) for child in element.children]
    return _fields(element, {}, compiled)


# ---- and back


def write_xml(value: Any, root: str, rng: random.Random | None = None) -> str:
    """A document of a value; `rng` varies what may vary: indentation, CDATA, the declaration.

    Raises:
        Unreadable: the value has a key or a text that XML cannot carry.
    """
    indent = "  " if rng is None else rng.choice(("  ", "  ", "    ", ""))
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if rng is not None and rng.random() < 0.2 else ""
    return head + "\n".join(_lines(root, value, indent, rng))


def _lines(name: str, value: Any, indent: str, rng: random.Random | None) -> list[str]:
    if not XML_NAME.fullmatch(name):
        raise Unreadable(f"{name!r} is no name of an element")
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else (("item", item) for item in value)
        inner = [indent + line for key, item in pairs for line in _lines(key, item, indent, rng)]
        return [f"<{name}>", *inner, f"</{name}>"]
    if isinstance(value, dict | list):
        return [f"<{name}/>" if rng is None or rng.random() < 0.5 else f"<{name}></{name}>"]
    if value is None:
        return [f'<{name} null="true"/>']
    if isinstance(value, str):
        return [f"<{name}>{_escaped(value, rng)}</{name}>"]
    return [f"<{name}>{json.dumps(value)}</{name}>"]


_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _escaped(text: str, rng: random.Random | None) -> str:
    if _NO_XML.search(text):
        raise Unreadable("a text holds a character that XML has not")
    if (
        rng is not None
        and "]]>" not in text
        and "\r" not in text
        and any(sign in text for sign in "<&")
        and rng.random() < 0.3
    ):
        return f"<![CDATA[{text}]]>"
    return escape(text, {"\r": "&#13;"})
