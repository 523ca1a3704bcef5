"""XML by expat: well formed, the whole answer, and without a DOCTYPE, so that no entity of its own is ever expanded and
nothing is ever fetched.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from xml.parsers import expat

from dataforge.verifiers.formats.form import (
    Part,
    Reading,
    Values,
    broken,
)
from dataforge.verifiers.formats.markup import El, Markup, Node, match
from dataforge.verifiers.protocol import Candidate


class _Refused(Exception):
    pass


def parse_xml(text: str) -> tuple[Node | None, str]:
    """The root element, or None and what is wrong."""
    lead = len(text) - len(text.lstrip())
    try:
        data = text[lead:].encode()
    except UnicodeEncodeError:
        return None, "it holds half surrogates"
    ascii_only = len(data) == len(text) - lead
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    top = Node("", {}, 0, 0)
    stack = [top]

    def place() -> int:
        at = parser.CurrentByteIndex
        return lead + (at if ascii_only else len(data[:at].decode()))

    def start(tag: str, attributes: dict[str, str]) -> None:
        at = place()
        node = Node(tag, dict(attributes), at, at)
        stack[-1].children.append(node)
        stack.append(node)

    def end(tag: str) -> None:
        node = stack.pop()
        at = place()
        node.inside_end = at
        close = text.find(">", at)
        node.end = close + 1 if close >= 0 else len(text)

    def characters(piece: str) -> None:
        stack[-1].children.append(piece)

    def cdata() -> None:
        stack[-1].cdata = True

    def doctype(*_: object) -> None:
        raise _Refused("a DOCTYPE is not allowed")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartCdataSectionHandler = cdata
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        return None, f"{expat.ErrorString(error.code)} at line {error.lineno}"
    except _Refused as refused:
        return None, str(refused)
    root = next(child for child in top.children if isinstance(child, Node))
    _find_inside(root, text)
    return root, ""


def _find_inside(node: Node, text: str) -> None:
    """Set where the opening tags end: behind the first `>` outside quotes."""
    stack = [node]
    while stack:
        element = stack.pop()
        quote = ""
        at = element.start
        while at < len(text):
            char = text[at]
            if quote:
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
            elif char == ">":
                break
            at += 1
        element.inside = at + 1
        element.inside_end = max(element.inside, element.inside_end)
        stack.extend(child for child in element.children if isinstance(child, Node))


class Xml(Markup):
    """An XML document and nothing else.

    Args:
        pattern: the root.
        declared: whether it must begin with an XML declaration.
    """

    closes_itself = "/"

    def __init__(self, pattern: El, declared: bool = False) -> None:
        super().__init__(pattern)
        self.declared = declared

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        made = super().write(values)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{made}' if self.declared else made

    def read(self, text: str) -> Reading:
        if not text.strip():
            return broken("there is nothing")
        if self.declared != text.lstrip().startswith("<?xml"):
            return broken(
                "the XML declaration is missing" if self.declared else "there is an XML declaration too many"
            )
        root, fault = parse_xml(text)
        if root is None:
            return broken(f"it is not well-formed XML: {fault}")
        parts: dict[str, Part] = {}
        if fault := match(self.pattern, root, text, parts):
            return broken(fault, [Candidate(root.text.strip()[:200], None, fault)])
        return Reading(parts, "", tuple(Candidate(p.text, p.span) for p in parts.values()))

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield from super().spoil(values, rng)
        text = self.write(values)
        close = text.rfind("</")
        if close >= 0:
            yield "a bare ampersand", f"{text[:close]} R&D {text[close:]}"
        yield "an entity of its own", f'<!DOCTYPE x [<!ENTITY e "{"y" * 9}">]>' + text.split("?>\n")[-1]
