"""Where in an answer the document stands: bare, in a fenced code block, between tags, or wherever it can be found once.

    bare     the answer is the document: nothing before it, nothing behind it
    fence    one fenced code block whose info string is the language; blocks by the rules of CommonMark
    tags     between `<output>` and `</output>`, once
    any      one of these, or (JSON and XML) a document within prose; whichever it is, exactly one

Text may stand around a fence or tags unless `alone` is set; a second document in that text is two answers, and two
answers are none. Nothing is repaired: a document that was cut off is not a document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dataforge.verifiers.protocol import Candidate
from dataforge.verifiers.structured.reading import DECODER, Output, read
from dataforge.verifiers.structured.unreadable import Unreadable
from dataforge.verifiers.structured.validation import Compiled

Container = Literal["bare", "fence", "tags", "any"]
CONTAINERS: tuple[Container, ...] = ("bare", "fence", "tags", "any")

MAX_TRIES = 50
"""How often something in prose that may be an element is tried, so that a hostile answer costs little."""

INFO: dict[str, tuple[str, ...]] = {
    "json": ("json",),
    "yaml": ("yaml", "yml"),
    "toml": ("toml",),
    "xml": ("xml",),
}
"""What the info string of a fence may be for a language."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for.

    Attributes:
        output: the language.
        container: where it must stand.
        tag: the name of the tags.
        alone: whether nothing may stand around them.
        root: the name of the root element, for XML.
    """

    output: Output
    container: Container
    tag: str = "output"
    alone: bool = False
    root: str = ""


@dataclass(slots=True)
class Found:
    """What was found in an answer.

    Attributes:
        value: of the document; None also where there is none.
        span: where in the answer it stands, or None where there is none.
        fault: why there is none.
        answered: whether there is an answer all the same: several, or one in company that it must not have.
        candidates: what was considered, with spans in the answer.
    """

    value: Any = None
    span: tuple[int, int] | None = None
    fault: str = ""
    answered: bool = False
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block: its info string, its content, and where both content and block stand."""

    info: str
    content: str
    span: tuple[int, int]
    whole: tuple[int, int]
    closed: bool


def find_document(answer: str, sought: Sought, compiled: Compiled) -> Found:
    """The one document in an answer, read."""
    if not answer.strip():
        return Found(fault="the answer is empty")
    return _FINDERS[sought.container](answer, sought, compiled)


def _bare(answer: str, sought: Sought, compiled: Compiled) -> Found:
    return _read(
        answer, _stripped(answer), sought, compiled, "the answer must be the document and nothing else: "
    )


def _fence(answer: str, sought: Sought, compiled: Compiled) -> Found:
    blocks = list(fences(answer))
    fitting = [block for block in blocks if block.info in INFO[sought.output]]
    if len(blocks) != 1 or not fitting:
        return Found(
            fault=(
                "there is no fenced code block"
                if not blocks
                else f"the fenced code block is not marked `{sought.output}`"
                if len(blocks) == 1
                else "there is more than one fenced code block"
            ),
            answered=len(blocks) > 1,
            candidates=_rejected(
                answer, [block.span for block in blocks], "not the one block that is asked for"
            ),
        )
    block = blocks[0]
    if not block.closed:
        return Found(
            fault="the fenced code block is not closed",
            candidates=_rejected(answer, [block.span], "not closed"),
        )
    return _within(answer, block.span, block.whole, sought, compiled, bool(block.info))


def _tags(answer: str, sought: Sought, compiled: Compiled) -> Found:
    opening, closing = f"<{sought.tag}>", f"</{sought.tag}>"
    start, end = answer.find(opening), answer.rfind(closing)
    if start < 0 or end < start:
        return Found(fault=f"there is no {opening}…{closing}")
    # First opening to last closing: what lies between is one document, or there were two pairs of tags.
    whole = (start, end + len(closing))
    return _within(answer, (start + len(opening), end), whole, sought, compiled)


