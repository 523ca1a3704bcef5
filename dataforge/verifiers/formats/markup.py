"""What XML and HTML share: a tree of elements, matched against a pattern of elements.

A pattern is an element with its attributes and what it holds: a hole, or elements and text in order. XML must be the
whole answer, well formed, and without a DOCTYPE, so no entity of a document's own is ever expanded and nothing is ever
fetched. HTML may stand in prose; the element that the pattern begins with must occur exactly once.
"""

from __future__ import annotations

import html
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dataforge.verifiers.formats.form import (
    Form,
    Limits,
    Part,
    Values,
    trimmed,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a part stands: as the text of an element, or as an attribute's value."""

    part: str = "answer"
    share: bool = False


@dataclass(frozen=True)
class El:
    """An element of a pattern.

    Attributes:
        tag: its name.
        inner: what it holds.
        attributes: name → value; all of them, no others.
        cdata: whether its text must be in a CDATA section.
    """

    tag: str
    inner: Slot | tuple[El | str, ...] = ()
    attributes: dict[str, str | Slot] = field(default_factory=dict)
    cdata: bool = False


@dataclass(slots=True)
class Node:
    """An element that was read: `start` and `end` are those of the whole, `inside` of what it holds."""

    tag: str
    attributes: dict[str, str | None]
    start: int
    inside: int
    inside_end: int = -1
    end: int = -1
    children: list[Node | str] = field(default_factory=list)
    cdata: bool = False

    @property
    def text(self) -> str:
        """All the text in it; without recursion, since a model may nest as deeply as it likes."""
        pieces: list[str] = []
        todo: list[Node | str] = [self]
        while todo:
            item = todo.pop()
            if isinstance(item, str):
                pieces.append(item)
            else:
                todo.extend(reversed(item.children))
        return "".join(pieces)


def _share(text: str) -> bool:
    return bool(re.fullmatch(r"0(\.\d+)?|1(\.0+)?", text.strip()))


def match(pattern: El, node: Node, source: str, into: dict[str, Part]) -> str:
    """Read the parts out of an element; gives what does not fit, empty where all fits."""
    if node.tag != pattern.tag:
        return f"there is `<{node.tag[:30]}>` where `<{pattern.tag}>` should be"
    if node.attributes.keys() != pattern.attributes.keys():
        return f"`<{pattern.tag}>` does not have the attributes that it should have"
    for name, wanted in pattern.attributes.items():
        value = node.attributes[name] or ""
        if isinstance(wanted, Slot):
            if not value.strip() or (wanted.share and not _share(value)):
                return f"the attribute `{name}` is {'no number from 0 to 1' if value.strip() else 'empty'}"
            into[wanted.part] = Part(value, (node.start, node.inside))
        elif value != wanted:
            return f"the attribute `{name}` of `<{pattern.tag}>` is not `{wanted}`"
    if isinstance(pattern.inner, Slot):
        return _take(pattern, pattern.inner, node, source, into)
    inner = [child for child in node.children if not isinstance(child, str) or child.strip()]
    if len(inner) != len(pattern.inner):
        return f"`<{pattern.tag}>` does not hold exactly what it should hold"
    for wanted_child, child in zip(pattern.inner, inner, strict=True):
        if isinstance(wanted_child, str):
            if not isinstance(child, str) or child.strip() != wanted_child:
                return f"`{wanted_child}` is missing in `<{pattern.tag}>`"
        elif isinstance(child, str):
            return f"there is loose text in `<{pattern.tag}>`"
        elif fault := match(wanted_child, child, source, into):
            return fault
    return ""


def _take(pattern: El, slot: Slot, node: Node, source: str, into: dict[str, Part]) -> str:
    if pattern.cdata and (not node.cdata or any(not isinstance(child, str) for child in node.children)):
        return f"the text of `<{pattern.tag}>` is not in one CDATA section"
    text = node.text.strip()
    if not text:
        return f"`<{pattern.tag}>` is empty"
    if slot.share and not _share(text):
        return f"`<{pattern.tag}>` is no number from 0 to 1"
    span = trimmed(source, node.inside, node.inside_end)
    into[slot.part] = Part(text, span, (source[span[0] : span[1]],))
    return ""


def write(pattern: El, values: Values, void: frozenset[str], closes_itself: str) -> str:
    """The pattern, filled."""
    attributes = "".join(
        f' {name}="{html.escape(values[value.part] if isinstance(value, Slot) else value)}"'
        for name, value in pattern.attributes.items()
    )
    if pattern.tag in void or (
        not pattern.inner and isinstance(pattern.inner, tuple) and closes_itself and pattern.attributes
    ):
        return f"<{pattern.tag}{attributes}{closes_itself}>"
    if isinstance(pattern.inner, Slot):
        text = values[pattern.inner.part]
        inner = f"<![CDATA[{text}]]>" if pattern.cdata else _escape(text)
    else:
        inner = "".join(
            child if isinstance(child, str) else write(child, values, void, closes_itself)
            for child in pattern.inner
        )
    return f"<{pattern.tag}{attributes}>{inner}</{pattern.tag}>"


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _slots(pattern: El) -> Iterator[tuple[Slot, bool, bool]]:
    """Each slot, whether it is an attribute, and whether it is CDATA."""
    for value in pattern.attributes.values():
        if isinstance(value, Slot):
            yield value, True, False
    if isinstance(pattern.inner, Slot):
        yield pattern.inner, False, pattern.cdata
    else:
        for child in pattern.inner:
            if isinstance(child, El):
                yield from _slots(child)


class Markup(Form):
    void: frozenset[str] = frozenset()
    closes_itself = ""

    def __init__(self, pattern: El) -> None:
        self.pattern = pattern
        self.slots = tuple(_slots(pattern))
        self.parts = tuple(slot.part for slot, _, _ in self.slots)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return write(self.pattern, values, self.void, self.closes_itself)

    def refuses(self, values: Values) -> str:
        for slot, attribute, cdata in self.slots:
            text = values[slot.part]
            if slot.share and not _share(text):
                return "it is not from 0 to 1"
            if why := Limits().refuses(text):
                return why
            if attribute and re.search(r"[\n\t]", text):
                return "an attribute keeps no line ends and tabs"
            if cdata and "]]>" in text:
                return "it holds the end of a CDATA section"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        closing = text.rfind("</")
        if closing >= 0:
            yield "another tag closes it", f"{text[:closing]}</wrong>"
        name = self.pattern.tag
        yield (
            "a wrong tag",
            text.replace(f"<{name}", "<wrong", 1).removesuffix(f"</{name}>")
            + ("</wrong>" if closing >= 0 else ""),
        )
        yield "an attribute too many", text.replace(f"<{name}", f'<{name} lang="en"', 1)
        first = self.slots[0][0].part
        yield f"the {first} is empty", self.write({**values, first: ""})
