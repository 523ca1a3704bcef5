"""Prompt templates: Jinja2, checked on its syntax tree at compile time and rendered in the immutable sandbox.

The sandbox alone stops attribute escapes but neither memory nor time bombs, so the check allows only what prompts
need: text, names and fields, `if`, `for` over fields that are lists, and filters and tests of a short list. What is
left can be checked against the contracts too: every field that a template shows must be guaranteed where it runs. Large
values can still make a small template work hard: two loops over a long list, `tojson` of `tojson`. So rendering is metered:
each turn of a loop and each text that a filter reads or makes counts, and beyond a bound the template is cut off, the same
one on every machine.
"""

from __future__ import annotations

import enum
import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from dataforge.domain.structs import FieldType, StructType
from dataforge.lang.diagnostics import Report, Source, Span, did_you_mean, listing

MAX_RENDERED_CHARS = 1_000_000
MAX_WORK = 2_000_000
"""Turns of loops, and pieces of `CHARS_A_WORK` characters that go through filters, for one rendering: a second or so."""
CHARS_A_WORK = 16
MAX_RENDER_S = 5.0
"""CPU seconds, for what the meter does not see: comparisons of very long texts, again and again."""
MAX_LOOP_DEPTH = 2
MAX_PARTS = 20_000
"""Expressions and statements, of which Jinja makes code: that takes some 15 kB and 0.2 ms each."""
FILTERS = frozenset(
    [
        "capitalize",
        "first",
        "join",
        "last",
        "length",
        "lower",
        "reverse",
        "sort",
        "title",
        "tojson",
        "trim",
        "truncate",
        "unique",
        "upper",
        "wordcount",
    ]
)
TESTS = frozenset(
    ["none", "true", "false", "odd", "even", "string", "number", "in", "eq", "ne", "lt", "le", "gt", "ge"]
)
LOOP_FIELDS = frozenset(["index", "index0", "first", "last", "length"])

_PLAIN = re.compile(r"\{\{-?\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*-?\}\}")
_RESERVED = frozenset(["true", "false", "none", "True", "False", "None"])
_ARGUMENTS: Mapping[str, tuple[type, ...]] = {
    "join": (str,),
    "sort": (bool, bool),
    "trim": (str,),
    "truncate": (int, bool, str, int),
    "unique": (bool,),
}
"""Filter → the kinds of its arguments; the other filters take none, since `tojson(100000)` would be a memory bomb."""


@dataclass(frozen=True)
class Use:
    """A field (or a whole struct, with an empty path) that a template shows or tests.

    `guarded` where the template itself tests that it is there before showing it, or only tests it.
    """

    struct: str
    path: tuple[str, ...]
    guarded: bool
    span: Span
    source: Source

    def __str__(self) -> str:
        return ".".join((self.struct, *self.path))


@dataclass(frozen=True)
class Template:
    """A checked template.

    Attributes:
        text: the Jinja source.
        names: local name → canonical struct name, for those that it mentions.
        uses: what it shows of which struct, under canonical names.
        variables: the drawn variables that it mentions.
        digest: content hash of the text.
    """

    text: str
    names: Mapping[str, str]
    uses: tuple[Use, ...] = field(repr=False, default=())
    variables: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.text.encode(), digest_size=16).hexdigest()


class Unrenderable(Exception):
    """A template cannot be rendered on these values: they make it too long or too slow, or do not bear what it does."""


# ---- checking


@dataclass(frozen=True)
class Variable:
    """A name that is no struct: an entry drawn from a list. `keys` are the keys that every entry has, or None for text."""

    keys: frozenset[str] | None


