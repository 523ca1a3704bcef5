"""Records and configuration: CSV, INI, .env, shell, mail headers, doctest, plist-like and other line-based formats.

Each is read by the parser that the world reads it with: `csv`, `configparser`, `shlex`, `email`, `doctest`.
"""

from __future__ import annotations

import configparser
import csv
import doctest
import email
import email.policy
import io
import random
import re
import shlex
from collections.abc import Iterator, Sequence

from dataforge.verifiers.formats.form import Form, Limits, Part, Reading, Values, broken
from dataforge.verifiers.formats.shape import NUMBER
from dataforge.verifiers.protocol import Candidate


def _reading(parts: dict[str, str], text: str) -> Reading:
    """A reading with the spans of what stands in the text as it is."""
    made: dict[str, Part] = {}
    at = 0
    for name, content in parts.items():
        if not content.strip():
            return broken(f"the {name} is empty")
        found = text.find(content, at)
        made[name] = Part(content, (found, found + len(content)) if found >= 0 else None)
        at = max(found + len(content), at)
    return Reading(made, "", tuple(Candidate(p.text, p.span) for p in made.values()))


def _is_share(text: str) -> bool:
    return bool(NUMBER.fullmatch(text)) and 0 <= float(text) <= 1


class Table(Form):
    """A CSV table of an exact make.

    Args:
        rows: its cells; one of the form `{part}` is a hole.
        delimiter: between cells.
    """

    def __init__(self, rows: Sequence[Sequence[str]], delimiter: str = ",") -> None:
        self.rows, self.delimiter = rows, delimiter
        self.parts = tuple(cell[1:-1] for row in rows for cell in row if cell.startswith("{"))

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        out = io.StringIO()
        everything = rng is not None and rng.random() < 0.3
        writer = csv.writer(
            out,
            delimiter=self.delimiter,
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL,
        )
        writer.writerows([values[c[1:-1]] if c.startswith("{") else c for c in row] for row in self.rows)
        return out.getvalue().removesuffix("\n")

    def read(self, text: str) -> Reading:
        try:
            found = list(
                csv.reader(io.StringIO(text.strip(), newline=""), delimiter=self.delimiter, strict=True)
            )
        except csv.Error as error:
            return broken(f"it is not CSV: {error}")
        rows = [row for row in found if row]
        if not rows:
            return broken("there is nothing")
        flat = [
            Candidate(cell[:200], None, "the table is not of the form")
            for row in rows[:5]
            for cell in row[:5]
        ]
        if len(rows) != len(self.rows):
            return broken(f"there are {len(rows)} rows, not exactly {len(self.rows)}", flat)
        parts: dict[str, str] = {}
        for number, (row, wanted) in enumerate(zip(rows, self.rows, strict=True), 1):
            if len(row) != len(wanted):
                return broken(f"row {number} has {len(row)} cells, not {len(wanted)}", flat)
            for cell, want in zip(row, wanted, strict=True):
                if want.startswith("{"):
                    parts[want[1:-1]] = cell.strip()
                elif cell.strip() != want:
                    return broken(f"row {number} does not say `{want}` where it should", flat)
        return _reading(parts, text)

    def refuses(self, values: Values) -> str:
        for part in self.parts:
            if why := Limits().refuses(values[part]):
                return why
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "a row too many", f"{text}\nmore{self.delimiter}cells"
        yield "a quote never closed", f'{text}\n"x'
        yield "a cell too many", f"{text}{self.delimiter}x"
        if not self.rows[0][0].startswith("{"):
            yield "a wrong header", text.replace(self.rows[0][0], "Wrong", 1)
        yield "an empty cell", self.write({**values, self.parts[-1]: ""})
        yield (
            "other delimiters",
            text.replace(self.delimiter, "|").replace("\n", "|")
            if len(self.parts) > 1
            else f"|{text.replace(chr(10), '|')}|",
        )


