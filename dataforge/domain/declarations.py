"""Syntax → domain for what nodes stand on: structs, lists and rubrics."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from typing import Any, Literal, Optional

from pydantic import BaseModel

from dataforge.domain import actions as a
from dataforge.domain.conditions import Terms, TooManyAlternatives, boxes
from dataforge.domain.scope import FileScope
from dataforge.domain.settings import Surroundings, fitting, misfit, plain
from dataforge.domain.structs import StructType, declare
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Source, Span, did_you_mean


class StructDeclarer:
    """Declares the structs of one file.

    Args:
        scope: where they go.
        unique: whether a struct is the only one of its name in the program; reports where it is not.
    """

    def __init__(self, scope: FileScope, unique: Callable[[StructType, FileScope, Span], bool]) -> None:
        self.scope = scope
        self.unique = unique

    def declare(self, declared: list[s.StructDecl]) -> None:
        """Declare structs, each after those that its fields are of."""
        scope = self.scope
        names = {d.name.text for d in declared}
        waiting = {d.name.text: d for d in reversed(declared)}
        done: set[str] = set()

        def make(decl: s.StructDecl, chain: tuple[str, ...]) -> None:
            name = decl.name.text
            if name in done or (name in scope.entities and name in done):
                return
            done.add(name)
            for used in _type_names(decl):
                if used in chain or used == name:
                    self.scope.report.error(
                        "F025",
                        f"struct `{name}` contains itself",
                        scope.source,
                        decl.name.span,
                        "use a list of ids instead",
                    )
                    scope.lost(name, decl.name.span)
                    return
                if used in names and used not in done:
                    make(waiting[used], (*chain, name))
            struct = self._struct(decl)
            if struct is not None and self.unique(struct, scope, decl.name.span):
                scope.add(name, struct, decl.name.span)
            else:
                scope.lost(name, decl.name.span)

        for decl in declared:
            if waiting[decl.name.text] is not decl:
                line, _ = scope.source.line_column(waiting[decl.name.text].name.span.start)
                self.scope.report.error(
                    "F011",
                    f"`{decl.name.text}` is declared twice; it is first declared on line {line}",
                    scope.source,
                    decl.name.span,
                    "rename one of them",
                )
                continue
            make(decl, ())

    def _struct(self, decl: s.StructDecl) -> StructType | None:
        scope = self.scope
        fields: dict[str, tuple[Any, Any, str | None]] = {}
        good = True
        for spec in decl.fields:
            name = spec.name.text
            annotation = self._annotation(spec.type)
            if name in fields or name.startswith("_") or hasattr(BaseModel, name):
                why = "is declared twice" if name in fields else "is a name that pydantic keeps for itself"
                self.scope.report.error(
                    "F025", f"field `{name}` {why}", scope.source, spec.name.span, "choose another name"
                )
                good = False
            elif annotation is None:
                good = False
            else:
                fields[name] = (annotation, ... if spec.default is None else plain(spec.default), spec.doc)
        if not good:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pydantic warns of names that it can do with
            struct = declare(decl.name.text, decl.doc, fields, scope.source.path)
        for spec in decl.fields:
            if spec.default is None:
                continue
            problem = misfit(struct, spec.name.text, plain(spec.default))
            if problem:
                kind = struct.fields[spec.name.text].type
                self.scope.report.error(
                    "F026",
                    f"`{spec.name.text}` is {kind}, and its default does not fit: {problem}",
                    scope.source,
                    spec.default.span,
                    fitting(kind, plain(spec.default)),
                )
                good = False
        return struct if good else None

    def _annotation(self, spec: s.TypeExpr) -> Any:
        scope = self.scope
        base: Any
        if spec.kind == "enum":
            base = Literal[spec.values]
        elif spec.kind == "list":
            assert spec.item is not None
            item = self._annotation(spec.item)
            if spec.name != "list":
                self.scope.report.error(
                    "F025",
                    f"there is no type `{spec.name}[…]`",
                    scope.source,
                    spec.span,
                    "did you mean `list[…]`?",
                )
                return None
            if item is None:
                return None
            base = list[item]  # type: ignore[valid-type]
        else:
            plain_types: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
            struct = scope.struct(spec.name)
            base = struct.model if struct is not None else plain_types.get(spec.name)
            if base is None:
                if not scope.is_broken(spec.name):
                    known = [*plain_types, "list", *scope.names_of("struct")]
                    self.scope.report.error(
                        "F025",
                        f"there is no type `{spec.name}`",
                        scope.source,
                        spec.span,
                        did_you_mean(spec.name, known),
                    )
                return None
        return Optional[base] if spec.optional else base  # noqa: UP045


def _type_names(decl: s.StructDecl) -> list[str]:
    found = []
    for spec in decl.fields:
        type: s.TypeExpr | None = spec.type
        while type is not None and type.kind == "list":
            type = type.item
        if type is not None and type.kind == "name":
            found.append(type.name)
    return found


def resolve_list(
    item: s.ListDecl, around: Surroundings, read: Callable[[str, Span], Source | None]
) -> a.EntryList | None:
    """The entries of a list, written in place or read from a file; None after a report."""
    if item.path is None:
        entries = [plain(entry) for entry in item.entries]
        where = None
    else:
        where = str(item.path.value)
        source = read(where, item.path.span)
        if source is None:
            return None
        where = source.path
        entries = []
        for number, line in enumerate(source.text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                around.report.error(
                    "F019",
                    f"line {number} of `{where}` is no JSON: {error}",
                    around.source,
                    item.path.span,
                    'write one JSON string or object a line, such as "a teacher"',
                )
                return None
            if not isinstance(entry, str | dict) or not entry:
                around.report.error(
                    "F019",
                    f"line {number} of `{where}` is neither text nor an object",
                    around.source,
                    item.path.span,
                    "write one JSON string or object a line",
                )
                return None
            entries.append(entry)
    span = item.path.span if item.path is not None else item.name.span
    if not entries:
        around.report.error(
            "F019", f"list `{item.name.text}` is empty", around.source, span, "give it an entry"
        )
        return None
    objects = [e for e in entries if isinstance(e, dict)]
    if objects and len(objects) < len(entries):
        around.report.error(
            "F019",
            f"list `{item.name.text}` mixes text and objects",
            around.source,
            span,
            "use one form throughout",
        )
        return None
    keys = frozenset.intersection(*(frozenset(e) for e in objects)) if objects else None
    canonical = json.dumps(entries, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return a.EntryList(item.name.text, tuple(entries), keys, where, digest)


def resolve_rubric(item: s.RubricDecl, around: Surroundings) -> a.Rubric | None:
    """A rubric, its `accept` over a struct of its criteria; None after a report."""
    criteria: list[a.RubricCriterion] = []
    for c in item.criteria:
        low, high = c.scale.low, c.scale.high
        if low is None or high is None or low >= high:
            around.error(
                "F032",
                f"criterion `{c.name.text}` wants a scale such as 1..5",
                c.scale.span if c.scale.span.end else c.name.span,
                "write both ends, the lower first, such as `1..5`",
            )
            return None
        if c.name.text == "score" or any(c.name.text == known.name for known in criteria):
            around.error(
                "F011",
                f"criterion `{c.name.text}` is there twice, or hides the mean `score`",
                c.name.span,
            )
            return None
        criteria.append(a.RubricCriterion(c.name.text, c.text, float(low), float(high)))
    if not criteria:
        around.error(
            "F043",
            f"rubric `{item.name.text}` has no criterion",
            item.name.span,
            'add one, such as clarity "…" in 1..5',
        )
        return None
    fields = {c.name: (float, ..., c.text) for c in criteria} | {
        "score": (float, ..., "mean of the criteria")
    }
    verdict = declare("verdict", None, fields, "rubric")
    accept = None
    if item.accept is not None:
        inner = FileScope(around.source, around.report, {"verdict": verdict})
        where = Surroundings(inner, Terms(), around.python, around.read_text)
        accept = where.resolver().condition(_under_verdict(item.accept))
        if accept is None:
            return None
        try:
            possible = bool(boxes(accept))
        except TooManyAlternatives:  # not planned with, so no bound applies
            possible = True
        if not possible:
            around.error("F031", "`accept` can never hold", item.name.span, "remove what contradicts")
            return None
    return a.Rubric(item.name.text, item.doc or "", tuple(criteria), accept, verdict)


def _under_verdict(condition: s.Condition) -> s.Condition:
    """The condition with every bare name taken as a field of `verdict`."""

    def ref(r: s.Ref) -> s.Ref:
        return s.Ref(("verdict", *r.parts), r.span)

    def operand(o: Any) -> Any:
        return ref(o) if isinstance(o, s.Ref) else o

    match condition:
        case s.Truth(o, span):
            return s.Truth(operand(o), span)
        case s.Has(r, span):
            return s.Has(ref(r), span)
        case s.Compare(left, op, right, span):
            return s.Compare(operand(left), op, operand(right), span)
        case s.In(left, negated, right, span):
            return s.In(operand(left), negated, right, span)
        case s.Not(item, span):
            return s.Not(_under_verdict(item), span)
        case s.And(items, span):
            return s.And(tuple(map(_under_verdict, items)), span)
        case s.Or(items, span):
            return s.Or(tuple(map(_under_verdict, items)), span)
