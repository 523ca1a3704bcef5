"""Syntax → domain for `verify`: which verifier, the facts it gets, and how the node samples.

The facts are the arguments, in the order of the verifier's own or by name: constants, and fields of the state. Where
there are none, the node takes a `Task` and the facts are those of the task. In the place of a verifier may stand such a
task, which names its verifier itself, or a judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from dataforge.domain import actions as a
from dataforge.domain.conditions import Term
from dataforge.domain.settings import is_int, is_number, plain, sampling_settings
from dataforge.domain.structs import FieldType, assignable, field_type
from dataforge.errors import InputError
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span, did_you_mean, listing
from dataforge.verifiers import Verifier, find, names
from schemas.task import Task

if TYPE_CHECKING:
    from dataforge.domain.steps import StepResolver

MAX_SAMPLES = 1_000
"""As many attempts as a walk may number: see `ATTEMPTS_A_WALK`."""

KEEPS = ("best", "first", "all")
ROLLOUTS = ("samples", "keep", "budget", "pass_rate", "score", "rate")
JUDGING = ("rubric", "prompt", "thinking")


class VerifyResolver:
    """Resolves `verify` clauses into the steps and the rollouts of a node's draft."""

    def __init__(self, steps: StepResolver) -> None:
        self.steps = steps
        self.draft = steps.draft
        self.around = steps.around

    def resolve(self, clause: s.Verify) -> None:
        """Resolve one clause."""
        name = clause.verifier
        earlier = self.steps.decl.clauses[: self.steps.decl.clauses.index(clause)]
        if not any(isinstance(other, s.Ask) for other in earlier):
            self.around.error(
                "F072",
                "there is no answer to verify yet",
                name.span,
                "write `ask` before `verify`: it checks the answer of the latest one",
            )
            return
        judging = isinstance(self.around.scope.entities.get(name.text), a.Model)
        sampling, rest = sampling_settings(
            clause.settings, self.around, (*ROLLOUTS, *JUDGING) if judging else ROLLOUTS
        )
        self._rollouts(clause, {key: value for key, value in rest.items() if key in ROLLOUTS})
        if judging:
            if clause.args:
                self.around.error("F071", "a judge takes no facts", name.span, "say it in its `prompt`")
            judge = {key: value for key, value in rest.items() if key in JUDGING}
            self.steps.judged_by(name, sampling, judge)
            return
        for setting in clause.settings:
            if setting.name.text in sampling:
                self.around.error(
                    "F024",
                    f"`{setting.name.text}` is the generator's, and not the verifier's",
                    setting.span,
                    "write it into the braces of `ask`",
                )
        struct = self.draft.takes.get(name.text)
        if struct is not None and issubclass(struct.model, Task):
            if clause.args:
                self.around.error("F071", "a task brings its own facts", name.span, "drop the arguments")
            self.draft.steps.append(a.Verify(None, {}, struct.name))
            return
        verifier = self._verifier(name)
        if verifier is not None:
            task, facts = self._facts(clause, verifier)
            self.draft.steps.append(a.Verify(verifier, facts, task))

    def _verifier(self, name: s.Name) -> Verifier[Any] | None:
        if name.text not in names():
            if (struct := self.around.scope.structs.get(name.text)) is not None:
                is_task = issubclass(struct.model, Task)
                self.around.error(
                    "F070",
                    f"`{name.text}` is a struct, and "
                    + ("the node does not take it" if is_task else "no `Task`"),
                    name.span,
                    f"add `takes {name.text}`" if is_task else "a task is `from schemas.task import Task`",
                )
                return None
            judges = [
                n
                for n, e in self.around.scope.entities.items()
                if isinstance(e, a.Model) and e.kind == "judge"
            ]
            self.around.error(
                "F070",
                f"there is no verifier `{name.text}`",
                name.span,
                did_you_mean(name.text, [*names(), *judges], "`dataforge verifiers` lists them"),
            )
            return None
        try:
            found = find(name.text)
        except InputError as error:
            self.around.error("F070", error.message, name.span, error.help or "")
            return None
        if found.converses:
            self.around.error(
                "F070",
                f"`{name.text}` judges conversations with tools, and a node asks for one answer",
                name.span,
                f"`dataforge serve-env {name.text}` drives such conversations",
            )
            return None
        return found

    # ---- facts

    def _facts(self, clause: s.Verify, verifier: Verifier[Any]) -> tuple[str | None, dict[str, Any]]:
        fields = verifier.facts.model_fields
        if not clause.args:
            task = next((n for n, struct in self.draft.takes.items() if issubclass(struct.model, Task)), None)
            required = [name for name, info in fields.items() if info.is_required()]
            if task is None and required:
                self.around.error(
                    "F071",
                    f"`{verifier.name}` wants {listing(required)}, and gets nothing",
                    clause.verifier.span,
                    f"write `verify {verifier.name}({', '.join(required)})` with fields of the state, or take a `Task`",
                )
            return task, {}
        facts: dict[str, Any] = {}
        order = list(fields)
        for number, arg in enumerate(clause.args):
            if isinstance(arg, tuple):
                name, value = arg[0].text, arg[1]
                span = arg[0].span
            else:
                span = arg.span
                if number >= len(order):
                    self.around.error(
                        "F071",
                        f"`{verifier.name}` takes {len(order)} facts, and this is one more",
                        span,
                        f"they are {listing(order)}" if order else "",
                    )
                    continue
                name, value = order[number], arg
            if name not in fields:
                self.around.error(
                    "F071",
                    f"`{verifier.name}` knows no fact `{name}`",
                    span,
                    did_you_mean(name, order, f"it knows {listing(order)}"),
                )
            elif name in facts:
                self.around.error("F071", f"`{name}` is given twice", span, "keep one of them")
            else:
                facts[name] = self._fact(verifier, name, fields[name], value)
        missing = [name for name, info in fields.items() if info.is_required() and name not in facts]
        if missing:
            self.around.error(
                "F071",
                f"`{verifier.name}` wants {listing(missing)}",
                clause.verifier.span,
                f"add {listing(missing)}",
            )
        return None, facts

    def _fact(self, verifier: Verifier[Any], name: str, info: FieldInfo, value: s.Literal | s.Ref) -> Any:
        """A constant that fits, or a term that does; None after a report."""
        wanted = field_type(info.annotation, tuple(info.metadata))
        if isinstance(value, s.Literal):
            constant = plain(value)
            annotation: Any = info.annotation
            if info.metadata:
                annotation = Annotated[(annotation, *info.metadata)]
            try:
                TypeAdapter(annotation).validate_python(constant)
            except ValidationError as error:
                message = error.errors(include_url=False)[0]["msg"]
                self.around.error(
                    "F021",
                    f"`{name}` of `{verifier.name}` is {wanted}, and this does not fit: {message}",
                    value.span,
                    info.description or "",
                )
            return constant
        term = self.draft.resolver.operand(value)
        if term is None or not self.steps.available(term, value.span):
            return None
        lone = wanted.item if any(isinstance(m, BeforeValidator) for m in info.metadata) else None
        if not self._fits(term, wanted) and not (lone is not None and self._fits(term, lone)):
            self.around.error(
                "F021",
                f"`{name}` of `{verifier.name}` is {wanted}, and `{term.text}` is {term.type or 'a whole struct'}",
                value.span,
                info.description or "",
            )
        return term

    def _fits(self, term: Term, wanted: FieldType) -> bool:
        if term.type is None:
            return False
        optional = term.optional and not self.draft.never_null(term.structs[0], term.path)
        found = replace(term.type, optional=optional)
        if wanted.base == "any" or found.base == "any":
            return True  # what the language does not see into is checked on the real value
        if found.base == wanted.base == "list" and found.item is not None and wanted.item is not None:
            return not optional and assignable(found.item, wanted.item)
        if found.base == wanted.base == "enum":
            return assignable(replace(found, base="str"), replace(wanted, base="str"))
        return assignable(found, wanted)

    # ---- rollouts

    def _rollouts(self, clause: s.Verify, rest: Mapping[str, s.Setting]) -> None:
        if not rest:
            self.draft.rollouts = self.draft.rollouts or a.Rollouts()
            return
        if self.draft.rollouts is not None and self.draft.rollouts != a.Rollouts():
            self.around.error(
                "F072",
                "how the node samples is said twice",
                clause.verifier.span,
                "write the settings at one `verify`: a sample must pass all of them",
            )
            return
        samples = self._whole(rest["samples"], MAX_SAMPLES) if "samples" in rest else 1
        rate = self.steps.number(rest["rate"], whole=False) if "rate" in rest else None
        pass_rate = self._share(rest["pass_rate"]) if "pass_rate" in rest else None
        keep: Literal["best", "first", "all"] = "first" if samples == 1 else "best"
        if "keep" in rest:
            keep = self._keep(rest["keep"])
        for name in ("rate", "pass_rate"):
            if name in rest and keep == "first":
                self.around.error(
                    "F072",
                    "`keep first` stops at the first sample that passes, so the share that would is not known"
                    if "keep" in rest
                    else "of one sample there is no share that passes",
                    rest[name].span,
                    "keep `best` or `all`" if "keep" in rest else "write `samples N`",
                )
        self.draft.rollouts = a.Rollouts(
            samples=samples,
            keep=keep,
            budget=self._whole(rest["budget"], 10**9) if "budget" in rest else None,
            pass_rate=pass_rate,
            score=self.steps.number(rest["score"], whole=False) if "score" in rest else None,
            rate=rate,
        )

    def _whole(self, setting: s.Setting, most: int) -> int:
        value = setting.value.value if isinstance(setting.value, s.Literal) else None
        if not is_int(value) or not 1 <= value <= most:  # type: ignore[operator]
            self._wants(setting, f"a whole number from 1 to {most:,}")
            return 1
        return int(value)  # type: ignore[arg-type]

    def _keep(self, setting: s.Setting) -> Any:
        word = str(setting.value) if isinstance(setting.value, s.Ref) else None
        if word not in KEEPS:
            self._wants(setting, listing(KEEPS, joiner="or"))
            return "best"
        return word

    def _share(self, setting: s.Setting) -> tuple[float, float] | None:
        if isinstance(setting.value, s.Range):
            low = 0.0 if setting.value.low is None else setting.value.low
            high = 1.0 if setting.value.high is None else setting.value.high
            if is_number(low) and is_number(high) and 0 <= low <= high <= 1:
                return float(low), float(high)
        self._wants(setting, "a range from 0 to 1, such as `0.1..0.9`")
        return None

    def _wants(self, setting: s.Setting, what: str) -> None:
        self.around.error(
            "F024", f"`{setting.name.text}` wants {what}", Span(setting.span.start, setting.span.end)
        )
