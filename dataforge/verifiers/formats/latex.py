"""Forms of LaTeX: a command, an environment, a formula, a fixed frame; all over the tokenizer of `latex_source`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Literal

from dataforge.verifiers.formats.form import (
    Around,
    Form,
    Limits,
    Part,
    Reading,
    Values,
    beside,
    broken,
    one_of,
    trimmed,
)
from dataforge.verifiers.formats.latex_source import TOKEN, escape, tokenize, unescape
from dataforge.verifiers.protocol import Candidate, Span


def _well_formed(text: str) -> str:
    """Why a piece of LaTeX cannot stand within other LaTeX; empty where it can."""
    if text.endswith("\\") and not text.endswith("\\\\"):
        return "it ends with a backslash"
    source = tokenize(text)
    if source.fault:
        return f"it is no LaTeX that can stand alone: {source.fault}"
    if re.search(r"(?<!\\)(?:\\\\)*%", text):
        return "it has a LaTeX comment"
    return ""


def _part(text: str, span: Span, escapes: bool) -> Part:
    left, right = trimmed(text, *span)
    raw = text[left:right]
    return Part(unescape(raw), (left, right), (raw,)) if escapes and "\\" in raw else Part(raw, (left, right))


Content = Literal["text", "source", "verbatim"]
"""Text with escapes, LaTeX taken as it stands, or text taken as it stands."""


class LatexCommand(Form):
    """One command with what stands in its braces.

    Args:
        name: without the backslash.
        content: how the group is read.
        around: see `Form`.
        shift: the mathematics it must stand alone in, such as `$$`; "" for anywhere.
        before, after: what else must be there, such as `\\newcommand{\\answer}`.
    """

    def __init__(
        self, name: str, content: Content = "text", around: Around = "anything", shift: str = ""
    ) -> None:
        self.name, self.content, self.around, self.shift = name, content, around, shift
        self.asides = (
            f"% \\{name}{{not this, it is a comment}}",
            "There may be other macros such as \\LaTeX{} nearby, at 5\\% or so.",
        )

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        text = values["answer"]
        pad = " " if rng is not None and rng.random() < 0.2 else ""
        made = f"\\{self.name}{{{pad}{escape(text) if self.content == 'text' else text}{pad}}}"
        return f"{self.shift}{made}{_closing(self.shift)}" if self.shift else made

    def read(self, text: str) -> Reading:
        source = tokenize(text)
        hits: list[tuple[Span, Part]] = []
        for command in source.commands:
            if command.name != self.name:
                continue
            if command.group is None:
                return broken(f"`\\{self.name}` has no group in braces")
            whole = (command.start, command.end)
            for formula in source.formulas if not self.shift else ():
                if (
                    text[slice(*formula.inside)].strip() == text[slice(*whole)]
                    and formula.start < whole[0] < formula.end
                ):
                    whole = (formula.start, formula.end)  # `$\\boxed{15}$`
            hits.append((whole, _part(text, command.group, self.content == "text")))
        reading = one_of(text, hits, f"`\\{self.name}`", "anything" if self.shift else self.around)
        if reading.fault:
            return reading
        if not self.shift:
            return reading
        (start, end), part = hits[0]
        home = [f for f in source.formulas if f.inside[0] <= start and end <= f.inside[1]]
        fault = f"`\\{self.name}` does not stand alone between `{self.shift}` and `{_closing(self.shift)}`"
        if not home or home[0].shift != self.shift or text[slice(*home[0].inside)].strip() != text[start:end]:
            return broken(fault, [Candidate(part.text, part.span, fault)])
        if fault := beside(text, home[0].start, home[0].end, self.around):
            return broken(fault, [Candidate(part.text, part.span, fault)])
        return reading

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := Limits(trims_lines=self.content == "text").refuses(text):
            return why
        if self.content == "text":
            return ""
        if why := _well_formed(text):
            return why
        source = tokenize(text)
        if any(command.name == self.name for command in source.commands):
            return f"it holds `\\{self.name}` itself"
        if self.shift and source.formulas:
            return "it holds mathematics of its own"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        cut = text.rfind("}")
        yield "never closed", text[:cut] + text[cut + 1 :]
        yield "nothing in it", self.write({"answer": " "})
        yield "a wrong command", text.replace(f"\\{self.name}", "\\wrong", 1)
        yield "in a comment", "\n".join(f"% {line}" for line in text.split("\n"))
        if self.shift:
            yield "not alone in its formula", text.replace(f"\\{self.name}", f"x = \\{self.name}", 1)


def _closing(shift: str) -> str:
    return {"\\(": "\\)", "\\[": "\\]"}.get(shift, shift)


class LatexFormula(Form):
    """One formula between `$`, `$$`, `\\(` or `\\[`.

    Args:
        shift: the opening mark.
        lead: what the formula must begin with, such as `\\therefore`.
        end: what it must end with.
    """

    def __init__(self, shift: str, lead: str = "", end: str = "", around: Around = "anything") -> None:
        self.shift, self.lead, self.end, self.around = shift, lead, end, around
        self.asides = ("It costs \\$5 and no more.", "% a comment with $x$ in it")

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        pad = "" if rng is None else rng.choice(("", " ", "\n" if self.shift in ("$$", "\\[") else ""))
        lead = f"{self.lead} " if self.lead else ""
        end = f" {self.end}" if self.end else ""
        return f"{self.shift}{pad}{lead}{values['answer']}{end}{pad}{_closing(self.shift)}"

    def read(self, text: str) -> Reading:
        source = tokenize(text)
        hits: list[tuple[Span, Part]] = []
        wrong = ""
        for formula in source.formulas:
            if formula.shift != self.shift:
                wrong = f"there is a formula between other marks, `{formula.shift}`"
                continue
            left, right = trimmed(text, *formula.inside)
            if not text.startswith(self.lead, left, right) or not text.endswith(self.end, left, right):
                wrong = f"the formula does not {f'begin with `{self.lead}`' if self.lead else f'end with `{self.end}`'}"
                continue
            left, right = trimmed(text, left + len(self.lead), right - len(self.end))
            hits.append(((formula.start, formula.end), Part(text[left:right], (left, right))))
        reading = one_of(text, hits, f"formula in `{self.shift}`", self.around)
        if reading.fault:
            return reading
        return broken(source.fault or wrong, reading.candidates) if source.fault or wrong else reading

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := Limits().refuses(text) or _well_formed(text):
            return why
        if tokenize(text).formulas:
            return "it holds mathematics of its own"
        if re.search(r"\n\s*\n", text):
            return "a formula holds no empty line"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "never closed", text.removesuffix(_closing(self.shift))
        yield "nothing in it", f"{self.shift} {self.lead} {self.end} {_closing(self.shift)}"
        other = "\\[" if self.shift != "\\[" else "\\("
        yield (
            "between other marks",
            f"{other}{text[len(self.shift) : -len(_closing(self.shift))]}{_closing(other)}",
        )
        yield "without any marks", values["answer"]


class LatexEnvironment(Form):
    """One environment.

    Args:
        name: of the environment.
        content: how what is in it is read.
        item: what its content must begin with, once, such as `\\item` or `Answer &`.
        end: what its content must end with.
        argument: what stands behind `\\begin{name}`, such as `{ll}`.
        wrap: the mark of the formula it must fill, such as `\\[`; or "".
    """

    def __init__(
        self,
        name: str,
        content: Content = "text",
        item: str = "",
        end: str = "",
        argument: str = "",
        wrap: str = "",
        around: Around = "anything",
    ) -> None:
        self.name, self.content, self.item, self.end = name, content, item, end
        self.argument, self.wrap, self.around = argument, wrap, around
        self.asides = ("Other macros such as \\LaTeX{} may stand here, at 5\\% or so.",)

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        text = values["answer"]
        inner = escape(text) if self.content == "text" else text
        lead, end = f"{self.item} " if self.item else "", f" {self.end}" if self.end else ""
        made = f"\\begin{{{self.name}}}{self.argument}\n{lead}{inner}{end}\n\\end{{{self.name}}}"
        return f"{self.wrap}\n{made}\n{_closing(self.wrap)}" if self.wrap else made

    def read(self, text: str) -> Reading:
        source = tokenize(text)
        hits: list[tuple[Span, Part]] = []
        fault = ""
        for environment in source.environments:
            if environment.name != self.name:
                continue
            left, right = trimmed(text, *environment.inside)
            if not text.startswith(self.argument, left):
                fault = fault or f"`{self.argument}` is missing behind `\\begin{{{self.name}}}`"
            left, right = trimmed(text, left + len(self.argument), right)
            if not (text.startswith(self.item, left) and text.endswith(self.end, left, right)):
                fault = fault or f"the environment does not hold `{self.item} … {self.end}`"
            inside = (left + len(self.item), max(left + len(self.item), right - len(self.end)))
            again = text[slice(*inside)]
            if self.item.startswith("\\item") and any(c.name == "item" for c in tokenize(again).commands):
                fault = fault or "there is more than one item"
            if self.item.endswith("&") and re.search(r"(?<!\\)&|\\\\", again):
                fault = fault or "there is more than one row with two cells"
            span = (environment.start, environment.end)
            if self.wrap:
                home = [f for f in source.formulas if f.start <= span[0] and span[1] <= f.end]
                if (
                    not home
                    or home[0].shift != self.wrap
                    or text[slice(*home[0].inside)].strip() != text[slice(*span)]
                ):
                    fault = fault or f"it does not fill a formula in `{self.wrap}`"
                else:
                    span = (home[0].start, home[0].end)
            hits.append((span, _part(text, inside, self.content == "text")))
        reading = one_of(text, hits, f"environment `{self.name}`", self.around)
        return reading if reading.fault or not fault else broken(fault, reading.candidates)

    def refuses(self, values: Values) -> str:
        text = values["answer"]
        if why := Limits(trims_lines=self.content == "text").refuses(text):
            return why
        if self.content == "verbatim":
            return "it holds the end of the environment" if f"\\end{{{self.name}}}" in text else ""
        if self.content == "text":
            return "it is longer than a cell" if self.item.endswith("&") and "\n" in text else ""
        if why := _well_formed(text):
            return why
        source = tokenize(text)
        if source.formulas or re.search(r"\n\s*\n", text):
            return "it holds mathematics of its own or an empty line"
        if any(environment.name == self.name for environment in source.environments):
            return "it holds such an environment itself"
        if self.argument == "" and text.startswith(("[", "{")):
            return "it begins like an argument of the environment"
        return ""

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        end = f"\\end{{{self.name}}}"
        yield "never closed", text.replace(end, "")
        yield "closed by another", text.replace(end, "\\end{wrong}")
        yield (
            "another environment",
            text.replace(f"{{{self.name}}}", "{center}" if self.name != "center" else "{flushleft}"),
        )
        yield "nothing in it", self.write({"answer": " "})
        if self.item:
            yield "its lead is missing", text.replace(f"{self.item} ", "", 1)
        if self.wrap:
            yield "not in its formula", text.removeprefix(self.wrap).removesuffix(_closing(self.wrap))


class LatexLines(Form):
    """A fixed head and tail of LaTeX source with the answer between them, each there exactly once: definitions, documents.

    Args:
        opening: a pattern of all that the head may be; the head alone without it.
    """

    def __init__(
        self,
        head: str,
        tail: str,
        name: str,
        argument: bool = True,
        around: Around = "anything",
        opening: str = "",
    ) -> None:
        self.head, self.tail, self.name, self.argument, self.around = head, tail, name, argument, around
        self._opening = re.compile(opening or re.escape(head))

    def write(self, values: Values, rng: random.Random | None = None) -> str:
        return f"{self.head}{escape(values['answer'])}{self.tail}"

    def read(self, text: str) -> Reading:
        source = tokenize(text)
        opened = [self._opening.match(text, c.start) for c in source.commands if c.name == self.name]
        hits: list[tuple[Span, Part]] = []
        for start, inside in [match.span() for match in opened if match is not None]:
            close = _close(text, inside) if self.argument else text.find(self.tail, inside)
            if close < 0:
                return broken(source.fault or f"`{self.tail.strip()}` is missing")
            hits.append(((start, close + len(self.tail)), _part(text, (inside, close), True)))
        return one_of(text, hits, f"`{self.head.strip()}`", self.around)

    def refuses(self, values: Values) -> str:
        return Limits(trims_lines=True).refuses(values["answer"])

    def spoil(self, values: Values, rng: random.Random) -> Iterator[tuple[str, str]]:
        text = self.write(values)
        yield "its end is missing", text.removesuffix(self.tail)
        yield "its head is missing", text.removeprefix(self.head)
        yield "nothing in it", f"{self.head} {self.tail}"


def _close(text: str, inside: int) -> int:
    """Where the group that begins before `inside` is closed; -1 where it is not."""
    depth = 1
    at = inside
    while token := TOKEN.search(text, at):
        at = token.end()
        depth += {"{": 1, "}": -1}.get(token.group(3) or "", 0)
        if not depth:
            return token.start()
    return -1
