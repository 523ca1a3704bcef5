"""Syntax → domain for what a node does: `draw`, `ask`, `call`, `judge` and `set`, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import Term
from dataforge.domain.draft import Draft
from dataforge.domain.python import PythonRefused, parameters_of
from dataforge.domain.settings import (
    fitting,
    is_int,
    misfit,
    plain,
    sampling_settings,
    thinking_mode,
)
from dataforge.domain.structs import FieldType, StructType, assignable
from dataforge.domain.templates import Template, Variable
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, listing

DEFAULT_ROUNDS = 2


class StepResolver:
    """Resolves the steps of one node into its draft."""

    def __init__(self, decl: s.NodeDecl, draft: Draft) -> None:
        self.decl = decl
        self.draft = draft
        self.around = draft.around

    def resolve(self) -> None:
        """Resolve every clause that does something, in order."""
        for clause in self.decl.clauses:
            match clause:
                case s.Draw():
                    self._draw(clause)
                case s.Ask():
                    self._ask(clause)
                case s.Call():
                    self._call(clause)
                case s.Judge():
                    self._judge(clause)
                case s.Set():
                    self._set(clause)
                case s.Verify():
                    # Here, so that only a file that verifies takes the time to load verifiers.
                    from dataforge.domain.verifying import VerifyResolver

                    VerifyResolver(self).resolve(clause)
                case _:
                    pass

    def _draw(self, clause: s.Draw) -> None:
        entries = self.around.scope.find(clause.source.text, clause.source.span, a.EntryList)
        name = clause.name.text
        if name in self.draft.variables or name in self.around.scope.structs:
            self.around.error(
                "F042",
                f"`{name}` already names something in this node",
                clause.name.span,
                "choose another name",
            )
        elif isinstance(entries, a.EntryList):
            self.draft.variables[name] = Variable(entries.keys)
            self.draft.steps.append(a.Draw(name, entries))
        else:
            self.draft.variables[name] = Variable(None)

    def _template(self, setting: s.Setting | None, around: str) -> Template | None:
        if setting is None or not isinstance(setting.value, s.Text):
            return None
        template = self.around.template(setting.value, self.around.scope.structs, self.draft.variables)
        if template is not None:
            self._guaranteed(template, around)
        for name in template.names if template is not None else ():
            self.around.scope.used.add(name)
        return template

    def _guaranteed(self, template: Template, around: str) -> None:
        """Every field that the template shows must be there whenever the node runs."""
        draft = self.draft
        for use in template.uses:
            struct, name = use.struct, use.path[0]
            written = (struct, name) in draft.writes or struct in draft.whole
            present = struct in draft.takes or self.draft.needs.present(struct)
            if struct in draft.gives and (written or (not present and self.draft.has_default(struct, name))):
                if not use.guarded and self.draft.written_null(struct, name):
                    self.around.report.error(
                        "F051",
                        f"{around} of `{self.decl.name.text}` mentions `{use}`, which may be null there",
                        use.source,
                        use.span,
                        f"write `{{% if {use} %}}` around it",
                    )
                continue
            if not present:
                given = f"; `{use}` is not written yet at this point" if struct in draft.gives else ""
                self.around.report.error(
                    "F051",
                    f"{around} of `{self.decl.name.text}` mentions `{use}`, and nothing guarantees `{struct}` there{given}",
                    use.source,
                    use.span,
                    f"add `takes {struct}`"
                    if struct not in draft.gives
                    else "ask for it in an earlier clause",
                )
            elif not use.guarded and not self.draft.never_null(struct, use.path):
                self.around.report.error(
                    "F051",
                    f"{around} of `{self.decl.name.text}` mentions `{use}`, which may be null there",
                    use.source,
                    use.span,
                    f"add `pre has {use}`, or write `{{% if {use} %}}` around it",
                )

    def _model(self, name: s.Name, kind: str) -> a.Model | None:
        model = self.around.scope.find(name.text, name.span, a.Model)
        if not isinstance(model, a.Model):
            return None
        if model.kind != kind:
            verb = {"generator": "ask", "judge": "judge"}
            known = self._models_of(kind)
            self.around.error(
                "F047",
                f"`{name.text}` is a {model.kind}, and `{verb[kind]}` wants a {kind}",
                name.span,
                f"name a {kind} ({listing(known, joiner='or')}), or write `{verb[model.kind]} {name.text}`"
                if known
                else f"declare it with `{kind} {name.text}`, or write `{verb[model.kind]} {name.text}`",
            )
            return None
        return model

    def _models_of(self, kind: str) -> list[str]:
        entities = self.around.scope.entities
        return sorted(n for n, e in entities.items() if isinstance(e, a.Model) and e.kind == kind)

    def _ask(self, clause: s.Ask) -> None:
        model = self._model(clause.model, "generator")
        others = ("prompt", "system", "into", "json", "reasoning", "thinking")
        settings, rest = sampling_settings(clause.settings, self.around, others)
        thinking = thinking_mode(rest.get("thinking"), self.around)
        if "prompt" not in rest:
            self.around.error("F024", "`ask` wants a `prompt`", clause.model.span, 'add `prompt "…"`')
        prompt = self._template(rest.get("prompt"), "the prompt")
        system = self._template(rest.get("system"), "the system prompt")
        if ("into" in rest) == ("json" in rest):
            self.draft.unclear = True
            self.around.error(
                "F024",
                "`ask` wants one of `into` and `json`" + (", not both" if "into" in rest else ""),
                clause.model.span,
                "`into Struct.field` takes the answer as it is, `json Struct` as the whole struct",
            )
        into = self._into(rest["into"]) if "into" in rest else None
        json = self._json(rest["json"]) if "json" in rest else None
        reasoning = self._reasoning(rest.get("reasoning"), into)
        if model is not None and prompt is not None and (into is not None or json is not None):
            self.draft.steps.append(a.Ask(model, prompt, system, into, json, reasoning, thinking, settings))

    def _into(self, setting: s.Setting) -> a.FieldRef | None:
        if not isinstance(setting.value, s.Ref):
            self.around.error("F024", "`into` wants `Struct.field`", setting.span)
            return None
        target = self.draft.target(setting.value, "into")
        if target is None:
            return None
        type = self.draft.gives[target[0]].fields[target[1]].type
        if type.base not in ("str", "enum", "int", "float", "bool"):
            self.around.error(
                "F021",
                f"an answer is text, and `{'.'.join(target)}` is {type}",
                setting.span,
                f"use `json {target[0]}` to have the whole struct answered as JSON",
            )
            return None
        self.draft.write(target, setting.span)
        return target

    def _json(self, setting: s.Setting) -> StructType | None:
        if not isinstance(setting.value, s.Ref):
            self.around.error("F024", "`json` wants a struct", setting.span)
            return None
        name = setting.value.parts[0]
        struct = self.draft.resolver.struct_named(name, setting.span)
        if struct is None:
            return None
        if struct.name not in self.draft.gives:
            self.around.error(
                "F041", f"the node does not give `{struct.name}`", setting.span, f"add `gives {struct.name}`"
            )
            return None
        self.draft.write_whole(struct.name, setting.span)
        return struct

    def _reasoning(self, setting: s.Setting | None, into: a.FieldRef | None) -> a.FieldRef | None:
        """Where the model's thinking goes: where `reasoning` says, else to an optional field of that name."""
        if setting is not None:
            if not isinstance(setting.value, s.Ref):
                self.around.error("F024", "`reasoning` wants `Struct.field`", setting.span)
                return None
            target = self.draft.target(setting.value, "reasoning")
            if target is None:
                return None
            type = self.draft.gives[target[0]].fields[target[1]].type
            if type.base != "str" or not type.optional:
                self.around.error(
                    "F021",
                    f"not every answer comes with thinking, and `{'.'.join(target)}` is {type}",
                    setting.span,
                    "make it `str?`",
                )
                return None
            self.draft.write(target, setting.span)
            self.draft.nullable.add(target)
            return target
        if into is None:
            return None
        implied = (into[0], "reasoning")
        known = self.draft.gives[into[0]].fields.get("reasoning")
        written = implied in self.draft.writes
        if known is None or known.type.base != "str" or not known.type.optional or written or into == implied:
            return None
        self.draft.write(implied, self.decl.name.span)
        self.draft.nullable.add(implied)
        return implied

    def _call(self, clause: s.Call) -> None:
        function = self.around.function(clause.target)
        for struct in self.draft.gives:
            self.draft.write_whole(struct, clause.target.span)
        if function is None:
            return
        try:
            parameters = parameters_of(function, list(self.draft.takes))
        except PythonRefused as refused:
            self.around.error(refused.code, str(refused), clause.target.span, refused.help)
            return
        self.draft.steps.append(a.Call(str(clause.target.value), function, parameters))

    def _judge(self, clause: s.Judge) -> None:
        others = ("rubric", "score", "rounds", "prompt", "thinking")
        settings, rest = sampling_settings(clause.settings, self.around, others)
        self.draft.unclear |= any(setting.name.text in ("into", "json") for setting in clause.settings)
        self.judged_by(clause.model, settings, rest)

    def judged_by(self, name: s.Name, settings: Mapping[str, Any], rest: Mapping[str, s.Setting]) -> None:
        """A judge's step, of the clause `judge`, or of `verify` with a judge in the place of a verifier."""
        model = self._model(name, "judge")
        thinking = thinking_mode(rest.get("thinking"), self.around)
        rubric: a.Rubric | None = None
        if "rubric" not in rest:
            self.around.error(
                "F043",
                "a judge judges by a rubric, and none is named",
                name.span,
                "add `rubric NAME`",
            )
        elif isinstance(rest["rubric"].value, s.Ref):
            found = self.around.scope.find(rest["rubric"].value.parts[0], rest["rubric"].span, a.Rubric)
            rubric = found if isinstance(found, a.Rubric) else None
        score = self.number(rest["score"]) if "score" in rest else None
        rounds = DEFAULT_ROUNDS
        if "rounds" in rest:
            value = rest["rounds"].value
            if isinstance(value, s.Literal) and is_int(value.value) and 0 <= value.value <= 20:  # type: ignore[operator]
                rounds = int(value.value)  # type: ignore[arg-type]
            else:
                self.around.error("F024", "`rounds` wants a whole number from 0 to 20", rest["rounds"].span)
        instructions = self._template(rest.get("prompt"), "the judge's prompt")
        if model is not None and rubric is not None:
            self.draft.steps.append(a.Judge(model, rubric, score, rounds, instructions, thinking, settings))

    def number(self, setting: s.Setting, *, whole: bool = True) -> a.FieldRef | None:
        """The field that a score or a rate goes to; `whole` where a whole number will do."""
        target = (
            self.draft.target(setting.value, setting.name.text) if isinstance(setting.value, s.Ref) else None
        )
        if target is None:
            return None
        type = self.draft.gives[target[0]].fields[target[1]].type
        if type.base not in (("float", "int") if whole else ("float",)):
            wanted = "number" if whole else "number from 0 to 1"
            self.around.error(
                "F021",
                f"a {setting.name.text} is a {wanted}, and `{'.'.join(target)}` is {type}",
                setting.span,
            )
            return None
        self.draft.write(target, setting.span)
        return target

    def _set(self, clause: s.Set) -> None:
        target = self.draft.target(clause.ref, "set")
        if target is None:
            return
        type = self.draft.gives[target[0]].fields[target[1]].type
        self.draft.write(target, clause.ref.span)
        if isinstance(clause.value, s.Literal):
            value = plain(clause.value)
            if value is None:
                self.draft.nullable.add(target)
            problem = misfit(self.draft.gives[target[0]], target[1], value)
            if problem:
                self.around.error(
                    "F021",
                    f"`{'.'.join(target)}` is {type}, and this does not fit: {problem}",
                    clause.value.span,
                    fitting(type, value),
                )
                return
            if isinstance(value, str | int | float | bool | None):
                self.draft.constants[target] = value
            self.draft.steps.append(a.Assign(target, value=value))
            return
        term = self.draft.resolver.operand(clause.value)
        if term is None:
            return
        source_type = FieldType("int") if term.func is not None else term.type
        if source_type is not None:
            nullable = term.optional and not self.draft.never_null(term.structs[0], term.path)
            source_type = replace(source_type, optional=nullable)
            if nullable:
                self.draft.nullable.add(target)
        if source_type is None or not assignable(source_type, type):
            self.around.error(
                "F021",
                f"`{'.'.join(target)}` is {type}, and `{term.text}` is {source_type or 'a whole struct'}",
                clause.value.span,
                "set it from a field of the same type",
            )
            return
        if not self.available(term, clause.value.span):
            return
        self.draft.steps.append(a.Assign(target, term=term))

    def available(self, term: Term, span: Span) -> bool:
        """Whether a term's struct is there whenever the node gets to this clause; it is reported where not."""
        struct = term.structs[0]
        found = bool(
            struct in self.draft.takes
            or self.draft.needs.present(struct)
            or (struct in self.draft.gives and (term.path and (struct, term.path[0]) in self.draft.writes))
        )
        if not found:
            self.around.error("F051", f"nothing guarantees `{struct}` here", span, f"add `takes {struct}`")
        return found