def _within(
    answer: str,
    span: tuple[int, int],
    whole: tuple[int, int],
    sought: Sought,
    compiled: Compiled,
    marked: bool = False,
) -> Found:
    """The document in a container; beside a `marked` one, inline code is only spoken of."""
    found = _read(answer, _trimmed(answer, span), sought, compiled)
    if found.span is None:
        return found
    outside = [(0, whole[0]), (whole[1], len(answer))]
    if sought.alone and any(answer[a:b].strip() for a, b in outside):
        return Found(
            fault="text stands around the document, where none may",
            answered=True,
            candidates=_rejected(answer, [found.span], "text stands around it"),
        )
    others = [
        (start, end)
        for a, b in outside
        for start, end in _documents(answer, a, b, sought, compiled)
        if not (marked and _inline(answer, start, end))
    ]
    if others:
        return _several(answer, sorted([found.span, *others]))
    return found


def _inline(answer: str, start: int, end: int) -> bool:
    """Whether a piece is just what stands between two backticks."""
    return "\n" not in answer[start:end] and answer[:start].endswith("`") and answer.startswith("`", end)


def _any(answer: str, sought: Sought, compiled: Compiled) -> Found:
    blocks = list(fences(answer))
    if f"<{sought.tag}>" in answer and sought.root != sought.tag and not blocks:
        found = _tags(answer, sought, compiled)
        if found.span is not None or found.answered:
            return found
    whole = _read(answer, _stripped(answer), sought, compiled)
    if whole.span is not None and _structured(whole.value, sought):
        return whole
    marked = [block for block in blocks if block.info in (*INFO[sought.output], "")]
    readable = [block for block in marked if block.closed and _is_document(block.content, sought, compiled)]
    if len(readable) == 1:
        block = readable[0]
        return _within(answer, block.span, block.whole, sought, compiled, bool(block.info))
    if len(readable) > 1:
        return _several(answer, [block.span for block in readable])
    # What stands in a block that cannot be read is not picked to pieces: only the prose around blocks is looked through.
    edges = [0, *(edge for block in blocks for edge in block.whole), len(answer)]
    stretches = zip(edges[::2], edges[1::2], strict=True)
    spans = [span for a, b in stretches for span in _documents(answer, a, b, sought, compiled)]
    if len(spans) == 1:
        return _read(answer, spans[0], sought, compiled)
    if spans:
        return _several(answer, spans)
    if len(marked) == 1:
        return _read(answer, _trimmed(answer, marked[0].span), sought, compiled)
    why = whole.fault or "the answer is prose"  # to YAML any prose is a text
    return Found(
        fault=f"no document was found ({why})", candidates=_rejected(answer, [_stripped(answer)], why)
    )


def _structured(value: Any, sought: Sought) -> bool:
    """Whether what was read is a document rather than prose: any text is a scalar of YAML."""
    return sought.output != "yaml" or isinstance(value, dict | list)


_FINDERS = {"bare": _bare, "fence": _fence, "tags": _tags, "any": _any}


def _read(answer: str, span: tuple[int, int], sought: Sought, compiled: Compiled, lead: str = "") -> Found:
    start, end = span
    try:
        # The last line break is the container's and not the document's, but a block of YAML may need it.
        value = read(f"{answer[start:end]}\n", sought.output, compiled, sought.root)
    except Unreadable as problem:
        return Found(fault=f"{lead}{problem}", candidates=_rejected(answer, [span], str(problem)))
    return Found(value, span, candidates=(Candidate(answer[start:end], span),))


def _several(answer: str, spans: list[tuple[int, int]]) -> Found:
    return Found(
        fault="there is more than one document",
        answered=True,
        candidates=_rejected(answer, spans, "not the only one"),
    )


def _rejected(answer: str, spans: list[tuple[int, int]], why: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(answer[a:b], (a, b), why) for a, b in spans)


def _trimmed(text: str, span: tuple[int, int]) -> tuple[int, int]:
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip("\n\r"))
    return start, max(start, span[0] + len(piece.rstrip(BLANK)))


def _stripped(text: str) -> tuple[int, int]:
    return len(text) - len(text.lstrip(BLANK)), len(text.rstrip(BLANK))


BLANK = " \t\r\n"
"""What may stand at the edges of a document; a non-breaking space at the end of a text of YAML belongs to it."""


# ---- documents in prose


def _is_document(text: str, sought: Sought, compiled: Compiled) -> bool:
    try:
        return _structured(read(text.strip("\r\n"), sought.output, compiled, sought.root), sought)
    except Unreadable:
        return False


