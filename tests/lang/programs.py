"""Random programs, each as the tree that was meant and the words that say it, and random layouts of their words.

An `Author` writes a program by making choices: it asks for a number below `n`, and 0 is always the simplest answer. The
choices come from Hypothesis (`programs()`, which shrinks) or from a seed (`program_of(seed)`, which is quick). Every
method returns what it wrote as a pair: a piece of the syntax tree, built by hand, and its words. `laid_out` puts words
into a text with random white space and comments between them. The programs parse; few of them mean anything.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from dataforge.lang import syntax as s
from dataforge.lang.parse import grammar_text

T = TypeVar("T")
Words = list[str]

NAMES = ["A", "Passage", "x1", "writer", "_a", "é", "名前", "Instruction", "longer_name"]
WORD_KEYWORDS = sorted(
    re.findall(r'"(\w+)"', grammar_text().partition("!word:")[2].partition("\n\n")[0].partition("doc:")[0])
)
"""The keywords that may name a field."""
PIECES = [
    ("a", "a"), (" word", " word"), ("\\n", "\n"), ('\\"', '"'), ("\\\\", "\\"), ("\\d+", "\\d+"), ("\\u00e9", "é"),
    ("\\U0001f600", "😀"), ("#", "#"), ("{{ A.x }}", "{{ A.x }}"), ("{% if A %}", "{% if A %}"), ("}", "}"), ("'", "'"),
    ("\t", "\t"), ("//", "//"), ("a rather long piece of text, ", "a rather long piece of text, "), ("\u2028", "\u2028"),
]  # fmt: skip
NUMBERS = [("0", 0), ("3", 3), ("-2", -2), ("1_000", 1000), ("0.5", 0.5), ("1e-3", 1e-3), ("007", 7), ("-0.25E+2", -25.0)]  # fmt: skip
DOC_LINES = [
    "",
    "Words.",
    "  deeper",
    "\ttabbed",
    "trailing  ",
    '"quoted"',
    "# no comment",
    "{{ A.x }}",
    "   ",
    "é } {",
]
COMMENTS = ["#", "# why", '# a "quote', "# node x {", '# """', "#no space", "# é 名", "# a comment of some length, as people write"]  # fmt: skip


