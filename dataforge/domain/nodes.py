"""Syntax → domain for one node: every clause resolved, and the contract checked against what the node does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dataforge.domain import actions as a
from dataforge.domain.conditions import (
    All,
    Atom,
    Expr,
    Term,
    TooManyAlternatives,
    boxes,
    clauses,
    possible,
    terms_of,
)
from dataforge.domain.expressions import span_of
from dataforge.domain.python import PythonRefused, parameters_of
from dataforge.domain.settings import (
    Surroundings,
    fitting,
    is_int,
    is_number,
    misfit,
    plain,
    sampling_settings,
    thinking_mode,
)
from dataforge.domain.structs import FieldType, StructType
from dataforge.domain.templates import Template, Variable
from dataforge.domain.values import Values
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, listing

DEFAULT_RETRY = 2
DEFAULT_ROUNDS = 2
MAX_FAN_OUT = 100


@dataclass
class _Draft:
    """A node in the making."""

    takes: dict[str, StructType] = field(default_factory=dict)
    gives: dict[str, StructType] = field(default_factory=dict)
    many: tuple[int, int] | None = None
    pre: list[s.Condition] = field(default_factory=list)
    post: list[s.Condition] = field(default_factory=list)
    keeps: dict[a.FieldRef, Span] = field(default_factory=dict)
    writes: dict[a.FieldRef, Span] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    nullable: set[a.FieldRef] = field(default_factory=set)
    """Fields written so far whose new value may be null."""
    variables: dict[str, Variable] = field(default_factory=dict)
    steps: list[a.Step] = field(default_factory=list)
    constants: dict[a.FieldRef, Any] = field(default_factory=dict)
    unclear: bool = False
    """Whether a clause that writes is so wrong that it does not say what: then it may be the source of any field."""


class NodeResolver:
    """Resolves one node declaration."""

    def __init__(self, decl: s.NodeDecl, around: Surroundings) -> None:
        self.decl = decl
        self.around = around
        self.draft = _Draft()
        self.resolver = around.resolver()
        self.spans: dict[str, Span] = {}
        self.single: dict[str, Span] = {}
        self.requires: list[dict[Term, Values]] = []
        self.guarantees: list[dict[Term, Values]] = []

    def resolve(self) -> a.Node | None:
        """The node, or None where it is wrong; everything wrong with it is reported."""
        before = self.around.report.errors
        decl, draft = self.decl, self.draft
        self._contract_clauses()
        if not draft.gives and "gives" not in self.spans:
            self.around.error(
                "F049", f"`{decl.name.text}` gives nothing", decl.name.span, "add `gives Struct`"
            )
        pre = self.resolver.conjunction(draft.pre)
        post = self.resolver.conjunction(draft.post)
        needs = self._check_pre(pre)
        self._check_post(post)
        self._step_clauses(needs)
        self._check_fields()
        branch = self._branch(post)
        if self.around.report.errors > before:
            return None
        retry = self._clause(s.Retry)
        weight = self._clause(s.Weight)
        train = self._clause(s.Train)
        return a.Node(
            name=decl.name.text,
            doc=decl.doc or "",
            takes=draft.takes,
            gives=draft.gives,
            many=draft.many,
            pre=pre,
            post=post,
            keeps=tuple(draft.keeps),
            constants=draft.constants,
            steps=tuple(draft.steps),
            branch=branch,
            retry=int(retry.count.value) if retry else DEFAULT_RETRY,
            weight=float(weight.value.value) if weight else 1.0,
            train=train.which if train else "final",
            requires=tuple(self.requires),
            guarantees=tuple(self.guarantees),
            source=self.around.source,
            span=decl.name.span,
            spans=self.spans,
        )

    def error(self, code: str, message: str, span: Span, help: str = "") -> None:
        self.around.error(code, message, span, help)

    def _clause(self, kind: type[Any]) -> Any:
        return next((c for c in self.decl.clauses if isinstance(c, kind)), None)

    # ---- the contract

    def _contract_clauses(self) -> None:
        draft = self.draft
        for clause in self.decl.clauses:
            match clause:
                case s.Takes(names):
                    self._structs(names, draft.takes)
                case s.Gives(names, many, count, span):
                    self.spans.setdefault("gives", span)
                    self._structs(names, draft.gives)
                    if many:
                        self._many(count, span)
                case s.Pre(items):
                    draft.pre.extend(items)
                    self.spans.setdefault("pre", Span(items[0].span.start, items[-1].span.end))
                case s.Post(items):
                    draft.post.extend(items)
                    self.spans.setdefault("post", Span(items[0].span.start, items[-1].span.end))
                case s.Retry(count):
                    self._once("retry", count.span)
                    if not is_int(count.value) or not 0 <= count.value <= 100:  # type: ignore[operator]
                        self.error("F003", "`retry` wants a whole number from 0 to 100", count.span)
                case s.Weight(value):
                    self._once("weight", value.span)
                    if not is_number(value.value) or not 0 < value.value <= 1e9:  # type: ignore[operator]
                        self.error("F003", "`weight` wants a number above 0", value.span)
                case s.Train(_, span):
                    self._once("train", span)
                case s.Branch(ref, _):
                    self._once("branch", ref.span)
                case _:
                    pass
        for clause in self.decl.clauses:
            if isinstance(clause, s.Keeps):
                for ref in clause.refs:
                    self._keep(ref)

    def _once(self, name: str, span: Span) -> None:
        if name in self.single:
            self.error("F042", f"`{name}` is written twice", span, "keep one of them")
        self.single[name] = span

    def _structs(self, names: tuple[s.Name, ...], into: dict[str, StructType]) -> None:
        for name in names:
            struct = self.resolver.struct_named(name.text, name.span)
            if struct is not None:
                into[struct.name] = struct

    def _many(self, count: s.Range | None, span: Span) -> None:
        low, high = (count.low, count.high) if count is not None else (None, None)
        least, most = 1 if low is None else low, MAX_FAN_OUT if high is None else high
        if not (is_int(least) and is_int(most) and 1 <= least <= most <= MAX_FAN_OUT):
            self.error("F032", f"`many` wants whole numbers from 1 to {MAX_FAN_OUT}, the lower first", span)
        else:
            self.draft.many = (int(least), int(most))

    def _keep(self, ref: s.Ref) -> None:
        target = self._field(ref, "keeps")
        if target is None:
            return
        if target[0] not in self.draft.takes:
            self.draft.writes[target] = ref.span  # so that nobody complains that it is never set
            self.error(
                "F046",
                f"`{target[0]}` is not taken, so there is nothing of it to keep",
                ref.span,
                f"add `takes {target[0]}`",
            )
            return
        self.draft.keeps[target] = ref.span
        self._write(target, ref.span)

    def _field(self, ref: s.Ref, clause: str) -> a.FieldRef | None:
        """A field of a given struct, directly below it."""
        term = self.resolver.ref(ref)
        if term is None:
            self.draft.unclear = True
            return None
        if len(term.path) != 1:
            self.error(
                "F041",
                f"`{clause}` names a field of a struct, and `{ref}` is {'a whole struct' if not term.path else 'deeper'}",
                ref.span,
                f"write `{clause} Struct.field`"
                if not term.path
                else f"write the whole field `{'.'.join(ref.parts[:2])}`",
            )
            return None
        struct = term.structs[0]
        if struct not in self.draft.gives:
            alike = [f"{g}.{term.path[0]}" for g, s_ in self.draft.gives.items() if term.path[0] in s_.fields]
            instead = f"write {listing(alike, most=2, joiner='or')}" if alike else "name what it gives"
            self.error(
                "F041",
                f"the node does not give `{struct}`",
                ref.span,
                f"add `gives {struct}`, or {instead}",
            )
            return None
        return struct, term.path[0]

    def _write(self, target: a.FieldRef, span: Span) -> None:
        if target in self.draft.writes:
            self.error(
                "F042",
                f"`{'.'.join(target)}` is written twice in this node",
                span,
                "a field has one source; remove one",
            )
        self.draft.writes[target] = span

    def _check_pre(self, pre: Expr) -> Needs:
        span = self.spans.get("pre", self.decl.name.span)
        try:
            options = possible(boxes(pre), self.draft.takes)
            self.requires = clauses(pre)
        except TooManyAlternatives:
            self.error("F030", "`pre` has more than 64 alternatives", span, "split the node in two")
            return Needs([{}])
        if not options:
            self.error(
                "F031",
                "this precondition can never hold, so the node can never run",
                span,
                "remove what contradicts",
            )
        return Needs(options)

    def _check_post(self, post: Expr) -> None:
        span = self.spans.get("post", self.decl.name.span)
        try:
            self.guarantees = possible(boxes(post), {**self.draft.takes, **self.draft.gives})
            if not self.guarantees:
                self.error("F031", "this postcondition can never hold", span, "remove what contradicts")
        except TooManyAlternatives:
            self.error(
                "F030",
                "`post` has more than 64 alternatives",
                span,
                "promise less at once, or split the node",
            )
            return
        for term in terms_of(post):
            if self.draft.gives and not any(name in self.draft.gives for name in term.structs):
                own = [
                    name for name, s_ in self.draft.gives.items() if set(term.path[:1]) <= s_.fields.keys()
                ]
                instead = f"name what it gives ({listing(own, most=2)}), or " if own else ""
                self.error(
                    "F048",
                    f"`post` speaks of `{term.text}`, and the node does not give `{term.structs[0]}`",
                    span_of(term.structs[0], self.draft.post) or span,
                    f"what a node does not give it cannot change: {instead}move the condition to `pre`",
                )

    # ---- the steps

    def _step_clauses(self, needs: Needs) -> None:
        self.needs = needs
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
                    self.error(
                        "F045",
                        "`verify` is part of the language and not yet of this version",
                        clause.verifier.span,
                        "check with `post` conditions, a `predicate` or a `judge` for now",
                    )
                case _:
                    pass

    def _draw(self, clause: s.Draw) -> None:
        entries = self.around.scope.find(clause.source.text, clause.source.span, a.EntryList)
        name = clause.name.text
        if name in self.draft.variables or name in self.around.scope.structs:
            self.error(
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
            present = struct in draft.takes or self.needs.present(struct)
            if struct in draft.gives and (written or (not present and self._has_default(struct, name))):
                if not use.guarded and self._written_null(struct, name):
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
            elif not use.guarded and not self._never_null(struct, use.path):
                self.around.report.error(
                    "F051",
                    f"{around} of `{self.decl.name.text}` mentions `{use}`, which may be null there",
                    use.source,
                    use.span,
                    f"add `pre has {use}`, or write `{{% if {use} %}}` around it",
                )

    def _written_null(self, struct: str, name: str) -> bool:
        """Whether a field of a given struct may be null by what has written it so far, or by its default."""
        spec = self.draft.gives[struct].fields[name]
        if (struct, name) in self.draft.keeps:
            return not self._never_null(struct, (name,))
        if (struct, name) in self.draft.writes:
            return (struct, name) in self.draft.nullable
        return spec.type.optional and (struct in self.draft.whole or spec.default is None)

    def _has_default(self, struct: str, name: str) -> bool:
        return not self.draft.gives[struct].fields[name].required

    def _never_null(self, struct: str, path: tuple[str, ...]) -> bool:
        if self.needs.present(".".join((struct, *path))):
            return True
        type: FieldType | None = None
        holder: StructType | None = self.draft.takes.get(struct) or self.draft.gives.get(struct)
        holder = holder or self.around.scope.structs.get(struct)
        for depth, part in enumerate(path, 1):
            if holder is None or part not in holder.fields:
                return True  # inside a field of a type that the language does not see into
            type = holder.fields[part].type
            if type.optional and not self.needs.present(".".join((struct, *path[:depth]))):
                return False
            holder = type.struct
        return True

    def _model(self, name: s.Name, kind: str) -> a.Model | None:
        model = self.around.scope.find(name.text, name.span, a.Model)
        if not isinstance(model, a.Model):
            return None
        if model.kind != kind:
            verb = {"generator": "ask", "judge": "judge"}
            known = self._models_of(kind)
            self.error(
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
            self.error("F024", "`ask` wants a `prompt`", clause.model.span, 'add `prompt "…"`')
        prompt = self._template(rest.get("prompt"), "the prompt")
        system = self._template(rest.get("system"), "the system prompt")
        if ("into" in rest) == ("json" in rest):
            self.draft.unclear = True
            self.error(
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
            self.error("F024", "`into` wants `Struct.field`", setting.span)
            return None
        target = self._field(setting.value, "into")
        if target is None:
            return None
        type = self.draft.gives[target[0]].fields[target[1]].type
        if type.base not in ("str", "enum", "int", "float", "bool"):
            self.error(
                "F021",
                f"an answer is text, and `{'.'.join(target)}` is {type}",
                setting.span,
                f"use `json {target[0]}` to have the whole struct answered as JSON",
            )
            return None
        self._write(target, setting.span)
        return target

    def _json(self, setting: s.Setting) -> StructType | None:
        if not isinstance(setting.value, s.Ref):
            self.error("F024", "`json` wants a struct", setting.span)
            return None
        name = setting.value.parts[0]
        struct = self.resolver.struct_named(name, setting.span)
        if struct is None:
            return None
        if struct.name not in self.draft.gives:
            self.error(
                "F041", f"the node does not give `{struct.name}`", setting.span, f"add `gives {struct.name}`"
            )
            return None
        self._write_whole(struct.name, setting.span)
        return struct

    def _write_whole(self, struct: str, span: Span) -> None:
        taken = [f for f in self.draft.writes if f[0] == struct and f not in self.draft.keeps]
        if struct in self.draft.whole or taken:
            self.error(
                "F042",
                f"`{struct}` is written twice in this node",
                span,
                "a struct has one source; remove one",
            )
        self.draft.whole.add(struct)

    def _reasoning(self, setting: s.Setting | None, into: a.FieldRef | None) -> a.FieldRef | None:
        """Where the model's thinking goes: where `reasoning` says, else to an optional field of that name."""
        if setting is not None:
            if not isinstance(setting.value, s.Ref):
                self.error("F024", "`reasoning` wants `Struct.field`", setting.span)
                return None
            target = self._field(setting.value, "reasoning")
            if target is None:
                return None
            type = self.draft.gives[target[0]].fields[target[1]].type
            if type.base != "str" or not type.optional:
                self.error(
                    "F021",
                    f"not every answer comes with thinking, and `{'.'.join(target)}` is {type}",
                    setting.span,
                    "make it `str?`",
                )
                return None
            self._write(target, setting.span)
            self.draft.nullable.add(target)
            return target
        if into is None:
            return None
        implied = (into[0], "reasoning")
        known = self.draft.gives[into[0]].fields.get("reasoning")
        written = implied in self.draft.writes
        if known is None or known.type.base != "str" or not known.type.optional or written or into == implied:
            return None
        self._write(implied, self.decl.name.span)
        self.draft.nullable.add(implied)
        return implied

    def _call(self, clause: s.Call) -> None:
        function = self.around.function(clause.target)
        for struct in self.draft.gives:
            self._write_whole(struct, clause.target.span)
        if function is None:
            return
        try:
            parameters = parameters_of(function, list(self.draft.takes))
        except PythonRefused as refused:
            self.error(refused.code, str(refused), clause.target.span, refused.help)
            return
        self.draft.steps.append(a.Call(str(clause.target.value), function, parameters))

    def _judge(self, clause: s.Judge) -> None:
        model = self._model(clause.model, "judge")
        others = ("rubric", "score", "rounds", "prompt", "thinking")
        settings, rest = sampling_settings(clause.settings, self.around, others)
        thinking = thinking_mode(rest.get("thinking"), self.around)
        self.draft.unclear |= any(setting.name.text in ("into", "json") for setting in clause.settings)
        rubric: a.Rubric | None = None
        if "rubric" not in rest:
            self.error(
                "F043",
                "a judge judges by a rubric, and none is named",
                clause.model.span,
                "add `rubric NAME`",
            )
        elif isinstance(rest["rubric"].value, s.Ref):
            found = self.around.scope.find(rest["rubric"].value.parts[0], rest["rubric"].span, a.Rubric)
            rubric = found if isinstance(found, a.Rubric) else None
        score = self._score(rest["score"]) if "score" in rest else None
        rounds = DEFAULT_ROUNDS
        if "rounds" in rest:
            value = rest["rounds"].value
            if isinstance(value, s.Literal) and is_int(value.value) and 0 <= value.value <= 20:  # type: ignore[operator]
                rounds = int(value.value)  # type: ignore[arg-type]
            else:
                self.error("F024", "`rounds` wants a whole number from 0 to 20", rest["rounds"].span)
        instructions = self._template(rest.get("prompt"), "the judge's prompt")
        if model is not None and rubric is not None:
            self.draft.steps.append(a.Judge(model, rubric, score, rounds, instructions, thinking, settings))

    def _score(self, setting: s.Setting) -> a.FieldRef | None:
        target = self._field(setting.value, "score") if isinstance(setting.value, s.Ref) else None
        if target is None:
            return None
        type = self.draft.gives[target[0]].fields[target[1]].type
        if type.base not in ("float", "int"):
            self.error("F021", f"a score is a number, and `{'.'.join(target)}` is {type}", setting.span)
            return None
        self._write(target, setting.span)
        return target

    def _set(self, clause: s.Set) -> None:
        target = self._field(clause.ref, "set")
        if target is None:
            return
        type = self.draft.gives[target[0]].fields[target[1]].type
        self._write(target, clause.ref.span)
        if isinstance(clause.value, s.Literal):
            value = plain(clause.value)
            if value is None:
                self.draft.nullable.add(target)
            problem = misfit(self.draft.gives[target[0]], target[1], value)
            if problem:
                self.error(
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
        term = self.resolver.operand(clause.value)
        if term is None:
            return
        source_type = FieldType("int") if term.func is not None else term.type
        if source_type is not None:
            nullable = term.optional and not self._never_null(term.structs[0], term.path)
            source_type = replace(source_type, optional=nullable)
            if nullable:
                self.draft.nullable.add(target)
        if source_type is None or not _assignable(source_type, type):
            self.error(
                "F021",
                f"`{'.'.join(target)}` is {type}, and `{term.text}` is {source_type or 'a whole struct'}",
                clause.value.span,
                "set it from a field of the same type",
            )
            return
        struct = term.structs[0]
        available = (
            struct in self.draft.takes
            or self.needs.present(struct)
            or (struct in self.draft.gives and (term.path and (struct, term.path[0]) in self.draft.writes))
        )
        if not available:
            self.error(
                "F051", f"nothing guarantees `{struct}` here", clause.value.span, f"add `takes {struct}`"
            )
            return
        self.draft.steps.append(a.Assign(target, term=term))

    # ---- the whole

    def _check_fields(self) -> None:
        """Every field of a given struct has a source; those left to their defaults are known."""
        draft = self.draft
        asks = [step for step in draft.steps if isinstance(step, a.Ask | a.Judge)]
        sources = (s.Ask, s.Call)
        if draft.many is not None and not any(isinstance(clause, sources) for clause in self.decl.clauses):
            self.error(
                "F040",
                "the node gives many, and has neither an `ask` nor a `call` to make them",
                self.spans["gives"],
                "add one, or drop `many`",
            )
        if draft.many is not None and (len(asks) > 1 or any(isinstance(step, a.Judge) for step in asks)):
            self.error(
                "F042",
                "a node that gives many asks once and judges nothing: the rows go apart after it",
                self.spans["gives"],
                "put the further clauses into a node of their own, which then runs on each row",
            )
        for name, struct in draft.gives.items():
            if name in draft.whole:
                continue
            missing = []
            for field_name, spec in struct.fields.items():
                if (name, field_name) in draft.writes:
                    continue
                if spec.required:
                    missing.append(f"{name}.{field_name}")
                elif spec.constant_default:
                    draft.constants[name, field_name] = spec.default
            if missing and not draft.unclear:
                keep = f"keeps {', '.join(missing)}" if name in draft.takes else f"set {missing[0]} = …"
                self.error(
                    "F040",
                    f"the node gives `{name}` and never sets {listing(missing)}",
                    self.spans.get("gives", self.decl.name.span),
                    f"write `into`, `json`, `call`, `judge` or `set` for it, such as `{keep}`, or give it a default",
                )
        for target, span in draft.writes.items():
            if (
                target[0] in draft.whole
                and target not in draft.keeps
                and target in {s_.target for s_ in draft.steps if isinstance(s_, a.Assign)}
            ):
                continue  # `set` after `json` or `call` overrides one field: meant
            if target[0] in draft.whole and target not in draft.keeps:
                self.error(
                    "F042",
                    f"`{'.'.join(target)}` is written twice in this node",
                    span,
                    "a field has one source; remove one",
                )

    def _branch(self, post: Expr) -> a.Branch | None:
        clause = self._clause(s.Branch)
        if clause is None:
            return None
        term = self.resolver.ref(clause.ref)
        if term is None:
            return None
        if not term.path or term.structs[0] not in self.draft.gives:
            self.error(
                "F044",
                "a branch goes by a field that this node gives",
                clause.ref.span,
                "name a field of a given struct",
            )
            return None
        try:
            options = boxes(All((post, Atom(term, term.universe))))
        except TooManyAlternatives:
            return None
        finite = all(box[term].listed(64) is not None for box in options)
        nullable = term.optional and not all(not box[term].absent for box in boxes(post) if term in box)
        if not finite or nullable:
            self.error(
                "F044",
                f"`{term.text}` "
                + ("may be null" if finite else "may have any number of values")
                + ", and a branch needs a finite set of outcomes",
                clause.ref.span,
                f"add `post {term.text} in {{…}}`, or make its type an enumeration",
            )
            return None
        return a.Branch(term, clause.else_reject, clause.ref.span)


class Needs:
    """What a precondition guarantees: which terms are surely there."""

    def __init__(self, options: list[dict[Any, Any]]) -> None:
        self.options = options

    def present(self, text: str) -> bool:
        """Whether the struct or field of that text is surely there."""
        if not self.options:
            return True  # a precondition that never holds is reported by itself
        return all(
            any(
                not values.absent and (".".join((*t.structs[:1], *t.path)) + ".").startswith(text + ".")
                for t, values in box.items()
                if t.opaque is None
            )
            for box in self.options
        )


def _assignable(source: FieldType, target: FieldType) -> bool:
    if source.optional and not target.optional:
        return False
    if target.base == "float" and source.base == "int":
        return True
    if target.base == "str" and source.base == "enum":
        return True
    if source.base == target.base == "enum":
        return bool(source.values <= target.values)  # type: ignore[operator]
    return source.base == target.base and source.base != "any"