class Ini(Form):
    """An INI file with one section, by `configparser`."""

    def __init__(self, section: str, keys: dict[str, str]) -> None:
        self.section, self.keys = section, keys
        self.parts = tuple(keys)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        sign = " = " if rng is None else rng.choice((" = ", "=", ": "))
        return "\n".join(
            (f"[{self.section}]", *(f"{key}{sign}{values[part]}" for part, key in self.keys.items()))
        )

    def read(self, text: str) -> Reading:
        parser = configparser.RawConfigParser(strict=True, empty_lines_in_values=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(text.strip())
        except configparser.Error as error:
            return broken(f"it is not INI: {str(error).splitlines()[0][:80]}")
        if parser.sections() != [self.section] or parser.defaults():
            return broken(f"its sections are not exactly `[{self.section}]`")
        items = dict(parser.items(self.section))
        if items.keys() != set(self.keys.values()):
            return broken(f"its keys are not exactly {', '.join(self.keys.values())}")
        if any("\n" in value for value in items.values()):
            return broken("a value has more than one line")
        return _reading({part: items[key] for part, key in self.keys.items()}, text)

    def refuses(self, values: Values) -> str:
        return next((why for part in self.parts if (why := Limits(lines=False).refuses(values[part]))), "")

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        head = f"[{self.section}]\n"
        yield "no section", text.removeprefix(head)
        yield "a wrong section", text.replace(head, "[other]\n", 1)
        yield "a key too many", f"{text}\nnote = x"
        yield "a key twice", f"{text}\n{text.removeprefix(head)}"
        yield "prose before it", f"Here it is:\n{text}"


class Assignment(Form):
    """A shell-like command whose words are `shlex`'s: one word holds the answer.

    Args:
        words: the words before the one with the answer.
        prefix: what that word begins with, such as `ANSWER=`.
        always: whether it must be quoted as a whole.
    """

    def __init__(self, words: tuple[str, ...], prefix: str = "", title: str = "shell") -> None:
        self.words, self.prefix, self.title = words, prefix, title

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        text = values["answer"]
        word = shlex.quote(text)
        if rng is not None and rng.random() < 0.4 and not re.search(r'["\\$`!]', text):
            word = f'"{text}"'
        return " ".join((*self.words, f"{self.prefix}{word}"))

    def read(self, text: str) -> Reading:
        lexer = shlex.shlex(text.strip(), posix=True, punctuation_chars=";|&<>()")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        try:
            words = list(lexer)
        except ValueError as error:
            return broken(f"it is not {self.title}: {error}")
        if not words:
            return broken("there is nothing")
        said = [Candidate(word[:200], None, "the command is not of the form") for word in words[:10]]
        if len(words) != len(self.words) + 1:
            return broken(f"it has {len(words)} words, not exactly {len(self.words) + 1}", said)
        if tuple(words[:-1]) != self.words or not words[-1].startswith(self.prefix):
            return broken(f"it does not begin with `{' '.join((*self.words, self.prefix)).strip()}`", said)
        return _reading({"answer": words[-1].removeprefix(self.prefix).strip()}, text)

    def refuses(self, values: Values) -> str:
        return Limits().refuses(values["answer"])

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "a word too many", f"{text} more"
        yield "a second command", f"{text}; ls"
        yield "a quote never closed", f"{' '.join((*self.words, self.prefix))}'open"
        yield "nothing in it", f"{' '.join((*self.words, self.prefix))}''"
        yield "without its lead", shlex.quote(values["answer"]) + " x y z"


class Header(Form):
    """Mail headers, by `email`; a body where the form has one."""

    def __init__(self, headers: dict[str, str], body: str = "") -> None:
        self.headers, self.body = headers, body
        self.swallows = self.repeats = bool(body)
        self.parts = (*headers, body) if body else tuple(headers)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        head = "\n".join(f"{name}: {values[part]}" for part, name in self.headers.items())
        return f"{head}\n\n{values[self.body]}" if self.body else head

    def read(self, text: str) -> Reading:
        if re.search("[\ud800-\udfff]", text):
            return broken("it holds half surrogates")
        message = email.message_from_string(text.strip(), policy=email.policy.compat32)
        body = str(message.get_payload()).strip()
        if message.keys() != list(self.headers.values()):
            seen = [
                Candidate(str(value)[:200], None, "the headers are not of the form")
                for value in message.values()
            ]
            return broken(f"its headers are not exactly {', '.join(self.headers.values())}", seen)
        if bool(body) != bool(self.body):
            return broken("the body is empty" if self.body else "there is text after the headers")
        values = [str(value) for value in message.values()]
        if any("\n" in value for value in values):
            return broken("a header has more than one line")
        parts = {part: value.strip() for part, value in zip(self.headers, values, strict=True)}
        if "confidence" in parts and not _is_share(parts["confidence"]):
            return broken("the confidence is no number from 0 to 1")
        return _reading({**parts, self.body: body} if self.body else parts, text)

    def refuses(self, values: Values) -> str:
        for part in self.parts:
            if why := Limits(lines=part == self.body).refuses(values[part]):
                return why
        return "" if _is_share(values.get("confidence", "1")) else "it is not from 0 to 1"

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        first = next(iter(self.headers.values()))
        yield "a wrong header", text.replace(f"{first}:", "X-Other:", 1)
        yield "a header too many", f"X-Note: yes\n{text}"
        yield "a header twice", f"{text.split(chr(10))[0]}\n{text}"
        yield "no colon", text.replace(f"{first}: ", f"{first} ", 1)
        if "confidence" in self.parts:
            yield "a confidence above one", self.write({**values, "confidence": "7"})
        yield "prose before it", f"Here it is\n\n{text}"


class Doctest(Form):
    """One doctest example: a prompt, an expression, and the answer as what it prints."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._parser = doctest.DocTestParser()

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return f">>> {self.source}\n{values['answer']}"

    def read(self, text: str) -> Reading:
        try:
            pieces = self._parser.parse(text.strip())
        except ValueError as error:
            return broken(f"it is no doctest: {str(error)[:80]}")
        examples = [piece for piece in pieces if isinstance(piece, doctest.Example)]
        if len(examples) != 1:
            return broken(
                f"there are {len(examples)} examples, not exactly one",
                [Candidate(e.want.strip(), None, "not the only one") for e in examples],
            )
        example = examples[0]
        if any(isinstance(piece, str) and piece.strip() for piece in pieces):
            return broken(
                "there is text beside the example", [Candidate(example.want.strip(), None, "not alone")]
            )
        if example.source.strip() != self.source:
            return broken(
                f"the example is not of `{self.source}`",
                [Candidate(example.want.strip(), None, "another example")],
            )
        return _reading({"answer": example.want.strip()}, text)

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if re.search(r"\n\s*\n|^\s*(>>>|\.\.\.)|#\s*doctest", text, re.MULTILINE):
            return "it has an empty line or a prompt of its own"
        return Limits().refuses(text) or ("it holds tabs, which doctest expands" if "\t" in text else "")

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "no output", f">>> {self.source}"
        yield "no prompt", text.removeprefix(">>> ")
        yield "another expression", text.replace(self.source, "other", 1)


_HUNK = re.compile(r"\A@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@[^\n]*\n")
"""The line that says which lines a piece of a unified diff is of; a new file has one piece and may leave it out."""


class Prefixed(Form):
    """Every line of the whole answer begins with the same mark: added lines of a diff, quoted mail.

    Args:
        mark: of each line.
        head: lines before them, as they are.
    """

    def __init__(self, mark: str, head: str = "") -> None:
        self.mark, self.head = mark, head

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        rows = "\n".join(f"{self.mark}{line}" for line in values["answer"].split("\n"))
        return f"{self.head}\n{rows}" if self.head else rows

    def read(self, text: str) -> Reading:
        body = text.strip()
        if self.head:
            if not body.startswith(f"{self.head}\n"):
                return broken(f"it does not begin with `{self.head.splitlines()[0]}`")
            body = body.removeprefix(self.head).strip("\n")
            body = _HUNK.sub("", body, count=1)
        if not body:
            return broken("there is nothing")
        rows = body.split("\n")
        bare = self.mark.rstrip()
        wrong = [row for row in rows if not (row.startswith(self.mark) or row == bare)]
        kept = [row.removeprefix(self.mark) if row.startswith(self.mark) else "" for row in rows]
        if wrong:
            said = [Candidate(row, None, "not every line begins with the mark") for row in kept if row]
            return broken(f"a line does not begin with `{bare}`", said)
        content = "\n".join(kept).strip()
        if not content:
            return broken("there is nothing behind the mark")
        start = text.find(body)
        part = Part(content, (start, start + len(body)))
        return Reading({"answer": part}, "", (Candidate(content, part.span),))

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        return Limits().refuses(text)

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "a line without the mark", f"{text}\nno mark here"
        yield "prose before it", f"Here it is:\n{text}"
        yield "no marks", values["answer"].replace(self.mark, "") + "\nplain"
        yield "nothing in it", f"{self.head}\n{self.mark}"
