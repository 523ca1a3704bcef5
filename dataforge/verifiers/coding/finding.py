"""The program in an answer: the last fenced block of Python, or the whole answer where it is nothing but a program.

Fences are CommonMark's: three or more backticks or tildes, closed by as many of the same. A block may be indented, as in a
list; its lines lose that indentation. Everything that was looked at is on record, with the reason why it was not taken.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, replace

from dataforge.verifiers.protocol import Candidate, Response, Span
from dataforge.verifiers.spoken import spoken

PYTHON = frozenset({"python", "py", "python3", "py3", "python2", "python3.11", "python3.12", "cpython"})

_OPENING = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n]*)\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        code: its lines, without the indentation of the fence.
        language: the first word behind the fence, in lower case; empty where there is none.
        span: where its lines stand in the text.
        closed: whether the closing fence is there.
    """

    code: str
    language: str
    span: Span
    closed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer holds.

    Attributes:
        code: the program, or None.
        span: where it stands in `Response.text`.
        candidates: everything that was looked at.
        fault: why there is none; empty where there is one.
    """

    code: str | None
    span: Span | None
    candidates: tuple[Candidate, ...]
    fault: str = ""


def find_program(response: Response, function: str = "") -> Found:
    """Find the program that a response answers with.

    Args:
        response: the response.
        function: the function that it is to define, or "" for a script. Of several blocks, the last that defines it
            counts, so that an example of its use behind it is not taken for the answer.
    """
    said = spoken(response)
    if said.fault:
        return Found(None, None, (), f"there is no answer: {said.fault}")
    blocks = [
        replace(b, span=(b.span[0] + said.offset, b.span[1] + said.offset)) for b in fenced(said.answer)
    ]
    if blocks and not blocks[-1].closed and response.finish_reason == "length":
        return Found(
            None,
            None,
            (
                *(_rejected(block, "a later block is the answer") for block in blocks[:-1]),
                _rejected(blocks[-1], "it is cut off"),
            ),
            "the answer is cut off in the middle of its program",
        )
    if blocks:
        return _choose(blocks, function)
    whole = said.answer.strip()
    if not whole:
        return Found(None, None, (), "the answer is empty")
    start = said.offset + said.answer.index(whole)
    span = (start, start + len(whole))
    if is_program(whole, function):
        return Found(whole, span, (Candidate(whole, span),))
    why = "it is not a Python program" + (f" that defines `{function}`" if function else "")
    return Found(
        None,
        None,
        (Candidate(whole, span, why),),
        "there is no fenced block, and the answer as a whole is no program",
    )


def fenced(text: str) -> list[Block]:
    """Every fenced block of a text, in order."""
    found: list[Block] = []
    at = 0
    opening: re.Match[str] | None = None
    start = 0
    for line in _lines(text):
        bare = line.rstrip("\r\n")
        if opening is None:
            match = _OPENING.match(bare)
            # An info string behind backticks holds no backtick: that would be code in a line of prose.
            if match and not (match["fence"][0] == "`" and "`" in match["info"]):
                opening, start = match, at + len(line)
        elif _closes(bare, opening["fence"]):
            found.append(_block(text, opening, start, at, closed=True))
            opening = None
        at += len(line)
    if opening is not None:
        found.append(_block(text, opening, start, len(text), closed=False))
    return found


def is_program(text: str, function: str = "") -> bool:
    """Whether a text that nothing marks as code is Python all the same, and does something."""
    tree = parse(text)
    if tree is None:
        return False
    if function:
        return defines(tree, function)
    doing = (
        ast.FunctionDef,
        ast.ClassDef,
        ast.Import,
        ast.ImportFrom,
        ast.Assign,
        ast.For,
        ast.While,
        ast.Call,
    )
    return any(isinstance(node, doing) for node in ast.walk(tree))


def parse(code: str) -> ast.Module | None:
    """The syntax of a program, or None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a model's program is no concern of ours
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defines(tree: ast.Module, function: str) -> bool:
    """Whether a program has a function of a name, or a class `Solution` that has it as a method."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function:
            return True
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == function for t in node.targets
        ):
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(
            (a.asname or a.name) == function for a in node.names
        ):
            return True
        if (
            isinstance(node, ast.ClassDef)
            and node.name == "Solution"
            and any(isinstance(part, ast.FunctionDef) and part.name == function for part in node.body)
        ):
            return True
    return False


def _choose(blocks: list[Block], function: str) -> Found:
    why: dict[int, str] = {}
    python = [n for n, block in enumerate(blocks) if block.language in PYTHON]
    if not python:
        for n, block in enumerate(blocks):
            if block.language:
                why[n] = f"its language is `{block.language}`"
            elif not is_program(block.code):
                why[n] = "it names no language and is not a Python program"
        python = [n for n in range(len(blocks)) if n not in why]
    else:
        for n, block in enumerate(blocks):
            if n not in python:
                why[n] = (
                    f"its language is `{block.language}`"
                    if block.language
                    else "it names no language, and others are Python"
                )
    for n in python:
        if not blocks[n].code.strip():
            why[n] = "it is empty"
    python = [n for n in python if n not in why]
    if not python:
        return Found(None, None, _record(blocks, why), "none of the fenced blocks is a Python program")
    chosen = python[-1]
    if function:
        able = [n for n in python if (tree := parse(blocks[n].code)) is not None and defines(tree, function)]
        chosen = able[-1] if able else chosen
        for n in python:
            if n > chosen:
                why[n] = f"it does not define `{function}`, and a block before it does"
    for n in python:
        if n < chosen:
            why[n] = "a later block is the answer"
    block = blocks[chosen]
    return Found(block.code, block.span, _record(blocks, why))


def _record(blocks: list[Block], why: dict[int, str]) -> tuple[Candidate, ...]:
    return tuple(_rejected(block, why.get(n, "")) for n, block in enumerate(blocks))


def _rejected(block: Block, why: str) -> Candidate:
    return Candidate(block.code, block.span, why)


def _lines(text: str) -> list[str]:
    """Lines as Markdown has them: other separators, which `str.splitlines` knows, may stand in a string of a program."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t")
    return len(bare) >= len(fence) and not bare.strip(fence[0])


def _block(text: str, opening: re.Match[str], start: int, end: int, *, closed: bool) -> Block:
    indent = opening["indent"]
    lines = _lines(text[start:end])
    if indent:
        lines = [
            line.removeprefix(indent) if line.startswith(indent) else line.lstrip(" \t") for line in lines
        ]
    language = opening["info"].strip().split(maxsplit=1)[0] if opening["info"].strip() else ""
    language = language.strip("{}.").partition(",")[0].lower()
    return Block("".join(lines), language, (start, end), closed)