def check(
    text: str,
    structs: Mapping[str, StructType],
    variables: Mapping[str, Variable],
    source: Source,
    span: Span,
    report: Report,
    broken: Collection[str] = (),
) -> Template | None:
    """Check a template; None after reports.

    Args:
        text: the Jinja source.
        structs: structs that the template may name, under their local names.
        variables: other names.
        source, span: where the text stands, for messages.
        report: where complaints go.
        broken: names whose declaration was wrong: uses of them raise no further complaint.
    """
    checker = _Checker(structs, variables, source, span, report, broken)
    if len(text) > MAX_RENDERED_CHARS:
        report.error(
            "F052",
            f"a template of more than {MAX_RENDERED_CHARS:,} characters is not allowed",
            source,
            span,
            "no prompt may come out longer: show a field of a struct in its place",
        )
        return None
    if "{%" not in text and "{#" not in text:
        matches = list(_PLAIN.finditer(text))
        if len(matches) == text.count("{{") == text.count("}}"):
            # Only plain references: no need for Jinja's parser, which is some fifty times as slow.
            if len(matches) > MAX_PARTS:
                checker.forbid_size()
                return None
            for match in matches:
                checker.reference(tuple(match.group(1).split(".")), shown=True)
            return checker.result(text)
    try:
        tree = _parsed(text)
    except ValueError:
        report.error("F050", "this template is not Jinja: a number in it is too long", source, span)
        return None
    except jinja2.TemplateSyntaxError as error:
        report.error(
            "F050",
            f"this template is not Jinja: {error.message}",
            source,
            checker.line_span(error.lineno),
            "`{{ Struct.field }}` shows a field; `{% if … %}…{% endif %}` and `{% for … %}…{% endfor %}` are allowed",
        )
        return None
    except RecursionError:
        report.error("F052", "this template nests too deep", source, span, "make it flatter")
        return None
    try:
        if sum(1 for _ in tree.find_all(nodes.Node)) > MAX_PARTS:
            checker.forbid_size()
            return None
        checker.block(tree.body)
    except RecursionError:
        report.error("F052", "this template nests too deep", source, span, "make it flatter")
        return None
    template = checker.result(text)
    if template is not None and not checker.compiles(tree, text):
        return None
    return template


