"""Syntax → domain for one node: every clause resolved, and the contract checked against what the node does."""

from __future__ import annotations

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
from dataforge.domain.draft import Draft, Needs
from dataforge.domain.expressions import span_of
from dataforge.domain.settings import (
    Surroundings,
    is_int,
    is_number,
)
from dataforge.domain.steps import StepResolver
from dataforge.domain.structs import StructType
from dataforge.domain.values import Values
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, listing

DEFAULT_RETRY = 2
MAX_FAN_OUT = 100


class NodeResolver:
    """Resolves one node declaration."""

    def __init__(self, decl: s.NodeDecl, around: Surroundings) -> None:
        self.decl = decl
        self.around = around
        self.resolver = around.resolver()
        self.draft = Draft(around, self.resolver)
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
        draft.needs = self._check_pre(pre)
        self._check_post(post)
        StepResolver(decl, draft).resolve()
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
            rollouts=draft.rollouts,
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
        target = self.draft.target(ref, "keeps")
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
        self.draft.write(target, ref.span)

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
        if self._clause(s.Verify) is not None:
            self._check_rollouts()
        elif draft.many is not None and (len(asks) > 1 or any(isinstance(step, a.Judge) for step in asks)):
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

    def _check_rollouts(self) -> None:
        """What goes with `verify`: its samples are the further attempts, and those that pass are the many."""
        keep = (self.draft.rollouts or a.Rollouts()).keep
        if retry := self._clause(s.Retry):
            self.error(
                "F072",
                "a node that verifies is not tried again: it draws samples",
                retry.count.span,
                "drop `retry`, and write `verify … { samples N }`",
            )
        for clause in self.decl.clauses:
            if isinstance(clause, s.Judge):
                for setting in clause.settings:
                    if setting.name.text == "rounds":
                        self.error(
                            "F072",
                            "a node that verifies has no rounds: each sample is judged once",
                            setting.span,
                            "drop `rounds`, and write `verify … { samples N }`",
                        )
        rollouts, many = self.draft.rollouts, self.draft.many
        if rollouts is not None and many is not None and keep == "all" and many[0] > rollouts.samples:
            self.error(
                "F072",
                f"the node gives at least {many[0]}, and draws {rollouts.samples}",
                self.spans["gives"],
                "draw more samples, or give fewer",
            )
        if self.draft.rollouts is not None and (self.draft.many is not None) != (keep == "all"):
            clause = self._clause(s.Verify)
            self.error(
                "F072",
                f"`keep {keep}` makes one row of each"
                if self.draft.many is not None
                else "`keep all` makes a row of every sample that passes",
                clause.verifier.span,
                "write `keep all`, or drop `many`"
                if self.draft.many is not None
                else "write `gives many`, or keep `best` or `first`",
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
