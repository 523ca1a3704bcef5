"""Forms made of forms: one form within another's part, front matter over a body, Python dictionaries, rows of a table."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataforge.verifiers.formats.form import (
    Around,
    Form,
    Limits,
    Part,
    Reading,
    Values,
    broken,
    one_of,
    shifted,
)
from dataforge.verifiers.formats.markdown import Lines, escape, parse, plain
from dataforge.verifiers.formats.shape import Bare, Path
from dataforge.verifiers.formats.structured import NotWellFormed, Structured
from dataforge.verifiers.formats.yaml_form import Yaml
from dataforge.verifiers.protocol import Candidate, Span


class Nest(Form):
    """A form in which some parts are themselves in a form.

    Args:
        outer: the form around; its parts named in `inner` hold text of that form.
        inner: part of the outer form → the form of what stands there.
    """

    def __init__(self, outer: Form, inner: Mapping[str, Form]) -> None:
        self.outer, self.inner = outer, inner
        self.around = outer.around
        self.asides = outer.asides
        self.swallows = outer.swallows and outer.parts[-1] not in inner
        self.repeats = outer.repeats
        made: list[str] = []
        for part in outer.parts:
            made.extend(inner[part].parts if part in inner else (part,))
        self.parts = tuple(made)

    def _outer_values(self, values: Values, rng: random.Random | None = None) -> dict[str, str]:
        return {
            part: self.inner[part].write(values, rng) if part in self.inner else values[part]
            for part in self.outer.parts
        }

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return self.outer.write(self._outer_values(values, rng), rng)

    def read(self, text: str) -> Reading:
        outside = self.outer.read(text)
        if outside.fault:
            return outside
        parts: dict[str, Part] = {}
        candidates: list[Candidate] = []
        for name, part in outside.parts.items():
            if name not in self.inner:
                parts[name] = part
                candidates.append(Candidate(part.text, part.span))
                continue
            # Where escapes were undone, places within the part are none of the text.
            kept = part.span is not None and text[slice(*part.span)] == part.text
            reading = self.inner[name].read(part.text)
            if kept and part.span is not None:
                reading = shifted(reading, part.span[0])
            else:
                reading = Reading(
                    {key: Part(p.text, None, p.also) for key, p in reading.parts.items()},
                    reading.fault,
                    tuple(Candidate(c.text, None, c.rejected) for c in reading.candidates),
                )
            candidates.extend(reading.candidates)
            if reading.fault:
                return broken(
                    f"in the {name}: {reading.fault}",
                    candidates or [Candidate(part.text, part.span, reading.fault)],
                )
            parts.update(reading.parts)
        return Reading(parts, "", tuple(candidates))

    def refuses(self, values: Values) -> str:
        for form in self.inner.values():
            if why := form.refuses(values):
                return why
        return self.outer.refuses(self._outer_values(values))

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        whole = self._outer_values(values)
        yield from self.outer.spoil(whole, rng)
        for part, form in self.inner.items():
            for note, text in form.spoil(values, rng):
                changed = {**whole, part: text}
                if text.strip() and not self.outer.refuses(changed):
                    yield f"{note}, in the {part}", self.outer.write(changed)


class FrontMatter(Form):
    """YAML between two `---` lines at the very beginning, and text after it."""

    swallows = True
    repeats = True

    def __init__(self, head: Yaml, body: str) -> None:
        self.head, self.body = head, body
        self.parts = (*head.parts, body)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return f"---\n{self.head.write(values, rng)}\n---\n\n{values[self.body]}"

    def read(self, text: str) -> Reading:
        start = len(text) - len(text.lstrip())
        rows = text[start:].split("\n")
        if rows[0].rstrip() != "---":
            return broken("it does not begin with a line `---`")
        close = next((i for i, row in enumerate(rows[1:], 1) if row.rstrip() == "---"), None)
        if close is None:
            return broken("the front matter is never closed")
        at = start + len(rows[0]) + 1
        reading = shifted(self.head.read("\n".join(rows[1:close])), at)
        if reading.fault:
            return broken(f"in the front matter: {reading.fault}", reading.candidates)
        from_ = start + sum(len(row) + 1 for row in rows[: close + 1])
        body = text[from_:].strip()
        if not body:
            return broken("there is nothing after the front matter", reading.candidates)
        place = text.find(body, from_)
        part = Part(body, (place, place + len(body)))
        return Reading(
            {**reading.parts, self.body: part}, "", (*reading.candidates, Candidate(body, part.span))
        )

    def refuses(self, values: Values) -> str:
        body = values[self.body]
        if any(row.rstrip() == "---" for row in body.split("\n")):
            return "it holds a line `---`"
        return self.head.refuses(values) or Limits().refuses(body)

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        head = self.head.write(values)
        yield "never opened", f"{head}\n---\n\n{values[self.body]}"
        yield "never closed", f"---\n{head}\n\n{values[self.body]}"
        yield "no body", f"---\n{head}\n---\n"
        for note, text in self.head.spoil(values, rng):
            if "---" not in text and "code fence" not in note:
                yield f"{note}, in the front matter", f"---\n{text}\n---\n\n{values[self.body]}"


class PythonDict(Structured):
    """A Python literal and nothing else, by `ast`."""

    language = "a Python literal"
    halves = True

    def parse(self, text: str) -> tuple[Any, Callable[[Path], Span | None]]:
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise NotWellFormed("it does not parse") from None
        return _value(node), lambda path: None

    def dump(self, value: Any, rng: random.Random | None) -> str:
        if isinstance(value, Bare):
            return str(value)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key!r}: {self.dump(item, rng)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            items = ", ".join(self.dump(item, rng) for item in value)
            return f"({items},)" if len(value) == 1 else f"({items})"
        return repr(value)

    def broken_syntax(self, text: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        yield "cut off", text[:-1]
        yield "assigned", f"answer = {text}"
        yield "text before it", f"Sure: {text}"
        yield "in a code fence", f"```python\n{text}\n```"


def _value(node: ast.expr) -> Any:
    """The data of a literal: tuples are lists here, since only their items matter."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            return Bare(str(node.value))
        return Bare(ast.unparse(node)) if isinstance(node.value, (int, float)) else node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        return Bare(ast.unparse(node))
    if isinstance(node, ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        made: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                raise NotWellFormed("a key is not a string")
            if key.value in made:
                raise NotWellFormed("a key is there twice")
            made[key.value] = _value(value)
        return made
    raise NotWellFormed("it holds more than dictionaries, tuples, strings and numbers")


class TableRows(Form):
    """A Markdown table with one row a part, its name in the first cell.

    Args:
        header: of the two columns.
        rows: part → its name.
    """

    around: Around = "before"

    def __init__(self, header: tuple[str, str], rows: dict[str, str]) -> None:
        self.header, self.rows = header, rows
        self.parts = tuple(rows)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        body = [f"| {title} | {escape(values[part])} |" for part, title in self.rows.items()]
        return "\n".join((f"| {self.header[0]} | {self.header[1]} |", "| --- | --- |", *body))

    def read(self, text: str) -> Reading:
        tokens = parse(text)
        lines = Lines(text)
        tables = [t for t in tokens if t.type == "table_open"]
        hits: list[tuple[Span, Part]] = [(lines.span(t.map or (0, 0)), Part("-")) for t in tables]
        reading = one_of(text, hits, "table", self.around)
        if reading.fault:
            return reading
        said = [tokens[i + 1] for i, t in enumerate(tokens) if t.type in ("th_open", "td_open")]
        cells = [plain(cell.children or ()).strip() for cell in said]
        raw = [cell.content.strip() for cell in said]
        if tuple(cells[:2]) != self.header or len(cells) != 2 + 2 * len(self.rows):
            return broken(
                "the table does not have its two columns and its rows",
                [Candidate(c[:200], None, "not the table that it should be") for c in cells[:20]],
            )
        if cells[2::2] != list(self.rows.values()):
            return broken(
                f"its rows are not exactly {', '.join(self.rows.values())}",
                [Candidate(c[:200], None, "a wrong row") for c in cells[2:22]],
            )
        parts: dict[str, Part] = {}
        at = hits[0][0][0]
        for part, content, source in zip(self.parts, cells[3::2], raw[3::2], strict=True):
            if not content:
                return broken(f"the {part} is empty")
            found = text.find(source, at)
            span = (found, found + len(source)) if found >= 0 else None
            parts[part] = Part(content, span, (source,))
            at = found + len(source) if found >= 0 else at
        return Reading(parts, "", tuple(Candidate(p.text, p.span) for p in parts.values()))

    def refuses(self, values: Values) -> str:
        return next((w for part in self.parts if (w := Limits(lines=False).refuses(values[part]))), "")

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        rows = text.split("\n")
        yield "a row missing", "\n".join(rows[:-1])
        yield "a row too many", "\n".join((*rows, "| More | of it |"))
        yield "no rule under the header", "\n".join((rows[0], *rows[2:]))
        yield "an empty cell", self.write({**values, self.parts[0]: ""})
        yield "a wrong header", text.replace(self.header[0], "Thing", 1)