class _Checker:
    def __init__(
        self,
        structs: Mapping[str, StructType],
        variables: Mapping[str, Variable],
        source: Source,
        span: Span,
        report: Report,
        broken: Collection[str],
    ) -> None:
        self.broken = broken
        self.structs = structs
        self.variables = variables
        self.source = source
        self.span = span
        self.report = report
        self.failed = False
        self.uses: dict[tuple[str, tuple[str, ...], bool], Use] = {}
        self.names: dict[str, str] = {}
        self.drawn: set[str] = set()
        self.guards: frozenset[tuple[str, ...]] = frozenset()
        self.locals: dict[str, FieldType] = {}

    def result(self, text: str) -> Template | None:
        if self.failed:
            return None
        return Template(
            text, dict(sorted(self.names.items())), tuple(self.uses.values()), frozenset(self.drawn)
        )

    def compiles(self, tree: nodes.Template, text: str) -> bool:
        """Whether Jinja makes code of it: what it reads it need not accept, and Python has bounds of its own."""
        try:
            _compiled[text] = _environment().from_string(tree)
        except jinja2.TemplateSyntaxError as error:
            self.report.error(
                "F050",
                f"this template is not Jinja: {error.message}",
                self.source,
                self.line_span(error.lineno),
            )
        except (RecursionError, SyntaxError, MemoryError):
            self.report.error(
                "F052", "this template nests too deep", self.source, self.span, "make it flatter"
            )
        return text in _compiled

    # -- positions

    def find(self, shown: str) -> Span:
        """Where a piece of the template stands in its source: the first place, else the whole template."""
        match = re.search(
            r"(?<![\w.])" + re.escape(shown) + r"(?!\w)", self.source.text[self.span.start : self.span.end]
        )
        if match is None:
            return self.span
        return Span(self.span.start + match.start(), self.span.start + match.end())

    def line_span(self, lineno: int | None) -> Span:
        text = self.source.text[self.span.start : self.span.end]
        lines = text.split("\n")
        offset = 1 if len(lines) > 1 and lines[0].strip() in ('"""', "") and text.startswith('"""') else 0
        index = min(
            max(0, (lineno or 1) - 1 + offset), len(lines) - 1
        )  # Jinja leaves some nodes without a line
        start = self.span.start + sum(len(line) + 1 for line in lines[:index])
        blank = len(lines[index]) - len(lines[index].lstrip())
        return Span(start + blank, start + len(lines[index]))

    def forbid(self, what: str, node: nodes.Node, help: str) -> None:
        self.failed = True
        self.report.error(
            "F052", f"{what} is not allowed in a template", self.source, self.line_span(node.lineno), help
        )

    def forbid_size(self) -> None:
        self.failed = True
        self.report.error(
            "F052",
            f"a template of more than {MAX_PARTS:,} expressions is not allowed",
            self.source,
            self.span,
            "loop over a list, or make the text in a `call` node and show the field",
        )

    # -- statements

    def block(self, body: list[nodes.Node]) -> None:
        for node in body:
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        if not isinstance(part, nodes.TemplateData):
                            self.expression(part, shown=True)
                case nodes.If():
                    self.conditional(node)
                case nodes.For():
                    self.loop(node)
                case _:
                    self.forbid(f"`{type(node).__name__.lower()}`", node, "use fields, `if` and `for` only")

    def conditional(self, node: nodes.If) -> None:
        before = self.guards
        self.expression(node.test, shown=False)
        yes, no = _guarded(node.test)
        self.guards = before | yes
        self.block(node.body)
        self.guards = before | no
        for branch in node.elif_:
            self.conditional(branch)
            self.guards = before | no
        self.block(node.else_)
        self.guards = before

    def loop(self, node: nodes.For) -> None:
        if node.test is not None or node.recursive or not isinstance(node.target, nodes.Name):
            self.forbid(
                "a loop with a filter, a tuple target or recursion",
                node,
                "write `{% for item in Struct.list %}`",
            )
            return
        if len(self.locals) >= MAX_LOOP_DEPTH:
            self.forbid(f"a loop more than {MAX_LOOP_DEPTH} deep", node, "make it flatter")
            return
        path = _path(node.iter)
        type = self.reference(path, shown=True) if path is not None else None
        if path is None or (type is not None and type.base != "list"):
            self.forbid("a loop over anything but a list field", node, "name a field that is a list")
            return
        name = node.target.name
        shadowed = name in self.structs or name in self.variables or name in self.locals
        if shadowed:
            self.forbid(f"a loop variable named `{name}`, which hides another,", node, "choose another name")
            return
        self.locals[name] = (type.item if type is not None else None) or FieldType("any")
        self.block(node.body)
        del self.locals[name]
        self.block(node.else_)

    # -- expressions

    def expression(self, node: nodes.Node, *, shown: bool) -> None:
        path = _path(node)
        if path is not None:
            self.reference(path, shown=shown)
            return
        match node:
            case nodes.Const() | nodes.TemplateData():
                pass
            case nodes.Filter():
                if node.name not in FILTERS:
                    self.forbid(
                        f"the filter `{node.name}`", node, f"there is {listing(sorted(FILTERS), most=20)}"
                    )
                elif not _arguments_fit(node):
                    self.forbid(
                        f"the filter `{node.name}` with such arguments", node, "give it short constants only"
                    )
                elif node.name == "join" and not self.is_list(node.node):
                    self.forbid("`join` of anything but a list", node, "name a field that is a list")
                if node.node is not None:
                    self.expression(node.node, shown=shown)
            case nodes.Test():
                if node.name not in TESTS:
                    self.forbid(
                        f"the test `{node.name}`", node, f"there is {listing(sorted(TESTS), most=20)}"
                    )
                self.expression(node.node, shown=False)
                for arg in node.args:
                    self.expression(arg, shown=False)
            case nodes.Compare():
                self.expression(node.expr, shown=False)
                for operand in node.ops:
                    self.expression(operand.expr, shown=False)
            case nodes.And() | nodes.Or():
                self.expression(node.left, shown=False)
                self.expression(node.right, shown=False)
            case nodes.Not():
                self.expression(node.node, shown=False)
            case nodes.CondExpr():
                self.expression(node.test, shown=False)
                before = self.guards
                yes, no = _guarded(node.test)
                self.guards = before | yes
                self.expression(node.expr1, shown=shown)
                self.guards = before | no
                if node.expr2 is not None:
                    self.expression(node.expr2, shown=shown)
                self.guards = before
            case nodes.List() | nodes.Tuple():
                for item in node.items:
                    self.expression(item, shown=False)
            case nodes.Call():
                self.forbid("a call", node, "compute it in a `call` node and show the field")
            case nodes.Getitem():
                self.forbid("indexing with `[…]`", node, "name a field with a dot, or use `first` or `last`")
            case _:
                self.forbid("arithmetic", node, "compute it in a `call` node and show the field")

    def is_list(self, node: nodes.Node | None) -> bool:
        """Whether it is a list, or may be: `join` of a text would put its separator between all letters, and so on."""
        while isinstance(node, nodes.Filter) and node.name in ("sort", "unique", "reverse"):
            node = node.node
        if isinstance(node, nodes.List | nodes.Tuple):
            return True
        path = _path(node) if node is not None else None
        if path is None:
            return False
        if path[0] in self.locals:
            type: FieldType | None = self.locals[path[0]]
        else:
            struct = self.structs.get(path[0])
            type = FieldType("struct", struct=struct) if struct is not None else None
        for part in path[1:]:
            if type is None or type.struct is None or part not in type.struct.fields:
                return True  # inside a type that the language does not see into, or wrong, which is said elsewhere
            type = type.struct.fields[part].type
        return type is None or type.base in ("list", "any")

    def reference(self, path: tuple[str, ...], *, shown: bool) -> FieldType | None:
        """A dotted name: checks that it exists, and notes what it shows."""
        head, rest = path[0], path[1:]
        dotted = ".".join(path)
        if head == "loop" and self.locals:
            if len(rest) != 1 or rest[0] not in LOOP_FIELDS:
                self.unknown(dotted, f"a loop has {listing(sorted(LOOP_FIELDS))}")
            return None
        if head in self.locals:
            return self.walk(self.locals[head], rest, dotted)
        if head in self.variables:
            self.drawn.add(head)
            keys = self.variables[head].keys
            if rest and (keys is None or rest[0] not in keys or len(rest) > 1):
                self.unknown(
                    dotted,
                    f"`{head}` is text: write `{{{{ {head} }}}}`"
                    if keys is None
                    else did_you_mean(rest[0], keys),
                )
            return None
        struct = self.structs.get(head)
        if struct is None:
            if head in _RESERVED and not rest:
                return None
            if head in self.broken:
                self.failed = True
                return None
            known = sorted([*self.structs, *self.variables])
            there = f", or name what is there: {listing(known, most=2)}" if known else ""
            self.unknown(dotted, did_you_mean(head, known, f"import or declare `{head}`{there}"))
            return None
        self.names[head] = struct.name
        if not rest:
            if shown:
                self.unknown(
                    dotted, f"name a field of it, such as `{head}.{next(iter(struct.fields), 'text')}`"
                )
            return None
        if rest[0] not in struct.fields:
            self.unknown(dotted, did_you_mean(rest[0], struct.fields))
            return None
        guarded = not shown or any(rest[: len(g) - 1] == g[1:] and head == g[0] for g in self.guards)
        self.uses.setdefault(
            (struct.name, rest, guarded), Use(struct.name, rest, guarded, self.find(dotted), self.source)
        )
        return self.walk(struct.fields[rest[0]].type, rest[1:], dotted)

    def walk(self, type: FieldType, rest: tuple[str, ...], dotted: str) -> FieldType | None:
        for part in rest:
            if type.struct is None:
                if type.base == "any" and not any(name.startswith("_") for name in rest):
                    return None  # not seen into; at run time it has what it has
                self.unknown(dotted, f"it is {type}, which has no field `{part}`")
                return None
            if part not in type.struct.fields:
                self.unknown(dotted, did_you_mean(part, type.struct.fields))
                return None
            type = type.struct.fields[part].type
        return type

    def unknown(self, dotted: str, help: str) -> None:
        self.failed = True
        self.report.error("F053", f"the template knows no `{dotted}`", self.source, self.find(dotted), help)


