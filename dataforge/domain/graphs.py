"""Syntax → domain for one graph: its ends, its members, its law of walks and its emitted sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import Expr, TooManyAlternatives, boxes, clauses, possible, terms_of
from dataforge.domain.expressions import span_of
from dataforge.domain.settings import Surroundings
from dataforge.domain.structs import StructType
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span


class GraphResolver:
    """Resolves one graph declaration; its members must have been resolved before."""

    def __init__(self, decl: s.GraphDecl, around: Surroundings) -> None:
        self.decl = decl
        self.around = around
        self.resolver = around.resolver()
        self.spans: dict[str, Span] = {}

    def resolve(self) -> a.Graph | None:
        """The graph, or None where it is wrong; everything wrong with it is reported."""
        before = self.around.report.errors
        decl = self.decl
        single: dict[type, Any] = {}
        for clause in decl.clauses:
            if type(clause) in single:
                self.error(
                    "F042", f"`{_word(clause)}` is written twice", _span(clause, decl), "keep one of them"
                )
            single.setdefault(type(clause), clause)
        sources, where = self._end(single.get(s.From), "from")
        targets, goal = self._end(single.get(s.To), "to")
        members = self._members(single.get(s.Nodes))
        emit = self._emit(single.get(s.Emit), sources, targets, members)
        steps = self._steps(single.get(s.Steps))
        if self.around.report.errors > before:
            return None
        if any(name in self.around.scope.broken for name in self._member_names(single.get(s.Nodes))):
            return None
        return a.Graph(
            name=decl.name.text,
            doc=decl.doc or "",
            sources=sources,
            targets=targets,
            where=where,
            goal=goal,
            members=members,
            law=single[s.Walk].law if s.Walk in single else "uniform",
            steps=steps,
            seeds=tuple(str(p.value) for p in single[s.Seeds].patterns) if s.Seeds in single else (),
            emit=emit,
            source=self.around.source,
            span=decl.name.span,
            spans=self.spans,
        )

    def error(self, code: str, message: str, span: Span, help: str = "") -> None:
        self.around.error(code, message, span, help)

    def _end(self, clause: s.From | s.To | None, word: str) -> tuple[dict[str, StructType], Expr]:
        structs: dict[str, StructType] = {}
        if clause is None:
            self.error(
                "F060",
                f"`{self.decl.name.text}` has no `{word}`",
                self.decl.name.span,
                f"add `{word} Struct`",
            )
            return structs, self.resolver.conjunction(())
        for name in clause.names:
            struct = self.resolver.struct_named(name.text, name.span)
            if struct is not None:
                structs[struct.name] = struct
        condition = self.resolver.conjunction(clause.where)
        span = (
            Span(clause.where[0].span.start, clause.where[-1].span.end)
            if clause.where
            else clause.names[0].span
        )
        self.spans[word] = span
        try:
            options = possible(boxes(condition), structs)
            clauses(condition)
        except TooManyAlternatives:
            self.error("F030", "this condition has more than 64 alternatives", span, "ask for less at once")
            return structs, condition
        if not options:
            self.error("F031", "this condition can never hold", span, "remove what contradicts")
        for term in terms_of(condition):
            for owner in term.structs:
                if owner not in structs and structs:
                    self.error(
                        "F048",
                        f"`where` speaks of `{term.text}`, and `{owner}` is not in `{word}`",
                        span_of(owner, clause.where) or span,
                        f"write `{word} {', '.join([*structs, owner])} where …`",
                    )
        return structs, condition

    def _member_names(self, clause: s.Nodes | None) -> list[str]:
        return [n.text for n in clause.names or ()] if clause is not None else []

    def _members(self, clause: s.Nodes | None) -> dict[str, a.Node | a.Graph]:
        scope = self.around.scope
        if clause is None:
            self.error(
                "F060",
                f"`{self.decl.name.text}` has no `nodes`",
                self.decl.name.span,
                "add `nodes *`, or name them",
            )
            return {}
        members: dict[str, a.Node | a.Graph] = {}
        if clause.names is None:
            for name, entity in scope.entities.items():
                if isinstance(entity, a.Node):
                    members[name] = entity
                    scope.used.add(name)
        else:
            for item in clause.names:
                found = scope.find(item.text, item.span, a.Node, a.Graph)
                if isinstance(found, a.Node | a.Graph):
                    members[item.text] = found
        for item in clause.excluded:
            scope.find(item.text, item.span, a.Node, a.Graph)
            members.pop(item.text, None)
        self.spans["nodes"] = clause.span
        return members

    def _steps(self, clause: s.Steps | None) -> tuple[int, int | None] | None:
        if clause is None:
            return None
        low, high = clause.range.low, clause.range.high
        whole = all(v is None or (isinstance(v, int) and v >= 0) for v in (low, high))
        if not whole or (low is not None and high is not None and low > high):
            self.error(
                "F032",
                "`steps` wants whole numbers, the lower first",
                clause.range.span,
                "write `steps 1..4`",
            )
            return None
        return int(low or 0), None if high is None else int(high)

    def _emit(
        self,
        clause: s.Emit | None,
        sources: Mapping[str, StructType],
        targets: Mapping[str, StructType],
        members: Mapping[str, a.Node | a.Graph],
    ) -> a.Emit | None:
        if clause is None:
            return None
        if clause.ref is not None:
            term = self.resolver.ref(clause.ref)
            if term is None:
                return None
            if term.type is None or term.type.base != "list":
                self.error(
                    "F021",
                    f"`emit` wants a list of messages, and `{term.text}` is {term.type or 'a whole struct'}",
                    clause.ref.span,
                    "name a list field, or write turns: `emit { user … assistant … }`",
                )
                return None
            return a.Emit((), term, clause.ref.span)
        structs = self.around.scope.structs
        turns: list[a.EmitTurn] = []
        for turn in clause.turns:
            template = self.around.template(turn.text, structs, {})
            reasoning = self.resolver.ref(turn.reasoning) if turn.reasoning is not None else None
            if turn.reasoning is not None and reasoning is not None and reasoning.sort != "text":
                self.error("F021", f"reasoning is text, and `{reasoning.text}` is not", turn.reasoning.span)
            if template is not None:
                self.around.scope.used.update(template.names)
                turns.append(a.EmitTurn(turn.role, template, reasoning))
        roles = [turn.role for turn in clause.turns]
        span = (
            Span(clause.turns[0].text.span.start, clause.turns[-1].text.span.end)
            if clause.turns
            else self.decl.name.span
        )
        if "assistant" not in roles:
            self.error("F024", "`emit` has no `assistant` turn, so nothing would be learnt", span, "add one")
        return a.Emit(tuple(turns), None, span)


def _word(clause: s.GraphClause) -> str:
    return type(clause).__name__.lower()


def _span(clause: s.GraphClause, decl: s.GraphDecl) -> Span:
    match clause:
        case s.From(names, _) | s.To(names, _):
            return names[0].span
        case s.Nodes(_, _, span) | s.Walk(_, span):
            return span
        case s.Steps(range):
            return range.span
        case s.Seeds(patterns):
            return patterns[0].span
        case _:
            return decl.name.span
