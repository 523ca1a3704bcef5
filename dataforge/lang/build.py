"""What Lark calls as it reduces: one method a rule of the grammar, each returning a part of our frozen tree.

Spans are offsets into the whole source, also where a single item is parsed by itself (`start_text` says where it begins).
What reads well and cannot be meant (a number beyond all bounds, half of a surrogate pair, endless nesting) is noted in
`problems` and replaced, so that parsing goes on.
"""

from __future__ import annotations

import math
import re
import sys
import textwrap
from typing import Any

from lark import Token

from dataforge.lang import syntax as s
from dataforge.lang.diagnostics import Span

MAX_DEPTH = 64
"""How deep conditions, types and lists may nest: far beyond what people write, well within Python's stack."""


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def _unescape(match: re.Match[str]) -> str:
    short, long, char = match.groups()
    if char is not None:
        return _SIMPLE.get(char, match.group())  # as in Python, an unknown escape stays as it is
    code = int(short or long, 16)
    return chr(code) if code <= 0x10FFFF else match.group()


class Builder:
    """Lark calls one method a rule, with the children that the grammar keeps."""

    def __init__(self) -> None:
        self.start_text(0)

    def start_text(self, base: int) -> None:
        self.base = base
        self.problems: list[tuple[str, str, Span, str]] = []
        self._nesting: dict[int, tuple[Any, int]] = {}

    # -- helpers, underscored so that Lark does not take them for rules

    def _span(self, token: Token) -> Span:
        base = self.base
        return Span(base + token.start_pos, base + token.end_pos)  # type: ignore[operator]

    def _name(self, token: Token) -> s.Name:
        return s.Name(sys.intern(token.value), self._span(token))

    def _text(self, token: Token) -> str:
        value = token.value
        if value.startswith('"""'):
            text = textwrap.dedent(value[3:-3])
            return text.strip("\n") if "\n" in value else text.strip()
        text = value[1:-1]
        if "\\" in text:
            text = _ESCAPE.sub(_unescape, text)
            if any("\ud800" <= c <= "\udfff" for c in text):
                self.problems.append(
                    (
                        "F002",
                        "this escape is half of a surrogate pair, which is no text",
                        self._span(token),
                        "write the character itself, or `\\U` with eight hexadecimal digits",
                    )
                )
                text = text.encode("utf-8", "replace").decode()
        return text

    def _number(self, token: Token) -> int | float:
        text = token.value.replace("_", "")
        if len(text) <= 40:
            if text.lstrip("-").isdigit():
                return int(text)
            value = float(text)
            if math.isfinite(value):
                return value
        self.problems.append(
            (
                "F003",
                "this number is too large or too long",
                self._span(token),
                "use at most 40 digits, below 1e308",
            )
        )
        return 0

    def _depth(self, item: Any) -> int:
        """How deep an item nests, 0 for a leaf."""
        known = self._nesting.get(id(item))
        return known[1] if known is not None else 0

    def _note_depth(self, item: Any, depth: int) -> None:
        self._nesting[id(item)] = (item, depth)  # held, so that no other item can get its id

    def _nested(self, item: Any, children: tuple[Any, ...], span: Span) -> Any:
        depth = 1 + max(map(self._depth, children), default=0)
        if depth == MAX_DEPTH + 1:
            self.problems.append(
                ("F006", f"this nests more than {MAX_DEPTH} levels deep", span, "split it into simpler parts")
            )
        if depth > MAX_DEPTH:  # cut here, so that nothing downstream recurses without bound
            item = children[0]
        self._note_depth(item, depth)
        return item

    # -- file and declarations

    def start(self, c: list[Any]) -> s.File:
        version = c[0] if c and isinstance(c[0], s.Literal) else None
        return s.File(tuple(i for i in c if i is not None and not isinstance(i, s.Literal)), version)

    def version(self, c: list[Any]) -> s.Literal:
        return s.Literal(self._number(c[0]), self._span(c[0]))

    def import_(self, c: list[Any]) -> s.Import:
        origin, is_file, span = c[0]
        return s.Import(origin, is_file, tuple(c[1:]), span)

    def origin_file(self, c: list[Token]) -> tuple[str, bool, Span]:
        return self._text(c[0]), True, self._span(c[0])

    def origin_module(self, c: list[Token]) -> tuple[str, bool, Span]:
        return re.sub(r"\s", "", c[0].value), False, self._span(c[0])

    def imported(self, c: list[Any]) -> s.Imported:
        name = self._name(c[0])
        return s.Imported(name, self._name(c[1]) if c[1] is not None else name)

    def struct(self, c: list[Any]) -> s.StructDecl:
        return s.StructDecl(self._name(c[0]), c[1], tuple(c[2:]))

    def field(self, c: list[Any]) -> s.FieldDecl:
        return s.FieldDecl(self._name(c[0]), c[1], c[2], self._text(c[3]) if c[3] is not None else None)

    def type(self, c: list[Any]) -> s.TypeExpr:
        base: s.TypeExpr = c[0]
        if c[1] is None:
            return base
        end = self._span(c[1]).end
        optional = s.TypeExpr(base.kind, base.name, base.values, base.item, True, Span(base.span.start, end))
        self._note_depth(optional, self._depth(base))
        return optional

    def type_name(self, c: list[Token]) -> s.TypeExpr:
        return s.TypeExpr("name", sys.intern(c[0].value), span=self._span(c[0]))

    def type_enum(self, c: list[Token]) -> s.TypeExpr:
        span = Span(self._span(c[0]).start, self._span(c[-1]).end)
        return s.TypeExpr("enum", values=tuple(self._text(t) for t in c), span=span)

    def type_list(self, c: list[Any]) -> s.TypeExpr:
        span = Span(self._span(c[0]).start, c[1].span.end + 1)
        item = s.TypeExpr("list", c[0].value, item=c[1], span=span)
        built: s.TypeExpr = self._nested(item, (c[1],), span)
        return built

    def model(self, c: list[Any]) -> s.ModelDecl:
        return s.ModelDecl(c[0].value, self._name(c[1]), tuple(x for x in c[2:] if x is not None))

    def list_file(self, c: list[Token]) -> s.ListDecl:
        return s.ListDecl(self._name(c[0]), path=self.lit_string(c[1:]))

    def list_inline(self, c: list[Any]) -> s.ListDecl:
        return s.ListDecl(self._name(c[0]), entries=tuple(c[1:]))

    def rubric(self, c: list[Any]) -> s.RubricDecl:
        criteria = tuple(x for x in c[2:-1] if isinstance(x, s.Criterion))
        return s.RubricDecl(self._name(c[0]), c[1], criteria, c[-1])

    def criterion(self, c: list[Any]) -> s.Criterion:
        return s.Criterion(self._name(c[0]), c[1].value, c[2])

    def predicate(self, c: list[Token]) -> s.PredicateDecl:
        params = tuple(self._name(t) for t in c[1:-1])
        return s.PredicateDecl(self._name(c[0]), params, self.lit_string(c[-1:]))

    # -- nodes

    def node(self, c: list[Any]) -> s.NodeDecl:
        return s.NodeDecl(self._name(c[0]), c[1], tuple(c[2:]))

    def takes(self, c: list[Any]) -> s.Takes:
        return s.Takes(c[0])

    def gives(self, c: list[Any]) -> s.Gives:
        return s.Gives(c[0], span=c[0][0].span)

    def gives_many(self, c: list[Any]) -> s.Gives:
        return s.Gives(c[2], True, c[1], self._span(c[0]))

    def pre(self, c: list[Any]) -> s.Pre:
        return s.Pre(c[0])

    def post(self, c: list[Any]) -> s.Post:
        return s.Post(c[0])

    def keeps(self, c: list[Any]) -> s.Keeps:
        return s.Keeps(c[0])

    def draw(self, c: list[Token]) -> s.Draw:
        return s.Draw(self._name(c[0]), self._name(c[1]))

    def set_ref(self, c: list[Any]) -> s.Set:
        return s.Set(c[0], c[1])

    set_literal = set_ref

    def ask(self, c: list[Any]) -> s.Ask:
        return s.Ask(self._name(c[1]), tuple(c[2:]))

    def judge(self, c: list[Any]) -> s.Judge:
        return s.Judge(self._name(c[1]), tuple(c[2:]))

    def call_python(self, c: list[Token]) -> s.Call:
        return s.Call(self.lit_string(c))

    def verify(self, c: list[Any]) -> s.Verify:
        settings = tuple(x for x in c[2:] if x is not None)
        return s.Verify(self._name(c[0]), c[1] or (), settings)

    def args(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def named_arg(self, c: list[Any]) -> tuple[s.Name, s.Literal | s.Ref]:
        return self._name(c[0]), c[1]

    def branch(self, c: list[Any]) -> s.Branch:
        return s.Branch(c[0], c[1] is not None)

    def retry(self, c: list[Token]) -> s.Retry:
        return s.Retry(self.lit_number(c))

    def weight(self, c: list[Token]) -> s.Weight:
        return s.Weight(self.lit_number(c))

    def train(self, c: list[Token]) -> s.Train:
        return s.Train(c[0].value, self._span(c[0]))

    # -- settings

    def setting_text(self, c: list[Any]) -> s.Setting:
        name = self._name(c[0])
        return s.Setting(name, c[1], Span(name.span.start, c[1].span.end))

    def _keyword_setting(self, word: str, value: Any) -> s.Setting:
        # The keyword itself is not kept by the grammar; its value is what messages point at.
        return s.Setting(s.Name(word, value.span), value, value.span)

    def setting_into(self, c: list[Any]) -> s.Setting:
        return self._keyword_setting("into", c[0])

    def setting_json(self, c: list[Token]) -> s.Setting:
        return self._keyword_setting("json", self.ref(c))

    def setting_rubric(self, c: list[Token]) -> s.Setting:
        return self._keyword_setting("rubric", self.ref(c))

    def setting_score(self, c: list[Any]) -> s.Setting:
        return self._keyword_setting("score", c[0])

    def setting_reasoning(self, c: list[Any]) -> s.Setting:
        return self._keyword_setting("reasoning", c[0])

    def setting_literal(self, c: list[Any]) -> s.Setting:
        name = self._name(c[0])
        return s.Setting(name, c[1], Span(name.span.start, c[1].span.end))

    setting_ref = setting_range = setting_literal

    # -- graphs

    def graph(self, c: list[Any]) -> s.GraphDecl:
        return s.GraphDecl(self._name(c[0]), c[1], tuple(c[2:]))

    def from_(self, c: list[Any]) -> s.From:
        return s.From(c[0], c[1] or ())

    def to(self, c: list[Any]) -> s.To:
        return s.To(c[0], c[1] or ())

    def nodes_all(self, c: list[Any]) -> s.Nodes:
        return s.Nodes(None, c[2] or (), self._span(c[0]))

    def nodes(self, c: list[Any]) -> s.Nodes:
        return s.Nodes(c[0], c[2] or (), c[0][0].span)

    def walk(self, c: list[Token]) -> s.Walk:
        return s.Walk(c[0].value, self._span(c[0]))

    def steps(self, c: list[Any]) -> s.Steps:
        return s.Steps(c[0])

    def seeds(self, c: list[Token]) -> s.Seeds:
        return s.Seeds(tuple(self.lit_string([t]) for t in c))

    def emit_turns(self, c: list[Any]) -> s.Emit:
        return s.Emit(turns=tuple(c))

    def emit_ref(self, c: list[Any]) -> s.Emit:
        return s.Emit(ref=c[0])

    def turn(self, c: list[Any]) -> s.Turn:
        return s.Turn(c[0].value, c[1], c[2])

    # -- examples

    def example(self, c: list[Any]) -> s.ExampleDecl:
        return s.ExampleDecl(self._name(c[0]), c[1], tuple(c[2:]))

    def given(self, c: list[Any]) -> s.Given:
        return s.Given(self._name(c[0]), tuple(c[1:]))

    def given_field(self, c: list[Any]) -> s.GivenField:
        name = self._name(c[0])
        field = s.GivenField(name, c[1])
        self._note_depth(field, self._depth(c[1]))
        return field

    def given_object(self, c: list[Any]) -> tuple[s.GivenField, ...]:
        fields = tuple(c)
        if not fields or self._nested(fields, fields, fields[0].name.span) is fields:
            return fields
        return ()  # nested too deep, which is reported

    def says(self, c: list[Any]) -> s.Says:
        return s.Says(self._name(c[0]), c[1], c[2])

    def example_walk(self, c: list[Any]) -> s.ExampleWalk:
        return s.ExampleWalk(c[0])

    def expect(self, c: list[Any]) -> s.Expect:
        return s.Expect(c[0])

    def expect_reject(self, c: list[Any]) -> s.ExpectReject:
        return s.ExpectReject(self.lit_string(c[1:]) if c[1] is not None else None, self._span(c[0]))

    # -- conditions

    def conds(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def or_(self, c: list[Any]) -> Any:
        return self._joined(s.Or, c)

    def and_(self, c: list[Any]) -> Any:
        return self._joined(s.And, c)

    def _joined(self, kind: Any, c: list[Any]) -> Any:
        items: list[Any] = []
        for x in c:
            items.extend(x.items if isinstance(x, kind) else (x,))
        span = Span(c[0].span.start, c[-1].span.end)
        return self._nested(kind(tuple(items), span), tuple(items), span)

    def not_(self, c: list[Any]) -> Any:
        span = Span(self._span(c[0]).start, c[1].span.end)
        return self._nested(s.Not(c[1], span), (c[1],), span)

    def parens(self, c: list[Any]) -> Any:
        return c[0]

    def truth(self, c: list[Any]) -> s.Truth:
        return s.Truth(c[0], c[0].span)

    def has(self, c: list[Any]) -> s.Has:
        return s.Has(c[1], Span(self._span(c[0]).start, c[1].span.end))

    def compare(self, c: list[Any]) -> s.Compare:
        return s.Compare(c[0], c[1].value, c[2], Span(c[0].span.start, c[2].span.end))

    def in_range(self, c: list[Any]) -> s.In:
        # `..` alone has no number, and so no span.
        return s.In(c[0], False, c[1], Span(c[0].span.start, max(c[0].span.end, c[1].span.end)))

    def not_in_range(self, c: list[Any]) -> s.In:
        return s.In(c[0], True, c[1], Span(c[0].span.start, max(c[0].span.end, c[1].span.end)))

    def in_set(self, c: list[Any]) -> s.In:
        return s.In(c[0], False, c[1], Span(c[0].span.start, c[1][-1].span.end))

    def not_in_set(self, c: list[Any]) -> s.In:
        return s.In(c[0], True, c[1], Span(c[0].span.start, c[1][-1].span.end))

    def func(self, c: list[Any]) -> s.Func:
        start = self._span(c[0]).start
        return s.Func(sys.intern(c[0].value), tuple(c[1:]), Span(start, c[-1].span.end + 1))

    def set(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def range_both(self, c: list[Token]) -> s.Range:
        span = Span(self._span(c[0]).start, self._span(c[1]).end)
        return s.Range(self._number(c[0]), self._number(c[1]), span)

    def range_low(self, c: list[Token]) -> s.Range:
        return s.Range(self._number(c[0]), None, self._span(c[0]))

    def range_high(self, c: list[Token]) -> s.Range:
        return s.Range(None, self._number(c[0]), self._span(c[0]))

    def range_open(self, c: list[Token]) -> s.Range:
        return s.Range(None, None)

    # -- leaves

    def names(self, c: list[Token]) -> tuple[s.Name, ...]:
        return tuple([self._name(t) for t in c])

    def refs(self, c: list[Any]) -> tuple[s.Ref, ...]:
        return tuple(c)

    def ref(self, c: list[Token]) -> s.Ref:
        token = c[0]
        value = token.value
        if "." in value:
            parts = tuple([sys.intern(p.strip()) for p in value.split(".")])
        else:
            parts = (sys.intern(value),)
        return s.Ref(parts, self._span(token))

    def word(self, c: list[Token]) -> Token:
        return c[0]

    def text_file(self, c: list[Token]) -> s.Text:
        return s.Text(self._text(c[0]), True, self._span(c[0]))

    def text_value(self, c: list[Token]) -> s.Text:
        return s.Text(self._text(c[0]), False, self._span(c[0]))

    def doc(self, c: list[Token]) -> str:
        return self._text(c[0])

    def lit_string(self, c: list[Token]) -> s.Literal:
        return s.Literal(self._text(c[0]), self._span(c[0]))

    string = lit_string
    lit_doc = lit_string

    def lit_number(self, c: list[Token]) -> s.Literal:
        return s.Literal(self._number(c[0]), self._span(c[0]))

    def lit_bool(self, c: list[Token]) -> s.Literal:
        return s.Literal(c[0].value == "true", self._span(c[0]))

    def lit_null(self, c: list[Token]) -> s.Literal:
        return s.Literal(None, self._span(c[0]))

    def lit_list(self, c: list[Any]) -> s.Literal:
        items = tuple(x for x in c[1:-1] if x is not None)
        span = Span(self._span(c[0]).start, self._span(c[-1]).end)
        built: s.Literal = self._nested(s.Literal(items, span), items, span)
        return built