def _path(node: nodes.Node) -> tuple[str, ...] | None:
    """`a.b.c` as a path, or None for anything else."""
    parts: list[str] = []
    while isinstance(node, nodes.Getattr):
        parts.append(node.attr)
        node = node.node
    if not isinstance(node, nodes.Name):
        return None
    return (node.name, *reversed(parts))


def _arguments_fit(node: nodes.Filter) -> bool:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        return False
    wanted = _ARGUMENTS.get(node.name, ())
    values = [arg.value for arg in node.args if isinstance(arg, nodes.Const)]
    if len(values) < len(node.args) or len(values) > len(wanted):
        return False
    for value, kind in zip(values, wanted, strict=False):
        if type(value) is not kind or len(str(value)) > 80:
            return False
    if node.name == "truncate" and values:
        return values[0] >= len(values[2] if len(values) > 2 else "...") and (
            len(values) < 4 or values[3] >= 0
        )
    return True


def _guarded(test: nodes.Node) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """Paths that are surely there where the test is true, and where it is false."""
    nothing: frozenset[tuple[str, ...]] = frozenset()
    path = _path(test)
    if path is not None:
        return frozenset([path]), nothing
    match test:
        case nodes.Not():
            yes, no = _guarded(test.node)
            return no, yes
        case nodes.And():
            (a_yes, _), (b_yes, _) = _guarded(test.left), _guarded(test.right)
            return a_yes | b_yes, nothing
        case nodes.Or():
            (_, a_no), (_, b_no) = _guarded(test.left), _guarded(test.right)
            return nothing, a_no | b_no
        case nodes.Test(name="none") if (inner := _path(test.node)) is not None:
            return nothing, frozenset([inner])
        case _:
            return nothing, nothing


# ---- rendering


