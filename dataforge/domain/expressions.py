"""Syntax → domain for conditions: names resolved, types checked, every comparison turned into a set of values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dataforge.domain.conditions import (
    All,
    AnyOf,
    Atom,
    Compared,
    Expr,
    Matches,
    Negation,
    State,
    Term,
    Terms,
)
from dataforge.domain.measures import MEASURES, TokenCounter
from dataforge.domain.structs import StructType
from dataforge.domain.values import (
    PRESENT,
    YES,
    Values,
    interval,
    points,
    quoted,
    symbols,
)
from dataforge.errors import FunctionFailed
from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Report, Source, Span, did_you_mean, listing, nearest


@dataclass(frozen=True, eq=False)
class Predicate:
    """A yes-or-no function over structs; `params` are the structs it takes, None where any will do."""

    name: str
    params: tuple[StructType | None, ...]
    function: Callable[..., object]


class Scope(Protocol):
    """What names mean in a file."""

    def struct(self, name: str) -> StructType | None: ...
    def predicate(self, name: str) -> Predicate | None: ...
    def is_broken(self, name: str) -> bool: ...
    def names_of(self, kind: str) -> list[str]: ...


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Resolver:
    """Turns the conditions of one file into resolved ones, reporting what is wrong with them."""

    def __init__(
        self,
        scope: Scope,
        terms: Terms,
        source: Source,
        report: Report,
        refs: dict[tuple[str, ...], Term] | None = None,
    ) -> None:
        self.refs = {} if refs is None else refs
        self.scope = scope
        self.terms = terms
        self.source = source
        self.report = report

    def conjunction(self, items: Iterable[s.Condition]) -> Expr:
        """Conditions joined by commas. Broken ones are reported and left out."""
        resolved = [expr for item in items if (expr := self.condition(item)) is not None]
        return resolved[0] if len(resolved) == 1 else All(tuple(resolved))

    def condition(self, item: s.Condition) -> Expr | None:
        """One condition, or None where it was wrong."""
        match item:
            case s.Compare():
                return self._compare(item)
            case s.In():
                return self._in(item)
            case s.Truth():
                return self._truth(item)
            case s.Has():
                term = self.ref(item.ref)
                return Atom(term, _anything(term)) if term is not None else None
            case s.Not():
                inner = self.condition(item.item)
                return Negation(inner) if inner is not None else None
            case s.And() | s.Or():
                resolved = [self.condition(i) for i in item.items]
                good = tuple(expr for expr in resolved if expr is not None)
                if len(good) < len(resolved):
                    return None
                return All(good) if isinstance(item, s.And) else AnyOf(good)

    def ref(self, ref: s.Ref) -> Term | None:
        """A struct or a field of one."""
        known = self.refs.get(ref.parts)
        if known is not None:
            return known
        term = self._find(ref)
        if term is not None:
            self.refs[ref.parts] = term
        return term

    def _find(self, ref: s.Ref) -> Term | None:
        struct = self.struct_named(ref.parts[0], Span(ref.span.start, ref.span.start + len(ref.parts[0])))
        if struct is None:
            return None
        if len(ref.parts) == 1:
            return self.terms.struct(struct)
        optional = False
        fields = struct.fields
        owner = struct.name
        for depth, part in enumerate(ref.parts[1:]):
            if part not in fields and struct.origin == "rubric":
                self.report.error(
                    "F020",
                    f"this rubric has no criterion `{part}`",
                    self.source,
                    ref.span,
                    did_you_mean(part, fields),
                )
                return None
            if part not in fields:
                self.report.error(
                    "F020",
                    f"`{owner}` has no field `{part}`",
                    self.source,
                    ref.span,
                    self._meant_field(part, fields),
                )
                return None
            type = fields[part].type
            optional = optional or type.optional
            if depth == len(ref.parts) - 2:
                return self.terms.field(struct, ref.parts[1:], type, optional)
            if type.struct is None:
                self.report.error(
                    "F020",
                    f"`{'.'.join(ref.parts[: depth + 2])}` is {type}: it has no field `{ref.parts[depth + 2]}`",
                    self.source,
                    ref.span,
                    "only a field that is a struct has fields of its own",
                )
                return None
            owner, fields = type.struct.name, type.struct.fields
        return None

    def _meant_field(self, part: str, fields: Mapping[str, object]) -> str:
        """Help for a field that the struct has not: its nearest, and the structs that have it, where one or two have."""
        known = [(name, self.scope.struct(name)) for name in self.scope.names_of("struct")]
        owners = [f"{name}.{part}" for name, struct in known if struct and part in struct.fields]
        near = nearest(part, fields)
        meant = [near] if near is not None else []
        if len(owners) <= 2:
            meant += owners
        if meant:
            return f"did you mean {listing(meant, joiner='or')}?"
        return did_you_mean(part, fields, otherwise="" if fields else "it has no fields")

    def struct_named(self, name: str, span: Span) -> StructType | None:
        """The struct of that name, or None after a report."""
        struct = self.scope.struct(name)
        if struct is None and not self.scope.is_broken(name):
            known = self.scope.names_of("struct")
            self.report.error(
                "F010",
                f"there is no struct named `{name}` here",
                self.source,
                span,
                did_you_mean(name, known, otherwise="declare it with `struct`, or import it"),
            )
        return struct

    def operand(self, operand: s.Operand) -> Term | None:
        """A term that can be compared: a field or a measure of one."""
        if isinstance(operand, s.Ref):
            return self.ref(operand)
        if operand.name not in MEASURES:
            known = sorted(MEASURES)
            self.report.error(
                "F010",
                f"there is no measure named `{operand.name}`",
                self.source,
                operand.span,
                did_you_mean(operand.name, known),
            )
            return None
        if len(operand.args) != 1 or not isinstance(operand.args[0], s.Ref):
            self.report.error(
                "F023",
                f"`{operand.name}` measures one field",
                self.source,
                operand.span,
                f"write `{operand.name}(Struct.field)`",
            )
            return None
        of = self.ref(operand.args[0])
        if of is None:
            return None
        is_list = of.type is not None and of.type.base == "list"
        if of.sort != "text" and not (operand.name == "len" and is_list):
            wanted = "text or lists" if operand.name == "len" else "text"
            self.report.error(
                "F022",
                f"`{operand.name}` measures {wanted}, and `{of.text}` is {of.type or 'a whole struct'}",
                self.source,
                operand.span,
                "compare the field itself" if of.sort != "other" else "name a text field of it",
            )
            return None
        return self.terms.measure(operand.name, of)

    def _truth(self, item: s.Truth) -> Expr | None:
        if isinstance(item.operand, s.Func):
            return self._call(item.operand)
        term = self.ref(item.operand)
        if term is None:
            return None
        if term.sort != "bool":
            self.report.error(
                "F022",
                f"`{term.text}` is {term.type or 'a struct'}, not a yes or no",
                self.source,
                item.span,
                f"write `has {term.text}`, or compare it with something",
            )
            return None
        return Atom(term, YES)

    def _call(self, call: s.Func) -> Expr | None:
        if call.name == "matches":
            return self._matches(call)
        if call.name in MEASURES:
            self.report.error(
                "F022",
                f"`{call.name}(…)` is a number, not a yes or no",
                self.source,
                call.span,
                f"compare it, such as `{call.name}(…) >= 1`",
            )
            return None
        predicate = self.scope.predicate(call.name)
        if predicate is None:
            if not self.scope.is_broken(call.name):
                known = [*self.scope.names_of("predicate"), *MEASURES, "matches"]
                self.report.error(
                    "F010",
                    f"there is no predicate named `{call.name}`",
                    self.source,
                    call.span,
                    did_you_mean(call.name, known, otherwise="declare it with `predicate`"),
                )
            return None
        if len(call.args) != len(predicate.params):
            self.report.error(
                "F023",
                f"`{call.name}` takes {len(predicate.params)} structs, and {len(call.args)} are given",
                self.source,
                call.span,
                f"write `{call.name}({', '.join(p.name if p else 'Struct' for p in predicate.params)})`",
            )
            return None
        names: list[str] = []
        for arg, param in zip(call.args, predicate.params, strict=True):
            if not isinstance(arg, s.Ref) or len(arg.parts) != 1:
                self.report.error(
                    "F023",
                    "a predicate takes whole structs",
                    self.source,
                    arg.span,
                    "name a struct, without a field",
                )
                return None
            struct = self.struct_named(arg.parts[0], arg.span)
            if struct is None:
                return None
            if param is not None and param is not struct:
                self.report.error(
                    "F023",
                    f"`{call.name}` takes `{param.name}` here, not `{struct.name}`",
                    self.source,
                    arg.span,
                    f"write `{param.name}`",
                )
                return None
            names.append(struct.name)
        function = predicate.function
        text = f"{predicate.name}({', '.join(names)})"

        def test(state: State, _: TokenCounter) -> bool:
            try:
                return bool(function(*(state[name] for name in names)))
            except (Exception, SystemExit) as error:
                # Foreign code: whatever it raises is reported with its name, and the row counts as failed.
                raise FunctionFailed(
                    f"the predicate `{text}` raised {type(error).__name__}: {error}",
                    help="mend the function: a predicate answers for every state",
                ) from error

        return Atom(self.terms.opaque(text, tuple(dict.fromkeys(names)), test), YES)

    def _matches(self, call: s.Func) -> Expr | None:
        if (
            len(call.args) != 2
            or not isinstance(call.args[0], s.Ref)
            or not isinstance(call.args[1], s.Literal)
        ):
            self.report.error(
                "F023",
                "`matches` takes a field and a pattern",
                self.source,
                call.span,
                'write `matches(Struct.field, "pattern")`',
            )
            return None
        term = self.ref(call.args[0])
        if term is None:
            return None
        if term.sort != "text":
            self.report.error(
                "F022",
                f"`matches` tests text, and `{term.text}` is {term.type}",
                self.source,
                call.span,
                "name a text field",
            )
            return None
        pattern = str(call.args[1].value)
        try:
            compiled = re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            self.report.error(
                "F021",
                f"this pattern is not a regular expression: {error}",
                self.source,
                call.args[1].span,
                "patterns are Python's; write a backslash twice only where you mean one literally",
            )
            return None

        def test(state: State, tokens: TokenCounter) -> bool:
            value = term.value(state, tokens)
            return value is not None and compiled.search(str(value)) is not None

        text = f"matches({term.text}, {quoted(pattern)})"
        return Atom(self.terms.opaque(text, term.structs, test, Matches(term, pattern)), YES)

    def _compare(self, item: s.Compare) -> Expr | None:
        left = self.operand(item.left)
        if left is None:
            return None
        if isinstance(item.right, s.Literal):
            return self._compare_literal(left, item.op, item.right, item.left.span)
        if self._is_bare_word(item.right):
            self._report_bare_word(left, item.right)
            return None
        right = self.operand(item.right)
        if right is None:
            return None
        order = item.op not in ("==", "!=")
        if left.sort != right.sort or left.sort == "other" or (order and left.sort != "number"):
            self.report.error(
                "F021",
                f"`{left.text}` ({_sort_name(left)}) cannot be compared with `{right.text}` ({_sort_name(right)})"
                + (f" by `{item.op}`" if left.sort == right.sort else ""),
                self.source,
                item.span,
                "only numbers have an order"
                if order and left.sort == right.sort
                else "compare like with like",
            )
            return None
        op, a, b = item.op, left, right
        if op in (">", ">="):
            op, a, b = {">": "<", ">=": "<="}[op], right, left
        elif not order and b.text < a.text:
            a, b = b, a
        compare = _OPERATORS[op]

        def test(state: State, tokens: TokenCounter) -> bool:
            x, y = a.value(state, tokens), b.value(state, tokens)
            return x is not None and y is not None and compare(x, y)

        structs = tuple(dict.fromkeys((*a.structs, *b.structs)))
        return Atom(self.terms.opaque(f"{a.text} {op} {b.text}", structs, test, Compared(a, op, b)), YES)

    def _is_bare_word(self, operand: s.Operand) -> bool:
        """Whether it is a word that names nothing, where a value may have been meant."""
        if not isinstance(operand, s.Ref):
            return False
        head, *rest = operand.parts
        struct = self.scope.struct(head)
        if struct is not None and struct.origin == "rubric":
            return rest[0] not in struct.fields and nearest(rest[0], struct.fields) is None
        known = self.scope.names_of("struct")
        return not rest and struct is None and not self.scope.is_broken(head) and nearest(head, known) is None

    def _report_bare_word(self, left: Term, ref: s.Operand) -> None:
        """Say what a word was probably meant to be, by what it is compared with."""
        assert isinstance(ref, s.Ref)
        word = ref.parts[-1]
        allowed = [str(v) for v in left.universe.listed(64) or ()] if left.sort == "text" else []
        near = nearest(word, allowed)
        if left.sort == "number":
            help = f"`{left.text}` is a number: write digits, such as `3`"
        elif left.sort == "bool":
            help = "write `true` or `false`"
        else:
            help = f"write `{quoted(near or word)}`, in quotes"
        self.report.error("F010", f"`{word}` names nothing here", self.source, ref.span, help)

    def _compare_literal(self, term: Term, op: str, literal: s.Literal, at: Span) -> Expr | None:
        if literal.value is None:
            if op not in ("==", "!="):
                self.report.error(
                    "F021", "null has no order", self.source, literal.span, f"write `has {term.text}`"
                )
                return None
            present = Atom(term, _anything(term))
            return present if op == "!=" else Negation(present)
        if not self._fits(term, literal):
            return None
        value = literal.value
        if op in ("==", "!="):
            if term.sort == "number":
                only: Values = points([value], integer=term.integer)  # type: ignore[list-item]
            else:
                only = symbols([value])  # type: ignore[list-item]
            return Atom(term, only if op == "==" else (~only).present())
        if term.sort != "number":
            self.report.error(
                "F021",
                f"only numbers have an order, and `{term.text}` is {_sort_name(term)}",
                self.source,
                at,
                "use `==`, `!=` or `in {…}`",
            )
            return None
        bound = float(value) if isinstance(value, float) else int(value)  # type: ignore[arg-type]
        match op:
            case "<":
                values = interval(high=bound, open_high=True, integer=term.integer)
            case "<=":
                values = interval(high=bound, integer=term.integer)
            case ">":
                values = interval(bound, open_low=True, integer=term.integer)
            case _:
                values = interval(bound, integer=term.integer)
        return Atom(term, values)

    def _in(self, item: s.In) -> Expr | None:
        term = self.operand(item.left)
        if term is None:
            return None
        values: Values
        if isinstance(item.right, s.Range):
            if term.sort != "number":
                self.report.error(
                    "F021",
                    f"a range is of numbers, and `{term.text}` is {_sort_name(term)}",
                    self.source,
                    item.span,
                    "use `in {…}`",
                )
                return None
            low = -math.inf if item.right.low is None else item.right.low
            high = math.inf if item.right.high is None else item.right.high
            if low > high:
                self.report.error(
                    "F032",
                    f"this range is empty: {low} is above {high}",
                    self.source,
                    item.right.span,
                    f"write `{high}..{low}`",
                )
                return None
            values = interval(low, high, integer=term.integer)
        else:
            fitting = [
                self._fits(term, literal) for literal in item.right
            ]  # all of them, so that each is reported
            if not all(fitting):
                return None
            constants: Any = [literal.value for literal in item.right]
            values = points(constants, integer=term.integer) if term.sort == "number" else symbols(constants)
        return Atom(term, (~values).present() if item.negated else values)

    def _fits(self, term: Term, literal: s.Literal) -> bool:
        """Whether the literal is of the term's type; reports where it is not."""
        value = literal.value
        wanted = term.sort
        actual = (
            "bool"
            if isinstance(value, bool)
            else "number"
            if isinstance(value, int | float)
            else ("text" if isinstance(value, str) else "other")
        )
        if wanted == "other" or wanted != actual:
            self.report.error(
                "F021",
                f"`{term.text}` is {_sort_name(term)}, and {_literal_text(literal)} is "
                f"{ {'bool': 'a yes or no', 'number': 'a number', 'text': 'text'}.get(actual, 'neither text nor number') }",
                self.source,
                literal.span,
                f"compare it with {_example(term)}"
                if wanted != "other"
                else f"only `has {term.text}` can be asked of it",
            )
            return False
        if (
            wanted == "text"
            and term.type is not None
            and term.type.base == "enum"
            and value not in term.universe
        ):
            allowed = [str(v) for v in term.universe.listed(64) or ()]
            self.report.error(
                "F021",
                f"`{term.text}` is never {_literal_text(literal)}",
                self.source,
                literal.span,
                did_you_mean(str(value), allowed),
            )
            return False
        return True


