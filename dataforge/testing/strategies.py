"""States that satisfy a condition, constructed: what property-based tests of contracts, and yours, draw from.

`strategy(Passage, where="words(Passage.text) >= 60")` is a Hypothesis strategy of passages; `states([Passage, Answer],
where=…)` one of whole states. A condition is taken apart into its alternatives (boxes); of one of them, each field gets a
rule (`dataforge.testing.rules`), each rule a value. Nothing is filtered: where a first try fails, which can happen with
patterns and relations, seeded tries follow, and at the last a witness that was found when the strategy was made.

Only a `predicate` cannot be constructed, being any Python function: states are tried until it says yes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dataforge.domain.conditions import (
    TRUE,
    Expr,
    Term,
    Terms,
    TooManyAlternatives,
    boxes,
    holds,
    possible,
    terms_of,
)
from dataforge.domain.expressions import Resolver
from dataforge.domain.measures import simple_tokens
from dataforge.domain.scope import FileScope
from dataforge.domain.settings import field_adapter
from dataforge.domain.structs import FieldType, StructField, StructType
from dataforge.domain.values import Numbers, Values, intersection
from dataforge.errors import InputError
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import CompileError, Diagnostic, Report, Source, Span
from dataforge.testing.choices import Chooser, Drawn, Seeded, perhaps, pick
from dataforge.testing.numbers import number, spans
from dataforge.testing.rules import Impossible, Path, Rule, Rules, text_rule
from dataforge.testing.texts import writer

State = dict[str, BaseModel]
TRIES = 80
"""Seeded tries for an alternative before it counts as one that nothing satisfies."""
PREDICATE_TRIES = 400
MORE_ITEMS = 3


class NothingSatisfies(InputError):
    """No state that satisfies a condition could be constructed."""

    default_code = "R040"


def strategy(struct: type[BaseModel], where: str = "") -> st.SearchStrategy[Any]:
    """Instances of a pydantic model that satisfy a condition of the language.

    Args:
        struct: the model; the condition knows it by its class name.
        where: the condition, as in `pre`, such as `words(Passage.text) >= 60, Passage.lang == "en"`.

    Raises:
        CompileError: where the condition is wrong.
        NothingSatisfies: where no instance satisfies it, or none could be found.
    """
    name = struct.__name__
    return states([struct], where).map(lambda state: state[name])


def states(structs: Iterable[type[BaseModel]], where: str = "") -> st.SearchStrategy[State]:
    """States (struct name → instance) in which every one of the structs is there and a condition holds.

    Raises:
        CompileError, NothingSatisfies: as `strategy` does.
    """
    known = {model.__name__: StructType(model.__name__, model, model.__module__) for model in structs}
    return states_of(known, parse_condition(where, known) if where.strip() else TRUE)


def parse_condition(text: str, structs: Mapping[str, StructType]) -> Expr:
    """A condition of the language, resolved.

    Raises:
        CompileError: where it is wrong.
    """
    from dataforge.lang.parse import parse

    before = "node it { pre\n"
    report = Report()
    file = parse(Source("where", f"{before}{text}\n}}"), report)
    conditions: tuple[s.Condition, ...] = ()
    if not report.has_errors:
        node = file.items[0]
        assert isinstance(node, s.NodeDecl)
        conditions = tuple(c for clause in node.clauses if isinstance(clause, s.Pre) for c in clause.items)
    source = Source("where", text)
    scope = FileScope(source, report, dict(structs))
    expr = Resolver(scope, Terms(), source, report).conjunction(conditions)
    if report.has_errors:
        raise CompileError(_moved(d, source, len(before)) for d in report.diagnostics)
    return expr


def _moved(diagnostic: Diagnostic, source: Source, by: int) -> Diagnostic:
    span = Span(max(0, diagnostic.span.start - by), max(1, diagnostic.span.end - by))
    return Diagnostic(diagnostic.code, diagnostic.message, source, span, diagnostic.help)


def states_of(
    structs: Mapping[str, StructType], condition: Expr = TRUE, present: Iterable[str] | None = None
) -> st.SearchStrategy[State]:
    """States for a resolved condition.

    Args:
        structs: every struct that may be there, by canonical name.
        condition: what must hold.
        present: those that must be there; all of them by default.

    Raises:
        NothingSatisfies: where no alternative of the condition could be satisfied.
    """
    always = tuple(structs) if present is None else tuple(present)
    try:
        options = possible(boxes(condition), always)
    except TooManyAlternatives:
        raise NothingSatisfies(
            f"`{condition}` has more than 64 alternatives", help="ask for less at once"
        ) from None
    makers = [_Maker(structs, always, condition, box) for box in options]
    good = [maker for maker in makers if maker.witness is not None]
    if not good:
        raise NothingSatisfies(
            f"no state could be made in which `{condition}` holds",
            help="it contradicts itself, or a predicate or pattern in it could not be met by trying",
        )
    alternatives = [_drawn(maker) for maker in good]
    return alternatives[0] if len(alternatives) == 1 else st.one_of(alternatives)


@st.composite
def _drawn(draw: st.DrawFn, maker: _Maker) -> State:
    return maker.state(Drawn(draw))


class _Maker:
    """Makes states of one alternative of a condition."""

    def __init__(
        self,
        structs: Mapping[str, StructType],
        present: Sequence[str],
        condition: Expr,
        box: Mapping[Term, Values],
    ) -> None:
        self.structs = structs
        self.present = present
        self.condition = condition
        self.box = box
        opaque = [term for term in terms_of(condition) if term.opaque is not None and term.relation is None]
        self.tries = PREDICATE_TRIES if opaque else TRIES
        self.witness = self._seeded(range(self.tries))

    def state(self, chooser: Drawn) -> State:
        made = self._try(chooser)
        if made is None:
            start = chooser.integer(0, 1 << 16)
            made = self._seeded(range(start, start + self.tries // 4))
        if made is None:
            assert self.witness is not None
            made = {name: instance.model_copy(deep=True) for name, instance in self.witness.items()}
        return made

    def _seeded(self, seeds: Iterable[int]) -> State | None:
        return next((made for seed in seeds if (made := self._try(Seeded(seed))) is not None), None)

    def _try(self, chooser: Chooser) -> State | None:
        """A state that satisfies the condition, or None where these choices lead to none."""
        try:
            rules = Rules(self.box, chooser)
            names = dict.fromkeys(self.present)
            names.update(dict.fromkeys(n for n, there in rules.structs.items() if there))
            names.update(dict.fromkeys(path[0] for path, rule in rules.of.items() if rule.present))
            made = {name: _instance(self.structs[name], (name,), rules, chooser) for name in names}
        except (Impossible, ValidationError):
            return None
        if any(name in made and not there for name, there in rules.structs.items()):
            return None
        return made if holds(self.condition, made, simple_tokens) else None


# ---- values


def _instance(struct: StructType, path: Path, rules: Rules, chooser: Chooser) -> BaseModel:
    values: dict[str, Any] = {}
    plain = not perhaps(chooser)
    for name, spec in struct.fields.items():
        where = (*path, name)
        if plain and not spec.required and where not in rules.of and not rules.below(where):
            continue  # nothing is asked of it: half of the states leave it to its default
        if spec.type.base == "any" or (spec.type.item is not None and spec.type.item.base == "any"):
            value = _foreign_value(struct, spec, rules.at(where), chooser)
        else:
            value = _value(spec.type, where, rules, chooser, _pattern(struct.model, name))
        if value is not _LEFT_OUT:
            values[struct.model.model_fields[name].alias or name] = value
    return struct.model.model_validate(values)


def _value(type: FieldType, path: Path, rules: Rules, chooser: Chooser, pattern: str | None = None) -> Any:
    rule = rules.at(path)
    if rule.exact:
        return rule.exact[0]
    if rule.present is False:
        return None
    asked = rule.present or rules.below(path)
    if type.optional and not asked and not perhaps(chooser):
        return None
    match type.base:
        case "str" | "enum":
            write = writer(text_rule(rule, type, pattern))
            if write is None:
                raise Impossible
            return write(chooser)
        case "int" | "float":
            domain = _narrowed(type.values, rule.values)
            if not isinstance(domain, Numbers) or not domain.cuts:
                raise Impossible
            return number(domain, chooser)
        case "bool":
            allowed = _narrowed(type.values, rule.values)
            left = [v for v in (False, True) if v in allowed]
            if not left:
                raise Impossible
            return pick(chooser, left)
        case "list":
            return _list(type, rule, path, rules, chooser)
        case _:
            assert type.struct is not None
            return _instance(type.struct, path, rules, chooser)


def _narrowed(values: Values, asked: Values | None) -> Values:
    return values.present() if asked is None else intersection(values, asked).present()


def _list(type: FieldType, rule: Rule, path: Path, rules: Rules, chooser: Chooser) -> list[Any]:
    lengths = type.lengths
    assert isinstance(lengths, Numbers)
    if "len" in rule.counts:
        lengths = lengths & rule.counts["len"]
    stretches = spans(lengths)
    if not stretches:
        raise Impossible
    low, high = pick(chooser, stretches)
    count = chooser.integer(low, low + MORE_ITEMS if high is None else min(high, low + MORE_ITEMS))
    assert type.item is not None
    # A long list repeats a few entries: what is tested is its length.
    few = [_value(type.item, (*path, "[]"), rules, chooser) for _ in range(min(count, MORE_ITEMS * 2))]
    return [few[i % len(few)] for i in range(count)]


# ---- types that the language does not see into

_LEFT_OUT: Any = object()
_PLAIN: tuple[Any, ...] = (
    None,
    {},
    [],
    "",
    "text",
    0,
    1.5,
    True,
    {"key": "value"},
    "2026-01-31T12:00:00Z",
    "2026-01-31",
    "https://example.com/page",
    "00000000-0000-4000-8000-000000000000",
    ["a"],
)


def _foreign_value(struct: StructType, spec: StructField, rule: Rule, chooser: Chooser) -> Any:
    """A value of a type such as a dict, a date or a URL: plain ones are offered, and pydantic takes what fits."""
    fitting = [v for v in _fitting(struct, spec.name) if not (rule.present and v is None)]
    if rule.present is False:
        return None
    if not spec.required and (not fitting or (not rule.present and not perhaps(chooser))):
        return _LEFT_OUT
    if not fitting:
        raise Impossible
    return pick(chooser, fitting)


@functools.lru_cache(maxsize=1_024)
def _fitting(struct: StructType, name: str) -> tuple[Any, ...]:
    adapter = field_adapter(struct, name)
    found = []
    for value in _PLAIN:
        try:
            adapter.validate_python(value)
        except ValidationError:
            continue
        found.append(value)
    return tuple(found)


def _pattern(model: type[BaseModel], name: str) -> str | None:
    """The pattern that a field's type demands, where it has one."""
    for item in model.model_fields[name].metadata:
        pattern = getattr(item, "pattern", None)
        if pattern is not None:
            return pattern if isinstance(pattern, str) else str(pattern.pattern)
    return None
