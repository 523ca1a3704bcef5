"""Syntax → domain for examples: cases of a node or graph, with the models' answers written down.

An example is checked when the file is compiled (names, types, whether what it gives fits the structs), and tried by
`dataforge test`, which puts the written answers in the place of the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from dataforge.domain import actions as a
from dataforge.domain.settings import Surroundings, plain
from dataforge.domain.structs import FieldType, StructType, first_problem
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, did_you_mean, listing


class ExampleResolver:
    """Resolves one example."""

    def __init__(self, decl: s.ExampleDecl, around: Surroundings) -> None:
        self.decl = decl
        self.around = around

    def resolve(self) -> a.Example | None:
        """The example, or None where it is wrong; everything wrong with it is reported."""
        before = self.around.report.errors
        name = self.decl.name
        subject = self.around.scope.find(name.text, name.span, a.Node, a.Graph)
        if not isinstance(subject, a.Node | a.Graph):
            return None
        given: dict[str, BaseModel] = {}
        replies: dict[str, list[a.Reply]] = {}
        walk: tuple[str, ...] | None = None
        expect: list[s.Condition] = []
        reject: a.ExpectedRejection | None = None
        spans: dict[str, Span] = {}
        for clause in self.decl.clauses:
            match clause:
                case s.Given():
                    self._given(clause, given)
                case s.Says():
                    self._says(clause, subject, replies)
                case s.ExampleWalk(names):
                    spans.setdefault("walk", names[0].span)
                    walk = self._walk(names, subject, walk)
                case s.Expect(items):
                    spans.setdefault("expect", Span(items[0].span.start, items[-1].span.end))
                    expect.extend(items)
                case s.ExpectReject(reason, span):
                    spans.setdefault("reject", span)
                    reject = a.ExpectedRejection(str(reason.value) if reason is not None else "")
        if reject is not None and expect:
            self._misfit("a row that is rejected has no outcome to expect something of", spans["expect"], "")
        self._check_given(subject, given)
        condition = self.around.resolver().conjunction(expect)
        if self.around.report.errors > before:
            return None
        return a.Example(
            name.text,
            self.decl.doc or "",
            subject,
            given,
            {model: tuple(said) for model, said in replies.items()},
            walk,
            condition,
            reject,
            self.around.source,
            name.span,
            spans,
        )

    def _misfit(self, message: str, span: Span, help: str) -> None:
        self.around.error("F091", message, span, help)

    def _check_given(self, subject: a.Node | a.Graph, given: Mapping[str, BaseModel]) -> None:
        takes = subject.takes if isinstance(subject, a.Node) else subject.sources
        named = {c.struct.text for c in self.decl.clauses if isinstance(c, s.Given)}
        for struct in takes:
            if struct not in given and not self._is_named(struct, named):
                self._misfit(
                    f"`{subject.name}` takes `{struct}`, and the example gives none",
                    self.decl.name.span,
                    f"add `given {struct} {{ … }}`",
                )

    def _is_named(self, struct: str, named: set[str]) -> bool:
        """Whether a `given` names the struct, by whatever name the file has for it; a wrong one is reported already."""
        structs = self.around.scope.structs
        return any(name in structs and structs[name].name == struct for name in named)

    def _given(self, clause: s.Given, given: dict[str, BaseModel]) -> None:
        struct = self.around.resolver().struct_named(clause.struct.text, clause.struct.span)
        if struct is None:
            return
        if struct.name in given:
            self.around.error(
                "F042",
                f"`{struct.name}` is given twice",
                clause.struct.span,
                "a row holds one of each struct",
            )
            return
        before = self.around.report.errors
        values = self._fields(clause.fields, struct)
        if self.around.report.errors > before:
            return
        try:
            given[struct.name] = struct.model.model_validate(values)
        except ValidationError as error:
            missing = [f for f, spec in struct.fields.items() if spec.required and f not in values]
            help = f"add `{missing[0]} = …`" if missing else "give it what its type allows"
            wrong = error.errors(include_url=False)[0]["loc"][:1]
            at = next((f.name.span for f in clause.fields if (f.name.text,) == wrong), clause.struct.span)
            self.around.error("F090", f"this is no `{struct.name}`: {first_problem(error)}", at, help)

    def _fields(self, fields: tuple[s.GivenField, ...], struct: StructType) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in fields:
            name = field.name.text
            spec = struct.fields.get(name)
            if spec is None:
                self.around.error(
                    "F020",
                    f"`{struct.name}` has no field `{name}`",
                    field.name.span,
                    did_you_mean(name, struct.fields),
                )
            elif name in values:
                self.around.error(
                    "F042", f"`{name}` is written twice here", field.name.span, "a field has one value"
                )
            else:
                values[name] = self._value(field, spec.type)
        return values

    def _value(self, field: s.GivenField, type: FieldType) -> Any:
        if isinstance(field.value, s.Literal):
            return plain(field.value)
        if type.struct is not None:
            return self._fields(field.value, type.struct)
        self.around.error(
            "F021",
            f"`{field.name.text}` is {type}, and braces make a struct",
            field.name.span,
            f"give it {type}",
        )
        return None

    def _says(self, clause: s.Says, subject: a.Node | a.Graph, replies: dict[str, list[a.Reply]]) -> None:
        model = self.around.scope.find(clause.model.text, clause.model.span, a.Model)
        text = self._text(clause.text)
        reasoning = self._text(clause.reasoning) if clause.reasoning is not None else None
        if not isinstance(model, a.Model) or text is None:
            return
        nodes = [subject] if isinstance(subject, a.Node) else list(subject.nodes().values())
        asked = {step.model.name for n in nodes for step in n.steps if isinstance(step, a.Ask | a.Judge)}
        if model.name not in asked:
            if self.around.scope.broken:
                return  # a broken node, or one whose rubric is broken, may be what asks it
            self._misfit(
                f"`{subject.name}` asks no model `{model.name}`",
                clause.model.span,
                f"it asks {listing(sorted(asked))}" if asked else "remove the answer: it asks no model",
            )
            return
        replies.setdefault(model.name, []).append(a.Reply(text, reasoning))

    def _text(self, text: s.Text) -> str | None:
        if not text.is_file:
            return text.value
        source = self.around.read_text(text.value, text.span)
        return source.text.removesuffix("\n") if source is not None else None

    def _walk(
        self, names: tuple[s.Name, ...], subject: a.Node | a.Graph, known: tuple[str, ...] | None
    ) -> tuple[str, ...] | None:
        if isinstance(subject, a.Node):
            self._misfit(
                f"`{subject.name}` is a node, and only a graph has walks", names[0].span, "remove `walk`"
            )
            return None
        if known is not None:
            self.around.error("F042", "`walk` is written twice", names[0].span, "keep one of them")
        members = {qualified.rpartition("/")[2] for qualified in subject.nodes()}
        for name in names:
            if name.text not in members and name.text not in self.around.scope.broken:
                self.around.error(
                    "F010",
                    f"there is no node named `{name.text}` in `{subject.name}`",
                    name.span,
                    did_you_mean(name.text, members),
                )
        return tuple(name.text for name in names)
