"""What declarations share: the file around them, the settings in their braces, and the constants that they write."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from dataforge.domain.conditions import (
    Term,
    Terms,
)
from dataforge.domain.expressions import Resolver
from dataforge.domain.python import PythonImports, PythonRefused
from dataforge.domain.scope import FileScope
from dataforge.domain.structs import FieldType, StructType
from dataforge.domain.templates import Template, Variable, check
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source, Span, did_you_mean

_SAMPLING: dict[str, tuple[Callable[[Any], bool], str]] = {
    "temperature": (lambda v: is_number(v) and 0 <= v <= 5, "a number from 0 to 5"),
    "top_p": (lambda v: is_number(v) and 0 < v <= 1, "a number above 0 and up to 1"),
    "max_tokens": (lambda v: is_int(v) and v >= 1, "a whole number from 1"),
    "seed": (lambda v: is_int(v), "a whole number"),
    "stop": (
        lambda v: isinstance(v, str) or (isinstance(v, tuple) and all(isinstance(x, str) for x in v)),
        "text, or a list of texts",
    ),
}
THINKING = ("on", "off", "auto")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass
class Surroundings:
    """What resolving a file's nodes and graphs needs besides the file itself."""

    scope: FileScope
    terms: Terms
    python: PythonImports
    read_text: Callable[[str, Span], Source | None]
    """Reads a file named in the source, relative to it; None after a report."""
    refs: dict[tuple[str, ...], Term] = field(default_factory=dict)
    """References of this file that were resolved before."""

    @property
    def report(self) -> Report:
        return self.scope.report

    @property
    def source(self) -> Source:
        return self.scope.source

    def error(self, code: str, message: str, span: Span, help: str = "") -> None:
        self.report.error(code, message, self.source, span, help)

    def resolver(self) -> Resolver:
        return Resolver(self.scope, self.terms, self.source, self.report, self.refs)

    def template(
        self, text: s.Text, structs: Mapping[str, StructType], variables: Mapping[str, Variable]
    ) -> Template | None:
        """A prompt, written in place or in a file, checked."""
        if not text.is_file:
            return check(
                text.value, structs, variables, self.source, text.span, self.report, self.scope.broken
            )
        source = self.read_text(text.value, text.span)
        if source is None:
            return None
        body = source.text.removesuffix("\n")
        whole = Span(0, len(source.text))
        return check(body, structs, variables, source, whole, self.report, self.scope.broken)

    def function(self, target: s.Literal) -> Callable[..., Any] | None:
        """The Python function that a clause names, or None after a report."""
        try:
            found = self.python.attribute(str(target.value))
        except PythonRefused as refused:
            self.error(refused.code, str(refused), target.span, refused.help)
            return None
        if not callable(found):
            self.error(
                "F023", f"`{target.value}` is no function", target.span, "name a function of that module"
            )
            return None
        return found


def sampling_settings(
    settings: tuple[s.Setting, ...], around: Surroundings, others: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, s.Setting]]:
    """Split settings into sampling parameters (checked) and the `others` by name; the rest is reported."""
    sampling: dict[str, Any] = {}
    rest: dict[str, s.Setting] = {}
    seen: set[str] = set()
    for setting in settings:
        name = setting.name.text
        if name in seen:
            around.error("F024", f"`{name}` is set twice", setting.span, "keep one of them")
            continue
        seen.add(name)
        if name in _SAMPLING:
            value: Any = setting.value.value if isinstance(setting.value, s.Literal) else None
            if isinstance(value, tuple):
                value = tuple(item.value for item in value)
            good, wanted = _SAMPLING[name]
            if value is None or not good(value):
                around.error("F024", f"`{name}` wants {wanted}", setting.span)
            else:
                sampling[name] = value
        elif name in others:
            rest[name] = setting
        else:
            around.error(
                "F024",
                f"there is no setting `{name}` here",
                setting.name.span,
                f"did you mean `{setting.value} {name}`?"
                if isinstance(setting.value, s.Ref) and str(setting.value) in (*_SAMPLING, *others)
                else did_you_mean(name, [*_SAMPLING, *others]),
            )
    return sampling, rest


def thinking_mode(setting: s.Setting | None, around: Surroundings) -> Any:
    """`on`, `off` or `auto`, as a setting says it; `auto` where it says nothing, or something else after a report."""
    if setting is None:
        return "auto"
    value = setting.value
    word = str(value) if isinstance(value, s.Ref) else value.value if isinstance(value, s.Literal) else None
    if isinstance(word, bool):
        return "on" if word else "off"
    if word not in THINKING:
        around.error("F024", "`thinking` wants `on`, `off` or `auto`", setting.span)
        return "auto"
    return word


def plain(literal: s.Literal) -> Any:
    """A literal as a Python value."""
    return [plain(item) for item in literal.value] if isinstance(literal.value, tuple) else literal.value


def misfit(struct: StructType, name: str, value: Any) -> str:
    """Why a value does not fit a field; empty where it does."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    lax = isinstance(value, int | float) and struct.fields[name].type.base in ("int", "float")
    try:
        field_adapter(struct, name).validate_python(value, strict=not lax)
    except ValidationError as error:
        return error.errors(include_url=False)[0]["msg"]
    return ""


@functools.lru_cache(maxsize=4_096)
def field_adapter(struct: StructType, name: str) -> TypeAdapter[Any]:
    """Validator of one field; making one costs a hundred times as much as using it."""
    info = struct.model.model_fields[name]
    annotation: Any = info.annotation
    return TypeAdapter(Annotated[(annotation, *info.metadata)] if info.metadata else annotation)


def fitting(type: FieldType, value: Any) -> str:
    """A help line: what to write for a value that does not fit a type."""
    if type.base == "enum":
        return did_you_mean(str(value), [str(v) for v in type.values.listed(64) or ()], f"give it {type}")
    return f"give it {type}"