@dataclass
class Author:
    """Writes programs; `below(n)` decides, giving 0 to n - 1."""

    below: Callable[[int], int]
    depth: int = 3

    # -- choices

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def maybe(self) -> bool:
        return self.below(3) == 2

    def several(self, write: Callable[[], tuple[T, Words]], least: int = 1, most: int = 3, joiner: str = ",") -> tuple[tuple[T, ...], Words]:  # fmt: skip
        trees: list[T] = []
        words: Words = []
        for i in range(least + self.below(most - least + 1)):
            tree, said = write()
            words += [joiner, *said] if i and joiner else said
            trees.append(tree)
        return tuple(trees), words

    # -- leaves

    def name(self) -> tuple[s.Name, Words]:
        text = self.one_of(NAMES)
        return s.Name(text), [text]

    def any_name(self) -> tuple[s.Name, Words]:
        """A name where the grammar takes nothing else, so that a keyword is one too."""
        text = self.one_of([*NAMES, *WORD_KEYWORDS])
        return s.Name(text), [text]

    def names(self) -> tuple[tuple[s.Name, ...], Words]:
        return self.several(self.name, most=4)

    def dotted(self) -> tuple[s.Ref, Words]:
        parts = [
            self.one_of(NAMES),
            *(self.one_of([*NAMES, *WORD_KEYWORDS]) for _ in range(1 + self.below(2))),
        ]
        dot = self.one_of([".", " . ", " .", "\n  ."])
        return s.Ref(tuple(parts)), [dot.join(parts)]

    def ref(self) -> tuple[s.Ref, Words]:
        if self.maybe():
            name, words = self.name()
            return s.Ref((name.text,)), words
        return self.dotted()

    def string(self) -> tuple[str, Words]:
        pieces = [self.one_of(PIECES) for _ in range(self.below(8))]
        return "".join(p[1] for p in pieces), ['"' + "".join(p[0] for p in pieces) + '"']

    def doc(self) -> tuple[str, Words]:
        lines = [self.one_of(["", "  ", "    "]) + self.one_of(DOC_LINES) for _ in range(1 + self.below(5))]
        body = "\n".join(lines)
        if body.endswith('"'):
            body += self.one_of([" ", "\n", "."])
        value = textwrap.dedent(body)
        return value.strip("\n") if "\n" in body else value.strip(), [f'"""{body}"""']

    def text_value(self) -> tuple[str, Words]:
        return self.doc() if self.maybe() else self.string()

    def text(self) -> tuple[s.Text, Words]:
        if self.maybe():
            value, words = self.string()
            return s.Text(value, True), ["file", *words]
        value, words = self.text_value()
        return s.Text(value), words

    def number(self) -> tuple[s.Literal, Words]:
        written, value = self.one_of(NUMBERS)
        return s.Literal(value), [written]

    def quoted(self) -> tuple[s.Literal, Words]:
        value, words = self.string()
        return s.Literal(value), words

    def literal(self) -> tuple[s.Literal, Words]:
        match self.below(6 if self.depth else 5):
            case 0:
                return self.number()
            case 1:
                return self.quoted()
            case 2:
                value, words = self.doc()
                return s.Literal(value), words
            case 3:
                written, truth = self.one_of([("true", True), ("false", False)])
                return s.Literal(truth), [written]
            case 4:
                return s.Literal(None), ["null"]
        items, words = self.deeper(lambda: self.several(self.literal, least=0, most=5))
        return s.Literal(items), ["[", *words, "]"]

    def deeper(self, write: Callable[[], T]) -> T:
        self.depth -= 1
        try:
            return write()
        finally:
            self.depth += 1

    def range(self) -> tuple[s.Range, Words]:
        low, high = self.number(), self.number()
        match self.below(4):
            case 0:
                return s.Range(low[0].value, high[0].value), [*low[1], "..", *high[1]]  # type: ignore[arg-type]
            case 1:
                return s.Range(low[0].value, None), [*low[1], ".."]  # type: ignore[arg-type]
            case 2:
                return s.Range(None, high[0].value), ["..", *high[1]]  # type: ignore[arg-type]
        return s.Range(None, None), [".."]

    # -- conditions

    def conds(self) -> tuple[tuple[Any, ...], Words]:
        return self.several(self.cond, most=4)

    def cond(self) -> tuple[Any, Words]:
        kind = self.below(4) if self.depth else 0
        if kind == 0:
            return self.unary()
        if kind in (1, 2):
            joined, word, write = ((s.Or, "or", self.conjunction), (s.And, "and", self.unary))[kind - 1]
            items, words = self.several(write, least=2, most=4, joiner=word)
            return flattened(joined, items), words
        return self.bracketed()

    def conjunction(self) -> tuple[Any, Words]:
        if self.maybe():
            items, words = self.several(self.unary, least=2, joiner="and")
            return flattened(s.And, items), words
        return self.unary()

    def bracketed(self) -> tuple[Any, Words]:
        inner, words = self.deeper(self.cond)
        return inner, ["(", *words, ")"]

    def unary(self) -> tuple[Any, Words]:
        match self.below(9 if self.depth else 7):
            case 0:
                operand, words = self.operand()
                return s.Truth(operand), words
            case 1:
                ref, words = self.ref()
                return s.Has(ref), ["has", *words]
            case 2 | 3:
                left, words = self.operand()
                op = self.one_of(["==", "!=", "<", "<=", ">", ">="])
                right, more = self.one_of([self.literal, self.operand])()
                return s.Compare(left, op, right), [*words, op, *more]
            case 4 | 5 as kind:
                left, words = self.operand()
                negated = self.maybe()
                words += ["not", "in"] if negated else ["in"]
                if kind == 4:
                    scale, more = self.range()
                    return s.In(left, negated, scale), [*words, *more]
                values, more = self.several(self.literal, most=5)
                return s.In(left, negated, values), [*words, "{", *more, "}"]
            case 6:
                inner, words = self.deeper(self.unary) if self.depth else self.operand_truth()
                return s.Not(inner), ["not", *words]
        return self.bracketed()

    def operand_truth(self) -> tuple[Any, Words]:
        operand, words = self.operand()
        return s.Truth(operand), words

    def operand(self) -> tuple[Any, Words]:
        if not self.maybe():
            return self.ref()
        name = self.one_of(["words", "matches", "longer"])
        args, words = self.several(lambda: self.quoted() if self.maybe() else self.ref())
        return s.Func(name, args), [name, "(", *words, ")"]

    # -- items

    def program(self) -> tuple[s.File, Words]:
        version, words = None, []
        if self.maybe():
            version, words = s.Literal(s.LANGUAGE_VERSION), ["forge", str(s.LANGUAGE_VERSION)]
        items, more = self.several(self.item, least=0, most=5, joiner="")
        return s.File(items, version), words + more

    def item(self) -> tuple[Any, Words]:
        return self.one_of(
            [self.import_, self.model, self.list_, self.predicate, self.struct, self.rubric, self.node, self.graph, self.example]
        )()  # fmt: skip

    def body(self, write: Callable[[], tuple[T, Words]], most: int = 5) -> tuple[str | None, tuple[T, ...], Words]:  # fmt: skip
        doc, said = self.doc() if self.maybe() else (None, [])
        trees, words = self.several(write, least=0, most=most, joiner="")
        return doc, trees, ["{", *said, *words, "}"]

    def import_(self) -> tuple[s.Import, Words]:
        is_file = self.maybe()
        if is_file:
            origin, words = self.string()
        else:
            ref, words = self.ref()
            origin = str(ref)
        names, more = self.several(self.imported, most=6)
        return s.Import(origin, is_file, names), ["from", *words, "import", *more]

    def imported(self) -> tuple[s.Imported, Words]:
        name, words = self.any_name()
        if not self.maybe():
            return s.Imported(name, name), words
        alias, more = self.any_name()
        return s.Imported(name, alias), [*words, "as", *more]

    def model(self) -> tuple[s.ModelDecl, Words]:
        kind = self.one_of(["generator", "judge"])
        name, words = self.any_name()
        settings, more = self.settings() if self.maybe() else ((), [])
        return s.ModelDecl(kind, name, settings), [kind, *words, *more]  # type: ignore[arg-type]

    def list_(self) -> tuple[s.ListDecl, Words]:
        name, words = self.any_name()
        if self.maybe():
            path, more = self.quoted()
            return s.ListDecl(name, path=path), ["list", *words, "from", *more]
        entries, more = self.several(self.literal, most=6)
        return s.ListDecl(name, entries=entries), ["list", *words, "=", "[", *more, "]"]

    def predicate(self) -> tuple[s.PredicateDecl, Words]:
        name, words = self.any_name()
        params, more = self.names()
        target, last = self.quoted()
        return s.PredicateDecl(name, params, target), ["predicate", *words, "(", *more, ")", "=", *last]

    def struct(self) -> tuple[s.StructDecl, Words]:
        name, words = self.any_name()
        doc, fields, more = self.body(self.field)
        return s.StructDecl(name, doc, fields), ["struct", *words, *more]

    def field(self) -> tuple[s.FieldDecl, Words]:
        name, words = self.any_name()
        type_, more = self.type()
        words += [":", *more]
        default, doc = None, None
        if self.maybe():
            default, more = self.literal()
            words += ["=", *more]
        if self.maybe():
            doc, more = self.string()
            words += more
        return s.FieldDecl(name, type_, default, doc), words

    def type(self) -> tuple[s.TypeExpr, Words]:
        optional = self.maybe()
        mark = ["?"] if optional else []
        match self.below(3 if self.depth else 2):
            case 0:
                name = self.one_of(["str", "int", "float", "bool", *NAMES])
                return s.TypeExpr("name", name, optional=optional), [name, *mark]
            case 1:
                values, words = self.several(self.string, joiner="|")
                return s.TypeExpr("enum", values=values, optional=optional), [*words, *mark]
        item, words = self.deeper(self.type)
        return s.TypeExpr("list", "list", item=item, optional=optional), ["list", "[", *words, "]", *mark]

    def rubric(self) -> tuple[s.RubricDecl, Words]:
        name, words = self.any_name()
        doc, criteria, more = self.body(self.criterion)
        accept = None
        if self.maybe():
            accept, said = self.cond()
            more[-1:] = ["accept", *said, "}"]
        return s.RubricDecl(name, doc, criteria, accept), ["rubric", *words, *more]

    def criterion(self) -> tuple[s.Criterion, Words]:
        name, words = self.any_name()
        text, more = self.text_value()
        scale, last = self.range()
        return s.Criterion(name, text, scale), [*words, *more, "in", *last]

    # -- nodes

    def node(self) -> tuple[s.NodeDecl, Words]:
        name, words = self.any_name()
        doc, clauses, more = self.body(self.clause, most=7)
        return s.NodeDecl(name, doc, clauses), ["node", *words, *more]

    def clause(self) -> tuple[Any, Words]:
        kind = self.below(15)
        if kind in (0, 1):
            names, words = self.names()
            return (s.Takes(names), ["takes", *words]) if kind == 0 else (s.Gives(names), ["gives", *words])
        if kind in (2, 3):
            conds, words = self.conds()
            return (s.Pre(conds), ["pre", *words]) if kind == 2 else (s.Post(conds), ["post", *words])
        if kind in (4, 5):
            model, words = self.any_name()
            settings, more = self.settings()
            made = s.Ask(model, settings) if kind == 4 else s.Judge(model, settings)
            return made, ["ask" if kind == 4 else "judge", *words, *more]
        return (self.gives_many, self.keeps, self.draw, self.set, self.call, self.verify, self.branch,
                self.amount, self.train)[kind - 6]()  # fmt: skip

    def gives_many(self) -> tuple[s.Gives, Words]:
        count, words = self.range() if self.maybe() else (None, [])
        names, more = self.names()
        return s.Gives(names, True, count), ["gives", "many", *words, *more]

    def keeps(self) -> tuple[s.Keeps, Words]:
        refs, words = self.several(self.ref, most=6)
        return s.Keeps(refs), ["keeps", *words]

    def draw(self) -> tuple[s.Draw, Words]:
        name, words = self.any_name()
        source, more = self.any_name()
        return s.Draw(name, source), ["draw", *words, "from", *more]

    def set(self) -> tuple[s.Set, Words]:
        ref, words = self.ref()
        value, more = self.one_of([self.literal, self.operand])()
        return s.Set(ref, value), ["set", *words, "=", *more]

    def call(self) -> tuple[s.Call, Words]:
        target, words = self.quoted()
        return s.Call(target), ["call", *words]

    def verify(self) -> tuple[s.Verify, Words]:
        name, words = self.name()
        args: tuple[Any, ...] = ()
        settings: tuple[s.Setting, ...] = ()
        if self.maybe():
            args, more = self.several(self.arg, most=5)
            words += ["(", *more, ")"]
        if self.maybe():
            settings, more = self.settings()
            words += more
        return s.Verify(name, args, settings), ["verify", *words]

    def arg(self) -> tuple[Any, Words]:
        match self.below(3):
            case 0:
                return self.literal()
            case 1:
                return self.ref()
        name, words = self.name()
        value, more = self.one_of([self.literal, self.ref])()
        return (name, value), [*words, "=", *more]

    def branch(self) -> tuple[s.Branch, Words]:
        ref, words = self.ref()
        otherwise = self.maybe()
        return s.Branch(ref, otherwise), ["branch", *words, *(["else", "reject"] if otherwise else [])]

    def amount(self) -> tuple[Any, Words]:
        value, words = self.number()
        return (s.Retry(value), ["retry", *words]) if self.maybe() else (s.Weight(value), ["weight", *words])

    def train(self) -> tuple[s.Train, Words]:
        which = self.one_of(["all", "final", "none"])
        return s.Train(which), ["train", which]  # type: ignore[arg-type]

    def settings(self) -> tuple[tuple[s.Setting, ...], Words]:
        settings, words = self.several(self.setting, least=0, most=4, joiner="")
        return settings, ["{", *words, "}"]

    def setting(self) -> tuple[s.Setting, Words]:
        value: Any
        match self.below(6):
            case 0:
                word = self.one_of(["prompt", "system"])
                value, words = self.text()
            case 1:
                word = self.one_of(["into", "score", "reasoning"])
                value, words = self.ref()
            case 2:
                word = self.one_of(["json", "rubric"])
                name, words = self.name()
                value = s.Ref((name.text,))
            case 3:
                word = self.one_of(["max_tokens", "stop"])
                value, words = self.literal()
            case 4:
                word = "pass_rate"
                value, words = self.range()
            case _:
                word = self.one_of(["keep", "thinking"])
                value, words = self.ref()
        return s.Setting(s.Name(word), value), [word, *words]

    # -- graphs

    def graph(self) -> tuple[s.GraphDecl, Words]:
        name, words = self.any_name()
        doc, clauses, more = self.body(self.graph_clause, most=7)
        return s.GraphDecl(name, doc, clauses), ["graph", *words, *more]

    def graph_clause(self) -> tuple[Any, Words]:
        return self.one_of([self.end, self.nodes, self.walk, self.steps, self.seeds, self.emit])()

    def end(self) -> tuple[Any, Words]:
        kind, word = self.one_of([(s.From, "from"), (s.To, "to")])
        names, words = self.names()
        where, more = self.conds() if self.maybe() else ((), [])
        return kind(names, where), [word, *words, *(["where", *more] if more else [])]

    def nodes(self) -> tuple[s.Nodes, Words]:
        names, words = (None, ["*"]) if self.maybe() else self.names()
        excluded, more = self.names() if self.maybe() else ((), [])
        return s.Nodes(names, excluded), ["nodes", *words, *(["except", *more] if more else [])]

    def walk(self) -> tuple[s.Walk, Words]:
        law = self.one_of(["uniform", "weighted", "cover"])
        return s.Walk(law), ["walk", law]  # type: ignore[arg-type]

    def steps(self) -> tuple[s.Steps, Words]:
        scale, words = self.range()
        return s.Steps(scale), ["steps", *words]

    def seeds(self) -> tuple[s.Seeds, Words]:
        patterns, words = self.several(self.quoted)
        return s.Seeds(patterns), ["seeds", *words]

    def emit(self) -> tuple[s.Emit, Words]:
        if self.maybe():
            ref, words = self.ref()
            return s.Emit(ref=ref), ["emit", *words]
        turns, words = self.several(self.turn, least=0, joiner="")
        return s.Emit(turns=turns), ["emit", "{", *words, "}"]

    def turn(self) -> tuple[s.Turn, Words]:
        role = self.one_of(["system", "user", "assistant", "tool"])
        text, words = self.text()
        reasoning, more = self.ref() if self.maybe() else (None, [])
        return s.Turn(role, text, reasoning), [role, *words, *(["reasoning", *more] if more else [])]  # type: ignore[arg-type]

    # -- examples

    def example(self) -> tuple[s.ExampleDecl, Words]:
        name, words = self.any_name()
        doc, clauses, more = self.body(self.example_clause)
        return s.ExampleDecl(name, doc, clauses), ["example", *words, *more]

    def example_clause(self) -> tuple[Any, Words]:
        match self.below(5):
            case 0:
                struct, words = self.any_name()
                fields, more = self.given_fields()
                return s.Given(struct, fields), ["given", *words, *more]
            case 1:
                model, words = self.any_name()
                text, more = self.text()
                reasoning, last = self.text() if self.maybe() else (None, [])
                last = ["reasoning", *last] if last else []
                return s.Says(model, text, reasoning), ["model", *words, "says", *more, *last]
            case 2:
                names, words = self.names()
                return s.ExampleWalk(names), ["walk", *words]
            case 3:
                conds, words = self.conds()
                return s.Expect(conds), ["expect", *words]
        reason, words = self.quoted() if self.maybe() else (None, [])
        return s.ExpectReject(reason), ["expect", "reject", *words]

    def given_fields(self) -> tuple[tuple[s.GivenField, ...], Words]:
        fields, words = self.several(self.given_field, least=0, most=4, joiner="")
        return fields, ["{", *words, "}"]

    def given_field(self) -> tuple[s.GivenField, Words]:
        name, words = self.any_name()
        value, more = self.deeper(self.given_fields) if self.depth and self.maybe() else self.literal()
        return s.GivenField(name, value), [*words, "=", *more]


