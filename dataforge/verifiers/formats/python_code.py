"""Python source by `ast`: a statement with a string where the answer stands.

A pattern is Python itself with the name `ANSWER_HERE` for the hole; pattern and answer are compared as syntax trees, so
quotes, escapes, layout and comments are free while the statement is not. Comments are no part of a tree and come from
`tokenize`.
"""

from __future__ import annotations

import ast
import io
import json
import random
import re
import tokenize
import warnings
from collections.abc import Iterator

from dataforge.verifiers.formats.form import CONTROL, Form, Limits, Part, Reading, Values, broken
from dataforge.verifiers.protocol import Candidate, Span

HOLE = "ANSWER_HERE"


def parse(source: str) -> ast.Module | str:
    """The tree, or what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape such as "\d" is a model's, and legal
            return ast.parse(source)
    except SyntaxError as error:
        return f"it is not Python: {error.msg} at line {error.lineno}"
    except (ValueError, RecursionError, MemoryError):
        return "it is not Python: it holds what the language does not, or nests too deeply"


def spans(source: str, node: ast.AST) -> Span | None:
    """Where a node stands, in characters."""
    row, end_row = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
    if not row:
        return None
    rows = re.split("(?<=\n)|(?<=\r)(?!\n)", source)
    before, before_end = sum(map(len, rows[: row - 1])), sum(map(len, rows[: end_row - 1]))
    return (
        before + len(rows[row - 1].encode()[: node.col_offset].decode()),  # type: ignore[attr-defined]
        before_end + len(rows[end_row - 1].encode()[: node.end_col_offset].decode()),  # type: ignore[attr-defined]
    )


class PythonCode(Form):
    """A Python module that is exactly the pattern, with a string literal in the hole.

    Args:
        pattern: Python source with `ANSWER_HERE`.
        triple: whether the string must be triple-quoted.
    """

    def __init__(self, pattern: str, triple: bool = False) -> None:
        self.pattern, self.triple = pattern, triple
        tree = parse(pattern)
        assert isinstance(tree, ast.Module)
        self._tree = tree

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        text = values["answer"]
        if self.triple:
            return self.pattern.replace(HOLE, f'"""{text.translate(_TRIPLE)}"""')
        if rng is not None and text.isprintable() and rng.random() < 0.4:
            return self.pattern.replace(HOLE, json.dumps(text, ensure_ascii=False))
        return self.pattern.replace(HOLE, repr(text))

    def read(self, text: str) -> Reading:
        if not text.strip():
            return broken("there is nothing")
        source = text.lstrip("\n")
        lead = len(text) - len(source)
        tree = parse(source)
        if isinstance(tree, str):
            return broken(tree)
        found: list[ast.expr] = []
        fault = _differs(self._tree, tree, found)
        if fault or len(found) != 1:
            said = [
                n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
            return broken(
                fault or "the string is not there exactly once",
                [Candidate(text[:200], None, "the code is not of the form") for text in said[:20]],
            )
        node = found[0]
        where = spans(source, node)
        literal = source[slice(*where)] if where else ""
        content = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else literal
        if not content.strip():
            return broken("the string is empty")
        span = (where[0] + lead, where[1] + lead) if where else None
        if self.triple and not re.match(r"[rRuU]?(\"\"\"|''')", literal):
            return broken(
                "the string is not in triple quotes", [Candidate(content, span, "not in triple quotes")]
            )
        part = Part(content.strip(), span)
        return Reading({"answer": part}, "", (Candidate(part.text, span),))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := Limits(control=True).refuses(text):
            return why
        if self.triple and CONTROL.search(text):
            return "it has control characters"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "a statement too many", f"{text}\npass"
        yield "the string never closed", self.pattern.replace(HOLE, "'open")
        yield "a bare name instead of the string", self.pattern.replace(HOLE, "unknown")
        yield "an empty string", self.pattern.replace(HOLE, "''")
        yield "two strings in a list", self.pattern.replace(HOLE, f"[{values['answer']!r}, 'b']")
        if not self.triple:
            yield "an f-string", self.pattern.replace(HOLE, "f'{1}'")


_TRIPLE = {ord("\\"): "\\\\", ord('"'): '\\"'}


def _differs(pattern: object, tree: object, found: list[ast.expr]) -> str:
    """What differs between two trees, the hole aside; empty where nothing does."""
    if isinstance(pattern, ast.Name) and pattern.id == HOLE:
        if not _literal(tree):
            return "there is no string where the answer should be"
        found.append(tree)  # type: ignore[arg-type]
        return ""
    if type(pattern) is not type(tree):
        return "the code is not of the form"
    if isinstance(pattern, ast.AST):
        for name in pattern._fields:
            # A function may say what it returns: the form says nothing of it.
            if name in ("ctx", "type_comment", "kind") or (
                name == "returns" and getattr(pattern, name, None) is None
            ):
                continue
            if fault := _differs(getattr(pattern, name, None), getattr(tree, name, None), found):
                return fault
        return ""
    if isinstance(pattern, list):
        assert isinstance(tree, list)
        if len(pattern) != len(tree):
            return "there is more or less code than the form has"
        return next(
            (fault for p, t in zip(pattern, tree, strict=True) if (fault := _differs(p, t, found))), ""
        )
    return "" if pattern == tree else "the code is not of the form"


def _literal(node: object) -> bool:
    """Whether it is a string or a number, the number perhaps with a sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
        return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float))