class _Environment(ImmutableSandboxedEnvironment):
    """In `a.b`, `b` is data and never a method: an entry where `a` is a dict, such as `{{ tone.items }}`."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        value = super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute) if callable(value) else value


def _environment() -> ImmutableSandboxedEnvironment:
    global _shared
    if _shared is None:
        plain = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
        _shared = _Environment(
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
            finalize=_shown,
        )
        _shared.globals.clear()
        _shared.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": str}  # dates, for one
        plain.policies = _shared.policies
        _shared.filters = {name: _metered(name, plain) for name in FILTERS}
        _shared.tests = {name: test for name, test in _shared.tests.items() if name in TESTS}
    return _shared


_shared: ImmutableSandboxedEnvironment | None = None
_compiled: dict[str, jinja2.Template] = {}


def _parsed(text: str) -> nodes.Template:
    """The syntax tree. Each turn of a loop yields an empty piece, so that whoever joins the pieces can count the turns."""
    environment = _environment()
    tree = environment.parse(text)
    for loop in tree.find_all(nodes.For):
        loop.body.insert(0, nodes.Output([nodes.TemplateData("")], lineno=loop.lineno))
    return tree.set_environment(environment)  # type: ignore[return-value]


class _Meter:
    """The work that one rendering may still do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise Unrenderable("a prompt takes too long: it loops over too much, or filters too much text")


_METER = "_meter"  # no template can name it: the check knows structs and variables only


def _metered(name: str, plain: jinja2.Environment) -> Callable[..., Any]:
    """Jinja's own filter, which first pays for what it reads, and then for what it made."""
    grows = name in ("join", "tojson")

    @jinja2.pass_context
    def metered(context: jinja2.runtime.Context, value: Any, *args: Any) -> Any:
        meter: _Meter = context[_METER]
        size = _size(value)
        if grows and size > MAX_RENDERED_CHARS:
            raise _too_large()
        entries = len(value) if isinstance(value, list | tuple | dict) else 1
        meter.spend(entries + size // CHARS_A_WORK)
        made = plain.call_filter(name, value, args, context=context, eval_ctx=context.eval_ctx)
        meter.spend(_size(made) // CHARS_A_WORK)
        return made

    return metered


def _shown(value: Any) -> Any:
    """What `{{ … }}` makes text of: refused before it is made where it would be too much."""
    if type(value) is not str and _size(value) > MAX_RENDERED_CHARS:
        raise _too_large()
    return value


def _size(value: Any) -> int:
    """Characters of all texts in it, and one for every other entry."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list | tuple):
        return len(value) + sum(map(_size, value))
    if isinstance(value, dict):
        return sum(_size(key) + _size(entry) for key, entry in value.items())
    return 1


def _too_large() -> Unrenderable:
    return Unrenderable(f"a prompt grew beyond {MAX_RENDERED_CHARS:,} characters")


def render(template: Template, state: Mapping[str, BaseModel], variables: Mapping[str, Any]) -> str:
    """Render a checked template on real values.

    Raises:
        Unrenderable: where the text would grow beyond `MAX_RENDERED_CHARS`, or making it is too much work, or the values
            are not what it works on, such as the first entry of an empty list, or a missing key of a plain dict.
    """
    compiled = _compiled.get(template.text)
    if compiled is None:
        compiled = _compiled[template.text] = _environment().from_string(_parsed(template.text))
    meter = _Meter()
    parts: list[str] = []
    size = count = 0
    started_s: float | None = None
    try:
        context: dict[str, Any] = {
            local: _plain(state[name]) for local, name in template.names.items() if name in state
        }
        for name in template.variables:
            context[name] = variables[name]
        context[_METER] = meter
        for part in compiled.generate(context):
            size += len(part)
            count += 1
            if size > MAX_RENDERED_CHARS:
                raise _too_large()
            if count & 63 == 0:
                meter.spend(64)
                if started_s is None:
                    started_s = time.thread_time()
                elif time.thread_time() - started_s > MAX_RENDER_S:
                    raise Unrenderable(f"a prompt takes more than {MAX_RENDER_S:g} s")
            parts.append(part)
    except (jinja2.TemplateError, TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        # The check knows types, not values: what is left is of the values' own making.
        raise Unrenderable(f"a prompt cannot be written: {error}") from error
    return "".join(parts)


_ATOMS = frozenset([str, int, float, bool, type(None)])


def _plain(value: Any) -> Any:
    """Data without behaviour: models become dicts, so that a template sees fields and nothing else."""
    if type(value) in _ATOMS:
        return value
    if isinstance(value, BaseModel):
        fields = type(value).__pydantic_fields__
        # Of a draft, which nothing has validated yet, only what was written is there.
        return {name: _plain(entry) for name, entry in value.__dict__.items() if name in fields}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return value