def flattened(kind: Any, items: tuple[Any, ...]) -> Any:
    """As the parser joins: `a or (b or c)` is one disjunction of three."""
    flat: list[Any] = []
    for item in items:
        flat.extend(item.items if isinstance(item, kind) else (item,))
    return kind(tuple(flat))


# ---- layouts


TIGHT = frozenset("{}()[],:=|?*")
GAPS = [" ", "  ", "\n", "\n  ", "\n\n", " \t\n \f\n\n", "\t", ""]


def laid_out(words: Sequence[str], below: Callable[[int], int], comments: int = 8) -> str:
    """The words as a text, with random white space and, about once in `comments` gaps (0: never), a comment between them."""
    parts: list[str] = []
    if comments and below(comments) == comments - 1:
        parts.append(COMMENTS[below(len(COMMENTS))] + "\n" * (1 + below(2)))
    for i, word in enumerate(words):
        parts.append(word)
        gap = GAPS[below(len(GAPS))]
        if not gap and i + 1 < len(words) and not ({word, words[i + 1]} & TIGHT):
            gap = " "
        while comments and below(comments) == comments - 1:
            gap += COMMENTS[below(len(COMMENTS))] + "  " * below(2) + "\n" + GAPS[below(len(GAPS))]
        parts.append(gap)
    return "".join(parts)


@st.composite
def programs(draw: st.DrawFn, comments: int = 8) -> tuple[s.File, str]:
    """Programs as the tree that was meant and a text that says it."""

    def below(n: int) -> int:
        return draw(st.integers(0, n - 1))

    tree, words = Author(below).program()
    return tree, laid_out(words, below, comments)


@st.composite
def program_words(draw: st.DrawFn) -> Words:
    """The words of a program."""
    return Author(lambda n: draw(st.integers(0, n - 1))).program()[1]


def program_of(seed: int, comments: int = 8) -> tuple[s.File, str]:
    """The program of a seed."""
    below = random.Random(seed).randrange
    tree, words = Author(below).program()
    return tree, laid_out(words, below, comments)