class PythonComment(Form):
    """Python source that is one comment and nothing else, as `tokenize` sees it."""

    def __init__(self, label: str = "") -> None:
        self.label = label

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return f"# {self.label}{values['answer']}"

    def read(self, text: str) -> Reading:
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(text.strip() + "\n").readline))
        except (tokenize.TokenError, SyntaxError, ValueError):
            return broken("it is not Python")
        said = [t for t in tokens if t.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)]
        if len(said) != 1 or said[0].type != tokenize.COMMENT:
            comments = [t.string for t in said if t.type == tokenize.COMMENT]
            return broken(
                f"there are {len(comments)} comments" if comments else "there is no comment",
                [Candidate(c, None, "not the only thing there") for c in comments],
            )
        lead = len(text) - len(text.lstrip())
        comment = said[0].string.lstrip("#").strip()
        if not comment.startswith(self.label):
            return broken(
                f"the comment does not begin with `{self.label}`", [Candidate(comment, None, "no label")]
            )
        content = comment.removeprefix(self.label).strip()
        if not content:
            return broken("the comment is empty")
        at = text.find(content, lead)
        part = Part(content, (at, at + len(content)))
        return Reading({"answer": part}, "", (Candidate(content, part.span),))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if not self.label and text.startswith("#"):
            return "it begins with `#`"
        return Limits(lines=False).refuses(text)

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "code after it", f"{text}\npass"
        yield "two comments", f"{text}\n{text}"
        yield "no comment", f"answer = {values['answer']!r}"
        yield "nothing in it", "#"


class PythonSource(Form):
    """Any Python source that parses: the answer is the program itself."""

    repeats = True

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return values["answer"]

    def read(self, text: str) -> Reading:
        content = text.strip("\n").rstrip()
        tree = parse(content)
        if isinstance(tree, str):
            return broken(tree, [Candidate(content[:200], None, tree)] if content.strip() else [])
        if not tree.body:
            return broken("there is no statement")
        at = text.find(content)
        return Reading({"answer": Part(content, (at, at + len(content)))}, "", (Candidate(content),))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := Limits().refuses(text):
            return why
        tree = parse(text)
        if isinstance(tree, str):
            return "it is not Python"
        return "" if tree.body else "it holds no statement"

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield "prose before it", f"Here is the code you want:\n{values['answer']}"
        yield "a bracket never closed", f"{values['answer']}\nprint((1)"
        yield "only a comment", "# the code goes here"