def _documents(
    answer: str, start: int, end: int, sought: Sought, compiled: Compiled
) -> Iterator[tuple[int, int]]:
    """Spans of whole documents in a stretch of an answer that is otherwise prose."""
    stretch = answer[start:end]
    if not stretch.strip():
        return
    if sought.output == "xml":
        yield from ((start + a, start + b) for a, b in _elements(stretch, sought, compiled))
        return
    yield from ((start + a, start + b) for a, b in _objects(stretch))
    if sought.output in ("yaml", "toml"):
        required = set(compiled.root.get("required", ())) or set(compiled.root.get("properties", ()))
        for piece in re.finditer(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+", stretch):
            try:
                value = read(piece[0].strip("\n"), sought.output, compiled, sought.root)
            except Unreadable:
                continue
            if isinstance(value, dict) and required and required <= value.keys() and "{" not in piece[0][:1]:
                yield start + piece.start(), start + piece.end()


def _objects(stretch: str) -> Iterator[tuple[int, int]]:
    """JSON objects with at least one field, none of which is a piece of something larger."""
    position, tries = 0, 0
    while (begin := stretch.find("{", position)) >= 0 and tries < 1000:
        tries += 1
        try:
            value, finish = DECODER.raw_decode(stretch, begin)
        except (json.JSONDecodeError, Unreadable, RecursionError, ValueError):
            if not _MEANT.match(stretch, begin):
                position = begin + 1
            elif (closed := _closing(stretch, begin)) is not None:
                position = closed
            else:
                return  # an object that was begun and cut off: what is in it is no document
            continue
        if value and not stretch[:begin].rstrip().endswith("["):
            yield begin, finish
        position = finish


_MEANT = re.compile(r"""\{\s*(?:["'“]|[\w-]+\s*:)""")
"""The beginning of something that is meant to be an object, unlike the set {x | x > 0}."""


def _closing(stretch: str, begin: int) -> int | None:
    """Where a brace is closed, or None where it is not."""
    depth = 0
    for found in re.finditer(r"[{}]", stretch[begin:]):
        depth += 1 if found[0] == "{" else -1
        if not depth:
            return begin + found.end()
    return None


def _elements(stretch: str, sought: Sought, compiled: Compiled) -> Iterator[tuple[int, int]]:
    """Elements of the root's name, or, where any name will do, those whose fields are the schema's."""
    name = re.escape(sought.root) if sought.root else r"[^\W\d][\w.-]*"
    position, tries = 0, 0
    for opening in re.finditer(rf"<({name})\s*>", stretch):
        if opening.start() < position or (tries := tries + 1) > MAX_TRIES:
            continue
        closing = f"</{opening[1]}>"
        finish = stretch.find(closing, opening.end())
        for _ in range(MAX_TRIES):
            if finish < 0:
                break
            piece = stretch[opening.start() : finish + len(closing)]
            try:
                value = read(piece, "xml", compiled, sought.root)
            except Unreadable:
                finish = stretch.find(closing, finish + 1)
                continue
            if isinstance(value, dict) and (
                sought.root or set(value) & set(compiled.root.get("properties", ()))
            ):
                yield opening.start(), opening.start() + len(piece)
                position = opening.start() + len(piece)
            break


# ---- fenced code blocks

_OPENING = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")


def fences(text: str) -> Iterator[Block]:
    """The fenced code blocks of a text, by CommonMark: at the left margin or up to three blanks from it."""
    if "```" not in text and "~~~" not in text:
        return
    open_at: tuple[str, str, int, int] | None = None
    position = 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        bare = line.rstrip("\r\n")
        if open_at is None:
            found = _OPENING.match(bare)
            if found is not None and not (found[1][0] == "`" and "`" in found[2]):
                open_at = (found[1], found[2].lower(), position, position + len(line))
        else:
            mark, info, began, inner = open_at
            ended = re.fullmatch(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*", bare)
            if ended is not None:
                content = text[inner:position]
                yield Block(info, content, (inner, position), (began, position + len(line)), True)
                open_at = None
        position += len(line)
    if open_at is not None:
        mark, info, began, inner = open_at
        yield Block(info, text[inner:], (inner, len(text)), (began, len(text)), False)