def span_of(struct: str, conditions: Iterable[s.Condition]) -> Span | None:
    """Where conditions first mention a struct."""
    for condition in conditions:
        for ref in _refs(condition):
            if ref.parts[0] == struct:
                return ref.span
    return None


def _refs(item: s.Condition | s.Operand | s.Literal) -> Iterator[s.Ref]:
    match item:
        case s.Ref():
            yield item
        case s.Func():
            for arg in item.args:
                yield from _refs(arg)
        case s.Truth(operand, _):
            yield from _refs(operand)
        case s.Has(ref, _):
            yield ref
        case s.Compare(left, _, right, _):
            yield from _refs(left)
            yield from _refs(right)
        case s.In(left, _, _, _):
            yield from _refs(left)
        case s.Not(inner, _):
            yield from _refs(inner)
        case s.And(items, _) | s.Or(items, _):
            for inner in items:
                yield from _refs(inner)
        case _:
            pass


def _anything(term: Term) -> Values:
    """All values that say that the term is there."""
    return interval(integer=term.integer) if term.sort == "number" else PRESENT


def _sort_name(term: Term) -> str:
    if term.sort == "other":
        return f"{term.type}" if term.type is not None else "a whole struct"
    return {"number": "a number", "text": "text", "bool": "a yes or no"}[term.sort]


def _literal_text(literal: s.Literal) -> str:
    if isinstance(literal.value, str):
        return quoted(literal.value if len(literal.value) <= 40 else literal.value[:37] + "…")
    if isinstance(literal.value, bool):
        return str(literal.value).lower()
    return "a list" if isinstance(literal.value, tuple) else str(literal.value)


def _example(term: Term) -> str:
    if term.sort == "bool":
        return "`true` or `false`, or write it alone"
    if term.sort == "number":
        return "a number"
    values = term.universe.listed(4)
    return " or ".join(quoted(str(v)) for v in values) if values else "text in quotes"
